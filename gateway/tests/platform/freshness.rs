//! Replicas agree, and interactions affect the next list.

use std::time::{Duration, Instant};

use chassis::testing::eventually;
use serde_json::{Value, json};

use crate::stage::{Platform, PlatformOptions, Program, ids};

/// The time after which the test fails. The goal of one second is measured by `drill_lists` on a quiet machine.
const TIMEOUT: Duration = Duration::from_secs(10);

fn replicated() -> PlatformOptions {
    PlatformOptions {
        movie_services: 2,
        recommendation_services: 2,
        ..PlatformOptions::default()
    }
}

async fn list(platform: &Platform, service: &Program, path: &str) -> Value {
    let mut list = platform.inside(service).get(path).await.expect(200);
    // The only member that depends on the time.
    list.as_object_mut().unwrap().remove("generated_at");
    list
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_return_equal_lists_and_likes_affect_the_next_one() {
    let platform = Platform::with_films(5, replicated()).await;
    let user = platform.user("anna").await;
    replicas_of_movie_service_agree(&platform).await;
    replicas_of_recommendation_service_agree(&platform, user).await;
    likes_affect_the_next_list(&platform, user).await;
    replicas_of_recommendation_service_agree(&platform, user).await;
    a_later_sync_reaches_all_replicas(&platform, user).await;
    assert_eq!(platform.errors_logged(), [""; 0]);
}

async fn replicas_of_movie_service_agree(platform: &Platform) {
    let [one, two] = &platform.movie_services[..] else {
        panic!("two processes of movie-service");
    };
    for query in [
        "page_size=100",
        "page_size=7&page=3",
        "sort_by=title&order=asc&page_size=100",
        "sort_by=release_date&order=desc&page_size=50&page=2",
        "release_date_from=1990-01-01&release_date_to=2010-12-31&page_size=100",
    ] {
        let path = format!("/api/v1/movies?{query}");
        eventually("both give the same list", async || {
            let mut first = list(platform, one, &path).await;
            let mut second = list(platform, two, &path).await;
            for list in [&mut first, &mut second] {
                // Opaque, and specific to a process.
                list.as_object_mut().unwrap().remove("next_cursor");
            }
            assert!(!ids(&first["data"]).is_empty(), "{path}");
            first == second
        })
        .await;
    }
}

async fn replicas_of_recommendation_service_agree(platform: &Platform, user: i64) {
    let [one, two] = &platform.recommendation_services[..] else {
        panic!("two processes of recommendation-service");
    };
    let path = format!("/api/v1/users/{user}/recommendations?limit=50");
    eventually("both give the same list", async || {
        let first = list(platform, one, &path).await;
        assert_eq!(ids(&first["recommendations"]).len(), 50);
        first == list(platform, two, &path).await
    })
    .await;
}

async fn likes_affect_the_next_list(platform: &Platform, user: i64) {
    const LIKES: usize = 20;
    let films = platform.recommended(user, LIKES).await;
    assert_eq!(films.len(), LIKES);
    let client = platform.client();
    let mut slowest = Duration::ZERO;
    let mut all = Duration::ZERO;
    for film in films {
        let body = json!({"movie_id": film, "interaction_type": "like"});
        let path = format!("/api/v1/users/{user}/interactions");
        client.post(&path, body).await.expect(201);
        let took = until_gone(platform, user, film).await;
        println!("like → next list: {} ms", took.as_millis());
        slowest = slowest.max(took);
        all += took;
    }
    let average = all / u32::try_from(LIKES).unwrap();
    println!(
        "like → next list, {LIKES} likes: {} ms on average, {} ms at most",
        average.as_millis(),
        slowest.as_millis()
    );
}

/// The time from now until the list is without `film`, through the gateway and from every replica.
async fn until_gone(platform: &Platform, user: i64, film: i64) -> Duration {
    let started = Instant::now();
    let path = format!("/api/v1/users/{user}/recommendations?limit=50");
    let mut clients = vec![platform.client()];
    let replicas = platform.recommendation_services.iter();
    clients.extend(replicas.map(|replica| platform.inside(replica)));
    loop {
        let now = started.elapsed();
        let mut gone = true;
        for client in &clients {
            let list = client.get(&path).await.expect(200);
            gone &= !ids(&list["recommendations"]).contains(&film);
        }
        if gone {
            return now.max(Duration::from_millis(1));
        }
        assert!(
            started.elapsed() < TIMEOUT,
            "movie {film} stays in the list"
        );
    }
}

async fn a_later_sync_reaches_all_replicas(platform: &Platform, user: i64) {
    platform.sync(8).await;
    replicas_of_movie_service_agree(platform).await;
    replicas_of_recommendation_service_agree(platform, user).await;
}
