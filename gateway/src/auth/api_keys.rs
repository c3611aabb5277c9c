//! API keys: opaque to us, so their owner is asked for at the service that made them, by the key's
//! SHA-256, and remembered for a while: so long a key works after it was taken away. Keys that
//! are none are remembered as well, and whoever shows many of them is not asked for any more.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chassis::Problem;
use http_body_util::{BodyExt, Limited};
use hyper::{
    StatusCode,
    header::{HeaderValue, WWW_AUTHENTICATE},
    http::uri::PathAndQuery,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::{CHALLENGE_INVALID, Principal, Role, Scopes, now, remembered::Remembered};
use crate::{
    answer::Refusal,
    client_ip::ClientKey,
    handler::failed,
    own::{self, Asked},
    proxy::Upstream,
};

/// What every key begins with.
const PREFIX: &[u8] = b"mq_";
/// And how long it is.
const KEY_BYTES: usize = 3 + 43;
/// Keys remembered by one thread, in each of two generations.
const REMEMBERED: usize = 2048;
/// How long the answer may take, and how large it may be.
const PATIENCE: Duration = Duration::from_secs(2);
const ANSWER_BYTES: usize = 4096;
/// Questions of one thread under way at once.
const ASKING: usize = 64;
/// Keys that are none, from one client in one window.
const UNKNOWN: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);
/// Clients remembered for them at most.
const CLIENTS: usize = 10_000;

type Hash = [u8; 32];

/// Whether `token` is an API key rather than a JWT.
pub(super) fn is_api_key(token: &[u8]) -> bool {
    token.starts_with(PREFIX)
}

/// Who showed keys that are none lately; shared by all threads, and looked at only where a key is not
/// remembered.
#[derive(Default)]
pub struct Strangers(Mutex<HashMap<ClientKey, (u32, Instant)>>);

impl Strangers {
    /// How long `client` has to wait until another key of theirs is asked about.
    fn wait(&self, client: ClientKey, now: Instant) -> Option<Duration> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, ends) = known.get(&client)?;
        (*count >= UNKNOWN && *ends > now).then(|| *ends - now)
    }

    fn count(&self, client: ClientKey, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CLIENTS {
            known.retain(|_, (_, ends)| *ends > now);
            if known.len() >= CLIENTS {
                known.clear();
            }
        }
        let (count, ends) = known.entry(client).or_insert((0, now + WINDOW));
        if *ends <= now {
            (*count, *ends) = (0, now + WINDOW);
        }
        *count += 1;
    }
}

/// What is known of a key.
#[derive(Clone)]
struct Known {
    /// None: there is no such key.
    owner: Option<Rc<Principal>>,
    until: Instant,
}

/// API keys as one thread knows them.
pub struct ApiKeys {
    strangers: Arc<Strangers>,
    /// How long a key is remembered, whether there is such a one or not.
    fresh: Duration,
    known: RefCell<Remembered<Hash, Known>>,
    /// Keys that somebody asks about.
    asking: RefCell<HashMap<Hash, Rc<Notify>>>,
    room: Cell<usize>,
}

/// The service's answer.
#[derive(Deserialize)]
struct Owner {
    user_id: u64,
    role: Role,
    scopes: Vec<String>,
    expires_at: Option<u64>,
}

impl ApiKeys {
    /// With nothing remembered; what is found out is, for `fresh`.
    #[must_use]
    pub fn new(strangers: Arc<Strangers>, fresh: Duration) -> Self {
        Self {
            strangers,
            fresh,
            known: RefCell::new(Remembered::new(REMEMBERED)),
            asking: RefCell::default(),
            room: Cell::new(ASKING),
        }
    }

    /// Whom `key` stands for; `service` is asked where that is not remembered.
    ///
    /// # Errors
    /// 401: nobody; 429: `client` showed too many such; 503: the service does not answer.
    pub(super) async fn resolve(
        &self,
        key: &[u8],
        client: ClientKey,
        service: &Upstream,
        asked: &Asked<'_>,
    ) -> Result<Rc<Principal>, Refusal> {
        if key.len() != KEY_BYTES || !key.is_ascii() {
            return Err(unknown());
        }
        let hash: Hash = Sha256::digest(key).into();
        loop {
            if let Some(known) = self.remembered(&hash) {
                return known.ok_or_else(unknown);
            }
            let under_way = self.asking.borrow().get(&hash).cloned();
            match under_way {
                Some(answered) => answered.notified().await,
                None => break,
            }
        }
        if let Some(wait) = self.strangers.wait(client, Instant::now()) {
            return Err(too_many(wait).into());
        }
        let _asking = self.begin(hash)?;
        let owner = match tokio::time::timeout(PATIENCE, ask(&hash, service, asked)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(Problem::unavailable("the user service").into()),
        };
        let owner = owner.and_then(|owner| owner.principal()).map(Rc::new);
        if owner.is_none() {
            self.strangers.count(client, Instant::now());
        }
        let known = Known {
            owner: owner.clone(),
            until: Instant::now() + self.fresh,
        };
        self.known.borrow_mut().remember(hash, known);
        owner.ok_or_else(unknown)
    }

