//! The evaluation of the parser: the messages of `tests/data/messages.tsv` against the demo catalogue.
#![allow(clippy::print_stdout, reason = "the evaluation prints its results")]

use std::{
    collections::{BTreeSet, HashMap},
    sync::LazyLock,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::*;
use crate::read_model::{Catalogue, Film, Offer, Tag, Title};

const GENRES: [(i64, &str); 19] = [
    (28, "Action"),
    (12, "Adventure"),
    (16, "Animation"),
    (35, "Comedy"),
    (80, "Crime"),
    (99, "Documentary"),
    (18, "Drama"),
    (10751, "Family"),
    (14, "Fantasy"),
    (36, "History"),
    (27, "Horror"),
    (10402, "Music"),
    (9648, "Mystery"),
    (10749, "Romance"),
    (878, "Science Fiction"),
    (10770, "TV Movie"),
    (53, "Thriller"),
    (10752, "War"),
    (37, "Western"),
];

/// The demo catalogue, with Korean names of people if `names_people`.
fn demo_catalogue(names_people: bool) -> Catalogue {
    let mut catalogue = Catalogue::default();
    let mut ids = HashMap::new();
    let mut tag = |kind: &str, name: &str| {
        let next = 30_000_001 + i64::try_from(ids.len()).expect("few");
        let id = *ids.entry(format!("{kind} {name}")).or_insert(next);
        Tag {
            id,
            name: name.to_owned(),
            ..Tag::default()
        }
    };
    let korean: HashMap<&str, &str> =
        include_str!("../../../demo-tmdb/data/people_korean_names.tsv")
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .collect();
    let person = |mut person: Tag| {
        if let Some(names) = korean.get(person.name.as_str()).filter(|_| names_people) {
            let first = names.split('|').next().unwrap_or_default();
            person.names.insert("ko".to_owned(), first.to_owned());
        }
        person
    };
    for line in include_str!("../../../demo-tmdb/data/movies.tsv")
        .lines()
        .skip(1)
    {
        let cells: Vec<&str> = line.split('\t').collect();
        let list = |cell: usize| cells[cell].split('|').filter(|value| !value.is_empty());
        let id: i64 = cells[0].parse().expect("an id");
        let genres = list(7).map(|id| {
            let genre = GENRES
                .iter()
                .find(|genre| genre.0.to_string() == id)
                .expect("a genre");
            Tag {
                id: genre.0,
                name: genre.1.to_owned(),
                ..Tag::default()
            }
        });
        let votes: i32 = cells[9].parse().unwrap_or(300);
        let average: f64 = cells[8].parse().expect("an average");
        let film = Film {
            id,
            version: 1,
            title: cells[1].to_owned(),
            original_language: cells[4].to_owned(),
            release_date: cells[5].parse().ok(),
            runtime: cells[6].parse().ok(),
            popularity: f64::from(votes) * average / 1000.0,
            vote_average: average,
            vote_count: votes,
            genres: genres.collect(),
            keywords: list(12).map(|name| tag("keyword", name)).collect(),
            people: list(10)
                .chain(list(11))
                .map(|name| person(tag("person", name)))
                .collect(),
            // Every third film, so that a filter by provider excludes some.
            providers: ["KR", "US"]
                .into_iter()
                .filter(|_| id % 3 == 0)
                .map(|region| Offer {
                    region: region.to_owned(),
                    id: 8,
                    name: "Netflix".to_owned(),
                })
                .collect(),
            titles: Some(cells[3])
                .filter(|title| !title.is_empty())
                .into_iter()
                .map(|title| Title {
                    title: title.to_owned(),
                    language: Some("ko".to_owned()),
                })
                .collect(),
            ..Film::default()
        };
        catalogue.upsert(&film);
    }
    catalogue
}

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 1).expect("a day")
}

/// The reading as `name=value` pairs; each of several genres, people and examples is one.
fn pairs(reading: &Reading, catalogue: &Catalogue) -> BTreeSet<String> {
    let filters = serde_json::to_value(&reading.filters).expect("an object");
    let mut pairs = BTreeSet::new();
    for (name, value) in filters.as_object().expect("an object") {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let is_list = ["genres", "without_genres", "keywords", "people"].contains(&name.as_str());
        let values: Vec<&str> = if is_list {
            text.split(',').collect()
        } else {
            vec![&text]
        };
        for value in values {
            let value = value.strip_suffix(".0").unwrap_or(value);
            pairs.insert(format!("{name}={}", value.to_lowercase()));
        }
    }
    for id in &reading.like {
        let row = catalogue.row(*id).expect("a movie of the catalogue");
        pairs.insert(format!("like={}", catalogue.title(row).to_lowercase()));
    }
    if let Some(sort) = reading.sort {
        let sort = serde_json::to_value(sort).expect("a name");
        pairs.insert(format!("sort={}", sort.as_str().expect("a name")));
    }
    pairs.extend(reading.limit.map(|limit| format!("limit={limit}")));
    pairs
}

/// The meaning of a line of the data as [`pairs`].
fn meant(meaning: &str) -> BTreeSet<String> {
    let mut pairs = BTreeSet::new();
    for condition in meaning.split(';') {
        let (name, value) = condition.split_once('=').expect("a condition");
        let separator = match name {
            "like" => '|',
            "genres" | "without_genres" | "keywords" | "people" => ',',
            _ => '\0',
        };
        for value in value.split(separator) {
            pairs.insert(format!("{name}={}", value.to_lowercase()));
        }
    }
    pairs
}

