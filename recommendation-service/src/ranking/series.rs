//! Parts of a series: movies of one collection at TMDB, or, as dumps and many movies have none, movies with people in
//! common whose titles begin alike. [`super::pipeline`] and [`super::similar`] keep them from crowding a list. Pure.

use filter::FacetKind;
use recommender::rerank::series::space_out;

use super::{candidates::Ranked, common};
use crate::read_model::Catalogue;

/// Of this many movies one after the other, at most [`MAX_PARTS`] are of one series.
const WINDOW: usize = 10;
/// See [`WINDOW`].
pub(super) const MAX_PARTS: usize = 2;
/// Words that begin the number of a part.
const PART_WORDS: [&str; 8] = [
    "part", "chapter", "episode", "volume", "vol", "no", "pt", "book",
];
/// Numbers of parts beside those in digits.
const NUMBERS: [&str; 18] = [
    "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "one", "two", "three", "four",
    "five", "first", "second", "third",
];
const ARTICLES: [&str; 3] = ["the", "a", "an"];
/// A title of one word is too short to be the beginning of another.
const MIN_COMMON_WORDS: usize = 2;

/// A movie as it is compared with others.
struct Part {
    collection: Option<u32>,
    /// The words of the title without its number and subtitle.
    stem: Vec<String>,
    row: usize,
}

impl Part {
    fn new(catalogue: &Catalogue, row: usize) -> Self {
        Self {
            collection: catalogue.related(row).collection(),
            stem: stem(catalogue.title(row)),
            row,
        }
    }

    fn is_same_series(&self, other: &Self, catalogue: &Catalogue) -> bool {
        if let (Some(one), Some(other)) = (self.collection, other.collection) {
            return one == other;
        }
        let both = self.stem.iter().zip(&other.stem);
        let common = both.take_while(|(one, other)| one == other).count();
        let is_equal = common == self.stem.len() && common == other.stem.len();
        if common == 0 || !(is_equal || common >= MIN_COMMON_WORDS) {
            return false;
        }
        let shared = common::shared(catalogue, self.row, other.row);
        let people = shared
            .iter()
            .filter(|(kind, ..)| *kind == FacetKind::Person);
        people.count() >= if is_equal { 1 } else { 2 }
    }
}

/// The words of `title` in lower case, up to a colon or a dash, without an article before and the number of a part behind.
fn stem(title: &str) -> Vec<String> {
    let title = title.to_lowercase();
    let main = title.split([':', '–', '—']).next().unwrap_or_default();
    let main = main.split(" - ").next().unwrap_or_default();
    let words = main.split(|letter: char| !letter.is_alphanumeric() && letter != '\'');
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut rest = words.as_slice();
    if let [first, others @ ..] = rest
        && ARTICLES.contains(first)
        && !others.is_empty()
    {
        rest = others;
    }
    let is_number =
        |word: &str| NUMBERS.contains(&word) || word.chars().all(|letter| letter.is_ascii_digit());
    while let [before @ .., last] = rest
        && !before.is_empty()
        && (is_number(last) || PART_WORDS.contains(last))
    {
        rest = before;
    }
    rest.iter().map(|word| (*word).to_owned()).collect()
}

/// `ranked`, best first, with the parts of a series spaced out.
pub(super) fn spaced_out(catalogue: &Catalogue, ranked: &[Ranked]) -> Vec<Ranked> {
    let parts: Vec<Part> = ranked
        .iter()
        .map(|movie| Part::new(catalogue, movie.row))
        .collect();
    let order = space_out(ranked.len(), WINDOW, MAX_PARTS, |one, other| {
        parts[one].is_same_series(&parts[other], catalogue)
    });
    order.into_iter().map(|place| ranked[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_model::{Film, Tag};

    /// A catalogue of movies by title, collection and people.
    fn catalogue(movies: &[(&str, Option<i64>, &[i64])]) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for (id, (title, collection_id, people)) in (1..).zip(movies) {
            let people = people.iter().map(|id| Tag {
                id: *id,
                name: format!("Person {id}"),
                ..Tag::default()
            });
            catalogue.upsert(&Film {
                id,
                version: 1,
                title: (*title).to_owned(),
                collection_id: *collection_id,
                people: people.collect(),
                ..Film::default()
            });
        }
        catalogue
    }

    fn are_one_series(movies: [(&str, Option<i64>, &[i64]); 2]) -> bool {
        let catalogue = catalogue(&movies);
        Part::new(&catalogue, 0).is_same_series(&Part::new(&catalogue, 1), &catalogue)
    }

    #[test]
    fn parts_of_a_series_are_known_by_collection_or_by_title_and_people() {
        for (one, other) in [
            ("Toy Story", "Toy Story 2"),
            ("The Godfather", "The Godfather: Part II"),
            ("Kill Bill: Vol. 1", "Kill Bill: Vol. 2"),
            ("Back to the Future", "Back to the Future Part III"),
            ("The Avengers", "Avengers: Endgame"),
            ("The Dark Knight", "The Dark Knight Rises"),
            (
                "Harry Potter and the Goblet of Fire",
                "Harry Potter and the Order of the Phoenix",
            ),
            ("미션 임파서블 2", "미션 임파서블 - 폴아웃"),
        ] {
            let with = |people| are_one_series([(one, None, people), (other, None, &[2, 3])]);
            assert!(with(&[3, 2]), "{one}, {other}");
            assert!(!with(&[4, 5]), "{one}, {other} of other people");
        }
        let same: &[i64] = &[1, 2];
        for (one, other) in [("Heat", "Ronin"), ("Up", "Up in the Air"), ("2", "Two")] {
            assert!(!are_one_series([(one, None, same), (other, None, same)]));
        }
        let of = |one, other| are_one_series([("Batman Begins", one, &[]), ("Joker", other, &[])]);
        assert!(of(Some(263), Some(263)));
        assert!(!of(Some(263), None));
        let apart = [
            ("Halloween", Some(1), same),
            ("Halloween II", Some(2), same),
        ];
        assert!(!are_one_series(apart), "collections outweigh titles");
    }
}
