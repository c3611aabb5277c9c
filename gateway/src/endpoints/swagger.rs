//! Swagger UI and the OpenAPI documents that it shows. All files come from the gateway: the page makes no
//! request to other hosts. The services' documents are fetched on demand.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use chassis::{Problem, problem::from_status};
use hyper::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderValue, LOCATION},
    http::uri::PathAndQuery,
};
use utoipa_swagger_ui::{Config, Url, serve};

use super::add_file_headers;
use crate::{
    message::Response,
    openapi,
    proxy::{
        internal::InternalCall,
        problem::{timed_out, upstream_failed},
    },
    response::{self, Body},
    routes::Service,
    state::ThreadState,
};

/// The script of Swagger UI adds inline styles and images to the page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::from(openapi::document().to_json().unwrap_or_default()));

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let documents = [
        Url::with_primary(openapi::NAME, "/swagger/docs/marquee.json", true),
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
            // By default documents are sent to a public validation service.
            .validator_url("none"),
    )
});

/// `/swagger`.
pub(crate) fn redirect() -> Response<Body> {
    let mut response = response::empty(StatusCode::MOVED_PERMANENTLY);
    let location = HeaderValue::from_static("/swagger/");
    response.headers.insert(LOCATION, location);
    response
}

/// `/swagger/{file}`; the empty name is the page.
///
/// # Errors
/// 404 if there is no such file.
pub(crate) fn file(name: &str) -> Result<Response<Body>, Problem> {
    let Ok(Some(file)) = serve(name, Arc::clone(&CONFIG)) else {
        return Err(from_status(StatusCode::NOT_FOUND));
    };
    let content_type = HeaderValue::try_from(file.content_type)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    let mut response = response::document(
        StatusCode::OK,
        content_type,
        Bytes::from(file.bytes.into_owned()),
    );
    add_file_headers(&mut response.headers, POLICY);
    Ok(response)
}

/// `/swagger/docs/{name}`.
///
/// # Errors
/// 404 if there is no such document; 502, 503 or 504 if its service does not provide it.
pub(crate) async fn document(
    state: &ThreadState,
    name: &str,
    call: &InternalCall<'_>,
) -> Result<Response<Body>, Problem> {
    let name = name.strip_suffix(".json").unwrap_or_default();
    // The gateway's name is the earlier path.
    if name == openapi::NAME || name == crate::NAME {
        let mut response = response::document(StatusCode::OK, response::JSON, DOCUMENT.clone());
        add_file_headers(&mut response.headers, POLICY);
        return Ok(response);
    }
    let Some(service) = Service::ALL
        .into_iter()
        .find(|service| service.name() == name)
    else {
        return Err(from_status(StatusCode::NOT_FOUND));
    };
    let time_limit = state.shared.config.process.request_timeout();
    let target = PathAndQuery::from_static("/openapi.json");
    let document = call.get(state.upstream(service), &target);
    let mut response = match tokio::time::timeout(time_limit, document).await {
        Ok(Ok(response)) if response.status == StatusCode::OK => response,
        Ok(Ok(_)) => return Err(from_status(StatusCode::SERVICE_UNAVAILABLE)),
        Ok(Err(failure)) => return Err(upstream_failed(service, &failure)),
        Err(_) => return Err(timed_out(None)),
    };
    let headers = &mut response.headers;
    headers.insert(CONTENT_TYPE, response::JSON);
    add_file_headers(headers, POLICY);
    Ok(response.map(response::streamed))
}
