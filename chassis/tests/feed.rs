//! The outbox on the tables of `migrations/outbox.sql`.
#![allow(clippy::unwrap_used, reason = "a failed step of a test should panic")]

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use chassis::{
    feed::outbox::{Outbox, ReadError},
    shutdown::Shutdown,
};
use http_body_util::BodyExt;
use sqlx::PgPool;
use tower::ServiceExt;

const RETENTION: Duration = Duration::from_secs(3600);

async fn create_tables(pool: &PgPool) {
    sqlx::raw_sql(include_str!("../migrations/outbox.sql"))
        .execute(pool)
        .await
        .unwrap();
}

#[sqlx::test(migrations = false)]
async fn a_read_never_skips_records_that_expire_meanwhile(pool: PgPool) {
    const INSERT: &str = "insert into outbox (name, key, payload) values ('changed', '1', '{}')";
    create_tables(&pool).await;
    let outbox = Outbox::new(pool.clone(), &[], RETENTION, &Shutdown::default());
    let cursor = outbox.current_cursor().await.unwrap();
    sqlx::query(INSERT).execute(&pool).await.unwrap();

    let mut expiry = pool.begin().await.unwrap();
    sqlx::query("lock table outbox")
        .execute(&mut *expiry)
        .await
        .unwrap();
    let expired = async {
        // The reader has found its cursor valid and waits for the table.
        let waiting = "select exists (select from pg_locks where not granted and relation = 'outbox'::regclass)";
        while !sqlx::query_scalar::<_, bool>(waiting)
            .fetch_one(&pool)
            .await
            .unwrap()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let expire = "with gone as (delete from outbox returning xid, seq)
                      update outbox_state set expired_xid = gone.xid, expired_seq = gone.seq from gone";
        for statement in [expire, INSERT] {
            sqlx::query(statement).execute(&mut *expiry).await.unwrap();
        }
        expiry.commit().await.unwrap();
    };
    let (read, ()) = tokio::join!(outbox.read(Some(cursor), 10, Duration::ZERO), expired);
    assert!(matches!(read, Err(ReadError::CursorExpired)), "{read:?}");
}

#[sqlx::test(migrations = false)]
async fn a_shutdown_ends_a_snapshot_early(pool: PgPool) {
    const LARGE: &[&str] = &[
        "select 'changed', n::text, '{}' from (select generate_series(1, 300000) as n) as numbers",
    ];
    create_tables(&pool).await;
    let shutdown = Shutdown::default();
    let outbox = Outbox::new(pool, LARGE, RETENTION, &shutdown);
    let request = Request::get("/internal/v1/snapshot").body(Body::empty());
    let response = outbox.router().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    shutdown.start();
    assert!(shutdown.drain(Duration::from_secs(5)).await);
    let mut rest = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        rest.extend_from_slice(frame.data_ref().unwrap());
    }
    let rest = String::from_utf8(rest).unwrap();
    assert!(!rest.contains(r#"{"end":true"#), "it looks complete");
}
