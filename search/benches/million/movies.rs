//! A catalogue of movies: those of the demo catalogue under their own ids, then generated ones. Each is made of its
//! number alone, so that a catalogue of 10,000 movies is the beginning of that of a million, and any movie can be made
//! again without the others.

use std::path::Path;

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::vocabulary::{Person, SCRIPTS, Vocabulary, Weighted, rows};

const SEED: u64 = 14;
/// Ids of generated movies begin here, above those of TMDB.
const FIRST_ID: i64 = 10_000_000;
/// The shares of titles that another movie has too, and of sequels.
const DUPLICATES: f64 = 0.06;
const SEQUELS: f64 = 0.05;

/// Original languages by their shares, estimated for TMDB as a whole.
const LANGUAGES: [(&str, f64); 19] = [
    ("en", 50.0),
    ("fr", 6.0),
    ("es", 6.0),
    ("de", 5.0),
    ("ja", 5.0),
    ("zh", 5.0),
    ("pt", 4.0),
    ("it", 3.5),
    ("ru", 3.0),
    ("ko", 2.5),
    ("hi", 1.5),
    ("te", 1.0),
    ("pl", 1.5),
    ("nl", 1.5),
    ("sv", 1.5),
    ("tr", 1.5),
    ("cs", 1.0),
    ("ar", 0.3),
    ("th", 0.3),
];
/// Languages of translations.
const TRANSLATIONS: [(&str, f64); 19] = [
    ("de", 12.0),
    ("fr", 12.0),
    ("es", 12.0),
    ("pt", 10.0),
    ("ru", 10.0),
    ("it", 8.0),
    ("zh", 8.0),
    ("pl", 4.0),
    ("ja", 4.0),
    ("hu", 3.0),
    ("cs", 3.0),
    ("nl", 3.0),
    ("tr", 3.0),
    ("he", 2.0),
    ("ar", 2.0),
    ("sv", 1.0),
    ("th", 1.0),
    ("hi", 1.0),
    ("da", 1.0),
];
/// Bands of numbers of votes by their shares.
const VOTES: [((f64, f64), f64); 7] = [
    ((1.0, 1.0), 35.0),
    ((2.0, 6.0), 30.0),
    ((7.0, 31.0), 20.0),
    ((32.0, 301.0), 10.0),
    ((302.0, 3_001.0), 4.0),
    ((3_002.0, 15_001.0), 0.9),
    ((15_002.0, 38_000.0), 0.1),
];
/// First years of decades by their shares.
const DECADES: [(u16, f64); 12] = [
    (1910, 1.0),
    (1920, 1.0),
    (1930, 3.0),
    (1940, 4.0),
    (1950, 5.0),
    (1960, 6.0),
    (1970, 8.0),
    (1980, 8.0),
    (1990, 11.0),
    (2000, 20.0),
    (2010, 22.0),
    (2020, 11.0),
];

/// A movie.
#[derive(Debug, Clone, Default)]
pub(crate) struct Movie {
    pub(crate) id: i64,
    pub(crate) title: String,
    pub(crate) original_title: String,
    pub(crate) language: String,
    pub(crate) year: Option<u16>,
    pub(crate) votes: u32,
    pub(crate) popularity: f64,
    pub(crate) genres: Vec<u32>,
    /// Translations with their languages, and alternative titles.
    pub(crate) others: Vec<(String, Option<&'static str>)>,
    /// Members of cast and crew, and keywords, by their places in the vocabulary.
    pub(crate) people: Vec<usize>,
    pub(crate) keywords: Vec<usize>,
}

impl Movie {
    /// The Korean title.
    pub(crate) fn korean_title(&self) -> Option<&str> {
        let translated = self
            .others
            .iter()
            .find(|(_, language)| *language == Some("ko"));
        translated
            .map(|(title, _)| title.as_str())
            .or((self.language == "ko").then_some(&self.original_title))
    }
}

/// The catalogue.
pub(crate) struct Catalogue {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) count: usize,
    demo: Vec<Movie>,
    languages: Weighted<&'static str>,
    translations: Weighted<&'static str>,
    votes: Weighted<(f64, f64)>,
    decades: Weighted<u16>,
}

