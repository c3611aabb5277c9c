//! Where users stand with films: the statements of the writer, each for many commands at once, and
//! the lists that are read from the states.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::broken;
use crate::models::{
    ChartShift, Component, Counts, Interaction, InteractionId, Mark, MovieId, Progress, Rating,
    Reaction, UserId, UserMovie, Watch,
};

/// Whether to wait for users whom another transaction holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// They are passed over.
    Skip,
    /// They are waited for.
    Wait,
}

/// Locks the rows of `users` until the transaction ends, in the order of their ids, so that two
/// transactions never wait for each other; the users who are there, and whom nobody else holds where
/// that was not to be waited for.
///
/// # Errors
/// Postgres's.
pub async fn lock_users(
    transaction: &mut PgConnection,
    users: &[i64],
    patience: Patience,
) -> sqlx::Result<Vec<i64>> {
    let statement = match patience {
        Patience::Skip => {
            "select id from user_account where id = any($1) order by id
             for no key update skip locked"
        }
        Patience::Wait => {
            "select id from user_account where id = any($1) order by id for no key update"
        }
    };
    sqlx::query_scalar(statement)
        .bind(users)
        .fetch_all(transaction)
        .await
}

/// A user and a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The user.
    pub user_id: UserId,
    /// The film.
    pub movie_id: MovieId,
}

/// What a batch begins with.
#[derive(Debug)]
pub struct Opening {
    /// The present instant, read after the locks were taken.
    pub now: DateTime<Utc>,
    /// Ids for new interactions, rising.
    pub ids: Vec<InteractionId>,
    /// Of each pair, in the order asked for: where the user stands, and whether the film is in the
    /// catalogue.
    pub pairs: Vec<(UserMovie, bool)>,
}

#[derive(sqlx::FromRow)]
struct OpeningRow {
    // Both in the first row alone.
    now: Option<DateTime<Utc>>,
    ids: Option<Vec<i64>>,
    film_known: bool,
    #[sqlx(flatten)]
    state: StateRow,
}

#[derive(sqlx::FromRow)]
pub(super) struct StateRow {
    version: Option<i64>,
    reaction: Option<String>,
    reacted_at: Option<DateTime<Utc>>,
    reaction_id: Option<i64>,
    bookmarked: Option<bool>,
    bookmarked_at: Option<DateTime<Utc>>,
    bookmark_id: Option<i64>,
    rating: Option<i16>,
    rated_at: Option<DateTime<Utc>>,
    rating_id: Option<i64>,
    position_seconds: Option<i32>,
    duration_seconds: Option<i32>,
    watched_seconds: Option<i32>,
    watched_at: Option<DateTime<Utc>>,
    watch_id: Option<i64>,
    completed_at: Option<DateTime<Utc>>,
    completion_id: Option<i64>,
}

fn mark(at: Option<DateTime<Utc>>, id: Option<i64>) -> Option<Mark> {
    Some(Mark {
        at: at?,
        id: InteractionId::new(id?)?,
    })
}

impl TryFrom<StateRow> for UserMovie {
    type Error = sqlx::Error;

    fn try_from(row: StateRow) -> sqlx::Result<Self> {
        let reaction = row
            .reaction
            .as_deref()
            .map(|name| Reaction::parse(name).ok_or_else(|| broken("a reaction is unknown")));
        let rating = row.rating.map(|halves| {
            Rating::from_half_stars(halves).ok_or_else(|| broken("a rating is out of range"))
        });
        let progress = match (row.position_seconds, row.duration_seconds) {
            (Some(position), Some(duration)) => Some(
                Progress::new(position, duration)
                    .ok_or_else(|| broken("a position lies outside its film"))?,
            ),
            _ => None,
        };
        Ok(Self {
            version: row.version.and_then(InteractionId::new),
            reaction: Component {
                value: reaction.transpose()?,
                mark: mark(row.reacted_at, row.reaction_id),
            },
            bookmark: Component {
                value: row.bookmarked.unwrap_or_default().then_some(()),
                mark: mark(row.bookmarked_at, row.bookmark_id),
            },
            rating: Component {
                value: rating.transpose()?,
                mark: mark(row.rated_at, row.rating_id),
            },
            watch: Watch {
                progress,
                watched_seconds: row.watched_seconds.unwrap_or_default(),
                mark: mark(row.watched_at, row.watch_id),
                completed: mark(row.completed_at, row.completion_id),
            },
        })
    }
}

