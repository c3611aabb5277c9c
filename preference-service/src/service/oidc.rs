//! Logins by other issuers: OpenID Connect Core 1.0 with the authorization code flow and PKCE (RFC 7636), and Naver's OAuth 2.0.
//! Called by the handlers of `/api/v1/auth/oidc` and of identities.
//!
//! A login is bound to the browser that began it (a cookie), to its provider (`state`, a callback of its own, and `iss` of RFC
//! 9207), and is valid once. An account is linked without its owner's doing only if the issuer vouches for the address *and* the
//! owner proved the same address to us; never a moderator or an administrator.

mod accounts;
mod id_token;
mod provider;

use std::{net::IpAddr, sync::Arc};

use chassis::{clock::Clock, config::ConfigError, feed::outbox::Outbox};
use secrecy::ExposeSecret;
use sqlx::PgPool;
use url::Url;

use self::{accounts::Accounts, provider::Provider};
use super::{
    attempts::{AttemptLimiter, client_subject},
    auth::{Auth, Login},
    confirmation::{Confirmation, Requester},
    email_verification::EmailVerification,
};
use crate::{
    client::oidc::{CodeExchange, ProviderClient, ProviderError},
    config::Config,
    error::Error,
    models::{
        ExternalIdentity, ExternalProfile, LoginProvider, LoginRefusal, LoginSecrets, PendingLogin,
        UserId,
    },
    repository::{identities, oidc_logins},
};

/// Counter: logins by a provider; labels `provider`, and `outcome`: `ok`, or the code of the refusal.
pub const LOGINS_TOTAL: &str = "oidc_logins_total";

/// The largest parameter of a callback, in bytes.
const MAX_PARAMETER_BYTES: usize = 4096;
/// A login that has begun: where the person goes, and what the browser keeps.
#[derive(Debug)]
pub struct BegunLogin {
    /// The provider's page.
    pub authorization_url: Url,
    /// The value of the cookie.
    pub browser_secret: String,
}

/// The parameters with which a provider sends the person back.
#[derive(Debug, Default)]
pub struct Callback {
    /// The state of the login.
    pub state: Option<String>,
    /// The code.
    pub code: Option<String>,
    /// The error, instead of a code.
    pub error: Option<String>,
    /// The issuer (RFC 9207).
    pub issuer: Option<String>,
}

/// The end of a login.
#[derive(Debug)]
pub struct FinishedLogin {
    /// The path of ours that follows.
    pub return_to: String,
    /// The tokens; `None` if an identity was linked to the account of a user who is logged in.
    pub login: Option<Login>,
}

/// Logins by providers; cheap to clone.
#[derive(Clone)]
pub struct Oidc {
    pool: PgPool,
    providers: Arc<Vec<Provider>>,
    accounts: Accounts,
    confirmation: Confirmation,
    /// Begun logins per client address.
    starts: AttemptLimiter,
    public_url: Url,
    clock: Clock,
}

/// The dependencies of [`Oidc`].
pub struct OidcParts {
    /// The database.
    pub pool: PgPool,
    /// Issues tokens.
    pub auth: Auth,
    /// Checks the proof of links.
    pub confirmation: Confirmation,
    /// Verifies addresses that no issuer vouches for.
    pub email_verification: EmailVerification,
    /// Publishes new users.
    pub outbox: Outbox,
    /// Limits begun logins.
    pub starts: AttemptLimiter,
    /// The time of day.
    pub clock: Clock,
}

impl Oidc {
    /// Logins by the providers of `config`.
    ///
    /// # Errors
    /// Returns [`ConfigError`] if the setting of the providers is invalid.
    pub fn new(parts: OidcParts, config: &Config) -> Result<Self, ConfigError> {
        let invalid = |reason| ConfigError::Invalid(format!("OIDC_PROVIDERS {reason}"));
        let providers = LoginProvider::parse_all(config.oidc_providers.expose_secret());
        let providers = providers.map_err(invalid)?.into_iter().map(|provider| {
            let client = ProviderClient::new(provider);
            client
                .map(Provider::new)
                .map_err(|error| invalid(error.to_string()))
        });
        Ok(Self {
            providers: Arc::new(providers.collect::<Result<_, _>>()?),
            public_url: config.public_url.clone(),
            accounts: Accounts {
                pool: parts.pool.clone(),
                auth: parts.auth,
                email_verification: parts.email_verification,
                outbox: parts.outbox,
            },
            pool: parts.pool,
            confirmation: parts.confirmation,
            starts: parts.starts,
            clock: parts.clock,
        })
    }

    /// The providers, in the order of the setting.
    pub fn providers(&self) -> impl Iterator<Item = &LoginProvider> {
        self.providers.iter().map(Provider::settings)
    }

