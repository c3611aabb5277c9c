//! One film.

use axum::{
    Json,
    extract::State,
    http::{
        HeaderValue,
        header::{AGE, CACHE_CONTROL},
    },
    response::{IntoResponse, Response},
};
use chassis::{
    config::nearest,
    extract::{Path, Query},
    problem::{FieldError, ProblemDocument},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    error::ApiError,
    movies::{NO_CACHE, POSTER_BASE, day, heard, image},
};
use crate::{
    models::{Keyword, MovieId, MovieRef, Person, Provider, Stats},
    service::{hydration::Served, page_cache::Answer},
    state::AppState,
};

/// TMDB's host of images, with the width that a film shows its backdrop in.
const BACKDROP_BASE: &str = "https://image.tmdb.org/t/p/w780";

/// A film.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MovieResponse {
    /// TMDB's id.
    id: MovieId,
    /// The title.
    #[schema(example = "The Matrix")]
    title: String,
    /// What it is about; empty where unknown.
    overview: String,
    /// The day of the first release, `YYYY-MM-DD`; empty where unknown.
    #[schema(example = "1999-03-31")]
    release_date: String,
    /// Names of its genres, alphabetical.
    #[schema(example = json!(["Action", "Science Fiction"]))]
    genres: Vec<String>,
    /// The film's own language, ISO 639-1.
    #[schema(example = "en")]
    language: String,
    /// Minutes; 0 where unknown.
    #[schema(example = 136)]
    duration: i32,
    /// TMDB's popularity.
    #[schema(example = 73.5)]
    popularity: f64,
    /// The poster, 500 pixels wide; empty where there is none.
    #[schema(example = "")]
    poster_url: String,
    /// The backdrop, 780 pixels wide; empty where there is none.
    #[schema(example = "")]
    backdrop_url: String,
    /// Where to watch or book it: TMDB's page.
    #[schema(example = "https://www.themoviedb.org/movie/603/watch")]
    booking_url: String,
    /// The title in the film's own language.
    #[schema(example = "The Matrix")]
    original_title: String,
    /// TMDB's average vote, 0 to 10.
    #[schema(example = 7.9)]
    vote_average: f64,
    /// How many voted.
    #[schema(example = 13000)]
    vote_count: i32,
    /// When TMDB was last asked about it.
    synced_at: DateTime<Utc>,
    /// Whether that is longer ago than it should be.
    #[schema(example = false)]
    stale: bool,
    /// IMDb's id; null where unknown.
    #[schema(example = "tt0133093")]
    imdb_id: Option<String>,
    /// Where it was produced, ISO 3166-1.
    #[schema(example = json!(["US"]))]
    countries: Vec<String>,
    /// With `include=credits`: directors, writers and the first of the cast.
    #[serde(skip_serializing_if = "Option::is_none")]
    credits: Option<Vec<Person>>,
    /// With `include=keywords`.
    #[serde(skip_serializing_if = "Option::is_none")]
    keywords: Option<Vec<Keyword>>,
    /// With `include=providers`: where to watch it.
    #[serde(skip_serializing_if = "Option::is_none")]
    providers: Option<Vec<Provider>>,
    /// With `include=stats`: how users stand with it; null where that cannot be had now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Stats>)]
    stats: Option<Option<Stats>>,
    /// With `include=similar`: films like it, as `GET /movies/{id}/similar` lists them; null where that
    /// cannot be had now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    similar: Option<Option<Box<RawValue>>>,
}

impl MovieResponse {
    fn new(served: &Served, includes: Includes) -> Self {
        let detail = &served.film.detail;
        let movie = &detail.movie;
        Self {
            id: movie.id,
            release_date: day(movie.release_date),
            duration: movie.runtime.unwrap_or(0),
            popularity: movie.popularity,
            poster_url: image(POSTER_BASE, movie.poster_path.as_deref()),
            backdrop_url: image(BACKDROP_BASE, movie.backdrop_path.as_deref()),
            booking_url: format!("https://www.themoviedb.org/movie/{}/watch", movie.id),
            title: movie.title.clone(),
            overview: movie.overview.clone(),
            genres: movie.genres.clone(),
            language: movie.original_language.clone(),
            original_title: movie.original_title.clone(),
            vote_average: movie.vote_average,
            vote_count: movie.vote_count,
            synced_at: movie.synced_at,
            stale: served.stale_for.is_some(),
            imdb_id: detail.imdb_id.clone(),
            countries: detail.countries.clone(),
            credits: includes.credits.then(|| detail.people.clone()),
            keywords: includes.keywords.then(|| detail.keywords.clone()),
            providers: includes.providers.then(|| detail.providers.clone()),
            stats: None,
            similar: None,
        }
    }
}

/// What a client wants to come with a film.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
struct Includes {
    credits: bool,
    keywords: bool,
    providers: bool,
    stats: bool,
    similar: bool,
}

/// The names that `include` takes.
const INCLUDES: [&str; 5] = ["credits", "keywords", "providers", "stats", "similar"];

