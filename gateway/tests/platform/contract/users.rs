//! Users, preferences and interactions.

use super::*;

pub(super) async fn create_user(client: &Api) -> i64 {
    let body = json!({"username": "johndoe", "email": "john@example.com"});
    let user = client.post("/api/v1/users", body.clone()).await.expect(201);
    assert_fields(
        &user,
        &json!({"id": 0, "username": "", "email": "", "created_at": ""}),
    );
    assert_eq!(
        (&user["username"], &user["email"]),
        (&body["username"], &body["email"])
    );
    assert_instant(&user["created_at"]);
    for (body, error) in [
        (json!({}), "username and email are required"),
        (json!({"username": "x"}), "username and email are required"),
        (
            json!({"username": "", "email": ""}),
            "username and email are required",
        ),
    ] {
        let response = client.post("/api/v1/users", body).await;
        assert_problem(&response, 400, error);
        assert!(!response.body["errors"].as_array().unwrap().is_empty());
    }
    let unknown = json!({"username": "x", "email": "x@y", "emial": "x@y"});
    assert_names(&client.post("/api/v1/users", unknown).await, "emial");
    // *Corrected*: was 400 with the text of the database.
    let same_name = json!({"username": "JohnDoe", "email": "other@example.com"});
    assert_problem(
        &client.post("/api/v1/users", same_name).await,
        409,
        "username is already taken",
    );
    let same_address = json!({"username": "other", "email": "John@Example.com"});
    assert_problem(
        &client.post("/api/v1/users", same_address).await,
        409,
        "email is already taken",
    );
    user["id"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_up_accepts_a_password() {
    let platform = Platform::start(PlatformOptions::default()).await;
    let body = json!({"username": "jane", "email": "jane@example.com", "password": "correct horse battery"});
    let jane = platform
        .client()
        .post("/api/v1/users", body)
        .await
        .expect(201);
    assert!(jane.get("password").is_none(), "{jane}");
}

const BAD_IDS: [&str; 6] = ["x", "0", "-1", "1.5", "9223372036854775808", "1e3"];

pub(super) async fn get_user(client: &Api, user: i64) {
    let same = client
        .get(&format!("/api/v1/users/{user}"))
        .await
        .expect(200);
    assert_fields(
        &same,
        &json!({"id": 0, "username": "", "email": "", "created_at": ""}),
    );
    assert_eq!(
        (&same["id"], &same["username"]),
        (&json!(user), &json!("johndoe"))
    );
    for below in ["", "/preferences", "/interactions", "/recommendations"] {
        for id in BAD_IDS {
            let response = client.get(&format!("/api/v1/users/{id}{below}")).await;
            assert_problem(&response, 400, "invalid user ID");
        }
        // *Corrected* for all but the first: were 200 with an empty body.
        let response = client
            .get(&format!("/api/v1/users/{UNKNOWN_ID}{below}"))
            .await;
        assert_problem(&response, 404, "user not found");
    }
}

pub(super) async fn preferences(client: &Api, user: i64) {
    let path = format!("/api/v1/users/{user}/preferences");
    let shape = json!({"id": 0, "user_id": 0, "preferred_genres": [""], "preferred_language": "", "min_rating": 0.0, "updated_at": ""});
    let unset = client.get(&path).await.expect(200);
    assert_fields(&unset, &shape);
    assert_eq!(unset["preferred_genres"], json!([]));
    assert_eq!(unset["preferred_language"], "en");
    assert_eq!(unset["min_rating"].as_f64(), Some(0.0));

    let wanted = json!({"preferred_genres": ["Action", "Science Fiction", "Adventure"], "preferred_language": "en", "min_rating": 5.5});
    let set = client.post(&path, wanted.clone()).await.expect(200);
    assert_fields(&set, &shape);
    assert_instant(&set["updated_at"]);
    for field in ["preferred_genres", "preferred_language", "min_rating"] {
        assert_eq!(set[field], wanted[field], "{field}");
    }
    assert_eq!(set["user_id"], user);
    assert_eq!(client.get(&path).await.expect(200), set);

    // Preferences are replaced as a whole: omitted fields are unset.
    let less = client
        .post(&path, json!({"min_rating": 4}))
        .await
        .expect(200);
    assert_eq!(
        (&less["preferred_genres"], &less["preferred_language"]),
        (&json!([]), &json!("en"))
    );
    for (body, field) in [
        (json!({"min_rating": 11}), "min_rating"),
        (json!({"min_rating": "high"}), "min_rating"),
        (
            json!({"preferred_language": "english"}),
            "preferred_language",
        ),
        (json!({"preferred_genres": "Drama"}), "preferred_genres"),
        (json!({"preferred_genre": ["Drama"]}), "preferred_genre"),
    ] {
        assert_names(&client.post(&path, body).await, field);
    }
    let unknown = format!("/api/v1/users/{UNKNOWN_ID}/preferences");
    assert_problem(
        &client.post(&unknown, json!({})).await,
        404,
        "user not found",
    );
    client.post(&path, wanted).await.expect(200);
}

/// Records interactions; returns the movies that the user has rated or seen.
pub(super) async fn interactions(client: &Api, user: i64) -> Vec<i64> {
    let path = format!("/api/v1/users/{user}/interactions");
    let empty = client.get(&path).await.expect(200);
    assert_eq!(
        (&empty["user_id"], &empty["interactions"]),
        (&json!(user), &json!([]))
    );
    let films = client.get("/api/v1/movies").await.expect(200);
    let films = ids(&films["data"]);
    let shape =
        json!({"id": 0, "user_id": 0, "movie_id": 0, "interaction_type": "", "created_at": ""});
    let kinds = ["like", "watchlist", "dislike", "watched", "superlike"];
    for (kind, film) in kinds.iter().zip(&films) {
        let body = json!({"movie_id": film, "interaction_type": kind});
        let stored = client.post(&path, body).await.expect(201);
        assert_fields(&stored, &shape);
        assert_instant(&stored["created_at"]);
        assert_eq!(
            (&stored["user_id"], &stored["movie_id"]),
            (&json!(user), &json!(film))
        );
        assert_eq!(stored["interaction_type"], *kind);
    }
    let listed = client.get(&path).await.expect(200);
    assert_fields(&listed, &json!({"user_id": 0, "interactions": [shape]}));
    let listed: Vec<&str> = listed["interactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["interaction_type"].as_str().unwrap())
        .collect();
    assert!(
        listed.iter().rev().eq(kinds.iter()),
        "newest first: {listed:?}"
    );

    let two = client.get(&format!("{path}?limit=2")).await.expect(200);
    assert_eq!(ids(&two["interactions"]).len(), 2);
    let cursor = two["next_cursor"].as_str().unwrap();
    let rest = client
        .get(&format!("{path}?limit=1000&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(ids(&rest["interactions"]).len(), 3);
    let likes = client.get(&format!("{path}?type=like")).await.expect(200);
    assert_eq!(ids(&likes["interactions"]).len(), 1);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("type=love", "type"),
        ("limt=1", "limt"),
    ] {
        assert_names(&client.get(&format!("{path}?{query}")).await, field);
    }

    let film = films[0];
    for (body, status, error) in [
        (
            json!({"movie_id": film, "interaction_type": "x"}),
            400,
            "invalid interaction type: x",
        ),
        (
            json!({"movie_id": film, "interaction_type": "LIKE"}),
            400,
            "invalid interaction type: LIKE",
        ),
        (json!({"movie_id": film}), 400, "invalid interaction type: "),
        (
            json!({"movie_id": 0, "interaction_type": "like"}),
            400,
            "invalid movie ID",
        ),
        (
            json!({"movie_id": -5, "interaction_type": "like"}),
            400,
            "invalid movie ID",
        ),
        (json!({"interaction_type": "like"}), 400, "invalid movie ID"),
        // *Corrected*: was stored.
        (
            json!({"movie_id": UNKNOWN_ID, "interaction_type": "like"}),
            404,
            "movie not found",
        ),
    ] {
        assert_problem(&client.post(&path, body).await, status, error);
    }
    let unknown = format!("/api/v1/users/{UNKNOWN_ID}/interactions");
    let body = json!({"movie_id": film, "interaction_type": "like"});
    assert_problem(&client.post(&unknown, body).await, 404, "user not found");
    vec![films[0], films[2], films[3], films[4]]
}
