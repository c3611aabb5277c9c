//! Groups: invitations, joining, leaving, and what members learn of each other.

use chassis::testing::TestResponse;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{TestApp, assert_problem};

const GROUPS: &str = "/api/v1/groups";

async fn send(app: &TestApp, who: i64, method: &str, path: &str, body: Value) -> TestResponse {
    app.send(method, path, body, Some((who, "user")), None)
        .await
}

async fn create(app: &TestApp, owner: i64) -> String {
    let group = send(app, owner, "POST", GROUPS, json!({"name": " Friday "})).await;
    format!("{GROUPS}/{}", group.expect(201)["id"])
}

async fn invite(app: &TestApp, owner: i64, group: &str, body: Value) -> Value {
    let invitation = send(app, owner, "POST", &format!("{group}/invitations"), body).await;
    assert_eq!(invitation.headers["cache-control"], "no-store");
    invitation.expect(201)["code"].clone()
}

async fn join(app: &TestApp, who: i64, code: &Value) -> TestResponse {
    let path = format!("{GROUPS}/join");
    send(app, who, "POST", &path, json!({"code": code})).await
}

fn members(group: &Value) -> Vec<i64> {
    let members = group["members"].as_array().expect("members");
    members
        .iter()
        .filter_map(|member| member["user_id"].as_i64())
        .collect()
}

#[sqlx::test]
async fn users_join_by_an_invitation_and_leave_at_once(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let [anna, berta, carl] = [
        app.user("anna").await,
        app.user("berta").await,
        app.user("carl").await,
    ];
    let group = create(&app, anna).await;
    let code = invite(&app, anna, &group, json!({})).await;
    let stored: String = sqlx::query_scalar("select group_invitation::text from group_invitation")
        .fetch_one(&pool)
        .await
        .expect("a row");
    assert!(
        !stored.contains(&code.as_str().expect("a code")[4..]),
        "{stored}"
    );

    let joined = join(&app, berta, &code).await.expect(200);
    assert_eq!(
        (members(&joined), &joined["name"]),
        (vec![anna, berta], &json!("Friday"))
    );
    assert_eq!(joined["members"][0]["username"], "anna");
    assert!(joined["members"][0].get("email").is_none());
    // The code is used up, also for those who have joined.
    for who in [berta, carl] {
        assert_problem(&join(&app, who, &code).await, 404, "invitation not found");
    }
    for who in [anna, berta] {
        assert_eq!(
            send(&app, who, "GET", &group, Value::Null)
                .await
                .expect(200),
            joined
        );
    }
    let listed = send(&app, berta, "GET", GROUPS, Value::Null)
        .await
        .expect(200);
    assert_eq!(listed["groups"][0], joined);

    // Others learn nothing, not even as administrators; nor do they change anything.
    let unknown = send(&app, carl, "GET", &format!("{GROUPS}/999"), Value::Null).await;
    assert_problem(&unknown, 404, "group not found");
    for (method, path) in [
        ("GET", group.clone()),
        ("DELETE", group.clone()),
        ("POST", format!("{group}/invitations")),
        ("DELETE", format!("{group}/invitations")),
        ("DELETE", format!("{group}/members/me")),
        ("DELETE", format!("{group}/members/{berta}")),
    ] {
        let body = if method == "POST" {
            json!({})
        } else {
            Value::Null
        };
        let principal = Some((carl, "admin"));
        let response = app.send(method, &path, body, principal, None).await;
        assert_problem(&response, 404, "group not found");
    }
    let shares = async |who: i64, others: &str| {
        let path = format!("/internal/v1/users/{who}/shared-group?user_ids={others}");
        app.get(&path).await.expect(200)["shared"] == true
    };
    let internal =
        group.replace(GROUPS, &format!("/internal/v1/users/{berta}/groups")) + "/members";
    assert!(shares(berta, &format!("{berta},{anna}")).await);
    assert_eq!(
        app.get(&internal).await.expect(200),
        json!({"user_ids": [anna, berta]})
    );
    for others in [format!("{anna},{carl}"), "999".to_owned(), "x".to_owned()] {
        assert!(!shares(berta, &others).await, "{others}");
    }

    // Members who do not own the group only read and leave.
    for (method, path) in [
        ("DELETE", group.clone()),
        ("POST", format!("{group}/invitations")),
        ("DELETE", format!("{group}/members/{anna}")),
    ] {
        let body = if method == "POST" {
            json!({})
        } else {
            Value::Null
        };
        assert_problem(
            &send(&app, berta, method, &path, body).await,
            403,
            "forbidden",
        );
    }
    let leave = format!("{group}/members/me");
    let left = send(&app, berta, "DELETE", &leave, Value::Null).await;
    assert_eq!(left.status.as_u16(), 204);
    assert!(!shares(berta, &format!("{berta},{anna}")).await);
    assert_problem(&app.get(&internal).await, 404, "group not found");
    assert_problem(
        &send(&app, berta, "GET", &group, Value::Null).await,
        404,
        "group not found",
    );
}

