//! The shapes of our responses compared with recordings of TMDB: field names, types, nesting, what may be missing or
//! null. The recordings may not be in this repository; where they are not beside it, these tests say so and pass.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use crate::support::DemoTmdb;

/// Fields that TMDB does not have: watch providers of the demo are generated, and say so.
const ADDED: [&str; 1] = ["sample"];

/// Null on TMDB where nothing is known, though the few films that were recorded have a value.
const NULLABLE: [&str; 9] = [
    "backdrop_path",
    "belongs_to_collection",
    "facebook_id",
    "imdb_id",
    "instagram_id",
    "poster_path",
    "profile_path",
    "twitter_id",
    "wikidata_id",
];

/// Our path, and the recording of the same path.
const RECORDED: [(&str, &str); 22] = [
    ("/configuration", "configuration"),
    ("/genre/movie/list", "genre_movie_list"),
    ("/discover/movie", "discover_movie"),
    (
        "/discover/movie?page=2&vote_count.gte=1000",
        "discover_movie__page-2_vote-average-gte-2_vote-count-gte-1000",
    ),
    (
        "/discover/movie?with_original_language=en-US",
        "discover_movie__primary-release-date-gte-2017-01-01_with-original-language-en-us",
    ),
    (
        "/search/movie?query=the",
        "search_movie__include-adult-false_page-1_query-007",
    ),
    ("/trending/movie/week", "trending_movie_week"),
    ("/movie/popular", "movie_popular__page-1"),
    ("/movie/top_rated", "movie_top_rated__page-1"),
    ("/movie/now_playing", "movie_now_playing__page-1"),
    ("/movie/upcoming", "movie_upcoming__page-1"),
    ("/movie/11", "movie_47964"),
    (
        "/movie/11?append_to_response=credits,images,keywords",
        "movie_tt1345836__append-to-response-credits-images-keywords",
    ),
    ("/movie/11/credits", "movie_47964_credits"),
    ("/movie/11/keywords", "movie_47964_keywords"),
    ("/movie/11/translations", "movie_47964_translations"),
    (
        "/movie/11/alternative_titles",
        "movie_47964_alternative_titles__country-us",
    ),
    ("/movie/11/external_ids", "movie_335984_external_ids"),
    ("/movie/11/similar", "movie_47964_similar"),
    ("/movie/11/watch/providers", "movie_47964_watch_providers"),
    ("/movie/12/watch/providers", "movie_157336_watch_providers"),
    ("/watch/providers/movie", "watch_providers_movie"),
];

/// Paths whose list is empty in our response; the fields around it must still match.
const RECORDED_EMPTY: [(&str, &str); 4] = [
    ("/movie/11/recommendations", "movie_47964_recommendations"),
    ("/movie/11/release_dates", "movie_47964_release_dates"),
    ("/movie/11/reviews", "movie_47964_reviews"),
    ("/movie/11/videos", "movie_47964_videos"),
];

fn recordings() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/tmdb-fixtures");
    if !folder.is_dir() {
        eprintln!("skipped: no recordings of TMDB at {}", folder.display());
        return None;
    }
    Some(folder)
}

fn recording(folder: &std::path::Path, name: &str) -> Value {
    let path = folder.join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("a recording is JSON")
}

/// The shape of one place in a document, merged from all its occurrences.
#[derive(Debug, Default)]
struct Shape {
    types: BTreeSet<&'static str>,
    fields: BTreeMap<String, Shape>,
    items: Option<Box<Shape>>,
    /// The number of values seen here; a field with fewer than its parent is optional.
    seen: usize,
    objects: usize,
}

