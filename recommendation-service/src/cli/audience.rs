//! `recommendation-service audience`: the ratings of a MovieLens set as JSON lines, one per user, for `preference-service
//! audience load`: an audience to try the product out with.

use std::{io::Write as _, path::PathBuf};

use anyhow::ensure;
use chassis::{clock::Clock, shutdown::Shutdown};
use chrono::TimeDelta;
use clap::Args;
use recommender::movielens::Like;
use serde_json::json;

use super::{
    print,
    train::{set::SetFiles, tags, titles},
};
use crate::{config::Config, database};

/// Ratings of movies in the catalogue alone are written. Their times are spread evenly over the last days, in the order of
/// the set, so that charts have something to show.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The directory or zip archive of the set
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    /// CSV with movieId and tmdbId, for a set without
    #[arg(long, value_name = "FILE")]
    links: Option<PathBuf>,
    /// Accept the licence of the set, which is shown
    #[arg(long)]
    accept_licence: bool,
    /// The largest number of users, evenly spread over the set
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    users: u32,
    /// The days over which the ratings are spread
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

/// The largest number of ratings that are read.
const MAX_RATINGS: usize = 40_000_000;

/// Runs the command.
///
/// # Errors
/// Fails if the licence is not accepted, a file is damaged, no movie is in the catalogue, or Postgres is unreachable.
pub async fn write(arguments: Arguments, config: Config) -> anyhow::Result<()> {
    let pool = database::open(&config, &Shutdown::default()).await?;
    let catalogue = tags::load(&pool).await?;
    let mut files = SetFiles::open(&arguments.from)?;
    files.accept_licence(arguments.accept_licence)?;
    let (ids, _) = files.ids(arguments.links.as_deref(), || titles(catalogue.as_ref()))?;
    let mut ratings = files.likes(0.0, MAX_RATINGS)?.likes;
    ratings.retain(|rating| {
        let id = ids.get(&rating.movie);
        id.is_some_and(|id| {
            catalogue
                .as_ref()
                .is_some_and(|known| known.row(*id).is_some())
        })
    });
    let users: Vec<&[Like]> = ratings.chunk_by(|one, two| one.user == two.user).collect();
    ensure!(
        !users.is_empty(),
        "none of the movies that the set rates is in the catalogue"
    );
    let step = users.len().div_ceil(arguments.users as usize);
    let users: Vec<&[Like]> = users.into_iter().step_by(step).collect();

    let mut times: Vec<u32> = users
        .iter()
        .copied()
        .flatten()
        .map(|one| one.time)
        .collect();
    times.sort_unstable();
    let now = Clock::system().now();
    let seconds = f64::from(arguments.days) * 86_400.0;
    let at = |time: u32| {
        let rank = times.partition_point(|other| *other <= time) as f64 / times.len() as f64;
        now - TimeDelta::milliseconds((seconds * (1.0 - rank) * 1000.0) as i64)
    };
    let mut out = std::io::stdout().lock();
    let mut count = 0;
    for user in &users {
        let actions = user.iter().filter_map(|rating| {
            let movie_id = ids.get(&rating.movie)?;
            Some(json!({"movie_id": movie_id, "rating": rating.rating, "at": at(rating.time)}))
        });
        let actions: Vec<_> = actions.collect();
        count += actions.len();
        let member = user[0].user.to_string();
        let line = json!({"source": "movielens", "member": member, "ratings": actions});
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    print(&format!(
        "{} users with {count} ratings written",
        users.len()
    ));
    Ok(())
}
