//! Experiments: created, changed and stopped; assignment, outcomes and results.

use std::time::Duration;

use axum::http::Method;
use chassis::{
    clock::Clock,
    testing::{TcpProxy, TestResponse, call, eventually, get},
};
use chrono::TimeDelta;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use recommendation_service::{
    experiments::{
        Experiments, Served, Shown, explore::Explorer, impressions::Recorder,
        repository::impressions, settle, treatment::Treatments,
    },
    read_model::{Catalogue, UserId},
};
use recommender::experiments::thompson::Exploration;
use serde_json::{Value, json};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{TestApp, ids, now, trained};

const PATH: &str = "/api/v1/admin/experiments";

async fn put(test: &TestApp, body: Value) -> TestResponse {
    call(&test.app, Method::PUT, PATH, Some(body)).await
}

async fn report(test: &TestApp, id: &Value) -> Value {
    get(&test.app, &format!("{PATH}/{id}")).await.expect(200)
}

/// Two identical variants.
fn same() -> Value {
    json!([{"name": "control"}, {"name": "same"}])
}

/// Popularity alone against recency alone.
fn popular_or_recent() -> Value {
    json!([
        {"name": "popular", "rules": {"popularity": 1.0}},
        {"name": "recent", "rules": {"recency": 1.0}},
    ])
}

/// Counts all outcomes, after the end of every window.
async fn settle(pool: &PgPool) {
    let later = now() + TimeDelta::hours(2);
    settle::settle_due(pool, &Clock::fixed(later))
        .await
        .unwrap();
}

async fn count(pool: &PgPool, table: &'static str) -> i64 {
    let statement = match table {
        "exposure" => "select count(*) from exposure",
        "impression" => "select count(*) from impression",
        _ => "select count(*) from user_movie",
    };
    sqlx::query_scalar(statement).fetch_one(pool).await.unwrap()
}

