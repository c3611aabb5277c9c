//! Recommendations and scoring rules.

use super::*;

pub(super) async fn recommendations(client: &Api, user: i64, known: &[i64]) {
    let path = format!("/api/v1/users/{user}/recommendations");
    eventually("the list knows what the user did", async || {
        let list = client.get(&format!("{path}?limit=50")).await.expect(200);
        let films = ids(&list["recommendations"]);
        !films.is_empty() && known.iter().all(|film| !films.contains(film))
    })
    .await;
    // *Improved*: for users with interactions the rules are one of several candidate sources, unless requested alone.
    let list = client
        .get(&format!("{path}?limit=10&strategy=rules"))
        .await
        .expect(200);
    let film = json!({
        "id": 0, "title": "", "release_date": "", "genres": [""], "popularity": 0.0, "poster_url": "",
        "score": 0.0, "reason": "",
    });
    assert_fields(
        &list,
        &json!({"user_id": 0, "recommendations": [film], "generated_at": ""}),
    );
    assert_eq!(list["user_id"], user);
    assert_instant(&list["generated_at"]);
    let films = list["recommendations"].as_array().unwrap();
    assert_eq!(films.len(), 10);
    let scores: Vec<f64> = films
        .iter()
        .map(|film| film["score"].as_f64().unwrap())
        .collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert!(
        scores
            .iter()
            .all(|score| (score * 1e4 - (score * 1e4).round()).abs() < 1e-6)
    );
    let reasons = [
        "highly popular",
        "recently released",
        "matches your preferred genres",
    ];
    for film in films {
        let reason = film["reason"].as_str().unwrap();
        let known =
            reason == "recommended for you" || reason.split(", ").all(|one| reasons.contains(&one));
        assert!(known, "{reason}");
        let genres: Vec<&str> = film["genres"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        assert!(genres.is_sorted());
        let matches = genres
            .iter()
            .any(|name| ["Action", "Science Fiction", "Adventure"].contains(name));
        assert_eq!(matches, reason.contains(reasons[2]), "{film}");
        let detail = client
            .get(&format!("/api/v1/movies/{}", film["id"]))
            .await
            .expect(200);
        for field in [
            "title",
            "release_date",
            "genres",
            "popularity",
            "poster_url",
        ] {
            assert_eq!(film[field], detail[field], "{field}");
        }
        assert_eq!(
            detail["language"], "en",
            "what the user prefers rules out others"
        );
        assert!(detail["vote_average"].as_f64().unwrap() >= 5.5);
    }
    assert_eq!(
        client.get(&path).await.expect(200)["recommendations"]
            .as_array()
            .unwrap()
            .len(),
        10
    );
    for limit in [1, 25, 50] {
        let list = client
            .get(&format!("{path}?limit={limit}"))
            .await
            .expect(200);
        assert!(ids(&list["recommendations"]).len() <= limit);
    }
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=1000000", "limit"),
        ("lmit=1", "lmit"),
    ] {
        assert_names(&client.get(&format!("{path}?{query}")).await, field);
    }
    let rules = client
        .get(&format!("{path}?limit=10&strategy=rules"))
        .await
        .expect(200);
    assert_eq!(ids(&rules["recommendations"]).len(), 10);
}

pub(super) async fn rules(client: &Api) {
    let rules = client.get("/api/v1/rules").await.expect(200);
    let rule = json!({"id": 0, "name": "", "weight": 0.0, "rule_type": "", "is_active": true, "created_at": ""});
    assert_fields(&rules, &json!({"rules": [rule]}));
    let rules: Vec<(&str, f64)> = rules["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| {
            (
                rule["rule_type"].as_str().unwrap(),
                rule["weight"].as_f64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        rules,
        [("genre_match", 0.3), ("popularity", 0.4), ("recency", 0.3)]
    );
}
