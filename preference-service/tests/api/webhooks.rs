//! Webhooks of media servers: their management, and what their deliveries lead to.

use axum::{body::Body, http::Request};
use chassis::testing::{TestResponse, eventually};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{Mood, MovieService, TestApp, assert_problem};

struct Stage {
    app: TestApp,
    movies: MovieService,
    user: i64,
}

impl Stage {
    async fn new(pool: &PgPool) -> Self {
        let (app, movies) = TestApp::beside_movies(pool).await;
        app.knows_films(2).await;
        let user = app.user("anna").await;
        Self { app, movies, user }
    }

    fn hooks(&self) -> String {
        format!("/api/v1/users/{}/webhooks", self.user)
    }

    /// Creates a hook, and returns the path of its deliveries.
    async fn hook(&self, provider: &str) -> String {
        let body = json!({"provider": provider, "name": "attic"});
        let hook = self.app.post(&self.hooks(), body).await.expect(201);
        hook["path"].as_str().expect("a path").to_owned()
    }

    async fn deliver(&self, path: &str, payload: &Value) -> Value {
        self.app.post(path, payload.clone()).await.expect(200)
    }

    async fn viewings(&self) -> Value {
        let path = format!("/api/v1/users/{}/viewings", self.user);
        self.app.get(&path).await.expect(200)["viewings"].clone()
    }

    async fn watch(&self, movie: i64) -> TestResponse {
        self.app
            .get(&format!("/api/v1/users/{}/watch/{movie}", self.user))
            .await
    }
}

fn jellyfin(kind: &str, time: &str, more: &Value) -> Value {
    let mut payload = json!({
        "NotificationType": kind, "UtcTimestamp": time, "ServerId": "f1d3",
        "NotificationUsername": "living room", "UserId": "a1b2", "ItemType": "Movie", "ItemId": "9c2e",
        "Name": "The Matrix", "Year": 1999, "RunTimeTicks": 81_600_000_000_i64,
        "Provider_tmdb": "603", "Provider_imdb": "tt0133093",
    });
    let members = more.as_object().expect("members").clone();
    payload.as_object_mut().expect("an object").extend(members);
    payload
}

fn watched(time: &str) -> Value {
    let end = json!({"PlayedToCompletion": true, "PlaybackPositionTicks": 80_000_000_000_i64});
    jellyfin("PlaybackStop", time, &end)
}

