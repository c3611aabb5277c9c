//! Access tokens that are no longer valid before they expire: those of suspended users, and those from before a loss of rights.
//! One task of the process requests the list from preference-service; every request compares with it in memory.

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chassis::{Problem, ProcessConfig, client::Client, shutdown::Shutdown};
use hyper::StatusCode;
use serde::Deserialize;
use url::Url;

use super::{bearer::invalid_token, principal::Principal};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
const PATH: &str = "/internal/v1/token-revocations";

/// The revocations that are in force; shared by all threads.
#[derive(Default)]
pub(crate) struct Revocations {
    users: RwLock<HashMap<String, Revocation>>,
    has_any: AtomicBool,
}

/// The tokens of a user that are invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Revocation {
    user_id: u64,
    /// True if the user is suspended: no token is valid.
    suspended: bool,
    /// Seconds of the Unix epoch; tokens that were issued before are invalid.
    valid_from: u64,
}

#[derive(Deserialize)]
struct List {
    revocations: Vec<Revocation>,
}

impl Revocations {
    /// Checks that the token or API key of `principal` is not revoked.
    ///
    /// # Errors
    /// 403 if the user is suspended, 401 if the token is from before a loss of rights.
    pub(super) fn check(&self, principal: &Principal) -> Result<(), Problem> {
        if !self.has_any.load(Ordering::Acquire) {
            return Ok(());
        }
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        match users.get(&principal.subject) {
            None => Ok(()),
            Some(revocation) if revocation.suspended => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "account-suspended",
                "the account is suspended",
            )
            .detail("an administrator or moderator has suspended the account; POST /api/v1/auth/token tells until when")),
            // API keys state the rights that their owner has now.
            Some(revocation)
                if principal.scopes.is_none() && principal.issued_at < revocation.valid_from =>
            {
                Err(invalid_token(
                    "the rights of the user have changed since the token was issued; refresh it",
                ))
            }
            Some(_) => Ok(()),
        }
    }

    fn replace(&self, list: List) {
        let users: HashMap<String, Revocation> = list
            .revocations
            .into_iter()
            .map(|revocation| (revocation.user_id.to_string(), revocation))
            .collect();
        let is_empty = users.is_empty();
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = users;
        self.has_any.store(!is_empty, Ordering::Release);
    }
}

/// Requests the list in this `interval` from the first of `instances` that responds, until the shutdown: a suspension takes
/// effect within it and the time of one request. While none does, the last list stays in force; a process that has not got
/// any accepts the tokens of suspended users until they expire.
pub(crate) async fn refresh(
    revocations: std::sync::Arc<Revocations>,
    instances: Vec<Url>,
    process: ProcessConfig,
    interval: Duration,
    shutdown: Shutdown,
) {
    let clients: Vec<Client> = instances
        .into_iter()
        .filter_map(|url| Client::new("preference-service", url, &process).ok())
        .collect();
    let mut failures = 0_u32;
    let mut has_list = false;
    loop {
        let mut list = None;
        for client in &clients {
            list = request(client).await;
            if list.is_some() {
                break;
            }
        }
        match list {
            Some(list) => {
                revocations.replace(list);
                failures = 0;
                has_list = true;
            }
            None => {
                failures = failures.saturating_add(1);
                if failures == 1 && !has_list {
                    tracing::warn!(
                        "no list of revocations yet: tokens of suspended users are accepted until preference-service responds"
                    );
                } else if failures == 5 && has_list {
                    tracing::warn!(
                        "cannot refresh the list of revocations, the last one stays in force"
                    );
                }
            }
        }
        if shutdown.sleep(interval).await {
            return;
        }
    }
}

async fn request(client: &Client) -> Option<List> {
    let response = client.get(PATH, REQUEST_TIMEOUT).send().await.ok()?;
    client.read(response).await.ok()
}

#[cfg(test)]
mod tests {
    use super::{super::principal::Role, *};

    #[test]
    fn suspended_users_and_old_tokens_are_refused() {
        let revocations = Revocations::default();
        let principal = |subject: &str, issued_at| {
            let principal = Principal::new(subject.to_owned(), Role::User, None, u64::MAX);
            let mut principal = principal.expect("a header");
            principal.issued_at = issued_at;
            principal
        };
        assert!(revocations.check(&principal("7", 0)).is_ok());
        let revocation = |user_id, suspended| Revocation {
            user_id,
            suspended,
            valid_from: 1000,
        };
        revocations.replace(List {
            revocations: vec![revocation(7, true), revocation(8, false)],
        });
        let status = |subject, issued_at| {
            let checked = revocations.check(&principal(subject, issued_at));
            checked.err().map(|problem| problem.status().as_u16())
        };
        assert_eq!(status("7", 2000), Some(403));
        assert_eq!(status("8", 999), Some(401));
        assert_eq!(status("8", 1000), None);
        assert_eq!(status("9", 0), None);
        revocations.replace(List {
            revocations: Vec::new(),
        });
        assert_eq!(status("7", 0), None);
    }
}
