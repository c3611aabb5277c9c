//! Films and genres.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool, QueryBuilder, types::Json};

use crate::models::{
    Genre, Keyword, Movie, MovieDetail, MovieId, MovieRef, NewMovie, Person, Provider,
};

/// The columns of a film, with the names of its genres.
const COLUMNS: &str = r"
    m.id, m.title, m.original_title, m.original_language, m.overview, m.release_date, m.runtime,
    m.popularity, m.vote_average, m.vote_count, m.poster_path, m.backdrop_path, m.synced_at,
    array(select g.name from genre g where g.id = any (m.genre_ids) order by g.name) as genres";

#[derive(sqlx::FromRow)]
struct MovieRow {
    id: i64,
    title: String,
    original_title: String,
    original_language: String,
    overview: String,
    release_date: Option<NaiveDate>,
    runtime: Option<i32>,
    popularity: f64,
    vote_average: f64,
    vote_count: i32,
    poster_path: Option<String>,
    backdrop_path: Option<String>,
    synced_at: DateTime<Utc>,
    genres: Vec<String>,
}

impl TryFrom<MovieRow> for Movie {
    type Error = sqlx::Error;

    fn try_from(row: MovieRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: MovieId::new(row.id)
                .ok_or_else(|| sqlx::Error::Decode("a film's id is not positive".into()))?,
            title: row.title,
            original_title: row.original_title,
            original_language: row.original_language,
            overview: row.overview,
            release_date: row.release_date,
            runtime: row.runtime,
            popularity: row.popularity,
            vote_average: row.vote_average,
            vote_count: row.vote_count,
            poster_path: row.poster_path,
            backdrop_path: row.backdrop_path,
            genres: row.genres,
            synced_at: row.synced_at,
        })
    }
}

#[derive(sqlx::FromRow)]
struct MovieDetailRow {
    #[sqlx(flatten)]
    movie: MovieRow,
    version: i64,
    imdb_id: Option<String>,
    countries: Vec<String>,
    keywords: Json<Vec<Keyword>>,
    people: Json<Vec<Person>>,
    providers: Json<Vec<Provider>>,
}

/// The film that `reference` names, with all that belongs to it.
///
/// # Errors
/// Postgres's.
pub async fn find(pool: &PgPool, reference: &MovieRef) -> sqlx::Result<Option<MovieDetail>> {
    let mut query = QueryBuilder::new(format!(
        "select {COLUMNS}, m.version, m.imdb_id, m.countries, m.keywords, m.people, m.providers
         from movie m where m.removed_at is null and "
    ));
    match reference {
        MovieRef::Tmdb(id) => query.push("m.id = ").push_bind(id.get()),
        MovieRef::Imdb(id) => query.push("m.imdb_id = ").push_bind(id.clone()),
    };
    query.push(" order by m.id limit 1");
    let row: Option<MovieDetailRow> = query.build_query_as().fetch_optional(pool).await?;
    row.map(|row| {
        Ok(MovieDetail {
            movie: row.movie.try_into()?,
            version: row.version,
            imdb_id: row.imdb_id,
            countries: row.countries,
            keywords: row.keywords.0,
            people: row.people.0,
            providers: row.providers.0,
        })
    })
    .transpose()
}

/// Marks film `id` as gone and tells the feed; a film that is gone already stays as it is.
///
/// # Errors
/// Postgres's.
pub async fn remove(pool: &PgPool, id: MovieId) -> sqlx::Result<()> {
    sqlx::query(
        "with gone as (
            update movie set removed_at = now(), version = version + 1, updated_at = now()
            where id = $1 and removed_at is null returning id, version
         )
         insert into outbox (name, key, payload)
         select 'movie.removed', id::text, json_build_object('id', id, 'version', version) from gone",
    )
    .bind(id.get())
    .execute(pool)
    .await
    .map(|_| ())
}

/// Whether any genre is known.
///
/// # Errors
/// Postgres's.
pub async fn has_genres(pool: &PgPool) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select from genre)")
        .fetch_one(pool)
        .await
}