impl Catalogue {
    /// A catalogue of `count` movies of the words in `data`, with those in `demo`.
    pub(crate) fn new(data: &Path, demo: &Path, count: usize) -> Self {
        let (demo, people, keywords) = read_demo(demo);
        Self {
            vocabulary: Vocabulary::read(data, people, keywords, SEED),
            count,
            demo,
            languages: Weighted::new(LANGUAGES),
            translations: Weighted::new(TRANSLATIONS),
            votes: Weighted::new(VOTES),
            decades: Weighted::new(DECADES),
        }
    }

    /// The movie of a number.
    pub(crate) fn movie(&self, number: usize) -> Movie {
        if let Some(movie) = self.demo.get(number) {
            return movie.clone();
        }
        let (mut movie, mut rng) = self.titled(number);
        self.add_titles(&mut movie, &mut rng);
        let words = &self.vocabulary;
        let cast = match rng.random_range(0..10) {
            0 | 1 => 0,
            2 => rng.random_range(1..=2),
            _ => 5,
        };
        let directors = match rng.random_range(0..100) {
            0 | 1 => 0,
            2..8 => 2,
            _ => 1,
        };
        movie.people = (0..cast + directors)
            .map(|_| words.people.place(&mut rng))
            .collect();
        if rng.random_bool(0.55) {
            let count = (1 + geometric(&mut rng, 4.0)).min(20);
            movie.keywords = (0..count).map(|_| words.keywords.place(&mut rng)).collect();
            movie.keywords.sort_unstable();
            movie.keywords.dedup();
        }
        movie.genres = words.genres.choose(&mut rng).expect("genres").clone();
        movie
    }

    /// The names of the people and keywords of a movie, and its year.
    pub(crate) fn texts_of(&self, movie: &Movie) -> impl Iterator<Item = String> {
        let people = movie
            .people
            .iter()
            .map(|person| &self.vocabulary.people.items[*person]);
        let people = people.flat_map(|person| std::iter::once(&person.name).chain(&person.korean));
        let keywords = movie
            .keywords
            .iter()
            .map(|keyword| &self.vocabulary.keywords.items[*keyword]);
        people
            .chain(keywords)
            .cloned()
            .chain(movie.year.map(|year| year.to_string()))
    }

    /// The number, titles in the own and the catalogue's language, and votes.
    fn titled(&self, number: usize) -> (Movie, ChaCha8Rng) {
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        rng.set_stream(number as u64);
        let rng = &mut rng;
        let (least, most) = *self.votes.draw(rng);
        let votes = (rng.random_range(least.ln()..=most.ln()).exp() - 1.0) as u32;
        let mut movie = Movie {
            id: FIRST_ID + number as i64,
            language: (*self.languages.draw(rng)).to_owned(),
            year: Some(self.decades.draw(rng) + rng.random_range(0..10)),
            votes,
            popularity: 0.6 + 3.0 * (1.0 + f64::from(votes)).ln() * rng.random_range(0.5..1.5),
            ..Movie::default()
        };
        let before = self.demo.len() + 1;
        let kind = rng.random_range(0.0..1.0);
        if number > before && kind < DUPLICATES + SEQUELS {
            let (other, _) = self.titled(rng.random_range(before - 1..number));
            movie.language = other.language;
            let ending = if kind < DUPLICATES {
                ""
            } else {
                [" 2", " II", ": Part Two", " Vol. 3"]
                    .choose(rng)
                    .expect("endings")
            };
            (movie.title, movie.original_title) =
                (other.title + ending, other.original_title + ending);
            return (movie, rng.clone());
        }
        let is_english = movie.language == "en";
        movie.original_title = self.title_in(&movie.language, rng);
        movie.title = if is_english || rng.random_bool(0.3) {
            movie.original_title.clone()
        } else {
            self.vocabulary.english.title(rng)
        };
        (movie, rng.clone())
    }

    fn title_in(&self, language: &str, rng: &mut ChaCha8Rng) -> String {
        match language {
            "en" => self.vocabulary.english.title(rng),
            "ko" => self.vocabulary.korean.title(rng),
            language => match SCRIPTS.iter().position(|(script, ..)| *script == language) {
                Some(script) => self.title_by_chain(script, rng),
                None => self.vocabulary.foreign.title(rng),
            },
        }
    }

