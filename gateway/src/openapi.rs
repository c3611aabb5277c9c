//! The public OpenAPI document: the operations that the route table forwards, as the services' committed documents
//! describe them, with what the gateway adds, and the gateway's own operations.

use chassis::{
    health::{Dependency, Liveness, Readiness},
    openapi::problem_response,
};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema, openapi::OpenApi};

use crate::{
    middleware::rate_limit::{LimitReport, UserLimits},
    routes::{Access, Handler, Limits, ROUTES, Route, Service},
};

/// The document's name in its path and file.
pub const NAME: &str = "marquee";

/// The problems of the gateway beside those that every service has: name, description.
const PROBLEMS: [(&str, &str); 7] = [
    ("BadRequest", "the request target or the body is malformed"),
    ("NotFound", "the path or the resource does not exist"),
    (
        "RequestTimeout",
        "the client took too long to send the request body",
    ),
    (
        "BodyTooLarge",
        "the body exceeds BODY_LIMIT_BYTES, by default 1 MiB",
    ),
    (
        "ImportTooLarge",
        "the body exceeds IMPORT_BODY_LIMIT_BYTES, by default 16 MiB",
    ),
    ("UriTooLong", "the request target is too long"),
    ("BadGateway", "the service gave no usable response"),
];

/// Those of [`HEADERS`] on responses that may be stored.
const CACHE_HEADERS: [&str; 2] = ["Age", "Cache-Status"];

/// Headers that the gateway adds: name, type, description.
const HEADERS: [(&str, &str, &str); 10] = [
    (
        "X-Request-Id",
        "string",
        "the id of the request in the logs",
    ),
    ("X-RateLimit-Limit", "integer", "requests per window"),
    (
        "X-RateLimit-Remaining",
        "integer",
        "requests that are left in the window",
    ),
    (
        "X-RateLimit-Reset",
        "integer",
        "seconds until the window ends",
    ),
    (
        "RateLimit",
        "string",
        "the remaining quota and the seconds until it is reset (draft-ietf-httpapi-ratelimit-headers-08)",
    ),
    (
        "RateLimit-Policy",
        "string",
        "the quota and its window in seconds (draft-ietf-httpapi-ratelimit-headers-08)",
    ),
    (
        "Retry-After",
        "integer",
        "seconds after which to send the request again",
    ),
    ("WWW-Authenticate", "string", "the scheme: Bearer"),
    (
        "Age",
        "integer",
        "seconds since the service made or confirmed the response; absent unless the gateway had stored it",
    ),
    (
        "Cache-Status",
        "string",
        "the way in which the gateway's cache served the response (RFC 9211)",
    ),
];

/// The OpenAPI document.
///
/// # Panics
/// Panics if a service's committed document is not valid JSON, lacks an operation of the route table, or has a component
/// of the same name as another one, which the tests exclude.
pub fn document() -> OpenApi {
    let services = Service::ALL.map(service_document);
    let mut components = own_components();
    let mut tags = Vec::new();
    for service in &services {
        merge(&mut components, &service["components"]);
        for tag in service["tags"].as_array().expect("tags") {
            if !tags
                .iter()
                .any(|known: &Value| known["name"] == tag["name"])
            {
                tags.push(tag.clone());
            }
        }
    }
    tags.push(json!({"name": crate::NAME, "description": "The gateway itself."}));
    let responses = components["responses"].as_object_mut();
    for (name, response) in responses.into_iter().flatten() {
        add_headers(name, response);
    }
    let mut paths = Map::new();
    for route in ROUTES {
        let operation = match route.handler {
            // Files are not part of the API.
            Handler::Swagger | Handler::SwaggerRedirect | Handler::Page | Handler::PageSession => {
                continue;
            }
            Handler::Upstream(service) => forwarded(route, &services[service as usize]),
            _ => own_operation(route),
        };
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[method(route)] = finish(operation, route);
    }
    let [any, ..] = &services;
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Marquee",
            "description": "Movies, users' interactions with them, and recommendations. This product uses the TMDB API \
                            but is not endorsed or certified by TMDB.",
            "contact": any["info"]["contact"],
            "license": any["info"]["license"],
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": any["servers"],
        "paths": paths,
        "components": components,
        "tags": tags,
    });
    serde_json::from_value(document).expect("an OpenAPI document")
}