/// Reads what the writer needs to know of `pairs`, whose users the transaction holds, and draws
/// `count` ids.
///
/// # Errors
/// Postgres's.
pub async fn open(
    transaction: &mut PgConnection,
    pairs: &[Pair],
    count: usize,
) -> sqlx::Result<Opening> {
    let users: Vec<i64> = pairs.iter().map(|pair| pair.user_id.get()).collect();
    let movies: Vec<i64> = pairs.iter().map(|pair| pair.movie_id.get()).collect();
    let rows: Vec<OpeningRow> = sqlx::query_as(
        // The statement begins after the locks were taken, so its time is after those of all
        // interactions that its users have.
        "select case when p.position = 1 then statement_timestamp() end as now,
                case when p.position = 1 then
                    (select array_agg(nextval('interaction_id_seq')) from generate_series(1, $3))
                end as ids,
                m.id is not null as film_known,
                s.version, s.reaction, s.reacted_at, s.reaction_id, s.bookmarked, s.bookmarked_at,
                s.bookmark_id, s.rating, s.rated_at, s.rating_id, s.position_seconds,
                s.duration_seconds, s.watched_seconds, s.watched_at, s.watch_id, s.completed_at,
                s.completion_id
         from unnest($1::bigint[], $2::bigint[]) with ordinality as p (user_id, movie_id, position)
         left join user_movie s on s.user_id = p.user_id and s.movie_id = p.movie_id
         left join movie m on m.id = p.movie_id and not m.removed
         order by p.position",
    )
    .bind(users)
    .bind(movies)
    .bind(i64::try_from(count).unwrap_or(i64::MAX))
    .fetch_all(transaction)
    .await?;
    let (mut now, mut ids) = (None, Vec::new());
    let mut states = Vec::with_capacity(rows.len());
    for row in rows {
        now = now.or(row.now);
        ids.extend(row.ids.into_iter().flatten().filter_map(InteractionId::new));
        states.push((row.state.try_into()?, row.film_known));
    }
    ids.sort_unstable();
    Ok(Opening {
        now: now.ok_or_else(|| broken("no time was told"))?,
        ids,
        pairs: states,
    })
}

/// What a batch changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Where users stand now; each pair once.
    pub states: Vec<(Pair, UserMovie)>,
    /// The entries of the log, by id, each with what the feed says of it, as JSON.
    pub interactions: Vec<(Interaction, String)>,
    /// How far the counters of films move, by film.
    pub counts: Vec<(MovieId, Counts)>,
    /// How the hours move that charts are counted from.
    pub chart_shifts: Vec<ChartShift>,
}

