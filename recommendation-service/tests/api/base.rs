//! Base models: fitted to a published set by a command, alone and beside models of own users.

use std::{path::PathBuf, process::Output, sync::Arc};

use chassis::testing::{eventually, get};
use recommendation_service::registry::{
    LiveModels,
    repository::{self, ModelKind},
};
use recommender::{
    Ease, EaseSettings, Interactions,
    model_file::{Manifest, ModelParts},
};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    TestApp,
    commands::{program, stderr},
    ids,
    owner::Owner,
    trained,
};

/// A set in the layout of MovieLens: users of two tastes, who like 20 of the 30 even or odd movies each.
struct Set(PathBuf);

impl Set {
    fn new(name: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("marquee-set-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let own = Self(directory);
        let mut ratings = "userId,movieId,rating,timestamp\n".to_owned();
        for user in 0..60_u32 {
            for movie in 0..60_u32 {
                if movie % 2 == user % 2 && !(movie / 2 + user / 2).is_multiple_of(3) {
                    let time = 1_000_000 + (movie * 17 + user * 31) % 60;
                    ratings += &format!("{},{},4.5,{time}\n", user + 1, movie + 1);
                } else if movie % 5 == 0 {
                    ratings += &format!("{},{},2.0,1000000\n", user + 1, movie + 1);
                }
            }
        }
        own.write("ratings.csv", &ratings);
        let rows = |row: fn(u32) -> String| (1..=60).map(row).collect::<String>();
        let movies = rows(|movie| format!("{movie},\"Film, The {movie} (2020)\",Drama\n"));
        own.write("movies.csv", &format!("movieId,title,genres\n{movies}"));
        let links = rows(|movie| format!("{movie},0{movie},{}\n", movie + 100));
        own.write("links.csv", &format!("movieId,imdbId,tmdbId\n{links}"));
        own.write(
            "README.txt",
            "Summary\n=======\n\nUsage License\n=============\n\nAsk first.\n\nCitation\n========\n",
        );
        own
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn path(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Adds movies 101 to 150, so that the set has ten more.
async fn add_catalogue(pool: &PgPool) {
    sqlx::query(
        "insert into movie (id, version, payload)
         select id, 1, jsonb_build_object('id', id, 'version', 1, 'title', 'Film ' || id,
             'release_date', '2020-01-01', 'original_language', 'en', 'popularity', 1, 'vote_average', 5,
             'vote_count', 1, 'genres', '[]'::json, 'countries', '[]'::json, 'keywords', '[]'::json,
             'people', '[]'::json, 'providers', '[]'::json)
         from generate_series(101, 150) as id",
    )
    .execute(pool)
    .await
    .unwrap();
}

async fn fit(pool: &PgPool, set: &str, more: &[&str]) -> Output {
    program(pool)
        .args(["train", "--base", "movielens", "--from", set])
        .args([
            "--set",
            "ials.dimensions=4",
            "--set",
            "ials.regularization=0.02",
        ])
        .args(more)
        .output()
        .await
        .unwrap()
}

#[sqlx::test]
async fn a_set_is_fitted_once_its_licence_is_accepted_and_goes_live(pool: PgPool) {
    add_catalogue(&pool).await;
    let set = Set::new("fitted");
    let refused = fit(&pool, &set.path(), &[]).await;
    assert!(!refused.status.success());
    let said = stderr(&refused);
    assert!(said.contains("Ask first."), "{said}");
    assert!(said.contains("--accept-licence"), "{said}");

    let tried = fit(&pool, &set.path(), &["--dry-run"]).await;
    let said = stderr(&tried);
    assert!(tried.status.success(), "{said}");
    assert!(
        said.contains("60 of its 60 movies have an id of TMDB"),
        "{said}"
    );
    assert!(said.contains("covers 50 of the 50 movies"), "{said}");
    assert!(repository::list(&pool).await.unwrap().is_empty());

    let fitted = fit(&pool, &set.path(), &["--accept-licence"]).await;
    let said = stderr(&fitted);
    assert!(fitted.status.success(), "{said}");
    let all = repository::list(&pool).await.unwrap();
    assert_eq!((all.len(), all[0].kind), (1, ModelKind::Base));
    assert_eq!(all[0].manifest.users, 60);
    assert!(
        all[0].manifest.metrics["blend"]["hits@10_after_3"] > 0.9,
        "{said}"
    );
    let live = |kind| repository::live(&pool, kind);
    assert_eq!(live(ModelKind::Base).await.unwrap(), Some(all[0].version));
    assert_eq!(live(ModelKind::Own).await.unwrap(), None);

    // The same again is the same; held, it does not go live.
    let held = fit(&pool, &set.path(), &["--accept-licence", "--hold"]).await;
    assert!(held.status.success());
    let both = repository::list(&pool).await.unwrap();
    assert_eq!(both[0].sha256, both[1].sha256);
    assert_eq!(live(ModelKind::Base).await.unwrap(), Some(all[0].version));

    let models =
        |arguments: &'static [&'static str]| program(&pool).arg("models").args(arguments).output();
    let listed = models(&["list"]).await.unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert_eq!(listed.matches("base").count(), 2, "{listed}");
    assert!(
        !models(&["delete", "1"]).await.unwrap().status.success(),
        "it is live"
    );
    assert!(models(&["activate", "2"]).await.unwrap().status.success());
    assert_eq!(live(ModelKind::Base).await.unwrap(), Some(2));
    assert!(models(&["delete", "1"]).await.unwrap().status.success());
    assert!(
        models(&["deactivate", "base"])
            .await
            .unwrap()
            .status
            .success()
    );
    assert_eq!(live(ModelKind::Base).await.unwrap(), None);
}

#[sqlx::test]
async fn a_damaged_set_is_refused_with_file_line_and_column(pool: PgPool) {
    add_catalogue(&pool).await;
    let set = Set::new("damaged");
    set.write(
        "ratings.csv",
        "userId,movieId,rating,timestamp\n1,2,4.0,5\n1,3,four,5\n",
    );
    let refused = fit(&pool, &set.path(), &["--accept-licence"]).await;
    let said = stderr(&refused);
    assert!(!refused.status.success());
    assert!(
        said.contains("ratings.csv, line 3, column rating: `four`"),
        "{said}"
    );
    let file = set.0.join("set.zip");
    std::fs::write(&file, b"PK not a zip").unwrap();
    let refused = fit(&pool, &file.to_string_lossy(), &["--accept-licence"]).await;
    let said = stderr(&refused);
    assert!(
        said.contains("neither a directory nor a zip archive"),
        "{said}"
    );
    assert!(repository::list(&pool).await.unwrap().is_empty());
}

#[sqlx::test]
async fn a_zip_archive_in_the_layout_of_1m_is_matched_by_title(pool: PgPool) {
    add_catalogue(&pool).await;
    let set = Set::new("zip");
    let file = set.0.join("ml-1m.zip");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&file).unwrap());
    let csv = std::fs::read_to_string(set.0.join("ratings.csv")).unwrap();
    let ratings: String = csv
        .lines()
        .skip(1)
        .map(|line| line.replace(',', "::") + "\n")
        .collect();
    let movies: String = (1..=60)
        .map(|movie| format!("{movie}::Film {} (2020)::Drama\n", movie + 100))
        .collect();
    for (name, text) in [
        ("ml-1m/ratings.dat", &ratings),
        ("ml-1m/movies.dat", &movies),
    ] {
        archive
            .start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        std::io::Write::write_all(&mut archive, text.as_bytes()).unwrap();
    }
    archive.finish().unwrap();
    let tried = fit(&pool, &file.to_string_lossy(), &["--dry-run"]).await;
    let said = stderr(&tried);
    assert!(tried.status.success(), "{said}");
    assert!(
        said.contains("50 of its 60 movies have an id of TMDB"),
        "{said}"
    );
    assert!(
        said.contains("must be acknowledged") || said.contains("be \\\n"),
        "{said}"
    );
}

#[sqlx::test]
async fn an_audience_is_written_as_lines_of_movies_in_the_catalogue(pool: PgPool) {
    add_catalogue(&pool).await;
    let set = Set::new("audience");
    let written = program(&pool)
        .args([
            "audience",
            "--from",
            &set.path(),
            "--accept-licence",
            "--users",
            "7",
        ])
        .output()
        .await
        .unwrap();
    assert!(written.status.success(), "{}", stderr(&written));
    let text = String::from_utf8_lossy(&written.stdout).into_owned();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 7);
    for line in &lines {
        assert_eq!(line["source"], "movielens");
        for rated in line["ratings"].as_array().unwrap() {
            assert!((101..=150).contains(&rated["movie_id"].as_i64().unwrap()));
        }
    }
}