#[sqlx::test]
async fn a_webhook_is_created_listed_rotated_and_revoked(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let hooks = stage.hooks();
    let body = json!({"provider": "jellyfin", "name": "attic"});
    let created = stage.app.post(&hooks, body).await;
    assert_eq!(created.headers["cache-control"], "no-store");
    let created = created.expect(201);
    let secret = created["secret"].as_str().expect("a secret");
    let path = created["path"].as_str().expect("a path");
    assert!(secret.starts_with("mqw_") && secret.len() > 40);
    assert_eq!(path, format!("/api/v1/webhooks/jellyfin/{secret}"));
    let stored: Vec<u8> = sqlx::query_scalar("select secret_hash from webhook")
        .fetch_one(&pool)
        .await
        .expect("a hash");
    assert_eq!(stored.len(), 32, "only a hash is stored");
    stage.deliver(path, &watched("2026-02-13T08:15:42Z")).await;
    stage.deliver(path, &watched("2026-02-13T08:15:42Z")).await;

    let list = stage.app.get(&hooks).await;
    assert!(!list.text.contains(&secret[10..]));
    let hook = list.expect(200)["webhooks"][0].clone();
    assert_eq!(
        (&hook["provider"], &hook["name"]),
        (&json!("jellyfin"), &json!("attic"))
    );
    let delivery = &hook["deliveries"][0];
    assert_eq!(
        (
            &delivery["event"],
            &delivery["title"],
            &delivery["movie_id"],
            &delivery["outcome"],
            &delivery["count"]
        ),
        (
            &json!("PlaybackStop"),
            &json!("The Matrix"),
            &json!(603),
            &json!("applied"),
            &json!(2)
        )
    );

    let rotate = format!("{hooks}/{}/rotate", hook["id"]);
    let rotated = stage.app.post(&rotate, Value::Null).await.expect(200);
    let new_path = rotated["path"].as_str().expect("a path");
    let event = watched("2026-02-14T08:15:42Z");
    assert_problem(
        &stage.app.post(path, event.clone()).await,
        404,
        "webhook not found",
    );
    stage.deliver(new_path, &event).await;
    let plex = new_path.replace("jellyfin", "plex");
    assert_problem(
        &stage.app.post(&plex, event.clone()).await,
        404,
        "webhook not found",
    );
    let unknown = new_path.replace("jellyfin", "winamp");
    assert_problem(
        &stage.app.post(&unknown, event.clone()).await,
        404,
        "webhook not found",
    );

    let revoke = format!("{hooks}/{}", hook["id"]);
    assert_eq!(stage.app.delete(&revoke).await.status, 204);
    assert_problem(&stage.app.delete(&revoke).await, 404, "webhook not found");
    assert_problem(
        &stage.app.post(&rotate, Value::Null).await,
        404,
        "webhook not found",
    );
    assert_problem(
        &stage.app.post(new_path, event).await,
        404,
        "webhook not found",
    );
    let other = format!("/api/v1/users/{}/webhooks", stage.app.user("boris").await);
    assert_eq!(
        stage.app.get(&other).await.expect(200)["webhooks"],
        json!([])
    );
    assert_problem(
        &stage.app.get("/api/v1/users/999/webhooks").await,
        404,
        "user not found",
    );
}

#[sqlx::test]
async fn progress_completion_marks_and_ratings_are_recorded(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let path = stage.hook("jellyfin").await;
    let position = json!({"PlaybackPositionTicks": 12_600_000_000_i64});
    let progress = jellyfin("PlaybackProgress", "2026-02-13T18:00:00Z", &position);
    assert_eq!(stage.deliver(&path, &progress).await["outcome"], "applied");
    let state = stage.watch(603).await.expect(200);
    assert_eq!(
        (
            &state["position_seconds"],
            &state["duration_seconds"],
            &state["completed"]
        ),
        (&json!(1260), &json!(8160), &json!(false))
    );
    stage.deliver(&path, &watched("2026-02-13T20:00:00Z")).await;
    let state = stage.watch(603).await.expect(200);
    assert_eq!(
        (&state["position_seconds"], &state["completed_at"]),
        (&json!(8000), &json!("2026-02-13T20:00:00Z"))
    );
    let viewing = stage.viewings().await[0].clone();
    assert_eq!(
        (&viewing["day"], &viewing["watched_at"], &viewing["source"]),
        (
            &json!("2026-02-13"),
            &json!("2026-02-13T20:00:00Z"),
            &json!("jellyfin")
        )
    );
    let rated = json!({"SaveReason": "UpdateUserRating", "Rating": 9});
    let rated = jellyfin("UserDataSaved", "2026-02-13T20:01:00Z", &rated);
    stage.deliver(&path, &rated).await;
    let rating = format!("/api/v1/users/{}/ratings/603", stage.user);
    assert_eq!(stage.app.get(&rating).await.expect(200)["rating"], 4.5);

    // A mark as not played clears what media servers have reported, and nothing else.
    let viewings = format!("/api/v1/users/{}/viewings", stage.user);
    let own = json!({"movie_id": 603, "day": "2019-01-01"});
    stage.app.post(&viewings, own).await.expect(201);
    let unplayed = json!({"SaveReason": "TogglePlayed", "Played": false});
    let unplayed = jellyfin("UserDataSaved", "2026-02-14T08:00:00Z", &unplayed);
    assert_eq!(stage.deliver(&path, &unplayed).await["outcome"], "applied");
    let left = stage.viewings().await;
    assert_eq!(left.as_array().map(Vec::len), Some(1));
    assert_eq!(left[0]["day"], "2019-01-01");
    let state = stage.watch(603).await.expect(200);
    assert_eq!(
        (&state["position_seconds"], &state["completed"]),
        (&Value::Null, &json!(true))
    );
    let played = json!({"SaveReason": "TogglePlayed", "Played": true});
    stage
        .deliver(
            &path,
            &jellyfin("UserDataSaved", "2026-02-15T08:00:00Z", &played),
        )
        .await;
    assert_eq!(stage.viewings().await[0]["day"], "2026-02-15");
}

