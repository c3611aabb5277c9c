//! Films that are about the same: no interaction is needed to recommend by them, and a film that nobody
//! has seen yet can be.

use std::collections::HashMap;

use super::{Contribution, Explanation, FitError, History, Scorer, best};

/// What a tag tells of a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TagKind {
    /// One of TMDB's genres.
    Genre,
    /// What it is about.
    Keyword,
    /// Who made it or plays in it.
    Person,
    /// The language it was made in.
    Language,
}

/// Something that films have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// What it tells.
    pub kind: TagKind,
    /// Which it is among its kind.
    pub id: u64,
}

/// How the content model is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContentSettings {
    /// What a genre counts; 0 and up, as the others.
    pub genre: f32,
    /// What a keyword counts.
    pub keyword: f32,
    /// What a person counts.
    pub person: f32,
    /// What the language counts.
    pub language: f32,
    /// Of a film so many tags are kept, those that count most; 8 bytes each.
    pub tags_per_film: usize,
}

impl Default for ContentSettings {
    fn default() -> Self {
        Self {
            genre: 1.0,
            keyword: 1.0,
            person: 1.0,
            language: 0.5,
            tags_per_film: 64,
        }
    }
}

impl ContentSettings {
    fn weight(&self, kind: TagKind) -> f32 {
        match kind {
            TagKind::Genre => self.genre,
            TagKind::Keyword => self.keyword,
            TagKind::Person => self.person,
            TagKind::Language => self.language,
        }
    }
}

/// The cosine of films' vectors of tags, each weighing its inverse document frequency
/// `ln((1 + films) / (1 + films with it)) + 1` (Salton and Buckley, *Term-Weighting Approaches in
/// Automatic Text Retrieval*, 1988) times the weight of its kind. A user's score for a film is the sum
/// over their films of weight · cosine.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// Where each film's tags begin, and the end.
    starts: Vec<u32>,
    tags: Vec<u32>,
    /// What each of `tags` weighs, so that a film's vector has length 1, or 0 where it has no tags.
    weights: Vec<f32>,
    /// How many different tags there are.
    different: usize,
}