    fn title_by_chain(&self, script: usize, rng: &mut ChaCha8Rng) -> String {
        let chains = &self.vocabulary.chains;
        match SCRIPTS[script].0 {
            "zh" => chains[script].word(1, 3, 12, rng),
            // Kana and Han alternate.
            "ja" => format!(
                "{}{}",
                chains[script].word(1, 2, 8, rng),
                chains[0].word(1, 1, 4, rng)
            ),
            _ => {
                let words = 1 + geometric(rng, 1.5).min(6);
                let words: Vec<String> = (0..words)
                    .map(|_| chains[script].word(1, 2, 10, rng))
                    .collect();
                words.join(" ")
            }
        }
    }

    /// Adds translations and alternative titles, more to movies that many know.
    fn add_titles(&self, movie: &mut Movie, rng: &mut ChaCha8Rng) {
        let korean = match movie.votes {
            1_000.. => 0.8,
            31.. => 0.3,
            _ => 0.08,
        };
        if movie.language != "ko" && rng.random_bool(korean) {
            movie
                .others
                .push((self.vocabulary.korean.title(rng), Some("ko")));
        }
        let count = if movie.votes > 1_000 {
            rng.random_range(10..=30)
        } else {
            geometric(rng, 2.3).min(12)
        };
        for _ in 0..count {
            let language = *self.translations.draw(rng);
            movie
                .others
                .push((self.title_in(language, rng), Some(language)));
        }
        for _ in 0..geometric(rng, 0.8).min(12) {
            let title = if rng.random_bool(0.5) {
                &self.vocabulary.english
            } else {
                &self.vocabulary.foreign
            }
            .title(rng);
            movie.others.push((title, None));
        }
    }
}

/// A geometric number from 0 on.
fn geometric(rng: &mut ChaCha8Rng, mean: f64) -> usize {
    let stop: f64 = 1.0 / (1.0 + mean);
    (rng.random_range(f64::MIN_POSITIVE..1.0).ln() / (1.0 - stop).ln()) as usize
}

/// The movies of the demo catalogue, their people and their keywords.
fn read_demo(demo: &Path) -> (Vec<Movie>, Vec<Person>, Vec<String>) {
    let korean: Vec<[String; 2]> = rows(
        &demo.join("people_korean_names.tsv"),
        ["name", "korean_names"],
    );
    let (mut people, mut keywords): (Vec<Person>, Vec<String>) = Default::default();
    let names = [
        "id",
        "title",
        "original_title",
        "korean_title",
        "language",
        "release_date",
        "genre_ids",
        "vote_count",
        "directors",
        "cast",
        "keywords",
    ];
    let movies = rows(&demo.join("movies.tsv"), names)
        .into_iter()
        .map(|row| {
            let [
                id,
                title,
                original,
                korean_title,
                language,
                date,
                genres,
                votes,
                directors,
                cast,
                words,
            ] = row;
            let list = |text: &str| {
                text.split('|')
                    .filter(|part| !part.is_empty())
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            let mut movie = Movie {
                id: id.parse().expect("an id"),
                original_title: if original.is_empty() {
                    title.clone()
                } else {
                    original
                },
                title,
                language,
                year: date.get(..4).and_then(|year| year.parse().ok()),
                votes: votes.parse().unwrap_or(0),
                genres: list(&genres)
                    .iter()
                    .filter_map(|genre| genre.parse().ok())
                    .collect(),
                ..Movie::default()
            };
            movie.popularity = 0.6 + 3.0 * (1.0 + f64::from(movie.votes)).ln();
            movie
                .others
                .extend((!korean_title.is_empty()).then_some((korean_title, Some("ko"))));
            for name in list(&directors).into_iter().chain(list(&cast)) {
                let known = people.iter().position(|person| person.name == name);
                movie.people.push(known.unwrap_or(people.len()));
                if known.is_none() {
                    let korean = korean.iter().find(|[known, _]| *known == name);
                    let korean = korean
                        .and_then(|[_, names]| names.split('|').next())
                        .map(str::to_owned);
                    people.push(Person { name, korean });
                }
            }
            for word in list(&words) {
                let known = keywords.iter().position(|keyword| *keyword == word);
                movie.keywords.push(known.unwrap_or(keywords.len()));
                if known.is_none() {
                    keywords.push(word);
                }
            }
            movie
        });
    let movies = movies.collect();
    (movies, people, keywords)
}