#[sqlx::test]
async fn every_server_has_its_own_payload(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let plex = json!({
        "event": "media.scrobble", "user": true, "owner": true, "Account": {"id": 1, "title": "living room"},
        "Metadata": {"type": "movie", "title": "The Matrix", "year": 1999, "Guid": [{"id": "tmdb://603"}],
                     "lastViewedAt": 1_770_970_542},
    });
    let form = format!(
        "--x\r\ncontent-disposition: form-data; name=\"payload\"\r\ncontent-type: application/json\r\n\r\n{plex}\r\n\
         --x\r\ncontent-disposition: form-data; name=\"thumb\"; filename=\"thumb.jpg\"\r\n\
         content-type: image/jpeg\r\n\r\nJFIF\r\n--x--\r\n"
    );
    let path = stage.hook("plex").await;
    let request = Request::post(&path)
        .header("content-type", "multipart/form-data; boundary=x")
        .body(Body::from(form))
        .expect("a request");
    let delivered = chassis::testing::send(&stage.app.router, request)
        .await
        .expect(200);
    assert_eq!(delivered["outcome"], "applied");
    let emby = json!({
        "Event": "playback.stop", "Date": "2026-02-14T08:15:42.0000000Z", "User": {"Name": "living room", "Id": "a1"},
        "Item": {"Type": "Movie", "Name": "The Matrix", "ProviderIds": {"Tmdb": "603"}, "RunTimeTicks": 81_600_000_000_i64},
        "PlaybackInfo": {"PlayedToCompletion": true, "PositionTicks": 81_600_000_000_i64},
    });
    let path = stage.hook("emby").await;
    assert_eq!(stage.deliver(&path, &emby).await["outcome"], "applied");
    let kodi = json!({
        "action": "stop", "progress": 99.1, "timestamp": "2026-02-15T08:15:42Z",
        "movie": {"title": "The Matrix", "year": 1999, "runtime": 136, "ids": {"tmdb": 603}},
    });
    let path = stage.hook("kodi").await;
    assert_eq!(stage.deliver(&path, &kodi).await["outcome"], "applied");
    let viewings = stage.viewings().await;
    let seen: Vec<(&str, &str)> = viewings
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|viewing| Some((viewing["day"].as_str()?, viewing["source"].as_str()?)))
        .collect();
    assert_eq!(
        seen,
        [
            ("2026-02-15", "kodi"),
            ("2026-02-14", "emby"),
            ("2026-02-13", "plex")
        ]
    );
}

