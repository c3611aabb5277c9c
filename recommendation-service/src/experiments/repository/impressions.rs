//! What users were shown, and what came of it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgPool, types::Json};

use crate::experiments::Served;

#[derive(Serialize)]
struct ExposureRow {
    user_id: i64,
    experiment_id: i64,
    variant: usize,
    exposed_at: DateTime<Utc>,
    window_hours: i64,
}

#[derive(Serialize)]
struct ImpressionRow {
    user_id: i64,
    movie_id: i64,
    experiment_id: i64,
    position: i32,
    propensity: f64,
    is_explored: bool,
    shown_at: DateTime<Utc>,
    /// Of the film alone; what an experiment counts ends with the user's time in it.
    window_hours: i64,
}

/// Stores lists that were served: a user's first in an experiment is their entry, and a film counts when
/// it is shown first. Of a user who is not known, or no longer, nothing is kept.
///
/// # Errors
/// Postgres's.
pub async fn insert(pool: &PgPool, lists: &[Served]) -> sqlx::Result<()> {
    let mut exposures = Vec::new();
    let mut impressions = Vec::new();
    for list in lists {
        for part in &list.participations {
            exposures.push(ExposureRow {
                user_id: list.user_id,
                experiment_id: part.experiment_id,
                variant: part.variant,
                exposed_at: list.at,
                window_hours: part.outcome_window_hours,
            });
        }
        let counted = list
            .participations
            .iter()
            .map(|part| (part.experiment_id, 0));
        let film = list.film_window_hours.map(|hours| (0, hours));
        for (experiment_id, window_hours) in counted.chain(film) {
            impressions.extend(list.films.iter().map(|film| ImpressionRow {
                user_id: list.user_id,
                movie_id: film.movie_id,
                experiment_id,
                position: film.position,
                propensity: film.propensity,
                is_explored: film.is_explored,
                shown_at: list.at,
                window_hours,
            }));
        }
    }
    let mut transaction = pool.begin().await?;
    // In the order of keys, so that two replicas wait for each other and never both.
    sqlx::query(
        "insert into exposure (user_id, experiment_id, variant, exposed_at, due_at)
         select user_id, experiment_id, variant, exposed_at,
                exposed_at + make_interval(hours => window_hours)
         from jsonb_to_recordset($1) as e(user_id bigint, experiment_id bigint, variant int,
                  exposed_at timestamptz, window_hours int)
         where exists (select from user_profile p where p.user_id = e.user_id)
         order by user_id, experiment_id, exposed_at
         on conflict (user_id, experiment_id) do nothing",
    )
    .bind(Json(exposures))
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "insert into impression (user_id, movie_id, experiment_id, position, propensity,
             is_explored, shown_at, due_at)
         select i.user_id, i.movie_id, i.experiment_id, i.position, i.propensity, i.is_explored,
                i.shown_at, coalesce(e.due_at, i.shown_at + make_interval(hours => i.window_hours))
         from jsonb_to_recordset($1) as i(user_id bigint, movie_id bigint, experiment_id bigint,
                  position int, propensity float8, is_explored boolean, shown_at timestamptz,
                  window_hours int)
              left join exposure e on e.user_id = i.user_id and e.experiment_id = i.experiment_id
         where case when i.experiment_id = 0
                    then exists (select from user_profile p where p.user_id = i.user_id)
                    else e.settled_at is null and i.shown_at <= e.due_at end
         order by i.user_id, i.movie_id, i.experiment_id, i.shown_at
         on conflict (user_id, movie_id, experiment_id) do nothing",
    )
    .bind(Json(impressions))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

/// What counts as an outcome of the impression `i` until `d.due_at`, where the user stands as `m` says:
/// they like it, rate it 4 stars or more, saw it to its end, or want to see it, and began to after it
/// was shown. What they took back before the end of that time is not there any more.
macro_rules! is_outcome {
    () => {
        "coalesce(
             m.reaction in ('like', 'superlike') and m.reacted_at between i.shown_at and d.due_at
             or m.rating >= 4 and m.rated_at between i.shown_at and d.due_at
             or m.completed_at between i.shown_at and d.due_at
             or m.bookmarked and m.bookmarked_at between i.shown_at and d.due_at, false)"
    };
}

