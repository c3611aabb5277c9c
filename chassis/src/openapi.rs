//! The parts of OpenAPI documents that handlers need not repeat: the server, the bearer scheme, the problems that any
//! operation can return ([`complete`]), and marker types for problem responses.
//!
//! A handler lists such types in `responses(…)` of its `#[utoipa::path]`, beside its successes:
//! `responses((status = 200, …), InvalidRequest, UserNotFound)`. Those of a service are declared with
//! [`crate::problem_responses!`].

use utoipa::{
    IntoResponses, PartialSchema, ToSchema,
    openapi::{
        OpenApi, Ref, RefOr, Required, Response, ResponseBuilder,
        content::ContentBuilder,
        info::ContactBuilder,
        path::{Operation, Parameter, ParameterBuilder, PathItem},
        schema::{Components, Object, Schema, SchemaType, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
        server::ServerBuilder,
    },
};

use crate::{
    extract::{KEY_PATTERN, MAX_KEY_CHARS},
    language::{MAX_TAG_BYTES, TAG_PATTERN},
    paging::{CURSOR_PATTERN, MAX_CURSOR_CHARS},
    problem::{CONTENT_TYPE_PROBLEM, FieldError, ProblemDocument},
};

/// The name of the security scheme.
const BEARER: &str = "bearer";

/// Problems that every operation can return: status, name of the component, description.
const COMMON: [(&str, &str, &str); 6] = [
    ("401", "Unauthorized", "no bearer token, or an invalid one"),
    (
        "403",
        "Forbidden",
        "the token does not permit this operation",
    ),
    (
        "429",
        "RateLimited",
        "the rate limit is exceeded; see Retry-After",
    ),
    ("500", "InternalError", "internal error"),
    (
        "503",
        "Unavailable",
        "a dependency is unavailable; see Retry-After",
    ),
    ("504", "TimedOut", "the request took too long"),
];

/// Declares marker types for problem responses in `responses(…)` of `#[utoipa::path]`: each a status and a description, or
/// several of them.
///
/// ```
/// chassis::problem_responses! {
///     /// 404: the user does not exist.
///     pub UserNotFound = 404, "the user does not exist: `user not found`";
/// }
/// ```
#[macro_export]
macro_rules! problem_responses {
    ($($(#[$doc:meta])* $visibility:vis $name:ident = $($status:literal, $description:expr),+;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        $visibility struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::Response>,
            > {
                [$((
                    stringify!($status).to_owned(),
                    $crate::openapi::problem_response($description).into(),
                )),+]
                .into()
            }
        }
    )+};
}

problem_responses! {
    /// 400: a parameter or a field of the body is invalid.
    pub InvalidRequest = 400, "a parameter or field is missing, invalid or unknown; `errors` lists each";
    /// 400: an id in the path is invalid.
    pub InvalidId = 400, "the id is invalid";
    /// 409: the request conflicts with the state of the resource.
    pub Conflict = 409, "the request conflicts with the state of the resource";
    /// 413: the body is too large.
    pub BodyTooLarge = 413, "the body is larger than the limit that `detail` states";
    /// 422: the idempotency key was used for another request.
    pub IdempotencyKeyReused = 422, "the Idempotency-Key was used for another request";
}

/// Adds the parts that all documents have in common.
#[must_use]
pub fn complete(mut document: OpenApi) -> OpenApi {
    if let Some(license) = &mut document.info.license {
        license.identifier = Some(license.name.clone());
    }
    let contact = ContactBuilder::new().name(Some("The Marquee authors"));
    document.info.contact = Some(contact.build());
    let gateway = ServerBuilder::new()
        .url("/")
        .description(Some("The gateway that serves this document."));
    document.servers = Some(vec![gateway.build()]);
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
    for (_, name, description) in COMMON {
        let problem = problem_response(description).into();
        components.responses.insert(name.to_owned(), problem);
    }
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            let security = operation.security.get_or_insert_with(|| {
                vec![SecurityRequirement::new::<_, [&str; 0], &str>(BEARER, [])]
            });
            if *security == [SecurityRequirement::default()] {
                security.clear();
            }
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(parameter) = parameter {
                    complete_parameter(parameter, components);
                }
            }
            if operation.request_body.is_some() {
                let documented = &mut operation.responses.responses;
                for (status, too_large) in BodyTooLarge::responses() {
                    documented.entry(status).or_insert(too_large);
                }
            }
            for (status, name, _) in COMMON {
                operation
                    .responses
                    .responses
                    .entry(status.to_owned())
                    .or_insert_with(|| Ref::from_response_name(name).into());
            }
        }
    }
    document
}

