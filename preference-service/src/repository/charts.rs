//! Charts as Postgres has them, moved by [`super::user_movies::store`], which is what is true of them: of each film and hour how many users
//! began to stand so with it, and of all time `movie_stats`.

use chrono::{DateTime, Utc};
use futures_util::{Stream, TryStreamExt};
use sqlx::{PgConnection, PgPool};

use super::broken;
use crate::models::{ChartEntry, Metric, MovieId, Window};

/// The present hour's beginning, by the clock that stamps what users do.
///
/// # Errors
/// Postgres's.
pub async fn present_hour(pool: &PgPool) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar("select date_trunc('hour', clock_timestamp(), 'UTC')")
        .fetch_one(pool)
        .await
}

/// The first `limit` of a chart whose last hour is `hour`: the highest count first, then the lowest id.
///
/// # Errors
/// Postgres's.
pub async fn top(
    pool: &PgPool,
    metric: Metric,
    window: Window,
    hour: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<ChartEntry>> {
    let rows: Vec<(i64, i64)> = match window.begin(hour) {
        Some(begin) => {
            sqlx::query_as(
                "select movie_id, sum(count)::bigint as total from chart_count
                 where metric = $1 and hour between $2 and $3
                 group by movie_id having sum(count) > 0
                 order by total desc, movie_id limit $4",
            )
            .bind(metric.as_str())
            .bind(begin)
            .bind(hour)
            .bind(limit)
            .fetch_all(pool)
            .await?
        }
        None => {
            let statement = match metric {
                Metric::Bookmarks => {
                    "select movie_id, bookmark_count from movie_stats where bookmark_count > 0
                     order by bookmark_count desc, movie_id limit $1"
                }
                Metric::Likes => {
                    "select movie_id, like_count + superlike_count as total from movie_stats
                     where like_count + superlike_count > 0
                     order by total desc, movie_id limit $1"
                }
                Metric::Watches => {
                    "select movie_id, view_count from movie_stats where view_count > 0
                     order by view_count desc, movie_id limit $1"
                }
            };
            sqlx::query_as(statement)
                .bind(limit)
                .fetch_all(pool)
                .await?
        }
    };
    rows.into_iter()
        .map(|(movie_id, count)| {
            Ok(ChartEntry {
                movie_id: movie(movie_id)?,
                count,
            })
        })
        .collect()
}

fn movie(id: i64) -> sqlx::Result<MovieId> {
    MovieId::new(id).ok_or_else(|| broken("a film's id is not positive"))
}

/// A film's count in one chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChartCount {
    /// What is counted.
    pub metric: Metric,
    /// Over which time.
    pub window: Window,
    /// Of which film.
    pub movie_id: MovieId,
    /// How many; 0: it is not in the chart.
    pub count: i64,
}

type CountRow = (i64, String, Option<i64>, Option<i64>, Option<i64>);

fn counts((id, metric, day, week, all): CountRow) -> sqlx::Result<Vec<ChartCount>> {
    let movie_id = movie(id)?;
    let metric = Metric::parse(&metric).ok_or_else(|| broken("a metric is unknown"))?;
    let windows = [(Window::Day, day), (Window::Week, week), (Window::All, all)];
    let given = windows.into_iter().filter_map(|(window, count)| {
        Some(ChartCount {
            metric,
            window,
            movie_id,
            count: count?,
        })
    });
    Ok(given.collect())
}

/// What stands in all charts of `movies`, in those whose last hour is `hour`.
///
/// # Errors
/// Postgres's.
pub async fn counts_of(
    pool: &PgPool,
    movies: &[i64],
    hour: DateTime<Utc>,
) -> sqlx::Result<Vec<ChartCount>> {
    let rows: Vec<CountRow> = sqlx::query_as(
        "select m.id, k.metric,
                coalesce(r.day, 0), coalesce(r.week, 0), coalesce(a.count, 0)
         from unnest($1::bigint[]) as m (id)
         cross join (values ('bookmarks'), ('likes'), ('watches')) as k (metric)
         left join lateral (
             select sum(count) filter (where hour >= $2)::bigint as day, sum(count)::bigint as week
             from chart_count c
             where c.movie_id = m.id and c.metric = k.metric and c.hour between $3 and $4
         ) r on true
         left join lateral (
             select case k.metric when 'bookmarks' then s.bookmark_count
                                  when 'likes' then s.like_count + s.superlike_count
                                  else s.view_count end as count
             from movie_stats s where s.movie_id = m.id
         ) a on true",
    )
    .bind(movies)
    .bind(Window::Day.begin(hour))
    .bind(Window::Week.begin(hour))
    .bind(hour)
    .fetch_all(pool)
    .await?;
    let counts: Vec<Vec<ChartCount>> = rows.into_iter().map(counts).collect::<Result<_, _>>()?;
    Ok(counts.into_iter().flatten().collect())
}

/// All that stands in the charts whose last hour is `hour`: of a day and a week, and where `all` is
/// asked for of all time.
pub fn all_counts(
    connection: &mut PgConnection,
    hour: DateTime<Utc>,
    all: bool,
) -> impl Stream<Item = sqlx::Result<Vec<ChartCount>>> {
    sqlx::query_as(
        "select movie_id, metric, nullif(sum(count) filter (where hour >= $1), 0)::bigint,
                nullif(sum(count), 0)::bigint, null::bigint
         from chart_count where hour between $2 and $3
         group by movie_id, metric
         union all
         select movie_id, metric, null, null, nullif(count, 0)
         from movie_stats,
              lateral (values ('bookmarks', bookmark_count),
                              ('likes', like_count + superlike_count),
                              ('watches', view_count)) as k (metric, count)
         where $4",
    )
    .bind(Window::Day.begin(hour))
    .bind(Window::Week.begin(hour))
    .bind(hour)
    .bind(all)
    .fetch(connection)
    .map_err(sqlx::Error::from)
    .and_then(|row: CountRow| async move { counts(row) })
}

/// Forgets hours before `hour`; how many counts.
///
/// # Errors
/// Postgres's.
pub async fn forget_before(pool: &PgPool, hour: DateTime<Utc>) -> sqlx::Result<u64> {
    sqlx::query("delete from chart_count where hour < $1")
        .bind(hour)
        .execute(pool)
        .await
        .map(|done| done.rows_affected())
}
