//! Extractors whose rejections are problems that name the field: path, query, JSON body, request headers.
//!
//! axum's own reject with plain text and ignore unknown query parameters. JSON is read
//! with any content type, since the original's clients never sent one.

mod whole_numbers;

use std::{
    collections::{BTreeSet, HashSet},
    convert::Infallible,
    fmt,
    marker::PhantomData,
};

use axum::{
    extract::{FromRequest, FromRequestParts, Request, path::ErrorKind, rejection::PathRejection},
    http::{HeaderMap, StatusCode, header::ACCEPT, request::Parts},
};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, schema::Type},
};

use crate::{
    config::nearest,
    problem::{FieldError, Problem, from_status},
    server::BodyLimit,
};

/// True if the client accepts a stream of events (`text/event-stream`).
#[derive(Debug)]
pub struct AcceptsEventStream(pub bool);

impl<S: Send + Sync> FromRequestParts<S> for AcceptsEventStream {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let accepted = parts.headers.get_all(ACCEPT).iter();
        let is_accepted = accepted
            .filter_map(|value| value.to_str().ok())
            .any(|value| {
                value
                    .split(',')
                    .any(|kind| kind.trim().starts_with("text/event-stream"))
            });
        Ok(Self(is_accepted))
    }
}

/// The form of an idempotency key, as a regular expression of a schema.
pub(crate) const KEY_PATTERN: &str = "^[!-~]+$";
/// The longest idempotency key.
pub(crate) const MAX_KEY_CHARS: usize = 255;

/// The request's `Idempotency-Key`, if it has one.
///
/// # Errors
/// 400 if it is empty, too long, not visible ASCII, or repeated.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default().trim();
    let is_sane =
        (1..=MAX_KEY_CHARS).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_sane || values.next().is_some() {
        let message =
            format!("must be given once, as 1 to {MAX_KEY_CHARS} visible ASCII characters");
        return Err(Problem::invalid(vec![FieldError::new(
            "Idempotency-Key",
            message,
        )]));
    }
    Ok(Some(key.to_owned()))
}

/// The path's parameters.
#[derive(Debug)]
pub struct Path<T>(pub T);

#[expect(
    clippy::disallowed_types,
    reason = "wrapped so that its rejection is a problem"
)]
impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(failed)) => {
                let (field, message) = match failed.into_kind() {
                    ErrorKind::Message(message) => ("id".to_owned(), message),
                    ErrorKind::DeserializeError { key, message, .. } => (key, message),
                    other => ("id".to_owned(), other.to_string()),
                };
                Err(
                    Problem::new(StatusCode::BAD_REQUEST, "invalid-request", message.clone())
                        .detail("correct the path and send the request again")
                        .errors(vec![FieldError::new(field, message)]),
                )
            }
            Err(_) => Err(from_status(StatusCode::NOT_FOUND)),
        }
    }
}

/// The query's parameters. Their names are those of `T`'s OpenAPI description; others are errors.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + IntoParams + Send> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parse_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// Reads a query string as `T`.
///
/// # Errors
/// 400 naming the parameter that is unknown, given twice, or not of its type.
pub fn parse_query<T: DeserializeOwned + IntoParams>(query: &str) -> Result<T, Problem> {
    // Building the description takes longer than most responses, and most requests have no parameters.
    let known: BTreeSet<String> = match query {
        "" => BTreeSet::new(),
        _ => T::into_params(|| None)
            .into_iter()
            .map(|parameter| parameter.name)
            .collect(),
    };
    let mut seen = HashSet::new();
    let mut errors = Vec::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if !known.contains(name.as_ref()) {
            errors.push(unknown(
                "query parameter",
                &name,
                known.iter().map(String::as_str),
            ));
        } else if value.contains(['\0', '\u{fffd}']) {
            errors.push(FieldError::new(
                name.clone(),
                "must be text in UTF-8 without NUL",
            ));
        }
        if !seen.insert(name.clone()) {
            errors.push(FieldError::new(name, "must be given once"));
        }
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let deserializer =
        serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let field = error.path().to_string();
        Problem::invalid(vec![FieldError::new(field, error.into_inner().to_string())])
    })
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> FieldError {
    let known: Vec<&str> = known.collect();
    let message = match nearest(name, known.iter().copied()) {
        Some(near) => format!("unknown {what}; did you mean `{near}`?"),
        None if known.is_empty() => format!("unknown {what}; there are none here"),
        None => format!("unknown {what}; known are {}", known.join(", ")),
    };
    FieldError::new(name, message)
}