    /// Begins a login that ends at `return_to`.
    ///
    /// # Errors
    /// `ProviderNotFound`, `ProviderUnavailable`, `TooManyAttempts` of the client.
    #[tracing::instrument(
        name = "service.oidc.begin",
        level = "debug",
        skip_all,
        fields(provider)
    )]
    pub async fn begin(
        &self,
        provider: &str,
        return_to: String,
        client: Option<IpAddr>,
    ) -> Result<BegunLogin, Error> {
        if let Some(client) = client {
            self.starts.acquire(&client_subject(client)).await?;
        }
        self.begin_for(provider, return_to, None).await
    }

    /// Begins a login that links an identity to the account of `user_id`. Requires proof.
    ///
    /// # Errors
    /// As [`Oidc::begin`] and [`Confirmation::confirm`]; `NotPermitted` for another user.
    #[tracing::instrument(name = "service.oidc.begin_link", level = "debug", skip_all, fields(%user_id))]
    pub async fn begin_link(
        &self,
        user_id: UserId,
        provider: &str,
        return_to: String,
        requester: &Requester<'_>,
    ) -> Result<BegunLogin, Error> {
        if !requester.is_user(user_id) {
            let text = "only users themselves link their accounts";
            return Err(Error::NotPermitted(text));
        }
        self.confirmation.confirm(requester).await?;
        self.starts.acquire(&user_id.to_string()).await?;
        self.begin_for(provider, return_to, Some(user_id)).await
    }

    async fn begin_for(
        &self,
        name: &str,
        return_to: String,
        user_id: Option<UserId>,
    ) -> Result<BegunLogin, Error> {
        let provider = self.provider(name)?;
        let settings = provider.settings();
        let mut url = match &settings.endpoints {
            Some(endpoints) => endpoints.authorization.clone(),
            None => {
                let metadata = provider.metadata().await;
                metadata.map_err(unavailable)?.authorization_endpoint
            }
        };
        let secrets = LoginSecrets::generate();
        let login = PendingLogin {
            provider: settings.name.clone(),
            return_to,
            user_id,
        };
        oidc_logins::create(&self.pool, &secrets, &login).await?;
        let redirect_uri = self.redirect_uri(settings);
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", &redirect_uri)
            .append_pair("state", &secrets.state)
            .append_pair("code_challenge", &secrets.code_challenge())
            .append_pair("code_challenge_method", "S256");
        if !settings.scopes.is_empty() {
            url.query_pairs_mut().append_pair("scope", &settings.scopes);
        }
        if settings.endpoints.is_none() {
            url.query_pairs_mut().append_pair("nonce", &secrets.nonce());
        }
        Ok(BegunLogin {
            authorization_url: url,
            browser_secret: secrets.browser,
        })
    }

    /// Ends a login that was begun in the browser with the secret `browser`.
    ///
    /// # Errors
    /// `ProviderNotFound`, `ProviderUnavailable`, `LoginRefused`; `Suspended`; `TooManyIdentities`.
    #[tracing::instrument(
        name = "service.oidc.finish",
        level = "debug",
        skip_all,
        fields(provider)
    )]
    pub async fn finish(
        &self,
        provider: &str,
        callback: Callback,
        browser: Option<&str>,
    ) -> Result<FinishedLogin, Error> {
        let provider = self.provider(provider)?;
        let finished = self.finish_at(provider, callback, browser).await;
        let name = provider.settings().name.clone();
        let outcome = match &finished {
            Ok(_) => "ok",
            Err(Error::LoginRefused(refusal)) => refusal.code(),
            Err(_) => "failed",
        };
        metrics::counter!(LOGINS_TOTAL, "provider" => name, "outcome" => outcome).increment(1);
        finished
    }

    async fn finish_at(
        &self,
        provider: &Provider,
        callback: Callback,
        browser: Option<&str>,
    ) -> Result<FinishedLogin, Error> {
        let settings = provider.settings();
        let (Some(state), Some(browser)) = (callback.state, browser) else {
            return Err(Error::LoginRefused(LoginRefusal::State));
        };
        let secrets = LoginSecrets {
            state,
            browser: browser.to_owned(),
        };
        let pending = oidc_logins::take(&self.pool, &secrets, &settings.name).await?;
        let pending = pending.ok_or(Error::LoginRefused(LoginRefusal::State))?;
        let is_of_issuer = |issuer: &String| *issuer == settings.issuer;
        if !callback.issuer.as_ref().is_none_or(is_of_issuer) {
            return Err(Error::LoginRefused(LoginRefusal::Issuer));
        }
        if callback.error.is_some() {
            return Err(Error::LoginRefused(LoginRefusal::Denied));
        }
        let code = callback
            .code
            .filter(|code| code.len() <= MAX_PARAMETER_BYTES);
        let code = code.ok_or(Error::LoginRefused(LoginRefusal::Code))?;
        let profile = match &settings.endpoints {
            None => {
                let has_issuer = callback.issuer.is_some();
                self.open_id_profile(provider, &secrets, &code, has_issuer)
                    .await?
            }
            Some(endpoints) => {
                let exchange = CodeExchange {
                    endpoint: &endpoints.token,
                    code: &code,
                    state: &secrets.state,
                    redirect_uri: &self.redirect_uri(settings),
                    code_verifier: &secrets.code_verifier(),
                    has_secret_in_body: true,
                };
                let tokens = provider.client.exchange(&exchange).await.map_err(refused)?;
                let url = endpoints.profile.as_ref();
                let url = url.ok_or(Error::LoginRefused(LoginRefusal::Token))?;
                let profile = provider
                    .client
                    .fetch_naver_profile(url, &tokens.access_token);
                profile.await.map_err(refused)?
            }
        };
        if !id_token::is_subject(&profile.subject) {
            return Err(Error::LoginRefused(LoginRefusal::Token));
        }
        let login = match pending.user_id {
            Some(user_id) => {
                let identity = accounts::new_identity(settings, &profile);
                identities::link(&self.pool, user_id, &identity, None).await?;
                None
            }
            None => Some(self.accounts.log_in(settings, &profile).await?),
        };
        Ok(FinishedLogin {
            return_to: pending.return_to,
            login,
        })
    }

    /// Exchanges a code and verifies the ID token; an address that it lacks comes from the userinfo endpoint.
    async fn open_id_profile(
        &self,
        provider: &Provider,
        secrets: &LoginSecrets,
        code: &str,
        has_issuer: bool,
    ) -> Result<ExternalProfile, Error> {
        let settings = provider.settings();
        let metadata = provider.metadata().await.map_err(unavailable)?;
        if metadata.authorization_response_iss_parameter_supported && !has_issuer {
            return Err(Error::LoginRefused(LoginRefusal::Issuer));
        }
        let methods = &metadata.token_endpoint_auth_methods_supported;
        let exchange = CodeExchange {
            endpoint: &metadata.token_endpoint,
            code,
            state: &secrets.state,
            redirect_uri: &self.redirect_uri(settings),
            code_verifier: &secrets.code_verifier(),
            has_secret_in_body: methods.iter().any(|method| method == "client_secret_post"),
        };
        let tokens = provider.client.exchange(&exchange).await.map_err(refused)?;
        let invalid = |reason: &str| {
            tracing::info!(provider = settings.name, reason, "refused an ID token");
            Error::LoginRefused(LoginRefusal::Token)
        };
        let token = tokens.id_token.ok_or_else(|| invalid("there is none"))?;
        let token = token.expose_secret();
        let header = id_token::header(token).map_err(invalid)?;
        let keys = provider.keys(&metadata, header.kid.as_deref()).await;
        let keys = keys.map_err(unavailable)?;
        let now = self.clock.now().timestamp();
        let profile = id_token::verify(token, &header, &keys, settings, &secrets.nonce(), now);
        let mut profile = profile.map_err(invalid)?;
        if let Some(url) = &metadata.userinfo_endpoint
            && !profile.is_email_verified
        {
            let info = provider.client.fetch_user_info(url, &tokens.access_token);
            let info = info.await.map_err(refused)?;
            if info.sub != profile.subject {
                return Err(invalid("the userinfo is of another subject"));
            }
            if info.email.is_some() {
                profile.email = info.email;
                profile.is_email_verified = id_token::is_true(&info.email_verified);
            }
        }
        Ok(profile)
    }

    /// Lists the identities that the user can log in with.
    #[tracing::instrument(name = "service.oidc.list_identities", level = "debug", skip_all, fields(%user_id))]
    pub async fn list_identities(&self, user_id: UserId) -> Result<Vec<ExternalIdentity>, Error> {
        Ok(identities::list(&self.pool, user_id).await?)
    }

    /// Ends the link of an identity. Requires proof.
    ///
    /// # Errors
    /// `IdentityNotFound`; `LastLogin` if the user could not log in without it; as [`Confirmation::confirm`].
    #[tracing::instrument(name = "service.oidc.unlink", level = "debug", skip_all, fields(%user_id))]
    pub async fn unlink(
        &self,
        user_id: UserId,
        id: i64,
        requester: &Requester<'_>,
    ) -> Result<(), Error> {
        self.confirmation.confirm(requester).await?;
        identities::delete(&self.pool, user_id, id).await
    }

    fn provider(&self, name: &str) -> Result<&Provider, Error> {
        let mut providers = self.providers.iter();
        providers
            .find(|provider| provider.settings().name == name)
            .ok_or(Error::ProviderNotFound)
    }

    /// The URL of the callback: one of its own for each provider, so that responses cannot be mixed up.
    fn redirect_uri(&self, provider: &LoginProvider) -> String {
        let mut url = self.public_url.clone();
        url.set_path(&format!("/api/v1/auth/oidc/{}/callback", provider.name));
        url.to_string()
    }
}

fn unavailable(error: ProviderError) -> Error {
    Error::ProviderUnavailable(error.to_string())
}

/// A refusal of the provider is one of the login.
fn refused(error: ProviderError) -> Error {
    match error {
        ProviderError::Unavailable(_) => unavailable(error),
        ProviderError::Refused(reason) => {
            tracing::info!(reason, "a login provider refused the exchange");
            Error::LoginRefused(LoginRefusal::Code)
        }
    }
}
