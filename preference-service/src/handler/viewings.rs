//! Viewings: the times that a user saw movies, a movie any number of times.

use axum::{
    Json as JsonBody,
    extract::{FromRequestParts, State},
    http::{HeaderMap, StatusCode, request::Parts},
};
use chassis::{
    Problem,
    extract::{Bounded, Json, Path, Query},
    language::{AcceptLanguage, Language},
    openapi::IdempotencyKeyReused,
    paging::Cursor,
    problem::FieldError,
    validate::Validator,
};
use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use serde::{
    Deserialize, Serialize,
    de::value::{self, StrDeserializer},
};
use utoipa::{IntoParams, ToSchema};

use super::{
    idempotency::{IdempotencyHeader, KeyInUse},
    interactions::RATING_RULE,
    user_movie::{ListLanguage, ListProblems, SetProblems, decode_cursor, link_header},
};
use crate::{
    error::Error,
    models::{ListedViewing, MovieId, NewViewing, Rating, Source, UserId, ViewingId, ViewingTime},
    state::AppState,
};

/// The number of items in a list without `limit`.
const DEFAULT_LIMIT: i64 = 50;
/// The year of the first film.
const MIN_YEAR: i32 = 1888;
/// The difference of the earliest time zone from UTC: there it may be tomorrow.
const MAX_TIME_ZONE: TimeDelta = TimeDelta::hours(14);

/// A time that the user saw a movie.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"movie_id": 603, "day": "2021-05-01", "rating": 4.5}))]
pub(super) struct CreateViewingRequest {
    /// The movie.
    movie_id: MovieId,
    /// The day; null or absent if it is unknown. 1970-01-01 counts as unknown.
    day: Option<NaiveDate>,
    /// The exact time, instead of `day`, or on that day of UTC.
    watched_at: Option<DateTime<Utc>>,
    /// The rating of this viewing in stars, 0.5 to 5 in steps of 0.5. It is that of the movie too, unless the movie was
    /// rated after it.
    #[schema(minimum = 0.5, maximum = 5, multiple_of = 0.5)]
    rating: Option<f64>,
    /// The origin: 1 to 20 of a-z, 0-9, `-` and `_`.
    #[schema(default = "manual")]
    source: Option<Source>,
}

impl CreateViewingRequest {
    fn parse(self, now: DateTime<Utc>) -> Result<(MovieId, NewViewing), Vec<FieldError>> {
        let mut check = Validator::default();
        let latest = now + MAX_TIME_ZONE;
        let known =
            |day: NaiveDate| (MIN_YEAR..).contains(&day.year()) && day <= latest.date_naive();
        let message = format!("must be a day from {MIN_YEAR} to today");
        check.require(self.day.is_none_or(known), "day", &message);
        let same_day = |at: DateTime<Utc>| {
            let day = self.day.unwrap_or(at.date_naive());
            known(at.date_naive()) && at <= now + TimeDelta::minutes(5) && day == at.date_naive()
        };
        check.require(
            self.watched_at.is_none_or(same_day),
            "watched_at",
            format!("must be a time from {MIN_YEAR} to now, on the day of UTC that `day` is"),
        );
        let rating = self
            .rating
            .map(|stars| Rating::from_stars(stars).ok_or(RATING_RULE));
        let rating = rating.and_then(|rating| check.take("rating", rating));
        let time = match (self.watched_at, self.day) {
            (Some(at), _) => ViewingTime::at(at),
            (None, Some(day)) => ViewingTime::on(day),
            (None, None) => ViewingTime::UNKNOWN,
        };
        let report = NewViewing {
            time,
            rating,
            source: Some(self.source.unwrap_or(Source::MANUAL)),
        };
        check.finish((self.movie_id, report))
    }
}