/// Movies 5 to 30 by taste: 5 to 12 are known to own models as well.
fn base() -> LiveModels {
    let rows = (0..60_u32).map(|user| {
        let movies = (0..26_u32).filter(move |movie| {
            movie % 2 == user % 2 && !(movie / 2 + user / 2).is_multiple_of(3)
        });
        movies.map(|movie| (movie, 1.0))
    });
    let interactions = Interactions::from_rows(26, rows).unwrap();
    let parts = ModelParts {
        films: (5..=30).collect(),
        ease: Some(Arc::new(
            Ease::fit(&interactions, &EaseSettings::plain(2.0)).unwrap(),
        )),
        ..ModelParts::default()
    };
    let live = LiveModels::default();
    let base = parts.into_trained(9, &Manifest::default()).unwrap();
    *live.base.write() = Some(Arc::new(base));
    live
}

async fn ready(pool: &PgPool, live: LiveModels) -> TestApp {
    let (movies, users) = (Owner::start().await, Owner::start().await);
    let test = TestApp::with_live(pool, movies, users, live, &[]).await;
    test.until_ready().await;
    for id in 1..=25 {
        test.movies
            .film(id, 1, json!({"popularity": (30 - id).max(18)}));
    }
    test.users.user(7, 1, json!({}));
    test.users.interaction(1, 7, 7, "like");
    let path = "/api/v1/users/7/recommendations?limit=50";
    eventually("the like", async || {
        let films = ids(&get(&test.app, path).await.body);
        films.len() == 24 && !films.contains(&7)
    })
    .await;
    test
}

