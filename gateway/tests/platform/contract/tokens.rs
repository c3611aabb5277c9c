//! Access rules with verified tokens.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_jwt_mode_users_access_their_own_data_and_administrators_all() {
    let platform = Platform::with_films(1, PlatformOptions::jwt()).await;
    let anna = platform.user("anna").await;
    let berta = platform.user("berta").await;
    let own = platform
        .client()
        .token(&platform.token(&["--subject", &anna.to_string()]));
    let admin = platform.admin();
    tokens_of_other_issuers_are_refused(&platform).await;
    for below in ["", "/preferences", "/interactions", "/recommendations"] {
        own.get(&format!("/api/v1/users/{anna}{below}"))
            .await
            .expect(200);
        admin
            .get(&format!("/api/v1/users/{anna}{below}"))
            .await
            .expect(200);
        let others = own.get(&format!("/api/v1/users/{berta}{below}")).await;
        assert_refused(&others);
        // The existence of a user is not disclosed.
        let unknown = own.get(&format!("/api/v1/users/{UNKNOWN_ID}{below}")).await;
        assert_eq!(unknown.status, others.status, "{}", unknown.text);
        assert_eq!(unknown.body["error"], others.body["error"]);
    }
    let film = platform.recommended(anna, 1).await[0];
    let like = json!({"movie_id": film, "interaction_type": "like"});
    own.post(&format!("/api/v1/users/{anna}/interactions"), like.clone())
        .await
        .expect(201);
    assert_refused(
        &own.post(&format!("/api/v1/users/{berta}/interactions"), like.clone())
            .await,
    );
    assert_refused(
        &own.post(&format!("/api/v1/users/{berta}/preferences"), json!({}))
            .await,
    );
    let written = format!("select count(*) from interaction where user_id = {berta}");
    assert_eq!(platform.users.count_of(written).await, 0);
    // Other spellings of the same number are refused.
    for id in [
        format!("0{anna}"),
        format!("+{anna}"),
        format!("%3{anna}"),
        format!("{berta}%2F..%2F{anna}"),
    ] {
        let response = own.get(&format!("/api/v1/users/{id}/preferences")).await;
        assert!(
            [400, 403, 404].contains(&response.status.as_u16()),
            "{id}: {} {}",
            response.status,
            response.text
        );
    }
    assert_refused(&own.post("/api/v1/admin/sync?pages=1", Value::Null).await);
    admin
        .post("/api/v1/admin/sync?pages=1", Value::Null)
        .await
        .expect(200);
    for path in ["/api/v1/movies", "/api/v1/rules"] {
        own.get(path).await.expect(200);
    }
    assert_eq!(platform.errors_logged(), [""; 0]);
}

fn assert_refused(response: &TestResponse) {
    let error = response.body["error"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(!error.is_empty());
    assert_problem(response, 403, &error);
}

async fn tokens_of_other_issuers_are_refused(platform: &Platform) {
    let good = platform.token(&["--subject", "1"]);
    let expired = platform.token(&["--subject", "1", "--ttl-seconds", "0"]);
    let [head, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("a token has three parts: {good}");
    };
    let forged = format!(
        "{head}.{claims}.{}",
        signature.chars().rev().collect::<String>()
    );
    // {"alg":"none","typ":"JWT"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
    let stranger = platform.client();
    stranger
        .clone()
        .token(&good)
        .get("/api/v1/rules")
        .await
        .expect(200);
    for token in ["any", "a.b.c", &forged, &unsigned, &format!("{good}x")] {
        let response = stranger.clone().token(token).get("/api/v1/rules").await;
        let error = response.body["error"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert_problem(&response, 401, &error);
    }
    // Clock differences within the leeway are accepted.
    eventually("a token runs out", async || {
        let response = stranger.clone().token(&expired).get("/api/v1/rules").await;
        response.status == 401
    })
    .await;
    let error = "missing Authorization header";
    assert_problem(&stranger.bare().get("/api/v1/rules").await, 401, error);
}
