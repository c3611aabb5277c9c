//! TMDB's images: the cache in front of its image host, and what it refuses.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use chassis::testing::TestResponse;
use demo_tmdb::testing::DemoTmdb;
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::TestApp;

/// A directory that is removed on drop.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("images-{}", uuid::Uuid::now_v7())))
    }

    fn file(&self, key: &str) -> PathBuf {
        self.0.join(key)
    }

    /// The files of a size.
    fn names(&self, size: &str) -> Vec<String> {
        let files = std::fs::read_dir(self.0.join(size)).unwrap();
        let mut names: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn demo() -> Arc<DemoTmdb> {
    Arc::new(DemoTmdb::start_with(&[("DEMO_POSTERS", "true")]))
}

/// The service with its images in `directory`, of at most `max_bytes`.
fn service(pool: &PgPool, tmdb: &Arc<DemoTmdb>, directory: &Path, max_bytes: &str) -> TestApp {
    let host = format!("http://{}/t/p", tmdb.address);
    let settings = [
        ("IMAGE_CACHE_DIR", directory.to_str().unwrap()),
        ("IMAGE_CACHE_BYTES", max_bytes),
        ("TMDB_IMAGE_BASE_URL", &host),
        ("TMDB_BREAKER_FAILURES", "1000"),
    ];
    // The tasks of a service keep connections until the test ends, and one pool has few for all services of a test.
    let options = (*pool.connect_options()).clone();
    let pool = PgPoolOptions::new().max_connections(4);
    TestApp::beside(
        &pool.connect_lazy_with(options),
        Arc::clone(tmdb),
        &settings,
    )
}

/// Has the catalogue name the posters of movies.
async fn name(test: &TestApp, movies: &[i64]) {
    for id in movies {
        let path = format!("/api/v1/movies/{id}");
        test.get(&path).await.expect(200);
    }
}

fn fetches(tmdb: &DemoTmdb) -> i64 {
    let stats = tmdb.control("GET", "/__stats", "");
    stats["by_kind"]["image"].as_i64().unwrap_or_default()
}

fn etag(response: &TestResponse) -> &str {
    assert_eq!(response.status, 200, "{}", response.text);
    response.headers["etag"].to_str().unwrap()
}

#[sqlx::test]
async fn an_image_is_fetched_once_and_served_without_tmdb_afterwards(pool: PgPool) {
    let (tmdb, directory) = (demo(), Directory::new());
    let test = service(&pool, &tmdb, &directory.0, "1000000");
    let movie = test.get("/api/v1/movies/603").await.expect(200);
    let url = movie["poster_url"].as_str().unwrap();
    assert!(url.ends_with("/poster603.png"), "{url}");
    tmdb.faults(r#"{"kind": "latency", "ms": 200}"#);
    let path = "/images/w342/poster603.png";
    let all = futures_util::future::join_all((0..50).map(|_| test.get(path))).await;
    for response in &all {
        assert_eq!(etag(response), etag(&all[0]));
        assert_eq!(response.headers["content-type"], "image/png");
        assert_eq!(
            response.headers["cache-control"],
            "public, max-age=31536000, immutable"
        );
        assert_eq!(response.headers["x-content-type-options"], "nosniff");
    }
    assert_eq!(fetches(&tmdb), 1, "concurrent requests share a fetch");
    assert_eq!(directory.names("w342"), ["poster603.png"]);
    tmdb.faults(r#"{"kind": "reset"}"#);
    let again = service(&pool, &tmdb, &directory.0, "1000000");
    assert_eq!(
        etag(&again.get(path).await),
        etag(&all[0]),
        "after a restart"
    );
    let known = axum::http::Request::get(path).header("if-none-match", etag(&all[0]));
    let known = known.body(axum::body::Body::empty()).unwrap();
    let known = chassis::testing::send(&again.app, known).await;
    assert_eq!((known.status.as_u16(), known.text.as_str()), (304, ""));
    assert_eq!(fetches(&tmdb), 1);
    // A file of a process that was interrupted.
    std::fs::write(directory.file("w342/poster13.1.part"), b"\x89PNG").unwrap();
    let _third = service(&pool, &tmdb, &directory.0, "1000000");
    assert_eq!(directory.names("w342"), ["poster603.png"]);
}

#[sqlx::test]
async fn an_old_image_is_fetched_again_and_served_stale_if_tmdb_is_away(pool: PgPool) {
    let (tmdb, directory) = (demo(), Directory::new());
    let path = "/images/w92/poster603.png";
    let first = service(&pool, &tmdb, &directory.0, "1000000");
    name(&first, &[603]).await;
    let tag = etag(&first.get(path).await).to_owned();
    let age = |days: u64| {
        let path = directory.file("w92/poster603.png");
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let then = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
        file.set_modified(then).unwrap();
    };
    age(149);
    service(&pool, &tmdb, &directory.0, "1000000")
        .get(path)
        .await;
    assert_eq!(fetches(&tmdb), 1, "not old yet");
    age(151);
    for fault in [
        r#"{"kind": "reset"}"#,
        r#"{"kind": "status", "status": 500}"#,
        r#"{"kind": "truncated"}"#,
        r#"{"kind": "nonsense"}"#,
        r#"{"kind": "oversized"}"#,
    ] {
        tmdb.faults(fault);
        let before = fetches(&tmdb);
        let stale = service(&pool, &tmdb, &directory.0, "1000000")
            .get(path)
            .await;
        assert_eq!(etag(&stale), tag, "{fault}");
        assert_eq!(fetches(&tmdb), before + 1, "{fault}");
    }
    tmdb.faults("[]");
    // Its movie is gone, and TMDB's image with it.
    tmdb.control("POST", "/__films/603/hide", "");
    let last = service(&pool, &tmdb, &directory.0, "1000000");
    last.get(path).await.expect(404);
    assert_eq!(directory.names("w92"), [""; 0]);
}

#[sqlx::test]
async fn what_is_no_image_is_refused_and_never_stored(pool: PgPool) {
    let (tmdb, directory) = (demo(), Directory::new());
    let test = service(&pool, &tmdb, &directory.0, "1000000");
    for path in [
        "/images/w341/poster603.png",
        "/images/w342/poster603.gif",
        "/images/w342/poster603.png.png",
        "/images/w342/..%2F..%2F..%2Fetc%2Fpasswd",
        "/images/w342/%2e%2e",
        "/images/..%2Fw342/poster603.png",
        "/images/w342/poster603.png%00.jpg",
        "/images/w342/%F0%9F%8E%AC.png",
    ] {
        let problem = test.get(path).await.expect(404);
        assert_eq!(problem["type"], "/problems/image-not-found", "{path}");
    }
    assert_eq!(fetches(&tmdb), 0, "TMDB is not asked for such names");
    name(&test, &[603]).await;
    sqlx::query("update movie set backdrop_path = '/poster1.png' where id = 603")
        .execute(&pool)
        .await
        .unwrap();
    // TMDB does not have it, which is remembered.
    for _ in 0..3 {
        let problem = test.get("/images/w342/poster1.png").await.expect(404);
        assert_eq!(problem["type"], "/problems/image-not-found");
    }
    assert_eq!(fetches(&tmdb), 1);
    for (fault, status, kind) in [
        (r#"{"kind": "reset"}"#, 503, "/problems/unavailable"),
        (r#"{"kind": "truncated"}"#, 503, "/problems/unavailable"),
        (r#"{"kind": "rate_limited"}"#, 503, "/problems/unavailable"),
        (
            r#"{"kind": "status", "status": 502}"#,
            503,
            "/problems/unavailable",
        ),
        (r#"{"kind": "nonsense"}"#, 502, "/problems/tmdb-failed"),
        (r#"{"kind": "oversized"}"#, 502, "/problems/tmdb-failed"),
    ] {
        tmdb.faults(fault);
        let response = test.get("/images/w342/poster603.png").await;
        assert_eq!(response.status, status, "{fault}");
        assert_eq!(response.body["type"], kind, "{fault}");
        assert_eq!(response.headers.get("etag"), None, "{fault}");
    }
    assert_eq!(directory.names("w342"), [""; 0]);
    tmdb.faults("[]");
    assert_eq!(test.get("/images/w342/poster603.png").await.status, 200);
}

#[sqlx::test]
async fn only_images_of_movies_in_the_catalogue_are_fetched(pool: PgPool) {
    let (tmdb, directory) = (demo(), Directory::new());
    let test = service(&pool, &tmdb, &directory.0, "1000000");
    let change = async |sql: &'static str| sqlx::raw_sql(sql).execute(&pool).await.unwrap();
    let poster = "/images/w342/poster603.png";
    // TMDB has it.
    let problem = test.get(poster).await.expect(404);
    assert_eq!(problem["type"], "/problems/image-not-found");
    let made_up: Vec<String> = (0..50)
        .map(|number| format!("/images/w92/madeup{number}.jpg"))
        .collect();
    let all = futures_util::future::join_all(made_up.iter().map(|path| test.get(path))).await;
    assert!(all.iter().all(|response| response.status == 404));
    assert_eq!(fetches(&tmdb), 0);
    name(&test, &[603]).await;
    etag(&test.get(poster).await);
    assert_eq!(
        fetches(&tmdb),
        1,
        "at once when the catalogue has its movie"
    );
    // TMDB is asked for backdrops and logos.
    let logos: i64 = sqlx::query_scalar("select count(*) from provider_logo")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(logos > 0, "those of the movie's providers");
    change(
        "update movie set backdrop_path = '/backdrop.jpg';
         insert into provider_logo (path) values ('/logo.svg')",
    )
    .await;
    for (number, name) in ["backdrop.jpg", "logo.svg"].into_iter().enumerate() {
        let path = format!("/images/w92/{name}");
        test.get(&path).await.expect(404);
        assert_eq!(fetches(&tmdb), number as i64 + 2, "{name}");
    }
    change("update movie set removed_at = now()").await;
    test.get("/images/w92/poster603.png").await.expect(404);
    assert_eq!(fetches(&tmdb), 3, "its movie is removed");
}

#[sqlx::test]
async fn the_images_read_longest_ago_make_room(pool: PgPool) {
    let (tmdb, directory) = (demo(), Directory::new());
    let image = |id: i64| format!("/images/w92/poster{id}.png");
    let measured = service(&pool, &tmdb, &directory.0, "1000000");
    name(&measured, &[603, 550, 13]).await;
    for (number, id) in [603, 550, 13].into_iter().enumerate() {
        etag(&measured.get(&image(id)).await);
        // The clock of files may show the same time for all.
        let file = directory.file(&format!("w92/poster{id}.png"));
        let file = std::fs::File::options().write(true).open(file).unwrap();
        let read_at = SystemTime::now() - Duration::from_secs(10 - number as u64);
        file.set_modified(read_at).unwrap();
    }
    let sizes = ["603", "550", "13"].map(|id| {
        let file = directory.file(&format!("w92/poster{id}.png"));
        std::fs::metadata(file).unwrap().len()
    });
    let room_for_two = (sizes.iter().sum::<u64>() - 1).to_string();
    // A smaller bound applies to what is there.
    let test = service(&pool, &tmdb, &directory.0, &room_for_two);
    assert_eq!(directory.names("w92"), ["poster13.png", "poster550.png"]);
    etag(&test.get(&image(550)).await);
    etag(&test.get(&image(603)).await);
    assert_eq!(directory.names("w92"), ["poster550.png", "poster603.png"]);
    // A damaged file is fetched again.
    let test = service(&pool, &tmdb, &directory.0, &room_for_two);
    std::fs::write(directory.file("w92/poster550.png"), "not an image").unwrap();
    etag(&test.get(&image(550)).await);
    assert_eq!(fetches(&tmdb), 5);
}

#[sqlx::test]
async fn without_a_directory_or_a_key_there_are_no_images(pool: PgPool) {
    let (tmdb, directory) = (demo(), Directory::new());
    let without_directory = TestApp::beside(&pool, Arc::clone(&tmdb), &[]);
    let path = directory.0.to_str().unwrap();
    let settings = [("TMDB_API_KEY", ""), ("IMAGE_CACHE_DIR", path)];
    let without_key = TestApp::beside(&pool, Arc::clone(&tmdb), &settings);
    for test in [without_directory, without_key] {
        let problem = test.get("/images/w342/poster603.png").await.expect(404);
        assert_eq!(problem["type"], "/problems/image-not-found");
    }
    assert_eq!(fetches(&tmdb), 0);
}
