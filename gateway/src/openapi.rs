//! The gateway's OpenAPI document, made from the route table. What bodies look like stands in the
//! documents of the services, which Swagger UI lists beside it.

use chassis::{
    health::{Dependency, Liveness, Readiness},
    openapi::{complete, problem_response},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ContentBuilder, HttpMethod, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem,
        PathsBuilder, Ref, ResponseBuilder, ResponsesBuilder,
        path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        schema::{ComponentsBuilder, ObjectBuilder, Type},
        security::SecurityRequirement,
        tag::TagBuilder,
    },
};

use crate::routes::{Access, ROUTES, Route, Service, Target, Verb};

/// The document.
#[must_use]
pub fn document() -> OpenApi {
    let mut paths = PathsBuilder::new();
    for route in ROUTES {
        // Files of Swagger UI are nobody's API.
        if !matches!(route.target, Target::Swagger | Target::SwaggerRedirect) {
            paths = paths.path(route.path, item(route));
        }
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
                "Answered by {0}, whose document tells parameters and bodies.",
                service.name()
            )))
            .build()
    });
    let own = TagBuilder::new()
        .name(crate::NAME)
        .description(Some("Answered by the gateway itself."))
        .build();
    let license = LicenseBuilder::new().name("MIT OR Apache-2.0").build();
    complete(
        OpenApiBuilder::new()
            .info(
                InfoBuilder::new()
                    .title("Marquee: gateway")
                    .description(Some(
                        "Every path that clients may use, and what the gateway itself may answer \
                         there. This product uses the TMDB API but is not endorsed or certified by \
                         TMDB.",
                    ))
                    .version(env!("CARGO_PKG_VERSION"))
                    .license(Some(license))
                    .build(),
            )
            .paths(paths.build())
            .components(Some(components))
            .tags(Some(tags.into_iter().chain([own])))
            .build(),
    )
}

fn item(route: &Route) -> PathItem {
    let mut operation = OperationBuilder::new()
        .summary(Some(route.summary))
        .description(Some(match route.by_api_key {
            true => who_may(route.access).to_owned(),
            false => format!("{} Not by an API key.", who_may(route.access)),
        }))
        .operation_id(Some(operation_id(route)))
        .tag(match route.target {
            Target::Upstream(service) => service.name(),
            _ => crate::NAME,
        })
        .responses(responses(route).build());
    for parameter in parameters(route) {
        operation = operation.parameter(parameter);
    }
    if matches!(route.access, Access::Public | Access::SignUp) {
        operation = operation.securities(Some([SecurityRequirement::default()]));
    }
    let method = match route.verb {
        Verb::Get => HttpMethod::Get,
        Verb::Post => HttpMethod::Post,
        Verb::Put => HttpMethod::Put,
        Verb::Patch => HttpMethod::Patch,
        Verb::Delete => HttpMethod::Delete,
    };
    PathItem::new(method, operation.build())
}

/// Unique, and stable as long as the path is.
fn operation_id(route: &Route) -> String {
    let mut id = route.verb.method().as_str().to_ascii_lowercase();
    let path = route.path.strip_prefix("/api/v1").unwrap_or(route.path);
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        id.push('_');
        id.push_str(segment.trim_matches(['{', '}', '*']));
    }
    id
}

fn who_may(access: Access) -> &'static str {
    match access {
        Access::Public => "For everybody.",
        Access::SignUp => "For everybody; in mock mode for whoever has a token.",
        Access::AnyUser => "For whoever has a token.",
        Access::ThatUser => "For the user whose id is in the path, and for administrators.",
        Access::Admin => "For administrators.",
        Access::Operator => "For networks that the gateway is told, and for administrators.",
    }
}

fn parameters(route: &Route) -> Vec<Parameter> {
    route
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            let description = match name {
                "document" => "gateway.json, or the name of a service with .json",
                "key_id" => "The id of the API key",
                _ if route.path.contains("/users/") => "The id of the user",
                _ => "The id of the film",
            };
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .description(Some(description))
                .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
                .build()
        })
        .collect()
}

fn responses(route: &Route) -> ResponsesBuilder {
    let answered = match route.target {
        Target::Upstream(_) => {
            return ResponsesBuilder::new()
                .response(
                    "default",
                    ResponseBuilder::new()
                        .description("what the service answers")
                        .build(),
                )
                .response(
                    "400",
                    problem_response("a request target or body that is malformed"),
                )
                .response(
                    "404",
                    problem_response(
                        "nothing is served under this path, or the service knows none such",
                    ),
                )
                .response("408", problem_response("the request body took too long"))
                .response("413", problem_response("a request body of more than 1 MiB"))
                .response("414", problem_response("a request target that is too long"))
                .response("502", problem_response("the service gave no usable answer"));
        }
        Target::Health => report("the gateway is alive", &Liveness::name()),
        Target::Ready => {
            return ResponsesBuilder::new()
                .response("200", report("the gateway can work", &Readiness::name()))
                .response("503", report("the gateway is stopping", &Readiness::name()));
        }
        Target::Metrics => ResponseBuilder::new()
            .description("numbers in the text format of Prometheus")
            .content("text/plain", ContentBuilder::new().build())
            .build(),
        Target::Document | Target::Swagger | Target::SwaggerRedirect => ResponseBuilder::new()
            .description("the document")
            .content("application/json", ContentBuilder::new().build())
            .build(),
    };
    let responses = ResponsesBuilder::new().response("200", answered);
    match route.target {
        Target::Document => responses
            .response("404", problem_response("there is no such document"))
            .response("502", problem_response("the service gave no usable answer")),
        _ => responses,
    }
}

fn report(description: &str, schema: &str) -> utoipa::openapi::Response {
    ResponseBuilder::new()
        .description(description)
        .content(
            "application/json",
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(schema)))
                .build(),
        )
        .build()
}
