//! The search at a million movies: the time and the size of a build, the latency of a mix of queries and of the most
//! expensive ones, the quality of the results, and PostgreSQL's trigrams and full text beside it.
//!
//! `cargo bench -p search --bench million -- [--movies N] [--queries N] [--data DIR] [--keep DIR] [--cpu]`
//!
//! The movies are made of the words of public catalogues (MovieLens: Harper and Konstan, The MovieLens datasets, ACM
//! TiiS 5, 2015; TMDB), which are not part of this repository: DIR, or MARQUEE_DATA, is where they are. Without them
//! nothing is measured. With --keep the index stays in a directory, and is not built again. With --cpu latencies are times
//! on the processor, for machines with other work. DATABASE_URL, if set, names a scratch database for the comparison.
#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a benchmark: it is read by people, and stops where it cannot go on"
)]

#[path = "million/documents.rs"]
mod documents;
#[path = "million/movies.rs"]
mod movies;
#[path = "million/queries.rs"]
mod queries;
#[path = "million/vocabulary.rs"]
mod vocabulary;
#[path = "million/yardstick.rs"]
mod yardstick;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{OnceLock, mpsc},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use search::{
    Effort, Kind, Request, SearchIndex, Snapshot,
    eval::{DEPTH, Evaluation, parse},
};

use documents::Documents;
use movies::{Catalogue, Movie};
use queries::{Class, queries, worst};

/// That of movie-service.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEED: u64 = 15;
const WARM_UP: usize = 500;
/// Results of a page, and suggestions.
const PAGE: usize = 20;
const SUGGESTIONS: usize = 8;

/// The arguments.
struct Arguments {
    movies: usize,
    queries: usize,
    data: PathBuf,
    keep: Option<PathBuf>,
    clock: Clock,
}

/// The time since some moment.
type Clock = fn() -> Duration;

fn wall_time() -> Duration {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    STARTED.get_or_init(Instant::now).elapsed()
}

/// The time that this thread has had a processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Arguments {
    fn read(root: &Path) -> Self {
        let data = std::env::var("MARQUEE_DATA")
            .map_or_else(|_| root.join("../shared/data"), PathBuf::from);
        let mut arguments = Self {
            movies: 1_000_000,
            queries: 20_000,
            data,
            keep: None,
            clock: wall_time,
        };
        let mut given = std::env::args().skip(1);
        while let Some(name) = given.next() {
            let mut value = || {
                given
                    .next()
                    .unwrap_or_else(|| panic!("{name} needs a value"))
            };
            match name.as_str() {
                "--movies" => arguments.movies = value().parse().expect("--movies is a number"),
                "--queries" => arguments.queries = value().parse().expect("--queries is a number"),
                "--data" => arguments.data = value().into(),
                "--keep" => arguments.keep = Some(value().into()),
                "--cpu" => arguments.clock = processor_time,
                // Cargo's own.
                "--bench" => {}
                _ => panic!("unknown argument {name}"),
            }
        }
        arguments
    }
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let arguments = Arguments::read(&root);
    if !arguments.data.join("ml-25m-catalogue").is_dir() {
        println!(
            "skipped: there are no catalogues in {}",
            arguments.data.display()
        );
        return;
    }
    let started = Instant::now();
    let catalogue = Catalogue::new(
        &arguments.data,
        &root.join("demo-tmdb/data"),
        arguments.movies,
    );
    println!("vocabulary read in {:.1?}", started.elapsed());
    let scratch = std::env::temp_dir().join(format!("search-million-{}", std::process::id()));
    let directory = arguments.keep.as_deref().unwrap_or(&scratch);
    let open = || SearchIndex::open(directory).expect("the directory can be used");
    let index = open();
    let position = format!("{} movies", arguments.movies);
    if index.position().expect("a readable index").as_deref() != Some(&position) {
        build(&catalogue, &index, &position);
    }
    drop(index);
    let started = Instant::now();
    let index = open();
    println!("opened in {:.1?}", started.elapsed());
    print_sizes(directory);
    let snapshot = index.snapshot();
    println!("{} documents, {}", index.count(), memory());
    measure(&snapshot, &catalogue, arguments.queries, arguments.clock);
    println!("{}", memory());
    evaluate(
        &snapshot,
        &root.join("movie-service/search-eval/queries.tsv"),
    );
    if let Ok(url) = std::env::var("DATABASE_URL") {
        compare(&snapshot, &catalogue, &url);
    }
    drop((snapshot, index));
    if arguments.keep.is_none() {
        fs::remove_dir_all(&scratch).expect("the directory can be removed");
    }
}