/// A time that a user saw a movie.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "603-2021-05-01",
    "user_id": 1,
    "movie_id": 603,
    "day": "2021-05-01",
    "watched_at": null,
    "rating": 4.5,
    "source": "manual"
}))]
pub(super) struct ViewingResponse {
    /// The id: the movie and the day.
    #[schema(value_type = String)]
    id: ViewingId,
    user_id: UserId,
    movie_id: MovieId,
    /// The day; null if unknown.
    day: Option<NaiveDate>,
    /// The time; null if at most the day is known.
    watched_at: Option<DateTime<Utc>>,
    /// The rating of this viewing in stars; null without one.
    #[schema(value_type = Option<f64>)]
    rating: Option<Rating>,
    /// The origin; null if unknown.
    source: Option<Source>,
}

impl From<&ListedViewing> for ViewingResponse {
    fn from(viewing: &ListedViewing) -> Self {
        Self {
            id: ViewingId {
                movie_id: viewing.movie_id,
                time: viewing.time,
            },
            user_id: viewing.user_id,
            movie_id: viewing.movie_id,
            day: viewing.time.day(),
            watched_at: viewing.time.instant(),
            rating: viewing.rating,
            source: viewing.source,
        }
    }
}

/// A viewing of a list, with its movie.
#[derive(Serialize, ToSchema)]
pub(super) struct ViewingEntry {
    #[serde(flatten)]
    viewing: ViewingResponse,
    /// The movie's title, in the display language if it is known; null if movie-service is unavailable, or the movie has
    /// left the catalogue.
    title: Option<String>,
    /// The URL of its poster, 500 pixels wide, empty if there is none; null as `title`.
    poster_url: Option<String>,
}

/// A page of a user's viewings, the last day first, unknown days last.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "user_id": 1,
    "viewings": [{
        "id": "603-2021-05-01",
        "user_id": 1,
        "movie_id": 603,
        "day": "2021-05-01",
        "watched_at": null,
        "rating": 4.5,
        "source": "manual",
        "title": "The Matrix",
        "poster_url": "https://image.tmdb.org/t/p/w500/f89U3ADr1oiB1s9GkdPOEpXUk5H.jpg"
    }],
    "next_cursor": null
}))]
pub(super) struct ViewingsResponse {
    user_id: UserId,
    /// The viewings.
    viewings: Vec<ViewingEntry>,
    /// The cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

/// The parameters of a list of viewings.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ViewingsQuery {
    /// The page size.
    #[param(inline, default = 50, example = 10)]
    limit: Option<Bounded<1, 1000>>,
    /// Lists only viewings of this movie.
    #[param(inline, example = 603)]
    movie_id: Option<MovieId>,
    /// The `next_cursor` of the previous page. Pages neither skip nor repeat items while viewings are added.
    #[param(example = "eyJhZnRlciI6IjYwMy0yMDIxLTA1LTAxIn0")]
    cursor: Option<String>,
    /// The display language (BCP 47) of titles. The default is that of `Accept-Language`, then the user's
    /// `preferred_language`, else the catalogue's own.
    #[param(value_type = Option<String>, example = "ko-KR")]
    language: Option<Language>,
}

/// The cursor of a page: it begins after the viewing with this id.
#[derive(Serialize, Deserialize)]
struct Position {
    after: String,
}

impl Cursor for Position {}