#[sqlx::test]
async fn invitations_end_by_time_by_use_and_by_removal_of_a_member(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let anna = app.user("anna").await;
    let mut others = Vec::new();
    for number in 0..8 {
        others.push(app.user(&format!("other{number}")).await);
    }
    let group = create(&app, anna).await;
    let code = invite(&app, anna, &group, json!({"max_uses": 3})).await;
    let joined = join_all(others.iter().map(|who| join(&app, *who, &code))).await;
    let count = joined.iter().filter(|joined| joined.status == 200).count();
    assert_eq!(count, 3);

    let code = invite(&app, anna, &group, json!({"max_uses": 5})).await;
    let member = send(&app, anna, "GET", &group, Value::Null)
        .await
        .expect(200);
    let member = members(&member)[1];
    // A member does not use a code up.
    join(&app, member, &code).await.expect(200);
    let path = format!("{group}/members/{member}");
    let removed = send(&app, anna, "DELETE", &path, Value::Null).await;
    assert_eq!(removed.status.as_u16(), 204);
    assert_problem(
        &join(&app, member, &code).await,
        404,
        "invitation not found",
    );
    let again = send(&app, anna, "DELETE", &path, Value::Null).await;
    assert_problem(&again, 404, "member not found");

    let code = invite(&app, anna, &group, json!({"expires_in_seconds": 60})).await;
    sqlx::query("update group_invitation set expires_at = now()")
        .execute(&pool)
        .await
        .expect("an update");
    assert_problem(
        &join(&app, member, &code).await,
        404,
        "invitation not found",
    );
    let code = invite(&app, anna, &group, json!({})).await;
    let path = format!("{group}/invitations");
    let withdrawn = send(&app, anna, "DELETE", &path, Value::Null).await;
    assert_eq!(withdrawn.status.as_u16(), 204);
    assert_problem(
        &join(&app, member, &code).await,
        404,
        "invitation not found",
    );
    for (body, field) in [
        (json!({"expires_in_seconds": 59}), "expires_in_seconds"),
        (json!({"max_uses": 0}), "max_uses"),
        (json!({"max_uses": 20}), "max_uses"),
        (json!({"uses": 2}), "uses"),
    ] {
        let refused = send(&app, anna, "POST", &path, body).await;
        assert_eq!(refused.expect(400)["errors"][0]["field"], field);
    }
    for name in ["", " ", "a\u{200b}", &"x".repeat(101)] {
        let refused = send(&app, anna, "POST", GROUPS, json!({"name": name})).await;
        assert_eq!(refused.expect(400)["errors"][0]["field"], "name");
    }
    // Guessing is limited.
    let mut last = join(&app, member, &json!("mqg_x")).await;
    for _ in 0..20 {
        last = join(&app, member, &json!("mqg_x")).await;
    }
    assert_problem(&last, 429, "too many attempts");
}

#[sqlx::test]
async fn groups_invitations_and_members_are_bounded(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let anna = app.user("anna").await;
    let group = create(&app, anna).await;
    let path = format!("{group}/invitations");
    for _ in 0..20 {
        invite(&app, anna, &group, json!({})).await;
    }
    let refused = send(&app, anna, "POST", &path, json!({})).await;
    assert_problem(&refused, 409, "there are 20 invitations");
    for _ in 1..20 {
        create(&app, anna).await;
    }
    let refused = send(&app, anna, "POST", GROUPS, json!({"name": "x"})).await;
    assert_problem(&refused, 409, "there are 20 groups");

    send(&app, anna, "DELETE", &path, Value::Null).await;
    let code = invite(&app, anna, &group, json!({"max_uses": 19})).await;
    for number in 1..20 {
        let other = app.user(&format!("other{number}")).await;
        join(&app, other, &code).await.expect(200);
    }
    send(&app, anna, "DELETE", &path, Value::Null).await;
    let code = invite(&app, anna, &group, json!({})).await;
    let one_more = app.user("another").await;
    // A valid code is no guess, however often it is sent.
    for _ in 0..21 {
        let refused = join(&app, one_more, &code).await;
        assert_problem(&refused, 409, "the group has 20 members");
    }
    for _ in 0..20 {
        create(&app, one_more).await;
    }
    for _ in 0..21 {
        let refused = join(&app, one_more, &code).await;
        assert_problem(&refused, 409, "there are 20 groups");
    }
}

