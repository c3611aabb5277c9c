//! The rules by which films are scored.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{rules::Rule, state::AppState};

/// The active rules.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RulesResponse {
    /// By type.
    rules: Vec<Rule>,
}

/// List the rules
///
/// The active rules with their weights, by type.
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