#[sqlx::test]
async fn what_does_not_count_is_reported_and_changes_nothing(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let path = stage.hook("jellyfin").await;
    let episode = json!({"ItemType": "Episode", "PlayedToCompletion": true});
    let time = "2026-02-13T08:15:42Z";
    let skipped = stage
        .deliver(&path, &jellyfin("PlaybackStop", time, &episode))
        .await;
    assert_eq!(
        skipped,
        json!({"outcome": "skipped", "repeated": false, "reason": "the item is not a movie"})
    );
    let stranger = json!({"Name": "Nowhere", "Year": 1901, "Provider_tmdb": null, "Provider_imdb": null,
                          "PlayedToCompletion": true});
    let unknown = jellyfin("PlaybackStop", time, &stranger);
    assert_eq!(stage.deliver(&path, &unknown).await["outcome"], "unmatched");
    for body in ["", "[]", "{}", "<xml/>"] {
        let request = Request::post(&path)
            .body(Body::from(body))
            .expect("a request");
        let refused = chassis::testing::send(&stage.app.router, request).await;
        assert_eq!(refused.status, 400, "{body}: {}", refused.text);
    }
    let large = format!("{{\"a\":\"{}\"}}", "a".repeat(300 * 1024));
    let request = Request::post(&path)
        .body(Body::from(large))
        .expect("a request");
    assert_eq!(
        chassis::testing::send(&stage.app.router, request)
            .await
            .status,
        413
    );
    assert_eq!(stage.viewings().await, json!([]));
    let list = stage.app.get(&stage.hooks()).await.expect(200);
    let deliveries = list["webhooks"][0]["deliveries"]
        .as_array()
        .expect("deliveries");
    let outcomes: Vec<&str> = deliveries
        .iter()
        .filter_map(|delivery| delivery["outcome"].as_str())
        .collect();
    for outcome in ["skipped", "unmatched", "invalid"] {
        assert!(outcomes.contains(&outcome), "{outcome} in {outcomes:?}");
    }
}

#[sqlx::test]
async fn control_characters_in_texts_are_dropped(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let path = stage.hook("jellyfin").await;
    let item = json!({"Name": "\u{0} The\tMatrix\u{0}", "PlayedToCompletion": true});
    let event = jellyfin("PlaybackStop\u{0}", "2026-02-13T08:15:42Z", &item);
    assert_eq!(stage.deliver(&path, &event).await["outcome"], "applied");
    let list = stage.app.get(&stage.hooks()).await.expect(200);
    let delivery = &list["webhooks"][0]["deliveries"][0];
    assert_eq!(
        (&delivery["event"], &delivery["title"]),
        (&json!("PlaybackStop"), &json!("The\tMatrix"))
    );
}

#[sqlx::test]
async fn the_last_thousand_deliveries_of_a_hook_are_kept(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let path = stage.hook("jellyfin").await;
    let other = stage.hook("plex").await;
    let plex = json!({"event": "media.play", "Metadata": {"type": "episode"}});
    stage.deliver(&other, &plex).await;
    sqlx::query(
        "insert into webhook_delivery (webhook_id, hash, received_at, event, outcome)
         select (select id from webhook where provider = 'jellyfin'), sha256(n::text::bytea),
                now() - interval '1 day' - n * interval '1 minute', 'Old', 'skipped'
         from generate_series(1, 1000) n",
    )
    .execute(&pool)
    .await
    .expect("inserted");
    // The sender chooses the payloads; none of them keeps the old ones.
    for minute in 0..20 {
        let time = format!("2026-02-13T08:{minute:02}:00Z");
        stage.deliver(&path, &watched(&time)).await;
        stage.deliver(&path, &watched(&time)).await;
        let kept: (i64, i64, i64) = sqlx::query_as(
            "select count(*) filter (where event = 'Old'), count(*) filter (where event = 'PlaybackStop'),
                    count(*) filter (where event = 'media.play')
             from webhook_delivery",
        )
        .fetch_one(&pool)
        .await
        .expect("counts");
        assert_eq!(kept, (999 - minute, minute + 1, 1));
    }
}

