//! One film and its parts: `/movie/{id}` with `append_to_response`, and `/movie/{id}/…`.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use std::collections::BTreeSet;

use super::error::TmdbError;
use super::params::Params;
use super::providers;
use super::response;
use crate::catalogue::{Catalogue, Film};
use crate::state::{AppState, SharedState};

/// TMDB's own limit on the parts of a response.
const MAX_PARTS: usize = 20;

pub(super) async fn get_movie(
    State(state): SharedState,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, TmdbError> {
    let catalogue = state.catalogue();
    let film = find(&catalogue, &id)?;
    let mut body = response::details(&catalogue, film, params.language());
    let parts: BTreeSet<&str> = params
        .get("append_to_response")
        .unwrap_or("")
        .split(',')
        .map(str::trim)
        .collect();
    if parts.len() > MAX_PARTS {
        return Err(TmdbError::TooManyAppends);
    }
    for name in parts {
        // TMDB silently omits unknown parts.
        if let Some(part) = part(&state, &catalogue, film, name, &params)? {
            body[name] = part;
        }
    }
    Ok(Json(body))
}

pub(super) async fn get_part(
    State(state): SharedState,
    Path((id, name)): Path<(String, String)>,
    params: Params,
) -> Result<Json<Value>, TmdbError> {
    let catalogue = state.catalogue();
    let film = find(&catalogue, &id)?;
    let mut body = part(&state, &catalogue, film, &name, &params)?.ok_or(TmdbError::NotFound)?;
    // On a path of its own a part contains the movie's id, save for lists of other movies and of changes.
    if !matches!(name.as_str(), "similar" | "recommendations" | "changes") {
        body["id"] = json!(film.id);
    }
    Ok(Json(body))
}

/// A film by its id, with or without the title that TMDB's own links put behind it, or by its IMDb id.
fn find<'a>(catalogue: &'a Catalogue, id: &str) -> Result<&'a Film, TmdbError> {
    if id.starts_with("tt") {
        return catalogue.find_by_imdb(id).ok_or(TmdbError::NotFound);
    }
    let number = id.split_once('-').map_or(id, |(number, _)| number);
    let number = number.parse().ok().filter(|number| *number > 0);
    let film = catalogue.find(number.ok_or(TmdbError::InvalidId)?);
    film.ok_or(TmdbError::NotFound)
}

/// A part of a movie's response; `None` for a name that TMDB does not have.
fn part(
    state: &AppState,
    catalogue: &Catalogue,
    film: &Film,
    name: &str,
    params: &Params,
) -> Result<Option<Value>, TmdbError> {
    let empty_page = || response::film_page(catalogue, params, &[]);
    Ok(Some(match name {
        "alternative_titles" => response::alternative_titles(film, params.get("country")),
        "changes" => json!({ "changes": [] }),
        "credits" => response::credits(catalogue, film, params.language()),
        "external_ids" => response::external_ids(film),
        "images" => json!({ "backdrops": [], "logos": [], "posters": [] }),
        "keywords" => response::keywords(catalogue, film),
        "lists" | "recommendations" | "reviews" => empty_page()?,
        "release_dates" | "videos" => json!({ "results": [] }),
        "similar" => similar(catalogue, film, params)?,
        "translations" => response::translations(catalogue, film),
        "watch/providers" => providers::of_film(state, film),
        _ => return Ok(None),
    }))
}

/// Films that share keywords and genres, as TMDB describes its own list. A shared keyword counts more.
fn similar(catalogue: &Catalogue, film: &Film, params: &Params) -> Result<Value, TmdbError> {
    let shared =
        |ours: &[u32], theirs: &[u32]| ours.iter().filter(|id| theirs.contains(id)).count();
    let mut found: Vec<(usize, &Film)> = catalogue
        .films()
        .filter(|other| other.id != film.id && !other.adult)
        .map(|other| {
            let keywords = shared(&film.keywords, &other.keywords);
            (3 * keywords + shared(&film.genres, &other.genres), other)
        })
        .filter(|(score, _)| *score > 0)
        .collect();
    found.sort_by(|(score_a, a), (score_b, b)| {
        score_b.cmp(score_a).then_with(|| Film::by_popularity(a, b))
    });
    let films: Vec<&Film> = found.into_iter().map(|(_, film)| film).collect();
    response::film_page(catalogue, params, &films)
}