/// A JSON body, which is an object. Unknown fields are errors if `T` has `deny_unknown_fields`, as it should.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        parse_json(&read_body(request).await?).map(Self)
    }
}

/// The whole body of a request.
///
/// # Errors
/// 413 if it is larger than the limit of its route, 400 if the connection ends before the body does.
pub async fn read_body(request: Request) -> Result<Bytes, Problem> {
    let limit = request.extensions().get::<BodyLimit>().copied();
    Bytes::from_request(request, &())
        .await
        .map_err(|rejection| {
            let status = axum::response::IntoResponse::into_response(rejection).status();
            match (status, limit) {
                (StatusCode::PAYLOAD_TOO_LARGE, Some(BodyLimit(bytes))) => {
                    Problem::body_too_large(u64::try_from(bytes).unwrap_or(u64::MAX))
                }
                (StatusCode::PAYLOAD_TOO_LARGE, None) => from_status(status),
                _ => {
                    invalid_body().detail("the connection ended before the body did; send it again")
                }
            }
        })
}

/// A `T` that is written as an object. Serde would also read a struct from an array, by position,
/// which would make the order of its fields a part of the contract.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// Reads `body`, an object, as `T`.
///
/// # Errors
/// 400 naming the field, or the position at which the text is not JSON.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    parse_strictly(body).or_else(|problem| match whole_numbers::as_integers(body) {
        Some(body) => parse_strictly(&body).map_err(|_| problem),
        None => Err(problem),
    })
}

/// Reads an optional JSON body: an empty one and `null` are the default.
///
/// # Errors
/// As [`parse_json`].
pub fn parse_optional_json<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Problem> {
    match body.trim_ascii() {
        b"" | b"null" => Ok(T::default()),
        body => parse_json(body),
    }
}

/// Distinguishes `null`, which is `Some(None)`, from an absent field; for `deserialize_with`, beside `default`.
///
/// # Errors
/// As the value's own.
pub fn stated<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn parse_strictly<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let invalid =
        |errors: Vec<FieldError>, detail: String| invalid_body().detail(detail).errors(errors);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let Object(value) = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = error.path().to_string();
        let inner = error.into_inner();
        match inner.classify() {
            serde_json::error::Category::Data => {
                let text = inner.to_string();
                let error = field_error(&field, &text);
                let detail = format!("{}: {}", error.field, error.message);
                invalid(vec![error], detail)
            }
            _ => invalid(Vec::new(), format!("the body must be JSON: {inner}")),
        }
    })?;
    deserializer.end().map_err(|error| {
        invalid(
            Vec::new(),
            format!("the body must be one JSON value: {error}"),
        )
    })?;
    Ok(value)
}

fn invalid_body() -> Problem {
    from_status(StatusCode::BAD_REQUEST).error("invalid request body")
}

/// Turns serde's message into one about a field: it writes unknown and missing names in backquotes.
fn field_error(path: &str, text: &str) -> FieldError {
    let text = text.split(" at line ").next().unwrap_or(text);
    let mut quoted = text.split('`').skip(1).step_by(2);
    let join = |name: &str| match path {
        "." | "" => name.to_owned(),
        _ if path.ends_with(name) => path.to_owned(),
        _ => format!("{path}.{name}"),
    };
    if text.starts_with("unknown field") {
        let name = quoted.next().unwrap_or_default().to_owned();
        let mut error = unknown("field", &name, quoted);
        error.field = join(&name);
        return error;
    }
    if text.starts_with("missing field") {
        return FieldError::new(join(quoted.next().unwrap_or_default()), "is required");
    }
    let field = if path == "." { "body" } else { path };
    FieldError::new(field, text)
}

/// A whole number from `MIN` to `MAX`; read from JSON numbers and from text alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Bounded<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Bounded<MIN, MAX> {
    /// `value`, if it lies within the bounds.
    pub fn new(value: i64) -> Option<Self> {
        (MIN..=MAX).contains(&value).then_some(Self(value))
    }

    /// The number.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl<const MIN: i64, const MAX: i64> PartialSchema for Bounded<MIN, MAX> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(MIN))
            .maximum(Some(MAX))
            .into()
    }
}

