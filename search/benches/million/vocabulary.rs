//! The vocabulary of titles, people and keywords: the words of real catalogues with their frequencies, and words invented
//! after them, since the vocabulary of a million movies is larger than that of the catalogues that are at hand.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use icu_normalizer::ComposingNormalizerBorrowed;
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

/// Invented words: in English titles, in translations, in Korean titles.
const INVENTED: [usize; 3] = [180_000, 250_000, 40_000];
/// Distinct members of casts and crews.
const PEOPLE: usize = 300_000;
/// The share of words of titles that are invented.
const INVENTED_SHARE: f64 = 0.11;
/// The share of people with a Korean name.
const KOREAN_NAMES: f64 = 0.08;
const MAX_TITLE_CHARS: usize = 200;

/// Words that a title keeps when its other words are replaced.
const KEPT: &str = " the of a and in to for on with at my is from an i you no me by vs la le de el il der die das les l une un \
                    del et und du des los las en & do da di ";

/// The scripts of titles that are not in Latin letters, with the first and last letters that tell them.
pub(crate) const SCRIPTS: [(&str, char, char); 8] = [
    ("zh", '\u{4E00}', '\u{9FFF}'),
    ("ja", '\u{3040}', '\u{30FF}'),
    ("ru", '\u{400}', '\u{4FF}'),
    ("hi", '\u{900}', '\u{97F}'),
    ("th", '\u{E00}', '\u{E7F}'),
    ("ar", '\u{600}', '\u{6FF}'),
    ("he", '\u{590}', '\u{5FF}'),
    ("te", '\u{C00}', '\u{C7F}'),
];

/// Items that are drawn by their weights.
pub(crate) struct Weighted<T> {
    pub(crate) items: Vec<T>,
    sums: Vec<f64>,
}

impl<T> Weighted<T> {
    pub(crate) fn new(weights: impl IntoIterator<Item = (T, f64)>) -> Self {
        let mut sum = 0.0;
        let (items, sums) = weights
            .into_iter()
            .map(|(item, weight)| {
                sum += weight;
                (item, sum)
            })
            .unzip();
        Self { items, sums }
    }

    /// The place of an item.
    pub(crate) fn place(&self, rng: &mut ChaCha8Rng) -> usize {
        let at = rng.random_range(0.0..*self.sums.last().expect("items"));
        self.sums
            .partition_point(|sum| *sum <= at)
            .min(self.items.len() - 1)
    }

    pub(crate) fn draw(&self, rng: &mut ChaCha8Rng) -> &T {
        &self.items[self.place(rng)]
    }
}

/// Letters by the letters before them; `\0` is the start and the end.
#[derive(Default)]
pub(crate) struct Chain(HashMap<[char; 2], Vec<char>>);

impl Chain {
    /// Learns words by the last `order` letters, 1 or 2.
    fn learn<'w>(words: impl IntoIterator<Item = &'w str>, order: usize) -> Self {
        let mut next: HashMap<[char; 2], Vec<char>> = HashMap::new();
        for word in words {
            let mut before = ['\0'; 2];
            for letter in word.chars().chain(['\0']) {
                next.entry(before).or_default().push(letter);
                before = [if order > 1 { before[1] } else { '\0' }, letter];
            }
        }
        Self(next)
    }

    /// A word of `least` to `most` letters.
    pub(crate) fn word(
        &self,
        order: usize,
        least: usize,
        most: usize,
        rng: &mut ChaCha8Rng,
    ) -> String {
        let (mut word, mut before, mut count) = (String::new(), ['\0'; 2], 0);
        while count < most {
            let letter = self
                .0
                .get(&before)
                .and_then(|next| next.choose(rng))
                .copied()
                .unwrap_or('\0');
            if letter == '\0' {
                if count >= least || self.0.is_empty() {
                    break;
                }
                before = ['\0'; 2];
                continue;
            }
            word.push(letter);
            count += 1;
            before = [if order > 1 { before[1] } else { '\0' }, letter];
        }
        word
    }
}