/// Stores what a batch changed at `now`: states, log, counters, charts and change records, in one statement.
/// Whatever films two transactions have in common they take in the same order.
///
/// # Errors
/// Postgres's.
pub async fn store(
    transaction: &mut PgConnection,
    changes: &Changes,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let states = &changes.states;
    let log = &changes.interactions;
    let counts = &changes.counts;
    let shifts = &changes.chart_shifts;
    fn column<R, T>(rows: &[R], value: impl Fn(&R) -> T) -> Vec<T> {
        rows.iter().map(value).collect()
    }
    fn at(mark: Option<Mark>) -> Option<DateTime<Utc>> {
        mark.map(|mark| mark.at)
    }
    fn id(mark: Option<Mark>) -> Option<i64> {
        mark.map(|mark| mark.id.get())
    }
    let payloads: Vec<&str> = log.iter().map(|(_, payload)| payload.as_str()).collect();
    sqlx::query(
        "with state as (
            insert into user_movie as known (user_id, movie_id, version, reaction, reacted_at,
                reaction_id, bookmarked, bookmarked_at, bookmark_id, rating, rated_at, rating_id,
                position_seconds, duration_seconds, watched_seconds, watched_at, watch_id,
                completed_at, completion_id)
            select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[],
                $5::timestamptz[], $6::bigint[], $7::boolean[], $8::timestamptz[], $9::bigint[],
                $10::smallint[], $11::timestamptz[], $12::bigint[], $13::int[], $14::int[],
                $15::int[], $16::timestamptz[], $17::bigint[], $18::timestamptz[], $19::bigint[])
            on conflict (user_id, movie_id) do update set
                version = excluded.version,
                reaction = excluded.reaction,
                reacted_at = excluded.reacted_at,
                reaction_id = excluded.reaction_id,
                bookmarked = excluded.bookmarked,
                bookmarked_at = excluded.bookmarked_at,
                bookmark_id = excluded.bookmark_id,
                rating = excluded.rating,
                rated_at = excluded.rated_at,
                rating_id = excluded.rating_id,
                position_seconds = excluded.position_seconds,
                duration_seconds = excluded.duration_seconds,
                watched_seconds = excluded.watched_seconds,
                watched_at = excluded.watched_at,
                watch_id = excluded.watch_id,
                completed_at = excluded.completed_at,
                completion_id = excluded.completion_id
         ), log as (
            insert into interaction (id, user_id, movie_id, interaction_type, rating,
                position_seconds, duration_seconds, occurred_at, created_at)
            overriding system value
            select *, $28 from unnest($20::bigint[], $21::bigint[], $22::bigint[], $23::text[],
                $24::smallint[], $25::int[], $26::int[], $27::timestamptz[])
         ), chart as (
            insert into chart_count as known (movie_id, metric, hour, count)
            select movie_id, metric, hour, sum(by)
            from unnest($38::bigint[], $39::text[], $40::timestamptz[], $41::bigint[])
                as shift (movie_id, metric, hour, by)
            group by movie_id, metric, hour
            having sum(by) <> 0
            order by movie_id, metric, hour
            on conflict (movie_id, metric, hour) do update
            set count = known.count + excluded.count
         ), stats as (
            insert into movie_stats as known (movie_id, like_count, dislike_count, superlike_count,
                bookmark_count, view_count, rating_count, rating_sum)
            select * from unnest($29::bigint[], $30::bigint[], $31::bigint[], $32::bigint[],
                $33::bigint[], $34::bigint[], $35::bigint[], $36::bigint[])
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
         from unnest($20::bigint[], $37::text[], $21::bigint[]) as record (id, payload, user_id)",
    )
    .bind(column(states, |(pair, _)| pair.user_id.get()))
    .bind(column(states, |(pair, _)| pair.movie_id.get()))
    .bind(column(states, |(_, state)| {
        state.version.map(InteractionId::get)
    }))
    .bind(column(states, |(_, state)| {
        state.reaction.value.map(Reaction::as_str)
    }))
    .bind(column(states, |(_, state)| at(state.reaction.mark)))
    .bind(column(states, |(_, state)| id(state.reaction.mark)))
    .bind(column(states, |(_, state)| state.bookmark.value.is_some()))
    .bind(column(states, |(_, state)| at(state.bookmark.mark)))
    .bind(column(states, |(_, state)| id(state.bookmark.mark)))
    .bind(column(states, |(_, state)| {
        state.rating.value.map(Rating::half_stars)
    }))
    .bind(column(states, |(_, state)| at(state.rating.mark)))
    .bind(column(states, |(_, state)| id(state.rating.mark)))
    .bind(column(states, |(_, state)| {
        state.watch.progress.map(Progress::position_seconds)
    }))
    .bind(column(states, |(_, state)| {
        state.watch.progress.map(Progress::duration_seconds)
    }))
    .bind(column(states, |(_, state)| state.watch.watched_seconds))
    .bind(column(states, |(_, state)| at(state.watch.mark)))
    .bind(column(states, |(_, state)| id(state.watch.mark)))
    .bind(column(states, |(_, state)| at(state.watch.completed)))
    .bind(column(states, |(_, state)| id(state.watch.completed)))
    .bind(column(log, |(entry, _)| entry.id.get()))
    .bind(column(log, |(entry, _)| entry.user_id.get()))
    .bind(column(log, |(entry, _)| entry.movie_id.get()))
    .bind(column(log, |(entry, _)| entry.interaction_type.as_str()))
    .bind(column(log, |(entry, _)| {
        entry.rating.map(Rating::half_stars)
    }))
    .bind(column(log, |(entry, _)| {
        entry.progress.map(Progress::position_seconds)
    }))
    .bind(column(log, |(entry, _)| {
        entry.progress.map(Progress::duration_seconds)
    }))
    .bind(column(log, |(entry, _)| entry.occurred_at))
    .bind(now)
    .bind(column(counts, |(movie, _)| movie.get()))
    .bind(column(counts, |(_, counts)| counts.likes))
    .bind(column(counts, |(_, counts)| counts.dislikes))
    .bind(column(counts, |(_, counts)| counts.superlikes))
    .bind(column(counts, |(_, counts)| counts.bookmarks))
    .bind(column(counts, |(_, counts)| counts.views))
    .bind(column(counts, |(_, counts)| counts.ratings))
    .bind(column(counts, |(_, counts)| counts.rating_sum))
    .bind(payloads)
    .bind(column(shifts, |shift| shift.movie_id.get()))
    .bind(column(shifts, |shift| shift.metric.as_str()))
    .bind(column(shifts, |shift| shift.hour))
    .bind(column(shifts, |shift| shift.by))
    .execute(transaction)
    .await
    .map(|_| ())
}

