//! Lists of films, of genres and of settings: everything under `/3` that is not about one film.

use axum::Json;
use axum::extract::{Path, State};
use chrono::{Datelike, Days, NaiveDate};
use serde_json::{Value, json};

use super::error::TmdbError;
use super::params::Params;
use super::providers::is_offered;
use super::response::{MAX_LIST, film_page, list_item, page};
use crate::catalogue::{Discover, Film, GENRES, Language, Order, Range, search, stable_number};
use crate::state::{AppState, SharedState};

/// TMDB's top list leaves out films that few have voted on.
const TOP_RATED_VOTES: u32 = 300;
/// The days that a movie is in cinemas, and the days ahead of "upcoming", as in TMDB's own lists.
const IN_CINEMAS: u64 = 42;
const AHEAD: u64 = 21;
const MAX_RANGE_DAYS: i64 = 14;

type JsonResponse = Result<Json<Value>, TmdbError>;

pub(super) async fn get_configuration() -> Json<Value> {
    Json(json!({
        "change_keys": [
            "adult", "alternative_titles", "budget", "cast", "character_names", "crew", "genres", "homepage",
            "images", "imdb_id", "original_language", "original_title", "overview", "plot_keywords",
            "production_companies", "production_countries", "release_dates", "revenue", "runtime",
            "spoken_languages", "status", "tagline", "title", "translations", "video", "videos",
        ],
        "images": {
            "base_url": "http://image.tmdb.org/t/p/",
            "secure_base_url": "https://image.tmdb.org/t/p/",
            "backdrop_sizes": ["w300", "w780", "w1280", "original"],
            "logo_sizes": ["w45", "w92", "w154", "w185", "w300", "w500", "original"],
            "poster_sizes": ["w92", "w154", "w185", "w342", "w500", "w780", "original"],
            "profile_sizes": ["w45", "w185", "h632", "original"],
            "still_sizes": ["w92", "w185", "w300", "original"],
        },
    }))
}

pub(super) async fn list_genres(params: Params) -> Json<Value> {
    let korean = params.language() == Language::Korean;
    let genres: Vec<Value> = GENRES
        .iter()
        .map(|(id, english, in_korean)| json!({ "id": id, "name": if korean { in_korean } else { english } }))
        .collect();
    Json(json!({ "genres": genres }))
}

pub(super) async fn discover(State(state): SharedState, params: Params) -> JsonResponse {
    let query = Discover::parse(&params.0)?;
    let region = query.watch_region.as_deref();
    let is_watchable = |film: &Film| match region {
        Some(region) => query.providers.iter().all(|group| {
            group
                .iter()
                .any(|provider| is_offered(&state, film, region, *provider))
        }),
        None => true,
    };
    list(&state, &params, &query, is_watchable)
}

pub(super) async fn search_movies(State(state): SharedState, params: Params) -> JsonResponse {
    let year: Option<i32> = match params.parse("primary_release_year")? {
        Some(year) => Some(year),
        None => params.parse("year")?,
    };
    let include_adult = params.parse("include_adult")?.unwrap_or(false);
    let catalogue = state.catalogue();
    let films = search(&catalogue, params.get("query").unwrap_or(""), |film| {
        (include_adult || !film.adult)
            && year.is_none_or(|year| film.release_date.is_some_and(|date| date.year() == year))
    });
    film_page(&catalogue, &params, &films).map(Json)
}

pub(super) async fn list_trending(
    State(state): SharedState,
    Path(window): Path<String>,
    params: Params,
) -> JsonResponse {
    let catalogue = state.catalogue();
    let mut films = Discover::default().select(&catalogue, |_| true);
    match window.as_str() {
        "week" => {}
        // A day differs from the week in a way that stays the same, so that a test can tell the two apart.
        "day" => {
            let of_day = |film: &Film| {
                film.popularity * (0.5 + (stable_number(film.id, 7) % 1000) as f64 / 1000.0)
            };
            films.sort_by(|a, b| of_day(b).total_cmp(&of_day(a)).then(a.id.cmp(&b.id)));
        }
        _ => return Err(TmdbError::NotFound),
    }
    films.truncate(MAX_LIST);
    page(&params, &films, |film| {
        let mut item = list_item(&catalogue, film, params.language());
        item["media_type"] = json!("movie");
        item
    })
    .map(Json)
}

pub(super) async fn list_popular(State(state): SharedState, params: Params) -> JsonResponse {
    list(&state, &params, &Discover::default(), |_| true)
}

pub(super) async fn list_top_rated(State(state): SharedState, params: Params) -> JsonResponse {
    let mut query = Discover::default();
    query.order = Order::BEST_RATED;
    query.vote_count.from = Some(TOP_RATED_VOTES);
    list(&state, &params, &query, |_| true)
}

pub(super) async fn list_now_playing(State(state): SharedState, params: Params) -> JsonResponse {
    let from = state.today - Days::new(IN_CINEMAS);
    list_released(&state, &params, from, state.today)
}

pub(super) async fn list_upcoming(State(state): SharedState, params: Params) -> JsonResponse {
    list_released(&state, &params, state.today, state.today + Days::new(AHEAD))
}

/// Films that were changed or hidden since the start: the only changes of this catalogue.
pub(super) async fn list_changes(State(state): SharedState, params: Params) -> JsonResponse {
    let from: Option<NaiveDate> = params.parse("start_date")?;
    let to: Option<NaiveDate> = params.parse("end_date")?;
    if let (Some(from), Some(to)) = (from, to)
        && !(0..=MAX_RANGE_DAYS).contains(&to.signed_duration_since(from).num_days())
    {
        return Err(TmdbError::InvalidDateRange);
    }
    let catalogue = state.catalogue();
    let changed: Vec<_> = catalogue.changed.iter().collect();
    page(
        &params,
        &changed,
        |id| json!({ "id": id, "adult": catalogue.find_any(**id).is_some_and(|film| film.adult) }),
    )
    .map(Json)
}

fn list(
    state: &AppState,
    params: &Params,
    query: &Discover,
    filter: impl Fn(&Film) -> bool,
) -> JsonResponse {
    let catalogue = state.catalogue();
    film_page(&catalogue, params, &query.select(&catalogue, filter)).map(Json)
}

fn list_released(
    state: &AppState,
    params: &Params,
    from: NaiveDate,
    to: NaiveDate,
) -> JsonResponse {
    let mut query = Discover::default();
    query.released = Range {
        from: Some(from),
        to: Some(to),
    };
    let Json(mut body) = list(state, params, &query, |_| true)?;
    body["dates"] = json!({ "minimum": from, "maximum": to });
    Ok(Json(body))
}