/// Titles of one kind of languages: their shapes and their words.
pub(crate) struct Titles {
    pub(crate) shapes: Vec<String>,
    words: Weighted<String>,
    invented: Vec<String>,
}

impl Titles {
    fn new(shapes: Vec<String>, invented: usize, order: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut counts: BTreeMap<String, f64> = BTreeMap::new();
        for word in shapes
            .iter()
            .flat_map(|title| title.split_whitespace())
            .map(core)
        {
            if is_replaced(word) {
                *counts.entry(word.to_lowercase()).or_insert(0.0) += 1.0;
            }
        }
        let chain = Chain::learn(counts.keys().map(String::as_str), order);
        let mut known: HashSet<String> = counts.keys().cloned().collect();
        let mut words = Vec::with_capacity(invented);
        let (least, most) = if order > 1 { (3, 12) } else { (2, 6) };
        while words.len() < invented {
            let word = chain.word(order, least, most, rng);
            if known.insert(word.clone()) {
                words.push(word);
            }
        }
        Self {
            shapes,
            words: Weighted::new(counts),
            invented: words,
        }
    }

    /// A title in the shape of a real one.
    pub(crate) fn title(&self, rng: &mut ChaCha8Rng) -> String {
        let shape = self.shapes.choose(rng).expect("titles");
        let mut title = String::with_capacity(shape.len() + 16);
        for token in shape.split_whitespace() {
            if !title.is_empty() {
                title.push(' ');
            }
            let word = core(token);
            if !is_replaced(word) {
                title.push_str(token);
                continue;
            }
            let new = if rng.random_bool(INVENTED_SHARE) {
                self.invented.choose(rng).expect("words")
            } else {
                self.words.draw(rng)
            };
            let (before, after) = token
                .split_once(word)
                .expect("the word is part of its token");
            title.push_str(before);
            let mut letters = new.chars();
            match letters.next() {
                Some(first) if word.starts_with(char::is_uppercase) => {
                    title.extend(first.to_uppercase())
                }
                first => title.extend(first),
            }
            title.push_str(letters.as_str());
            title.push_str(after);
        }
        title
    }
}

/// A token without punctuation around it.
fn core(token: &str) -> &str {
    token.trim_matches(|letter: char| !letter.is_alphanumeric())
}

/// True for words, false for numbers and words without which no title is a title.
fn is_replaced(word: &str) -> bool {
    !word.is_empty()
        && !word.contains(|letter: char| letter.is_ascii_digit())
        && !KEPT.contains(&format!(" {} ", word.to_lowercase()))
}

/// A member of casts and crews.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) korean: Option<String>,
}

/// All of it.
pub(crate) struct Vocabulary {
    pub(crate) english: Titles,
    pub(crate) foreign: Titles,
    pub(crate) korean: Titles,
    pub(crate) chains: Vec<Chain>,
    pub(crate) people: Weighted<Person>,
    pub(crate) keywords: Weighted<String>,
    pub(crate) genres: Vec<Vec<u32>>,
}

