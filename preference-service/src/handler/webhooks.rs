//! Webhooks of media servers: the endpoint that receives their deliveries, and the management of a user's hooks.

use std::collections::BTreeMap;

use axum::{
    Json as JsonBody,
    body::Bytes,
    extract::{FromRequest, Multipart, Request, State},
    http::{StatusCode, header},
    response::IntoResponse,
};
use chassis::{
    Problem,
    caller::Caller,
    extract::{Json, Path, parse_optional_json, read_body},
    openapi::{BodyTooLarge, InvalidId, InvalidRequest},
    problem::{FieldError, ProblemDocument},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{error::UserNotFound, no_store::NO_STORE, proof::ProofRequest};
use crate::{
    error::Error,
    models::{DeliveryOutcome, NewWebhook, Provider, UserId, Webhook},
    service::confirmation::Requester,
    state::AppState,
};

/// The maximum size of the JSON of a delivery, in bytes. The body, with the thumbnail that Plex attaches, is bounded as all
/// are.
const MAX_PAYLOAD_BYTES: usize = 256 * 1024;

/// A request for a webhook.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"provider": "jellyfin", "name": "living room"}))]
pub(super) struct CreateWebhookRequest {
    /// The server that sends to it.
    provider: Provider,
    /// A name for the hook, 1 to 100 characters.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]*[^\s\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB][^\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]*$"
    )]
    name: String,
    /// The only user of the server whose events count, by name or id; all by default.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]*[^\s\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB][^\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]*$"
    )]
    server_user: Option<String>,
    /// For a household, which administrators set up: the ids of our users by the names or ids of the server's users, 1 to
    /// 100. Events of other users of the server do not count. Not together with `server_user`.
    #[schema(value_type = Option<BTreeMap<String, UserId>>, example = json!({"living room": 2}))]
    users: Option<BTreeMap<String, UserId>>,
    /// The caller's present password; required unless the caller logged in during the last five minutes or has no password.
    #[schema(value_type = Option<String>)]
    current_password: Option<SecretString>,
}

/// A webhook with its secret.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": 1,
    "provider": "jellyfin",
    "name": "living room",
    "prefix": "mqw_Xq3p0a",
    "server_user": null,
    "users": null,
    "created_at": "2026-02-13T08:15:42.123456Z",
    "rotated_at": "2026-02-13T08:15:42.123456Z",
    "deliveries": [],
    "secret": "mqw_Xq3p0aJ…43 characters…",
    "path": "/api/v1/webhooks/jellyfin/mqw_Xq3p0aJ…43 characters…"
}))]
pub(super) struct NewWebhookResponse {
    #[serde(flatten)]
    webhook: Webhook,
    /// The secret in clear text, returned only here.
    secret: String,
    /// The path to which the server sends its deliveries, with the secret.
    path: String,
}

impl NewWebhookResponse {
    fn new((webhook, secret): (Webhook, String)) -> Self {
        let path = format!("/api/v1/webhooks/{}/{secret}", webhook.provider.as_str());
        Self {
            webhook,
            secret,
            path,
        }
    }
}

/// The webhooks of a user.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"webhooks": []}))]
pub(super) struct WebhooksResponse {
    /// Newest first, at most 20.
    webhooks: Vec<Webhook>,
}

/// The payload of a media server, in its own layout.
#[derive(ToSchema)]
#[schema(value_type = Object, example = json!({
    "NotificationType": "PlaybackStop",
    "UtcTimestamp": "2026-02-13T08:15:42Z",
    "NotificationUsername": "living room",
    "ItemType": "Movie",
    "Name": "The Matrix",
    "Year": 1999,
    "Provider_tmdb": "603",
    "PlayedToCompletion": true
}))]
#[expect(dead_code, reason = "describes the body, which is read as bytes")]
struct DeliveryPayload(serde_json::Value);

/// The outcome of a delivery.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"outcome": "applied", "repeated": false, "reason": null}))]
pub(super) struct DeliveryResponse {
    /// The outcome.
    outcome: DeliveryOutcome,
    /// True if the delivery was received before, and changed nothing this time.
    repeated: bool,
    /// The reason for which it was not applied.
    reason: Option<&'static str>,
}

chassis::problem_responses! {
    /// 404: the user has no such webhook.
    pub(super) WebhookNotFound = 404, "the user has no such webhook: `webhook not found`";
}

/// Create a webhook
///
/// Creates a hook for a media server, and returns its secret once; only a hash is stored. Requires an access token, and as
/// for API keys a login of the last five minutes or the password: a stolen access token does not suffice.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/webhooks",
    tag = "webhooks",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    request_body = CreateWebhookRequest,
    responses(
        (status = 201, description = "the new webhook with its secret", body = NewWebhookResponse),
        InvalidRequest,
        (status = 403, description = "`users` requires an administrator; or the present password is wrong or absent, and the login is older than five minutes", body = ProblemDocument, content_type = "application/problem+json"),
        UserNotFound,
        (status = 409, description = "the user has 20 webhooks", body = ProblemDocument, content_type = "application/problem+json"),
        BodyTooLarge,
    )
)]
pub(super) async fn create_webhook(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    caller: Caller,
    Json(request): Json<CreateWebhookRequest>,
) -> Result<impl IntoResponse, Problem> {
    let CreateWebhookRequest {
        provider,
        name,
        server_user,
        users,
        current_password,
    } = request;
    let hook = NewWebhook::parse(provider, &name, server_user, users)?;
    let requester = Requester::new(&caller, current_password.as_ref());
    let created = state.webhooks.create(user_id, &hook, &requester).await?;
    let body = JsonBody(NewWebhookResponse::new(created));
    Ok((StatusCode::CREATED, NO_STORE, body))
}

