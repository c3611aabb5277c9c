//! Recommendations for a message in words.

use axum::{Json as JsonBody, extract::State};
use chassis::{
    caller::Caller,
    extract::{Json, Query},
    language::{ContentLanguage, Language},
    openapi::InvalidRequest,
    paging::{DEFAULT_PAGE_SIZE, total_pages},
    validate::{FieldError, Validator},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    handler::{
        error::ApiError,
        movie_card::{MovieCard, decimal},
        ranking_request::{LIMITS, LanguageQuery},
    },
    ranking::{
        RecommendError,
        query::{MAX_FILMS, QueryFilm, QueryFilms},
    },
    read_model::{Localized, UserId},
    reason::Reason,
    state::AppState,
    words::{Filters, MAX_MESSAGE_CHARS, Order, Reading, UnderstoodBy, Vocabulary, suggestions},
};

/// A message in words.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "message": "2시간 안 되는 90년대 한국 스릴러, 평점 좋은 걸로", "page": 1, "limit": 5
}))]
pub(super) struct QueryRequest {
    /// The message, in Korean or English, 1 to 1000 characters without control characters.
    #[schema(
        min_length = 1,
        max_length = 1000,
        example = "90년대 한국 스릴러",
        pattern = r"^[^\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]*$"
    )]
    message: String,
    /// The page, from 1; 1 if not given.
    #[schema(minimum = 1, maximum = 1000, example = 1)]
    page: Option<i64>,
    /// The page size, 1 to 100; if not given, the number that the message names, else 20.
    #[schema(minimum = 1, maximum = 100, example = 5)]
    limit: Option<i64>,
    /// The region of watch providers, ISO 3166-1; if not given, KR for a Korean message, else US.
    #[schema(example = "KR", pattern = r"^[A-Za-z]{2}$")]
    region: Option<String>,
}

/// A movie that the message names as an example.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExampleResponse {
    /// TMDB's id.
    #[schema(example = 161)]
    id: i64,
    /// The title.
    #[schema(example = "Ocean's Eleven")]
    title: String,
}

/// The message as it was understood.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UnderstoodResponse {
    /// The parameters of the filter, as `GET /movies` takes them.
    filters: Filters,
    /// The movies that the message names as examples. The list ranks by similarity to them and does not contain them.
    like: Vec<ExampleResponse>,
    /// The order that the message names; null for relevance.
    sort: Option<Order>,
}

/// A watch provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MovieOffer)]
pub(super) struct ProviderResponse {
    /// TMDB's id of the provider.
    #[schema(example = 8)]
    provider_id: i64,
    /// Its name.
    #[schema(example = "Netflix")]
    provider_name: String,
}

/// A movie for the message.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueriedMovieResponse {
    #[serde(flatten)]
    film: MovieCard,
    /// The score, 0 to 1, to four decimals.
    #[schema(example = 0.5213)]
    score: f64,
    /// The reason, in words: Korean if that is the display language, else English.
    #[schema(example = "about the same things")]
    reason: String,
    /// The watch providers in `region`; empty if none is known.
    providers: Vec<ProviderResponse>,
}

