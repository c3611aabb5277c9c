//! The documents of the generated catalogue.

use search::{Document, Kind, Name, Role, fame};

use super::{
    movies::{Catalogue, Movie},
    vocabulary::Person,
};

/// The documents of movies, and of their people and keywords, as movie-service makes them.
pub(crate) struct Documents<'a> {
    catalogue: &'a Catalogue,
    /// The votes of the movies of each person.
    people: Vec<Option<u64>>,
    /// The movies of each keyword.
    keywords: Vec<usize>,
}

impl<'a> Documents<'a> {
    pub(crate) fn new(catalogue: &'a Catalogue) -> Self {
        Self {
            catalogue,
            people: vec![None; catalogue.vocabulary.people.items.len()],
            keywords: vec![0; catalogue.vocabulary.keywords.items.len()],
        }
    }

    /// The document of a movie.
    pub(crate) fn movie(&mut self, movie: &Movie) -> Document {
        let words = &self.catalogue.vocabulary;
        for person in &movie.people {
            *self.people[*person].get_or_insert(0) += u64::from(movie.votes);
        }
        for keyword in &movie.keywords {
            self.keywords[*keyword] += 1;
        }
        let own = [
            Name::new(&movie.title, Role::Main, None),
            Name::new(&movie.original_title, Role::Original, Some(&movie.language)),
        ];
        let others = movie.others.iter().map(|(title, language)| {
            let role = if language.is_some() {
                Role::Translation
            } else {
                Role::Alternative
            };
            Name::new(title, role, *language)
        });
        let people = movie.people.iter().map(|person| {
            let Person { name, korean } = &words.people.items[*person];
            std::iter::once(name).chain(korean).cloned().collect()
        });
        Document {
            year: movie.year,
            language: movie.language.clone(),
            genres: movie.genres.clone(),
            people: people.collect(),
            keywords: movie
                .keywords
                .iter()
                .map(|keyword| words.keywords.items[*keyword].clone())
                .collect(),
            payload: format!(
                r#"{{"year":{},"poster_path":"/pB8BM7pdSp6B6Ih7QZ4DrQ3PmJK.jpg"}}"#,
                movie.year.unwrap_or(0)
            ),
            ..Document::new(
                Kind::Movie,
                movie.id,
                own.into_iter().chain(others).collect(),
                fame(f64::from(movie.votes) + 10.0 * movie.popularity),
            )
        }
    }

    /// The documents of people and keywords, when all movies are there.
    pub(crate) fn others(&self) -> impl Iterator<Item = Document> {
        let words = &self.catalogue.vocabulary;
        let people = self.people.iter().enumerate().filter_map(|(place, votes)| {
            let Person { name, korean } = &words.people.items[place];
            let korean = korean
                .iter()
                .map(|korean| Name::new(korean, Role::Translation, Some("ko")));
            let names = std::iter::once(Name::new(name, Role::Main, None))
                .chain(korean)
                .collect();
            let votes = (*votes)?;
            Some(Document::new(
                Kind::Person,
                place as i64 + 1,
                names,
                fame(votes as f64 / 10.0),
            ))
        });
        let keywords = self
            .keywords
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(place, count)| {
                let names = vec![Name::new(&words.keywords.items[place], Role::Main, None)];
                Document::new(
                    Kind::Keyword,
                    place as i64 + 1,
                    names,
                    fame(*count as f64 * 1000.0),
                )
            });
        people.chain(keywords)
    }
}
