//! A deterministic synthetic catalogue with skewed distributions like TMDB's.

use std::borrow::Cow;

use chrono::{Days, NaiveDate};
use movie_service::models::{FilmFacts, MovieAttributes};
use rand::{Rng, SeedableRng, rngs::StdRng};

pub(crate) const GENRES: [(i32, &str); 19] = [
    (18, "Drama"),
    (35, "Comedy"),
    (53, "Thriller"),
    (10749, "Romance"),
    (28, "Action"),
    (99, "Documentary"),
    (27, "Horror"),
    (80, "Crime"),
    (16, "Animation"),
    (10751, "Family"),
    (12, "Adventure"),
    (878, "Science Fiction"),
    (9648, "Mystery"),
    (14, "Fantasy"),
    (10402, "Music"),
    (10770, "TV Movie"),
    (36, "History"),
    (10752, "War"),
    (37, "Western"),
];
const LANGUAGES: [&str; 40] = [
    "en", "fr", "es", "ja", "de", "ko", "zh", "pt", "it", "ru", "hi", "ar", "tr", "pl", "sv", "nl",
    "da", "cs", "fi", "no", "el", "hu", "ro", "th", "id", "vi", "he", "fa", "ta", "te", "ml", "bn",
    "uk", "sr", "hr", "bg", "tl", "ka", "is", "bi",
];
const COUNTRIES: [&str; 20] = [
    "US", "FR", "ES", "JP", "DE", "KR", "CN", "BR", "IT", "RU", "IN", "GB", "TR", "PL", "SE", "NL",
    "DK", "CZ", "FI", "NO",
];
const REGIONS: [&str; 10] = ["US", "KR", "JP", "GB", "DE", "FR", "ES", "BR", "IN", "CA"];
const KEYWORDS: u32 = 50_000;
const PEOPLE: u32 = 300_000;

/// A movie of the synthetic catalogue.
pub(crate) struct Film {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) title: String,
    pub(crate) language: &'static str,
    pub(crate) release_date: Option<NaiveDate>,
    pub(crate) runtime: Option<i32>,
    pub(crate) popularity: f64,
    pub(crate) vote_average: f64,
    pub(crate) vote_count: i32,
    pub(crate) genre_ids: Vec<i32>,
    pub(crate) countries: Vec<String>,
    pub(crate) keywords: Vec<(i64, String)>,
    pub(crate) people: Vec<(i64, String)>,
    pub(crate) providers: Vec<(&'static str, i64, String)>,
}

impl Film {
    pub(crate) fn facts(&self) -> FilmFacts<'_> {
        let named = |list: &'_ [(i64, String)]| -> Vec<(i64, Cow<'_, str>)> {
            list.iter()
                .map(|(id, name)| (*id, Cow::Owned(name.clone())))
                .collect()
        };
        FilmFacts {
            id: self.id,
            version: self.version,
            updated_at: self.version,
            title: &self.title,
            popularity: self.popularity,
            attributes: MovieAttributes {
                language: self.language,
                release_date: self.release_date,
                runtime: self.runtime,
                vote_average: self.vote_average,
                vote_count: self.vote_count,
                genre_ids: self.genre_ids.clone(),
                countries: Cow::Borrowed(&self.countries),
                keywords: named(&self.keywords),
                people: named(&self.people),
                other_names: Vec::new(),
                providers: self
                    .providers
                    .iter()
                    .map(|(region, id, name)| {
                        (Cow::Borrowed(*region), (*id, Cow::Borrowed(name.as_str())))
                    })
                    .collect(),
            },
        }
    }
}

/// A number below `count`, skewed to low ones by `skew`.
fn skewed(random: &mut StdRng, count: u32, skew: f64) -> u32 {
    (f64::from(count) * random.random::<f64>().powf(skew)) as u32
}

fn title(random: &mut StdRng) -> String {
    const SYLLABLES: [&str; 24] = [
        "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu",
        "va", "we", "xi", "yo", "zu", "ar", "en", "is", "ol",
    ];
    let words = random.random_range(1..5);
    let mut title = String::new();
    let korean = random.random_bool(0.08);
    for word in 0..words {
        if word > 0 {
            title.push(' ');
        }
        for letter in 0..random.random_range(2..5) {
            if korean {
                title.extend(char::from_u32(random.random_range(0xac00..0xd7a4)));
            } else if letter == 0 {
                let syllable = SYLLABLES[random.random_range(0..SYLLABLES.len())];
                title.push_str(&syllable[..1].to_uppercase());
                title.push_str(&syllable[1..]);
            } else {
                title.push_str(SYLLABLES[random.random_range(0..SYLLABLES.len())]);
            }
        }
    }
    title
}

/// Movie `id`, always the same.
pub(crate) fn film(id: i64) -> Film {
    let mut random = StdRng::seed_from_u64(id.unsigned_abs());
    let random = &mut random;
    let mut genre_ids: Vec<i32> = (0..random.random_range(1..4))
        .map(|_| GENRES[skewed(random, 19, 1.7) as usize].0)
        .collect();
    genre_ids.sort_unstable();
    genre_ids.dedup();
    let mut named = |count: usize, of: u32, skew: f64, what: &str| -> Vec<(i64, String)> {
        (0..count)
            .map(|_| {
                let id = i64::from(skewed(random, of, skew));
                (id, format!("{what} {id}"))
            })
            .collect()
    };
    let keywords = named((id % 12) as usize, KEYWORDS, 1.8, "keyword");
    let people = named((id % 15 + 2) as usize, PEOPLE, 1.5, "Person");
    let mut providers = Vec::new();
    if random.random_bool(0.3) {
        for region in REGIONS {
            if random.random_bool(0.3) {
                for _ in 0..random.random_range(1..4) {
                    let provider = i64::from(skewed(random, 15, 1.5)) + 8;
                    providers.push((region, provider, format!("Provider {provider}")));
                }
            }
        }
    }
    let release_date = random.random_bool(0.95).then(|| {
        let last = NaiveDate::from_ymd_opt(2026, 12, 31).unwrap();
        last - Days::new((46_000.0 * random.random::<f64>().powf(2.5)) as u64)
    });
    let thousandths = |value: f64| (value * 1000.0).round() / 1000.0;
    Film {
        id,
        version: 1,
        title: title(random),
        language: LANGUAGES[skewed(random, 40, 3.0) as usize],
        release_date,
        runtime: random
            .random_bool(0.75)
            .then(|| random.random_range(1..70) + random.random_range(1..70)),
        popularity: thousandths(0.6 / (1.0 - random.random::<f64>()).powf(0.8)),
        vote_average: thousandths(10.0 * random.random::<f64>().powf(0.6)),
        vote_count: (1.0 / (1.0 - random.random::<f64>()).powf(1.2)) as i32,
        genre_ids,
        countries: vec![COUNTRIES[skewed(random, 20, 2.0) as usize].to_owned()],
        keywords,
        people,
        providers,
    }
}