async fn list(test: &TestApp, query: &str) -> Value {
    let path = format!("/api/v1/users/7/recommendations?limit=50&explain=true{query}");
    get(&test.app, &path).await.expect(200)
}

fn parts(body: &Value) -> Vec<String> {
    let parts = body["recommendations"][0]["contributions"]
        .as_array()
        .unwrap();
    parts
        .iter()
        .map(|part| part["name"].as_str().unwrap().to_owned())
        .collect()
}

#[sqlx::test]
async fn a_base_model_ranks_alone_until_there_are_own_models(pool: PgPool) {
    let test = ready(&pool, base()).await;
    let body = list(&test, "&strategy=base").await;
    assert_eq!(body["model"], json!({"version": 9, "strategy": "base"}));
    let films = ids(&body);
    assert!(films.iter().all(|id| (5..=25).contains(id)), "{films:?}");
    assert!(films[..6].iter().all(|id| id % 2 == 1), "{films:?}");
    assert_eq!(parts(&body), ["base"]);
    let blend = list(&test, "").await;
    assert_eq!(blend["model"], json!({"version": 9, "strategy": "blend"}));
    let names = parts(&blend);
    assert!(
        names.contains(&"base".to_owned()) && !names.contains(&"ease".to_owned()),
        "{names:?}"
    );
    let problem = get(&test.app, "/api/v1/users/7/recommendations?strategy=ease").await;
    assert_eq!(problem.status, 409, "{}", problem.body);
}

#[sqlx::test]
async fn own_and_base_models_are_parts_of_one_blend_over_the_movies_of_both(pool: PgPool) {
    let live = base();
    *live.own.write() = Some(trained());
    let test = ready(&pool, live).await;
    let body = list(&test, "").await;
    assert_eq!(body["model"]["version"], 5);
    let names = parts(&body);
    for name in ["popularity", "ease", "ials", "base"] {
        assert!(names.contains(&name.to_owned()), "{names:?}");
    }
    for film in body["recommendations"].as_array().unwrap() {
        let whole = |value: &Value| (value.as_f64().unwrap() * 10_000.0).round() as i64;
        let parts = film["contributions"].as_array().unwrap();
        let sum: i64 = parts.iter().map(|part| whole(&part["amount"])).sum();
        assert_eq!(sum, whole(&film["score"]), "{film}");
    }
    // Known to the base model alone, by taste.
    let films = ids(&body);
    let place = |id| films.iter().position(|film| *film == id);
    assert!(place(15) < place(14) && place(21) < place(20), "{films:?}");
}
