//! Title search in the way of TMDB's `/search/movie`: words of the title, the original title or the Korean
//! title, without regard to case, punctuation and (for Korean, where writers differ) spaces.

use super::{Catalogue, Film};

/// Films whose title matches, best first.
pub(crate) fn search<'a>(
    catalogue: &'a Catalogue,
    query: &str,
    admits: impl Fn(&Film) -> bool,
) -> Vec<&'a Film> {
    let query = Title::of(query);
    if query.words.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<(u8, &Film)> = catalogue
        .films()
        .filter(|film| admits(film))
        .filter_map(|film| rank(film, &query).map(|rank| (rank, film)))
        .collect();
    found.sort_by(|(rank_a, a), (rank_b, b)| {
        rank_a.cmp(rank_b).then_with(|| Film::by_popularity(a, b))
    });
    found.into_iter().map(|(_, film)| film).collect()
}

/// A title made comparable.
struct Title {
    /// Lower case, words separated by one space.
    words: String,
    /// The same without spaces.
    joined: String,
}

impl Title {
    fn of(text: &str) -> Self {
        let letters: String = text
            .chars()
            .flat_map(char::to_lowercase)
            .filter(|letter| !matches!(letter, '\'' | '’'))
            .map(|letter| {
                if letter.is_alphanumeric() {
                    letter
                } else {
                    ' '
                }
            })
            .collect();
        let words: Vec<&str> = letters.split_whitespace().collect();
        Self {
            joined: words.concat(),
            words: words.join(" "),
        }
    }
}

/// The rank of a match: 0 for an equal title, then a prefix, a substring, all words. `None`: no match.
fn rank(film: &Film, query: &Title) -> Option<u8> {
    [
        Some(&film.title),
        Some(&film.original_title),
        film.korean_title.as_ref(),
    ]
    .into_iter()
    .flatten()
    .filter_map(|title| rank_title(&Title::of(title), query))
    .min()
}

fn rank_title(title: &Title, query: &Title) -> Option<u8> {
    if title.joined == query.joined {
        Some(0)
    } else if title.joined.starts_with(&query.joined) {
        Some(1)
    } else if title.joined.contains(&query.joined) {
        Some(2)
    } else if query
        .words
        .split(' ')
        .all(|word| title.words.contains(word))
    {
        Some(3)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_punctuation_and_spaces_do_not_matter() {
        for (title, query, expected) in [
            ("Spider-Man", "spider man", Some(0)),
            ("M3GAN 2.0", "m3gan", Some(1)),
            ("인천 상륙 작전", "상륙작전", Some(2)),
            ("The Good, the Bad and the Ugly", "ugly good", Some(3)),
            ("Ocean's Eleven", "oceans eleven", Some(0)),
            ("Heat", "cold", None),
        ] {
            assert_eq!(
                rank_title(&Title::of(title), &Title::of(query)),
                expected,
                "{title} / {query}"
            );
        }
    }
}
