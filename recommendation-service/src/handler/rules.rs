//! The rules.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{rules::Rule, state::AppState};

/// The active rules.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RulesResponse {
    /// The active rules, by type.
    rules: Vec<Rule>,
}

/// List the rules
///
/// Lists the active rules with their weights, by type.
#[utoipa::path(
    get,
    path = "/api/v1/rules",
    tag = "rules",
    responses((status = 200, description = "the active rules", body = RulesResponse))
)]
pub(super) async fn list_rules(State(state): State<AppState>) -> Json<RulesResponse> {
    Json(RulesResponse {
        rules: state.recommender.rules().to_vec(),
    })
}
