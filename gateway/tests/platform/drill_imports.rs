//! Drills of imports: a history of 20,000 rows during which processes die, and one of 1,000 rows on a catalogue that lacks
//! most of its movies. Not part of ordinary runs; the first needs a durable PostgreSQL:
//!
//! ```text
//! DURABLE=1 scripts/test.sh -p gateway --test platform --run-ignored only --no-capture -E 'test(drill_imports)'
//! ```

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    time::{Duration, Instant},
};

use chrono::{Days, NaiveDate};
use reqwest::Method;
use serde_json::Value;

use crate::{
    drill_writes::crash_postgres,
    stage::{Api, Platform, PlatformOptions},
};

const ROWS: usize = 20_000;
/// Pages of movies in the catalogue of the first drill, each of 20.
const PAGES: i64 = 10;
/// Movies of the first drill that nobody has.
const UNKNOWN: usize = 40;
/// The rate of calls of TMDB in the second drill.
const RATE: usize = 40;
/// Rows of the second drill, and those of them about invented movies.
const HISTORY: usize = 1_000;
const INVENTED: usize = 50;

async fn create(client: &Api, user: i64, name: &str, text: String) -> String {
    let body = format!(
        "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{text}\r\n--b--\r\n"
    );
    let sender = client
        .clone()
        .header("Content-Type", "multipart/form-data; boundary=b");
    let path = format!("/api/v1/users/{user}/imports");
    let begun = sender
        .try_send(Method::POST, &path, Some(body))
        .await
        .unwrap();
    let location = begun.headers["location"].to_str().unwrap().to_owned();
    begun.expect(202);
    location
}