/// Counts the outcomes of users whose time in an experiment was over at `due`, at most `limit` of them;
/// how many there were. Replicas that do so at once take different ones.
///
/// # Errors
/// Postgres's.
pub async fn settle_users(
    pool: &PgPool,
    due: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<u64> {
    sqlx::query(concat!(
        "with d as materialized (
             select user_id, experiment_id, due_at from exposure
             where settled_at is null and due_at <= $1
             order by due_at, user_id, experiment_id limit $2 for update skip locked),
         judged as (
             select d.user_id, d.experiment_id, i.movie_id, i.propensity, i.is_explored, ",
        is_outcome!(),
        " as is_outcome
             from d
             left join impression i on i.user_id = d.user_id and i.experiment_id = d.experiment_id
             left join user_movie m on m.user_id = i.user_id and m.movie_id = i.movie_id),
         counted as (
             select user_id, experiment_id, count(movie_id) as impressions,
                    count(*) filter (where is_outcome) as outcomes,
                    coalesce(sum(1 / propensity) filter (where is_outcome and not is_explored), 0)
                        as ranked_outcomes,
                    coalesce(sum(1 / propensity) filter (where not is_explored), 0)
                        as ranked_weights
             from judged group by user_id, experiment_id),
         gone as (
             delete from impression i using d
             where i.user_id = d.user_id and i.experiment_id = d.experiment_id)
         update exposure e set settled_at = $3, impressions = c.impressions, outcomes = c.outcomes,
                ranked_outcomes = c.ranked_outcomes, ranked_weights = c.ranked_weights
         from counted c
         where e.user_id = c.user_id and e.experiment_id = c.experiment_id"
    ))
    .bind(due)
    .bind(limit)
    .bind(now)
    .execute(pool)
    .await
    .map(|done| done.rows_affected())
}

/// To how many users a film was shown until both its numbers are halved, so that what it did of late counts
/// more than what it did once; see Raj and Kalyani, *Taming Non-stationary Bandits*, 2017.
const REMEMBERED: i64 = 10_000;

/// Counts for films the impressions whose time was over at `due`, at most `limit` of them; of how many
/// films there were any.
///
/// # Errors
/// Postgres's.
pub async fn settle_films(
    pool: &PgPool,
    due: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<u64> {
    sqlx::query(concat!(
        "with d as materialized (
             select user_id, movie_id, due_at from impression
             where experiment_id = 0 and due_at <= $1
             order by due_at limit $2 for update skip locked),
         i as (
             delete from impression i using d
             where i.user_id = d.user_id and i.movie_id = d.movie_id and i.experiment_id = 0
             returning i.user_id, i.movie_id, i.shown_at)
         insert into film_trial (movie_id, impressions, outcomes, updated_at)
         select i.movie_id, count(*), count(*) filter (where ",
        is_outcome!(),
        "), $3
         from i
         join d on d.user_id = i.user_id and d.movie_id = i.movie_id
         left join user_movie m on m.user_id = i.user_id and m.movie_id = i.movie_id
         group by i.movie_id order by i.movie_id
         on conflict (movie_id) do update set
             impressions = (film_trial.impressions + excluded.impressions)
                 / case when film_trial.impressions >= $4 then 2 else 1 end,
             outcomes = (film_trial.outcomes + excluded.outcomes)
                 / case when film_trial.impressions >= $4 then 2 else 1 end,
             updated_at = excluded.updated_at"
    ))
    .bind(due)
    .bind(limit)
    .bind(now)
    .bind(REMEMBERED)
    .execute(pool)
    .await
    .map(|done| done.rows_affected())
}

/// How a film did when it was shown.
#[derive(Debug, Clone, Copy, PartialEq, sqlx::FromRow)]
pub struct Trial {
    /// TMDB's id.
    pub movie_id: i64,
    /// To how many users it was shown.
    pub impressions: i64,
    /// How many of them did something good with it.
    pub outcomes: i64,
    /// When that was counted last.
    pub updated_at: DateTime<Utc>,
}

/// What was counted at `since` or later.
///
/// # Errors
/// Postgres's.
pub async fn trials(pool: &PgPool, since: DateTime<Utc>) -> sqlx::Result<Vec<Trial>> {
    sqlx::query_as(
        "select movie_id, impressions, outcomes, updated_at from film_trial
         where updated_at >= $1",
    )
    .bind(since)
    .fetch_all(pool)
    .await
}
