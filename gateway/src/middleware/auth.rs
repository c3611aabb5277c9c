//! Authentication and authorization: verifies the bearer token, then checks the caller against the route.
//! Called by [`crate::pipeline`] after the rate limit.

mod api_keys;
mod bearer;
mod jwks;
mod keys;
pub(crate) mod principal;
mod revocations;
mod token_cache;

use std::{rc::Rc, sync::Arc, time::Duration};

use chassis::{Problem, clock::Clock};
use chrono::{DateTime, Utc};
use hyper::{HeaderMap, Method, StatusCode, header::AUTHORIZATION};

use self::{
    api_keys::ApiKeys,
    bearer::{credential, invalid_token},
    keys::Rejection,
    token_cache::TokenCache,
};
pub(crate) use self::{
    api_keys::InvalidKeyLimiter,
    keys::Keys,
    principal::{Principal, limit_id},
    revocations::{Revocations, refresh as refresh_revocations},
};
pub use self::{keys::sign_token, principal::Role};
use crate::{
    config::{AuthMode, Config},
    middleware::client_ip::ClientKey,
    proxy::{Upstream, internal::InternalCall},
    routes::{Access, Route},
};

/// The authentication of one thread.
pub(crate) struct Authenticator {
    keys: Arc<Keys>,
    verified: TokenCache,
    api_keys: ApiKeys,
    revocations: Arc<Revocations>,
    /// The principal of mock mode for tokens that are not valid.
    mock: Rc<Principal>,
}

/// The subject of [`Authenticator::mock`]: the user that the development stack creates first.
const MOCK_SUBJECT: &str = "1";

/// Every request of mock mode counts as a login: the start of the year 9999.
const MOCK_AUTH_TIME: u64 = 253_370_764_800;

/// An administrator of mock mode; `None` if the subject cannot be part of a header.
fn mock_principal(subject: &str) -> Option<Rc<Principal>> {
    let subject = subject.to_owned();
    let auth_time = Some(MOCK_AUTH_TIME);
    Principal::with_login(subject, Role::Admin, None, u64::MAX, auth_time).map(Rc::new)
}

impl Authenticator {
    /// An authenticator with empty caches.
    ///
    /// # Panics
    /// Never: the principal of mock mode can be a header.
    pub(crate) fn new(
        keys: Arc<Keys>,
        invalid_keys: Arc<InvalidKeyLimiter>,
        revocations: Arc<Revocations>,
        clock: Clock,
        config: &Config,
    ) -> Self {
        let ttl = Duration::from_secs(config.key_cache_seconds);
        Self {
            keys,
            verified: TokenCache::new(),
            revocations,
            api_keys: ApiKeys::new(invalid_keys, clock, ttl),
            mock: mock_principal(MOCK_SUBJECT).expect("ASCII"),
        }
    }

    /// True if a request with `headers` needs no authentication for `access`.
    pub(crate) fn is_open(&self, access: Access, headers: &HeaderMap) -> bool {
        match access {
            Access::Public => true,
            // A token that is sent must be valid.
            Access::SignUp => !headers.contains_key(AUTHORIZATION),
            _ => false,
        }
    }

    /// Returns the caller at the time `now`. The owner of an API key is looked up at `service`. In mock mode every token is that of an
    /// administrator: of its subject if it is valid, otherwise of [`MOCK_SUBJECT`].
    ///
    /// # Errors
    /// 401 if the token is missing or invalid, 403 if the user is suspended, 429 if `client` sent too many invalid API keys, 502 or 503 if the
    /// token cannot be verified now.
    pub(crate) async fn authenticate(
        &self,
        headers: &HeaderMap,
        now: DateTime<Utc>,
        client: ClientKey,
        service: &Upstream,
        call: &InternalCall<'_>,
    ) -> Result<Rc<Principal>, Problem> {
        let token = credential(headers)?;
        if self.keys.mode == AuthMode::Mock {
            let owner = self.keys.verify(token).ok();
            let owner = owner.and_then(|owner| mock_principal(&owner.subject));
            return Ok(owner.unwrap_or_else(|| Rc::clone(&self.mock)));
        }
        let principal = if api_keys::is_api_key(token) {
            Box::pin(self.api_keys.resolve(token, client, service, call)).await?
        } else {
            self.verify(token, now)?
        };
        self.revocations.check(&principal)?;
        Ok(principal)
    }

    /// Verifies an access token at the time `now`.
    fn verify(&self, token: &[u8], now: DateTime<Utc>) -> Result<Rc<Principal>, Problem> {
        let generation = self.keys.generation();
        if let Some(principal) = self.verified.find(token, generation)
            && principal.is_valid(now)
        {
            return Ok(principal);
        }
        match self.keys.verify(token) {
            Ok(principal) => {
                let principal = Rc::new(principal);
                self.verified.insert(token, Rc::clone(&principal));
                Ok(principal)
            }
            Err(Rejection::Invalid(reason)) => Err(invalid_token(reason)),
            Err(Rejection::NoKeys) => {
                Err(Problem::unavailable("the key set for access tokens (JWKS)"))
            }
        }
    }
}

/// Checks that `principal` may use `route`, whose first path parameter is `user` for [`Access::ThatUser`].
///
/// # Errors
/// 403 if the role, the user or the scopes of the API key do not allow it.
pub(crate) fn authorize(principal: &Principal, route: &Route, user: &str) -> Result<(), Problem> {
    let is_for_admins = matches!(
        route.access,
        Access::Moderator | Access::Admin | Access::Operator
    );
    if let Some(scopes) = principal.scopes {
        if route.interactive_login_only {
            return Err(forbidden(
                "not allowed with an API key; use an access token",
            ));
        }
        let (has_scope, missing) = match route.method {
            _ if is_for_admins => (scopes.admin, "the API key lacks the scope admin"),
            Method::GET => (scopes.read, "the API key lacks the scope read"),
            _ => (scopes.write, "the API key lacks the scope write"),
        };
        if !has_scope {
            return Err(forbidden(missing));
        }
    }
    if principal.role == Role::Admin {
        return Ok(());
    }
    match route.access {
        Access::ThatUser if principal.subject != user => {
            Err(forbidden("the token is for another user"))
        }
        Access::Moderator if principal.role == Role::Moderator => Ok(()),
        Access::Moderator => Err(forbidden("only moderators and administrators may do this")),
        Access::Admin | Access::Operator => Err(forbidden("only administrators may do this")),
        Access::Public | Access::SignUp | Access::AnyUser | Access::ThatUser => Ok(()),
    }
}

fn forbidden(detail: &'static str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", "forbidden").detail(detail)
}
