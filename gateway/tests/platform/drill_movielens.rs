//! A benchmark: imports MovieLens' small data set by its 610 users through the public API, trains on it, and reads
//! lists with explanations. Not part of ordinary runs; skipped without the data (`../shared/data` beside the
//! checkout), which may not be redistributed:
//!
//! ```text
//! scripts/test.sh --release -p gateway --test platform --run-ignored only --no-capture -E 'test(drill_movielens)'
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::stage::{Api, Platform, PlatformOptions};

/// Concurrent imports.
const MAX_CONCURRENT_IMPORTS: usize = 4;
/// The users whose lists are printed, with few, some and many ratings.
const PRINTED_USERS: [i64; 3] = [53, 1, 177];
const BOUNDARY: &str = "boundary-of-the-drill";
const HEADING: &str = "userId,movieId,rating,timestamp\n";

fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    folder.join("ml-latest-small").is_dir().then_some(folder)
}

fn unpacked(path: &Path) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// The movies of MovieLens in the format of `movie-service import`: ids, titles, years and genres, for movies that
/// other data sets lack.
fn facts(folder: &Path) -> String {
    let links = std::fs::read_to_string(folder.join("links.csv")).unwrap();
    let ids: HashMap<&str, &str> = links
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split(',');
            let movie = fields.next()?;
            let tmdb = fields.nth(1)?.trim();
            (!tmdb.is_empty()).then_some((movie, tmdb))
        })
        .collect();
    let movies = std::fs::read_to_string(folder.join("movies.csv")).unwrap();
    let mut facts =
        "tmdb_id,title,original_title,original_language,release_date,runtime_minutes,genres,\
                     popularity,vote_average,vote_count,keywords,directors,top_cast,korean_title\n"
            .to_owned();
    for line in movies.lines().skip(1) {
        let (movie, rest) = line.split_once(',').unwrap();
        let (title, genres) = rest.rsplit_once(',').unwrap();
        let Some(tmdb) = ids.get(movie) else {
            continue;
        };
        let title = title.trim_matches('"').trim().replace("\"\"", "\"");
        let year = title
            .strip_suffix(')')
            .and_then(|title| title.rsplit_once('('))
            .filter(|(_, year)| year.len() == 4 && year.parse::<u16>().is_ok());
        let (title, date) = match year {
            Some((title, year)) => (title.trim(), format!("{year}-01-01")),
            None => (&*title, String::new()),
        };
        let genres: Vec<&str> = genres
            .split('|')
            .filter_map(|genre| match genre {
                "Children" => Some("Family"),
                "Sci-Fi" => Some("Science Fiction"),
                "Musical" => Some("Music"),
                "Film-Noir" | "IMAX" | "(no genres listed)" => None,
                same => Some(same),
            })
            .collect();
        let title = title.replace('"', "\"\"");
        writeln!(
            facts,
            "{tmdb},\"{title}\",\"{title}\",en,{date},,{},0.1,0,0,,,,",
            genres.join("|")
        )
        .unwrap();
    }
    facts
}

fn form(files: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (name, text) in files {
        write!(
            body,
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: text/csv\r\n\r\n{text}\r\n"
        )
        .unwrap();
    }
    write!(body, "--{BOUNDARY}--\r\n").unwrap();
    body
}