#[sqlx::test]
async fn an_experiment_is_created_changed_stopped_and_created_again(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let body =
        json!({"name": "one", "layer": "rules", "traffic": 0.25, "variants": popular_or_recent()});
    let made = put(&test, body.clone()).await.expect(201);
    // Without the salt, with which users could be chosen.
    insta::assert_json_snapshot!(made, {".id" => "[id]"}, @r#"
    {
      "alpha": 0.05,
      "created_at": "2026-01-01T00:00:00Z",
      "created_by": null,
      "description": "",
      "id": "[id]",
      "layer": "rules",
      "name": "one",
      "outcome_cap": 1,
      "outcome_window_hours": 168,
      "planned_users": 2000,
      "status": "running",
      "stopped_at": null,
      "traffic": 0.25,
      "updated_at": "2026-01-01T00:00:00Z",
      "variants": [
        {
          "name": "popular",
          "rules": {
            "genre_match": 0.0,
            "popularity": 1.0,
            "recency": 0.0
          },
          "weight": 1.0
        },
        {
          "name": "recent",
          "rules": {
            "genre_match": 0.0,
            "popularity": 0.0,
            "recency": 1.0
          },
          "weight": 1.0
        }
      ]
    }
    "#);
    assert_eq!(
        put(&test, body).await.expect(200)["id"],
        made["id"],
        "it is there"
    );
    let more = put(&test, json!({"name": "one", "traffic": 0.5}))
        .await
        .expect(200);
    assert_eq!((&more["id"], &more["traffic"]), (&made["id"], &json!(0.5)));

    for (field, value) in [
        ("variants", same()),
        ("layer", json!("ranking")),
        ("outcome_window_hours", json!(24)),
        ("outcome_cap", json!(2)),
        ("planned_users", json!(50)),
        ("alpha", json!(0.1)),
    ] {
        let problem = put(&test, json!({"name": "one", field: value}))
            .await
            .expect(409);
        assert_eq!(
            problem["error"],
            format!("{field} cannot change while the experiment runs")
        );
    }
    let other = json!({"name": "two", "layer": "rules", "variants": same()});
    let problem = put(&test, other.clone()).await.expect(409);
    insta::assert_json_snapshot!(problem, {".request_id" => "[id]"}, @r#"
    {
      "detail": "stop that one first; one experiment runs in a layer at a time",
      "error": "another experiment runs in the layer rules",
      "instance": "/api/v1/admin/experiments",
      "request_id": "[id]",
      "status": 409,
      "title": "Layer taken",
      "type": "/problems/layer-taken"
    }
    "#);
    let elsewhere = json!({"name": "three", "layer": "exploration", "variants": same()});
    put(&test, elsewhere).await.expect(201);

    let stop = json!({"name": "one", "status": "stopped"});
    let stopped = put(&test, stop.clone()).await.expect(200);
    assert_eq!(
        (&stopped["status"], &stopped["stopped_at"]),
        (&json!("stopped"), &json!("2026-01-01T00:00:00Z"))
    );
    assert_eq!(put(&test, stop).await.expect(200), stopped);
    put(&test, json!({"name": "none", "status": "stopped"}))
        .await
        .expect(404);
    put(&test, other).await.expect(201);
    put(&test, json!({"name": "two", "status": "stopped"}))
        .await
        .expect(200);
    let again = json!({"name": "one", "layer": "rules", "variants": popular_or_recent()});
    assert_ne!(put(&test, again).await.expect(201)["id"], made["id"]);
    let list = get(&test.app, &format!("{PATH}?page_size=3"))
        .await
        .expect(200);
    assert_eq!(
        (&list["total_results"], &list["total_pages"]),
        (&json!(4), &json!(2))
    );
    let names: Vec<&Value> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["one", "two", "three"]);
    get(&test.app, &format!("{PATH}/99")).await.expect(404);
    get(&test.app, &format!("{PATH}/x")).await.expect(400);
}

#[sqlx::test]
async fn invalid_experiments_are_refused_by_field(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let of = |layer: &str, variant: Value| {
        let mut second = json!({"name": "b"});
        second
            .as_object_mut()
            .unwrap()
            .extend(variant.as_object().unwrap().clone());
        json!({"layer": layer, "variants": [{"name": "a"}, second]})
    };
    for (body, field) in [
        (json!({"name": "", "variants": same()}), "name"),
        (json!({"name": "a\u{7}", "variants": same()}), "name"),
        (json!({}), "variants"),
        (json!({"variants": [{"name": "alone"}]}), "variants"),
        (
            json!({"variants": [{"name": "a"}, {"name": "a"}]}),
            "variants[1].name",
        ),
        (json!({"variants": same(), "traffic": 1.1}), "traffic"),
        (json!({"variants": same(), "alpha": 0.5}), "alpha"),
        (
            json!({"variants": same(), "outcome_window_hours": 0}),
            "outcome_window_hours",
        ),
        (json!({"variants": same(), "outcome_cap": 0}), "outcome_cap"),
        (
            json!({"variants": same(), "planned_users": 9}),
            "planned_users",
        ),
        (json!({"variants": same(), "layer": "luck"}), "layer"),
        (json!({"variants": same(), "varaints": 1}), "varaints"),
        (of("ranking", json!({"weight": 0})), "variants[1].weight"),
        (
            of("ranking", json!({"strategy": "luck"})),
            "variants[1].strategy",
        ),
        (
            of("ranking", json!({"model_version": 0})),
            "variants[1].model_version",
        ),
        (
            of("ranking", json!({"blend": {"luck": 1}})),
            "variants[1].blend",
        ),
        (
            of("ranking", json!({"blend": {"taste": -1}})),
            "variants[1].blend",
        ),
        (
            of("ranking", json!({"rules": {"recency": 1}})),
            "variants[1].rules",
        ),
        (
            of("rules", json!({"rules": {"recency": 11}})),
            "variants[1].rules.recency",
        ),
        (
            of("rules", json!({"exploration": 0.1})),
            "variants[1].exploration",
        ),
        (
            of("exploration", json!({"exploration": 0.6})),
            "variants[1].exploration",
        ),
    ] {
        let mut body = body;
        if body.get("name").is_none() {
            body["name"] = json!("one");
        }
        let problem = put(&test, body.clone()).await.expect(400);
        assert_eq!(problem["errors"][0]["field"], field, "{body}");
    }
    assert_eq!(get(&test.app, PATH).await.expect(200)["total_results"], 0);
}

/// 20 movies: 1 to 10 are popular and old, the others new.
async fn films_and_users(test: &TestApp, users: i64) {
    for id in 1..=20 {
        let (popularity, date) = if id <= 10 {
            (100.0 - id as f64, "2000-01-01")
        } else {
            (1.0, "2025-12-01")
        };
        let film = json!({"popularity": popularity, "release_date": date});
        test.movies.film(id, 1, film);
    }
    for user in 1..=users {
        test.users.user(user, 1, json!({}));
    }
    eventually("all is known", async || {
        let path = format!("/api/v1/users/{users}/recommendations?limit=20");
        let body = get(&test.app, &path).await.body;
        body["recommendations"].as_array().map(Vec::len) == Some(20)
    })
    .await;
}

/// The first five movies of the user's list.
async fn list(test: &TestApp, user: i64) -> Vec<i64> {
    let path = format!("/api/v1/users/{user}/recommendations?limit=5");
    ids(&get(&test.app, &path).await.expect(200))
}

#[sqlx::test]
async fn outcomes_are_counted_once_and_only_if_not_taken_back(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    films_and_users(&test, 40).await;
    let body = json!({"name": "one", "layer": "rules", "outcome_window_hours": 1, "outcome_cap": 3,
                      "variants": popular_or_recent()});
    let id = put(&test, body).await.expect(201)["id"].clone();
    for user in (1..=40).chain(1..=40) {
        let films = list(&test, user).await;
        assert_eq!(
            films,
            list(&test, user).await,
            "no user changes the variant"
        );
    }
    eventually("all impressions are stored", async || {
        count(&pool, "impression").await == 200
    })
    .await;
    assert_eq!(count(&pool, "exposure").await, 40);
    let before = report(&test, &id).await;
    assert_eq!(
        (&before["users"], &before["users_counted"]),
        (&json!(40), &json!(0))
    );
    assert_eq!(before["results"][1]["basis"], "no user is counted yet");

    // Different outcomes: of users 1 to 6 one counts once, one twice, the others not at all.
    let mut shown = Vec::new();
    for user in 1..=7 {
        shown.push(list(&test, user).await);
    }
    let first = |user: usize| shown[user - 1][0];
    let unseen = (1..=20).find(|film| !shown[2].contains(film)).unwrap();
    for (interaction, user, film, kind) in [
        (1, 1, first(1), "like"),
        (2, 1, first(1), "watched"),
        (3, 2, first(2), "watchlist"),
        (4, 2, shown[1][1], "superlike"),
        (5, 3, unseen, "like"),
        (6, 4, first(4), "dislike"),
        (7, 5, first(5), "like"),
        (8, 5, first(5), "reaction_removed"),
        (9, 6, first(6), "rating"),
        (10, 7, first(7), "like"),
    ] {
        test.users.interaction(interaction, user, film, kind);
    }
    test.users.erase(7);
    eventually("the feed is applied", async || {
        count(&pool, "user_movie").await == 7
    })
    .await;
    assert_eq!(count(&pool, "impression").await, 195);
    settle(&pool).await;
    assert_eq!(
        count(&pool, "impression").await,
        0,
        "what is counted is not kept"
    );
    let after = report(&test, &id).await;
    let sum = |field: &str| -> i64 {
        let results = after["results"].as_array().unwrap().iter();
        results
            .map(|variant| variant[field].as_i64().unwrap())
            .sum()
    };
    assert_eq!(
        (sum("users_counted"), sum("impressions"), sum("outcomes")),
        (39, 195, 3)
    );
    let means = after["results"].as_array().unwrap().iter();
    let total: f64 = means
        .map(|variant| {
            variant["mean"]["estimate"].as_f64().unwrap()
                * variant["users_counted"].as_f64().unwrap()
        })
        .sum();
    assert!(
        (total - 1.0).abs() < 1e-9,
        "three outcomes of three that make one: {total}"
    );
    assert_eq!(after["sample_ratio_mismatch"], false);

    // Users whose window has ended are not counted again.
    list(&test, 1).await;
    put(&test, json!({"name": "one", "traffic": 0}))
        .await
        .expect(200);
    assert!(list(&test, 8).await[0] <= 10, "no user takes part any more");
    test.users.interaction(11, 8, first(1), "like");
    settle(&pool).await;
    assert_eq!(report(&test, &id).await["results"], after["results"]);
}

#[sqlx::test]
async fn lists_are_served_without_postgres_and_impressions_are_stored_later(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let host = tokio::net::lookup_host((connect.get_host(), connect.get_port()));
    let wire = TcpProxy::to(host.await.unwrap().next().unwrap()).await;
    let connect = connect.host("127.0.0.1").port(wire.address().port());
    let options = options.acquire_timeout(Duration::from_millis(500));
    let pool = options.connect_with(connect).await.unwrap();
    let test = TestApp::ready(&pool).await;
    films_and_users(&test, 2).await;
    let body = json!({"name": "one", "layer": "rules", "variants": popular_or_recent()});
    put(&test, body).await.expect(201);
    wire.cut();
    assert_eq!(list(&test, 1).await.len(), 5);
    wire.restore();
    eventually("it is kept", async || {
        let exposures = sqlx::query_scalar("select count(*) from exposure");
        exposures.fetch_one(&pool).await.unwrap_or(0_i64) == 1
    })
    .await;
}

#[sqlx::test]
async fn exploration_respects_preferences_and_records_propensities(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let users = 30;
    films_and_users(&test, users).await;
    for user in 1..=users {
        test.users.interaction(user, user, 20, "dislike");
    }
    eventually("no user is shown movie 20", async || {
        let path = format!("/api/v1/users/{users}/recommendations?limit=20");
        ids(&get(&test.app, &path).await.body).len() == 19
    })
    .await;
    let best = list(&test, 1).await;
    let variants =
        json!([{"name": "none", "exploration": 0}, {"name": "some", "exploration": 0.5}]);
    let body = json!({"name": "one", "layer": "exploration", "outcome_window_hours": 1, "variants": variants});
    let id = put(&test, body).await.expect(201)["id"].clone();
    for user in 1..=users {
        let films = list(&test, user).await;
        assert_eq!(
            films,
            list(&test, user).await,
            "chance is the same for the same list"
        );
        assert_eq!(films[..3], best[..3], "the top is the recommender's");
        let path = format!("/api/v1/users/{user}/recommendations?limit=20&strategy=rules");
        assert_eq!(
            ids(&get(&test.app, &path).await.body)[..5],
            best,
            "by the rules alone"
        );
    }
    eventually("all impressions are stored", async || {
        count(&pool, "exposure").await == users
    })
    .await;
    let shown: Vec<(i32, i64, i32, f64, bool)> = sqlx::query_as(
        "select e.variant, i.movie_id, i.position, i.propensity, i.is_explored
         from impression i join exposure e using (user_id, experiment_id)",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(shown.len() as i64, 5 * users);
    let explored = shown
        .iter()
        .filter(|(.., is_explored)| *is_explored)
        .count();
    // Two positions of each list may explore, each with probability 0.5: 4 standard deviations around the mean. The
    // number of users in the variant is fixed by their ids.
    let lists = shown.iter().filter(|(variant, ..)| *variant == 1).count() as f64 / 5.0;
    assert!(
        (explored as f64 - lists).abs() <= 4.0 * (lists / 2.0).sqrt(),
        "half of two positions in {lists} lists: {explored}"
    );
    for (variant, film, position, propensity, is_explored) in shown {
        assert_eq!(is_explored, !best.contains(&film), "{film}");
        assert_ne!(film, 20);
        match (variant, position, is_explored) {
            (0, _, explored) => assert_eq!((propensity, explored), (1.0, false)),
            (_, 1..=3, explored) => assert_eq!((propensity, explored), (1.0, false)),
            (_, _, false) => assert_eq!(propensity, 0.5),
            (_, _, true) => assert!(propensity > 0.0 && propensity < 0.5),
        }
    }
    let later = Clock::fixed(now() + TimeDelta::hours(26));
    settle::settle_due(&pool, &later).await.unwrap();
    let counted: i64 = sqlx::query_scalar("select sum(impressions)::bigint from film_trial")
        .fetch_one(&pool)
        .await
        .unwrap();
    let report = report(&test, &id).await;
    assert_eq!(
        counted,
        report["results"][1]["impressions"].as_i64().unwrap()
    );
    let rate = &report["results"][1]["outcome_rate_without_exploration"];
    assert_eq!(rate, &json!(0.0));
}

#[sqlx::test]
async fn recent_outcomes_of_a_movie_count_more(pool: PgPool) {
    let _test = TestApp::ready(&pool).await;
    sqlx::query(
        "insert into film_trial values (603, 10000, 5000, now()), (604, 9000, 3000, now())",
    )
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query(
        "insert into impression (user_id, movie_id, experiment_id, position, propensity,
             is_explored, shown_at, due_at)
         select u, 600 + u, 0, 1, 1, false, $1, $1 from generate_series(3, 5) as u",
    )
    .bind(now())
    .execute(&pool)
    .await
    .unwrap();
    let later = Clock::fixed(now() + TimeDelta::hours(26));
    settle::settle_due(&pool, &later).await.unwrap();
    let trials: Vec<(i64, i64, i64)> =
        sqlx::query_as("select movie_id, impressions, outcomes from film_trial order by movie_id")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(trials, [(603, 5000, 2500), (604, 9001, 3000), (605, 1, 0)]);
}

#[sqlx::test]
async fn model_versions_are_loaded_while_an_experiment_compares_them(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let recorder = Recorder::start(pool.clone(), &test.process.shutdown);
    let experiments = Experiments::new(pool.clone(), recorder, Clock::fixed(now()));
    let explorer = Explorer::new(pool.clone(), Exploration::default(), 24);
    let treatments = Treatments::new(experiments.clone(), explorer);
    let look = async || {
        experiments.refresh().await.unwrap();
        let load = |version| {
            let found = (version == 5).then(trained);
            std::future::ready(found.ok_or("there is none"))
        };
        treatments.refresh_versions(load).await;
        [5, 6].map(|version| {
            treatments
                .place(version, None, &Catalogue::default())
                .is_some()
        })
    };
    assert_eq!(look().await, [false, false]);
    let variants = json!([
        {"name": "live"}, {"name": "five", "model_version": 5}, {"name": "six", "model_version": 6},
    ]);
    put(&test, json!({"name": "one", "variants": variants}))
        .await
        .expect(201);
    let before = treatments.revision();
    assert_eq!(look().await, [true, false]);
    let after = treatments.revision();
    assert!(after > before, "lists are made again");
    assert_eq!(
        (look().await, treatments.revision()),
        ([true, false], after)
    );
    put(&test, json!({"name": "one", "status": "stopped"}))
        .await
        .expect(200);
    assert_eq!(look().await, [false, false]);
}

#[sqlx::test]
async fn a_known_effect_gets_the_right_verdict(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let users = 400;
    films_and_users(&test, users).await;
    let body = json!({"name": "effect", "layer": "rules", "outcome_window_hours": 1,
                      "planned_users": 400, "variants": popular_or_recent()});
    let id = put(&test, body).await.expect(201)["id"].clone();
    let mut chance = ChaCha8Rng::seed_from_u64(1);
    let mut interactions = 0;
    for user in 1..=users {
        let film = list(&test, user).await[0];
        // Of popular films one in ten is liked, of recent ones half.
        let odds = if film <= 10 { 10 } else { 50 };
        if chance.next_u64() % 100 < odds {
            interactions += 1;
            test.users.interaction(interactions, user, film, "like");
        }
    }
    eventually("all impressions are stored", async || {
        (
            count(&pool, "exposure").await,
            count(&pool, "user_movie").await,
        ) == (users, interactions)
    })
    .await;
    settle(&pool).await;
    let report = report(&test, &id).await;
    let recent = &report["results"][1];
    assert_eq!(recent["verdict"], "better", "{report}");
    let (lower, upper) = (
        &recent["difference"]["lower"],
        &recent["difference"]["upper"],
    );
    assert!(
        lower.as_f64().unwrap() < 0.4 && 0.4 < upper.as_f64().unwrap(),
        "{recent}"
    );
    let share = &recent["inverse_propensity"];
    assert!(
        share["lower"].as_f64().unwrap() < 0.5 && 0.5 < share["upper"].as_f64().unwrap(),
        "{recent}"
    );
    assert_eq!(
        (&report["results"][0]["verdict"], &report["users_counted"]),
        (&Value::Null, &json!(users))
    );
}

/// One population, assigned by a hundred experiments without an effect, each read twice.
#[sqlx::test]
async fn without_an_effect_at_least_95_of_100_experiments_stay_undecided(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let users = 300;
    for user in 1..=users {
        test.users.user(user, 1, json!({}));
    }
    let mut chance = ChaCha8Rng::seed_from_u64(2);
    let liking: Vec<i64> = (1..=users)
        .filter(|_| chance.next_u64() % 100 < 30)
        .collect();
    for (id, user) in (1..).zip(&liking) {
        test.users.interaction(id, *user, 1, "like");
    }
    eventually("the feed is applied", async || {
        count(&pool, "user_movie").await == liking.len() as i64
    })
    .await;
    let recorder = Recorder::start(pool.clone(), &test.process.shutdown);
    let experiments = Experiments::new(pool.clone(), recorder, Clock::fixed(now()));
    let mut called = 0;
    for run in 0..100 {
        let name = format!("run {run}");
        let body = json!({"name": name, "outcome_window_hours": 1, "planned_users": users, "variants": same()});
        let id = put(&test, body).await.expect(201)["id"].clone();
        experiments.refresh().await.unwrap();
        let mut is_called = false;
        for half in [1..=users / 2, users / 2 + 1..=users] {
            let served: Vec<Served> = half
                .map(|user| Served {
                    user_id: user,
                    at: now(),
                    participations: experiments
                        .assign(UserId::new(user).unwrap())
                        .participations,
                    films: vec![Shown {
                        movie_id: 1,
                        position: 1,
                        propensity: 1.0,
                        is_explored: false,
                    }],
                    film_window_hours: None,
                })
                .collect();
            impressions::insert(&pool, &served).await.unwrap();
            settle(&pool).await;
            is_called |= report(&test, &id).await["results"][1]["verdict"] != "undecided";
        }
        let counted = report(&test, &id).await;
        let outcomes = counted["results"].as_array().unwrap().iter();
        let outcomes: i64 = outcomes
            .map(|variant| variant["outcomes"].as_i64().unwrap())
            .sum();
        assert_eq!(
            (&counted["users_counted"], outcomes),
            (&json!(users), liking.len() as i64)
        );
        called += u32::from(is_called);
        put(&test, json!({"name": name, "status": "stopped"}))
            .await
            .expect(200);
    }
    assert!(called <= 5, "{called} of 100");
}