impl Includes {
    fn parse(list: &str) -> Result<Self, FieldError> {
        let mut includes = Self::default();
        for name in list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            match name {
                "credits" => includes.credits = true,
                "keywords" => includes.keywords = true,
                "providers" => includes.providers = true,
                "stats" => includes.stats = true,
                "similar" => includes.similar = true,
                _ => {
                    let message = match nearest(name, INCLUDES.into_iter()) {
                        Some(near) => {
                            format!("`{name}` cannot be included; did you mean `{near}`?")
                        }
                        None => format!(
                            "`{name}` cannot be included; known are {}",
                            INCLUDES.join(", ")
                        ),
                    };
                    return Err(FieldError::new("include", message));
                }
            }
        }
        Ok(includes)
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MovieQuery {
    /// What comes with the film, separated by commas: `credits`, `keywords`, `providers`, `stats`,
    /// `similar`.
    #[param(example = "credits,providers")]
    include: Option<String>,
}

/// Get a film
///
/// Everything that the catalogue tells of a film. One that the catalogue does not have yet is fetched
/// from TMDB. What was last fetched long ago is marked as stale, with its age in seconds in `Age`, and
/// fetched again in the background.
#[utoipa::path(
    get,
    path = "/api/v1/movies/{id}",
    tag = "movies",
    params(("id" = String, Path, description = "TMDB's id of the film, or IMDb's as `imdb:tt0133093`", example = "603"), MovieQuery),
    responses(
        (status = 200, description = "the film", body = MovieResponse, headers(("ETag" = String, description = "of this answer"), ("Age" = i64, description = "seconds since TMDB was asked, where the film is stale"))),
        (status = 304, description = "the film is as `If-None-Match` names it"),
        (status = 400, description = "the id is neither a number from 1 nor `imdb:tt…`, or `include` is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "neither we nor TMDB know such a film", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_movie(
    State(state): State<AppState>,
    Path(reference): Path<MovieRef>,
    Query(query): Query<MovieQuery>,
) -> Result<Response, ApiError> {
    let includes = Includes::parse(query.include.as_deref().unwrap_or_default())
        .map_err(|error| ApiError::Invalid(vec![error]))?;
    let served = state.hydration.get(&reference).await?;
    let age = served
        .stale_for
        .map(|age| [(AGE, HeaderValue::from(age.num_seconds().unsigned_abs()))]);
    if includes.stats || includes.similar {
        let film = with_others(&state, &served, includes).await;
        // It changes whenever a user does something.
        return Ok((age, [(CACHE_CONTROL, NO_CACHE)], Json(film)).into_response());
    }
    let answer = || answer(&served, includes);
    let answer = if age.is_none() && includes == Includes::default() {
        served.film.answer(answer)?
    } else {
        answer()?
    };
    Ok((age, answer).into_response())
}

/// The tag names all that the answer depends on, which is quicker to say than to hash.
fn answer(served: &Served, includes: Includes) -> Result<Answer, ApiError> {
    let film = &served.film.detail;
    let tag = format!(
        "\"{}-{}-{}-{}{}{}{}\"",
        film.movie.id,
        film.version,
        film.movie.synced_at.timestamp_micros(),
        u8::from(served.stale_for.is_some()),
        u8::from(includes.credits),
        u8::from(includes.keywords),
        u8::from(includes.providers),
    );
    let body = serde_json::to_vec(&MovieResponse::new(served, includes));
    Ok(Answer {
        tag: HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("\"\"")),
        link: None,
        body: body.map_err(ApiError::Unwritable)?.into(),
    })
}

/// The film with what other services say of it, or without where they are away.
async fn with_others(state: &AppState, served: &Served, includes: Includes) -> MovieResponse {
    let id = served.film.detail.movie.id;
    let stats = async {
        let asked = includes.stats.then(|| state.platform.stats([id]));
        Some(heard("stats", asked?.await).and_then(|mut stats| stats.remove(&id)))
    };
    let similar = async {
        let asked = includes.similar.then(|| state.platform.similar(id));
        Some(heard("similar", asked?.await))
    };
    let (stats, similar) = tokio::join!(stats, similar);
    MovieResponse {
        stats,
        similar,
        ..MovieResponse::new(served, includes)
    }
}

/// Where to watch a film.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProvidersResponse {
    /// TMDB's id of the film.
    movie_id: MovieId,
    /// By region, terms and TMDB's order.
    providers: Vec<Provider>,
    /// Who collects these facts for TMDB, and must be named wherever they are shown.
    #[schema(example = "JustWatch")]
    attribution: &'static str,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ProvidersQuery {
    /// Where, ISO 3166-1; every region where not given.
    #[param(example = "KR")]
    region: Option<String>,
}

/// Where to watch a film
///
/// Who shows the film where, and on which terms.
#[utoipa::path(
    get,
    path = "/api/v1/movies/{id}/providers",
    tag = "movies",
    params(("id" = String, Path, description = "TMDB's id of the film, or IMDb's as `imdb:tt0133093`", example = "603"), ProvidersQuery),
    responses(
        (status = 200, description = "who shows it; nobody, perhaps", body = ProvidersResponse),
        (status = 304, description = "it is as `If-None-Match` names it"),
        (status = 400, description = "the id or the region is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "neither we nor TMDB know such a film", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_providers(
    State(state): State<AppState>,
    Path(reference): Path<MovieRef>,
    Query(query): Query<ProvidersQuery>,
) -> Result<Json<ProvidersResponse>, ApiError> {
    let region = query.region.map(|region| region.to_ascii_uppercase());
    let is_code =
        |region: &String| region.len() == 2 && region.bytes().all(|byte| byte.is_ascii_uppercase());
    if region.as_ref().is_some_and(|region| !is_code(region)) {
        let message = "must be two letters (ISO 3166-1), such as KR";
        return Err(ApiError::Invalid(vec![FieldError::new("region", message)]));
    }
    let served = state.hydration.get(&reference).await?;
    let detail = &served.film.detail;
    let providers = detail.providers.iter();
    Ok(Json(ProvidersResponse {
        movie_id: detail.movie.id,
        providers: providers
            .filter(|provider| {
                region
                    .as_ref()
                    .is_none_or(|region| provider.region == *region)
            })
            .cloned()
            .collect(),
        attribution: "JustWatch",
    }))
}
