//! Texts of movies in other languages: reads for a display language, and writes with the movie.

use std::collections::HashMap;

use chassis::language::Language;
use serde::Serialize;
use sqlx::{PgConnection, PgPool, types::Json};

use crate::models::{Includes, MovieId, NewMovie, TranslatedTexts, Translation};

/// Returns the texts of the movies `ids` in `language`, as far as `includes` needs them: of its region, else of the
/// region of the language's name (`fr-FR`), else of another.
#[tracing::instrument(name = "repository.translations.find", level = "debug", skip_all, fields(%language))]
pub async fn find(
    pool: &PgPool,
    ids: &[MovieId],
    language: Language,
    includes: Includes,
) -> sqlx::Result<HashMap<MovieId, TranslatedTexts>> {
    let rows = sqlx::query!(
        r#"select m.id as "id: MovieId",
            coalesce(
                (select t.title from movie_translation t
                 where t.movie_id = m.id and t.language = $2 and t.title <> ''
                 order by t.region = $3 desc, t.region = upper($2) desc, t.region limit 1),
                -- Dumps have titles alone.
                (select t ->> 'title' from jsonb_array_elements(m.titles) t
                 where t ->> 'language' = $2 and not m.hydrated limit 1)) as title,
            case when $4 then (
                select t.overview from movie_translation t
                where t.movie_id = m.id and t.language = $2 and t.overview <> ''
                order by t.region = $3 desc, t.region = upper($2) desc, t.region limit 1) end as overview,
            case when $5 and exists (select from genre g where g.id = any (m.genre_ids) and g.names ? $2) then array(
                select coalesce(g.names ->> $2, g.name) as shown from genre g
                where g.id = any (m.genre_ids) order by shown) end as "genres: Vec<String>"
         from movie m where m.id = any ($1) and m.removed_at is null"#,
        ids as &[MovieId],
        language.primary(),
        language.region().unwrap_or_default(),
        includes.overview,
        includes.genres,
    )
    .fetch_all(pool)
    .await?;
    let texts = rows.into_iter().map(|row| {
        let texts = TranslatedTexts {
            title: row.title,
            overview: row.overview,
            genres: row.genres,
        };
        (row.id, texts)
    });
    Ok(texts.collect())
}

#[derive(Serialize)]
struct TranslationRow<'a> {
    movie_id: i64,
    #[serde(flatten)]
    translation: &'a Translation,
}

/// Replaces the translations of the movies `changed` by those in `movies`.
#[tracing::instrument(name = "repository.translations.replace", level = "debug", skip_all)]
pub(super) async fn replace(
    transaction: &mut PgConnection,
    movies: &[NewMovie],
    changed: &[i64],
) -> sqlx::Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "delete from movie_translation where movie_id = any ($1)",
        changed
    )
    .execute(&mut *transaction)
    .await?;
    let movies = movies.iter().filter(|movie| changed.contains(&movie.id));
    let rows: Vec<TranslationRow<'_>> = movies
        .flat_map(|movie| {
            let movie_id = movie.id;
            movie
                .translations
                .iter()
                .map(move |translation| TranslationRow {
                    movie_id,
                    translation,
                })
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into movie_translation (movie_id, language, region, title, overview)
         select movie_id, language, region, title, overview
         from jsonb_populate_recordset(null::movie_translation, $1)
         on conflict do nothing",
        Json(rows) as _,
    )
    .execute(transaction)
    .await
    .map(|_| ())
}
