//! Queries as users type them: drawn from the catalogue, popular movies more often, with their mistakes.

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use search::text::hangul;

use super::{
    movies::{Catalogue, Movie},
    vocabulary::Weighted,
};

/// Classes of queries by their shares.
pub(crate) const CLASSES: [(Class, f64); 10] = [
    (Class::Prefix, 25.0),
    (Class::Title, 15.0),
    (Class::OneError, 15.0),
    (Class::TwoErrors, 5.0),
    (Class::Person, 10.0),
    (Class::Korean, 10.0),
    (Class::Initials, 5.0),
    (Class::Layout, 5.0),
    (Class::Year, 5.0),
    (Class::Nonsense, 5.0),
];

/// A way in which a query is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// The start of a title, after any keystroke from the second on.
    Prefix,
    /// A whole title.
    Title,
    /// With a wrong letter in a word of four or more.
    OneError,
    /// With two in a word of eight or more.
    TwoErrors,
    /// The name of a member of cast or crew, whole or half.
    Person,
    /// A Korean title, whole or half typed.
    Korean,
    /// The initial consonants of one.
    Initials,
    /// One that is typed on the English layout.
    Layout,
    /// A title with its year.
    Year,
    /// Letters at random.
    Nonsense,
}

/// Queries that are expensive, to be measured each on its own.
pub(crate) fn worst() -> Vec<String> {
    let mut queries: Vec<String> = [
        "the",
        "of the",
        "a",
        "m",
        "s",
        "2",
        "love",
        "man",
        "the the the the",
        "ㅇ",
        "ㅇㅇ",
        "ㅅㅇ",
        "ㄱㅇ",
        "ㅅㅇㅇ",
        "더",
        "이",
        "thw lats dya fo teh yeat befroe erly mornng ligth",
        "aaaaaaaa",
        "international documentary",
        "star wors",
    ]
    .map(str::to_owned)
    .into();
    queries.push("x".repeat(100));
    queries.push(" ".repeat(255));
    queries
}

/// `count` queries with their classes; movies are chosen by the square root of their popularity.
pub(crate) fn queries(catalogue: &Catalogue, count: usize, seed: u64) -> Vec<(Class, String)> {
    /// No movie is as popular as this.
    const MAX_POPULARITY: f64 = 60.0;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let classes = Weighted::new(CLASSES);
    let mut queries = Vec::with_capacity(count);
    while queries.len() < count {
        let class = *classes.draw(&mut rng);
        // Not every movie has a name of every kind.
        let query = (0..1_000).find_map(|_| {
            let movie = catalogue.movie(rng.random_range(0..catalogue.count));
            let share = (movie.popularity / MAX_POPULARITY).sqrt().min(1.0);
            let is_chosen = rng.random_bool(share);
            is_chosen.then_some(())?;
            query(catalogue, &movie, class, &mut rng).filter(|query| query.chars().count() > 1)
        });
        queries.extend(query.map(|query| (class, query)));
    }
    queries
}

fn query(
    catalogue: &Catalogue,
    movie: &Movie,
    class: Class,
    rng: &mut ChaCha8Rng,
) -> Option<String> {
    let lower = movie.title.to_lowercase();
    Some(match class {
        Class::Prefix => start(&lower, rng),
        Class::Title => lower,
        Class::OneError => with_errors(&lower, 4, 1, rng)?,
        Class::TwoErrors => with_errors(&lower, 8, 2, rng)?,
        Class::Person => {
            let person = &catalogue.vocabulary.people.items[*movie.people.choose(rng)?];
            if rng.random_bool(0.5) {
                person.name.to_lowercase()
            } else {
                start(&person.name.to_lowercase(), rng)
            }
        }
        Class::Korean => {
            let title = movie.korean_title()?;
            if rng.random_bool(0.5) {
                title.to_owned()
            } else {
                half_typed(title, rng)
            }
        }
        Class::Initials => {
            let initials: String = movie
                .korean_title()?
                .chars()
                .filter(|letter| hangul::is_syllable(*letter))
                .filter_map(hangul::initial)
                .collect();
            initials.chars().take(rng.random_range(2..=6)).collect()
        }
        Class::Layout => {
            let words: Option<Vec<String>> = movie
                .korean_title()?
                .split_whitespace()
                .map(hangul::typed_in_english)
                .collect();
            words?.join(" ")
        }
        Class::Year => format!("{lower} {}", movie.year?),
        Class::Nonsense => {
            let count = rng.random_range(4..=12);
            (0..count)
                .map(|_| rng.random_range(b'a'..=b'z') as char)
                .collect()
        }
    })
}

/// The first two or more letters.
fn start(text: &str, rng: &mut ChaCha8Rng) -> String {
    let count = text.chars().count();
    text.chars()
        .take(rng.random_range(2..=count.max(2)))
        .collect()
}

/// A start whose last syllable lacks its end.
fn half_typed(text: &str, rng: &mut ChaCha8Rng) -> String {
    let mut letters: Vec<char> = start(text, rng).chars().collect();
    if let Some(last) = letters.pop_if(|last| hangul::is_syllable(*last)) {
        let (place, syllable) = (u32::from(last) - 0xAC00, rng.random_range(0..3));
        // The initial consonant alone, without the final, or whole.
        let half = match syllable {
            0 => hangul::initial(last),
            1 => char::from_u32(0xAC00 + place / 28 * 28),
            _ => Some(last),
        };
        letters.extend(half);
    }
    letters.into_iter().collect()
}

/// `text` with `count` errors in one word of at least `least` letters.
fn with_errors(text: &str, least: usize, count: usize, rng: &mut ChaCha8Rng) -> Option<String> {
    let mut words: Vec<Vec<char>> = text.split(' ').map(|word| word.chars().collect()).collect();
    let is_long =
        |word: &Vec<char>| word.len() >= least && word.iter().all(|letter| letter.is_alphabetic());
    let places: Vec<usize> = (0..words.len())
        .filter(|place| is_long(&words[*place]))
        .collect();
    let word = &mut words[*places.choose(rng)?];
    for _ in 0..count {
        // The first letter is rarely wrong.
        let at = rng.random_range(1..word.len() - 1);
        let letter = rng.random_range(b'a'..=b'z') as char;
        match rng.random_range(0..4) {
            0 => word[at] = letter,
            1 => word.insert(at, letter),
            2 => drop(word.remove(at)),
            _ => word.swap(at, at + 1),
        }
    }
    Some(
        words
            .iter()
            .map(|word| word.iter().collect::<String>())
            .collect::<Vec<_>>()
            .join(" "),
    )
}