impl Vocabulary {
    /// Reads the catalogues in `data`. The first people and keywords are those of `known`.
    pub(crate) fn read(data: &Path, people: Vec<Person>, keywords: Vec<String>, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut english, mut foreign, mut genres) = (Vec::new(), Vec::new(), Vec::new());
        for [title, names] in rows(
            &data.join("ml-25m-catalogue/movies.csv.gz"),
            ["title", "genres"],
        ) {
            let (main, others) = split_title(&title);
            english.push(main);
            foreign.extend(others);
            genres.push(names.split('|').filter_map(genre).collect());
        }
        let mut originals = Vec::new();
        for [title, original] in rows(
            &data.join("tmdb-2010s-list/tmdb.movies.csv.gz"),
            ["title", "original_title"],
        ) {
            if title != original {
                originals.push(original);
            }
            english.push(title);
        }
        let mut korean = Vec::new();
        let path = data.join("tmdb-ko/korean_titles.csv");
        for [title, original] in rows(&path, ["korean_title", "original_title"]) {
            korean.push(title);
            originals.push(original);
        }
        korean.extend(
            rows(&data.join("kmrd-small/movies.txt"), ["title"])
                .into_iter()
                .flatten(),
        );
        let path = data.join("korean-boxoffice");
        korean.extend(
            rows(&path.join("boxoffice_movies.csv"), ["movieTitle"])
                .into_iter()
                .flatten(),
        );
        korean.extend(
            rows(&path.join("naver_movies.csv"), ["korean_title"])
                .into_iter()
                .flatten(),
        );
        foreign.extend(
            originals
                .iter()
                .filter(|title| title.chars().all(is_latin))
                .cloned(),
        );
        for titles in [&mut english, &mut foreign, &mut korean] {
            titles.retain(|title| {
                !title.trim().is_empty() && title.chars().count() <= MAX_TITLE_CHARS
            });
        }
        korean.retain(|title| title.chars().any(|letter| ('가'..='힣').contains(&letter)));
        let chains = SCRIPTS.map(|(_, first, last)| {
            let is_of = |letter: char| (first..=last).contains(&letter);
            let words = originals
                .iter()
                .flat_map(|title| title.split(move |letter| !is_of(letter)));
            Chain::learn(words.filter(|word| !word.is_empty()), 1)
        });
        let korean = Titles::new(korean, INVENTED[2], 1, &mut rng);
        Self {
            people: people_of(data, people, &korean, &mut rng),
            keywords: keywords_of(data, keywords),
            english: Titles::new(english, INVENTED[0], 2, &mut rng),
            foreign: Titles::new(foreign, INVENTED[1], 2, &mut rng),
            korean,
            chains: chains.into(),
            genres,
        }
    }
}

fn is_latin(letter: char) -> bool {
    letter < '\u{250}' || ('\u{2010}'..'\u{2030}').contains(&letter)
}

/// `Matrix, The (a.k.a. Neo) (1999)` as `The Matrix` and its other titles.
fn split_title(title: &str) -> (String, Vec<String>) {
    let with_article_first = |title: &str| match title.trim().rsplit_once(", ") {
        Some((rest, article)) if KEPT.contains(&format!(" {} ", article.to_lowercase())) => {
            format!("{article} {rest}")
        }
        _ => title.trim().to_owned(),
    };
    let mut parts = title.split(" (");
    let main = with_article_first(parts.next().unwrap_or_default());
    let others = parts
        .map(|part| {
            part.trim_end()
                .trim_end_matches(')')
                .trim_start_matches("a.k.a. ")
        })
        .filter(|part| !part.starts_with(|letter: char| letter.is_ascii_digit()))
        .map(with_article_first);
    (main, others.collect())
}

/// TMDB's id of a genre of MovieLens.
fn genre(name: &str) -> Option<u32> {
    Some(match name {
        "Action" => 28,
        "Adventure" => 12,
        "Animation" => 16,
        "Children" => 10751,
        "Comedy" => 35,
        "Crime" | "Film-Noir" => 80,
        "Documentary" => 99,
        "Drama" => 18,
        "Fantasy" => 14,
        "Horror" => 27,
        "Musical" => 10402,
        "Mystery" => 9648,
        "Romance" => 10749,
        "Sci-Fi" => 878,
        "Thriller" => 53,
        "War" => 10752,
        "Western" => 37,
        _ => return None,
    })
}