/// Where the user stands with the film; none: nowhere.
///
/// # Errors
/// Postgres's.
pub async fn find(pool: &PgPool, pair: Pair) -> sqlx::Result<Option<UserMovie>> {
    sqlx::query_as::<_, StateRow>(
        "select version, reaction, reacted_at, reaction_id, bookmarked, bookmarked_at, bookmark_id,
                rating, rated_at, rating_id, position_seconds, duration_seconds, watched_seconds,
                watched_at, watch_id, completed_at, completion_id
         from user_movie
         where user_id = $1 and movie_id = $2",
    )
    .bind(pair.user_id.get())
    .bind(pair.movie_id.get())
    .fetch_optional(pool)
    .await?
    .map(UserMovie::try_from)
    .transpose()
}

/// Where the user stands with those of `movies` with which they have done anything.
///
/// # Errors
/// Postgres's.
pub async fn find_many(
    pool: &PgPool,
    user_id: UserId,
    movies: &[i64],
) -> sqlx::Result<HashMap<MovieId, UserMovie>> {
    let rows: Vec<ListedRow> = sqlx::query_as(
        "select movie_id, version, reaction, reacted_at, reaction_id, bookmarked, bookmarked_at,
                bookmark_id, rating, rated_at, rating_id, position_seconds, duration_seconds,
                watched_seconds, watched_at, watch_id, completed_at, completion_id
         from user_movie
         where user_id = $1 and movie_id = any ($2)",
    )
    .bind(user_id.get())
    .bind(movies)
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let movie = MovieId::new(row.movie_id).ok_or_else(|| broken("a film's id is wrong"))?;
            Ok((movie, row.state.try_into()?))
        })
        .collect()
}

/// What lists there are of a user's films.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Those that they reacted to.
    Reactions,
    /// Those that they want to watch.
    Bookmarks,
    /// Those that they rated.
    Ratings,
    /// Those that they watched, be it in part.
    Watched,
}

#[derive(sqlx::FromRow)]
struct ListedRow {
    movie_id: i64,
    #[sqlx(flatten)]
    state: StateRow,
}

macro_rules! list_statement {
    ($at:literal, $stands:literal) => {
        concat!(
            "select movie_id, version, reaction, reacted_at, reaction_id, bookmarked, bookmarked_at,
                    bookmark_id, rating, rated_at, rating_id, position_seconds, duration_seconds,
                    watched_seconds, watched_at, watch_id, completed_at, completion_id
             from user_movie
             where user_id = $1
               and ",
            $stands,
            " and ($2::timestamptz is null or (",
            $at,
            ", movie_id) < ($2, $3))
             order by ",
            $at,
            " desc, movie_id desc
             limit $4"
        )
    };
}

/// At most `limit` films of a user, those with which something was done last first; those after
/// `after` where it is given. One user's rows are few enough to be sorted as they are read.
///
/// # Errors
/// Postgres's.
pub async fn list(
    pool: &PgPool,
    user_id: UserId,
    listed: Listed,
    after: Option<(DateTime<Utc>, MovieId)>,
    limit: i64,
) -> sqlx::Result<Vec<(MovieId, UserMovie)>> {
    let statement = match listed {
        Listed::Reactions => list_statement!("reacted_at", "reaction is not null"),
        Listed::Bookmarks => list_statement!("bookmarked_at", "bookmarked"),
        Listed::Ratings => list_statement!("rated_at", "rating is not null"),
        Listed::Watched => list_statement!(
            "watched_at",
            "(position_seconds is not null or completed_at is not null)"
        ),
    };
    sqlx::query_as::<_, ListedRow>(statement)
        .bind(user_id.get())
        .bind(after.map(|(at, _)| at))
        .bind(after.map(|(_, movie)| movie.get()))
        .bind(limit)
        .fetch_all(pool)
        .await?
        .into_iter()
        .map(|row| {
            let movie =
                MovieId::new(row.movie_id).ok_or_else(|| broken("a film's id is not positive"))?;
            Ok((movie, row.state.try_into()?))
        })
        .collect()
}
