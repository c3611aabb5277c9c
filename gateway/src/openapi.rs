//! The gateway's OpenAPI document, made from the route table. Path parameters come from the services' committed
//! documents, which also describe the bodies; Swagger UI lists them beside this one.

use chassis::{
    health::{Dependency, Liveness, Readiness},
    openapi::{complete, problem_response},
};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema, openapi::OpenApi};

use crate::routes::{Access, Limits, ROUTES, Route, Service, Target};

/// The OpenAPI document.
///
/// # Panics
/// Panics if a service's committed document is not valid JSON or lacks a schema, which the tests exclude.
pub fn document() -> OpenApi {
    let services = Service::ALL.map(service_document);
    let mut paths = Map::new();
    for route in ROUTES {
        // The files of Swagger UI are not part of the API.
        if !matches!(route.target, Target::Swagger | Target::SwaggerRedirect) {
            let path = paths.entry(route.path).or_insert_with(|| json!({}));
            path[method(route)] = operation(route, &services);
        }
    }
    let mut tags = Vec::from(Service::ALL.map(|service| {
        let name = service.name();
        let description =
            format!("Served by {name}, whose document describes parameters and bodies.");
        json!({"name": name, "description": description})
    }));
    tags.push(json!({"name": crate::NAME, "description": "Served by the gateway itself."}));
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Marquee: gateway",
            "description": "All public paths, and the responses that the gateway itself may give to requests for \
                            them. This product uses the TMDB API but is not endorsed or certified by TMDB.",
            "license": {"name": "MIT OR Apache-2.0"},
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {"schemas": {
            (Liveness::name()): Liveness::schema(),
            (Readiness::name()): Readiness::schema(),
            (Dependency::name()): Dependency::schema(),
        }},
        "tags": tags,
    });
    complete(serde_json::from_value(document).expect("an OpenAPI document"))
}

fn service_document(service: Service) -> Value {
    let text = match service {
        Service::Movie => include_str!("../../openapi/movie-service.json"),
        Service::Preference => include_str!("../../openapi/preference-service.json"),
        Service::Recommendation => include_str!("../../openapi/recommendation-service.json"),
    };
    serde_json::from_str(text).expect("a committed document")
}

fn method(route: &Route) -> String {
    route.method.as_str().to_ascii_lowercase()
}

fn operation(route: &Route, services: &[Value]) -> Value {
    let (tag, parameters) = match route.target {
        Target::Upstream(service) => {
            let parameters = path_parameters(route, &services[service as usize]);
            (service.name(), parameters)
        }
        Target::Document => (crate::NAME, vec![document_parameter()]),
        _ => (crate::NAME, Vec::new()),
    };
    let api_keys = match route.interactive_login_only {
        true => " API keys are refused.",
        false => "",
    };
    let mut operation = json!({
        "tags": [tag],
        "summary": route.summary,
        "description": format!("{}{api_keys}", permission(route.access)),
        "operationId": operation_id(route),
        "responses": responses(route),
    });
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if matches!(route.access, Access::Public | Access::SignUp) {
        operation["security"] = json!([{}]);
    }
    operation
}

/// A unique id, which is stable as long as the path is.
fn operation_id(route: &Route) -> String {
    let mut id = method(route);
    let path = route.path.strip_prefix("/api/v1").unwrap_or(route.path);
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        id.push('_');
        id.push_str(segment.trim_matches(['{', '}', '*']));
    }
    id
}

fn permission(access: Access) -> &'static str {
    match access {
        Access::Public => "Needs no token.",
        Access::SignUp => "Needs no token; a token that is sent must be valid.",
        Access::AnyUser => "For authenticated users.",
        Access::ThatUser => "For the user whose id is in the path, and for administrators.",
        Access::Admin => "For administrators.",
        Access::Operator => "For the networks in METRICS_NETWORKS, and for administrators.",
    }
}

/// The path parameters in a service's document, whose schemas are inlined, since this document does not have
/// the service's components.
fn path_parameters(route: &Route, service: &Value) -> Vec<Value> {
    let parameters = &service["paths"][route.path][method(route)]["parameters"];
    let parameters = parameters.as_array().into_iter().flatten();
    parameters
        .filter(|parameter| parameter["in"] == "path")
        .map(|parameter| {
            let mut parameter = parameter.clone();
            if let Some(reference) = parameter["schema"]["$ref"].as_str() {
                let schema = service.pointer(reference.trim_start_matches('#'));
                parameter["schema"] = schema.expect("a schema of the document").clone();
            }
            parameter
        })
        .collect()
}

fn document_parameter() -> Value {
    json!({
        "name": "document",
        "in": "path",
        "description": "The name of the gateway or of a service, with `.json`.",
        "required": true,
        "schema": {"type": "string"},
    })
}

fn responses(route: &Route) -> Value {
    let problem = problem_response;
    match route.target {
        Target::Upstream(_) => json!({
            "default": {"description": "the response of the service"},
            "400": problem("the request target or the body is malformed"),
            "404": problem("the path or the resource does not exist"),
            "408": problem("the client took too long to send the request body"),
            "413": problem(match route.limits {
                Limits::Ordinary | Limits::Sync => {
                    "the body exceeds BODY_LIMIT_BYTES, by default 1 MiB"
                }
                Limits::Import => "the body exceeds IMPORT_BODY_LIMIT_BYTES, by default 16 MiB",
            }),
            "414": problem("the request target is too long"),
            "502": problem("the service gave no usable response"),
        }),
        Target::Health => json!({"200": report("the gateway is alive", &Liveness::name())}),
        Target::Ready => json!({
            "200": report("the gateway is ready", &Readiness::name()),
            "503": report("the gateway is stopping", &Readiness::name()),
        }),
        Target::Metrics => json!({"200": {
            "description": "metrics in the text format of Prometheus",
            "content": {"text/plain": {}},
        }}),
        Target::Document | Target::Swagger | Target::SwaggerRedirect => json!({
            "200": {"description": "the document", "content": {"application/json": {}}},
            "404": problem("the document does not exist"),
            "502": problem("the service gave no usable response"),
        }),
    }
}

fn report(description: &str, schema: &str) -> Value {
    let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}
