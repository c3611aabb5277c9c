//! `movie-service search-eval`: measures the search of a catalogue by a set of queries, beside PostgreSQL's trigrams
//! and full-text search as a yardstick.

use std::{fmt::Write as _, path::PathBuf, time::Instant};

use anyhow::Context;
use chassis::shutdown::Shutdown;
use search::{
    Effort, Kind, Request, SearchIndex,
    eval::{Case, DEPTH, Evaluation, parse, rank},
};
use sqlx::PgPool;

use crate::{config::Config, database, repository::yardstick, service::search::build};

/// Measures the search of the catalogue by a set of queries.
///
/// Prints success at 1 and 5 and the mean reciprocal rank by group, beside PostgreSQL's pg_trgm and full-text search.
/// The database is DATABASE_URL; nothing is changed in it.
#[derive(Debug, PartialEq, clap::Args)]
pub struct EvaluateArgs {
    /// The set: lines of a query, the ids of the movies that it means, separated by commas, and a group, separated by
    /// tabs. Lines without an id must find nothing.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print each query whose first result is not right.
    #[arg(long)]
    failures: bool,
}

/// Runs the command and returns its tables.
///
/// # Errors
/// Fails if the file or the database cannot be read.
pub async fn run(arguments: EvaluateArgs, config: &Config) -> anyhow::Result<String> {
    let name = arguments.file.display().to_string();
    let text = std::fs::read_to_string(&arguments.file).with_context(|| name.clone())?;
    let cases = parse(&text).with_context(|| name.clone())?;
    let pool = database::open(config, &Shutdown::default()).await?;
    let index = SearchIndex::in_memory()?;
    let started = Instant::now();
    build::build(&pool, &index, "").await?;
    let mut out = String::new();
    let snapshot = index.snapshot();
    writeln!(
        out,
        "{name}: {} queries, {} documents indexed in {:.1?}",
        cases.len(),
        index.count(),
        started.elapsed()
    )?;
    let (mut ours, mut failures) = (Evaluation::default(), String::new());
    let mut times = Vec::with_capacity(cases.len());
    for case in &cases {
        let request = Request {
            query: &case.query,
            kind: Kind::Movie,
            limit: DEPTH,
            after: None,
            accept: None,
            facets: false,
            effort: Effort::default(),
        };
        let started = Instant::now();
        let results = snapshot.search(&request)?;
        times.push(started.elapsed());
        let ids: Vec<i64> = results.hits.iter().map(|hit| hit.id).collect();
        ours.add(case, &ids);
        if rank(case, &ids) != Some(1) {
            let found = results
                .hits
                .iter()
                .take(3)
                .map(|hit| format!("{} {}", hit.id, hit.names[0].text));
            let found = found.collect::<Vec<_>>().join(" · ");
            writeln!(
                failures,
                "{}\t{}\t{:?}\t{found}",
                case.group, case.query, case.expected
            )?;
        }
    }
    times.sort_unstable();
    let at = |share: usize| {
        times
            .get(times.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    let yardstick = measure_yardstick(&pool, &cases).await;
    print(&mut out, &ours, yardstick.as_ref().ok())?;
    if let Err(error) = yardstick {
        writeln!(out, "without a yardstick: {error:#}")?;
    }
    writeln!(out, "latency: p50 {:.2?}, p99 {:.2?}", at(50), at(99))?;
    if arguments.failures {
        writeln!(out, "\ngroup\tquery\texpected\tfound\n{failures}")?;
    }
    Ok(out)
}

async fn measure_yardstick(pool: &PgPool, cases: &[Case]) -> anyhow::Result<Evaluation> {
    // Rolled back at the end: the extension may not have been there.
    let mut connection = pool.begin().await?;
    yardstick::create(&mut connection)
        .await
        .context("pg_trgm cannot be used")?;
    let mut evaluation = Evaluation::default();
    for case in cases {
        let ids = yardstick::find(&mut connection, &case.query, 10).await?;
        evaluation.add(case, &ids);
    }
    Ok(evaluation)
}

/// Prints both evaluations as one table.
fn print(out: &mut String, ours: &Evaluation, yardstick: Option<&Evaluation>) -> std::fmt::Result {
    let other = if yardstick.is_some() {
        "    pg_trgm + full text"
    } else {
        ""
    };
    writeln!(
        out,
        "\n{:<16}{:>8}  {:>7}{:>7}{:>7}{other}",
        "group", "queries", "S@1", "S@5", "MRR"
    )?;
    let groups = ours
        .groups
        .iter()
        .map(|(name, measures)| (name.as_str(), measures));
    for (name, measures) in groups.chain([("all", &ours.all)]) {
        write!(
            out,
            "{name:<16}{:>8}  {:>7.3}{:>7.3}{:>7.3}",
            measures.queries,
            measures.success_at_1(),
            measures.success_at_5(),
            measures.mean_reciprocal_rank()
        )?;
        let theirs =
            yardstick.map(|yardstick| yardstick.groups.get(name).unwrap_or(&yardstick.all));
        match theirs {
            Some(theirs) => writeln!(
                out,
                "  {:>7.3}{:>7.3}{:>7.3}",
                theirs.success_at_1(),
                theirs.success_at_5(),
                theirs.mean_reciprocal_rank()
            )?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}