/// Waits until `is_reached` and returns the import; servers may be away meanwhile.
async fn until(client: &Api, location: &str, is_reached: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        if let Ok(response) = client.try_get(location).await
            && response.status == 200
            && is_reached(&response.body)
        {
            return response.body;
        }
        assert!(started.elapsed() < Duration::from_secs(300), "stuck");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn has_ended(import: &Value) -> bool {
    import["status"] != "pending" && import["status"] != "running"
}

fn number(import: &Value, field: &str) -> usize {
    usize::try_from(import[field].as_u64().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "kills processes during an import: a minute"]
async fn an_import_of_20_000_rows_survives_kills() {
    let options = PlatformOptions {
        log_level: "warn,chassis::run=info,gateway::server=info",
        settings: vec![("IMPORT_LEASE_SECONDS", "3".to_owned())],
        ..PlatformOptions::default()
    };
    let mut platform = Platform::with_films(PAGES, options).await;
    let user = platform.user("drill").await;
    let films = platform
        .users
        .numbers("select id from movie where not removed order by id")
        .await;
    let first = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap();
    let mut diary = "Title,Year,tmdbID,Rating10,WatchedDate\n".to_owned();
    for row in 0..ROWS {
        // Each movie on many days, so that rows of a movie are in several chunks.
        let place = row % (films.len() + UNKNOWN);
        let day = first + Days::new(u64::try_from(row / (films.len() + UNKNOWN)).unwrap());
        let rating = row % 10 + 1;
        match films.get(place) {
            Some(film) => writeln!(diary, ",,{film},{rating},{day}").unwrap(),
            None => writeln!(diary, "Nobody Knows {place},1950,,{rating},{day}").unwrap(),
        }
    }
    let unknown = (0..ROWS)
        .filter(|row| row % (films.len() + UNKNOWN) >= films.len())
        .count();
    let client = platform.admin();
    let begun = Instant::now();
    let location = create(&client, user, "diary.csv", diary).await;
    for (part, is_postgres) in [(1, false), (2, true), (3, false)] {
        let at = ROWS * part / 4;
        let import = until(&client, &location, |import| {
            number(import, "processed") >= at
        })
        .await;
        let processed = number(&import, "processed");
        assert!(processed < ROWS, "it must be in the middle: {import}");
        let died = Instant::now();
        if is_postgres {
            crash_postgres();
        } else {
            platform.preference_service.restart();
        }
        until(&client, &location, |import| {
            number(import, "processed") > processed
        })
        .await;
        println!(
            "kill -9 of {} at {processed} of {ROWS} rows; on again after {:.1} s",
            if is_postgres {
                "Postgres"
            } else {
                "preference-service"
            },
            died.elapsed().as_secs_f64()
        );
    }
    let import = until(&client, &location, has_ended).await;
    println!("the import took {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(import["status"], "succeeded", "{import}");
    assert_eq!(number(&import, "total"), ROWS);
    assert_eq!(number(&import, "processed"), ROWS);
    assert_eq!(number(&import, "unmatched"), unknown);
    assert_eq!(number(&import, "failed"), 0);
    let taken = number(&import, "succeeded") + number(&import, "unchanged");
    assert_eq!(taken, ROWS - unknown);
    let titles = import["unmatched_titles"].as_array().unwrap();
    let rows: usize = titles.iter().map(|title| number(title, "rows")).sum();
    assert_eq!((titles.len(), rows), (UNKNOWN, unknown));
    let viewings = platform.users.count("select count(*) from viewing").await;
    assert_eq!(usize::try_from(viewings).unwrap(), ROWS - unknown);
    let waiting = "select count(*) from import_entry where unmatched is not null";
    let waiting = platform.users.count(waiting).await;
    assert_eq!(usize::try_from(waiting).unwrap(), unknown);
    println!(
        "{viewings} viewings, each once; {UNKNOWN} movies not found, with {unknown} rows that wait; {}",
        platform.preference_service.run(&["verify"]).trim()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "keeps to TMDB's rate: a minute or two"]
async fn movies_that_the_catalogue_lacks_are_found_at_tmdb_within_its_rate() {
    let options = PlatformOptions {
        log_level: "warn,chassis::run=info,gateway::server=info",
        settings: vec![("TMDB_RATE_LIMIT_PER_SECOND", RATE.to_string())],
        ..PlatformOptions::default()
    };
    let platform = Platform::with_films(5, options).await;
    let tmdb = Api::new(&platform.demo_tmdb.url());
    let mut titles = BTreeSet::new();
    for page in 1.. {
        let path = format!("/3/discover/movie?api_key=demo&sort_by=popularity.desc&page={page}");
        let list = tmdb.get(&path).await.expect(200);
        let films = list["results"].as_array().unwrap();
        if films.is_empty() {
            break;
        }
        for film in films {
            let year = film["release_date"].as_str().and_then(|day| day.get(..4));
            if let (Some(title), Some(year)) = (film["title"].as_str(), year) {
                titles.insert((title.to_owned(), year.to_owned()));
            }
        }
    }
    println!(
        "{} movies at demo-tmdb, some of them in two rows",
        titles.len()
    );
    let mut ratings = "Date,Name,Year,Letterboxd URI,Rating\n".to_owned();
    let rows = titles.iter().cycle().take(HISTORY - INVENTED);
    for (row, (title, year)) in rows.enumerate() {
        let title = title.replace('"', "\"\"");
        let (month, rating) = (row / titles.len() + 1, row / titles.len() + 3);
        writeln!(ratings, "2024-0{month}-01,\"{title}\",{year},u,{rating}").unwrap();
    }
    for number in 0..INVENTED {
        writeln!(ratings, "2024-01-01,Qqxz Vvkj {number},1950,u,3.5").unwrap();
    }
    tmdb.send(Method::DELETE, "/__stats").await;
    let before = tmdb.get("/__stats").await.expect(200);
    let user = platform.user("drill").await;
    let client = platform.admin();
    let begun = Instant::now();
    let location = create(&client, user, "ratings.csv", ratings).await;
    let import = until(&client, &location, has_ended).await;
    let took = begun.elapsed().as_secs_f64();
    let stats = tmdb.get("/__stats").await.expect(200);
    let calls = number(&stats, "total") - number(&before, "total");
    let by_reason = |reason: &str| {
        let titles = import["unmatched_titles"].as_array().unwrap().iter();
        titles.filter(|title| title["reason"] == reason).count()
    };
    let matched = number(&import, "succeeded") + number(&import, "unchanged");
    println!(
        "{HISTORY} rows, a catalogue of 100 movies: {matched} matched, {} ambiguous, {} unknown, {} not fetched, in {took:.0} s",
        by_reason("ambiguous"),
        by_reason("unknown"),
        by_reason("not_fetched"),
    );
    println!(
        "{calls} calls of TMDB ({}), {:.1} a second on average, at most {} in one second, of {RATE} allowed",
        stats["by_kind"],
        calls as f64 / took,
        stats["max_in_one_second"],
    );
    assert!(number(&stats, "max_in_one_second") <= RATE + RATE / 10 + 1);
    assert!(matched >= (HISTORY - INVENTED) * 9 / 10, "{import}");
    assert_eq!(by_reason("not_fetched"), 0);
    assert!(by_reason("unknown") >= INVENTED);
}