/// Makes the schema a single one, inlined, which may have an example; a parameter is left out rather than null.
/// Swagger UI fills in `example`, so optional parameters get `examples`, which it shows only.
fn complete_parameter(parameter: &mut Parameter, components: &Components) {
    // The field is private.
    let example = serde_json::to_value(&*parameter).map(|parameter| parameter["example"].clone());
    let example = example.ok();
    let Some(schema) = &mut parameter.schema else {
        return;
    };
    if let RefOr::Ref(Ref { ref_location, .. }) = schema
        && let Some((_, name)) = ref_location.rsplit_once('/')
        && let Some(component) = components.schemas.get(name)
    {
        *schema = component.clone();
    }
    // utoipa adds the default of an inlined schema as a second schema, of an object.
    if let RefOr::T(Schema::AllOf(all)) = schema
        && let [
            RefOr::T(Schema::Object(kind)),
            RefOr::T(Schema::Object(more)),
        ] = all.items.as_slice()
    {
        let mut kind = kind.clone();
        kind.default.clone_from(&more.default);
        *schema = kind.into();
    }
    let RefOr::T(Schema::Object(schema)) = schema else {
        return;
    };
    if let SchemaType::Array(types) = &schema.schema_type
        && let [kind, Type::Null] = types.as_slice()
    {
        schema.schema_type = SchemaType::Type(kind.clone());
    }
    constrain(&parameter.name, schema);
    if parameter.required == Required::False {
        let own = example.filter(|example| !example.is_null());
        schema.examples = own.or(schema.example.take()).into_iter().collect();
        *parameter = ParameterBuilder::from(std::mem::take(parameter))
            .example(None)
            .build();
    }
}

/// Adds the form of parameters that are read alike everywhere, unless they have one of their own.
fn constrain(name: &str, schema: &mut Object) {
    let (pattern, min, max) = match name {
        "language" => (TAG_PATTERN, 2, MAX_TAG_BYTES),
        "cursor" => (CURSOR_PATTERN, 1, MAX_CURSOR_CHARS),
        "Idempotency-Key" => (KEY_PATTERN, 1, MAX_KEY_CHARS),
        _ => return,
    };
    if schema.schema_type == SchemaType::Type(Type::String) && schema.pattern.is_none() {
        schema.pattern = Some(pattern.to_owned());
        schema.min_length = Some(min);
        schema.max_length = Some(max);
    }
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

#[cfg(test)]
mod tests {
    use utoipa::OpenApi as _;

    use super::*;

    #[utoipa::path(get, path = "/old", responses(
        (status = 200, description = "ok"),
        (status = 413, description = "the body is larger than the limit that `detail` states",
            body = ProblemDocument, content_type = "application/problem+json"),
    ))]
    #[expect(dead_code, reason = "only its description is used")]
    fn old() {}

    #[utoipa::path(get, path = "/new", responses((status = 200, description = "ok"), BodyTooLarge))]
    #[expect(dead_code, reason = "only its description is used")]
    fn new() {}

    #[derive(utoipa::OpenApi)]
    #[openapi(paths(old, new))]
    struct Document;

    #[test]
    fn a_response_type_documents_the_same_as_the_spelled_out_response() {
        let document = complete(Document::openapi());
        let responses = |path| {
            let operation = document.paths.paths[path].get.as_ref().expect("GET");
            serde_json::to_value(&operation.responses).expect("JSON")
        };
        assert_eq!(responses("/old"), responses("/new"));
        assert!(responses("/new").get("504").is_some());
    }
}
