//! Requests to login providers: discovery, public keys, the exchange of a code, and profiles. Called by
//! [`crate::service::oidc`] alone, which decides whether a response is acceptable. Every request has a time limit and a bounded
//! response, follows no redirect, and goes to https URLs or the loopback interface only.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use chassis::client::read_at_most;
use reqwest::{
    RequestBuilder,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use url::{Url, form_urlencoded};

use crate::models::{ExternalProfile, LoginProvider};

/// The time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest response, in bytes.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

/// A failed request to a provider.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The provider cannot be reached, fails, or sends what cannot be read.
    #[error("the login provider is unavailable: {0}")]
    Unavailable(String),
    /// The provider refused the request.
    #[error("the login provider refused the request: {0}")]
    Refused(String),
}

/// The metadata of an issuer (OpenID Connect Discovery 1.0).
#[derive(Debug, Clone, Deserialize)]
pub struct Metadata {
    /// The issuer, as its tokens state it.
    pub issuer: String,
    /// The page at which people log in.
    pub authorization_endpoint: Url,
    /// The endpoint that exchanges codes.
    pub token_endpoint: Url,
    /// The public keys.
    pub jwks_uri: Url,
    /// The endpoint of the person's claims.
    pub userinfo_endpoint: Option<Url>,
    /// The ways in which a client proves its identity; by default `client_secret_basic`.
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// True if responses have the parameter `iss` (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// The tokens that a code was exchanged for.
#[derive(Deserialize)]
pub struct ProviderTokens {
    /// The token for the profile.
    pub access_token: SecretString,
    /// The ID token, of OpenID Connect.
    pub id_token: Option<SecretString>,
}

/// The claims of the userinfo endpoint.
#[derive(Debug, Deserialize)]
pub struct UserInfo {
    /// The subject, which must be that of the ID token.
    pub sub: String,
    /// The address.
    pub email: Option<String>,
    /// True if the issuer vouches for the address.
    #[serde(default)]
    pub email_verified: serde_json::Value,
}

/// A code with what it is exchanged with.
pub struct CodeExchange<'a> {
    /// The endpoint.
    pub endpoint: &'a Url,
    /// The code.
    pub code: &'a str,
    /// The state of the login, which Naver demands.
    pub state: &'a str,
    /// The URL of our callback.
    pub redirect_uri: &'a str,
    /// The code verifier of PKCE.
    pub code_verifier: &'a str,
    /// True if the secret is sent in the body, not in `Authorization`.
    pub has_secret_in_body: bool,
}

/// A client of one provider.
pub struct ProviderClient {
    http: reqwest::Client,
    provider: LoginProvider,
}