/// The movies for a message.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueryResponse {
    /// The message as it was understood.
    understood: UnderstoodResponse,
    /// Parts of the message that were not understood.
    #[schema(example = json!(["on a rainy planet"]))]
    not_understood: Vec<String>,
    /// The share of the message that was understood, 0 to 1.
    #[schema(minimum = 0, maximum = 1, example = 0.92)]
    confidence: f64,
    /// The reader of the message: the parser, or a language model if one is configured and gave a valid answer.
    understood_by: UnderstoodBy,
    /// Conditions that were left out because no movie fits all of them, the first one first: `vote_count`,
    /// `vote_average`, `keywords`, `runtime`, `providers`, `country`, `release_date`, `genres`. `country` is replaced by
    /// its language.
    #[schema(example = json!(["keywords"]))]
    relaxed: Vec<&'static str>,
    /// Follow-up messages, at most three, in the language of the message. Each changes the reading, and movies fit it.
    #[schema(example = json!(["90년대 한국 스릴러, 평점 좋은 걸로"]))]
    suggestions: Vec<String>,
    /// The region of `providers`.
    #[schema(example = "KR")]
    region: String,
    /// The page, from 1.
    #[schema(example = 1)]
    page: i64,
    /// The number of movies per page.
    #[schema(example = 5)]
    page_size: i64,
    /// The number of pages that can be requested.
    #[schema(example = 3)]
    total_pages: i64,
    /// The number of movies that fit; the first 1000 can be requested.
    #[schema(example = 12)]
    total_results: i64,
    /// The movies of the page, best first.
    data: Vec<QueriedMovieResponse>,
}

/// The message, trimmed.
fn message<'a>(check: &mut Validator, text: &'a str) -> &'a str {
    let trimmed = text.trim();
    check.require(!trimmed.is_empty(), "message", "must not be empty");
    let is_control = |char: char| char.is_control() && !matches!(char, '\n' | '\r' | '\t');
    check.require(
        !text.contains(is_control),
        "message",
        "must not contain control characters",
    );
    let limit = format!("must be at most {MAX_MESSAGE_CHARS} characters");
    check.require(text.chars().count() <= MAX_MESSAGE_CHARS, "message", limit);
    trimmed
}

fn bounds(name: &str, most: i64) -> String {
    format!("must be {name} from 1 to {most}")
}

/// Find movies by a message in words
///
/// Reads a message in Korean or English as parameters of the filter, movies named as examples and an order, and returns
/// its reading with the movies. A language model reads first if one is configured; without a valid answer of it the
/// parser does. All movies are of the catalogue. If no movie fits, conditions are left out, the softest first; the list is
/// empty if that does not help or nothing was understood. The caller's disliked movies are left out. Titles, genres and
/// reasons are in the language of the message unless `language` names another.
#[utoipa::path(
    post,
    path = "/api/v1/recommendations/query",
    tag = "recommendations",
    params(LanguageQuery),
    request_body(content = QueryRequest, examples(
        ("korean" = (
            summary = "In Korean",
            value = json!({"message": "2시간 안 되는 90년대 한국 스릴러, 평점 좋은 걸로", "page": 1, "limit": 5})
        )),
        ("english" = (
            summary = "In English, for another region",
            value = json!({
                "message": "funny heist movies like Ocean's Eleven on Netflix, not too long", "region": "GB"
            })
        )),
    )),
    responses(
        (status = 200, description = "the reading and the movies", body = QueryResponse, headers(("Content-Language" = String, description = "the display language if texts are in it, else the catalogue's own"))),
        InvalidRequest,
    )
)]
pub(super) async fn create_query(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<LanguageQuery>,
    Json(request): Json<QueryRequest>,
) -> Result<(ContentLanguage, JsonBody<QueryResponse>), ApiError> {
    let mut check = Validator::default();
    let text = message(&mut check, &request.message);
    let region = filter::region(&mut check, request.region.as_deref());
    let most = i64::try_from(MAX_FILMS).unwrap_or(i64::MAX);
    let page = request.page.unwrap_or(1);
    check.require(
        (1..=most).contains(&page),
        "page",
        bounds("a whole number", most),
    );
    let is_size = request.limit.is_none_or(|limit| LIMITS.contains(&limit));
    check.require(is_size, "limit", bounds("a whole number", *LIMITS.end()));
    check.finish(()).map_err(RecommendError::Invalid)?;

    let (reading, understood_by) = state.words.understand(text, region.as_deref()).await;
    let page_size = request.limit.or(reading.limit).unwrap_or(DEFAULT_PAGE_SIZE);
    if page > total_pages(most, page_size) {
        let message = format!(
            "must be at most {}: the first {MAX_FILMS} movies can be requested",
            total_pages(most, page_size)
        );
        return Err(RecommendError::Invalid(vec![FieldError::new("page", message)]).into());
    }
    let user = caller.numeric_subject().and_then(UserId::new);
    let size = usize::try_from(page_size).unwrap_or_default();
    let from = usize::try_from(page - 1).unwrap_or_default() * size;
    let is_understood = !reading.is_empty()
        || (reading.not_understood.is_empty() && text.contains(char::is_alphabetic));
    let found = match is_understood {
        true => {
            state
                .recommender
                .query(reading.clone(), user, from, size)
                .await?
        }
        false => QueryFilms::default(),
    };
    let language = Language::parse(reading.language.code());
    let language = state.languages.choose([query.language, language, None]);
    let listed = Listed {
        reading,
        understood_by,
        found,
        user,
        page,
        page_size,
    };
    let body = listed.response(&state, text, region, language);
    Ok((ContentLanguage(language), JsonBody(body)))
}