/// Writes the names of genres. A film that has a genre which is renamed changes with it.
///
/// # Errors
/// Postgres's.
pub async fn upsert_genres(pool: &PgPool, genres: &[Genre]) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    let renamed: Vec<i32> = sqlx::query_scalar(
        "insert into genre (id, name)
         select id, name from jsonb_to_recordset($1) as g(id int, name text) order by id
         on conflict (id) do update set name = excluded.name where genre.name <> excluded.name
         returning id",
    )
    .bind(Json(genres))
    .fetch_all(&mut *transaction)
    .await?;
    if !renamed.is_empty() {
        let films: Vec<i64> = sqlx::query_scalar(
            "update movie set version = version + 1, updated_at = now()
             where genre_ids && $1 returning id",
        )
        .bind(renamed)
        .fetch_all(&mut *transaction)
        .await?;
        record_synced(&mut transaction, &films).await?;
    }
    transaction.commit().await
}

/// Writes films and tells the feed of those that changed; a film whose document is the same as before
/// only gets a new `synced_at`. The number of films that changed.
///
/// # Errors
/// Postgres's.
pub async fn upsert(pool: &PgPool, movies: &[NewMovie]) -> sqlx::Result<usize> {
    let mut transaction = pool.begin().await?;
    let changed = upsert_within(&mut transaction, movies).await?;
    transaction.commit().await?;
    Ok(changed)
}

/// As [`upsert`], as a part of a transaction.
///
/// # Errors
/// Postgres's.
pub async fn upsert_within(
    transaction: &mut PgConnection,
    movies: &[NewMovie],
) -> sqlx::Result<usize> {
    // In the order of ids, so that two writers of the same films never wait for each other in a ring.
    let changed: Vec<i64> = sqlx::query_scalar(
        "insert into movie (id, title, original_title, original_language, overview, release_date,
             runtime, popularity, vote_average, vote_count, poster_path, backdrop_path, imdb_id,
             adult, genre_ids, countries, keywords, people, providers, titles, document, source_hash)
         select id, title, original_title, original_language, overview, release_date,
             runtime, popularity, vote_average, vote_count, poster_path, backdrop_path, imdb_id,
             adult, genre_ids, countries, keywords, people, providers, titles, document, source_hash
         from jsonb_to_recordset($1) as n(id bigint, title text, original_title text,
             original_language text, overview text, release_date date, runtime int,
             popularity float8, vote_average float8, vote_count int, poster_path text,
             backdrop_path text, imdb_id text, adult boolean, genre_ids int[], countries text[],
             keywords jsonb, people jsonb, providers jsonb, titles jsonb, document jsonb,
             source_hash text)
         order by id
         on conflict (id) do update set
             title = excluded.title, original_title = excluded.original_title,
             original_language = excluded.original_language, overview = excluded.overview,
             release_date = excluded.release_date,
             -- A runtime that was known is not unlearnt.
             runtime = coalesce(excluded.runtime, movie.runtime),
             popularity = excluded.popularity, vote_average = excluded.vote_average,
             vote_count = excluded.vote_count, poster_path = excluded.poster_path,
             backdrop_path = excluded.backdrop_path, imdb_id = excluded.imdb_id,
             adult = excluded.adult, genre_ids = excluded.genre_ids,
             countries = excluded.countries, keywords = excluded.keywords,
             people = excluded.people, providers = excluded.providers, titles = excluded.titles,
             document = excluded.document, source_hash = excluded.source_hash,
             version = movie.version + 1, synced_at = now(), updated_at = now(), removed_at = null
         where movie.source_hash <> excluded.source_hash or movie.removed_at is not null
         returning id",
    )
    .bind(Json(movies))
    .fetch_all(&mut *transaction)
    .await?;
    let unchanged: Vec<i64> = movies
        .iter()
        .map(|movie| movie.id)
        .filter(|id| !changed.contains(id))
        .collect();
    sqlx::query(
        "update movie set synced_at = now()
         where id in (select id from movie where id = any ($1) order by id for no key update)",
    )
    .bind(unchanged)
    .execute(&mut *transaction)
    .await?;
    record_synced(transaction, &changed).await?;
    Ok(changed.len())
}

async fn record_synced(transaction: &mut PgConnection, ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query(
        "insert into outbox (name, key, payload)
         select 'movie.synced', id::text, payload from movie_change where id = any ($1) order by id",
    )
    .bind(ids)
    .execute(transaction)
    .await
    .map(|_| ())
}