impl Content {
    /// Of `items` films, whose tags `films` tells, by column; those it does not tell of have none.
    /// A column told of twice has the tags told last.
    ///
    /// # Errors
    /// A column beyond `items`, more than 2³² − 1 tags, or weights below 0.
    pub fn fit<T: IntoIterator<Item = Tag>>(
        items: usize,
        films: impl IntoIterator<Item = (u32, T)>,
        settings: &ContentSettings,
    ) -> Result<Self, FitError> {
        for (name, weight) in [
            ("genre", settings.genre),
            ("keyword", settings.keyword),
            ("person", settings.person),
            ("language", settings.language),
        ] {
            FitError::check(name, f64::from(weight), "0 and up", weight >= 0.0)?;
        }
        let mut numbers: HashMap<Tag, u32> = HashMap::new();
        // By number: its kind, and how many films have it.
        let mut known: Vec<(TagKind, u32)> = Vec::new();
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); items];
        for (column, tags) in films {
            let Some(row) = rows.get_mut(column as usize) else {
                return Err(FitError::Setting {
                    setting: "column",
                    value: f64::from(column),
                    range: "below the number of films",
                });
            };
            for number in row.drain(..) {
                known[number as usize].1 -= 1;
            }
            for tag in tags {
                let next = known.len() as u32;
                let number = *numbers.entry(tag).or_insert(next);
                if number == next {
                    known.push((tag.kind, 0));
                }
                row.push(number);
            }
            row.sort_unstable();
            row.dedup();
            row.shrink_to_fit();
            for number in row.iter() {
                known[*number as usize].1 += 1;
            }
        }
        drop(numbers);
        let worth: Vec<f32> = known
            .iter()
            .map(|(kind, films)| {
                let rarity = ((1.0 + items as f64) / (1.0 + f64::from(*films))).ln() + 1.0;
                settings.weight(*kind) * rarity as f32
            })
            .collect();

        let kept = |row: &Vec<u32>| row.len().min(settings.tags_per_film);
        let total: usize = rows.iter().map(kept).sum();
        FitError::check("tags", total as f64, "below 2^32", {
            u32::try_from(total).is_ok()
        })?;
        let mut content = Self {
            starts: Vec::with_capacity(items + 1),
            tags: Vec::with_capacity(total),
            weights: Vec::with_capacity(total),
            different: known.len(),
        };
        content.starts.push(0);
        for mut row in rows {
            row.sort_by(|a, b| worth[*b as usize].total_cmp(&worth[*a as usize]));
            row.truncate(settings.tags_per_film);
            row.sort_unstable();
            let square: f32 = row.iter().map(|tag| worth[*tag as usize].powi(2)).sum();
            let scale = if square > 0.0 {
                square.sqrt().recip()
            } else {
                0.0
            };
            for tag in row {
                content.tags.push(tag);
                content.weights.push(scale * worth[tag as usize]);
            }
            content.starts.push(content.tags.len() as u32);
        }
        Ok(content)
    }

    fn vector(&self, item: u32) -> impl Iterator<Item = (u32, f32)> + '_ {
        let range = match (
            self.starts.get(item as usize),
            self.starts.get(item as usize + 1),
        ) {
            (Some(start), Some(end)) => *start as usize..*end as usize,
            _ => 0..0,
        };
        let tags = self.tags[range.clone()].iter().copied();
        tags.zip(self.weights[range].iter().copied())
    }

    /// The products of every film's vector with `direction`, which has a place for each tag.
    fn products(&self, direction: &[f32], scores: &mut [f32]) {
        for (score, ends) in scores.iter_mut().zip(self.starts.windows(2)) {
            let range = ends[0] as usize..ends[1] as usize;
            *score = self.tags[range.clone()]
                .iter()
                .zip(&self.weights[range])
                .map(|(tag, weight)| weight * direction[*tag as usize])
                .sum();
        }
    }

    /// How alike two films are, 0 to 1.
    #[must_use]
    pub fn similarity(&self, a: u32, b: u32) -> f32 {
        let mut others = self.vector(b).peekable();
        let mut sum = 0.0;
        for (tag, weight) in self.vector(a) {
            while others.next_if(|(other, _)| *other < tag).is_some() {}
            if let Some((_, other)) = others.next_if(|(other, _)| *other == tag) {
                sum += weight * other;
            }
        }
        sum
    }

    /// The `places` films that are most like `item`, best first, with how alike they are; without
    /// itself and those that have nothing in common with it.
    #[must_use]
    pub fn nearest(&self, item: u32, places: usize) -> Vec<(u32, f32)> {
        let mut direction = vec![0.0; self.different];
        for (tag, weight) in self.vector(item) {
            direction[tag as usize] = weight;
        }
        let mut scores = vec![0.0; self.items()];
        self.products(&direction, &mut scores);
        best(&scores, places, |other| other != item)
    }
}

impl Scorer for Content {
    fn items(&self) -> usize {
        self.starts.len() - 1
    }

    fn score(&self, history: History<'_>, scores: &mut [f32]) {
        let mut taste = vec![0.0; self.different];
        for (item, weight) in history.iter() {
            for (tag, own) in self.vector(item) {
                taste[tag as usize] += weight * own;
            }
        }
        self.products(&taste, scores);
    }

    fn explain(&self, history: History<'_>, item: u32) -> Explanation {
        Explanation {
            base: 0.0,
            contributions: history
                .iter()
                .map(|(from, weight)| Contribution {
                    item: from,
                    amount: weight * self.similarity(from, item),
                })
                .collect(),
        }
    }

    fn similar(&self, item: u32, places: usize) -> Vec<(u32, f32)> {
        self.nearest(item, places)
    }
}