fn service_document(service: Service) -> Value {
    let text = match service {
        Service::Movie => include_str!("../../openapi/movie-service.json"),
        Service::Preference => include_str!("../../openapi/preference-service.json"),
        Service::Recommendation => include_str!("../../openapi/recommendation-service.json"),
    };
    serde_json::from_str(text).expect("a committed document")
}

fn own_components() -> Value {
    let problems = PROBLEMS.map(|(name, description)| (name, json!(problem_response(description))));
    let headers = HEADERS.map(|(name, kind, description)| {
        let header = json!({"description": description, "schema": {"type": kind}});
        (name, header)
    });
    json!({
        "schemas": {
            (Liveness::name()): Liveness::schema(),
            (Readiness::name()): Readiness::schema(),
            (Dependency::name()): Dependency::schema(),
            (UserLimits::name()): UserLimits::schema(),
            (LimitReport::name()): LimitReport::schema(),
        },
        "responses": problems.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "headers": headers.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

/// Adds the components `more` to `all`.
fn merge(all: &mut Value, more: &Value) {
    for (kind, components) in more.as_object().into_iter().flatten() {
        for (name, component) in components.as_object().into_iter().flatten() {
            let known = &mut all[kind][name];
            if known.is_null() {
                *known = component.clone();
            }
            assert_eq!(known, component, "two components are named {name}");
        }
    }
}

/// Adds the headers of a response with this status or component name.
fn add_headers(name: &str, response: &mut Value) {
    let own: &[&str] = match name {
        "401" | "Unauthorized" => &["WWW-Authenticate"],
        "429" | "503" | "RateLimited" | "Unavailable" => &["Retry-After"],
        _ => &[],
    };
    for name in HEADERS[..6].iter().map(|(name, ..)| name).chain(own) {
        response["headers"][name] = json!({"$ref": format!("#/components/headers/{name}")});
    }
}

fn method(route: &Route) -> String {
    route.method.as_str().to_ascii_lowercase()
}

/// The operation of a service, with the responses of the gateway.
fn forwarded(route: &Route, service: &Value) -> Value {
    let mut operation = service["paths"][route.path][method(route)].clone();
    let too_large = match route.limits {
        Limits::Ordinary | Limits::Sync => "BodyTooLarge",
        Limits::Import => "ImportTooLarge",
    };
    let responses = operation["responses"].as_object_mut();
    let responses = responses.unwrap_or_else(|| panic!("{} is not documented", route.path));
    responses.insert("413".to_owned(), problem(too_large));
    for (status, name) in [
        ("400", "BadRequest"),
        ("404", "NotFound"),
        ("408", "RequestTimeout"),
        ("414", "UriTooLong"),
        ("502", "BadGateway"),
    ] {
        responses.entry(status).or_insert_with(|| problem(name));
    }
    if route.shared {
        for status in ["200", "304"] {
            let Some(response) = responses.get_mut(status) else {
                continue;
            };
            for name in CACHE_HEADERS {
                let header = &mut response["headers"][name];
                if header.is_null() {
                    *header = json!({"$ref": format!("#/components/headers/{name}")});
                }
            }
        }
    }
    operation
}

/// An operation of the gateway itself.
fn own_operation(route: &Route) -> Value {
    let (summary, mut responses) = match route.handler {
        Handler::Health => (
            "Liveness",
            json!({"200": report("the gateway is alive", &Liveness::name())}),
        ),
        Handler::Ready => (
            "Readiness",
            json!({
                "200": report("the gateway is ready", &Readiness::name()),
                "503": report("the gateway is stopping", &Readiness::name()),
            }),
        ),
        Handler::Metrics => (
            "Metrics for Prometheus",
            json!({
                "200": body("metrics in the text format of Prometheus", "text/plain", json!({"type": "string"})),
                "401": problem("Unauthorized"),
                "403": problem("Forbidden"),
                "429": problem("RateLimited"),
                "503": problem("Unavailable"),
            }),
        ),
        Handler::UserLimits => (
            "The remaining quotas of a user's rate limits",
            json!({
                "200": report("the limits", &UserLimits::name()),
                "401": problem("Unauthorized"),
                "403": problem("Forbidden"),
                "429": problem("RateLimited"),
                "503": problem("Unavailable"),
            }),
        ),
        _ => (
            "OpenAPI document",
            json!({
                "200": body("the document", "application/json", json!({"type": "object"})),
                "404": problem("NotFound"),
                "429": problem("RateLimited"),
                "502": problem("BadGateway"),
                "503": problem("Unavailable"),
                "504": problem("TimedOut"),
            }),
        ),
    };
    for (status, name) in [
        ("400", "BadRequest"),
        ("414", "UriTooLong"),
        ("500", "InternalError"),
    ] {
        responses[status] = problem(name);
    }
    let id = route.path.replace('/', "_").replace(['{', '}'], "");
    let mut operation = json!({
        "tags": [crate::NAME],
        "summary": summary,
        "operationId": format!("{}{id}", method(route)),
        "responses": responses,
    });
    if route.handler == Handler::Document {
        let names = Service::ALL.map(Service::name);
        let names = std::iter::once(NAME).chain(names);
        let documents: Vec<String> = names.map(|name| format!("{name}.json")).collect();
        operation["parameters"] = json!([{
            "name": "document",
            "in": "path",
            "description": "The name of a document, with `.json`.",
            "required": true,
            "schema": {"type": "string", "enum": documents},
            "example": format!("{NAME}.json"),
        }]);
    }
    if route.handler == Handler::UserLimits {
        operation["description"] = "Does not count towards the user's own limits, only towards that of the client address. \
                                    For another user than the caller: the limits of the plan in USER_PLANS, else of \
                                    the role `user`; limits of client addresses and API keys are omitted."
            .into();
        operation["parameters"] = json!([{
            "name": "id",
            "in": "path",
            "description": "The user's id.",
            "required": true,
            "schema": {"type": "integer", "format": "int64", "minimum": 1},
            "example": 1,
        }]);
    }
    operation
}

/// Adds what all operations have: who may use it, and the headers of its responses.
fn finish(mut operation: Value, route: &Route) -> Value {
    let (permission, security) = match route.access {
        Access::Public => ("Needs no token.", json!([])),
        Access::SignUp => (
            "Needs no token; a token that is sent must be valid.",
            json!([{}, {"bearer": []}]),
        ),
        Access::AnyUser => ("For authenticated users.", json!([{"bearer": []}])),
        Access::ThatUser => (
            "For the user whose id is in the path, and for administrators.",
            json!([{"bearer": []}]),
        ),
        Access::Moderator => (
            "For moderators and administrators.",
            json!([{"bearer": []}]),
        ),
        Access::Admin => ("For administrators.", json!([{"bearer": []}])),
        Access::Operator => (
            "For the networks in METRICS_NETWORKS, and for administrators.",
            json!([{}, {"bearer": []}]),
        ),
    };
    let api_keys = match route.interactive_login_only {
        true => " API keys are refused.",
        false => "",
    };
    let description = operation["description"].as_str().unwrap_or_default();
    let description = format!("{description}\n\n{permission}{api_keys}");
    operation["description"] = description.trim_start().into();
    operation["security"] = security;
    let responses = operation["responses"].as_object_mut().expect("responses");
    if route.access == Access::Public {
        let refused = [problem("Unauthorized"), problem("Forbidden")];
        responses.retain(|_, response| !refused.contains(response));
    }
    for (status, response) in responses {
        if response.get("$ref").is_none() {
            add_headers(status, response);
        }
    }
    operation
}

fn problem(name: &str) -> Value {
    json!({"$ref": format!("#/components/responses/{name}")})
}

fn report(description: &str, schema: &str) -> Value {
    let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
    body(description, "application/json", schema)
}

fn body(description: &str, kind: &str, schema: Value) -> Value {
    json!({"description": description, "content": {(kind): {"schema": schema}}})
}