/// List webhooks
///
/// Lists the user's webhooks, newest first, without their secrets, each with its last deliveries.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/webhooks",
    tag = "webhooks",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    responses(
        (status = 200, description = "the webhooks", body = WebhooksResponse),
        InvalidId, UserNotFound,
    )
)]
pub(super) async fn list_webhooks(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
) -> Result<JsonBody<WebhooksResponse>, Problem> {
    let webhooks = state.webhooks.list(user_id).await?;
    Ok(JsonBody(WebhooksResponse { webhooks }))
}

/// Rotate a webhook's secret
///
/// Replaces the secret, and returns the new one once. The old one is invalid at once. It requires a login of the last five
/// minutes, or the caller's password in the body.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/webhooks/{webhook_id}/rotate",
    tag = "webhooks",
    params(
        ("id" = UserId, Path, description = "The user's id.", example = 1),
        ("webhook_id" = i64, Path, description = "The webhook's id.", example = 1),
    ),
    request_body(content = inline(Option<ProofRequest>), description = "optional; required without a recent login"),
    responses(
        (status = 200, description = "the webhook with its new secret", body = NewWebhookResponse),
        InvalidRequest,
        (status = 403, description = "the present password is wrong or absent, and the login is older than five minutes", body = ProblemDocument, content_type = "application/problem+json"),
        WebhookNotFound, BodyTooLarge,
    )
)]
pub(super) async fn rotate_webhook(
    State(state): State<AppState>,
    Path((user_id, webhook_id)): Path<(UserId, i64)>,
    caller: Caller,
    body: Bytes,
) -> Result<impl IntoResponse, Problem> {
    let proof: ProofRequest = parse_optional_json(&body)?;
    let requester = proof.requester(&caller);
    let rotated = state.webhooks.rotate(user_id, webhook_id, &requester);
    let rotated = rotated.await?;
    let body = JsonBody(NewWebhookResponse::new(rotated));
    Ok((NO_STORE, body))
}

/// Revoke a webhook
///
/// Deletes a webhook with its deliveries; its secret is invalid at once.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}/webhooks/{webhook_id}",
    tag = "webhooks",
    params(
        ("id" = UserId, Path, description = "The user's id.", example = 1),
        ("webhook_id" = i64, Path, description = "The webhook's id.", example = 1),
    ),
    responses(
        (status = 204, description = "the webhook is deleted"),
        InvalidId, WebhookNotFound,
    )
)]
pub(super) async fn delete_webhook(
    State(state): State<AppState>,
    Path((user_id, webhook_id)): Path<(UserId, i64)>,
) -> Result<StatusCode, Problem> {
    state.webhooks.delete(user_id, webhook_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Receive a delivery
///
/// Receives what a media server plays: progress, completion, marks as played and not played, and ratings of movies. The
/// secret in the path is the authentication. Send Jellyfin's properties ("Send All Properties"), Plex's and Emby's payload, or
/// Kodi's notification as JSON, or as the part `payload` or `data` of a form. Deliveries may be repeated and arrive in any
/// order: each counts once, at the time of its event. A delivery whose movie cannot be found now is kept, and applied when
/// the movie comes into the catalogue. A mark as not played clears what media servers have reported, and
/// nothing that the user or an import has.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{provider}/{secret}",
    tag = "webhooks",
    params(
        ("provider" = Provider, Path, description = "The server.", example = "jellyfin"),
        ("secret" = String, Path, description = "The webhook's secret.", example = "mqw_Xq3p0aJ", pattern = r"^[A-Za-z0-9_-]+$"),
    ),
    request_body = DeliveryPayload,
    responses(
        (status = 200, description = "the delivery was received", body = DeliveryResponse),
        (status = 400, description = "the payload cannot be read", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "no webhook has this secret: `webhook not found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the delivery is larger than 1 MiB, or its JSON than 256 KiB", body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(())
)]
pub(super) async fn receive_delivery(
    State(state): State<AppState>,
    Path((provider, secret)): Path<(String, String)>,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    let provider = Provider::parse(&provider).ok_or(Error::WebhookNotFound)?;
    let payload = read_payload(request).await?;
    let delivered = state.webhooks.deliver(provider, &secret, &payload).await?;
    let body = DeliveryResponse {
        outcome: delivered.outcome,
        repeated: delivered.is_repeated,
        reason: delivered.reason,
    };
    Ok((NO_STORE, JsonBody(body)))
}

/// Reads the JSON of a delivery: the body, or a part of a form.
async fn read_payload(request: Request) -> Result<Bytes, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let payload = if kind.starts_with("multipart/form-data") {
        read_part(request).await?
    } else {
        read_body(request).await?
    };
    if payload.len() > MAX_PAYLOAD_BYTES {
        let error = "the payload is too large";
        let detail = format!("it is at most {MAX_PAYLOAD_BYTES} bytes of JSON");
        let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", error);
        return Err(problem.detail(detail));
    }
    Ok(payload)
}

async fn read_part(request: Request) -> Result<Bytes, Problem> {
    let invalid = |message: String| Problem::from(FieldError::new("payload", message));
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| invalid(error.body_text()))?;
    while let Some(part) = form
        .next_field()
        .await
        .map_err(|error| invalid(error.body_text()))?
    {
        if matches!(part.name(), Some("payload" | "data")) {
            return part
                .bytes()
                .await
                .map_err(|error| invalid(error.body_text()));
        }
    }
    Err(invalid("must be a part of the form".to_owned()))
}
