//! Lists for a group.

use chassis::testing::eventually;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{TestApp, ids};

const PATH: &str = "/api/v1/recommendations/group";

/// Three users: 7 and 8 like odd movies, 9 even ones.
async fn with_users(pool: &PgPool) -> TestApp {
    let test = TestApp::trained(pool).await;
    for id in 1..=12 {
        test.movies.film(
            id,
            1,
            json!({"vote_average": if id == 11 { 2.0 } else { 7.0 }}),
        );
    }
    for (id, user, films) in [(10, 7, [1, 3]), (20, 8, [1, 5]), (30, 9, [2, 4])] {
        test.users.user(
            user,
            1,
            json!({"min_rating": if user == 9 { 5.0 } else { 0.0 }}),
        );
        for (more, film) in (0..).zip(films) {
            test.users.interaction(id + more, user, film, "superlike");
        }
    }
    eventually("all is known", async || {
        let body = json!({"user_ids": [7, 8, 9], "limit": 50});
        ids(&test.post_as("admin", PATH, body).await.body).len() == 6
    })
    .await;
    test
}

/// True if `value` has one decimal at most.
fn is_in_tenths(value: f64) -> bool {
    (value * 10.0).round() / 10.0 == value
}

fn likings(film: &Value) -> Vec<f64> {
    let members = film["members"].as_array().unwrap();
    members
        .iter()
        .map(|member| member["liking"].as_f64().unwrap())
        .collect()
}

#[sqlx::test]
async fn a_group_gets_movies_that_no_member_knows_or_rules_out(pool: PgPool) {
    let test = with_users(&pool).await;
    let group = async |method: &str| {
        let body = json!({"user_ids": [7, 8, 9], "method": method, "limit": 6});
        test.post_as("admin", PATH, body).await.expect(200)
    };
    let average = group("average").await;
    let mut films = ids(&average);
    assert!(films[0] % 2 == 1, "two of three: {films:?}");
    films.sort_unstable();
    assert_eq!(films, [6, 7, 8, 9, 10, 12]);
    assert_eq!(average["model_version"], 5);
    let first = &average["recommendations"][0];
    assert_eq!(first["members"][2]["user_id"], 9);
    let of_first = likings(first);
    assert!(of_first[0] > 0.5 && of_first[2] < of_first[0], "{first}");
    let scores = |body: &Value| -> Vec<f64> {
        let films = body["recommendations"].as_array().unwrap();
        films
            .iter()
            .map(|film| film["score"].as_f64().unwrap())
            .collect()
    };
    let misery = group("least_misery").await;
    let least = |film: &Value| likings(film).into_iter().fold(1.0, f64::min);
    assert!(least(&misery["recommendations"][0]) >= least(first));
    let fair = group("fairness").await;
    assert!(
        ids(&fair)[..3].iter().any(|id| id % 2 == 0),
        "the third is served too: {fair}"
    );
    for body in [average, misery, fair] {
        let scores = scores(&body);
        assert!(scores.is_sorted_by(|a, b| a >= b), "{body}");
        // For administrators too.
        let films = body["recommendations"].as_array().unwrap();
        let mut all = scores.into_iter().chain(films.iter().flat_map(likings));
        assert!(all.all(is_in_tenths), "{body}");
    }
}

#[sqlx::test]
async fn movies_with_equal_scores_follow_popularity_and_id_alone(pool: PgPool) {
    let test = with_users(&pool).await;
    for method in ["average", "least_misery"] {
        let body = json!({"user_ids": [7, 9], "method": method, "limit": 50});
        let body = test.post_as("admin", PATH, body).await.expect(200);
        let films = body["recommendations"].as_array().unwrap();
        let key = |film: &Value| {
            (
                -film["score"].as_f64().unwrap(),
                film["id"].as_i64().unwrap(),
            )
        };
        assert!(films.is_sorted_by_key(key), "{body}");
    }
}

