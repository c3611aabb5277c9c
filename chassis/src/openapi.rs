//! What every OpenAPI document of ours has, so that handlers need not repeat it: the bearer scheme
//! and the problems that any operation can answer.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        OpenApi, Ref, RefOr, Response, ResponseBuilder,
        content::ContentBuilder,
        path::{Operation, PathItem},
        schema::{Components, Schema},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use crate::problem::{CONTENT_TYPE_PROBLEM, FieldError, ProblemDocument};

/// The name of the security scheme.
const BEARER: &str = "bearer";

/// Problems that stand in front of every operation: whoever asks, whatever is asked.
const COMMON: [(&str, &str); 6] = [
    ("401", "no bearer token, or one that is not valid"),
    ("403", "the token does not allow this"),
    (
        "429",
        "the rate limit is used up; Retry-After says for how long",
    ),
    ("500", "our fault"),
    (
        "503",
        "something that the request needs is away; Retry-After says when to try again",
    ),
    ("504", "the request took too long"),
];

/// Adds to `document` what all documents have in common.
#[must_use]
pub fn complete(mut document: OpenApi) -> OpenApi {
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme(
        BEARER,
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(
                    "A token of the platform; in mock mode (development) any text will do.",
                ))
                .build(),
        ),
    );
    for (name, schema) in [
        ("Problem", ProblemDocument::schema()),
        ("FieldError", FieldError::schema()),
    ] {
        components.schemas.insert(name.to_owned(), schema);
    }
    debug_assert_eq!(ProblemDocument::name(), "Problem");
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            operation.security.get_or_insert_with(|| {
                vec![SecurityRequirement::new::<_, [&str; 0], &str>(BEARER, [])]
            });
            for (status, description) in COMMON {
                operation
                    .responses
                    .responses
                    .entry(status.to_owned())
                    .or_insert_with(|| RefOr::T(problem_response(description)));
            }
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ]
    .into_iter()
    .filter_map(Option::as_mut)
}

/// A response whose body is a problem.
#[must_use]
pub fn problem_response(description: &str) -> Response {
    let schema: RefOr<Schema> = RefOr::Ref(Ref::from_schema_name("Problem"));
    ResponseBuilder::new()
        .description(description)
        .content(
            CONTENT_TYPE_PROBLEM,
            ContentBuilder::new().schema(Some(schema)).build(),
        )
        .build()
}
