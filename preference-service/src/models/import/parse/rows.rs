//! The rows of each format: the columns that identify the movie, and those that record actions.

use super::fields::{Fields, InvalidField, REQUIRED, YEARS};
use crate::models::{
    ImportFormat as F,
    import::{ImportEntry, ImportedActions},
};

/// Fills `entry` from a row about a movie. Rows of MovieLens' links and movies are not about one.
pub(super) fn fill(
    entry: &mut ImportEntry,
    format: F,
    fields: &Fields<'_>,
) -> Result<(), InvalidField> {
    match format {
        F::LetterboxdWatched
        | F::LetterboxdRatings
        | F::LetterboxdDiary
        | F::LetterboxdWatchlist
        | F::LetterboxdLikes => {
            entry.title = Some(fields.required("Name")?);
            entry.year = fields.year("Year")?;
            entry.actions = letterboxd_actions(format, fields)?;
        }
        F::ImdbRatings | F::ImdbWatchlist => {
            entry.imdb_id = Some(fields.imdb_id("Const")?.ok_or(("Const", REQUIRED.into()))?);
            entry.title = fields.optional("Title")?;
            entry.year = fields.year("Year")?;
            let rated =
                |fields: &Fields<'_>, name| Ok((fields.tenths(name)?, fields.date("Date Rated")?));
            if format == F::ImdbRatings {
                entry.actions.rated = Some(rated(fields, "Your Rating")?);
            } else {
                entry.actions.rated = fields.if_present("Your Rating", rated)?;
                entry.actions.bookmarked_at = Some(fields.date("Created")?);
            }
        }
        F::TraktRatings | F::TraktHistory | F::TraktWatchlist => {
            entry.tmdb_id = fields.tmdb_id("tmdb_id")?;
            entry.imdb_id = fields.imdb_id("imdb_id")?;
            entry.title = fields.optional("title")?;
            entry.year = fields.year("year")?;
            match format {
                F::TraktRatings => {
                    let rated = (fields.tenths("rating")?, fields.date("rated_at")?);
                    entry.actions.rated = Some(rated);
                }
                F::TraktHistory => entry.actions.watched_at = Some(fields.date("watched_at")?),
                _ => entry.actions.bookmarked_at = Some(fields.date("listed_at")?),
            }
        }
        F::MovielensRatings => {
            entry.tmdb_id = fields.tmdb_id("tmdbId")?;
            entry.imdb_id = fields.imdb_number("imdbId")?;
            if let Some(title) = fields.optional("title")? {
                let (title, year) = title_and_year(&title);
                (entry.title, entry.year) = (Some(title), year);
            }
            let rated_at = fields.timestamp("timestamp")?;
            entry.actions.rated = Some((fields.stars("rating")?, rated_at));
        }
        F::MovielensLinks | F::MovielensMovies => {}
    }
    Ok(())
}

fn letterboxd_actions(format: F, fields: &Fields<'_>) -> Result<ImportedActions, InvalidField> {
    let date = fields.date("Date")?;
    let mut actions = ImportedActions::default();
    match format {
        F::LetterboxdWatched => actions.watched_at = Some(date),
        F::LetterboxdRatings => actions.rated = Some((fields.stars("Rating")?, date)),
        F::LetterboxdWatchlist => actions.bookmarked_at = Some(date),
        F::LetterboxdLikes => actions.liked_at = Some(date),
        _ => {
            let watched_at = match fields.get("Watched Date")?.is_empty() {
                true => date,
                false => fields.date("Watched Date")?,
            };
            actions.watched_at = Some(watched_at);
            actions.rated =
                fields.if_present("Rating", |fields, name| Ok((fields.stars(name)?, date)))?;
        }
    }
    Ok(actions)
}

/// The title and the year of `Long Way, The (1987)`: MovieLens appends the article, and then the year.
pub(super) fn title_and_year(text: &str) -> (String, Option<i32>) {
    let trimmed = text.trim();
    let parts = trimmed.strip_suffix(')').and_then(|rest| {
        let (title, year) = rest.rsplit_once('(')?;
        let year = year.parse().ok().filter(|year| YEARS.contains(year))?;
        Some((title.trim(), Some(year)))
    });
    let (title, year) = parts.unwrap_or((trimmed, None));
    let title = match title.rsplit_once(", ") {
        Some((
            rest,
            article @ ("The" | "A" | "An" | "Der" | "Die" | "Das" | "Le" | "La" | "Les" | "Il"
            | "El"),
        )) => format!("{article} {rest}"),
        _ => title.to_owned(),
    };
    (title, year)
}
