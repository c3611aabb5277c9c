//! The sources of interactions: the read model of the service, or files.

use std::{collections::HashMap, io::BufRead as _, path::Path};

use anyhow::{Context, bail, ensure};
use recommender::evaluation::split::Event;
use sqlx::PgPool;

use crate::{
    cli::files::{self, find},
    read_model::{InteractionState, affinity, repository::interactions},
};

/// The weight of ratings below those that count in the database.
const MIN_WEIGHT: f32 = 0.2;

/// The names of files of ratings in a directory.
const RATINGS: [&str; 5] = [
    "ratings.csv",
    "ratings.dat",
    "u.data",
    "interactions.csv",
    "interactions-train-users.csv",
];

/// The newest `max` interactions in the database of the service, movies by TMDB's ids, each with a weight above 0 and a
/// time.
///
/// # Errors
/// Returns [`sqlx::Error`] if Postgres takes longer than ten minutes.
pub(in crate::cli) async fn from_database(pool: &PgPool, max: u64) -> sqlx::Result<Vec<Event>> {
    let mut events = Vec::new();
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    interactions::liked(pool, max, |liked| {
        if let (Ok(user), Ok(item)) = (u64::try_from(liked.user_id), u64::try_from(liked.movie_id))
        {
            events.push(Event {
                user,
                item,
                rating: None,
                weight: liked.weight,
                time: Some(liked.at.timestamp_micros()),
            });
        }
    })
    .await?;
    Ok(events)
}

/// As [`from_database`], of ratings from `min_rating` on in a file, or in a directory as MovieLens publishes it. `links`
/// is CSV with `movieId` and `tmdbId`; if it is given or in the directory, movies without a `tmdbId` are skipped.
///
/// # Errors
/// Fails if a file cannot be read or has another layout, or if there are more than `max` interactions.
pub(super) fn from_files(
    path: &Path,
    links: Option<&Path>,
    min_rating: f64,
    max: u64,
) -> anyhow::Result<Vec<Event>> {
    let (ratings, links) = if path.is_dir() {
        let ratings = RATINGS.iter().find_map(|name| find(path, name));
        let ratings = ratings.with_context(|| {
            format!(
                "{}: there is none of {}",
                path.display(),
                RATINGS.join(", ")
            )
        })?;
        (
            ratings,
            links
                .map(Path::to_owned)
                .or_else(|| find(path, "links.csv")),
        )
    } else {
        (path.to_owned(), links.map(Path::to_owned))
    };
    let mut events = files::read(&ratings)?;
    events.retain(|event| event.rating.is_none_or(|rating| rating >= min_rating));
    for event in &mut events {
        if event.time.is_none() {
            bail!("{}: there are no times", ratings.display());
        }
        if let Some(rating) = event.rating {
            let state = InteractionState {
                rating: Some(rating as f32),
                ..InteractionState::default()
            };
            // A rating that counts here but not in the database gets the lowest weight.
            event.weight = affinity(&state).unwrap_or(MIN_WEIGHT);
        }
    }
    if let Some(file) = links {
        let ids = read_links(&file).with_context(|| file.display().to_string())?;
        events.retain_mut(|event| {
            let id = ids.get(&event.item);
            event.item = id.copied().unwrap_or_default();
            id.is_some()
        });
    }
    ensure!(
        events.len() as u64 <= max,
        "{} interactions do not fit into the memory allowed, which is enough for {max}; give --memory-mib a higher \
         number",
        events.len()
    );
    Ok(events)
}

/// TMDB's ids by the ids in the file of ratings.
fn read_links(file: &Path) -> anyhow::Result<HashMap<u64, u64>> {
    let mut lines = files::open(file)?.lines();
    let heading = lines.next().context("it is empty")??;
    let names: Vec<&str> = heading.split(',').map(str::trim).collect();
    let place = |wanted: &str| {
        let place = names.iter().position(|name| *name == wanted);
        place.with_context(|| format!("there is no column {wanted}"))
    };
    let (own, tmdb) = (place("movieId")?, place("tmdbId")?);
    let mut ids = HashMap::new();
    for line in lines {
        let line = line?;
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let number = |place: usize| fields.get(place).and_then(|text| text.parse().ok());
        if let (Some(own), Some(tmdb)) = (number(own), number(tmdb)) {
            ids.insert(own, tmdb);
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_ratings_and_movies_without_a_tmdb_id_are_skipped() {
        let directory =
            std::env::temp_dir().join(format!("marquee-train-source-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("writable");
        std::fs::write(
            directory.join("ratings.csv"),
            "userId,movieId,rating,timestamp\n1,10,5.0,7\n1,11,3.0,8\n2,10,3.5,9\n2,12,4.0,9\n",
        )
        .expect("writable");
        std::fs::write(
            directory.join("links.csv"),
            "movieId,imdbId,tmdbId\r\n10,0100,862\r\n11,0101,863\r\n12,0102,\r\n",
        )
        .expect("writable");
        let events = from_files(&directory, None, 3.5, 10);
        std::fs::remove_dir_all(&directory).expect("removable");
        let events: Vec<_> = events
            .expect("readable")
            .iter()
            .map(|event| (event.user, event.item, event.weight, event.time))
            .collect();
        assert_eq!(events, [(1, 862, 0.8, Some(7)), (2, 862, 0.2, Some(9))]);
    }
}
