//! Films and genres.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool, QueryBuilder, types::Json};

use crate::models::{
    Genre, Keyword, Movie, MovieDetail, MovieId, MovieRef, MovieVersion, NewMovie, Person, Provider,
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

/// Marks the films `ids` as gone and tells the feed; one that is gone already stays as it is. The films
/// that are gone by this.
///
/// # Errors
/// Postgres's.
pub async fn remove(pool: &PgPool, ids: &[MovieId]) -> sqlx::Result<Vec<MovieVersion>> {
    let mut transaction = pool.begin().await?;
    let gone = remove_within(&mut transaction, ids).await?;
    transaction.commit().await?;
    Ok(gone)
}

/// As [`remove`], as a part of a transaction.
///
/// # Errors
/// Postgres's.
pub async fn remove_within(
    transaction: &mut PgConnection,
    ids: &[MovieId],
) -> sqlx::Result<Vec<MovieVersion>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let gone = sqlx::query_as(
        "with gone as (
            update movie set removed_at = now(), version = version + 1, updated_at = now()
            where id in (select id from movie where id = any ($1) and removed_at is null
                         order by id for no key update)
            returning id, version
         ), told as (
            insert into outbox (name, key, payload)
            select 'movie.removed', id::text, json_build_object('id', id, 'version', version)
            from gone order by id
         )
         select id, version from gone",
    )
    .bind(ids)
    .fetch_all(transaction)
    .await?;
    Ok(versions(gone))
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
pub async fn upsert_genres(pool: &PgPool, genres: &[Genre]) -> sqlx::Result<Vec<MovieVersion>> {
    write_genres(
        pool,
        genres,
        "insert into genre (id, name)
         select id, name from jsonb_to_recordset($1) as g(id int, name text) order by id
         on conflict (id) do update set name = excluded.name where genre.name <> excluded.name
         returning id",
    )
    .await
}

/// Adds genres that are not known; the names of those that are stay. A film that has one of the new
/// changes with it.
///
/// # Errors
/// Postgres's.
pub async fn add_genres(pool: &PgPool, genres: &[Genre]) -> sqlx::Result<Vec<MovieVersion>> {
    write_genres(
        pool,
        genres,
        "insert into genre (id, name)
         select distinct on (id) id, name from jsonb_to_recordset($1) as g(id int, name text) order by id
         on conflict (id) do nothing
         returning id",
    )
    .await
}

async fn write_genres(
    pool: &PgPool,
    genres: &[Genre],
    statement: &'static str,
) -> sqlx::Result<Vec<MovieVersion>> {
    let mut transaction = pool.begin().await?;
    let written: Vec<i32> = sqlx::query_scalar(statement)
        .bind(Json(genres))
        .fetch_all(&mut *transaction)
        .await?;
    let mut changed = Vec::new();
    if !written.is_empty() {
        changed = sqlx::query_as(
            "update movie set version = version + 1, updated_at = now()
             where id in (select id from movie where genre_ids && $1 and removed_at is null
                          order by id for no key update)
             returning id, version",
        )
        .bind(written)
        .fetch_all(&mut *transaction)
        .await?;
        record_synced(&mut transaction, &ids(&changed)).await?;
    }
    transaction.commit().await?;
    Ok(versions(changed))
}

/// Writes films and tells the feed of those that changed; a film whose document is the same as before
/// only gets a new `synced_at`. The films that changed.
///
/// # Errors
/// Postgres's.
pub async fn upsert(pool: &PgPool, movies: &[NewMovie]) -> sqlx::Result<Vec<MovieVersion>> {
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
) -> sqlx::Result<Vec<MovieVersion>> {
    // In the order of ids, so that two writers of the same films never wait for each other in a ring.
    let changed: Vec<(i64, i64)> = sqlx::query_as(
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
         returning id, version",
    )
    .bind(Json(movies))
    .fetch_all(&mut *transaction)
    .await?;
    let changed_ids = ids(&changed);
    let unchanged: Vec<i64> = movies
        .iter()
        .map(|movie| movie.id)
        .filter(|id| !changed_ids.contains(id))
        .collect();
    sqlx::query(
        "update movie set synced_at = now()
         where id in (select id from movie where id = any ($1) order by id for no key update)",
    )
    .bind(unchanged)
    .execute(&mut *transaction)
    .await?;
    record_synced(transaction, &changed_ids).await?;
    Ok(versions(changed))
}

fn ids(changed: &[(i64, i64)]) -> Vec<i64> {
    changed.iter().map(|(id, _)| *id).collect()
}

fn versions(changed: Vec<(i64, i64)>) -> Vec<MovieVersion> {
    let version = |(id, version)| MovieId::new(id).map(|id| MovieVersion { id, version });
    changed.into_iter().filter_map(version).collect()
}

/// Films that TMDB, or a dump, told of longer than `days` ago, the oldest first, at most `limit`.
///
/// # Errors
/// Postgres's.
pub async fn list_overdue(pool: &PgPool, days: i32, limit: i64) -> sqlx::Result<Vec<MovieId>> {
    let ids: Vec<i64> = sqlx::query_scalar(
        "select id from movie
         where removed_at is null and greatest(synced_at, created_at) < now() - make_interval(days => $1)
         order by greatest(synced_at, created_at) limit $2",
    )
    .bind(days)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().filter_map(MovieId::new).collect())
}

/// How many films TMDB, or a dump, told of longer than `days` ago.
///
/// # Errors
/// Postgres's.
pub async fn count_overdue(pool: &PgPool, days: i32) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "select count(*) from movie
         where removed_at is null and greatest(synced_at, created_at) < now() - make_interval(days => $1)",
    )
    .bind(days)
    .fetch_one(pool)
    .await
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
