//! Reads the facts that are embedded in the binary. A line that is not understood stops the start, with its
//! number: half a catalogue would make tests fail for reasons that are hard to find.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use thiserror::Error;

use super::derive::{default_vote_count, popularity};
use super::registry::{KEYWORD_ID_BASE, PERSON_ID_BASE};
use super::{Catalogue, Film, Registry, is_genre};

const FILMS: &str = include_str!("../../data/movies.tsv");
const KOREAN_NAMES: &str = include_str!("../../data/people_korean_names.tsv");

const FILM_COLUMNS: &str = "id\ttitle\toriginal_title\tkorean_title\tlanguage\trelease_date\truntime\tgenre_ids\t\
                            vote_average\tvote_count\tdirectors\tcast\tkeywords";
const NAME_COLUMNS: &str = "name\tkorean_names";

/// A line of the embedded facts that is not what this program expects.
#[derive(Debug, Error)]
#[error("{file} line {line}: {reason}")]
pub(crate) struct CatalogueError {
    file: &'static str,
    line: usize,
    reason: String,
}

pub(super) fn read_embedded() -> Result<Catalogue, CatalogueError> {
    read(FILMS, KOREAN_NAMES)
}

/// One line of the film file, before people and keywords have ids.
struct FilmRow<'a> {
    film: Film,
    directors: Vec<&'a str>,
    cast: Vec<&'a str>,
    keywords: Vec<&'a str>,
}

fn read(films: &str, korean_names: &str) -> Result<Catalogue, CatalogueError> {
    let rows = lines(films, "movies.tsv", FILM_COLUMNS)?
        .map(|(line, text)| {
            parse_film(text).map_err(|reason| CatalogueError {
                file: "movies.tsv",
                line,
                reason,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;

    // Numbered in the order of the sorted names, so that ids do not depend on the order of the file.
    let mut people = Registry::new(PERSON_ID_BASE);
    for name in rows
        .iter()
        .flat_map(|row| row.directors.iter().chain(&row.cast))
        .collect::<BTreeSet<_>>()
    {
        people.id_of(name);
    }
    let mut keywords = Registry::new(KEYWORD_ID_BASE);
    for name in rows
        .iter()
        .flat_map(|row| &row.keywords)
        .collect::<BTreeSet<_>>()
    {
        keywords.id_of(name);
    }

    let file = "people_korean_names.tsv";
    for (line, text) in lines(korean_names, file, NAME_COLUMNS)? {
        let wrong = |reason: String| CatalogueError { file, line, reason };
        let (name, korean) = text
            .split_once('\t')
            .ok_or_else(|| wrong("two columns are expected".to_owned()))?;
        let person: &mut super::Person = people
            .details_mut(name)
            .ok_or_else(|| wrong(format!("{name:?} is in no film")))?;
        person.korean_name = korean
            .split('|')
            .next()
            .filter(|name| !name.is_empty())
            .map(str::to_owned);
    }

    let mut catalogue = Catalogue {
        films: BTreeMap::new(),
        originals: BTreeMap::new(),
        hidden: BTreeSet::new(),
        changed: BTreeSet::new(),
        people,
        keywords,
    };
    for (index, row) in rows.into_iter().enumerate() {
        let mut film = row.film;
        film.directors = catalogue.people.ids(&row.directors);
        film.cast = catalogue.people.ids(&row.cast);
        film.keywords = catalogue.keywords.ids(&row.keywords);
        let id = film.id;
        if catalogue.films.insert(id, film).is_some() {
            let reason = format!("film {id} is there twice");
            return Err(CatalogueError {
                file: "movies.tsv",
                line: index + 2,
                reason,
            });
        }
    }
    Ok(catalogue)
}

/// The lines below the heading, numbered as an editor numbers them.
fn lines<'a>(
    text: &'a str,
    file: &'static str,
    columns: &str,
) -> Result<impl Iterator<Item = (usize, &'a str)>, CatalogueError> {
    let mut lines = text.lines();
    if lines.next() != Some(columns) {
        return Err(CatalogueError {
            file,
            line: 1,
            reason: "unexpected column names".to_owned(),
        });
    }
    Ok(lines.enumerate().map(|(index, text)| (index + 2, text)))
}

fn parse_film(text: &str) -> Result<FilmRow<'_>, String> {
    let columns: Vec<&str> = text.split('\t').collect();
    let [
        id,
        title,
        original,
        korean,
        language,
        date,
        runtime,
        genres,
        average,
        votes,
        directors,
        cast,
        keywords,
    ] = columns[..]
    else {
        return Err(format!(
            "13 columns are expected, there are {}",
            columns.len()
        ));
    };
    if title.is_empty() {
        return Err("a film needs a title".to_owned());
    }
    let id = number("id", id)?;
    let release_date = if date.is_empty() {
        None
    } else {
        Some(number::<NaiveDate>("release_date", date)?)
    };
    let vote_average = number("vote_average", average)?;
    let vote_count = if votes.is_empty() {
        default_vote_count(id)
    } else {
        number("vote_count", votes)?
    };
    let genres = list(genres)
        .map(|genre| number("genre_ids", genre))
        .collect::<Result<Vec<u32>, _>>()?;
    if let Some(genre) = genres.iter().find(|genre| !is_genre(**genre)) {
        return Err(format!("{genre} is no genre of TMDB's"));
    }
    let film = Film {
        id,
        title: title.to_owned(),
        original_title: if original.is_empty() { title } else { original }.to_owned(),
        korean_title: Some(korean)
            .filter(|title| !title.is_empty())
            .map(str::to_owned),
        language: language.to_owned(),
        release_date,
        runtime: number("runtime", runtime)?,
        genres,
        popularity: popularity(vote_average, vote_count, release_date),
        vote_average,
        vote_count,
        directors: Vec::new(),
        cast: Vec::new(),
        keywords: Vec::new(),
        imdb_id: None,
        overview: None,
        adult: false,
    };
    Ok(FilmRow {
        film,
        directors: list(directors).collect(),
        cast: list(cast).collect(),
        keywords: list(keywords).collect(),
    })
}

fn number<T: std::str::FromStr>(column: &str, text: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error| format!("{column} {text:?}: {error}"))
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split('|').filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_film(line: &str) -> Result<Catalogue, CatalogueError> {
        read(
            &format!("{FILM_COLUMNS}\n{line}\n"),
            &format!("{NAME_COLUMNS}\n"),
        )
    }

    #[test]
    fn the_embedded_facts_are_read_whole() {
        let catalogue = read_embedded().expect("the facts in this repository");
        assert_eq!(catalogue.len(), 649);
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (line, reason) in [
            ("1\tOnly a title", "13 columns"),
            (
                "x\tT\t\t\ten\t2000-01-01\t90\t18\t7.0\t10\tA\tB\t",
                "id \"x\"",
            ),
            (
                "1\tT\t\t\ten\t2024-02-30\t90\t18\t7.0\t10\tA\tB\t",
                "release_date",
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
