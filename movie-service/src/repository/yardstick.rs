//! The yardstick of the search evaluation: PostgreSQL's trigrams (`pg_trgm`) and full-text search, as one would use
//! them without a search index. Called by the evaluation alone; all of it is temporary.

use sqlx::PgConnection;

/// The statements that make the temporary table and its indexes.
const CREATE: [&str; 5] = [
    "create extension if not exists pg_trgm",
    "create temporary table searched on commit drop as
     select m.id, m.popularity, m.title,
         concat_ws(' | ', m.title, m.original_title, t.titles) as names,
         to_tsvector('simple', concat_ws(' ', m.title, m.original_title, t.titles, p.people, k.keywords,
             extract(year from m.release_date))) as words
     from movie m,
         lateral (select string_agg(e ->> 'title', ' | ') as titles from jsonb_array_elements(m.titles) e) t,
         lateral (select string_agg(e ->> 'name', ' ') as people from jsonb_array_elements(m.people) e) p,
         lateral (select string_agg(e ->> 'name', ' ') as keywords from jsonb_array_elements(m.keywords) e) k
     where m.removed_at is null",
    "create index on searched using gin (names gin_trgm_ops)",
    "create index on searched using gin (words)",
    "analyze searched",
];

const FIND: &str = "select id from searched
     where words @@ plainto_tsquery('simple', $1) or names %> $1 or title % $1
     order by greatest(similarity(title, $1), word_similarity($1, names))
         + ts_rank(words, plainto_tsquery('simple', $1)) desc, popularity desc, id
     limit $2";

/// Creates the table of the searched movies for this transaction, which must be rolled back.
///
/// # Errors
/// Returns [`sqlx::Error`] if the extension is missing or may not be created.
#[tracing::instrument(name = "repository.yardstick.create", level = "debug", skip_all)]
pub async fn create(connection: &mut PgConnection) -> sqlx::Result<()> {
    for statement in CREATE {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Finds at most `limit` movies, best first.
#[tracing::instrument(name = "repository.yardstick.find", level = "debug", skip_all)]
pub async fn find(
    connection: &mut PgConnection,
    query: &str,
    limit: i64,
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar(FIND)
        .bind(query)
        .bind(limit)
        .fetch_all(connection)
        .await
}
