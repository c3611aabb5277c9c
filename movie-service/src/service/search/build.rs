//! Building of the search index: documents of movies, people and keywords, and the load of a whole catalogue.

use std::collections::HashMap;

use chrono::Datelike;
use search::{Document, IndexError, Kind, Name, Role, SearchIndex, fame};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgRow};
use tokio::sync::mpsc;

use crate::repository::search::{self as rows, KeywordRow, NamesRow, PersonRow};

/// Batches of rows between Postgres and the index.
const QUEUE: usize = 4;
/// Threads that write the index.
const THREADS: usize = 2;
/// A vote weighs as much as this share of TMDB's popularity: new movies are popular before they have votes.
const VOTES_PER_POPULARITY: f64 = 10.0;
/// A keyword with this many movies is as famous as a movie with as many thousand votes.
const VOTES_PER_MOVIE: f64 = 1000.0;

/// A failed build.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The process ends.
    #[error("the search index is not built, since the process ends")]
    Stopped,
}

/// The data of a movie that suggestions show.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Shown {
    /// The year of the first release.
    pub year: Option<i32>,
    /// The poster's path at TMDB's image host.
    pub poster_path: Option<String>,
}

/// The document of a movie.
pub(super) fn movie(row: &NamesRow<'_>) -> Document {
    let (title, original) = (row.title, row.original_title);
    let own = [
        Name::new(title, Role::Main, None),
        Name::new(original, Role::Original, Some(row.original_language)),
    ];
    let others = row.titles.iter().map(|title| {
        let language = title.language.as_deref();
        let role = match language {
            Some(_) => Role::Translation,
            None => Role::Alternative,
        };
        Name::new(&title.title, role, language)
    });
    let names = own.into_iter().chain(others).collect();
    let fame = fame(f64::from(row.vote_count) + VOTES_PER_POPULARITY * row.popularity);
    let year = row.release_date.map(|date| date.year());
    let shown = Shown {
        year,
        poster_path: row.poster_path.map(str::to_owned),
    };
    Document {
        year: year.and_then(|year| u16::try_from(year).ok()),
        language: row.original_language.to_owned(),
        genres: row
            .genre_ids
            .iter()
            .filter_map(|id| u32::try_from(*id).ok())
            .collect(),
        people: row.people.iter().map(names_of).collect(),
        keywords: row
            .keywords
            .iter()
            .map(|keyword| keyword.name.as_ref().to_owned())
            .collect(),
        payload: serde_json::to_string(&shown).unwrap_or_default(),
        ..Document::new(Kind::Movie, row.id, names, fame)
    }
}

fn names_of(person: &PersonRow<'_>) -> Vec<String> {
    let others = person.names.values().map(|name| name.as_ref().to_owned());
    std::iter::once(person.name.as_ref().to_owned())
        .chain(others)
        .collect()
}

/// Steps of the fame of people and keywords: a vote more for a movie of theirs seldom makes another document.
const STEPS: f32 = 64.0;

/// The fame of a person whose movies have `votes` together.
#[expect(clippy::cast_precision_loss, reason = "a number of votes")]
pub(super) fn person_fame(votes: u64) -> f32 {
    (fame(votes as f64 / 10.0) * STEPS).round() / STEPS
}

/// The fame of a keyword that `movies` have.
#[expect(clippy::cast_precision_loss, reason = "a number of movies")]
pub(super) fn keyword_fame(movies: usize) -> f32 {
    (fame(movies as f64 * VOTES_PER_MOVIE) * STEPS).round() / STEPS
}

/// The document of a person whose movies have `votes` together.
pub(super) fn person(row: &PersonRow<'_>, votes: u64) -> Document {
    let others = row.names.iter();
    let others = others.map(|(language, name)| Name::new(name, Role::Translation, Some(language)));
    let main = Name::new(&row.name, Role::Main, None);
    let names = std::iter::once(main).chain(others).collect();
    Document::new(Kind::Person, row.id, names, person_fame(votes))
}

/// The document of a keyword that `count` movies have.
pub(super) fn keyword(row: &KeywordRow<'_>, count: usize) -> Document {
    let names = vec![Name::new(&row.name, Role::Main, None)];
    Document::new(Kind::Keyword, row.id, names, keyword_fame(count))
}

/// Decodes `row`; an unreadable movie is left out, so that search works without it.
pub(super) fn readable(row: &PgRow) -> Option<NamesRow<'_>> {
    rows::names(row)
        .inspect_err(|error| tracing::error!(%error, "cannot decode a movie, search omits it"))
        .ok()
}

/// Fills an empty index with the movies, people and keywords in `pool`, and commits it with `position`.
pub(super) async fn build(
    pool: &PgPool,
    index: &SearchIndex,
    position: &str,
) -> Result<(), BuildError> {
    let (batches, rows) = mpsc::channel(QUEUE);
    let (index, position) = (index.clone(), position.to_owned());
    let writing = tokio::task::spawn_blocking(move || write(rows, &index, &position));
    rows::load(pool, batches).await?;
    writing.await.map_err(|_| BuildError::Stopped)??;
    Ok(())
}

fn write(
    mut batches: mpsc::Receiver<Vec<PgRow>>,
    index: &SearchIndex,
    position: &str,
) -> Result<(), IndexError> {
    let mut writer = index.writer(THREADS)?;
    let mut people: HashMap<i64, (Document, u64)> = HashMap::new();
    let mut keywords: HashMap<i64, (Document, usize)> = HashMap::new();
    while let Some(rows) = batches.blocking_recv() {
        for row in rows.iter().filter_map(readable) {
            writer.add(&movie(&row))?;
            let votes = u64::try_from(row.vote_count).unwrap_or(0);
            let mut seen = Vec::with_capacity(row.people.len());
            for member in &row.people {
                let entry = people
                    .entry(member.id)
                    .or_insert_with(|| (person(member, 0), 0));
                if !seen.contains(&member.id) {
                    entry.1 += votes;
                    seen.push(member.id);
                }
            }
            for word in &row.keywords {
                keywords
                    .entry(word.id)
                    .or_insert_with(|| (keyword(word, 0), 0))
                    .1 += 1;
            }
        }
    }
    for (document, votes) in people.into_values() {
        writer.add(&Document {
            fame: person_fame(votes),
            ..document
        })?;
    }
    for (document, count) in keywords.into_values() {
        writer.add(&Document {
            fame: keyword_fame(count),
            ..document
        })?;
    }
    writer.commit(position)?;
    writer.finish()
}
