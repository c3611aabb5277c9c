//! A database of one test, dropped at its end, and the programs of PostgreSQL.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;

/// A database on the server at `DATABASE_URL`, or on another one.
pub(crate) struct Database {
    server: Url,
    name: String,
}

impl Database {
    /// Creates a database whose name contains `what`, on `server` if that is given.
    pub(crate) async fn create(what: &str, server: Option<Url>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = server.unwrap_or_else(|| {
            let url = std::env::var("DATABASE_URL")
                .expect("DATABASE_URL of a server to test on; scripts/test.sh makes one");
            url.parse().expect("DATABASE_URL is a URL")
        });
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let database = Self {
            server,
            name: format!("platform_{}_{number}_{what}", std::process::id()),
        };
        let statement = format!("create database {}", database.name);
        on_server(&database.server, statement).await;
        database
    }

    /// The URL; over the address `near`, if that is given.
    pub(crate) fn url(&self, near: Option<SocketAddr>) -> String {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        if let Some(near) = near {
            url.set_ip_host(near.ip()).unwrap();
            url.set_port(Some(near.port())).unwrap();
        }
        url.into()
    }

    /// The address of the server.
    pub(crate) async fn address(&self) -> SocketAddr {
        let host = self.server.host_str().unwrap().to_owned();
        let port = self.server.port().unwrap_or(5432);
        let mut found = tokio::net::lookup_host((host, port)).await.unwrap();
        found.next().unwrap()
    }

    /// The number that `statement` returns.
    pub(crate) async fn count(&self, statement: &'static str) -> i64 {
        let mut connection = self.connect().await;
        let count = sqlx::query_scalar(statement).fetch_one(&mut connection);
        let count = count.await.unwrap();
        connection.close().await.unwrap();
        count
    }

    /// The number that `statement`, built from trusted numbers, returns.
    pub(crate) async fn count_of(&self, statement: String) -> i64 {
        let mut connection = self.connect().await;
        let count = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut connection);
        let count = count.await.unwrap();
        connection.close().await.unwrap();
        count
    }

    /// Runs `statement`, which returns no rows.
    pub(crate) async fn run(&self, statement: &'static str) {
        let mut connection = self.connect().await;
        let ran = sqlx::query(statement).execute(&mut connection).await;
        ran.unwrap();
        connection.close().await.unwrap();
    }

    /// The number of `ids` without an interaction.
    pub(crate) async fn missing_interactions(&self, ids: &[i64]) -> i64 {
        let mut connection = self.connect().await;
        let missing = sqlx::query_scalar(
            "select count(*) from unnest($1::bigint[]) as known (id)
             left join interaction using (id) where interaction.id is null",
        )
        .bind(ids)
        .fetch_one(&mut connection)
        .await;
        connection.close().await.unwrap();
        missing.unwrap()
    }

    /// All numbers that `statement` returns.
    pub(crate) async fn numbers(&self, statement: &'static str) -> Vec<i64> {
        let mut connection = self.connect().await;
        let numbers = sqlx::query_scalar(statement).fetch_all(&mut connection);
        let numbers = numbers.await.unwrap();
        connection.close().await.unwrap();
        numbers
    }

    /// Rows of every table, by its name.
    pub(crate) async fn rows(&self) -> Vec<(String, i64)> {
        let mut connection = self.connect().await;
        let tables: Vec<String> = sqlx::query_scalar(
            "select tablename::text from pg_tables where schemaname = 'public' order by tablename",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        let mut rows = Vec::new();
        for table in tables {
            let statement = AssertSqlSafe(format!("select count(*) from {table}"));
            let count = sqlx::query_scalar(statement).fetch_one(&mut connection);
            rows.push((table, count.await.unwrap()));
        }
        connection.close().await.unwrap();
        rows
    }

    async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url(None)).await.unwrap()
    }
}

async fn on_server(server: &Url, statement: String) {
    let mut connection = PgConnection::connect(server.as_str())
        .await
        .expect("the server at DATABASE_URL");
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

impl Drop for Database {
    fn drop(&mut self) {
        let server = self.server.clone();
        let statement = format!("drop database {} with (force)", self.name);
        // A runtime of its own, since the test's may have ended.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(on_server(&server, statement));
        });
        let _ = dropping.join();
    }
}

/// The setting `name`, which scripts/test.sh makes.
pub(crate) fn of_test_script(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name}: run this by scripts/test.sh"))
}

/// The user that runs PostgreSQL, which refuses to run as root; empty if the tests do not run as root.
pub(crate) fn postgres_user() -> String {
    of_test_script("PG_OS_USER")
}

/// Runs a program of PostgreSQL as [`postgres_user`].
///
/// # Panics
/// If it fails.
pub(crate) fn run_postgres(program: &str, arguments: &[&str]) {
    let program = format!("{}/{program}", of_test_script("PG_BIN"));
    let user = postgres_user();
    let mut command = match user.as_str() {
        "" => Command::new(&program),
        user => {
            let mut command = Command::new("runuser");
            command.args(["-u", user, "--", &program]);
            command
        }
    };
    let ran = command
        .args(arguments)
        .current_dir("/")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(ran.unwrap().success(), "{program} {arguments:?}");
}
