//! Latency of lists over a million movies: every filter and order, the first page, the middle page by number and the last
//! by cursor. First the list index alone; then, if DATABASE_URL names a server for a scratch database, whole requests
//! through the router and Postgres, at rest and while movies change.
//!
//! `cargo bench -p movie-service --bench lists`; LISTS_FILMS sets the number of movies.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark that cannot go on should say where, and it is read by people"
)]

#[path = "lists/catalogue.rs"]
mod catalogue;
#[path = "lists/database.rs"]
mod database;

use std::time::{Duration, Instant};

use movie_service::{
    models::{Filter, FilterParams, Genre, Order, SortBy},
    service::listing::{
        index::Index,
        query::{Slice, Start, WalkPlace},
    },
};

/// Repetitions of each query.
const REPEATS: usize = 100;

/// The measured queries, by name.
const QUERIES: &[(&str, &str)] = &[
    ("no filter", ""),
    ("genre", "genres=Drama"),
    ("genre and (genre or genre)", "genres=Drama,Comedy|Crime"),
    ("without genre", "without_genres=Drama,Comedy"),
    ("frequent keyword", "keywords=keyword%200"),
    ("rare keyword", "keywords=45000"),
    (
        "50 keywords or'ed",
        "keywords=0|1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17|18|19|20|21|22|23|24|25|26|27|28|29|30|31|32|33|34|35|36|37|38|39|40|41|42|43|44|45|46|47|48|49",
    ),
    ("busy person", "people=1"),
    ("person by name", "people=Person%20200000"),
    ("frequent language", "language=en"),
    ("rare language", "language=bi"),
    ("country", "country=KR"),
    ("year", "year=1999"),
    ("old films", "release_date_to=1930-12-31"),
    ("runtime", "runtime_min=90&runtime_max=120"),
    ("vote average", "vote_average_min=8"),
    ("vote count", "vote_count_min=1000"),
    ("provider", "providers=8&region=KR"),
    ("providers or'ed", "providers=8|9|10&region=KR"),
    ("nothing found", "keywords=45000&vote_count_min=2000000000"),
    (
        "all at once",
        "genres=Drama|Comedy&without_genres=Horror&language=en|ko&runtime_min=80&vote_average_min=5&release_date_from=1990-01-01&providers=8|9&region=KR",
    ),
];
const SORTS: [(SortBy, &str); 3] = [
    (SortBy::Popularity, "popularity"),
    (SortBy::Title, "title"),
    (SortBy::ReleaseDate, "release_date"),
];
const ORDERS: [(Order, &str); 2] = [(Order::Asc, "asc"), (Order::Desc, "desc")];

/// The durations of one query.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        self.0.push(started.elapsed());
        result
    }

    /// The quantile `part`, in milliseconds.
    fn within(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let place = (sorted.len() as f64 * part) as usize;
        sorted[place.min(sorted.len() - 1)].as_secs_f64() * 1000.0
    }
}

fn head(title: &str) {
    println!("\n{title}");
    println!(
        "{:<28} {:>9}  {:>17}  {:>17}  {:>17}",
        "", "films", "first page", "middle page=", "deepest cursor"
    );
    println!(
        "{:<28} {:>9}  {:>8} {:>8}  {:>8} {:>8}  {:>8} {:>8}",
        "", "", "p50 ms", "p99 ms", "p50 ms", "p99 ms", "p50 ms", "p99 ms"
    );
}

fn line(name: &str, count: usize, times: &[Times; 3]) {
    print!("{name:<28} {count:>9}");
    for times in times {
        print!("  {:>8.3} {:>8.3}", times.within(0.5), times.within(0.99));
    }
    println!();
}

fn filter(query: &str) -> Filter {
    let mut params = FilterParams::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap();
        let value = Some(value.replace("%20", " "));
        match name {
            "genres" => params.genres = value,
            "without_genres" => params.without_genres = value,
            "keywords" => params.keywords = value,
            "people" => params.people = value,
            "language" => params.language = value,
            "country" => params.country = value,
            "year" => params.year = value,
            "release_date_from" => params.release_date_from = value,
            "release_date_to" => params.release_date_to = value,
            "runtime_min" => params.runtime_min = value,
            "runtime_max" => params.runtime_max = value,
            "vote_average_min" => params.vote_average_min = value,
            "vote_count_min" => params.vote_count_min = value,
            "providers" => params.providers = value,
            "region" => params.region = value,
            _ => panic!("{name}"),
        }
    }
    let mut errors = Vec::new();
    let filter = Filter::parse(&params, &mut errors);
    assert!(errors.is_empty(), "{errors:?}");
    filter
}

