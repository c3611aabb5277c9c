//! Routes to groups of other instances: their conditions, the reload on SIGHUP, and groups that cannot be used.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use chassis::testing::{eventually, free_port};
use gateway::Role;
use reqwest::Method;

use crate::{
    commands::{refused, run},
    stage::{Stage, TestResponse, echo, serve},
};

const MOVIES: &str = "/api/v1/movies";
const SEARCH: &str = "/api/v1/search?q=x";

/// A file of routes, deleted when dropped.
struct RoutesFile(PathBuf);

impl RoutesFile {
    fn new(text: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("routes-{}-{number}.toml", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for RoutesFile {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// A gateway with a canary of movie-service beside the ordinary instances of all services.
struct Canary {
    stage: Stage,
    file: RoutesFile,
    canary: SocketAddr,
    ordinary: SocketAddr,
}

impl Canary {
    async fn with_routes(routes: &str) -> Self {
        Self::at(serve(echo()).await, routes).await
    }

    async fn at(canary: SocketAddr, routes: &str) -> Self {
        let ordinary = serve(echo()).await;
        let file = RoutesFile::new(&content(canary, routes));
        let stage = Stage::new(
            ordinary,
            &[
                ("ROUTES_FILE", file.path()),
                ("PLANS", "unlimited"),
                (
                    "ROLE_PLANS",
                    "user=unlimited,moderator=unlimited,admin=unlimited",
                ),
            ],
        );
        Self {
            stage,
            file,
            canary,
            ordinary,
        }
    }

    /// Writes other routes and lets the gateway read them.
    fn reload(&self, routes: &str) {
        self.file.write(&content(self.canary, routes));
        hang_up();
    }

    /// True if the canary served a request of `user` with `headers`.
    async fn is_served(&self, path: &str, user: &str, headers: &[(&str, &str)]) -> bool {
        let token = self.stage.token(user, Role::User);
        let mut request = self.stage.bare(Method::GET, path).bearer_auth(token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let seen = TestResponse::of(request).await.json();
        let host = seen["headers"]["host"][0].as_str().expect("a host");
        assert!(
            [self.canary, self.ordinary].map(|address| address.to_string() == host) != [false; 2]
        );
        host == self.canary.to_string()
    }

    async fn metrics(&self) -> String {
        self.stage.get("/metrics").await.text
    }
}

fn content(canary: SocketAddr, routes: &str) -> String {
    format!(
        "[groups.canary]\nservice = \"movie-service\"\nurls = [\"http://{canary}\"]\n\n{routes}"
    )
}

fn hang_up() {
    let process = std::process::id().to_string();
    let sent = Command::new("kill").args(["-HUP", &process]).status();
    assert!(sent.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_needs_all_of_its_conditions() {
    let canary = Canary::with_routes(
        "[[routes]]\n\
         group = \"canary\"\n\
         path = \"/api/v1/search\"\n\
         host = \"beta.example.com\"\n\
         headers = { X-Canary = \"1\" }\n",
    )
    .await;
    let (host, header) = (("host", "BETA.example.com:8080"), ("x-canary", "1"));
    for (path, headers, expected) in [
        (SEARCH, &[host, header][..], true),
        ("/api/v1/search/suggest?q=x", &[host, header], true),
        (SEARCH, &[host], false),
        (SEARCH, &[header], false),
        (SEARCH, &[host, ("x-canary", "10")], false),
        (SEARCH, &[("host", "example.com"), header], false),
        (MOVIES, &[host, header], false),
        // Of another service.
        ("/api/v1/users/7", &[host, header], false),
    ] {
        let is_served = canary.is_served(path, "7", headers).await;
        assert_eq!(is_served, expected, "{path} {headers:?}");
    }
    let metrics = canary.metrics().await;
    for line in [
        r#"upstream_requests_total{service="movie-service",group="canary",result="2xx"} 2"#,
        r#"upstream_requests_total{service="movie-service",group="default",result="2xx"} 5"#,
        "# HELP upstream_requests_total",
        "# HELP upstream_request_duration_seconds",
        r#"upstream_request_duration_seconds_count{service="movie-service",group="canary"} 2"#,
        "# HELP routes_in_force",
        "routes_in_force 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_route_that_applies_decides_by_host_or_header() {
    let canary = Canary::with_routes(
        "[[routes]]\n\
         group = \"canary\"\n\
         host = \"beta.example.com\"\n\
         [[routes]]\n\
         group = \"canary\"\n\
         headers = { x-canary = \"1\" }\n",
    )
    .await;
    for (headers, expected) in [
        (&[("host", "beta.example.com")][..], true),
        (&[("x-canary", "1")], true),
        (&[], false),
    ] {
        assert_eq!(canary.is_served(MOVIES, "7", headers).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_the_users_goes_to_the_group_and_stays_there() {
    let route =
        |percent: &str| format!("[[routes]]\ngroup = \"canary\"\nusers_percent = {percent}\n");
    let canary = Canary::with_routes(&route("10")).await;
    let mut users = Vec::new();
    for user in 0..1000 {
        if canary.is_served(MOVIES, &user.to_string(), &[]).await {
            users.push(user);
        }
    }
    // Five standard deviations.
    assert!((53..=147).contains(&users.len()), "{}", users.len());
    for user in users.iter().map(ToString::to_string) {
        assert!(canary.is_served(SEARCH, &user, &[]).await);
    }
    // A larger share keeps the users of a smaller one; a caller without a user is not in any.
    canary.reload(&route("99.5"));
    let mut left = 0..1000;
    eventually("the larger share is in force", || {
        let user = left.next().expect("almost all users are in the share");
        let is_known = users.contains(&user);
        let canary = &canary;
        async move { !is_known && canary.is_served(MOVIES, &user.to_string(), &[]).await }
    })
    .await;
    for user in users.iter().map(ToString::to_string) {
        assert!(canary.is_served(MOVIES, &user, &[]).await);
    }
    let image = canary.stage.bare(Method::GET, "/images/w500/x.jpg");
    let seen = TestResponse::of(image).await.json();
    assert_eq!(seen["headers"]["host"][0], canary.ordinary.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_example_is_valid() {
    let text = include_str!("../../../docs/adr/0031-routes-to-groups.md");
    let (_, rest) = text.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let file = RoutesFile::new(example);
    let stage = Stage::with_echo(&[("ROUTES_FILE", file.path())]).await;
    assert!(
        stage
            .get("/metrics")
            .await
            .text
            .contains("routes_in_force 2")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_file_is_refused_whole_and_the_error_names_the_entry() {
    let all = "[[routes]]\ngroup = \"canary\"\n";
    let canary = Canary::with_routes(all).await;
    for (number, (routes, words)) in [
        (
            "[[routes]]\ngroup = \"canaries\"\n",
            &["routes[0]", "`canaries`", "did you mean `canary`?"][..],
        ),
        (
            "[[routes]]\ngroup = \"canary\"\n[[routes]]\ngroup = \"canary\"\npath = \"/api/v1/moviess\"\n",
            &["routes[1]", "/api/v1/moviess"],
        ),
        (
            "[[routes]]\ngroup = \"canary\"\nusers_percent = 101\n",
            &["routes[0]", "users_percent"],
        ),
        (
            "[[routes]]\ngroup = \"canary\"\nhosts = \"x\"\n",
            &["routes[0]", "hosts"],
        ),
        (
            "[[routes]]\ngroup = \"canary\"\nhost = \"https://x\"\n",
            &["routes[0]", "host"],
        ),
        (
            "[[routes]]\ngroup = \"canary\"\nheaders = { \"x y\" = \"1\" }\n",
            &["routes[0]", "x y"],
        ),
        (
            "[groups.other]\nservice = \"movies\"\nurls = [\"http://x\"]\n",
            &["groups.other", "movie-service"],
        ),
        (
            "[groups.other]\nservice = \"movie-service\"\nurls = [\"http://x/path\"]\n",
            &["groups.other", "http://x/path"],
        ),
        ("[[routes]\n", &["line 5,"]),
    ]
    .into_iter()
    .enumerate()
    {
        canary.reload(routes);
        let refusals = format!("routes_reloads_total{{result=\"refused\"}} {}", number + 1);
        eventually("the file is refused", || async {
            canary.metrics().await.contains(&refusals)
        })
        .await;
        assert!(canary.is_served(MOVIES, "7", &[]).await, "{routes}");
        let output = run(&[], &[("ROUTES_FILE", canary.file.path()), ("REDIS_URL", "")]);
        for word in [&["ROUTES_FILE", canary.file.path()][..], words].concat() {
            refused(&output, word);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_effect_and_drops_no_request() {
    let all = "[[routes]]\ngroup = \"canary\"\n";
    let canary = Canary::with_routes(all).await;
    let is_over = AtomicBool::new(false);
    let load = async {
        let mut served = [0, 0];
        while !is_over.load(Ordering::SeqCst) {
            let requests = (0..4).map(|_| canary.is_served(MOVIES, "7", &[]));
            for by_canary in futures_util::future::join_all(requests).await {
                served[usize::from(by_canary)] += 1;
            }
        }
        served
    };
    let reloads = async {
        for number in 0..20 {
            let is_canary = number % 2 == 1;
            canary.reload(if is_canary { all } else { "" });
            eventually("the reload takes effect in both threads", || async {
                let requests = (0..8).map(|_| {
                    // Connections of their own, which the kernel distributes among the threads.
                    let client = chassis::client::http()
                        .no_proxy()
                        .build()
                        .expect("a client");
                    let token = canary.stage.token("7", Role::User);
                    let request = client.get(canary.stage.url(MOVIES)).bearer_auth(token);
                    TestResponse::of(request)
                });
                let responses = futures_util::future::join_all(requests).await;
                responses.iter().all(|response| {
                    let host = &response.json()["headers"]["host"][0];
                    (*host == canary.canary.to_string()) == is_canary
                })
            })
            .await;
        }
        is_over.store(true, Ordering::SeqCst);
    };
    let (served, ()) = tokio::join!(load, reloads);
    assert!(served[0] > 0 && served[1] > 0, "{served:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ordinary_instances_serve_while_no_instance_of_the_group_can() {
    let canary = ([127, 0, 0, 1], free_port()).into();
    let canary = Canary::at(canary, "[[routes]]\ngroup = \"canary\"\n").await;
    for _ in 0..20 {
        assert!(!canary.is_served(MOVIES, "7", &[]).await);
    }
    let metrics = canary.metrics().await;
    for line in [
        "# HELP upstream_group_fallbacks_total",
        r#"upstream_group_fallbacks_total{service="movie-service",group="canary"} 20"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let listener = tokio::net::TcpListener::bind(canary.canary).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, echo()).await });
    eventually("the group serves once it can", || {
        canary.is_served(MOVIES, "7", &[])
    })
    .await;
}
