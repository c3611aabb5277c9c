//! The policy matrix: every route of the gateway's table, called by every kind of caller on the whole platform.

use std::collections::BTreeMap;

use chassis::testing::eventually;
use gateway::routes::{Access, ROUTES, Route};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{Api, JWT_SECRET, Platform, PlatformOptions};

const PASSWORD: &str = "a password that is hard to guess";

/// A kind of caller, as far as the rules distinguish callers.
struct Caller {
    name: &'static str,
    api: Api,
    identity: Identity,
    /// `None`: no API key.
    scopes: Option<&'static [&'static str]>,
}

#[derive(Clone, Copy, PartialEq)]
enum Identity {
    Nobody,
    /// A token that must not be accepted.
    Invalid,
    Stranger,
    Moderator,
    /// A user who is suspended.
    Suspended,
    /// The user whose id is in the path.
    Own,
    Admin,
}

/// The outcome that the rules demand.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    /// Anything but the gateway's refusals: the request is empty, and its service may refuse that.
    Allowed,
    Unauthorized,
    Forbidden,
}

fn expected(route: &Route, caller: &Caller) -> Verdict {
    use Verdict::{Allowed, Forbidden, Unauthorized};
    let is_for_admins = matches!(
        route.access,
        Access::Moderator | Access::Admin | Access::Operator
    );
    match (route.access, caller.identity) {
        (Access::Public, _) | (Access::SignUp, Identity::Nobody) => return Allowed,
        (_, Identity::Nobody | Identity::Invalid) => return Unauthorized,
        (_, Identity::Suspended) => return Forbidden,
        _ => {}
    }
    if let Some(scopes) = caller.scopes {
        let required = match route.method {
            _ if is_for_admins => "admin",
            Method::GET => "read",
            _ => "write",
        };
        if route.interactive_login_only || !scopes.contains(&required) {
            return Forbidden;
        }
    }
    match (route.access, caller.identity) {
        (_, Identity::Admin) => Allowed,
        (Access::Moderator, Identity::Moderator) => Allowed,
        (Access::ThatUser, Identity::Stranger | Identity::Moderator) => Forbidden,
        _ if is_for_admins => Forbidden,
        _ => Allowed,
    }
}

fn verdict(status: u16, body: &Value) -> Verdict {
    // Services have problems of their own with these statuses, such as wrong credentials.
    match (status, body["type"].as_str()) {
        (401, Some("/problems/unauthorized")) => Verdict::Unauthorized,
        (403, Some("/problems/forbidden" | "/problems/account-suspended")) => Verdict::Forbidden,
        _ => Verdict::Allowed,
    }
}

/// A path that matches `route`, of the user `own`.
fn path(route: &Route, own: i64) -> String {
    let path = route.path.replace("/users/{id}", &format!("/users/{own}"));
    let path = path.replace("{document}", "marquee.json");
    let path = path.replace("{*file}", "index.css");
    // The keys of the callers must stay.
    let path = path.replace("{key_id}", "4000000");
    let path = path
        .replace("{provider}", "plex")
        .replace("{secret}", "mqw_unknown");
    let segments = path
        .split('/')
        .map(|segment| match segment.starts_with('{') {
            true => "1",
            false => segment,
        });
    let path = segments.collect::<Vec<_>>().join("/");
    match route.path.starts_with("/api/v1/admin/sync") {
        true => format!("{path}?pages=1"),
        false => path,
    }
}

struct Account {
    id: i64,
    api: Api,
}

async fn account(platform: &Platform, name: &str) -> Account {
    let anonymous = platform.client().bare();
    let body =
        json!({"username": name, "email": format!("{name}@example.org"), "password": PASSWORD});
    let user = anonymous.post("/api/v1/users", body).await.expect(201);
    if name == "boss" {
        platform.preference_service.run(&["admin", "grant", name]);
    }
    let body = json!({"username": name, "password": PASSWORD});
    let login = anonymous.post("/api/v1/auth/token", body).await.expect(200);
    Account {
        id: user["id"].as_i64().unwrap(),
        api: anonymous.token(login["access_token"].as_str().unwrap()),
    }
}

async fn key(account: &Account, scopes: &[&str]) -> Api {
    let path = format!("/api/v1/users/{}/api-keys", account.id);
    let body = json!({"name": scopes.join(" "), "scopes": scopes});
    let key = account.api.post(&path, body).await.expect(201);
    account.api.clone().token(key["key"].as_str().unwrap())
}

