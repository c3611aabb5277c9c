//! The versions of the rules: list, put, preview. For administrators.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use chassis::{
    caller::Caller,
    extract::{self, Bounded, Query},
    language::{AcceptLanguage, ContentLanguage},
    openapi::InvalidRequest,
    paging::{DEFAULT_PAGE_SIZE, Page, PageSize, total_pages},
    validate::{FieldError, Validator},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    handler::{
        error::ApiError,
        ranking_request::LanguageQuery,
        recommendations::{RecommendationResponse, films},
        responses::{RulesNotMatched, RulesOutdated, UserNotFound},
    },
    read_model::UserId,
    rules::{
        RuleDraft, RuleSet, Weights,
        store::{RuleSetError, check_rules},
    },
    state::AppState,
};

const DEFAULT_LIMIT: i64 = 10;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// The page, from 1.
    #[param(inline, required = false, default = 1, example = 2)]
    pub(super) page: Option<Page>,
    /// The page size.
    #[param(inline, required = false, default = 20, example = 10)]
    pub(super) page_size: Option<PageSize>,
}

impl PageQuery {
    /// The page, the page size and the offset.
    pub(super) fn place(&self) -> (i64, i64, i64) {
        let page = self.page.map_or(1, Bounded::get);
        let size = self.page_size.map_or(DEFAULT_PAGE_SIZE, Bounded::get);
        (page, size, (page - 1) * size)
    }
}

/// A page of the versions of the rules.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleSetsResponse {
    /// The page, from 1.
    page: i64,
    /// The page size.
    page_size: i64,
    /// The number of pages.
    total_pages: i64,
    /// The number of versions.
    total_results: i64,
    /// The versions, newest first; the highest is in force.
    data: Vec<RuleSet>,
}

/// A new version of the rules.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "rules": [
        {"name": "Popularity Score", "rule_type": "popularity", "weight": 0.4},
        {"name": "Recency Bonus", "rule_type": "recency", "weight": 0.3},
        {"name": "Genre Match", "rule_type": "genre_match", "weight": 0.3},
    ],
    "note": "as it began",
}))]
pub(super) struct PutRulesRequest {
    /// The rules that replace all others; each type at most once. A type that is not named is removed.
    #[schema(min_items = 1, max_items = 3)]
    rules: Vec<RuleDraft>,
    /// The version that they follow; refused if another one is in force. The same as `If-Match`.
    #[schema(example = 1, minimum = 1)]
    version: Option<i64>,
    /// A note.
    #[serde(default)]
    #[schema(
        max_length = 1000,
        pattern = r"^[^\u0000]*$",
        example = "less of what everybody sees"
    )]
    note: String,
}

/// Rules to preview.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "user_id": 1,
    "rules": [{"name": "Recency Bonus", "rule_type": "recency", "weight": 1.0}],
    "limit": 10,
}))]
pub(super) struct PreviewRulesRequest {
    /// The user.
    #[schema(value_type = i64, minimum = 1, example = 1)]
    user_id: Bounded<1, { i64::MAX }>,
    /// The rules; each type at most once.
    #[schema(min_items = 1, max_items = 3)]
    rules: Vec<RuleDraft>,
    /// The number of movies, 1 to 100; 10 if not given.
    #[schema(inline, example = 10)]
    limit: Option<Bounded<1, 100>>,
}

/// A movie of a preview.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PreviewedFilm {
    /// The movie.
    #[serde(flatten)]
    film: RecommendationResponse,
    /// The position, from 1, in the list of this length by the rules in force; null if it is not in it.
    #[schema(example = 3)]
    present_position: Option<usize>,
}

/// The preview of a user's list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RulesPreviewResponse {
    /// The user.
    user_id: UserId,
    /// The movies, best first.
    recommendations: Vec<PreviewedFilm>,
}

/// List rule versions
///
/// Lists all versions of the rules, newest first. To return to one, put its `rules` again. The `ETag` is the version in
/// force.
#[utoipa::path(
    get,
    path = "/api/v1/admin/rules",
    tag = "admin",
    params(PageQuery),
    responses(
        (status = 200, description = "the versions", body = RuleSetsResponse),
        InvalidRequest,
    )
)]
pub(super) async fn list_rule_sets(
    State(state): State<AppState>,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let (page, page_size, offset) = query.place();
    let (data, total) = state.rule_sets.list(offset, page_size).await?;
    let body = RuleSetsResponse {
        page,
        page_size,
        total_pages: total_pages(total, page_size),
        total_results: total,
        data,
    };
    // Versions are numbered without gaps, so the total is the latest version.
    Ok(tagged(total, Json(body).into_response()))
}

