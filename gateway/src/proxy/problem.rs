//! The problems that failures of services become. Clients learn nothing about what is behind the gateway;
//! the cause goes into the access log.

use chassis::{Problem, problem::from_status};
use hyper::StatusCode;

use super::{forward::Failure, request_body::RequestBodyState};
use crate::{admission::count_refusal, routes::Service};

/// The problem that `failure` of `service` is for the client.
pub(crate) fn upstream_failed(service: Service, failure: &Failure) -> Problem {
    if matches!(failure, Failure::Unresponsive) {
        count_refusal("breaker");
    }
    let problem = match failure {
        Failure::Unreachable(_) | Failure::Unresponsive => unavailable(service),
        Failure::Unusable(_) | Failure::SwitchingProtocols | Failure::TokenRefused => {
            bad_gateway(service)
        }
        Failure::BodyTooLarge { limit } => Problem::body_too_large(*limit),
        Failure::BodyTooSlow => too_slow(),
        Failure::BodyBroken => from_status(StatusCode::BAD_REQUEST)
            .error("invalid request body")
            .detail("the request body is malformed or ended early; send it again"),
    };
    problem.cause(failure)
}

/// 503: `service` cannot be reached or refuses to serve the gateway.
pub(crate) fn unavailable(service: Service) -> Problem {
    Problem::unavailable(service.name())
}

/// 502: the response of `service` cannot be used.
pub(crate) fn bad_gateway(service: Service) -> Problem {
    let error = format!("{} gave no usable response", service.name());
    Problem::new(StatusCode::BAD_GATEWAY, "bad-gateway", error).detail(
        "the failure is not caused by the request; retry it, and report the request_id if it persists",
    )
}

/// 408 if the client is still to send some of its body, otherwise 504: the time limit has passed.
pub(crate) fn timed_out(body: Option<RequestBodyState>) -> Problem {
    if body == Some(RequestBodyState::AwaitingClient) {
        return too_slow();
    }
    count_refusal("timeout");
    Problem::timed_out().detail("the service did not respond within the time limit; retry later")
}

/// 408: the client sends its body too slowly.
fn too_slow() -> Problem {
    count_refusal("slow_body");
    let error = "the request body took too long";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", error)
        .detail("send the body faster, or a smaller one")
}
