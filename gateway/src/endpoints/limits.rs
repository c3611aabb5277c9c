//! `GET /api/v1/users/{id}/limits`: what is left of a user's rate limits, and when more comes.

use chassis::{Problem, problem::from_status};
use hyper::StatusCode;

use crate::{
    message::Response,
    middleware::{auth::Principal, client_ip::ClientKey, rate_limit::RateLimiter},
    response::{Body, json},
};

/// The limits of the user `id`, for `caller`, who may see them, at the address `client`.
///
/// # Errors
/// 400 if `id` is not the id of a user.
pub(crate) async fn of_user(
    limiter: &RateLimiter,
    id: &str,
    caller: Option<&Principal>,
    client: ClientKey,
) -> Result<Response<Body>, Problem> {
    let user_id = id.parse().ok().filter(|id| *id > 0).ok_or_else(|| {
        from_status(StatusCode::BAD_REQUEST)
            .error("invalid user ID")
            .detail("the id of a user is a positive integer")
    })?;
    let limits = match caller.filter(|caller| caller.subject == id) {
        Some(caller) => limiter.own_limits(user_id, caller, client).await,
        None => limiter.limits_of(user_id).await,
    };
    Ok(json(StatusCode::OK, &limits))
}