/// Replace the rules
///
/// Replaces all rules. Every replica uses them within seconds. With `If-Match` or `version`, only if that version is in
/// force, which prevents lost updates.
#[utoipa::path(
    put,
    path = "/api/v1/admin/rules",
    tag = "admin",
    request_body = PutRulesRequest,
    params(("If-Match" = Option<String>, Header, description = "the `ETag` of the version that they follow", example = "\"1\"", pattern = "^(\\*|\"[0-9]{1,18}\")$")),
    responses(
        (status = 200, description = "the new version of the rules", body = RuleSet),
        InvalidRequest, RulesOutdated, RulesNotMatched,
    )
)]
pub(super) async fn put_rules(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    extract::Json(request): extract::Json<PutRulesRequest>,
) -> Result<Response, ApiError> {
    let matched = if_match(&headers)?;
    let expected = matched.or(request.version);
    let put = state
        .rule_sets
        .put(request.rules, request.note, caller.subject, expected);
    let set = put.await.map_err(|error| match error {
        RuleSetError::Outdated { known, .. } if matched.is_some() => ApiError::NotMatched(known),
        error => error.into(),
    })?;
    // Other replicas poll the rules every few seconds; this replica applies them immediately.
    state.recommender.refresh_rules().await?;
    Ok(tagged(set.version, Json(set).into_response()))
}

/// Preview rules
///
/// Ranks movies for a user by these rules, with the position of each by the rules in force. Nothing is stored.
#[utoipa::path(
    post,
    path = "/api/v1/admin/rules/preview",
    tag = "admin",
    params(LanguageQuery),
    request_body = PreviewRulesRequest,
    responses(
        (status = 200, description = "the list", body = RulesPreviewResponse, headers(("Content-Language" = String, description = "the display language if texts are in it, else the catalogue's own"))),
        InvalidRequest, UserNotFound,
    )
)]
pub(super) async fn preview_rules(
    State(state): State<AppState>,
    Query(query): Query<LanguageQuery>,
    AcceptLanguage(accepted): AcceptLanguage,
    extract::Json(request): extract::Json<PreviewRulesRequest>,
) -> Result<(ContentLanguage, Json<RulesPreviewResponse>), ApiError> {
    let mut check = Validator::default();
    check_rules(&mut check, &request.rules);
    check.finish(()).map_err(RuleSetError::Invalid)?;
    let user_id = UserId::new(request.user_id.get()).ok_or_else(|| {
        let message = "must be a whole number from 1";
        RuleSetError::Invalid(vec![FieldError::new("user_id", message)])
    })?;
    let limit = request.limit.map_or(DEFAULT_LIMIT, Bounded::get);
    let limit = usize::try_from(limit).unwrap_or_default();
    let weights = Weights::of_drafts(&request.rules);
    let recommender = &state.recommender;
    let (page, positions) = recommender.preview_rules(user_id, weights, limit).await?;
    let language = state.languages.choose([query.language, accepted, None]);
    let catalogue = recommender.catalogue();
    let localized = catalogue.localized(language.primary());
    let recommendations = films(&localized, &page, false)
        .into_iter()
        .zip(positions)
        .map(|(film, present_position)| PreviewedFilm {
            film,
            present_position,
        })
        .collect();
    let body = RulesPreviewResponse {
        user_id,
        recommendations,
    };
    Ok((ContentLanguage(language), Json(body)))
}

/// Adds the version to `response` as its entity tag.
fn tagged(version: i64, mut response: Response) -> Response {
    if let Ok(tag) = HeaderValue::try_from(format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The version of `If-Match`; `None` if there is no such field, or it is `*`.
fn if_match(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let value = value.to_str().unwrap_or_default().trim();
    if value == "*" {
        return Ok(None);
    }
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let version = quoted.and_then(|version| version.parse().ok());
    version.map(Some).ok_or_else(|| {
        let message = "must be the ETag of the rules, such as \"3\"";
        RuleSetError::Invalid(vec![FieldError::new("If-Match", message)]).into()
    })
}
