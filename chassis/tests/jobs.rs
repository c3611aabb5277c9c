//! The job engine on a table with no columns but those of `migrations/job.sql`.
#![allow(clippy::unwrap_used, reason = "a failed step of a test should panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chassis::{
    jobs::{JobMetrics, JobSettings, Jobs, LeasedJob, Stop, Work},
    shutdown::Shutdown,
};
use sqlx::PgPool;
use uuid::Uuid;

/// Work that is counted when it starts and when it is dropped.
#[derive(Clone, Default)]
struct Counted {
    started: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
    behavior: Behavior,
}

#[derive(Clone, Default)]
enum Behavior {
    #[default]
    Succeed,
    Hang,
    Unavailable,
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Work for Counted {
    const METRICS: JobMetrics = JobMetrics {
        ended_total: "ended",
        running: "running",
        released_total: "released",
        by_kind: true,
    };

    async fn run(&self, _: &LeasedJob) -> Result<(), Stop> {
        self.started.fetch_add(1, Ordering::SeqCst);
        let _dropped = CountDrop(Arc::clone(&self.dropped));
        match &self.behavior {
            Behavior::Succeed => tokio::time::sleep(Duration::from_millis(20)).await,
            Behavior::Hang => std::future::pending().await,
            Behavior::Unavailable => return Err(Stop::Unavailable("it is down".to_owned())),
        }
        Ok(())
    }
}

impl Counted {
    fn new(behavior: Behavior) -> Self {
        Self {
            behavior,
            ..Self::default()
        }
    }

    fn start(&self, pool: &PgPool, shutdown: &Shutdown, limit: Option<Duration>) -> Jobs<Self> {
        let settings = JobSettings {
            lease: Duration::from_secs(1),
            poll_interval: Duration::from_millis(50),
            pause_limit: limit,
            retention_days: 30,
        };
        Jobs::start(pool.clone(), self.clone(), settings, shutdown)
    }
}

async fn create_table(pool: &PgPool) {
    sqlx::raw_sql(include_str!("../migrations/job.sql"))
        .execute(pool)
        .await
        .unwrap();
}

async fn create_job(pool: &PgPool) -> Uuid {
    sqlx::query_scalar("insert into job (id, kind) values (gen_random_uuid(), 'test') returning id")
        .fetch_one(pool)
        .await
        .unwrap()
}

/// Waits until `condition` holds for all jobs.
async fn all(pool: &PgPool, condition: &str) {
    let query = format!("select coalesce(bool_and({condition}), false) from job");
    for _ in 0..500 {
        let holds: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(query.as_str()))
            .fetch_one(pool)
            .await
            .unwrap();
        if holds {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not all jobs: {condition}");
}

#[sqlx::test(migrations = false)]
async fn two_replicas_work_on_each_job_once(pool: PgPool) {
    create_table(&pool).await;
    for _ in 0..20 {
        create_job(&pool).await;
    }
    let (work, shutdown) = (Counted::default(), Shutdown::default());
    let _replicas = [(); 2].map(|()| work.start(&pool, &shutdown, None));
    all(&pool, "status = 'succeeded' and worker is null").await;
    assert_eq!(work.started.load(Ordering::SeqCst), 20);
}

#[sqlx::test(migrations = false)]
async fn a_shutdown_stops_the_work_and_releases_the_job_at_once(pool: PgPool) {
    create_table(&pool).await;
    create_job(&pool).await;
    let (work, shutdown) = (Counted::new(Behavior::Hang), Shutdown::default());
    let _jobs = work.start(&pool, &shutdown, None);
    all(&pool, "status = 'running'").await;
    shutdown.start();
    assert!(shutdown.drain(Duration::from_secs(5)).await);
    assert_eq!(work.dropped.load(Ordering::SeqCst), 1);
    all(&pool, "status = 'pending' and lease_until <= now()").await;
}

#[sqlx::test(migrations = false)]
async fn a_job_whose_lease_expired_is_taken_over(pool: PgPool) {
    create_table(&pool).await;
    create_job(&pool).await;
    sqlx::query("update job set status = 'running', worker = gen_random_uuid(), lease_until = now() + interval '300 ms'")
        .execute(&pool)
        .await
        .unwrap();
    let (work, shutdown) = (Counted::default(), Shutdown::default());
    let _jobs = work.start(&pool, &shutdown, None);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(work.started.load(Ordering::SeqCst), 0, "the lease is held");
    all(&pool, "status = 'succeeded'").await;
}

#[sqlx::test(migrations = false)]
async fn a_worker_that_lost_its_lease_stops_and_changes_nothing(pool: PgPool) {
    create_table(&pool).await;
    create_job(&pool).await;
    let (work, shutdown) = (Counted::new(Behavior::Hang), Shutdown::default());
    let _jobs = work.start(&pool, &shutdown, None);
    all(&pool, "status = 'running'").await;
    let other = Uuid::new_v4();
    sqlx::query("update job set worker = $1, lease_until = now() + interval '1 hour'")
        .bind(other)
        .execute(&pool)
        .await
        .unwrap();
    while work.dropped.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shutdown.start();
    shutdown.drain(Duration::from_secs(5)).await;
    all(&pool, &format!("status = 'running' and worker = '{other}'")).await;
}

#[sqlx::test(migrations = false)]
async fn a_cancelled_job_stops_and_can_be_retried(pool: PgPool) {
    create_table(&pool).await;
    let id = create_job(&pool).await;
    let (work, shutdown) = (Counted::new(Behavior::Hang), Shutdown::default());
    let jobs = work.start(&pool, &shutdown, None);
    all(&pool, "status = 'running'").await;
    assert!(!jobs.retry(id).await.unwrap(), "it has not ended");
    assert!(jobs.cancel(id).await.unwrap());
    assert!(!jobs.cancel(id).await.unwrap(), "it has ended");
    while work.dropped.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    all(&pool, "status = 'cancelled'").await;
    assert!(jobs.retry(id).await.unwrap());
    all(&pool, "status = 'running'").await;
}

#[sqlx::test(migrations = false)]
async fn a_job_that_cannot_continue_pauses_and_fails_after_the_limit(pool: PgPool) {
    create_table(&pool).await;
    create_job(&pool).await;
    let work = Counted::new(Behavior::Unavailable);
    let patient = Shutdown::default();
    let _jobs = work.start(&pool, &patient, Some(Duration::from_secs(3600)));
    all(&pool, "status = 'pending' and lease_until > now()").await;
    patient.start();
    patient.drain(Duration::from_secs(5)).await;
    sqlx::query("update job set lease_until = now()")
        .execute(&pool)
        .await
        .unwrap();
    let _jobs = work.start(&pool, &Shutdown::default(), Some(Duration::ZERO));
    all(&pool, "status = 'failed'").await;
}
