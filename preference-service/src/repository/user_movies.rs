//! The table `user_movie`: the statements of the writer, each for a whole batch of commands, and the lists that are
//! read from the states. A transaction that writes must lock its users first, with [`lock_users`].

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::broken;
use crate::models::{
    ChartShift, Counts, Interaction, InteractionId, MovieId, StatePart, UserId, UserMovie,
};

/// The handling of users whom another transaction has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockTimeout {
    /// Skips them.
    Zero,
    /// Waits for them.
    Unlimited,
}

/// Locks the rows of `users` until the transaction ends, in the order of their ids, so that two transactions never
/// wait for each other. Returns the users who exist and are locked.
pub async fn lock_users(
    transaction: &mut PgConnection,
    users: &[i64],
    timeout: LockTimeout,
) -> sqlx::Result<Vec<i64>> {
    match timeout {
        LockTimeout::Zero => {
            sqlx::query_scalar!(
                "select id from user_account where id = any($1) order by id
                 for no key update skip locked",
                users
            )
            .fetch_all(transaction)
            .await
        }
        LockTimeout::Unlimited => {
            sqlx::query_scalar!(
                "select id from user_account where id = any($1) order by id for no key update",
                users
            )
            .fetch_all(transaction)
            .await
        }
    }
}

/// A user and a movie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The user.
    pub user_id: UserId,
    /// The movie.
    pub movie_id: MovieId,
}

/// The data that a batch of commands is applied to.
#[derive(Debug)]
pub struct BatchSnapshot {
    /// The present instant, read after the locks were taken.
    pub now: DateTime<Utc>,
    /// Ids for new interactions, ascending.
    pub ids: Vec<InteractionId>,
    /// The state of each requested pair, in the order of the request, and true if the movie is in the catalogue.
    pub pairs: Vec<(UserMovie, bool)>,
}

/// Reads the states of `pairs`, whose users the transaction has locked, and draws `count` ids.
pub async fn load_batch(
    transaction: &mut PgConnection,
    pairs: &[Pair],
    count: usize,
) -> sqlx::Result<BatchSnapshot> {
    let users: Vec<i64> = pairs.iter().map(|pair| pair.user_id.get()).collect();
    let movies: Vec<i64> = pairs.iter().map(|pair| pair.movie_id.get()).collect();
    // The statement begins after the locks were taken, so its time is after those of all interactions that its
    // users have. The first row alone has the time and the ids.
    let rows = sqlx::query!(
        r#"select case when p.position = 1 then statement_timestamp() end as now,
                case when p.position = 1 then (select array_agg(nextval('interaction_id_seq'))
                                               from generate_series(1, $3::bigint))
                end as "ids: Vec<InteractionId>",
                m.id is not null as "is_movie_known!",
                s as "state: UserMovie"
         from unnest($1::bigint[], $2::bigint[]) with ordinality as p (user_id, movie_id, position)
         left join user_movie s on s.user_id = p.user_id and s.movie_id = p.movie_id
         left join movie m on m.id = p.movie_id and not m.removed
         order by p.position"#,
        &users,
        &movies,
        i64::try_from(count).unwrap_or(i64::MAX)
    )
    .fetch_all(transaction)
    .await?;
    let (mut now, mut ids) = (None, Vec::new());
    let mut states = Vec::with_capacity(rows.len());
    for (pair, row) in pairs.iter().zip(rows) {
        now = now.or(row.now);
        ids.extend(row.ids.into_iter().flatten());
        states.push((
            row.state.map_or_else(
                || UserMovie::new(pair.user_id, pair.movie_id),
                UserMovie::normalized,
            ),
            row.is_movie_known,
        ));
    }
    ids.sort_unstable();
    Ok(BatchSnapshot {
        now: now.ok_or_else(|| broken("a batch has no time"))?,
        ids,
        pairs: states,
    })
}

/// The changes of a batch.
#[derive(Debug, Default)]
pub struct Changes {
    /// The new states; each user and movie once.
    pub states: Vec<UserMovie>,
    /// The new entries of the interaction log, by id.
    pub interactions: Vec<Interaction>,
    /// The payload of each entry's change record, as JSON.
    pub payloads: Vec<String>,
    /// The shifts of movies' counters, by movie.
    pub counts: Vec<(MovieId, Counts)>,
    /// The shifts of the hourly counts that charts are summed from.
    pub chart_shifts: Vec<ChartShift>,
}