impl Shape {
    fn learn(&mut self, value: &Value) {
        self.seen += 1;
        self.types.insert(match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        });
        match value {
            Value::Array(items) => {
                let shape = self.items.get_or_insert_default();
                items.iter().for_each(|item| shape.learn(item));
            }
            Value::Object(fields) => {
                self.objects += 1;
                for (name, value) in fields {
                    // Countries are keys; which of them are there is not a matter of shape.
                    let is_country =
                        name.len() == 2 && name.chars().all(|letter| letter.is_ascii_uppercase());
                    let name = if is_country { "(country)" } else { name };
                    self.fields.entry(name.to_owned()).or_default().learn(value);
                }
            }
            _ => {}
        }
    }

    fn of(value: &Value) -> Self {
        let mut shape = Self::default();
        shape.learn(value);
        shape
    }

    /// The differences of `ours` from this recorded shape.
    fn differences(&self, ours: &Self, path: &str, found: &mut Vec<String>) {
        let nullable = NULLABLE.contains(&path.rsplit('.').next().unwrap_or(path));
        for kind in ours.types.difference(&self.types) {
            if !(*kind == "null" && nullable) {
                found.push(format!("{path} is {kind}, recorded {:?}", self.types));
            }
        }
        for (name, shape) in &ours.fields {
            match self.fields.get(name) {
                Some(recorded) => recorded.differences(shape, &format!("{path}.{name}"), found),
                // Without an object to compare with, nothing is known.
                None if self.objects > 0 && !ADDED.contains(&name.as_str()) => {
                    found.push(format!("{path}.{name} is not in the recording"))
                }
                None => {}
            }
        }
        if ours.objects > 0 {
            for (name, recorded) in &self.fields {
                let always = recorded.seen == self.objects;
                let is_missing = ours
                    .fields
                    .get(name)
                    .is_none_or(|shape| shape.seen < ours.objects);
                if always && is_missing && name != "(country)" {
                    found.push(format!("{path}.{name} is missing"));
                }
            }
        }
        if let (Some(recorded), Some(ours)) = (&self.items, &ours.items)
            && recorded.seen > 0
        {
            recorded.differences(ours, &format!("{path}[]"), found);
        }
    }
}

#[test]
fn answers_have_the_shapes_that_tmdb_gave() {
    let Some(folder) = recordings() else { return };
    let tmdb = DemoTmdb::start();
    let mut wrong = Vec::new();
    for (path, name) in RECORDED.iter().chain(&RECORDED_EMPTY) {
        let recorded = Shape::of(&recording(&folder.join("tmdblib-2026"), name)["body"]);
        let mut found = Vec::new();
        recorded.differences(&Shape::of(&tmdb.json(path)), "", &mut found);
        wrong.extend(
            found
                .into_iter()
                .map(|difference| format!("{path}: {difference}")),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn genres_have_tmdbs_ids_and_names() {
    let Some(folder) = recordings() else { return };
    let recorded = recording(&folder.join("tmdblib-2026"), "genre_movie_list");
    assert_eq!(
        DemoTmdb::start().json("/genre/movie/list"),
        recorded["body"]
    );
}

#[test]
fn errors_are_tmdbs_word_for_word() {
    let Some(folder) = recordings() else { return };
    let tmdb = DemoTmdb::start();
    for (path, headers, name) in [
        (
            "/3/movie/999999999?api_key=a",
            "",
            "tmdblib-2026/errors/movie_999999999",
        ),
        (
            "/3/movie/999999999/keywords?api_key=a",
            "",
            "tmdblib-2026/errors/movie_999999999_keywords",
        ),
        (
            "/3/collection/999999999",
            "Authorization: Bearer a\r\n",
            "tmdblib-2026/errors/collection_999999999",
        ),
        (
            "/3/discover/movie?api_key=a&page=0",
            "",
            "adamayoung-tmdb/error-status-400",
        ),
        ("/3/discover/movie", "", "adamayoung-tmdb/error-status-401"),
        (
            "/3/movie/changes?api_key=a&start_date=2025-01-01&end_date=2025-03-01",
            "",
            "adamayoung-tmdb/error-status-422",
        ),
    ] {
        let recorded = recording(&folder, name);
        let answer = tmdb.send("GET", path, headers, "").expect("a response");
        assert_eq!(recorded["status"], answer.status, "{path}");
        assert_eq!(recorded["body"], answer.json(), "{path}");
    }
}

#[test]
fn a_shape_that_differs_is_noticed() {
    let recorded: Value = serde_json::json!({ "list": [{ "id": 1, "name": "a" }, { "id": 2, "name": null, "extra": 1 }] });
    let recorded = Shape::of(&recorded);
    for (ours, differences) in [
        (
            serde_json::json!({ "list": [{ "id": 1, "name": null }] }),
            0,
        ),
        (serde_json::json!({ "list": [] }), 0),
        (
            serde_json::json!({ "list": [{ "id": "1", "name": "a" }] }),
            1,
        ),
        (
            serde_json::json!({ "list": [{ "id": null, "name": "a" }] }),
            1,
        ),
        (serde_json::json!({ "list": [{ "id": 1 }] }), 1),
        (
            serde_json::json!({ "list": [{ "id": 1, "name": "a", "other": 1 }] }),
            1,
        ),
        (serde_json::json!({}), 1),
    ] {
        let mut found = Vec::new();
        recorded.differences(&Shape::of(&ours), "", &mut found);
        assert_eq!(found.len(), differences, "{ours}: {found:?}");
    }
}
