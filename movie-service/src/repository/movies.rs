//! Movies and genres. Writers record each change in the outbox within the same transaction and take rows in the
//! order of ids, so that two writers of the same movies never deadlock.

use std::collections::BTreeSet;

use sqlx::{PgConnection, PgPool, types::Json};

use super::translations;
use crate::models::{Genre, Keyword, Movie, MovieId, MovieVersion, NewMovie, Person, Provider};

/// Finds a movie by TMDB's id.
#[tracing::instrument(name = "repository.movies.find", level = "debug", skip_all, fields(%id))]
pub async fn find(pool: &PgPool, id: MovieId) -> sqlx::Result<Option<Movie>> {
    sqlx::query_as!(
        Movie,
        r#"select m.id as "id: MovieId", m.version, m.title, m.original_title, m.original_language, m.overview,
            m.release_date, m.runtime, m.popularity, m.vote_average, m.vote_count, m.poster_path, m.backdrop_path,
            m.imdb_id, m.countries, m.synced_at,
            array(select g.name from genre g where g.id = any (m.genre_ids) order by g.name) as "genres!",
            m.keywords as "keywords: Json<Vec<Keyword>>", m.people as "people: Json<Vec<Person>>",
            m.providers as "providers: Json<Vec<Provider>>"
         from movie m where m.id = $1 and m.removed_at is null"#,
        id.get(),
    )
    .fetch_optional(pool)
    .await
}

/// Finds the TMDB id of the movie with IMDb's id `imdb`; of several, the lowest.
#[tracing::instrument(name = "repository.movies.find_imdb_id", level = "debug", skip(pool))]
pub async fn find_imdb_id(pool: &PgPool, imdb: &str) -> sqlx::Result<Option<MovieId>> {
    sqlx::query_scalar!(
        r#"select id as "id: MovieId" from movie where imdb_id = $1 and removed_at is null order by id limit 1"#,
        imdb,
    )
    .fetch_optional(pool)
    .await
}

/// True if the catalogue names an image at this path: the poster or backdrop of a movie, or the logo of a watch provider.
#[tracing::instrument(name = "repository.movies.has_image", level = "debug", skip(pool))]
pub async fn has_image(pool: &PgPool, path: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from movie where poster_path = $1 and removed_at is null)
               or exists (select from movie where backdrop_path = $1 and removed_at is null)
               or exists (select from provider_logo where path = $1) as "has!""#,
        path,
    )
    .fetch_one(pool)
    .await
}

/// Marks movies as removed and returns those that were not removed before.
#[tracing::instrument(name = "repository.movies.remove", level = "debug", skip_all)]
pub async fn remove(
    transaction: &mut PgConnection,
    ids: &[MovieId],
) -> sqlx::Result<Vec<MovieVersion>> {
    sqlx::query_as!(
        MovieVersion,
        r#"with gone as (
            update movie set removed_at = now(), version = version + 1, updated_at = now()
            where id in (select id from movie where id = any ($1) and removed_at is null
                         order by id for no key update)
            returning id, version
         ), recorded as (
            insert into outbox (name, key, payload)
            select 'movie.removed', id::text, json_build_object('id', id, 'version', version)
            from gone order by id
         )
         select id as "id: MovieId", version from gone"#,
        ids as &[MovieId],
    )
    .fetch_all(transaction)
    .await
}

/// True if genres are stored, in each of `languages` as well.
#[tracing::instrument(name = "repository.movies.has_genres", level = "debug", skip_all)]
pub async fn has_genres(pool: &PgPool, languages: &[String]) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from genre) and not exists (
               select from unnest($1::text[]) as wanted (language)
               where not exists (select from genre where names ? language)) as "has!""#,
        languages,
    )
    .fetch_one(pool)
    .await
}

/// Adds genres with their names in other languages and, with `rename`, updates the names of existing ones. Returns
/// the movies that changed because one of their genres did.
#[tracing::instrument(name = "repository.movies.upsert_genres", level = "debug", skip_all)]
pub async fn upsert_genres(
    pool: &PgPool,
    genres: &[Genre],
    rename: bool,
) -> sqlx::Result<Vec<MovieVersion>> {
    let mut transaction = pool.begin().await?;
    let renamed = sqlx::query_scalar!(
        "insert into genre (id, name, names)
         select distinct on (id) id, name, names
         from jsonb_to_recordset($1) as g(id int, name text, names jsonb) order by id
         on conflict (id) do update set name = excluded.name where $2 and genre.name <> excluded.name
         returning id",
        Json(genres) as _,
        rename,
    )
    .fetch_all(&mut *transaction)
    .await?;
    let translated = sqlx::query_scalar!(
        "update genre set names = genre.names || g.names
         from jsonb_to_recordset($1) as g(id int, names jsonb)
         where genre.id = g.id and not genre.names @> g.names returning genre.id",
        Json(genres) as _,
    )
    .fetch_all(&mut *transaction)
    .await?;
    let mut changed = Vec::new();
    if !renamed.is_empty() || !translated.is_empty() {
        // For a name in another language one movie is enough: consumers of the feed keep names by genre.
        changed = sqlx::query_as!(
            MovieVersion,
            r#"update movie set version = version + 1, updated_at = now()
             where id in (select id from movie
                          where removed_at is null and (genre_ids && $1 or id in (
                              select min(m.id) from unnest($2::int[]) as genre (id)
                              join movie m on m.genre_ids @> array[genre.id] and m.removed_at is null
                              group by genre.id))
                          order by id for no key update)
             returning id as "id: MovieId", version"#,
            &renamed,
            &translated,
        )
        .fetch_all(&mut *transaction)
        .await?;
        record_synced(&mut transaction, &ids(&changed)).await?;
    }
    transaction.commit().await?;
    Ok(changed)
}