    /// The owner, if that is remembered; `Some(None)`: there is none.
    fn remembered(&self, hash: &Hash) -> Option<Option<Rc<Principal>>> {
        let known = self.known.borrow_mut().find(hash)?;
        if known.until <= Instant::now() {
            return None;
        }
        Some(known.owner.filter(|owner| owner.is_valid(now())))
    }

    fn begin(&self, hash: Hash) -> Result<Question<'_>, Refusal> {
        let room = self.room.get().checked_sub(1).ok_or_else(|| {
            Problem::unavailable("the user service").error("too many API keys are being checked")
        })?;
        self.room.set(room);
        self.asking.borrow_mut().insert(hash, Rc::default());
        Ok(Question { keys: self, hash })
    }
}

/// A question under way, until dropped; whoever waits for it goes on then.
struct Question<'a> {
    keys: &'a ApiKeys,
    hash: Hash,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.keys.room.set(self.keys.room.get() + 1);
        if let Some(answered) = self.keys.asking.borrow_mut().remove(&self.hash) {
            answered.notify_waiters();
        }
    }
}

impl Owner {
    fn principal(self) -> Option<Principal> {
        let scopes = Scopes::named(&self.scopes);
        // What only administrators may takes both: the owner is one now, and meant the key for it.
        let role = if scopes.admin { self.role } else { Role::User };
        let valid_until = self.expires_at.unwrap_or(u64::MAX);
        Principal::new(self.user_id.to_string(), role, Some(scopes), valid_until)
    }
}

async fn ask(hash: &Hash, service: &Upstream, asked: &Asked<'_>) -> Result<Option<Owner>, Refusal> {
    use std::fmt::Write;
    let mut path = "/internal/v1/api-keys/".to_owned();
    for byte in hash {
        let _ = write!(path, "{byte:02x}");
    }
    let unreadable = || {
        Refusal::from(
            Problem::new(
                StatusCode::BAD_GATEWAY,
                "bad-gateway",
                "the user service gave no usable answer",
            )
            .detail("this is our fault; try again, and tell us the request_id if it stays"),
        )
    };
    let target = PathAndQuery::try_from(path).map_err(|_| unreadable())?;
    let response = own::get(service, &target, asked)
        .await
        .map_err(|failure| failed(service.service, &failure))?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(None),
        _ => return Err(Problem::unavailable("the user service").into()),
    }
    let body = Limited::new(response.into_body(), ANSWER_BYTES)
        .collect()
        .await;
    let body = body.map_err(|_| unreadable())?.to_bytes();
    serde_json::from_slice(&body)
        .map(Some)
        .map_err(|_| unreadable())
}

fn unknown() -> Refusal {
    Refusal::with(
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "invalid bearer token",
        )
        .detail("there is no such API key, or it has expired"),
        WWW_AUTHENTICATE,
        HeaderValue::clone(&CHALLENGE_INVALID),
    )
}

fn too_many(wait: Duration) -> Problem {
    let seconds = wait.as_secs().max(1);
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate-limited",
        "too many unknown API keys",
    )
    .detail("try again after the seconds that Retry-After gives")
    .retry_after(seconds)
    .member("retry_after", seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shows_many_keys_that_are_none_waits_and_others_do_not() {
        let strangers = Strangers::default();
        let client = |number: u32| ClientKey::of(std::net::IpAddr::from(number.to_be_bytes()));
        let now = Instant::now();
        for _ in 0..UNKNOWN {
            assert_eq!(strangers.wait(client(1), now), None);
            strangers.count(client(1), now);
        }
        assert_eq!(strangers.wait(client(1), now), Some(WINDOW));
        assert_eq!(strangers.wait(client(2), now), None);
        assert_eq!(strangers.wait(client(1), now + WINDOW), None);
        for number in 0..3 * CLIENTS {
            strangers.count(client(u32::try_from(number).expect("small")), now);
        }
        assert!(strangers.0.lock().expect("not poisoned").len() <= CLIENTS);
    }
}
