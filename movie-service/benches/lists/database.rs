//! Whole requests: the router, the list index loaded from Postgres, and Postgres.

use std::{collections::HashMap, time::Instant};

use axum::Router;
use chassis::{Process, Settings, testing::get};
use movie_service::database::MIGRATOR;

/// The statement of a page.
const PAGE: &str = include_str!("../../src/repository/listing/page.sql");
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgPool, postgres::PgConnectOptions};

use super::{ORDERS, QUERIES, REPEATS, SORTS, Times, catalogue, head, line};

/// Measures on a scratch database at `url` and drops it.
pub(crate) async fn whole_requests(url: &str, films: i64) {
    let options: PgConnectOptions = url.parse().unwrap();
    let scratch = format!("lists_bench_{}", std::process::id());
    let mut server = options.connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("create database {scratch}")))
        .execute(&mut server)
        .await
        .unwrap();
    let pool = PgPool::connect_with(options.database(&scratch))
        .await
        .unwrap();
    fill(&pool, films).await;
    let process = process();
    let started = Instant::now();
    let (routes, health) = movie_service::app::assemble(&process, pool.clone()).unwrap();
    let app = process.application(routes, health, &movie_service::handler::openapi());
    eventually_loaded(&app).await;
    println!(
        "list index loaded from Postgres in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load of the machine, this included: {}", load.trim());
    head("whole requests, page of 20, over all orders; time on the wall");
    table(&app).await;
    let writer = tokio::spawn(change(pool.clone(), films));
    head("whole requests while 200 films a second change");
    table(&app).await;
    writer.abort();
    explain(&pool).await;
    process.shutdown.start();
    process
        .shutdown
        .drain(std::time::Duration::from_secs(5))
        .await;
    pool.close().await;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "drop database {scratch} with (force)"
    )))
    .execute(&mut server)
    .await
    .unwrap();
    server.close().await.unwrap();
}

fn process() -> Process {
    let environment = HashMap::from([
        ("TMDB_API_KEY".to_owned(), String::new()),
        ("REDIS_URL".to_owned(), "redis://127.0.0.1:1/0".to_owned()),
    ]);
    let settings = Settings::merge(movie_service::config::DEFAULTS, &environment).unwrap();
    Process::new(movie_service::NAME, settings).unwrap()
}

async fn eventually_loaded(app: &Router) {
    while get(app, "/health/ready").await.status != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Stores the synthetic catalogue in Postgres.
async fn fill(pool: &PgPool, films: i64) {
    let started = Instant::now();
    MIGRATOR.run(pool).await.unwrap();
    for (id, name) in catalogue::GENRES {
        sqlx::query("insert into genre (id, name) values ($1, $2)")
            .bind(id)
            .bind(name)
            .execute(pool)
            .await
            .unwrap();
    }
    let mut connection = pool.acquire().await.unwrap();
    let mut copy = connection
        .copy_in_raw(
            "copy movie (id, title, original_title, original_language, overview, release_date, runtime,
                 popularity, vote_average, vote_count, adult, genre_ids, countries, keywords, people,
                 providers, titles, document, source_hash) from stdin",
        )
        .await
        .unwrap();
    let mut text = String::new();
    for id in 1..=films {
        row(&mut text, &catalogue::film(id));
        if text.len() > 1 << 20 || id == films {
            copy.send(text.as_bytes()).await.unwrap();
            text.clear();
        }
    }
    copy.finish().await.unwrap();
    drop(connection);
    sqlx::raw_sql("vacuum analyze movie")
        .execute(pool)
        .await
        .unwrap();
    println!(
        "\n{films} films put into Postgres in {:.0} s",
        started.elapsed().as_secs_f64()
    );
}