impl ProviderClient {
    /// A client of `provider`.
    ///
    /// # Errors
    /// Returns an error if the client cannot be built.
    pub fn new(provider: LoginProvider) -> reqwest::Result<Self> {
        let mut http = chassis::client::http()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none());
        if provider.is_local() {
            http = http.no_proxy();
        }
        Ok(Self {
            http: http.build()?,
            provider,
        })
    }

    /// The provider.
    pub fn provider(&self) -> &LoginProvider {
        &self.provider
    }

    /// Fetches the metadata of the issuer and checks that it is the issuer's own, and that its URLs may be called.
    #[tracing::instrument(name = "client.oidc.discover", level = "debug", skip_all, fields(provider = %self.provider.name))]
    pub async fn discover(&self) -> Result<Metadata, ProviderError> {
        let base = self.provider.issuer.trim_end_matches('/');
        let url = format!("{base}{DISCOVERY_PATH}");
        let metadata: Metadata = self.read(self.http.get(url)).await?;
        if metadata.issuer != self.provider.issuer {
            return Err(unavailable("the metadata is of another issuer"));
        }
        let urls = [
            Some(&metadata.authorization_endpoint),
            Some(&metadata.token_endpoint),
            Some(&metadata.jwks_uri),
            metadata.userinfo_endpoint.as_ref(),
        ];
        if !urls
            .into_iter()
            .flatten()
            .all(|url| self.provider.allows(url))
        {
            return Err(unavailable(
                "an endpoint in the metadata is not an https URL",
            ));
        }
        Ok(metadata)
    }

    /// Fetches the set of public keys, as its text.
    #[tracing::instrument(name = "client.oidc.fetch_keys", level = "debug", skip_all, fields(provider = %self.provider.name))]
    pub async fn fetch_keys(&self, url: &Url) -> Result<Vec<u8>, ProviderError> {
        self.send(self.http.get(url.clone())).await
    }

    /// Exchanges a code for tokens.
    #[tracing::instrument(name = "client.oidc.exchange", level = "debug", skip_all, fields(provider = %self.provider.name))]
    pub async fn exchange(
        &self,
        exchange: &CodeExchange<'_>,
    ) -> Result<ProviderTokens, ProviderError> {
        let body = self.send(self.exchange_request(exchange)).await?;
        // Naver reports errors with status 200.
        serde_json::from_slice(&body).map_err(|_| {
            let error: Option<OAuthError> = serde_json::from_slice(&body).ok();
            match error {
                Some(OAuthError { error }) => ProviderError::Refused(format!("{error:.100}")),
                None => unavailable("the token response cannot be read"),
            }
        })
    }

    /// The request of an exchange, with our identity in the header or in the body.
    fn exchange_request(&self, exchange: &CodeExchange<'_>) -> RequestBuilder {
        let client_id = self.provider.client_id.as_str();
        let secret = self.provider.client_secret.as_ref();
        let secret = secret.map(ExposeSecret::expose_secret);
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", exchange.code)
            .append_pair("state", exchange.state)
            .append_pair("redirect_uri", exchange.redirect_uri)
            .append_pair("code_verifier", exchange.code_verifier);
        let mut request = self.http.post(exchange.endpoint.clone());
        match secret.filter(|_| !exchange.has_secret_in_body) {
            // RFC 6749, 2.3.1: both are form-urlencoded first.
            Some(secret) => {
                let encode = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let pair = format!("{}:{}", encode(client_id), encode(secret));
                let header = format!("Basic {}", STANDARD.encode(pair));
                request = request.header(AUTHORIZATION, header);
            }
            None => {
                form.append_pair("client_id", client_id);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret);
                }
            }
        }
        request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.finish())
    }

    /// Fetches the claims of the userinfo endpoint.
    #[tracing::instrument(name = "client.oidc.fetch_user_info", level = "debug", skip_all, fields(provider = %self.provider.name))]
    pub async fn fetch_user_info(
        &self,
        url: &Url,
        token: &SecretString,
    ) -> Result<UserInfo, ProviderError> {
        self.read(
            self.http
                .get(url.clone())
                .bearer_auth(token.expose_secret()),
        )
        .await
    }

    /// Fetches a profile of Naver. Its address is the one that the person stated, for which Naver does not vouch.
    #[tracing::instrument(name = "client.oidc.fetch_naver_profile", level = "debug", skip_all)]
    pub async fn fetch_naver_profile(
        &self,
        url: &Url,
        token: &SecretString,
    ) -> Result<ExternalProfile, ProviderError> {
        #[derive(Deserialize)]
        struct Body {
            resultcode: String,
            response: Option<Person>,
        }
        #[derive(Deserialize)]
        struct Person {
            id: String,
            email: Option<String>,
            nickname: Option<String>,
            name: Option<String>,
        }
        let request = self
            .http
            .get(url.clone())
            .bearer_auth(token.expose_secret());
        let body: Body = self.read(request).await?;
        let Some(person) = body.response.filter(|_| body.resultcode == "00") else {
            return Err(ProviderError::Refused(format!("{:.20}", body.resultcode)));
        };
        Ok(ExternalProfile {
            subject: person.id,
            email: person.email,
            is_email_verified: false,
            names: [person.nickname, person.name]
                .into_iter()
                .flatten()
                .collect(),
        })
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ProviderError> {
        let body = self.send(request).await?;
        serde_json::from_slice(&body).map_err(|error| ProviderError::Unavailable(error.to_string()))
    }

    /// Sends a request; returns the body of a success.
    async fn send(&self, request: RequestBuilder) -> Result<Vec<u8>, ProviderError> {
        let response = request.header(ACCEPT, "application/json").send().await;
        let response = response.map_err(unreachable)?;
        let status = response.status();
        let body = read_at_most(response, MAX_RESPONSE_BYTES).await;
        let body = body.map_err(unreachable)?;
        let body = body.ok_or_else(|| unavailable("the response is too large"))?;
        match status.as_u16() {
            200 => Ok(body),
            // 408 and 429 are no decision about the request.
            400..=407 | 409..=428 => {
                let error: Option<OAuthError> = serde_json::from_slice(&body).ok();
                let error = error.map_or_else(|| status.to_string(), |body| body.error);
                Err(ProviderError::Refused(format!("{error:.100}")))
            }
            _ => Err(ProviderError::Unavailable(format!("status {status}"))),
        }
    }
}

/// An error of RFC 6749, 5.2.
#[derive(Deserialize)]
struct OAuthError {
    error: String,
}

fn unavailable(reason: &str) -> ProviderError {
    ProviderError::Unavailable(reason.to_owned())
}

fn unreachable(error: reqwest::Error) -> ProviderError {
    ProviderError::Unavailable(error.without_url().to_string())
}