#[sqlx::test]
async fn deliveries_about_movies_that_cannot_be_found_are_applied_later(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let path = stage.hook("jellyfin").await;
    let outcome = |title: &'static str| {
        let stage = &stage;
        async move {
            let hooks = stage.app.get(&stage.hooks()).await.expect(200);
            let deliveries = hooks["webhooks"][0]["deliveries"].clone();
            let mut deliveries = deliveries.as_array().expect("a list").clone();
            deliveries.retain(|delivery| delivery["title"] == title);
            deliveries[0]["outcome"]
                .as_str()
                .expect("an outcome")
                .to_owned()
        }
    };
    for (title, mood, expected) in [
        ("Nowhere", Mood::Well, "unmatched"),
        ("Somewhere", Mood::Failing, "pending"),
    ] {
        stage.movies.mood(mood);
        let item = json!({"Name": title, "Year": 1901, "Provider_tmdb": null, "Provider_imdb": null,
                          "PlayedToCompletion": true});
        let event = jellyfin("PlaybackStop", "2026-02-13T08:15:42Z", &item);
        assert_eq!(stage.deliver(&path, &event).await["outcome"], expected);
        assert_eq!(outcome(title).await, expected);
    }
    stage.movies.mood(Mood::Well);
    for (id, title) in [(700, "Nowhere"), (710, "Somewhere")] {
        stage.movies.sync(id, 1, title);
        eventually("the delivery is applied", async || {
            outcome(title).await == "applied"
        })
        .await;
    }
    let path = format!("/api/v1/users/{}/viewings", stage.user);
    let viewings = stage.app.get(&path).await.expect(200)["viewings"].clone();
    assert_eq!(viewings.as_array().map(Vec::len), Some(2));
    assert_eq!(viewings[0]["watched_at"], "2026-02-13T08:15:42Z");
}

#[sqlx::test]
async fn a_household_hook_maps_the_users_of_the_server(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let boris = stage.app.user("boris").await;
    let body = json!({"provider": "jellyfin", "name": "attic",
                      "users": {"Living Room": stage.user, "c3d4": boris}});
    let refused = stage.app.post(&stage.hooks(), body.clone()).await;
    assert_eq!(assert_problem(&refused, 403, "forbidden"), ["users"]);
    sqlx::query("update user_account set role = 'admin' where id = $1")
        .bind(stage.user)
        .execute(&pool)
        .await
        .expect("updated");
    let hook = stage.app.post(&stage.hooks(), body).await.expect(201);
    let path = hook["path"].as_str().expect("a path");
    stage.deliver(path, &watched("2026-02-13T20:00:00Z")).await;
    let of = |name: &str, id: &str| {
        let mut event = watched("2026-02-14T20:00:00Z");
        (event["NotificationUsername"], event["UserId"]) = (json!(name), json!(id));
        event
    };
    assert_eq!(
        stage.deliver(path, &of("bedroom", "C3D4")).await["outcome"],
        "applied"
    );
    assert_eq!(
        stage.deliver(path, &of("cellar", "e5f6")).await["outcome"],
        "unknown_user"
    );
    assert_eq!(stage.viewings().await[0]["day"], "2026-02-13");
    let other = stage
        .app
        .get(&format!("/api/v1/users/{boris}/viewings"))
        .await
        .expect(200);
    assert_eq!(other["viewings"][0]["day"], "2026-02-14");
    // Nothing of an erased user is left.
    assert_eq!(
        stage
            .app
            .delete(&format!("/api/v1/users/{boris}"))
            .await
            .status,
        204
    );
    let list = stage.app.get(&stage.hooks()).await.expect(200);
    assert_eq!(
        list["webhooks"][0]["users"],
        json!({"living room": stage.user})
    );
    assert_eq!(
        list["webhooks"][0]["deliveries"].as_array().map(Vec::len),
        Some(2)
    );

    let single = json!({"provider": "plex", "name": "attic", "server_user": "Bedroom"});
    let single = stage.app.post(&stage.hooks(), single).await.expect(201);
    let path = single["path"].as_str().expect("a path");
    let plex = |user: &str| {
        json!({"event": "media.scrobble", "Account": {"title": user},
               "Metadata": {"type": "movie", "Guid": [{"id": "tmdb://604"}], "lastViewedAt": 1_770_970_542}})
    };
    assert_eq!(
        stage.deliver(path, &plex("cellar")).await["outcome"],
        "unknown_user"
    );
    assert_eq!(
        stage.deliver(path, &plex("bedroom")).await["outcome"],
        "applied"
    );
}

