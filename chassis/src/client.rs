//! Calls to other services: a time limit on each, and the identity of the request that causes them.

use std::time::Duration;

use reqwest::{
    Method, RequestBuilder, Response,
    header::{HeaderValue, InvalidHeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

use crate::{
    config::ProcessConfig,
    server::INTERNAL_TOKEN,
    tls::{Roots, client_config, install_tls_provider},
    trace::{REQUEST_ID, TRACEPARENT, TraceContext},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A failed call of another service.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The service cannot be reached, or the connection broke.
    #[error("{service} cannot be reached")]
    Unreachable {
        /// The called service.
        service: &'static str,
        /// The error of the connection.
        #[source]
        source: reqwest::Error,
    },
    /// The service responded with an unexpected status.
    #[error("{service} responded with status {status}")]
    Status {
        /// The called service.
        service: &'static str,
        /// The status.
        status: u16,
    },
    /// The service sent an invalid response.
    #[error("{service} sent an invalid response: {reason}")]
    Unreadable {
        /// The called service.
        service: &'static str,
        /// The reason.
        reason: String,
    },
}

/// A builder of HTTP clients with the process's TLS provider and a connect timeout.
#[expect(
    clippy::disallowed_methods,
    reason = "calls set their own time limits, see Client::request"
)]
pub fn http() -> reqwest::ClientBuilder {
    install_tls_provider();
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
}

/// `secret` as the value of a header, which logs do not show.
///
/// # Errors
/// Returns [`InvalidHeaderValue`] if it has characters that headers exclude.
pub fn secret_header(secret: &SecretString) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(secret.expose_secret())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The body of a response of a service outside of the platform; `None` if it is larger than `max_bytes`.
///
/// # Errors
/// Returns [`reqwest::Error`] if the connection or the time limit fails.
pub async fn read_at_most(
    mut response: Response,
    max_bytes: usize,
) -> reqwest::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > max_bytes {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// A client of another service of the platform.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    service: &'static str,
    internal_token: Option<HeaderValue>,
}

impl Client {
    /// A client of `service` at `base`, which sends the internal token of `config` with every call; at an https URL with
    /// the certificates of `config`.
    ///
    /// # Errors
    /// Returns an error if the token cannot be a header value, a certificate cannot be read or the client cannot be
    /// built.
    pub fn new(service: &'static str, base: Url, config: &ProcessConfig) -> anyhow::Result<Self> {
        let mut http = http().no_proxy();
        if base.scheme() == "https" {
            http = http.tls_backend_preconfigured(client_config(config, Roots::Platform)?);
        }
        let token = config.internal_token.as_ref();
        Ok(Self {
            http: http.build()?,
            base,
            service,
            internal_token: token.map(secret_header).transpose()?,
        })
    }

    /// The name of the service.
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// A request for `path_and_query` that fails after `limit`.
    pub fn request(&self, method: Method, path_and_query: &str, limit: Duration) -> RequestBuilder {
        let base = self.base.as_str().trim_end_matches('/');
        let mut request = self
            .http
            .request(method, format!("{base}{path_and_query}"))
            .timeout(limit);
        if let Some(token) = &self.internal_token {
            request = request.header(INTERNAL_TOKEN, token.clone());
        }
        if let Some(context) = TraceContext::current() {
            request = request
                .header(REQUEST_ID, &context.request_id)
                .header(TRACEPARENT, context.traceparent());
        }
        request
    }

    /// A GET, as [`Client::request`].
    pub fn get(&self, path_and_query: &str, limit: Duration) -> RequestBuilder {
        self.request(Method::GET, path_and_query, limit)
    }

    /// The JSON body of `response`, whose status must be a success.
    ///
    /// # Errors
    /// Returns [`CallError`] if the status is another, the connection breaks or the body is invalid.
    pub async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, CallError> {
        let (service, status) = (self.service, response.status());
        if !status.is_success() {
            let status = status.as_u16();
            return Err(CallError::Status { service, status });
        }
        let body = response.bytes().await;
        let body = body.map_err(|error| self.unreachable(error))?;
        serde_json::from_slice(&body).map_err(|error| {
            let reason = error.to_string();
            CallError::Unreadable { service, reason }
        })
    }

    /// Names the service in an error of its connection.
    pub fn unreachable(&self, source: reqwest::Error) -> CallError {
        CallError::Unreachable {
            service: self.service,
            source: source.without_url(),
        }
    }
}
