//! A client of the API, and assertions about its responses.

use chassis::testing::{TestResponse, assert_documented};
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

use super::MAX_WAIT;

/// A client of one address.
#[derive(Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    headers: HeaderMap,
}

impl Api {
    /// A client of `base` without a token.
    pub(crate) fn new(base: &str) -> Self {
        let http = chassis::client::http()
            .no_proxy()
            .timeout(MAX_WAIT)
            .redirect(reqwest::redirect::Policy::none());
        Self {
            http: http.build().unwrap(),
            base: base.to_owned(),
            headers: HeaderMap::new(),
        }
    }

    /// The same with a bearer token.
    pub(crate) fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// The same with a header on every request.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers
            .insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// The same without any header.
    pub(crate) fn bare(mut self) -> Self {
        self.headers.clear();
        self
    }

    /// One request; the error is that of the connection. The response must be as the public OpenAPI document has it.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> reqwest::Result<TestResponse> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base))
            .headers(self.headers.clone());
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let response = TestResponse {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or_default(),
            text,
        };
        let path = path.split('?').next().unwrap_or_default();
        assert_documented(&["marquee"], &method, path, &response);
        Ok(response)
    }

    /// A GET; the error is that of the connection.
    pub(crate) async fn try_get(&self, path: &str) -> reqwest::Result<TestResponse> {
        self.try_send(Method::GET, path, None).await
    }

    /// A POST of `body`, without a body if that is null; the error is that of the connection.
    pub(crate) async fn try_post(&self, path: &str, body: Value) -> reqwest::Result<TestResponse> {
        let body = (!body.is_null()).then(|| body.to_string());
        self.try_send(Method::POST, path, body).await
    }

    /// Any method, without a body.
    pub(crate) async fn send(&self, method: Method, path: &str) -> TestResponse {
        self.try_send(method, path, None).await.expect("a response")
    }

    /// A GET.
    pub(crate) async fn get(&self, path: &str) -> TestResponse {
        self.try_get(path).await.expect("a response")
    }

    /// A POST of `body`, without a body if that is null.
    pub(crate) async fn post(&self, path: &str, body: Value) -> TestResponse {
        self.try_post(path, body).await.expect("a response")
    }
}

/// Asserts that `value` is an object with at least the fields of `shape`, each of the type of its example there; the
/// first entry of a list stands for all.
pub(crate) fn assert_fields(value: &Value, shape: &Value) {
    if let Err(wrong) = compare("", value, shape) {
        panic!("{wrong} in {value}");
    }
}

fn compare(place: &str, value: &Value, shape: &Value) -> Result<(), String> {
    match (value, shape) {
        (Value::Object(value), Value::Object(shape)) => {
            shape.iter().try_for_each(|(name, shape)| {
                let place = format!("{place}.{name}");
                match value.get(name) {
                    Some(value) => compare(&place, value, shape),
                    None => Err(format!("{place} is missing")),
                }
            })
        }
        (Value::Array(values), Value::Array(shape)) => match shape.first() {
            Some(shape) => values
                .iter()
                .try_for_each(|value| compare(&format!("{place}[]"), value, shape)),
            None => Ok(()),
        },
        (Value::Number(value), Value::Number(shape)) if shape.is_i64() && !value.is_i64() => {
            Err(format!("{place} is not whole"))
        }
        _ if std::mem::discriminant(value) == std::mem::discriminant(shape) => Ok(()),
        _ => Err(format!("{place} is not like {shape}")),
    }
}

/// Asserts that `response` is a complete problem (RFC 9457) of `status` with this one-line text.
pub(crate) fn assert_problem(response: &TestResponse, status: u16, error: &str) {
    assert_eq!(
        (response.status.as_u16(), response.body["error"].as_str()),
        (status, Some(error)),
        "{}",
        response.text
    );
    if let Some(wrong) = not_a_problem(response) {
        panic!("{wrong}: {} {}", response.status, response.text);
    }
}

/// The defect of `response` as a problem, if it has one.
pub(crate) fn not_a_problem(response: &TestResponse) -> Option<String> {
    let body = &response.body;
    if response
        .headers
        .get("content-type")
        .map(HeaderValue::as_bytes)
        != Some(b"application/problem+json")
    {
        return Some("its content type is another".to_owned());
    }
    for member in ["type", "title", "detail", "request_id", "error"] {
        if body[member].as_str().is_none_or(str::is_empty) {
            return Some(format!("it has no {member}"));
        }
    }
    // Empty if the request line has no path.
    if !body["instance"].is_string() {
        return Some("it has no instance".to_owned());
    }
    if !body["type"].as_str()?.starts_with("/problems/") {
        return Some("its type is not one of ours".to_owned());
    }
    if body["status"] != response.status.as_u16() {
        return Some("its status is another".to_owned());
    }
    let id = response
        .headers
        .get("x-request-id")
        .map(HeaderValue::as_bytes);
    if id != body["request_id"].as_str().map(str::as_bytes) {
        return Some("its request_id is not that of the header".to_owned());
    }
    None
}