fn row(text: &mut String, film: &catalogue::Film) {
    use std::fmt::Write;
    let named = |list: &[(i64, String)]| -> Value {
        list.iter()
            .map(|(id, name)| json!({"id": id, "name": name, "job": "Actor"}))
            .collect()
    };
    let providers: Value = film
        .providers
        .iter()
        .map(|(region, id, name)| {
            json!({"region": region, "type": "flatrate", "provider_id": id, "provider_name": name,
                   "logo_path": "/logo.jpg", "display_priority": id,
                   "link": "https://www.themoviedb.org/movie/603/watch"})
        })
        .collect();
    let or_null = |value: Option<String>| value.unwrap_or_else(|| "\\N".to_owned());
    let genres: Vec<String> = film.genre_ids.iter().map(i32::to_string).collect();
    writeln!(
        text,
        "{}\t{title}\t{title}\t{}\tAbout it.\t{}\t{}\t{}\t{}\t{}\tf\t{{{}}}\t{{{}}}\t{}\t{}\t{providers}\t[]\t{{}}\tx",
        film.id,
        film.language,
        or_null(film.release_date.map(|date| date.to_string())),
        or_null(film.runtime.map(|minutes| minutes.to_string())),
        film.popularity,
        film.vote_average,
        film.vote_count,
        genres.join(","),
        film.countries.join(","),
        named(&film.keywords),
        named(&film.people),
        title = film.title,
    )
    .unwrap();
}

/// Changes 200 movies a second, as a refresh does.
async fn change(pool: PgPool, films: i64) {
    let mut next = 0;
    loop {
        let ids: Vec<i64> = (0..20)
            .map(|step| (next + step) * 7919 % films + 1)
            .collect();
        next += 20;
        sqlx::query(
            "with changed as (update movie set popularity = popularity * 1.01, version = version + 1
                              where id = any ($1) returning id, version)
             insert into outbox (name, key, payload)
             select 'movie.synced', id::text, json_build_object('id', id, 'version', version) from changed",
        )
        .bind(ids)
        .execute(&pool)
        .await
        .unwrap();
        sqlx::query("select pg_notify('outbox', '')")
            .execute(&pool)
            .await
            .unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

async fn page(app: &Router, times: &mut Times, path: &str) -> Value {
    let started = Instant::now();
    let answer = get(app, path).await;
    times.0.push(started.elapsed());
    answer.expect(200)
}

async fn table(app: &Router) {
    for (name, query) in QUERIES {
        let mut times = [Times::default(), Times::default(), Times::default()];
        let mut count = 0;
        for repeat in 0..REPEATS {
            let (_, sort_by) = SORTS[repeat % 3];
            let (_, order) = ORDERS[repeat / 3 % 2];
            let path =
                format!("/api/v1/movies?{query}&sort_by={sort_by}&order={order}&page_size=20");
            let path = path.replace("?&", "?");
            let first = page(app, &mut times[0], &path).await;
            count = first["total_results"].as_u64().unwrap() as usize;
            let pages = first["total_pages"].as_i64().unwrap();
            let middle = (pages / 2).clamp(1, 100_000);
            page(app, &mut times[1], &format!("{path}&page={middle}")).await;
            let last = pages.saturating_sub(1).clamp(1, 100_000);
            let body = get(app, &format!("{path}&page={last}")).await.expect(200);
            let last = match body["next_cursor"].as_str() {
                Some(cursor) => format!("{path}&cursor={cursor}"),
                None => path,
            };
            page(app, &mut times[2], &last).await;
        }
        line(name, count, &times);
    }
}

async fn explain(pool: &PgPool) {
    let ids: Vec<i64> = (1..=20).map(|step| step * 4999).collect();
    let plan: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(format!("explain (analyze, buffers) {PAGE}")))
            .bind(ids)
            .bind(false)
            .bind(false)
            .bind(false)
            .bind(false)
            .bind(false)
            .fetch_all(pool)
            .await
            .unwrap();
    println!(
        "\nhow Postgres reads the films of a page:\n{}",
        plan.join("\n")
    );
}
