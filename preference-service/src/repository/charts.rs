//! Charts in Postgres, the source of truth: `chart_count` has the counts per movie and hour, `movie_stats` those of all
//! time. Only read here, save for the retention; [`super::user_movies::store`] moves the counts.

use chrono::{DateTime, Utc};
use futures_util::{Stream, TryStreamExt};
use sqlx::{PgConnection, PgPool};

use crate::models::{ChartEntry, Metric, MovieId, Window};

/// Returns the start of the present hour, by the clock that stamps interactions.
pub async fn present_hour(pool: &PgPool) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(r#"select date_trunc('hour', clock_timestamp(), 'UTC') as "hour!""#)
        .fetch_one(pool)
        .await
}

/// Lists the first `limit` entries of the chart that ends with `hour`: the highest count first, then the lowest id.
#[tracing::instrument(name = "repository.charts.list_top", level = "debug", skip_all)]
pub async fn list_top(
    pool: &PgPool,
    metric: Metric,
    window: Window,
    hour: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<ChartEntry>> {
    match window.begin(hour) {
        Some(begin) => {
            sqlx::query_as!(
                ChartEntry,
                r#"select movie_id as "movie_id: MovieId", sum(count)::bigint as "count!"
                 from chart_count
                 where metric = $1 and hour between $2 and $3
                 group by movie_id having sum(count) > 0
                 order by 2 desc, movie_id limit $4"#,
                metric as Metric,
                begin,
                hour,
                limit
            )
            .fetch_all(pool)
            .await
        }
        None => {
            sqlx::query_as!(
                ChartEntry,
                r#"select movie_id as "movie_id: MovieId", count as "count!"
                 from movie_stats,
                      lateral (values (case $1 when 'bookmarks' then bookmark_count
                                               when 'likes' then like_count + superlike_count
                                               else view_count end)) as chart (count)
                 where count > 0
                 order by count desc, movie_id limit $2"#,
                metric as Metric,
                limit
            )
            .fetch_all(pool)
            .await
        }
    }
}

/// A movie's count in one chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChartCount {
    /// The metric of the chart.
    pub metric: Metric,
    /// The window of the chart.
    pub window: Window,
    /// The movie.
    pub movie_id: MovieId,
    /// The number of users; 0 if the movie is not in the chart.
    pub count: i64,
}

/// The counts of a movie and a metric; `None` where a window was not read.
struct CountsRow {
    movie_id: MovieId,
    metric: Metric,
    day: Option<i64>,
    week: Option<i64>,
    all: Option<i64>,
}

impl CountsRow {
    fn counts(self) -> impl Iterator<Item = ChartCount> {
        let windows = [
            (Window::Day, self.day),
            (Window::Week, self.week),
            (Window::All, self.all),
        ];
        windows.into_iter().filter_map(move |(window, count)| {
            Some(ChartCount {
                metric: self.metric,
                window,
                movie_id: self.movie_id,
                count: count?,
            })
        })
    }
}

/// Lists the counts of `movies` in all charts that end with `hour`.
pub async fn list_counts(
    pool: &PgPool,
    movies: &[i64],
    hour: DateTime<Utc>,
) -> sqlx::Result<Vec<ChartCount>> {
    let rows = sqlx::query_as!(
        CountsRow,
        r#"select m.id as "movie_id!: MovieId", k.metric as "metric!: Metric",
                coalesce(r.day, 0) as day, coalesce(r.week, 0) as week, coalesce(a.count, 0) as all
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
         ) a on true"#,
        movies,
        Window::Day.begin(hour),
        Window::Week.begin(hour),
        hour
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().flat_map(CountsRow::counts).collect())
}

/// Streams all counts of the charts of a day and a week that end with `hour`; with `all`, also those of all time.
pub fn stream_counts(
    connection: &mut PgConnection,
    hour: DateTime<Utc>,
    all: bool,
) -> impl Stream<Item = sqlx::Result<impl Iterator<Item = ChartCount>>> {
    sqlx::query_as!(
        CountsRow,
        r#"select movie_id as "movie_id!: MovieId", metric as "metric!: Metric",
                nullif(sum(count) filter (where hour >= $1), 0)::bigint as day,
                nullif(sum(count), 0)::bigint as week, null::bigint as all
         from chart_count where hour between $2 and $3
         group by movie_id, metric
         union all
         select movie_id, metric, null, null, nullif(count, 0)
         from movie_stats,
              lateral (values ('bookmarks', bookmark_count),
                              ('likes', like_count + superlike_count),
                              ('watches', view_count)) as k (metric, count)
         where $4"#,
        Window::Day.begin(hour),
        Window::Week.begin(hour),
        hour,
        all
    )
    .fetch(connection)
    .map_ok(CountsRow::counts)
}

/// Deletes the counts of hours before `hour`.
pub async fn delete_before(pool: &PgPool, hour: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("delete from chart_count where hour < $1", hour)
        .execute(pool)
        .await
        .map(|_| ())
}
