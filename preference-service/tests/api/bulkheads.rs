//! A table that is locked takes the connections of its own part of the service alone.

use std::time::{Duration, Instant};

use chassis::postgres::Shares;
use preference_service::database::Pools;
use serde_json::json;
use sqlx::PgPool;

use crate::stage::{MovieService, PASSWORD, TestApp};

/// Much less than requests of the locked table wait.
const FAST: Duration = Duration::from_millis(700);
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// Twice as many as all parts have connections together.
const CROWD: usize = 40;

/// The service with the connections that it has in production.
async fn app(pool: &PgPool, movies: &MovieService) -> TestApp {
    let options = (*pool.connect_options()).clone();
    let pools = Pools::divide(&Shares::new(options, 20), LOCK_TIMEOUT);
    TestApp::over(pool, pools, movies, &[])
}

#[sqlx::test]
async fn one_locked_table_leaves_other_routes_fast(pool: PgPool) {
    let movies = MovieService::start().await;
    movies.sync(603, 1, "The Matrix");
    let app = app(&pool, &movies).await;
    app.knows_films(1).await;
    let user = app.account("anna").await;
    let below = |path: &str| format!("/api/v1/users/{user}{path}");
    for (table, slow, fast) in [
        (
            "chart_count",
            "/api/v1/charts/top?window=day".to_owned(),
            vec![below(""), below("/ratings"), below("/api-keys")],
        ),
        (
            "movie_stats",
            "/api/v1/movies/603/stats".to_owned(),
            vec![below(""), below("/ratings"), below("/api-keys")],
        ),
        (
            "user_movie",
            below("/ratings"),
            vec![below(""), below("/preferences"), below("/imports")],
        ),
        (
            "preference",
            below("/preferences"),
            vec![
                "/api/v1/movies/603/stats".to_owned(),
                "/api/v1/charts/top".to_owned(),
                below("/imports"),
            ],
        ),
        (
            "job",
            below("/imports"),
            vec![
                below(""),
                below("/ratings"),
                "/api/v1/charts/top".to_owned(),
            ],
        ),
    ] {
        let mut locked = pool.begin().await.expect("a transaction");
        let lock = sqlx::AssertSqlSafe(format!("lock table {table} in access exclusive mode"));
        sqlx::query(lock)
            .execute(&mut *locked)
            .await
            .expect("a lock");
        let crowd = async {
            let requests = (0..CROWD).map(|_| app.get(&slow));
            let started = Instant::now();
            let responses = futures_util::future::join_all(requests).await;
            (started.elapsed(), responses)
        };
        let others = async {
            // Until the crowd waits.
            tokio::time::sleep(Duration::from_millis(200)).await;
            let login = json!({"username": "anna", "password": PASSWORD});
            let started = Instant::now();
            app.post("/api/v1/auth/token", login).await.expect(200);
            assert!(
                started.elapsed() < FAST,
                "login beside {table}: {:?}",
                started.elapsed()
            );
            let mut slowest = Duration::ZERO;
            for path in fast.iter().cycle().take(12) {
                let started = Instant::now();
                app.get(path).await.expect(200);
                slowest = slowest.max(started.elapsed());
                assert!(
                    started.elapsed() < FAST,
                    "{path} beside {table}: {:?}",
                    started.elapsed()
                );
            }
            slowest
        };
        let ((elapsed, responses), slowest) = tokio::join!(crowd, others);
        let report = format!(
            "{table} locked: {CROWD} requests ended after {elapsed:?}, others at most {slowest:?}"
        );
        let refused = responses.iter().filter(|response| response.status == 503);
        assert!(refused.count() > 0, "{slow} does not use {table}: {report}");
        assert!(elapsed < Duration::from_secs(14), "{slow}: {elapsed:?}");
        locked.rollback().await.expect("the end of the lock");
        app.get(&slow).await.expect(200);
    }
}