/// List viewings
///
/// Lists the times that the user saw movies, the last day first. A movie whose days are all unknown has one viewing, without
/// a day, and is listed last. `watch` has the state that follows from the viewings.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/viewings",
    tag = "viewings",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), ViewingsQuery),
    responses(
        (status = 200, description = "the viewings", body = ViewingsResponse, headers(
            ("Link" = String, description = "the next page, `rel=\"next\"`; absent on the last"),
            ("Content-Language" = String, description = "the language of the titles; absent without any")
        )),
        ListProblems
    )
)]
pub(super) async fn list_viewings(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    AcceptLanguage(accepted): AcceptLanguage,
    Query(query): Query<ViewingsQuery>,
) -> Result<(ListLanguage, HeaderMap, JsonBody<ViewingsResponse>), Problem> {
    let limit = query.limit.map_or(DEFAULT_LIMIT, Bounded::get);
    let position = decode_cursor::<Position>(query.cursor.as_deref())?;
    let after = position.map(|position| {
        let message = "must be the next_cursor of the page before";
        ViewingId::parse(&position.after).ok_or_else(|| FieldError::new("cursor", message))
    });
    let language = query.language.or(accepted);
    let (page, descriptions) = state
        .viewings
        .list(user_id, query.movie_id, after.transpose()?, limit, language)
        .await?;
    let viewings: Vec<ViewingEntry> = page
        .items
        .iter()
        .map(|viewing| {
            let card = descriptions.cards.get(&viewing.movie_id);
            ViewingEntry {
                viewing: viewing.into(),
                title: card.map(|card| card.title.clone()),
                poster_url: card.map(|card| card.poster_url.clone()),
            }
        })
        .collect();
    let last = viewings.last().filter(|_| page.has_more);
    let next_cursor = last.map(|last| {
        let after = last.viewing.id.to_string();
        Position { after }.encode()
    });
    let path = format!("/api/v1/users/{user_id}/viewings");
    let parameters = [
        ("limit", Some(limit.to_string())),
        ("movie_id", query.movie_id.map(|id| id.to_string())),
        (
            "language",
            query.language.map(|language| language.to_string()),
        ),
    ];
    let headers = link_header(&path, &parameters, next_cursor.as_deref());
    let body = ViewingsResponse {
        user_id,
        viewings,
        next_cursor,
    };
    Ok((ListLanguage(descriptions.language), headers, JsonBody(body)))
}

/// Record a viewing
///
/// Stores a time that the user saw the movie. A user, movie and day have one viewing: the same again changes nothing, other
/// values are merged into it. A viewing of an unknown day counts only while the movie has none of a known day.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/viewings",
    tag = "viewings",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), IdempotencyHeader),
    request_body = CreateViewingRequest,
    responses(
        (status = 201, description = "the viewing", body = ViewingResponse),
        (status = 200, description = "the viewing, which was known", body = ViewingResponse),
        KeyInUse, IdempotencyKeyReused, SetProblems
    )
)]
pub(super) async fn create_viewing(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Json(request): Json<CreateViewingRequest>,
) -> Result<(StatusCode, JsonBody<ViewingResponse>), Problem> {
    let (movie_id, report) = request.parse(state.clock.now()).map_err(Error::from)?;
    let (viewing, changed) = state.viewings.record(user_id, movie_id, report).await?;
    let status = if changed {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, JsonBody((&viewing).into())))
}

/// The path of a viewing.
#[derive(Clone, Copy, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ViewingPath {
    /// The user's id.
    #[param(inline, example = 1)]
    id: UserId,
    /// The viewing's id.
    #[param(
        value_type = String,
        example = "603-2021-05-01",
        pattern = r"^[1-9][0-9]{0,17}-([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|[12][0-9]))|unknown)$"
    )]
    viewing_id: ViewingId,
}

impl<S: Send + Sync> FromRequestParts<S> for ViewingPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Segments {
            id: String,
            viewing_id: String,
        }
        let Path(segments) = Path::<Segments>::from_request_parts(parts, state).await?;
        let id = UserId::deserialize(StrDeserializer::<value::Error>::new(&segments.id));
        let id = id.map_err(|error| {
            let text = error.to_string();
            Problem::from(FieldError::new("id", text.clone())).error(text)
        })?;
        let viewing_id = ViewingId::parse(&segments.viewing_id).ok_or_else(|| {
            let message = "must be the id of a viewing";
            Problem::from(FieldError::new("viewing_id", message)).error("invalid viewing ID")
        })?;
        Ok(Self { id, viewing_id })
    }
}

chassis::problem_responses! {
    /// The problems of the removal of a viewing.
    pub(super) DeleteProblems = 400, "an id is invalid",
        404, "no such user (`user not found`) or viewing (`viewing not found`)";
}

/// Delete a viewing
///
/// Removes a time that the user saw a movie. The watch state follows from those that are left. Imports do not bring it back.
/// Idempotent.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}/viewings/{viewing_id}",
    tag = "viewings",
    params(ViewingPath),
    responses((status = 204, description = "the viewing is removed"), DeleteProblems)
)]
pub(super) async fn delete_viewing(
    State(state): State<AppState>,
    path: ViewingPath,
) -> Result<StatusCode, Problem> {
    state.viewings.delete(path.id, path.viewing_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
