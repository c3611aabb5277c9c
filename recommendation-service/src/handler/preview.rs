//! Previews of lists for hypothetical users.

use axum::{Json as JsonBody, extract::State};
use chassis::{
    caller::Caller,
    extract::{Bounded, Json, Query},
    language::{AcceptLanguage, ContentLanguage, Language},
    openapi::InvalidRequest,
    validate::{FieldError, Validator},
};
use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    handler::{
        error::ApiError,
        may_see,
        ranking_request::{LIMITS, LanguageQuery},
        recommendations::{ModelResponse, RecommendationResponse, films},
        responses::{NotThatUser, NotTrained, UserNotFound},
    },
    ranking::{
        PartWeights, RecommendError, Strategy, pipeline::RankingRequest,
        preview::PreferenceChanges, recommender::Recommender,
    },
    read_model::{Catalogue, Reaction, UserId},
    rules::Weights,
    state::AppState,
};

const DEFAULT_LIMIT: i64 = 10;
/// The number of movies that may be liked, and disliked.
const MAX_HYPOTHETICAL: usize = 100;
const MAX_GENRES: usize = 50;
/// The range of weights.
const WEIGHTS: std::ops::RangeInclusive<f64> = 0.0..=10.0;

/// Weights, 0 to 10; what is not given stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WeightsRequest {
    /// The weight of the rule of popularity.
    #[schema(minimum = 0, maximum = 10)]
    popularity: Option<f64>,
    /// The weight of the rule of recency.
    #[schema(minimum = 0, maximum = 10)]
    recency: Option<f64>,
    /// The weight of the rule of genre match.
    #[schema(minimum = 0, maximum = 10)]
    genre_match: Option<f64>,
    /// The weight of the learned models in the blend; 1 is the default, as for the three that follow.
    #[schema(minimum = 0, maximum = 10)]
    learned: Option<f64>,
    /// The weight of content in the blend.
    #[schema(minimum = 0, maximum = 10)]
    content: Option<f64>,
    /// The weight of taste in the blend.
    #[schema(minimum = 0, maximum = 10)]
    taste: Option<f64>,
    /// The weight of the rules in the blend.
    #[schema(minimum = 0, maximum = 10)]
    rules: Option<f64>,
}

/// A hypothetical user, and weights.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "likes": [603, 27205], "dislikes": [597],
    "preferences": {"preferred_genres": ["Science Fiction"]}, "weights": {"popularity": 0}
}))]
pub(super) struct PreviewRequest {
    /// The user to start from; a user without any history if not given. Your own id, unless you are an administrator.
    #[schema(minimum = 1)]
    user_id: Option<i64>,
    /// TMDB's ids of at most 100 movies of the catalogue that they like.
    #[serde(default)]
    #[schema(value_type = Vec<Bounded<1, { i64::MAX }>>, inline, max_items = 100)]
    likes: Vec<i64>,
    /// TMDB's ids of at most 100 movies of the catalogue that they dislike, none of which is among `likes`.
    #[serde(default)]
    #[schema(value_type = Vec<Bounded<1, { i64::MAX }>>, inline, max_items = 100)]
    dislikes: Vec<i64>,
    /// Their preferences.
    #[serde(default)]
    preferences: PreferenceChanges,
    /// The weights of the rules and of the parts of the blend.
    #[serde(default)]
    weights: WeightsRequest,
    /// The strategy that scores movies; `blend` if not given.
    #[serde(default)]
    strategy: Strategy,
    /// The weight of diversity, from 0 (the best movies) to 1 (the most different); 0 if not given.
    #[schema(minimum = 0, maximum = 1)]
    diversity: Option<f64>,
    /// The number of movies, 1 to 100; 10 if not given.
    #[schema(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// Adds the explanation of each score; `true` if not given.
    explain: Option<bool>,
}

/// The list of the hypothetical user.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PreviewResponse {
    /// The movies, best first.
    recommendations: Vec<RecommendationResponse>,
    /// The time at which the list was made. It is not stored.
    #[schema(example = "2026-02-13T08:15:42Z")]
    generated_at: String,
    /// The strategy that scored movies.
    strategy: Strategy,
    /// The learned models that scored movies.
    model: ModelResponse,
}

fn check_movies(check: &mut Validator, field: &str, ids: &[i64], catalogue: &Catalogue) {
    if ids.len() > MAX_HYPOTHETICAL {
        check.error(field, format!("must be at most {MAX_HYPOTHETICAL} films"));
        return;
    }
    for (place, id) in ids.iter().enumerate() {
        let is_known = catalogue.row(*id).is_some();
        let message = format!("no film has the id {id}");
        check.require(is_known, format!("{field}[{place}]"), message);
    }
}

/// The weights of the rules, those of the parts of the blend, and the request of the list.
type Checked = (Weights, PartWeights, RankingRequest);