/// The movies of a reading.
struct Listed {
    reading: Reading,
    understood_by: UnderstoodBy,
    found: QueryFilms,
    user: Option<UserId>,
    page: i64,
    page_size: i64,
}

impl Listed {
    /// The response to `message` in `language`; `region` is that of watch providers, by default the message's.
    fn response(
        self,
        state: &AppState,
        message: &str,
        region: Option<String>,
        language: Language,
    ) -> QueryResponse {
        let Self {
            reading,
            found,
            user,
            page_size,
            ..
        } = self;
        let catalogue = state.recommender.catalogue();
        let localized = catalogue.localized(language.primary());
        let vocabulary = state.words.vocabulary();
        let region = region.unwrap_or_else(|| reading.language.region().to_owned());
        let first = found.films.first().and_then(|film| catalogue.row(film.id));
        // Suggestions are in the language of the message.
        let own = catalogue.localized(reading.language.code());
        let first = first.map(|row| (own.title_at(row), catalogue.release_date(row)));
        let parse = |text: &str| state.words.parse(text, Some(&region));
        let has_films = |reading: &Reading| state.recommender.has_films(reading, user);
        let suggestions = suggestions(message, &reading, first, parse, has_films);
        let like = reading.like.iter().filter_map(|id| {
            let title = localized.title_at(catalogue.row(*id)?).to_owned();
            Some(ExampleResponse { id: *id, title })
        });
        let total = i64::try_from(found.total).unwrap_or(i64::MAX);
        let shown = total.min(i64::try_from(MAX_FILMS).unwrap_or(i64::MAX));
        let movies = found.films.iter();
        QueryResponse {
            understood: UnderstoodResponse {
                like: like.collect(),
                sort: reading.sort,
                filters: reading.filters,
            },
            not_understood: reading.not_understood,
            confidence: reading.confidence,
            understood_by: self.understood_by,
            relaxed: found.relaxed,
            suggestions,
            page: self.page,
            page_size,
            total_pages: total_pages(shown, page_size),
            total_results: total,
            data: movies
                .filter_map(|film| movie(&localized, &vocabulary, film, &region))
                .collect(),
            region,
        }
    }
}

fn movie(
    localized: &Localized<'_>,
    vocabulary: &Vocabulary,
    film: &QueryFilm,
    region: &str,
) -> Option<QueriedMovieResponse> {
    let row = localized.catalogue.row(film.id)?;
    let providers = localized
        .catalogue
        .providers(row, region)
        .map(|id| ProviderResponse {
            provider_id: id,
            provider_name: vocabulary.provider_name(id).unwrap_or_default().to_owned(),
        });
    Some(QueriedMovieResponse {
        film: MovieCard::new(localized, row),
        score: decimal(film.score),
        reason: Reason::text(&film.reasons, localized.language, localized),
        providers: providers.collect(),
    })
}