/// A token of the user `own` whose claims are changed so that it must not be accepted.
fn invalid(own: i64, change: &Value) -> String {
    let mut claims = json!({
        "sub": own.to_string(), "role": "admin", "iss": "marquee", "aud": "marquee", "exp": 4_000_000_000_u64,
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
}

async fn callers(
    platform: &Platform,
    own: &Account,
    stranger: &Account,
    admin: &Account,
) -> Vec<Caller> {
    use Identity::{Admin, Invalid, Nobody, Own, Stranger};
    let anonymous = platform.client().bare();
    let plain = |name, api: &Api, identity| Caller {
        name,
        api: api.clone(),
        identity,
        scopes: None,
    };
    let bad = |name, change| {
        plain(
            name,
            &anonymous.clone().token(&invalid(own.id, &change)),
            Invalid,
        )
    };
    let mut callers = vec![
        plain("nobody", &anonymous, Nobody),
        bad("an expired token", json!({"exp": 1_000_000_000})),
        bad("a token for another audience", json!({"aud": "others"})),
        bad("a token of another issuer", json!({"iss": "others"})),
        plain("a stranger", &stranger.api, Stranger),
        plain("the user", &own.api, Own),
        plain("an administrator", &admin.api, Admin),
    ];
    for (name, account, identity, scopes) in [
        ("a key to read", own, Own, &["read"][..]),
        ("a key to write", own, Own, &["write"]),
        ("a key to read and write", own, Own, &["read", "write"]),
        ("a stranger's key", stranger, Stranger, &["read", "write"]),
        (
            "an administrator's key with admin",
            admin,
            Admin,
            &["read", "write", "admin"],
        ),
        // Without the scope, the key has the rights of any user.
        (
            "an administrator's key without admin",
            admin,
            Stranger,
            &["read", "write"],
        ),
    ] {
        callers.push(Caller {
            name,
            api: key(account, scopes).await,
            identity,
            scopes: Some(scopes),
        });
    }
    callers
}

/// A moderator, and a user who was suspended after logging in.
async fn moderator_and_suspended(platform: &Platform, admin: &Account) -> [Caller; 2] {
    let moderator = account(platform, "mia").await;
    let suspended = account(platform, "sue").await;
    for (id, body) in [
        (moderator.id, json!({"role": "moderator"})),
        (
            suspended.id,
            json!({"suspended_until": "2100-01-01T00:00:00Z", "reason": "spam"}),
        ),
    ] {
        let path = format!("/api/v1/admin/users/{id}");
        let body = Some(body.to_string());
        let changed = admin.api.try_send(Method::PATCH, &path, body).await;
        assert_eq!(changed.unwrap().status, 200);
    }
    let started = std::time::Instant::now();
    eventually("the suspended user is refused", async || {
        suspended.api.get("/api/v1/auth/me").await.status == 403
    })
    .await;
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
    let anonymous = platform.client().bare();
    let login = json!({"username": "mia", "password": PASSWORD});
    let login = anonymous
        .post("/api/v1/auth/token", login)
        .await
        .expect(200);
    let api = anonymous.token(login["access_token"].as_str().unwrap());
    [
        ("a moderator", api, Identity::Moderator),
        ("a suspended user", suspended.api, Identity::Suspended),
    ]
    .map(|(name, api, identity)| Caller {
        name,
        api,
        identity,
        scopes: None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_serves_exactly_the_callers_of_its_rule() {
    let platform = Platform::with_films(
        1,
        PlatformOptions {
            // The metrics are for administrators only.
            settings: vec![("METRICS_NETWORKS", String::new())],
            ..PlatformOptions::jwt()
        },
    )
    .await;
    let own = account(&platform, "wilhelmina").await;
    let stranger = account(&platform, "stranger").await;
    let admin = account(&platform, "boss").await;
    let mut callers = callers(&platform, &own, &stranger, &admin).await;
    callers.extend(moderator_and_suspended(&platform, &admin).await);
    // Erasure comes last: the others need the user.
    let erases =
        |route: &&Route| route.method == Method::DELETE && route.path == "/api/v1/users/{id}";
    let (last, routes): (Vec<&Route>, Vec<&Route>) = ROUTES.iter().partition(erases);
    let (mut checked, mut wrong) = (BTreeMap::new(), Vec::new());
    for route in routes.into_iter().chain(last) {
        let path = path(route, own.id);
        // Those whom it serves come last: one of them may end what the others' identities rest on.
        let mut in_order: Vec<&Caller> = callers.iter().collect();
        in_order.sort_by_key(|caller| expected(route, caller) == Verdict::Allowed);
        for caller in in_order {
            let body = (route.method != Method::GET).then(|| "{}".to_owned());
            // Without the header, sessions of the page are refused for whoever asks.
            let api = caller.api.clone().header("x-marquee", "page");
            let response = api.try_send(route.method.clone(), &path, body).await;
            let response =
                response.unwrap_or_else(|error| panic!("{} {path}: {error}", route.method));
            let expected = expected(route, caller);
            let found = verdict(response.status.as_u16(), &response.body);
            *checked.entry(format!("{expected:?}")).or_insert(0) += 1;
            if found != expected || response.status.is_server_error() {
                wrong.push(format!(
                    "{} {path} by {}: {expected:?} expected, {} {}",
                    route.method, caller.name, response.status, response.text
                ));
            }
        }
    }
    println!(
        "{} routes x {} callers = {} requests ({checked:?}), {} against the rules",
        ROUTES.len(),
        callers.len(),
        checked.values().sum::<usize>(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(platform.errors_logged(), [""; 0]);
}