#[sqlx::test]
async fn bad_webhooks_are_refused_and_their_number_is_limited(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let hooks = stage.hooks();
    for body in [
        json!({"provider": "winamp", "name": "attic"}),
        json!({"provider": "plex", "name": " "}),
        json!({"provider": "plex", "name": "a".repeat(101)}),
        json!({"provider": "plex", "name": "attic", "users": {}}),
        json!({"provider": "plex", "name": "attic", "users": {"a": 0}}),
        json!({"provider": "plex", "name": "attic", "users": {"a": 1}, "server_user": "a"}),
        json!({"provider": "plex", "name": "attic", "secret": "mine"}),
        json!({"provider": "plex"}),
    ] {
        let refused = stage.app.post(&hooks, body.clone()).await;
        assert_eq!(refused.status, 400, "{body}: {}", refused.text);
    }
    for _ in 0..20 {
        stage.hook("plex").await;
    }
    let body = json!({"provider": "plex", "name": "attic"});
    let refused = stage.app.post(&hooks, body).await;
    assert_problem(&refused, 409, "there are 20 webhooks");
}

/// The events of two evenings, with a mark in between, in their order.
fn evenings() -> Vec<Value> {
    let at = |position: i64| json!({"PlaybackPositionTicks": position * 10_000_000});
    let mark = |played: bool| json!({"SaveReason": "TogglePlayed", "Played": played});
    let rate = |rating: i64| json!({"SaveReason": "UpdateUserRating", "Rating": rating});
    vec![
        jellyfin("PlaybackStart", "2026-02-13T18:00:00Z", &at(0)),
        jellyfin("PlaybackProgress", "2026-02-13T18:20:00Z", &at(1200)),
        jellyfin("PlaybackProgress", "2026-02-13T19:00:00Z", &at(3600)),
        watched("2026-02-13T20:15:00Z"),
        jellyfin("UserDataSaved", "2026-02-13T20:16:00Z", &rate(6)),
        jellyfin("UserDataSaved", "2026-02-14T09:00:00Z", &mark(false)),
        jellyfin("UserDataSaved", "2026-02-15T09:00:00Z", &mark(true)),
        jellyfin("PlaybackStart", "2026-03-01T18:00:00Z", &at(30)),
        watched("2026-03-01T20:15:00Z"),
        jellyfin("UserDataSaved", "2026-03-01T20:16:00Z", &rate(8)),
        jellyfin("PlaybackProgress", "2026-03-05T18:10:00Z", &at(600)),
    ]
}

#[sqlx::test]
async fn the_order_and_the_repetition_of_deliveries_do_not_matter(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let outcome = async |user: i64, order: &[Value]| {
        let hooks = format!("/api/v1/users/{user}/webhooks");
        let body = json!({"provider": "jellyfin", "name": "attic"});
        let hook = stage.app.post(&hooks, body).await.expect(201);
        let path = hook["path"].as_str().expect("a path");
        for event in order {
            stage.app.post(path, event.clone()).await.expect(200);
        }
        let mut all = Vec::new();
        for part in ["watch/603", "ratings/603", "viewings"] {
            let mut body = stage
                .app
                .get(&format!("/api/v1/users/{user}/{part}"))
                .await
                .expect(200);
            body["user_id"] = Value::Null;
            for viewing in body["viewings"].as_array_mut().into_iter().flatten() {
                viewing["user_id"] = Value::Null;
            }
            all.push(body);
        }
        all
    };
    let in_order = outcome(stage.user, &evenings()).await;
    assert_eq!(in_order[0]["position_seconds"], 600);
    let days: Vec<&str> = in_order[2]["viewings"]
        .as_array()
        .expect("viewings")
        .iter()
        .filter_map(|viewing| viewing["day"].as_str())
        .collect();
    assert_eq!(days, ["2026-03-01", "2026-02-15"]);
    let mut runner = TestRunner::deterministic();
    for number in 0..12 {
        let twice = [evenings(), evenings()].concat();
        let shuffled = Just(twice)
            .prop_shuffle()
            .new_tree(&mut runner)
            .expect("a tree")
            .current();
        let user = stage.app.user(&format!("user{number}")).await;
        assert_eq!(outcome(user, &shuffled).await, in_order, "{shuffled:?}");
    }
}