#[sqlx::test]
async fn users_may_name_members_of_one_of_their_groups_and_others_are_refused_alike(pool: PgPool) {
    let test = with_users(&pool).await;
    let before = test.users.requests();
    let own = json!({"user_ids": [7], "limit": 50});
    let body = test.post_as("7", PATH, own.clone()).await.expect(200);
    assert_eq!(body["recommendations"][0]["members"][0]["user_id"], 7);
    assert!(ids(&body).iter().all(|id| ![1, 3].contains(id)), "{body}");
    assert_eq!(test.users.requests(), before, "nothing is looked up");

    test.users.group(1, &[7, 9]);
    test.users.group(2, &[7, 12, 13]);
    let body = test.post_as("7", PATH, json!({"user_ids": [7, 9]})).await;
    assert!(body.expect(200)["group_id"].is_null());
    let mut refusals = Vec::new();
    // Users of no common group, of two groups, of a group that the caller is not in, without the caller; of users who exist
    // and who do not.
    for (who, users) in [
        ("7", json!([7, 8])),
        ("7", json!([7, 404])),
        ("7", json!([7, 9, 12])),
        ("7", json!([9])),
        ("7", json!([8])),
        ("7", json!([404])),
        ("8", json!([8, 7])),
        ("12", json!([7, 9])),
        ("", json!([7])),
    ] {
        let mut problem = test
            .post_as(who, PATH, json!({"user_ids": users}))
            .await
            .expect(403);
        assert_eq!(problem["type"], "/problems/forbidden");
        problem["request_id"].take();
        refusals.push(problem);
    }
    assert!(
        refusals.iter().all(|one| *one == refusals[0]),
        "{refusals:?}"
    );
    test.post_as("admin", PATH, json!({"user_ids": [7, 8]}))
        .await
        .expect(200);
}

#[sqlx::test]
async fn members_get_lists_for_their_group_until_they_leave(pool: PgPool) {
    let test = with_users(&pool).await;
    test.users.group(1, &[7, 9]);
    let body = json!({"group_id": 1, "limit": 50});
    let list = test.post_as("9", PATH, body.clone()).await.expect(200);
    assert_eq!(list["group_id"], 1);
    assert_eq!(likings(&list["recommendations"][0]).len(), 2);
    assert!(
        ids(&list).iter().all(|id| ![1, 2, 3, 4].contains(id)),
        "{list}"
    );
    let films = list["recommendations"].as_array().unwrap();
    for film in films {
        assert!(is_in_tenths(film["score"].as_f64().unwrap()), "{film}");
    }
    let mut refusals = Vec::new();
    for (who, group) in [("8", 1), ("9", 2), ("admin", 1), ("", 1)] {
        let refused = test.post_as(who, PATH, json!({"group_id": group})).await;
        let mut problem = refused.expect(404);
        assert_eq!(problem["type"], "/problems/group-not-found");
        problem["request_id"].take();
        refusals.push(problem);
    }
    assert!(
        refusals.iter().all(|one| *one == refusals[0]),
        "{refusals:?}"
    );
    // Leaving takes effect with the next request.
    test.users.group(1, &[7]);
    test.post_as("9", PATH, body.clone()).await.expect(404);
    let alone = test.post_as("7", PATH, body).await.expect(200);
    assert_eq!(likings(&alone["recommendations"][0]).len(), 1);
}

#[sqlx::test]
async fn invalid_members_are_named(pool: PgPool) {
    let test = with_users(&pool).await;
    let many: Vec<i64> = (1..=21).collect();
    for (body, field) in [
        (json!({"user_ids": []}), "user_ids"),
        (json!({"user_ids": many}), "user_ids"),
        (json!({"user_ids": [7, 7]}), "user_ids[1]"),
        (json!({"user_ids": [7, -1]}), "user_ids[1]"),
        (json!({"user_ids": [7, 8], "method": "luck"}), "method"),
        (json!({"user_ids": [7, 8], "limit": 101}), "limit"),
        (json!({"user_ids": [7, 8], "size": 3}), "size"),
        (json!({}), "user_ids"),
        (json!({"user_ids": [7], "group_id": 1}), "user_ids"),
        (json!({"group_id": 0}), "group_id"),
        (json!({"group_id": 1, "limit": 0}), "limit"),
    ] {
        let problem = test.post_as("admin", PATH, body.clone()).await.expect(400);
        assert_eq!(problem["errors"][0]["field"], field, "{body}");
    }
    let stranger = json!({"user_ids": [7, 404]});
    let problem = test.post_as("admin", PATH, stranger).await.expect(404);
    assert_eq!(problem["errors"][0]["field"], "user_ids[1]");
}
