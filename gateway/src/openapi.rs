//! The gateway's OpenAPI document, made from the route table. Path parameters come from the services' committed
//! documents, which also describe the bodies; Swagger UI lists them beside this one.

use std::collections::HashMap;

use chassis::{
    health::{Dependency, Liveness, Readiness},
    openapi::{complete, problem_response},
};
use hyper::Method;
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ContentBuilder, HttpMethod, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem,
        PathsBuilder, Ref, Required, ResponseBuilder, ResponsesBuilder,
        path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        schema::{ComponentsBuilder, ObjectBuilder, Type},
        security::SecurityRequirement,
        tag::TagBuilder,
    },
};

use crate::routes::{Access, BodyLimit, ROUTES, Route, Service, Target};

/// The OpenAPI document.
///
/// # Panics
/// Panics if a service's committed document is not valid JSON or lacks a path, which the tests exclude.
#[must_use]
pub fn document() -> OpenApi {
    let services: HashMap<&str, Value> = Service::ALL
        .into_iter()
        .map(|service| (service.name(), service_document(service)))
        .collect();
    let mut paths = PathsBuilder::new();
    for route in ROUTES {
        let document = match route.target {
            Target::Upstream(service) => services.get(service.name()),
            // The files of Swagger UI are not part of the API.
            Target::Swagger | Target::SwaggerRedirect => continue,
            _ => None,
        };
        paths = paths.path(route.path, path_item(route, document));
    }
    let components = ComponentsBuilder::new()
        .schema(Liveness::name(), Liveness::schema())
        .schema(Readiness::name(), Readiness::schema())
        .schema(Dependency::name(), Dependency::schema())
        .build();
    let tags = Service::ALL.map(|service| {
        TagBuilder::new()
            .name(service.name())
            .description(Some(format!(
                "Served by {0}, whose document describes parameters and bodies.",
                service.name()
            )))
            .build()
    });
    let own = TagBuilder::new()
        .name(crate::NAME)
        .description(Some("Served by the gateway itself."))
        .build();
    complete(
        OpenApiBuilder::new()
            .info(
                InfoBuilder::new()
                    .title("Marquee: gateway")
                    .description(Some(
                        "All public paths, and the responses that the gateway itself may give to requests \
                         for them. This product uses the TMDB API but is not endorsed or certified by TMDB.",
                    ))
                    .version(env!("CARGO_PKG_VERSION"))
                    .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").build()))
                    .build(),
            )
            .paths(paths.build())
            .components(Some(components))
            .tags(Some(tags.into_iter().chain([own])))
            .build(),
    )
}

fn service_document(service: Service) -> Value {
    let text = match service {
        Service::Movie => include_str!("../../openapi/movie-service.json"),
        Service::Preference => include_str!("../../openapi/preference-service.json"),
        Service::Recommendation => include_str!("../../openapi/recommendation-service.json"),
    };
    serde_json::from_str(text).expect("a committed document")
}

fn path_item(route: &Route, service: Option<&Value>) -> PathItem {
    let mut operation = OperationBuilder::new()
        .summary(Some(route.summary))
        .description(Some(match route.interactive_login_only {
            false => permission(route.access).to_owned(),
            true => format!("{} API keys are refused.", permission(route.access)),
        }))
        .operation_id(Some(operation_id(route)))
        .tag(match route.target {
            Target::Upstream(service) => service.name(),
            _ => crate::NAME,
        })
        .responses(responses(route).build());
    let parameters = match (service, route.target) {
        (Some(document), _) => path_parameters(route, document),
        (None, Target::Document) => vec![document_parameter()],
        _ => Vec::new(),
    };
    for parameter in parameters {
        operation = operation.parameter(parameter);
    }
    if matches!(route.access, Access::Public | Access::SignUp) {
        operation = operation.securities(Some([SecurityRequirement::default()]));
    }
    let method = match route.method {
        Method::GET => HttpMethod::Get,
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::PATCH => HttpMethod::Patch,
        _ => HttpMethod::Delete,
    };
    PathItem::new(method, operation.build())
}

/// A unique id, which is stable as long as the path is.
fn operation_id(route: &Route) -> String {
    let mut id = route.method.as_str().to_ascii_lowercase();
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
        Access::SignUp => {
            "Needs no token, except in mock mode; a token that is sent must be valid."
        }
        Access::AnyUser => "For authenticated users.",
        Access::ThatUser => "For the user whose id is in the path, and for administrators.",
        Access::Admin => "For administrators.",
        Access::Operator => {
            "For requests from the networks in METRICS_NETWORKS, and for administrators."
        }
    }
}

/// The path parameters in a service's document, whose schemas are inlined, since this document does not have
/// the service's components.
fn path_parameters(route: &Route, service: &Value) -> Vec<Parameter> {
    let method = route.method.as_str().to_ascii_lowercase();
    let parameters = &service["paths"][route.path][&method]["parameters"];
    parameters
        .as_array()
        .into_iter()
        .flatten()
        .filter(|parameter| parameter["in"] == "path")
        .map(|parameter| {
            let mut parameter = parameter.clone();
            if let Some(reference) = parameter["schema"]["$ref"].as_str() {
                let schema = service.pointer(reference.trim_start_matches('#'));
                parameter["schema"] = schema.expect("a schema of the document").clone();
            }
            serde_json::from_value(parameter).expect("a parameter")
        })
        .collect()
}

fn document_parameter() -> Parameter {
    ParameterBuilder::new()
        .name("document")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(
            "The name of the gateway or of a service, with `.json`.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn responses(route: &Route) -> ResponsesBuilder {
    let builder = ResponsesBuilder::new();
    match route.target {
        Target::Upstream(_) => {
            let too_large = match route.body_limit {
                BodyLimit::Ordinary => {
                    "the request body exceeds BODY_LIMIT_BYTES, by default 1 MiB"
                }
                BodyLimit::Import => {
                    "the request body exceeds IMPORT_BODY_LIMIT_BYTES, by default 16 MiB"
                }
            };
            let response = ResponseBuilder::new().description("the response of the service");
            [
                ("400", "the request target or the body is malformed"),
                ("404", "the path or the resource does not exist"),
                ("408", "the client took too long to send the request body"),
                ("413", too_large),
                ("414", "the request target is too long"),
                ("502", "the service gave no usable response"),
            ]
            .into_iter()
            .fold(
                builder.response("default", response.build()),
                |builder, (status, description)| {
                    builder.response(status, problem_response(description))
                },
            )
        }
        Target::Health => {
            builder.response("200", report("the gateway is alive", &Liveness::name()))
        }
        Target::Ready => builder
            .response("200", report("the gateway is ready", &Readiness::name()))
            .response("503", report("the gateway is stopping", &Readiness::name())),
        Target::Metrics => builder.response(
            "200",
            ResponseBuilder::new()
                .description("metrics in the text format of Prometheus")
                .content("text/plain", ContentBuilder::new().build()),
        ),
        Target::Document | Target::Swagger | Target::SwaggerRedirect => builder
            .response(
                "200",
                ResponseBuilder::new()
                    .description("the document")
                    .content("application/json", ContentBuilder::new().build()),
            )
            .response("404", problem_response("the document does not exist"))
            .response(
                "502",
                problem_response("the service gave no usable response"),
            ),
    }
}

fn report(description: &str, schema: &str) -> utoipa::openapi::Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema)));
    ResponseBuilder::new()
        .description(description)
        .content("application/json", content.build())
        .build()
}
