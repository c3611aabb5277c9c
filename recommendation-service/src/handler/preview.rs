//! What somebody would be recommended, if.

use axum::{Json as JsonBody, extract::State};
use chassis::{
    extract::Json,
    problem::{FieldError, ProblemDocument},
};
use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    handler::{
        caller::Caller,
        error::ApiError,
        recommendations::{ModelResponse, RecommendationResponse, films},
    },
    ranking::{
        PartWeights, Strategy,
        pipeline::RankingRequest,
        preview::Hypothesis,
        recommender::{RecommendError, Recommender},
    },
    read_model::{Catalogue, UserId},
    rules::Weights,
    state::AppState,
};

const DEFAULT_LIMIT: i64 = 10;
const MOST_FILMS: i64 = 100;
/// Films that may be supposed to be liked, and disliked.
const MAX_HYPOTHETICAL: usize = 100;
const MOST_GENRES: usize = 50;
/// The highest weight.
const HEAVIEST: f64 = 10.0;

/// What the user would prefer.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PreferencesRequest {
    /// Names of genres.
    preferred_genres: Option<Vec<String>>,
    /// The only language of films to recommend, ISO 639-1.
    preferred_language: Option<String>,
    /// The lowest average vote of films to recommend, 0 to 10.
    #[schema(minimum = 0, maximum = 10)]
    min_rating: Option<f64>,
}

/// Weights, 0 to 10; what is not given stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WeightsRequest {
    /// Of the rule of popularity.
    popularity: Option<f64>,
    /// Of the rule of recency.
    recency: Option<f64>,
    /// Of the rule of genres.
    genre_match: Option<f64>,
    /// Of the learned models in the blend; 1 is as usual, as of the three that follow.
    learned: Option<f64>,
    /// Of what films are about.
    content: Option<f64>,
    /// Of the user's taste.
    taste: Option<f64>,
    /// Of the rules together.
    rules: Option<f64>,
}

/// What is supposed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "likes": [603, 27205], "dislikes": [597],
    "preferences": {"preferred_genres": ["Science Fiction"]}, "weights": {"popularity": 0}
}))]
pub(super) struct PreviewRequest {
    /// Who is supposed to have done this beside what they did; nobody where not given. Yourself, unless you
    /// are an administrator.
    user_id: Option<i64>,
    /// TMDB's ids of at most 100 films that they like.
    #[serde(default)]
    likes: Vec<i64>,
    /// TMDB's ids of at most 100 films that they dislike.
    #[serde(default)]
    dislikes: Vec<i64>,
    /// What they prefer.
    #[serde(default)]
    preferences: PreferencesRequest,
    /// How much rules and parts of the blend count.
    #[serde(default)]
    weights: WeightsRequest,
    /// How films are scored; `blend` where not given.
    #[serde(default)]
    strategy: Strategy,
    /// From 0, the best films, to 1, the most different; 0 where not given.
    #[schema(minimum = 0, maximum = 1)]
    diversity: Option<f64>,
    /// How many films at most; 10 where not given.
    #[schema(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// Whether each film comes with why it has its score; `true` where not given.
    explain: Option<bool>,
}

/// What would be recommended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PreviewResponse {
    /// The films, best first.
    recommendations: Vec<RecommendationResponse>,
    /// When the list was made. It is not kept.
    #[schema(example = "2026-02-13T08:15:42Z")]
    generated_at: String,
    /// How films were scored.
    strategy: Strategy,
    /// By what.
    model: ModelResponse,
}

struct Checks(Vec<FieldError>);

impl Checks {
    fn error(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError::new(field.into(), message.into()));
    }

    fn number(&mut self, field: &str, value: Option<f64>, most: f64) -> Option<f64> {
        let value = value?;
        if (0.0..=most).contains(&value) {
            return Some(value);
        }
        self.error(field, format!("must be a number from 0 to {most}"));
        None
    }

    fn films(&mut self, field: &str, ids: &[i64], catalogue: &Catalogue) {
        if ids.len() > MAX_HYPOTHETICAL {
            self.error(field, format!("must be at most {MAX_HYPOTHETICAL} films"));
            return;
        }
        for (place, id) in ids.iter().enumerate() {
            if catalogue.row(*id).is_none() {
                self.error(
                    format!("{field}[{place}]"),
                    format!("no film has the id {id}"),
                );
            }
        }
    }
}

struct Checked {
    rules: Weights,
    weights: PartWeights,
    request: RankingRequest,
}