fn check(request: &PreviewRequest, recommender: &Recommender) -> Result<Checked, Vec<FieldError>> {
    let catalogue = recommender.catalogue();
    let mut check = Validator::default();
    check_movies(&mut check, "likes", &request.likes, &catalogue);
    check_movies(&mut check, "dislikes", &request.dislikes, &catalogue);
    for (place, id) in request.dislikes.iter().enumerate() {
        let is_liked = request.likes.contains(id);
        check.require(
            !is_liked,
            format!("dislikes[{place}]"),
            "is among likes too",
        );
    }
    let preferences = &request.preferences;
    let genres = preferences.preferred_genres.as_deref().unwrap_or_default();
    check.require(
        genres.len() <= MAX_GENRES,
        "preferences.preferred_genres",
        format!("must be at most {MAX_GENRES} genres"),
    );
    for (place, name) in genres.iter().enumerate() {
        let known = catalogue.genres().ids();
        if !known.is_empty() {
            let field = format!("preferences.preferred_genres[{place}]");
            check.take(field, known.canonical(name));
        }
    }
    check.number("preferences.min_rating", preferences.min_rating, 0.0..=10.0);
    let language = preferences.preferred_language.as_deref();
    check.require(
        language.is_none_or(|language| Language::parse(language).is_some()),
        "preferences.preferred_language",
        "must be a language, such as ko or ko-KR",
    );
    let given = &request.weights;
    let mut weight = |name: &str, value: Option<f64>, default: f64| {
        let value = check.number(&format!("weights.{name}"), value, WEIGHTS);
        value.unwrap_or(default)
    };
    let rules = recommender.weights();
    let rules = Weights {
        popularity: weight("popularity", given.popularity, rules.popularity),
        recency: weight("recency", given.recency, rules.recency),
        genre_match: weight("genre_match", given.genre_match, rules.genre_match),
    };
    let weights = PartWeights {
        learned: weight("learned", given.learned, 1.0) as f32,
        content: weight("content", given.content, 1.0) as f32,
        taste: weight("taste", given.taste, 1.0) as f32,
        rules: weight("rules", given.rules, 1.0) as f32,
    };
    let diversity = check.number("diversity", request.diversity, 0.0..=1.0);
    let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
    let message = format!("must be a whole number from 1 to {}", LIMITS.end());
    check.require(LIMITS.contains(&limit), "limit", message);
    check.finish(())?;
    let limit = usize::try_from(limit).unwrap_or_default();
    let diversity = diversity.unwrap_or_default() as f32;
    let ranking = RankingRequest::preview(request.strategy, diversity, limit);
    Ok((rules, weights, ranking))
}

/// Preview recommendations
///
/// Ranks movies for a hypothetical user: with likes, dislikes, preferences and weights on top of a user's history, or
/// of none. Nothing is stored.
#[utoipa::path(
    post,
    path = "/api/v1/recommendations/preview",
    tag = "recommendations",
    params(LanguageQuery),
    request_body = PreviewRequest,
    responses(
        (status = 200, description = "the list", body = PreviewResponse, headers(("Content-Language" = String, description = "the display language if texts are in it, else the catalogue's own"))),
        InvalidRequest, NotThatUser, UserNotFound, NotTrained,
    )
)]
pub(super) async fn create_preview(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<LanguageQuery>,
    AcceptLanguage(accepted): AcceptLanguage,
    Json(request): Json<PreviewRequest>,
) -> Result<(ContentLanguage, JsonBody<PreviewResponse>), ApiError> {
    let recommender = &state.recommender;
    let user = match request.user_id {
        None => None,
        Some(id) => {
            let message = "must be a user's id, 1 and up";
            let id = UserId::new(id).ok_or_else(|| RecommendError::field("user_id", message))?;
            if !may_see(&caller, id.get()) {
                return Err(ApiError::Forbidden(
                    "a preview may start from your own history only; leave user_id out",
                ));
            }
            Some(id)
        }
    };
    let (rules, weights, ranking) =
        check(&request, recommender).map_err(RecommendError::Invalid)?;
    let explain = request.explain.unwrap_or(true);
    let reactions = [
        (Reaction::Like, request.likes),
        (Reaction::Dislike, request.dislikes),
    ];
    let profile = recommender.hypothetical_profile(user, reactions, request.preferences);
    let profile = profile.await?;
    let preferred = profile.preferred_language();
    let page = recommender
        .preview(profile, Some(rules), weights, ranking)
        .await?;
    let language = state
        .languages
        .choose([query.language, accepted, preferred]);
    let catalogue = recommender.catalogue();
    let localized = catalogue.localized(language.primary());
    let recommendations = films(&localized, &page, explain);
    let body = PreviewResponse {
        recommendations,
        generated_at: page
            .list
            .created_at
            .to_rfc3339_opts(SecondsFormat::Secs, true),
        strategy: page.list.strategy,
        model: ModelResponse::new(&page),
    };
    Ok((ContentLanguage(language), JsonBody(body)))
}