/// Stores the changes of a batch in one statement: states, log, counters, hourly counts and change records. Rows that
/// two transactions have in common are locked in the same order by both.
pub async fn store(transaction: &mut PgConnection, changes: &Changes) -> sqlx::Result<()> {
    let (movies, counts): (Vec<MovieId>, Vec<Counts>) = changes.counts.iter().copied().unzip();
    let (ids, users): (Vec<i64>, Vec<i64>) = changes
        .interactions
        .iter()
        .map(|entry| (entry.id.get(), entry.user_id.get()))
        .unzip();
    sqlx::query!(
        "with state as (
            insert into user_movie as known select * from unnest($1::user_movie_row_v2[])
            on conflict (user_id, movie_id) do update set
                version = excluded.version,
                reaction = excluded.reaction, reacted_at = excluded.reacted_at,
                reaction_id = excluded.reaction_id,
                bookmarked = excluded.bookmarked, bookmarked_at = excluded.bookmarked_at,
                bookmark_id = excluded.bookmark_id,
                rating = excluded.rating, rated_at = excluded.rated_at, rating_id = excluded.rating_id,
                position_seconds = excluded.position_seconds,
                duration_seconds = excluded.duration_seconds,
                watched_seconds = excluded.watched_seconds, watched_at = excluded.watched_at,
                watch_id = excluded.watch_id,
                completed_at = excluded.completed_at, completion_id = excluded.completion_id,
                viewing_count = excluded.viewing_count, viewed_at = excluded.viewed_at,
                progressed_at = excluded.progressed_at, furthest_at = excluded.furthest_at,
                forgotten_at = excluded.forgotten_at, unplayed_at = excluded.unplayed_at
         ), log as (
            insert into interaction overriding system value
            select * from unnest($2::interaction_row_v2[])
         ), chart as (
            insert into chart_count as known (movie_id, metric, hour, count)
            select movie_id, metric, hour, sum(by)
            from unnest($3::chart_shift_row[])
            group by movie_id, metric, hour
            having sum(by) <> 0
            order by movie_id, metric, hour
            on conflict (movie_id, metric, hour) do update
            set count = known.count + excluded.count
         ), stats as (
            insert into movie_stats as known
            select * from unnest($4::bigint[], $5::movie_counts_row[])
            on conflict (movie_id) do update set
                like_count = known.like_count + excluded.like_count,
                dislike_count = known.dislike_count + excluded.dislike_count,
                superlike_count = known.superlike_count + excluded.superlike_count,
                bookmark_count = known.bookmark_count + excluded.bookmark_count,
                view_count = known.view_count + excluded.view_count,
                rating_count = known.rating_count + excluded.rating_count,
                rating_sum = known.rating_sum + excluded.rating_sum
         )
         insert into outbox (name, key, payload, user_id)
         select 'interaction.recorded', id::text, payload::json, user_id
         from unnest($6::bigint[], $7::text[], $8::bigint[]) as record (id, payload, user_id)",
        &changes.states as _,
        &changes.interactions as _,
        &changes.chart_shifts as _,
        movies as _,
        counts as _,
        &ids,
        &changes.payloads,
        &users
    )
    .execute(transaction)
    .await
    .map(|_| ())
}

/// Finds a user's state for a movie; `None` if the user has never acted on it.
#[tracing::instrument(name = "repository.user_movies.find", level = "debug", skip_all)]
pub async fn find(pool: &PgPool, pair: Pair) -> sqlx::Result<Option<UserMovie>> {
    let row = sqlx::query!(
        r#"select s as "state!: UserMovie" from user_movie s where user_id = $1 and movie_id = $2"#,
        pair.user_id.get(),
        pair.movie_id.get()
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| row.state))
}

/// Finds a user's states for those of `movies` on which the user has acted.
#[tracing::instrument(name = "repository.user_movies.find_many", level = "debug", skip_all)]
pub async fn find_many(
    pool: &PgPool,
    user_id: UserId,
    movies: &[i64],
) -> sqlx::Result<Vec<UserMovie>> {
    let rows = sqlx::query!(
        r#"select s as "state!: UserMovie" from user_movie s
           where user_id = $1 and movie_id = any ($2)"#,
        user_id.get(),
        movies
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| row.state).collect())
}

/// Lists at most `limit` movies for which the user has set `part`, the last change first; those after `after` if
/// given. One user's rows are few enough to be sorted as they are read.
#[tracing::instrument(name = "repository.user_movies.list", level = "debug", skip_all)]
pub async fn list(
    pool: &PgPool,
    user_id: UserId,
    part: StatePart,
    after: Option<(DateTime<Utc>, MovieId)>,
    limit: i64,
) -> sqlx::Result<Vec<UserMovie>> {
    let (after, after_movie) = after.map(|(at, movie)| (at, movie.get())).unzip();
    let rows = sqlx::query!(
        r#"select s as "state!: UserMovie"
         from user_movie s,
              lateral (values (case $2
                  when 'reactions' then case when reaction is not null then reacted_at end
                  when 'bookmarks' then case when bookmarked then bookmarked_at end
                  when 'ratings' then case when rating is not null then rated_at end
                  else case when position_seconds is not null or completed_at is not null
                            then watched_at end
              end)) as part (at)
         where user_id = $1 and at is not null
           and ($3::timestamptz is null or (at, movie_id) < ($3, $4::bigint))
         order by at desc, movie_id desc
         limit $5"#,
        user_id.get(),
        part.as_str(),
        after,
        after_movie,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| row.state).collect())
}

/// Lists the user's states for all movies, by movie.
#[tracing::instrument(name = "repository.user_movies.list_all", level = "debug", skip_all)]
pub async fn list_all(
    connection: &mut PgConnection,
    user_id: UserId,
) -> sqlx::Result<Vec<UserMovie>> {
    let rows = sqlx::query!(
        r#"select s as "state!: UserMovie" from user_movie s where user_id = $1 order by movie_id"#,
        user_id.get()
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| row.state).collect())
}