fn check(request: &PreviewRequest, recommender: &Recommender) -> Result<Checked, Vec<FieldError>> {
    let catalogue = recommender.catalogue();
    let mut checks = Checks(Vec::new());
    checks.films("likes", &request.likes, &catalogue);
    checks.films("dislikes", &request.dislikes, &catalogue);
    for (place, id) in request.dislikes.iter().enumerate() {
        if request.likes.contains(id) {
            checks.error(format!("dislikes[{place}]"), "is among likes too");
        }
    }
    let genres = request
        .preferences
        .preferred_genres
        .as_deref()
        .unwrap_or_default();
    if genres.len() > MOST_GENRES {
        checks.error(
            "preferences.preferred_genres",
            format!("must be at most {MOST_GENRES} genres"),
        );
    }
    checks.number(
        "preferences.min_rating",
        request.preferences.min_rating,
        10.0,
    );
    let language = request.preferences.preferred_language.as_deref();
    if language.is_some_and(|language| !(2..=3).contains(&language.len())) {
        let message = "must be two letters (ISO 639-1), such as ko";
        checks.error("preferences.preferred_language", message);
    }
    let mut rules = recommender.weights();
    let mut parts = PartWeights::default();
    let given = &request.weights;
    for (field, value, weight) in [
        ("popularity", given.popularity, &mut rules.popularity),
        ("recency", given.recency, &mut rules.recency),
        ("genre_match", given.genre_match, &mut rules.genre_match),
    ] {
        if let Some(value) = checks.number(&format!("weights.{field}"), value, HEAVIEST) {
            *weight = value;
        }
    }
    for (field, value, weight) in [
        ("learned", given.learned, &mut parts.learned),
        ("content", given.content, &mut parts.content),
        ("taste", given.taste, &mut parts.taste),
        ("rules", given.rules, &mut parts.rules),
    ] {
        if let Some(value) = checks.number(&format!("weights.{field}"), value, HEAVIEST) {
            *weight = value as f32;
        }
    }
    let diversity = checks.number("diversity", request.diversity, 1.0);
    let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MOST_FILMS).contains(&limit) {
        let message = format!("must be a whole number from 1 to {MOST_FILMS}");
        checks.error("limit", message);
    }
    if !checks.0.is_empty() {
        return Err(checks.0);
    }
    Ok(Checked {
        rules,
        weights: parts,
        request: RankingRequest::preview(
            request.strategy,
            diversity.unwrap_or_default() as f32,
            usize::try_from(limit).unwrap_or_default(),
        ),
    })
}

/// What would be recommended, if
///
/// The list for somebody who likes and dislikes these films, prefers this, and for whom rules and models count so
/// much: on top of what a user did, or of nothing. Nothing of it is kept.
#[utoipa::path(
    post,
    path = "/api/v1/recommendations/preview",
    tag = "recommendations",
    request_body = PreviewRequest,
    responses(
        (status = 200, description = "the list", body = PreviewResponse),
        (status = 400, description = "a field is wrong, or a film does not exist", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "whoever asks is not that user", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "the strategy needs a learned model, and none is live", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create_preview(
    State(state): State<AppState>,
    caller: Caller,
    Json(request): Json<PreviewRequest>,
) -> Result<JsonBody<PreviewResponse>, ApiError> {
    let recommender = &state.recommender;
    let user = match request.user_id {
        None => None,
        Some(id) => {
            let message = "must be a user's id, 1 and up";
            let id = UserId::new(id).ok_or_else(|| RecommendError::field("user_id", message))?;
            if !caller.may_see(id.get()) {
                return Err(ApiError::Forbidden(
                    "what somebody else did is not yours to build on; leave user_id out",
                ));
            }
            Some(id)
        }
    };
    let checked = check(&request, recommender).map_err(RecommendError::Invalid)?;
    let explain = request.explain.unwrap_or(true);
    let hypothesis = Hypothesis {
        user,
        likes: request.likes,
        dislikes: request.dislikes,
        preferred_genres: request.preferences.preferred_genres,
        preferred_language: request.preferences.preferred_language,
        min_rating: request.preferences.min_rating,
    };
    let profile = recommender.hypothetical_profile(hypothesis).await?;
    let page = recommender
        .preview(
            profile,
            Some(checked.rules),
            checked.weights,
            checked.request,
        )
        .await?;
    let recommendations = films(&recommender.catalogue(), &page, explain);
    Ok(JsonBody(PreviewResponse {
        recommendations,
        generated_at: page
            .list
            .created_at
            .to_rfc3339_opts(SecondsFormat::Secs, true),
        strategy: page.list.strategy,
        model: ModelResponse::new(&page),
    }))
}