/// Imports a history; returns the finished import.
async fn import(client: &Api, user: i64, files: &[(&str, &str)]) -> Value {
    let sender = client.clone().header(
        "Content-Type",
        &format!("multipart/form-data; boundary={BOUNDARY}"),
    );
    let path = format!("/api/v1/users/{user}/imports");
    let begun = sender
        .try_send(reqwest::Method::POST, &path, Some(form(files)))
        .await
        .unwrap();
    let location = begun.headers["location"].to_str().unwrap().to_owned();
    begun.expect(202);
    loop {
        let import = client.get(&location).await.expect(200);
        if import["status"] != "pending" && import["status"] != "running" {
            assert_eq!(import["status"], "succeeded", "{import}");
            return import;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; see the head of the file"]
async fn movielens_small_is_imported_and_learned_from() {
    let Some(data) = data() else {
        println!("skipped: there is no ../shared/data/ml-latest-small");
        return;
    };
    let folder = data.join("ml-latest-small");
    let options = PlatformOptions {
        log_level: "warn,chassis::run=info,gateway::server=info",
        ..PlatformOptions::default()
    };
    let platform = Platform::start(options).await;
    catalogue(&platform, &data, &folder).await;
    let users = histories(&platform, &folder).await;
    train(&platform).await;
    for number in PRINTED_USERS {
        show(&platform, number, users[&number]).await;
    }
    assert_eq!(platform.errors_logged(), [""; 0]);
}

async fn catalogue(platform: &Platform, data: &Path, folder: &Path) {
    let own = std::env::temp_dir().join(format!("movielens-facts-{}.csv", std::process::id()));
    std::fs::write(&own, facts(folder)).unwrap();
    // The second file has more facts about movies in both.
    let sets = [own.clone(), data.join("tmdb-merged-facts/movies.csv.gz")];
    let mut arguments = vec!["import", "--format", "tmdb-csv"];
    arguments.extend(sets.iter().map(|set| set.to_str().unwrap()));
    println!("{}", platform.movie_services[0].run(&arguments));
    std::fs::remove_file(own).unwrap();
    let films = platform.movies.count("select count(*) from movie").await;
    platform.until_films_known(films).await;
    println!("{films} films in all services");
}

/// Imports every user's ratings through the API; returns user ids by MovieLens id.
async fn histories(platform: &Platform, folder: &Path) -> BTreeMap<i64, i64> {
    let links: Arc<str> = std::fs::read_to_string(folder.join("links.csv"))
        .unwrap()
        .into();
    let movies: Arc<str> = std::fs::read_to_string(folder.join("movies.csv"))
        .unwrap()
        .into();
    let ratings = unpacked(&folder.join("ratings.csv.gz"));
    let mut histories: BTreeMap<i64, String> = BTreeMap::new();
    for line in ratings.lines().skip(1) {
        let user = line.split(',').next().unwrap().parse().unwrap();
        let history = histories.entry(user).or_insert_with(|| HEADING.to_owned());
        history.push_str(line);
        history.push('\n');
    }
    let mut users = BTreeMap::new();
    for number in histories.keys() {
        users.insert(*number, platform.user(&format!("movielens{number}")).await);
    }
    let started = Instant::now();
    let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_IMPORTS));
    let mut imports = JoinSet::new();
    for (number, history) in histories {
        let client = platform.client();
        let user = users[&number];
        let (links, movies) = (Arc::clone(&links), Arc::clone(&movies));
        let permits = Arc::clone(&permits);
        imports.spawn(async move {
            let _permit = permits.acquire_owned().await.unwrap();
            let files = [
                ("ratings.csv", &*history),
                ("links.csv", &links),
                ("movies.csv", &movies),
            ];
            import(&client, user, &files).await
        });
    }
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    let mut unmatched = Vec::new();
    for import in imports.join_all().await {
        for name in [
            "total",
            "succeeded",
            "unchanged",
            "unmatched",
            "failed",
            "skipped",
        ] {
            *counts.entry(name).or_default() += import[name].as_i64().unwrap();
        }
        unmatched.extend(import["unmatched_titles"].as_array().unwrap().clone());
    }
    let took = started.elapsed().as_secs_f64();
    println!(
        "{} users, {counts:?} in {took:.1} s: {:.0} ratings/s",
        users.len(),
        counts["total"] as f64 / took
    );
    println!("not found: {unmatched:?}");
    assert_eq!(counts["total"], 100_836);
    assert_eq!(counts["failed"], 0);
    let kept = platform
        .users
        .count("select count(*) from user_movie where rating is not null")
        .await;
    println!("{kept} ratings are kept");
    assert_eq!(kept, counts["succeeded"]);
    users
}

async fn train(platform: &Platform) {
    // Training uses only what the recommender has read from the feed.
    let stored = platform
        .users
        .count("select count(*) from user_movie where rating is not null")
        .await;
    let started = Instant::now();
    chassis::testing::eventually("the recommender knows all ratings", async || {
        platform
            .recommendations
            .count("select count(*) from user_movie where rating is not null")
            .await
            >= stored
    })
    .await;
    println!(
        "the recommender knows them after {:.1} s more",
        started.elapsed().as_secs_f64()
    );
    let started = Instant::now();
    let printed = platform.recommendation_services[0].run(&["train"]);
    println!(
        "{printed}\ntrained in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    let admin = platform.admin();
    chassis::testing::eventually("the model is live", async || {
        let models = admin.get("/api/v1/admin/models").await.expect(200);
        models["live"].is_number()
    })
    .await;
    let models = admin.get("/api/v1/admin/models").await.expect(200);
    let manifest = &models["models"][0]["manifest"];
    for (name, value) in manifest["parameters"].as_object().unwrap() {
        if name.starts_with("blend.") {
            println!("{name} = {value}");
        }
    }
    for (model, figures) in manifest["metrics"].as_object().unwrap() {
        println!("{model}: {figures}");
    }
}

async fn show(platform: &Platform, number: i64, user: i64) {
    let client = platform.client();
    let path = format!("/api/v1/users/{user}/recommendations?limit=10&explain=true");
    // Replicas poll the live model every few seconds.
    chassis::testing::eventually("a list is made by a model", async || {
        client.get(&path).await.expect(200)["model"]["version"].is_number()
    })
    .await;
    let list = client.get(&path).await.expect(200);
    println!("user {number} of MovieLens ({}):", json!(list["model"]));
    for film in list["recommendations"].as_array().unwrap() {
        println!(
            "  {} ({}) {}: {}",
            film["title"], film["release_date"], film["score"], film["reason"]
        );
        println!("    {}, {}", film["because"], film["contributions"]);
    }
}
