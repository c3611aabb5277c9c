//! Swagger UI, from this program alone: no request leaves the page for anywhere else. The documents
//! are the gateway's own and the services', the latter fetched when somebody looks.

use std::sync::Arc;

use bytes::Bytes;
use chassis::problem::from_status;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
        REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
    http::uri::PathAndQuery,
};
use utoipa_swagger_ui::{Config, Url, serve};

use crate::{
    answer::{self, Body, Refusal},
    handler::failed,
    own::{self, Asked},
    proxy::clean_answer,
    worker::Worker,
};

const DOCUMENT: PathAndQuery = PathAndQuery::from_static("/openapi.json");
/// The page's own scripts and requests, and the styles and images that Swagger UI writes into it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// How Swagger UI is set up.
#[must_use]
pub fn config() -> Arc<Config<'static>> {
    let documents = [
        Url::with_primary("gateway", "/swagger/docs/gateway.json", true),
        Url::new("movie-service", "/swagger/docs/movie-service.json"),
        Url::new(
            "preference-service",
            "/swagger/docs/preference-service.json",
        ),
        Url::new(
            "recommendation-service",
            "/swagger/docs/recommendation-service.json",
        ),
    ];
    Arc::new(
        Config::new(documents)
            .persist_authorization(true)
            .try_it_out_enabled(true)
            .deep_linking(true)
            .display_request_duration(true)
            // The default sends the documents to a server on the internet.
            .validator_url("none"),
    )
}

/// `/swagger`.
#[must_use]
pub fn redirect() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    let to = HeaderValue::from_static("/swagger/");
    response.headers_mut().insert(LOCATION, to);
    response
}

/// `/swagger/{file}`; no file: the page.
///
/// # Errors
/// 404 where there is no such file.
pub fn file(worker: &Worker, file: &str) -> Result<Response<Body>, Refusal> {
    let found = serve(file, Arc::clone(&worker.shared.swagger))
        .ok()
        .flatten();
    let Some(found) = found else {
        return Err(from_status(StatusCode::NOT_FOUND).into());
    };
    let kind = HeaderValue::try_from(found.content_type)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    let mut response = answer::of_type(kind, Bytes::from(found.bytes.into_owned()));
    secure(response.headers_mut());
    Ok(response)
}

/// `/swagger/docs/{document}`.
///
/// # Errors
/// 404 where there is no such document, 503 where its service is away.
pub async fn document(
    worker: &Worker,
    document: &str,
    asked: &Asked<'_>,
) -> Result<Response<Body>, Refusal> {
    let name = document.strip_suffix(".json").unwrap_or_default();
    if name == crate::NAME {
        let mut response = answer::of_type(answer::JSON, worker.shared.openapi.clone());
        secure(response.headers_mut());
        return Ok(response);
    }
    let Some(service) = own::service_named(name) else {
        return Err(from_status(StatusCode::NOT_FOUND).into());
    };
    let limit = worker.shared.config.process.request_timeout();
    let target = DOCUMENT;
    let got = own::get(worker.upstream(service), &target, asked);
    let mut response = match tokio::time::timeout(limit, got).await {
        Ok(Ok(response)) if response.status() == StatusCode::OK => response,
        Ok(Ok(_)) => return Err(from_status(StatusCode::SERVICE_UNAVAILABLE).into()),
        Ok(Err(failure)) => return Err(failed(service, &failure)),
        Err(_) => return Err(from_status(StatusCode::GATEWAY_TIMEOUT).into()),
    };
    let headers = response.headers_mut();
    clean_answer(headers);
    headers.insert(CONTENT_TYPE, answer::JSON);
    secure(headers);
    Ok(response)
}

fn secure(headers: &mut HeaderMap) {
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(OPENER, HeaderValue::from_static("same-origin"));
    // The program may be another one after the next start.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}
