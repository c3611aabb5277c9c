//! The TMDB client decodes recorded responses of TMDB, if they are in `../shared/data/tmdb-fixtures` beside the checkout.
//! They may not be redistributed.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use axum::{Json, Router, http::StatusCode};
use chassis::Settings;
use movie_service::{
    client::{
        tmdb::{Tmdb, TmdbError},
        wire::{self, GenreList, ListPage},
    },
    config::{DEFAULTS, TmdbConfig},
    models::{MovieId, MovieRef},
};
use serde_json::{Value, json};

struct Recording {
    file: String,
    path: String,
    status: u16,
    body: Value,
}

fn recordings() -> Vec<Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/tmdb-fixtures");
    if !folder.is_dir() {
        eprintln!("skipped: there are no recordings at ../shared/data/tmdb-fixtures");
        return Vec::new();
    }
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort();
    assert!(files.len() > 100, "the folder is there, but not its files");
    files
        .into_iter()
        .map(|file| {
            let recording: Value =
                serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
            Recording {
                file: file.file_name().unwrap().to_string_lossy().into_owned(),
                path: recording["request"]["path"].as_str().unwrap().to_owned(),
                status: u16::try_from(recording["status"].as_u64().unwrap()).unwrap(),
                body: recording["body"].clone(),
            }
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
}

/// The part of a movie's path behind the id: `""` for the movie itself.
fn part_of_film(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/3/movie/")?;
    let (id, part) = rest.split_once('/').unwrap_or((rest, ""));
    let is_id =
        id.starts_with("tt") || id == "{id}" || id.bytes().all(|byte| byte.is_ascii_digit());
    is_id.then_some(part)
}

fn length(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

#[test]
fn every_recorded_movie_is_decoded_completely() {
    for recording in recordings()
        .iter()
        .filter(|recording| recording.status == 200)
    {
        let Recording {
            file, path, body, ..
        } = recording;
        let Some(part) = part_of_film(path) else {
            continue;
        };
        // Parts are appended to a movie.
        let document = match part {
            "" => body.clone(),
            _ => json!({"id": 7, "title": "A film", part: body}),
        };
        let film = wire::movie(document.clone()).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(film.id, document["id"].as_i64().unwrap(), "{file}");
        assert_eq!(
            film.title,
            document["title"].as_str().unwrap().trim(),
            "{file}"
        );
        assert_eq!(film.genre_ids.len(), length(&document["genres"]), "{file}");
        assert_eq!(
            film.keywords.len(),
            length(&document["keywords"]["keywords"]),
            "{file}"
        );
        let cast = length(&document["credits"]["cast"]).min(10);
        assert_eq!(
            film.people
                .iter()
                .filter(|person| person.job == "Actor")
                .count(),
            cast,
            "{file}"
        );
        let date = document["release_date"].as_str().unwrap_or_default();
        assert_eq!(
            film.release_date
                .map(|date| date.to_string())
                .unwrap_or_default(),
            date,
            "{file}"
        );
        let minutes = document["runtime"].as_i64().filter(|minutes| *minutes > 0);
        assert_eq!(film.runtime.map(i64::from), minutes, "{file}");
        let shown: usize = document["watch/providers"]["results"]
            .as_object()
            .into_iter()
            .flat_map(|regions| regions.values())
            .flat_map(|region| {
                ["flatrate", "free", "ads", "rent", "buy"].map(|terms| length(&region[terms]))
            })
            .sum();
        assert_eq!(film.providers.len(), shown, "{file}");
        let named = length(&document["alternative_titles"]["titles"]);
        assert!(
            named == 0 || !film.titles.is_empty() || named == 1,
            "{file}"
        );
    }
}

#[test]
fn every_recorded_list_is_decoded_completely() {
    for recording in recordings()
        .iter()
        .filter(|recording| recording.status == 200)
    {
        let Recording {
            file, path, body, ..
        } = recording;
        let is_list = [
            "/discover/movie",
            "/search/movie",
            "/movie/popular",
            "/movie/top_rated",
            "/movie/now_playing",
            "/movie/upcoming",
            "/trending/movie/week",
            "/trending/{media_type}/{time_window}",
        ]
        .iter()
        .any(|list| path == &format!("/3{list}"));
        if is_list {
            let page: ListPage = serde_json::from_value(body.clone()).unwrap();
            assert_eq!(page.results.len(), length(&body["results"]), "{file}");
            assert_eq!(
                page.total_pages,
                body["total_pages"].as_i64().unwrap_or(0),
                "{file}"
            );
        }
        if path == "/3/genre/movie/list" {
            let list: GenreList = serde_json::from_value(body.clone()).unwrap();
            assert_eq!(list.genres.len(), length(&body["genres"]), "{file}");
        }
    }
}

#[tokio::test]
async fn recorded_errors_are_distinguished() {
    let recordings = recordings();
    for recording in recordings
        .iter()
        .filter(|recording| recording.status != 200)
    {
        let status = StatusCode::from_u16(recording.status).unwrap();
        let body = recording.body.clone();
        let app = Router::new().fallback(move || async move { (status, Json(body)) });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let environment = HashMap::from([
            ("TMDB_BASE_URL".to_owned(), format!("http://{address}/3")),
            ("TMDB_API_KEY".to_owned(), "a key".to_owned()),
        ]);
        let settings = Settings::merge(DEFAULTS, &environment).unwrap();
        let tmdb = Tmdb::new(settings.read::<TmdbConfig>().unwrap()).unwrap();
        let film = MovieRef::Tmdb(MovieId::new(1).unwrap());
        let error = tmdb
            .movie(&film, std::time::Duration::from_secs(5))
            .await
            .unwrap_err();
        let expected = match recording.status {
            404 => matches!(error, TmdbError::NotFound),
            401 => matches!(error, TmdbError::Unauthorized),
            status => matches!(error, TmdbError::Refused(code) if code == status),
        };
        assert!(expected, "{}: {error}", recording.file);
        server.abort();
    }
}
