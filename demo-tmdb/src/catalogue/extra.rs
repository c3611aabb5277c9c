//! Generated films, for tests that need thousands. Everything about them is made up, as their titles show.

use chrono::NaiveDate;

use super::derive::{popularity, stable_number};
use super::{Catalogue, Film, FilmId, GENRES};

/// Generated films are numbered from here, above all of TMDB's ids.
const FILM_ID_BASE: FilmId = 10_000_000;
const PEOPLE: u64 = 500;
const KEYWORDS: u64 = 60;
const LANGUAGES: [&str; 8] = ["en", "en", "en", "ko", "ja", "fr", "es", "de"];

/// Adds `count` films. The first films of a larger count are the same as those of a smaller one.
pub(super) fn add_films(catalogue: &mut Catalogue, count: i64) {
    if count == 0 {
        return;
    }
    let people = (1..=PEOPLE).map(|number| format!("Demo Person {number:03}"));
    let people = catalogue.people.ids(people);
    let keywords = (1..=KEYWORDS).map(|number| format!("demo keyword {number:02}"));
    let keywords = catalogue.keywords.ids(keywords);
    let first_day = NaiveDate::from_ymd_opt(1950, 1, 1).expect("a day of the calendar");

    for number in 1..=count {
        let id = FILM_ID_BASE + number;
        let roll = |salt: u64, sides: u64| stable_number(id, salt) % sides;
        // Up to the end of 2024, so that generated movies do not displace real ones in lists of new movies.
        let release_date = first_day.checked_add_days(chrono::Days::new(roll(1, 27_394)));
        let vote_average = 3.0 + roll(2, 60) as f64 / 10.0;
        // Squared, so that most have few votes and few have many, as with real films.
        let vote_count = (roll(3, 100) * roll(4, 100)) as u32;
        let language = LANGUAGES[roll(5, LANGUAGES.len() as u64) as usize];
        let korean_title = format!("데모 영화 {number:06}");
        let title = format!("Demo Film {number:06}");
        catalogue.films.insert(
            id,
            Film {
                id,
                original_title: if language == "ko" {
                    korean_title.clone()
                } else {
                    title.clone()
                },
                title,
                korean_title: Some(korean_title),
                language: language.to_owned(),
                release_date,
                runtime: 75 + roll(6, 90) as u32,
                genres: some_of(&GENRES.map(|genre| genre.0), 1 + roll(7, 3), |index| {
                    roll(20 + index, u64::MAX)
                }),
                popularity: popularity(vote_average, vote_count, true, release_date),
                vote_average,
                vote_count,
                directors: some_of(&people, 1, |index| roll(40 + index, u64::MAX)),
                cast: some_of(&people, 5, |index| roll(60 + index, u64::MAX)),
                keywords: some_of(&keywords, roll(8, 9), |index| roll(80 + index, u64::MAX)),
                imdb_id: Some(format!("tt99{number:08}")),
                overview: None,
                adult: false,
            },
        );
    }
}

/// Up to `count` different ones of `from`, chosen by `roll`.
fn some_of(from: &[u32], count: u64, roll: impl Fn(u64) -> u64) -> Vec<u32> {
    let mut chosen = Vec::new();
    for index in 0..count {
        let item = from[(roll(index) % from.len() as u64) as usize];
        if !chosen.contains(&item) {
            chosen.push(item);
        }
    }
    chosen
}
