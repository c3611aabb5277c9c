//! The rows of each format: the columns that identify the movie, and those that record actions.

use super::fields::{Fields, InvalidField, REQUIRED, YEARS};
use crate::models::{ImportEntry, ImportFormat as F};

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
            fill_letterboxd(entry, format, fields)?;
        }
        F::ImdbRatings | F::ImdbWatchlist => {
            entry.imdb_id = Some(fields.imdb_id("Const")?.ok_or(("Const", REQUIRED.into()))?);
            entry.title = fields.optional("Title")?;
            entry.year = fields.year("Year")?;
            if format == F::ImdbRatings || !fields.get("Your Rating")?.is_empty() {
                entry.rating = Some(fields.tenths("Your Rating")?);
                entry.rated_at = Some(fields.date("Date Rated")?);
            }
            if format == F::ImdbWatchlist {
                entry.bookmarked_at = Some(fields.date("Created")?);
            }
        }
        F::TraktRatings | F::TraktHistory | F::TraktWatchlist => {
            entry.tmdb_id = fields.tmdb_id("tmdb_id")?;
            entry.imdb_id = fields.imdb_id("imdb_id")?;
            entry.title = fields.optional("title")?;
            entry.year = fields.year("year")?;
            match format {
                F::TraktRatings => {
                    entry.rating = Some(fields.tenths("rating")?);
                    entry.rated_at = Some(fields.date("rated_at")?);
                }
                F::TraktHistory => entry.watched_at = Some(fields.date("watched_at")?),
                _ => entry.bookmarked_at = Some(fields.date("listed_at")?),
            }
        }
        F::MovielensRatings => {
            entry.tmdb_id = fields.tmdb_id("tmdbId")?;
            entry.imdb_id = fields.imdb_number("imdbId")?;
            if let Some(title) = fields.optional("title")? {
                let (title, year) = title_and_year(&title);
                (entry.title, entry.year) = (Some(title), year);
            }
            entry.rated_at = Some(fields.timestamp("timestamp")?);
            entry.rating = Some(fields.stars("rating")?);
        }
        F::MovielensLinks | F::MovielensMovies => {}
    }
    Ok(())
}

fn fill_letterboxd(
    entry: &mut ImportEntry,
    format: F,
    fields: &Fields<'_>,
) -> Result<(), InvalidField> {
    let date = fields.date("Date")?;
    match format {
        F::LetterboxdWatched => entry.watched_at = Some(date),
        F::LetterboxdRatings => entry.rating = Some(fields.stars("Rating")?),
        F::LetterboxdWatchlist => entry.bookmarked_at = Some(date),
        F::LetterboxdLikes => entry.liked_at = Some(date),
        _ => {
            let watched_at = fields.if_present("Watched Date", Fields::date)?;
            entry.watched_at = Some(watched_at.unwrap_or(date));
            entry.rating = fields.if_present("Rating", Fields::stars)?;
        }
    }
    entry.rated_at = entry.rating.map(|_| date);
    Ok(())
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