fn main() {
    let films: i64 = std::env::var("LISTS_FILMS")
        .ok()
        .and_then(|films| films.parse().ok())
        .unwrap_or(1_000_000);
    index_alone(films);
    match std::env::var("DATABASE_URL") {
        Ok(url) => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(database::whole_requests(&url, films)),
        Err(_) => println!("\nDATABASE_URL is not set: whole requests are not measured"),
    }
}

fn index_alone(films: i64) {
    let before = resident_bytes();
    let mut index = Index::default();
    index.set_genres(genres());
    let mut loading = Duration::ZERO;
    for first in (1..=films).step_by(10_000) {
        let batch: Vec<catalogue::Film> = (first..(first + 10_000).min(films + 1))
            .map(catalogue::film)
            .collect();
        let started = processor_time();
        for film in &batch {
            index.load(&film.facts());
        }
        loading += processor_time().saturating_sub(started);
    }
    let started = processor_time();
    index.sort();
    let sorting = processor_time().saturating_sub(started);
    let [postings, names, rest] = index.bytes();
    let per_film = |bytes: usize| bytes as f64 / films as f64;
    println!(
        "list index of {films} films: loaded in {:.1} s, sorted in {:.1} s of processor time",
        loading.as_secs_f64(),
        sorting.as_secs_f64()
    );
    println!(
        "bytes a film: {:.0} columns and orders, {:.0} posting lists, {:.0} names and numbers; resident in all {:.0}",
        per_film(rest),
        per_film(postings),
        per_film(names),
        (resident_bytes() - before) as f64 / films as f64
    );
    updates(&mut index, films);
    head("list index alone, page of 20, over all orders");
    for (name, query) in QUERIES {
        let filter = filter(query);
        let mut times = [Times::default(), Times::default(), Times::default()];
        let mut count = 0;
        for repeat in 0..REPEATS {
            let (sort_by, _) = SORTS[repeat % 3];
            let (order, _) = ORDERS[repeat / 3 % 2];
            let page = |start: &Start| -> (usize, Slice) {
                let selection = index.select(&filter);
                (
                    selection.count(),
                    selection.slice(sort_by, order, start, 20),
                )
            };
            count = times[0].measure(|| page(&Start::Offset(0))).0;
            // The middle is farthest from both ends.
            times[1].measure(|| page(&Start::Offset(count / 2)));
            let (_, slice) = page(&Start::Offset(count.saturating_sub(21)));
            let start = match slice.positions.first() {
                Some(position) => Start::After(WalkPlace {
                    position: position.clone(),
                    since: index.now(),
                }),
                None => Start::Offset(0),
            };
            times[2].measure(|| page(&start));
        }
        line(name, count, &times);
    }
}

/// Measures a change that moves a movie in every order and changes all its filtered properties.
fn updates(index: &mut Index, films: i64) {
    let mut times = Times::default();
    for change in 0..2000 {
        let mut film = catalogue::film(films + change + 1);
        film.id = change * 379 % films + 1;
        film.version = 2;
        times.measure(|| index.upsert(&film.facts()));
    }
    println!(
        "a change: p50 {:.3} ms, p99 {:.3} ms",
        times.within(0.5),
        times.within(0.99)
    );
}

fn genres() -> Vec<Genre> {
    catalogue::GENRES
        .iter()
        .map(|(id, name)| Genre {
            id: *id,
            name: (*name).to_owned(),
            ..Genre::default()
        })
        .collect()
}

/// The processor time of this thread, at a resolution of milliseconds.
fn processor_time() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = statistics.split_whitespace().next().unwrap();
    Duration::from_nanos(nanoseconds.parse().unwrap())
}

/// The resident memory of the process.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}