/// Builds the index as movie-service does, while another thread makes the movies.
fn build(catalogue: &Catalogue, index: &SearchIndex, position: &str) {
    const BATCH: usize = 1_000;
    let started = Instant::now();
    let mut writer = index.writer(2).expect("a writer");
    writer.clear().expect("an empty index");
    let mut making = Duration::ZERO;
    std::thread::scope(|scope| {
        let (sender, batches) = mpsc::sync_channel::<Vec<Movie>>(4);
        let making = &mut making;
        scope.spawn(move || {
            for first in (0..catalogue.count).step_by(BATCH) {
                let started = Instant::now();
                let last = (first + BATCH).min(catalogue.count);
                let batch = (first..last)
                    .map(|number| catalogue.movie(number))
                    .collect();
                *making += started.elapsed();
                sender.send(batch).expect("the other end is there");
            }
        });
        let mut documents = Documents::new(catalogue);
        for movie in batches.into_iter().flatten() {
            writer
                .add(&documents.movie(&movie))
                .expect("a document is added");
        }
        for document in documents.others() {
            writer.add(&document).expect("a document is added");
        }
    });
    let added = started.elapsed();
    writer.commit(position).expect("a commit");
    let committed = started.elapsed();
    writer.finish().expect("merged segments");
    println!(
        "built in {:.1?} (added after {added:.1?}, committed after {committed:.1?}; movies made in {making:.1?})",
        started.elapsed()
    );
}

/// The size of the index by kind of file, in MiB.
fn print_sizes(directory: &Path) {
    let mut sizes: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("the directory").flatten() {
        let kind = entry.path().extension().map_or_else(
            || "other".to_owned(),
            |kind| kind.to_string_lossy().into_owned(),
        );
        let size = sizes.entry(kind).or_default();
        *size = (
            size.0 + 1,
            size.1 + entry.metadata().map_or(0, |data| data.len()),
        );
    }
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    for (kind, (files, bytes)) in &sizes {
        println!("{kind:<10} {files:>3} files {:>8.1} MiB", mib(*bytes));
    }
    println!(
        "{:<10} {:>18.1} MiB",
        "index",
        mib(sizes.values().map(|size| size.1).sum())
    );
}

/// The resident and peak memory of this process.
fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status.lines().filter(|line| {
        line.starts_with("VmHWM") || line.starts_with("VmRSS") || line.starts_with("RssAnon")
    });
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(", ")
}

fn search(snapshot: &Snapshot, query: &str) {
    let request = Request {
        query,
        kind: Kind::Movie,
        limit: PAGE,
        after: None,
        accept: None,
        facets: true,
        effort: Effort::default(),
    };
    std::hint::black_box(snapshot.search(&request).expect("results"));
}

fn suggest(snapshot: &Snapshot, query: &str) {
    std::hint::black_box(snapshot.suggest(query, SUGGESTIONS).expect("results"));
}

fn time(clock: Clock, run: impl FnOnce()) -> Duration {
    let started = clock();
    run();
    clock() - started
}