impl TagKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Genre, Self::Keyword, Self::Person, Self::Language];
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scorer::testing::{contributions_add_up, interactions, matrix};

    fn tag(kind: TagKind, id: u64) -> Tag {
        Tag { kind, id }
    }

    fn genres_and_people(films: &[(&[u64], &[u64])]) -> Content {
        let tags = films.iter().map(|(genres, people)| {
            let genres = genres.iter().map(|id| tag(TagKind::Genre, *id));
            let people = people.iter().map(|id| tag(TagKind::Person, *id));
            genres.chain(people)
        });
        let settings = ContentSettings::default();
        Content::fit(films.len(), (0..).zip(tags), &settings).expect("in range")
    }

    #[test]
    fn what_few_films_have_in_common_counts_more_than_what_many_have() {
        let content = genres_and_people(&[
            (&[1], &[7]),
            (&[1], &[8]),
            (&[2], &[7]),
            (&[1], &[9]),
            (&[1], &[10]),
            (&[3], &[11]),
        ]);
        let nearest = content.nearest(0, 9);
        let films: Vec<u32> = nearest.iter().map(|(film, _)| *film).collect();
        assert_eq!(films, [2, 1, 3, 4]);
        assert!(nearest.is_sorted_by(|a, b| a.1 >= b.1));
        // Genre 1 is in four films of six, person 7 in two.
        let worth = |films: f32| (7.0 / (1.0 + films)).ln() + 1.0;
        let own = worth(4.0).hypot(worth(2.0));
        let other = worth(1.0).hypot(worth(2.0));
        let wanted = worth(2.0).powi(2) / own / other;
        assert!((content.similarity(0, 2) - wanted).abs() < 1e-6);
        assert!((content.similarity(4, 4) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn films_without_tags_or_told_of_again_are_taken_as_they_are() {
        let settings = ContentSettings::default();
        let film = |column, id| (column, [tag(TagKind::Keyword, id)]);
        let films = [film(0, 1), film(1, 1), film(0, 2), film(2, 2)];
        let content = Content::fit(4, films, &settings).expect("in range");
        assert_eq!(content.nearest(0, 3).len(), 1);
        assert!((content.similarity(0, 2) - 1.0).abs() < 1e-6);
        assert!(content.nearest(3, 3).is_empty() && content.nearest(9, 3).is_empty());
        assert!(Content::fit(1, [film(1, 1)], &settings).is_err());
        let below = ContentSettings {
            person: -1.0,
            ..settings
        };
        assert!(Content::fit(4, films, &below).is_err());
    }

    #[test]
    fn of_a_film_the_tags_that_count_most_are_kept() {
        let settings = ContentSettings {
            tags_per_film: 1,
            ..ContentSettings::default()
        };
        let films = [(0, [1, 2]), (1, [1, 3]), (2, [1, 2])];
        let films = films.map(|(column, ids)| (column, ids.map(|id| tag(TagKind::Keyword, id))));
        let content = Content::fit(3, films, &settings).expect("in range");
        assert_eq!(content.tags.len(), 3);
        assert!((content.similarity(0, 2) - 1.0).abs() < 1e-6);
        assert!(content.similarity(0, 1).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn contributions_add_up_to_the_score(
            all in interactions(),
            films in prop::collection::vec(prop::collection::vec(0_u64..6, 0..5), 9),
        ) {
            let tags = films.iter().map(|ids| {
                ids.iter().map(|id| tag(TagKind::ALL[(*id % 4) as usize], *id))
            });
            let content = Content::fit(9, (0..).zip(tags), &ContentSettings::default());
            contributions_add_up(&content.expect("in range"), &all)?;
        }
    }

    #[test]
    fn films_beyond_those_it_was_made_of_are_passed_over() {
        let content = genres_and_people(&[(&[1], &[7]), (&[1], &[8])]);
        let all = matrix(6, &[&[0, 5]]);
        let mut scores = [0.0; 2];
        content.score(all.history(0), &mut scores);
        assert!((scores[0] - 1.0).abs() < 1e-6, "{scores:?}");
    }
}