/// The meant conditions that were read, those that were not, and those that were read but not meant. A keyword is right
/// if it is among the alternatives.
fn compare(meant: &BTreeSet<String>, read: &BTreeSet<String>) -> (usize, Vec<String>, Vec<String>) {
    let is_same = |meant: &str, read: &str| match (
        meant.strip_prefix("keywords="),
        read.strip_prefix("keywords="),
    ) {
        (Some(meant), Some(read)) => read
            .split('|')
            .any(|name| name == meant || name.contains(meant)),
        _ => meant == read,
    };
    let missing: Vec<String> = meant
        .iter()
        .filter(|meant| !read.iter().any(|read| is_same(meant, read)))
        .cloned()
        .collect();
    let wrong = read
        .iter()
        .filter(|read| !meant.iter().any(|meant| is_same(meant, read)))
        .cloned()
        .collect();
    (meant.len() - missing.len(), missing, wrong)
}

#[test]
fn nine_of_ten_filters_of_the_evaluation_set_are_right() {
    evaluate(&demo_catalogue(true));
}

#[test]
fn nine_of_ten_filters_are_right_without_korean_names_of_people() {
    evaluate(&demo_catalogue(false));
}

fn evaluate(catalogue: &Catalogue) {
    let vocabulary = Vocabulary::new(catalogue);
    let shows_held = std::env::args().any(|argument| argument == "--nocapture");
    for set in ["tune", "held"] {
        let (mut right, mut all) = ([0; 2], [0; 2]);
        for line in include_str!("../../tests/data/messages.tsv").lines() {
            let Some((message, meaning)) = line
                .strip_prefix(set)
                .and_then(|rest| rest.trim_start().split_once('\t'))
            else {
                continue;
            };
            let reading = read(message, &vocabulary, None, today());
            let (found, missing, wrong) = compare(&meant(meaning), &pairs(&reading, catalogue));
            let korean = usize::from(language(message) == MessageLanguage::Korean);
            right[korean] += found;
            all[korean] += found + missing.len() + wrong.len();
            if (set == "tune" || !shows_held) && missing.len() + wrong.len() > 0 {
                println!(
                    "{message}\n  missing {missing:?}, wrong {wrong:?}, unknown {:?}",
                    reading.not_understood
                );
            }
        }
        let share = |right: usize, all: usize| right as f64 / all as f64;
        println!(
            "{set}: {:.3} of filters right (English {:.3}, Korean {:.3})",
            share(right.iter().sum(), all.iter().sum()),
            share(right[0], all[0]),
            share(right[1], all[1]),
        );
        assert!(share(right.iter().sum(), all.iter().sum()) >= 0.9, "{set}");
    }
}

#[test]
fn reading_takes_milliseconds() {
    let catalogue = demo_catalogue(true);
    let vocabulary = Vocabulary::new(&catalogue);
    let messages = include_str!("../../tests/data/messages.tsv");
    let mut times: Vec<Duration> = messages
        .lines()
        .filter_map(|line| line.split('\t').nth(1))
        .map(|message| {
            let began = Instant::now();
            read(message, &vocabulary, None, today());
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    println!("p99 {p99:?} of {} messages", times.len());
    assert!(p99 <= Duration::from_millis(50), "{p99:?}");
    // Messages of the greatest length that repeat what is looked up most. The limit is for an unoptimized build.
    for part in [
        "같은 ",
        "이",
        "like a ",
        "무서운",
        "not ",
        "영화나",
        "다",
        "\"a\" ",
        "90",
        "a.",
        "감독 ",
    ] {
        let message: String = part.chars().cycle().take(MAX_MESSAGE_CHARS).collect();
        let began = Instant::now();
        read(&message, &vocabulary, None, today());
        let took = began.elapsed();
        println!("{took:?} for `{part}`");
        assert!(took <= Duration::from_secs(2), "{took:?} for `{part}`");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_and_its_reading_is_a_valid_filter(
        parts in prop::collection::vec(
            prop_oneof![
                "[가-힣]{1,4}", "[a-zA-Z]{1,8}", "[0-9]{1,5}", "\\PC{1,6}",
                prop::sample::select(vec![
                    "not", "없는", "같은", "like", "이상", "under", "시간", "'", "\"", "감독", "by", ",", "~", "편", "ㅋ",
                    "년대", "빼고", "between", "and", "점", "s", "+", ".",
                ]).prop_map(str::to_owned),
            ],
            0..40,
        ),
        spaces in any::<bool>(),
    ) {
        static NAMES: LazyLock<(Catalogue, Vocabulary)> = LazyLock::new(|| {
            let catalogue = demo_catalogue(true);
            let vocabulary = Vocabulary::new(&catalogue);
            (catalogue, vocabulary)
        });
        let (catalogue, vocabulary) = &*NAMES;
        let message = parts.join(if spaces { " " } else { "" });
        let reading = read(&message, vocabulary, None, today());
        let filter = reading.filters.parse();
        prop_assert!(filter.is_ok(), "{:?}", filter);
        prop_assert!(catalogue.genres().ids().check(&filter.unwrap_or_default()).is_empty());
        prop_assert!((0.0..=1.0).contains(&reading.confidence));
        prop_assert!(reading.like.iter().all(|id| catalogue.row(*id).is_some()));
        let composed: String = message.nfc().collect();
        prop_assert!(reading.not_understood.iter().all(|fragment| composed.contains(fragment.as_str())));
        prop_assert_eq!(read(&message, vocabulary, None, today()), reading);
    }
}