/// Real people, then people with the given name of one and the family name of another.
fn people_of(
    data: &Path,
    mut people: Vec<Person>,
    korean: &Titles,
    rng: &mut ChaCha8Rng,
) -> Weighted<Person> {
    let names = rows(&data.join("kmrd-small/peoples.txt"), ["original", "korean"]);
    let in_korean: BTreeMap<String, String> = names
        .into_iter()
        .map(|[name, korean]| (name, korean))
        .collect();
    let mut names: Vec<String> = in_korean.keys().cloned().collect();
    let path = data.join("tmdb-2018-credits/themoviedb.csv.gz");
    for row in rows(&path, ["cast", "directors", "writers"]) {
        names.extend(
            row.iter()
                .flat_map(|names| names.split(';'))
                .map(str::to_owned),
        );
    }
    for row in rows(
        &data.join("tmdb-merged-facts/movies.csv.gz"),
        ["top_cast", "directors"],
    ) {
        names.extend(
            row.iter()
                .flat_map(|names| names.split('|'))
                .map(str::to_owned),
        );
    }
    let mut known: HashSet<String> = people.iter().map(|person| person.name.clone()).collect();
    names.retain(|name| !name.trim().is_empty() && known.insert(name.clone()));
    let parts: Vec<(String, String)> = names
        .iter()
        .filter_map(|name| name.rsplit_once(' '))
        .map(|(given, family)| (given.to_owned(), family.to_owned()))
        .collect();
    while names.len() + people.len() < PEOPLE {
        let (given, family) = (
            &parts.choose(rng).expect("names").0,
            &parts.choose(rng).expect("names").1,
        );
        let name = format!("{given} {family}");
        if known.insert(name.clone()) {
            names.push(name);
        }
    }
    for name in names {
        let mut syllables = || korean.invented.choose(rng).expect("words").clone();
        let invented = format!("{} {}", syllables(), syllables());
        let given = in_korean
            .get(&name)
            .filter(|korean| !korean.is_empty())
            .cloned();
        let korean = given.or_else(|| rng.random_bool(KOREAN_NAMES).then_some(invented));
        people.push(Person { name, korean });
    }
    // A long tail with a flat head: nobody is in more than a thousand movies.
    Weighted::new(
        people
            .into_iter()
            .zip(0_u32..)
            .map(|(person, rank)| (person, (f64::from(rank) + 500.0).powf(-0.8))),
    )
}

fn keywords_of(data: &Path, known: Vec<String>) -> Weighted<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        name: String,
    }
    let mut counts: BTreeMap<String, f64> =
        known.iter().map(|keyword| (keyword.clone(), 1.0)).collect();
    for [json] in rows(
        &data.join("tmdb-5000/tmdb_5000_movies.csv.gz"),
        ["keywords"],
    ) {
        for keyword in serde_json::from_str::<Vec<Named>>(&json).unwrap_or_default() {
            *counts.entry(keyword.name).or_insert(0.0) += 1.0;
        }
    }
    for [tag] in rows(&data.join("ml-25m-catalogue/genome-tags.csv"), ["tag"]) {
        counts.entry(tag).or_insert(1.0);
    }
    let first = known.into_iter().map(|keyword| {
        let count = counts.remove(&keyword).unwrap_or(1.0);
        (keyword, count)
    });
    let first: Vec<(String, f64)> = first.collect();
    Weighted::new(first.into_iter().chain(counts))
}

/// The columns of a table in Unicode's normal form C; it may be compressed. A table of text is separated by tabs.
pub(crate) fn rows<const N: usize>(path: &Path, names: [&str; N]) -> Vec<[String; N]> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = BufReader::with_capacity(1 << 16, file);
    let has = |ending: &str| {
        path.extension()
            .is_some_and(|extension| extension == ending)
    };
    let input: Box<dyn Read> = if has("gz") {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let is_text = has("txt") || has("tsv");
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(if is_text { b'\t' } else { b',' })
        .quoting(!is_text)
        .flexible(true)
        .from_reader(input);
    let headers = reader.headers().expect("headers").clone();
    let places = names.map(|name| {
        let place = headers.iter().position(|header| header == name);
        place.unwrap_or_else(|| panic!("{} has no column {name}", path.display()))
    });
    let nfc = ComposingNormalizerBorrowed::new_nfc();
    let records = reader.records().map(|record| record.expect("a record"));
    records
        .map(|record| {
            places.map(|place| {
                nfc.normalize(record.get(place).unwrap_or_default())
                    .into_owned()
            })
        })
        .collect()
}
