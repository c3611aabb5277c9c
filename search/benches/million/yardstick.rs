//! The same titles in PostgreSQL with trigrams (`pg_trgm`) and full text, as one would search them without an index of
//! one's own. Driven through `psql`, so that the library needs no client of PostgreSQL.

use std::{
    io::{BufWriter, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::movies::Catalogue;

/// A query that takes longer counts as this long.
const TIMEOUT: Duration = Duration::from_secs(10);

const LOAD: &str = "set client_min_messages = error;
    create extension if not exists pg_trgm;
    drop table if exists search_yardstick_raw, search_yardstick;
    create unlogged table search_yardstick_raw (id bigint, popularity float8, title text, names text, others text);
    copy search_yardstick_raw from stdin;
";
const INDEX: &str = "\\.
    set maintenance_work_mem = '1GB';
    create unlogged table search_yardstick as
        select id, popularity, title, names, to_tsvector('simple', names || ' ' || others) as words
        from search_yardstick_raw;
    drop table search_yardstick_raw;
    create index on search_yardstick using gin (names gin_trgm_ops);
    create index on search_yardstick using gin (words);
    vacuum analyze search_yardstick;
";

/// Loads the titles unless they are there, and returns the time of each query in milliseconds, without that of the
/// connection; `None` if PostgreSQL cannot be used.
pub(crate) fn times(
    url: &str,
    catalogue: &Catalogue,
    queries: &[&str],
    limit: usize,
) -> Option<Vec<f64>> {
    let count = run(url, |psql| {
        writeln!(psql, "select 'rows', count(*) from search_yardstick;")
    })?;
    if count.trim() != format!("rows|{}", catalogue.count) {
        let started = Instant::now();
        run(url, |psql| load(psql, catalogue))?;
        println!("\nloaded into PostgreSQL in {:.1?}", started.elapsed());
    }
    let size = run(url, |psql| {
        writeln!(
            psql,
            "select pg_size_pretty(pg_total_relation_size('search_yardstick'));"
        )
    })?;
    println!("PostgreSQL's table with its indexes: {}", size.trim());
    let plans = run(url, |psql| {
        writeln!(psql, "set statement_timeout = {};", TIMEOUT.as_millis())?;
        // The first ones warm the caches up.
        for query in queries.iter().take(20).chain(queries) {
            let query = query.replace('\'', "''").replace('\\', "");
            writeln!(
                psql,
                "\\echo query\nexplain (analyze, timing off, format json) select id from search_yardstick
                 where words @@ plainto_tsquery('simple', '{query}') or names %> '{query}' or title % '{query}'
                 order by greatest(similarity(title, '{query}'), word_similarity('{query}', names))
                     + ts_rank(words, plainto_tsquery('simple', '{query}')) desc, popularity desc, id
                 limit {limit};"
            )?;
        }
        Ok(())
    })?;
    let time = |plan: &str| {
        let part = |name: &str| {
            plan.split_once(name)?
                .1
                .trim_start_matches("\": ")
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        };
        let sum = part("Planning Time")
            .zip(part("Execution Time"))
            .map(|(planning, execution): (f64, f64)| planning + execution);
        sum.unwrap_or(TIMEOUT.as_secs_f64() * 1e3)
    };
    Some(plans.split("query\n").skip(21).map(time).collect())
}

fn load(psql: &mut dyn Write, catalogue: &Catalogue) -> std::io::Result<()> {
    psql.write_all(LOAD.as_bytes())?;
    let clean = |text: &str| text.replace(['\t', '\n', '\r', '\\'], " ");
    for number in 0..catalogue.count {
        let movie = catalogue.movie(number);
        let own = [&movie.title, &movie.original_title]
            .map(String::as_str)
            .into_iter();
        let names: Vec<&str> = own
            .chain(movie.others.iter().map(|(title, _)| title.as_str()))
            .collect();
        let others: Vec<String> = catalogue.texts_of(&movie).collect();
        let (title, names, others) = (
            clean(&movie.title),
            clean(&names.join(" | ")),
            clean(&others.join(" ")),
        );
        writeln!(
            psql,
            "{}\t{}\t{title}\t{names}\t{others}",
            movie.id, movie.popularity
        )?;
    }
    psql.write_all(INDEX.as_bytes())
}

/// Runs what is written to `psql`, and returns what it prints.
fn run(
    url: &str,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()> + Send,
) -> Option<String> {
    let mut psql = Command::new("psql")
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut input = BufWriter::new(psql.stdin.take()?);
    let output = std::thread::scope(|scope| {
        let writing = scope.spawn(move || write(&mut input).and_then(|()| input.flush()));
        let output = psql.wait_with_output();
        writing.join().ok()?.ok()?;
        output.ok()
    })?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