#[sqlx::test]
async fn a_group_outlives_its_owner_and_not_its_last_member(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let [anna, berta, carl] = [
        app.user("anna").await,
        app.user("berta").await,
        app.user("carl").await,
    ];
    let group = create(&app, anna).await;
    let code = invite(&app, anna, &group, json!({"max_uses": 3})).await;
    for who in [berta, carl] {
        join(&app, who, &code).await.expect(200);
    }
    let erased = app.delete(&format!("/api/v1/users/{anna}")).await;
    assert_eq!(erased.status.as_u16(), 204);
    let left = send(&app, carl, "GET", &group, Value::Null)
        .await
        .expect(200);
    assert_eq!(
        (members(&left), &left["owner_id"]),
        (vec![berta, carl], &json!(berta))
    );
    // The codes of the former owner are invalid.
    let dora = app.user("dora").await;
    assert_problem(&join(&app, dora, &code).await, 404, "invitation not found");
    for who in [berta, carl] {
        let path = format!("{group}/members/me");
        let left = send(&app, who, "DELETE", &path, Value::Null).await;
        assert_eq!(left.status.as_u16(), 204);
    }
    let groups: i64 = sqlx::query_scalar("select count(*) from user_group")
        .fetch_one(&pool)
        .await
        .expect("a count");
    assert_eq!(groups, 0);
}

#[sqlx::test]
async fn members_vote_and_see_the_votes_of_all(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let [anna, berta, carl] = [
        app.user("anna").await,
        app.user("berta").await,
        app.user("carl").await,
    ];
    let group = create(&app, anna).await;
    let code = invite(&app, anna, &group, json!({})).await;
    join(&app, berta, &code).await.expect(200);
    let votes = format!("{group}/votes");
    let vote = async |who, movie: i64, yes: bool| {
        let path = format!("{votes}/{movie}");
        send(&app, who, "PUT", &path, json!({"yes": yes})).await
    };
    let list = async |who| send(&app, who, "GET", &votes, Value::Null).await;
    for (who, movie, yes) in [
        (anna, 603, true),
        (anna, 604, false),
        (berta, 604, true),
        (berta, 603, false),
        // In place of the earlier one.
        (berta, 603, true),
    ] {
        vote(who, movie, yes).await.expect(204);
    }
    let expected = json!({"votes": [
        {"movie_id": 603, "yes": [anna, berta], "no": []},
        {"movie_id": 604, "yes": [berta], "no": [anna]},
    ]});
    for member in [anna, berta] {
        assert_eq!(list(member).await.expect(200), expected);
    }
    assert_problem(&vote(carl, 603, true).await, 404, "group not found");
    assert_problem(&list(carl).await, 404, "group not found");
    assert_problem(&vote(anna, 999_999, true).await, 404, "movie not found");
    let invalid = format!("{votes}/603");
    let invalid = send(&app, anna, "PUT", &invalid, json!({"yes": "maybe"})).await;
    assert_eq!(invalid.status, 400, "{}", invalid.text);
    let export = format!("/api/v1/users/{berta}/export");
    let export = app
        .send("GET", &export, Value::Null, Some((berta, "user")), None)
        .await
        .expect(200);
    let exported = &export["groups"][0]["votes"];
    assert_eq!(exported.as_array().map(Vec::len), Some(2), "{exported}");
    // Those of yesterday do not count.
    sqlx::query(
        "update group_vote set voted_at = now() - interval '25 hours' where movie_id = 604",
    )
    .execute(&pool)
    .await
    .expect("an update");
    let expected = json!({"votes": [{"movie_id": 603, "yes": [anna, berta], "no": []}]});
    assert_eq!(list(anna).await.expect(200), expected);
    // Leaving takes them along.
    let leave = format!("{group}/members/me");
    send(&app, berta, "DELETE", &leave, Value::Null)
        .await
        .expect(204);
    let expected = json!({"votes": [{"movie_id": 603, "yes": [anna], "no": []}]});
    assert_eq!(list(anna).await.expect(200), expected);
    send(&app, anna, "DELETE", &votes, Value::Null)
        .await
        .expect(204);
    assert_eq!(list(anna).await.expect(200), json!({"votes": []}));
    let left: i64 = sqlx::query_scalar("select count(*) from group_vote where user_id = $1")
        .bind(berta)
        .fetch_one(&pool)
        .await
        .expect("a count");
    assert_eq!(left, 0);
}