/// Measures the mix and the most expensive queries.
fn measure(snapshot: &Snapshot, catalogue: &Catalogue, count: usize, clock: Clock) {
    const SLOWEST: usize = 12;
    for (_, query) in queries(catalogue, WARM_UP, SEED + 1) {
        search(snapshot, &query);
        suggest(snapshot, &query);
    }
    let queries = queries(catalogue, count, SEED);
    for (name, run) in [
        ("search", search as fn(&Snapshot, &str)),
        ("suggest", suggest),
    ] {
        let mut times: Vec<(Duration, Class, &str)> = queries
            .iter()
            .map(|(class, query)| (time(clock, || run(snapshot, query)), *class, query.as_str()))
            .collect();
        println!(
            "\n{name:<14}{:>8}{:>9}{:>9}{:>9}{:>9}  ms",
            "queries", "p50", "p90", "p99", "max"
        );
        print_times("all", times.iter().map(|(time, ..)| *time));
        for (class, _) in queries::CLASSES {
            let of_class = times
                .iter()
                .filter(|(_, other, _)| *other == class)
                .map(|(time, ..)| *time);
            print_times(&format!("{class:?}"), of_class);
        }
        times.sort_unstable();
        for (time, class, query) in times.iter().rev().take(SLOWEST) {
            println!("  {:>8.2} {class:?}: {query}", milliseconds(*time));
        }
    }
    println!(
        "\n{:<52}{:>9}{:>9}  ms",
        "expensive queries (median of 5)", "search", "suggest"
    );
    for query in worst() {
        let median = |run: fn(&Snapshot, &str)| {
            let mut times: Vec<Duration> = (0..5)
                .map(|_| time(clock, || run(snapshot, &query)))
                .collect();
            times.sort_unstable();
            milliseconds(times[2])
        };
        let shown: String = format!("{query:?}").chars().take(50).collect();
        println!("{shown:<52}{:>9.2}{:>9.2}", median(search), median(suggest));
    }
}

/// Measures some of the queries here and in PostgreSQL.
fn compare(snapshot: &Snapshot, catalogue: &Catalogue, url: &str) {
    const QUERIES: usize = 200;
    let queries = queries(catalogue, QUERIES, SEED + 2);
    let queries: Vec<&str> = queries.iter().map(|(_, query)| query.as_str()).collect();
    let Some(theirs) = yardstick::times(url, catalogue, &queries, PAGE) else {
        println!("PostgreSQL or pg_trgm cannot be used: nothing is compared");
        return;
    };
    let ours = queries
        .iter()
        .map(|query| time(wall_time, || search(snapshot, query)));
    println!(
        "\n{:<14}{:>8}{:>9}{:>9}{:>9}{:>9}  ms",
        "search", "queries", "p50", "p90", "p99", "max"
    );
    print_times("this index", ours);
    print_times(
        "PostgreSQL",
        theirs
            .iter()
            .map(|time| Duration::from_secs_f64(time / 1e3)),
    );
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn print_times(name: &str, times: impl Iterator<Item = Duration>) {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    let at = |share: usize| {
        times
            .get((times.len() * share / 100).min(times.len().max(1) - 1))
            .copied()
            .map_or(0.0, milliseconds)
    };
    println!(
        "{name:<14}{:>8}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
        times.len(),
        at(50),
        at(90),
        at(99),
        at(100)
    );
}

/// The quality of results by a set of queries for the movies of the demo catalogue.
fn evaluate(snapshot: &Snapshot, path: &Path) {
    let Ok(text) = fs::read_to_string(path) else {
        println!("\nthere is no set of queries at {}", path.display());
        return;
    };
    let mut evaluation = Evaluation::default();
    for case in parse(&text).expect("a set of queries") {
        let request = Request {
            query: &case.query,
            kind: Kind::Movie,
            limit: DEPTH,
            after: None,
            accept: None,
            facets: false,
            effort: Effort::default(),
        };
        let results = snapshot.search(&request).expect("results");
        let ids: Vec<i64> = results.hits.iter().map(|hit| hit.id).collect();
        evaluation.add(&case, &ids);
    }
    println!(
        "\n{:<16}{:>8}{:>9}{:>7}{:>7}",
        "group", "queries", "S@1", "S@5", "MRR"
    );
    let groups = evaluation
        .groups
        .iter()
        .map(|(name, measures)| (name.as_str(), measures));
    for (name, measures) in groups.chain([("all", &evaluation.all)]) {
        println!(
            "{name:<16}{:>8}{:>9.3}{:>7.3}{:>7.3}",
            measures.queries,
            measures.success_at_1(),
            measures.success_at_5(),
            measures.mean_reciprocal_rank()
        );
    }
}