impl<const MIN: i64, const MAX: i64> ToSchema for Bounded<MIN, MAX> {}

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number<const MIN: i64, const MAX: i64>;
        impl<const MIN: i64, const MAX: i64> Visitor<'_> for Number<MIN, MAX> {
            type Value = Bounded<MIN, MAX>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "a whole number from {MIN} to {MAX}")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                bounded(Some(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                bounded(value.try_into().ok())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                bounded(text.parse().ok())
            }
        }
        fn bounded<const MIN: i64, const MAX: i64, E: de::Error>(
            value: Option<i64>,
        ) -> Result<Bounded<MIN, MAX>, E> {
            let message = || E::custom(format!("must be a whole number from {MIN} to {MAX}"));
            value.and_then(Bounded::new).ok_or_else(message)
        }
        deserializer.deserialize_any(Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, IntoParams)]
    #[allow(dead_code)]
    struct Params {
        page: Option<Bounded<1, 100>>,
        sort_by: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Body {
        name: String,
        age: Option<u8>,
    }

    fn fields(problem: &Problem) -> Vec<(String, String)> {
        let document = problem.document("/", "id");
        document
            .errors
            .into_iter()
            .map(|e| (e.field, e.message))
            .collect()
    }

    #[test]
    fn a_query_error_names_the_parameter_and_the_nearest_known() {
        let refused = |query| fields(&parse_query::<Params>(query).expect_err(query));
        assert_eq!(
            refused("pgae=1"),
            [(
                "pgae".into(),
                "unknown query parameter; did you mean `page`?".into()
            )]
        );
        assert_eq!(
            refused("page=0"),
            [("page".into(), "must be a whole number from 1 to 100".into())]
        );
        assert_eq!(refused("page=1e3").len(), 1);
        assert_eq!(refused("page=99999999999999999999").len(), 1);
        assert_eq!(
            refused("page=1&page=2"),
            [("page".into(), "must be given once".into())]
        );
        assert_eq!(refused("sort_by=%00").len(), 1);
        assert_eq!(refused("sort_by=%ff").len(), 1);
        assert_eq!(
            parse_query::<Params>("page=7").expect("valid").page,
            Bounded::new(7)
        );
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_names_the_limit_of_its_route() {
        let route = |path, limit| {
            let routes = axum::Router::new().route(
                path,
                axum::routing::post(async |request: Request| {
                    read_body(request).await.map(|body| body.len().to_string())
                }),
            );
            crate::server::body_limit(routes, limit)
        };
        let routes = route("/large", 16 * 1024 * 1024);
        let app = crate::server::body_limit(routes.merge(route("/small", 10)), 5);
        for (path, length, status, detail) in [
            ("/large", 17 * 1024 * 1024, 413, "send at most 16 MiB"),
            ("/small", 11, 413, "send at most 10 bytes"),
            ("/small", 10, 200, ""),
        ] {
            let request = Request::post(path).body(axum::body::Body::from("x".repeat(length)));
            let response = tower::ServiceExt::oneshot(app.clone(), request.expect("a request"))
                .await
                .expect("a router never fails");
            assert_eq!(response.status(), status, "{path}");
            let problem = response.extensions().get::<Problem>();
            let shown = problem.map(|problem| problem.document("/", "id").detail);
            assert_eq!(shown.unwrap_or_default(), detail);
        }
    }

    #[test]
    fn a_body_error_names_the_field() {
        let refused = |body: &str| fields(&parse_json::<Body>(body.as_bytes()).expect_err(body));
        assert_eq!(
            refused(r#"{"nmae":"x"}"#),
            [("nmae".into(), "unknown field; did you mean `name`?".into())]
        );
        assert_eq!(refused("{}"), [("name".into(), "is required".into())]);
        assert_eq!(refused(r#"{"name":1}"#)[0].0, "name");
        assert_eq!(refused(r#"{"name":"x","age":-1}"#)[0].0, "age");
        assert!(refused(r#"{"name":"\ud800"}"#).is_empty());
        assert!(refused("{").is_empty());
        assert!(refused(r#"{"name":"x"} x"#).is_empty());
        assert_eq!(refused(r#"["x",1]"#)[0].0, "body");
        assert_eq!(refused("null")[0].0, "body");
    }
}