/// Stores documents of TMDB and returns the movies that changed; for an unchanged document only `synced_at` is
/// updated.
#[tracing::instrument(name = "repository.movies.upsert", level = "debug", skip_all, fields(count = movies.len()))]
pub async fn upsert(
    transaction: &mut PgConnection,
    movies: &[NewMovie],
) -> sqlx::Result<Vec<MovieVersion>> {
    let changed = sqlx::query_as!(
        MovieVersion,
        r#"insert into movie (id, title, original_title, original_language, overview, release_date,
             runtime, popularity, vote_average, vote_count, poster_path, backdrop_path, imdb_id,
             adult, genre_ids, countries, keywords, people, providers, titles, collection, recommended,
             document, source_hash)
         select id, title, original_title, original_language, overview, release_date,
             runtime, popularity, vote_average, vote_count, poster_path, backdrop_path, imdb_id,
             adult, genre_ids, countries, keywords, people, providers, titles, collection, recommended,
             document, source_hash
         from jsonb_populate_recordset(null::movie, $1)
         order by id
         on conflict (id) do update set
             title = excluded.title, original_title = excluded.original_title,
             original_language = excluded.original_language, overview = excluded.overview,
             release_date = excluded.release_date,
             -- TMDB drops runtimes now and then; a known one is kept.
             runtime = coalesce(excluded.runtime, movie.runtime),
             popularity = excluded.popularity, vote_average = excluded.vote_average,
             vote_count = excluded.vote_count, poster_path = excluded.poster_path,
             backdrop_path = excluded.backdrop_path, imdb_id = excluded.imdb_id,
             adult = excluded.adult, genre_ids = excluded.genre_ids,
             countries = excluded.countries, keywords = excluded.keywords,
             people = excluded.people, providers = excluded.providers, titles = excluded.titles,
             collection = excluded.collection, recommended = excluded.recommended,
             document = excluded.document, source_hash = excluded.source_hash,
             version = movie.version + 1, synced_at = now(), updated_at = now(), removed_at = null
         where movie.source_hash <> excluded.source_hash or movie.removed_at is not null
         returning id as "id: MovieId", version"#,
        Json(movies) as _,
    )
    .fetch_all(&mut *transaction)
    .await?;
    let all: Vec<i64> = movies.iter().map(|movie| movie.id).collect();
    let changed_ids = ids(&changed);
    if !changed.is_empty() {
        add_logos(transaction, movies).await?;
    }
    translations::replace(transaction, movies, &changed_ids).await?;
    sqlx::query!(
        "update movie set synced_at = now()
         where id in (select id from movie where id = any ($1) and id <> all ($2) order by id for no key update)",
        &all,
        &changed_ids,
    )
    .execute(&mut *transaction)
    .await?;
    record_synced(transaction, &changed_ids).await?;
    Ok(changed)
}

/// Adds the logos of the movies' watch providers, in the order of their paths as every writer does.
async fn add_logos(transaction: &mut PgConnection, movies: &[NewMovie]) -> sqlx::Result<()> {
    let providers = movies.iter().flat_map(|movie| &movie.providers);
    let logos: BTreeSet<String> = providers
        .filter_map(|provider| provider.logo_path.clone())
        .collect();
    let logos: Vec<String> = logos.into_iter().collect();
    sqlx::query!(
        "insert into provider_logo (path) select path from unnest($1::text[]) as logo (path) order by path
         on conflict (path) do nothing",
        &logos,
    )
    .execute(transaction)
    .await
    .map(|_| ())
}

fn ids(changed: &[MovieVersion]) -> Vec<i64> {
    changed.iter().map(|changed| changed.id.get()).collect()
}

/// Lists movies that were last synced or imported more than `days` ago, the oldest first, at most `limit`.
#[tracing::instrument(name = "repository.movies.list_overdue", level = "debug", skip(pool))]
pub async fn list_overdue(pool: &PgPool, days: i32, limit: i64) -> sqlx::Result<Vec<MovieId>> {
    sqlx::query_scalar!(
        r#"select id as "id: MovieId" from movie
         where removed_at is null and greatest(synced_at, created_at) < now() - make_interval(days => $1)
         order by greatest(synced_at, created_at) limit $2"#,
        days,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// Counts movies that were last synced or imported more than `days` ago.
#[tracing::instrument(name = "repository.movies.count_overdue", level = "debug", skip(pool))]
pub async fn count_overdue(pool: &PgPool, days: i32) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from movie
         where removed_at is null and greatest(synced_at, created_at) < now() - make_interval(days => $1)"#,
        days,
    )
    .fetch_one(pool)
    .await
}

/// Records in the outbox that the movies `ids` changed.
pub(super) async fn record_synced(transaction: &mut PgConnection, ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into outbox (name, key, payload)
         select 'movie.synced', id::text, payload from movie_change where id = any ($1) order by id",
        ids,
    )
    .execute(transaction)
    .await
    .map(|_| ())
}
