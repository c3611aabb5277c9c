//! Reads the facts that are embedded in the binary. A line that is not understood stops the start, with its
//! number: half a catalogue would make tests fail for reasons that are hard to find.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::{Deserialize, de::DeserializeOwned};
use thiserror::Error;

use super::derive::{default_vote_count, popularity};
use super::registry::{KEYWORD_ID_BASE, PERSON_ID_BASE};
use super::{Catalogue, Film, FilmId, Person, Registry, is_genre};

const FILMS: &str = include_str!("../../data/movies.tsv");
const KOREAN_NAMES: &str = include_str!("../../data/people_korean_names.tsv");

/// A line of the embedded facts that is not what this program expects.
#[derive(Debug, Error)]
#[error("{file} line {line}: {reason}")]
pub(crate) struct CatalogueError {
    file: &'static str,
    line: u64,
    reason: String,
}

/// A line of the film file; lists are separated by `|`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilmRow {
    id: FilmId,
    title: String,
    original_title: String,
    korean_title: Option<String>,
    language: String,
    release_date: Option<NaiveDate>,
    runtime: u32,
    genre_ids: String,
    vote_average: f64,
    vote_count: Option<u32>,
    directors: String,
    cast: String,
    keywords: String,
}

/// A line of the file of Korean names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameRow {
    name: String,
    korean_names: String,
}

pub(super) fn read_embedded() -> Result<Catalogue, CatalogueError> {
    read(FILMS, KOREAN_NAMES)
}

fn read(films: &str, korean_names: &str) -> Result<Catalogue, CatalogueError> {
    let file = "movies.tsv";
    let rows: Vec<(u64, FilmRow)> = rows(films, file)?;
    // Numbered in the order of the sorted names, so that ids do not depend on the order of the file.
    let mut people = Registry::<Person>::new(PERSON_ID_BASE);
    let names = rows
        .iter()
        .flat_map(|(_, row)| list(&row.directors).chain(list(&row.cast)));
    people.ids(names.collect::<BTreeSet<_>>());
    let mut keywords = Registry::new(KEYWORD_ID_BASE);
    let names = rows.iter().flat_map(|(_, row)| list(&row.keywords));
    keywords.ids(names.collect::<BTreeSet<_>>());
    let mut catalogue = Catalogue {
        films: BTreeMap::new(),
        originals: BTreeMap::new(),
        hidden: BTreeSet::new(),
        has_posters: false,
        changed: BTreeSet::new(),
        people,
        keywords,
    };
    for (line, row) in rows {
        let wrong = |reason| CatalogueError { file, line, reason };
        let film = catalogue.film(row).map_err(wrong)?;
        let id = film.id;
        if catalogue.films.insert(id, film).is_some() {
            return Err(wrong(format!("film {id} is there twice")));
        }
    }
    let file = "people_korean_names.tsv";
    for (line, row) in self::rows::<NameRow>(korean_names, file)? {
        let person = catalogue.people.details_mut(&row.name);
        let person = person.ok_or_else(|| CatalogueError {
            file,
            line,
            reason: format!("{:?} is in no film", row.name),
        })?;
        person.korean_name = list(&row.korean_names).next().map(str::to_owned);
    }
    Ok(catalogue)
}

/// The rows below the heading, with their lines.
fn rows<T: DeserializeOwned>(
    text: &str,
    file: &'static str,
) -> Result<Vec<(u64, T)>, CatalogueError> {
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.delimiter(b'\t').quoting(false);
    let mut reader = reader.from_reader(text.as_bytes());
    let heading = reader.headers().cloned().unwrap_or_default();
    let wrong = |error: csv::Error| CatalogueError {
        file,
        line: error.position().map_or(1, csv::Position::line),
        reason: error.to_string(),
    };
    let rows = reader.into_records().map(|record| {
        let record = record?;
        let line = record.position().map_or(1, csv::Position::line);
        Ok((line, record.deserialize(Some(&heading))?))
    });
    rows.collect::<csv::Result<_>>().map_err(wrong)
}

impl Catalogue {
    fn film(&mut self, row: FilmRow) -> Result<Film, String> {
        if row.title.is_empty() {
            return Err("a film needs a title".to_owned());
        }
        let genres = list(&row.genre_ids).map(|genre| {
            let id = genre.parse().ok().filter(|id| is_genre(*id));
            id.ok_or_else(|| format!("{genre} is no genre of TMDB's"))
        });
        let vote_count = row.vote_count.unwrap_or_else(|| default_vote_count(row.id));
        Ok(Film {
            id: row.id,
            original_title: match row.original_title.is_empty() {
                true => row.title.clone(),
                false => row.original_title,
            },
            title: row.title,
            korean_title: row.korean_title,
            language: row.language,
            release_date: row.release_date,
            runtime: row.runtime,
            genres: genres.collect::<Result<_, _>>()?,
            popularity: popularity(
                row.vote_average,
                vote_count,
                row.vote_count.is_some(),
                row.release_date,
            ),
            vote_average: row.vote_average,
            vote_count,
            directors: self.people.ids(list(&row.directors)),
            cast: self.people.ids(list(&row.cast)),
            keywords: self.keywords.ids(list(&row.keywords)),
            imdb_id: None,
            overview: None,
            adult: false,
        })
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split('|').filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_film(line: &str) -> Result<Catalogue, CatalogueError> {
        let heading = FILMS.lines().next().expect("a heading");
        read(&format!("{heading}\n{line}\n"), "name\tkorean_names\n")
    }

    #[test]
    fn the_embedded_facts_are_read_whole() {
        let catalogue = read_embedded().expect("the facts in this repository");
        assert_eq!(catalogue.len(), 649);
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (line, reason) in [
            ("1\tOnly a title", "2 fields"),
            ("x\tT\t\t\ten\t2000-01-01\t90\t18\t7.0\t10\tA\tB\t", "id"),
            (
                "1\tT\t\t\ten\t2024-02-30\t90\t18\t7.0\t10\tA\tB\t",
                "out of range",
            ),
            (
                "1\tT\t\t\ten\t2000-01-01\t90\t19\t7.0\t10\tA\tB\t",
                "19 is no genre",
            ),
            (
                "1\t\t\t\ten\t2000-01-01\t90\t18\t7.0\t10\tA\tB\t",
                "needs a title",
            ),
        ] {
            let error = with_film(line).expect_err(line).to_string();
            assert!(error.starts_with("movies.tsv line 2: "), "{error}");
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn ids_do_not_depend_on_the_order_of_the_file() {
        let catalogue =
            with_film("1\tT\t\t\ten\t2000-01-01\t90\t18\t7.0\t10\tZoe\tAmy|Zoe\tzebra|apple")
                .expect("good");
        let film = catalogue.find(1).expect("there");
        assert_eq!(film.cast, [PERSON_ID_BASE + 1, PERSON_ID_BASE + 2]);
        assert_eq!(film.directors, [PERSON_ID_BASE + 2]);
        assert_eq!(film.keywords, [KEYWORD_ID_BASE + 2, KEYWORD_ID_BASE + 1]);
    }
}
