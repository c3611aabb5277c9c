//! SQL of impressions: movies that users were shown, and their outcomes.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, types::Json};

use crate::experiments::Served;

/// Stores lists that were served. The first list of a user in an experiment is their exposure, and a movie counts when
/// it is shown for the first time. Lists of unknown users are not stored.
#[tracing::instrument(name = "repository.impressions.insert", level = "debug", skip_all, fields(lists = lists.len()))]
pub async fn insert(pool: &PgPool, lists: &[Served]) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    // In the order of keys, so that two replicas do not deadlock.
    sqlx::query!(
        "insert into exposure (user_id, experiment_id, variant, exposed_at, due_at)
         select l.user_id, p.experiment_id, p.variant, l.at,
                l.at + make_interval(hours => p.outcome_window_hours)
         from jsonb_to_recordset($1) as l(user_id bigint, at timestamptz, participations jsonb),
              jsonb_to_recordset(l.participations)
                  as p(experiment_id bigint, variant int, outcome_window_hours int)
         where exists (select from user_profile u where u.user_id = l.user_id)
         order by 1, 2, 4
         on conflict (user_id, experiment_id) do nothing",
        Json(lists) as _,
    )
    .execute(&mut *transaction)
    .await?;
    // Experiment 0 is exploration, with the window of the movie itself; others have the window of the exposure.
    sqlx::query!(
        "insert into impression (user_id, movie_id, experiment_id, position, propensity,
             is_explored, shown_at, due_at)
         select l.user_id, f.movie_id, p.experiment_id, f.position, f.propensity, f.is_explored,
                l.at, coalesce(e.due_at, l.at + make_interval(hours => l.film_window_hours))
         from jsonb_to_recordset($1) as l(user_id bigint, at timestamptz, participations jsonb,
                  films jsonb, film_window_hours int)
              cross join lateral (
                  select experiment_id
                  from jsonb_to_recordset(l.participations) as p(experiment_id bigint)
                  union all select 0 where l.film_window_hours is not null) as p
              cross join lateral jsonb_to_recordset(l.films)
                  as f(movie_id bigint, position int, propensity float8, is_explored boolean)
              left join exposure e on e.user_id = l.user_id and e.experiment_id = p.experiment_id
         where case when p.experiment_id = 0
                    then exists (select from user_profile u where u.user_id = l.user_id)
                    else e.settled_at is null and l.at <= e.due_at end
         order by 1, 2, 3, 7
         on conflict (user_id, movie_id, experiment_id) do nothing",
        Json(lists) as _,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

/// Runs a statement with the condition for an outcome of the impression `i` until `d.due_at` in the middle, where `m` is the
/// state of the user towards the movie: they like it, rate it 4 stars or more, completed it or bookmarked it, and did so
/// after it was shown. What they took back within the window does not count. Returns the number of rows that it wrote.
macro_rules! settle {
    ($pool:expr, $before:tt, $after:tt $(, $argument:expr)*) => {
        sqlx::query!(
            $before + "coalesce(
                 m.reaction in ('like', 'superlike') and m.reacted_at between i.shown_at and d.due_at
                 or m.rating >= 4 and m.rated_at between i.shown_at and d.due_at
                 or m.completed_at between i.shown_at and d.due_at
                 or m.bookmarked and m.bookmarked_at between i.shown_at and d.due_at, false)" + $after
            $(, $argument)*
        )
        .execute($pool)
        .await
        .map(|done| done.rows_affected())
    };
}

/// Counts the outcomes of users whose window in an experiment had ended at `due`, at most `limit` of them, and returns
/// their number. Concurrent calls, such as by other replicas, take different users.
#[tracing::instrument(
    name = "repository.impressions.settle_users",
    level = "debug",
    skip_all
)]
pub async fn settle_users(
    pool: &PgPool,
    due: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<u64> {
    settle!(
        pool,
        "with d as materialized (
             select user_id, experiment_id, due_at from exposure
             where settled_at is null and due_at <= $1
             order by due_at, user_id, experiment_id limit $2 for update skip locked),
         judged as (
             select d.user_id, d.experiment_id, i.movie_id, i.propensity, i.is_explored, ",
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
         where e.user_id = c.user_id and e.experiment_id = c.experiment_id",
        due,
        limit,
        now
    )
}

/// The number of impressions of a movie at which both its counts are halved, so that recent ones weigh more; see Raj and
/// Kalyani, *Taming Non-stationary Bandits: A Bayesian Approach*, 2017.
const MAX_IMPRESSIONS: i64 = 10_000;

/// Counts for movies the impressions whose window had ended at `due`, at most `limit` of them, and returns the number of
/// movies.
#[tracing::instrument(
    name = "repository.impressions.settle_films",
    level = "debug",
    skip_all
)]
pub async fn settle_films(
    pool: &PgPool,
    due: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<u64> {
    settle!(
        pool,
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
             updated_at = excluded.updated_at",
        due,
        limit,
        now,
        MAX_IMPRESSIONS
    )
}

/// The counts of a movie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MovieCounts {
    /// TMDB's id.
    pub movie_id: i64,
    /// The number of users it was shown to.
    pub impressions: i64,
    /// The number of those with an outcome.
    pub outcomes: i64,
    /// The time of the latest count.
    pub updated_at: DateTime<Utc>,
}

/// The counts that changed at `since` or later.
pub async fn list_counts(pool: &PgPool, since: DateTime<Utc>) -> sqlx::Result<Vec<MovieCounts>> {
    sqlx::query_as!(
        MovieCounts,
        "select movie_id, impressions, outcomes, updated_at from film_trial
         where updated_at >= $1",
        since,
    )
    .fetch_all(pool)
    .await
}
