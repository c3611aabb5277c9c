//! The table `viewing` and the view `counted_viewing`. Written by the writer only, in the transaction that changes the
//! state that is derived from them.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};

use super::user_movies::Pair;
use crate::models::{
    ListedViewing, MovieId, Rating, Source, UserId, Viewing, ViewingId, ViewingTime,
};

/// A row of the table.
// Field order must match the composite type: rows are read and written as composite values.
#[derive(Debug, Clone, PartialEq, sqlx::Type)]
#[sqlx(type_name = "viewing_row")]
pub struct ViewingRow {
    user_id: UserId,
    movie_id: MovieId,
    day: NaiveDate,
    viewed_at: DateTime<Utc>,
    rating: Option<Rating>,
    rated_at: Option<DateTime<Utc>>,
    source: Option<Source>,
    added_at: DateTime<Utc>,
    removed_at: Option<DateTime<Utc>>,
}

impl ViewingRow {
    /// The row of a viewing.
    pub fn new(pair: Pair, viewing: &Viewing) -> Self {
        let viewed_at = viewing.time.or_midnight();
        Self {
            user_id: pair.user_id,
            movie_id: pair.movie_id,
            day: viewed_at.date_naive(),
            viewed_at,
            rating: viewing.rating,
            rated_at: viewing.rated_at,
            source: viewing.source,
            added_at: viewing.added_at,
            removed_at: viewing.removed_at,
        }
    }

    fn into_viewing(self) -> (Pair, Viewing) {
        let pair = Pair {
            user_id: self.user_id,
            movie_id: self.movie_id,
        };
        let viewing = Viewing {
            time: ViewingTime::at(self.viewed_at),
            rating: self.rating,
            rated_at: self.rated_at,
            source: self.source,
            added_at: self.added_at,
            removed_at: self.removed_at,
        };
        (pair, viewing)
    }
}

/// Reads all viewings of `pairs`, also removed ones; the users must be locked.
pub async fn load_batch(
    transaction: &mut PgConnection,
    pairs: &[Pair],
) -> sqlx::Result<HashMap<Pair, Vec<Viewing>>> {
    if pairs.is_empty() {
        return Ok(HashMap::new());
    }
    let users: Vec<i64> = pairs.iter().map(|pair| pair.user_id.get()).collect();
    let movies: Vec<i64> = pairs.iter().map(|pair| pair.movie_id.get()).collect();
    let rows = sqlx::query!(
        r#"select v as "viewing!: ViewingRow"
           from unnest($1::bigint[], $2::bigint[]) as p (user_id, movie_id)
           join viewing v on v.user_id = p.user_id and v.movie_id = p.movie_id"#,
        &users,
        &movies
    )
    .fetch_all(transaction)
    .await?;
    Ok(by_pair(rows.into_iter().map(|row| row.viewing)))
}

/// Finds the user's viewings of `movies`, also removed ones, by movie.
#[tracing::instrument(name = "repository.viewings.find_many", level = "debug", skip_all)]
pub async fn find_many(
    pool: &PgPool,
    user_id: UserId,
    movies: &[i64],
) -> sqlx::Result<HashMap<MovieId, Vec<Viewing>>> {
    let rows = sqlx::query!(
        r#"select v as "viewing!: ViewingRow" from viewing v
           where user_id = $1 and movie_id = any ($2)"#,
        user_id.get(),
        movies
    )
    .fetch_all(pool)
    .await?;
    let viewings = by_pair(rows.into_iter().map(|row| row.viewing));
    Ok(viewings
        .into_iter()
        .map(|(pair, viewings)| (pair.movie_id, viewings))
        .collect())
}

fn by_pair(rows: impl Iterator<Item = ViewingRow>) -> HashMap<Pair, Vec<Viewing>> {
    let mut viewings: HashMap<Pair, Vec<Viewing>> = HashMap::new();
    for (pair, viewing) in rows.map(ViewingRow::into_viewing) {
        viewings.entry(pair).or_default().push(viewing);
    }
    viewings
}

/// Stores new and changed viewings; the users must be locked.
pub async fn store(transaction: &mut PgConnection, viewings: &[ViewingRow]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into viewing select * from unnest($1::viewing_row[])
         on conflict (user_id, movie_id, day) do update set
             viewed_at = excluded.viewed_at, rating = excluded.rating, rated_at = excluded.rated_at,
             source = excluded.source, added_at = excluded.added_at, removed_at = excluded.removed_at",
        viewings as _
    )
    .execute(transaction)
    .await
    .map(|_| ())
}

struct ListedRow {
    user_id: UserId,
    movie_id: MovieId,
    viewed_at: DateTime<Utc>,
    rating: Option<Rating>,
    source: Option<Source>,
}

impl From<ListedRow> for ListedViewing {
    fn from(row: ListedRow) -> Self {
        Self {
            user_id: row.user_id,
            movie_id: row.movie_id,
            time: ViewingTime::at(row.viewed_at),
            rating: row.rating,
            source: row.source,
        }
    }
}

/// Lists at most `limit` viewings that count, the last day first and unknown days last, of one movie, and after `after`,
/// if given.
#[tracing::instrument(name = "repository.viewings.list", level = "debug", skip_all)]
pub async fn list(
    pool: &PgPool,
    user_id: UserId,
    movie_id: Option<MovieId>,
    after: Option<ViewingId>,
    limit: i64,
) -> sqlx::Result<Vec<ListedViewing>> {
    let (after_day, after_movie) = after
        .map(|after| (after.time.or_midnight().date_naive(), after.movie_id.get()))
        .unzip();
    let rows = sqlx::query_as!(
        ListedRow,
        r#"select user_id as "user_id!: UserId", movie_id as "movie_id!: MovieId",
                  viewed_at as "viewed_at!", rating as "rating: Rating",
                  source as "source: Source"
           from counted_viewing,
                lateral (values (nullif(day, '1970-01-01'), nullif($3::date, '1970-01-01')))
                    as key (known_day, after_day)
           where user_id = $1 and ($2::bigint is null or movie_id = $2)
             and ($4::bigint is null
                  or (coalesce(known_day, '-infinity'), movie_id) < (coalesce(after_day, '-infinity'), $4))
           order by known_day desc nulls last, movie_id desc
           limit $5"#,
        user_id.get(),
        movie_id.map(MovieId::get),
        after_day,
        after_movie,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(ListedViewing::from).collect())
}

/// Finds the viewing with this id, if it counts.
#[tracing::instrument(name = "repository.viewings.find", level = "debug", skip_all)]
pub async fn find(
    pool: &PgPool,
    user_id: UserId,
    id: ViewingId,
) -> sqlx::Result<Option<ListedViewing>> {
    let row = sqlx::query_as!(
        ListedRow,
        r#"select user_id as "user_id!: UserId", movie_id as "movie_id!: MovieId",
                  viewed_at as "viewed_at!", rating as "rating: Rating",
                  source as "source: Source"
           from counted_viewing
           where user_id = $1 and movie_id = $2 and day = $3"#,
        user_id.get(),
        id.movie_id.get(),
        id.time.or_midnight().date_naive()
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(ListedViewing::from))
}
