//! The rows of each table format: the columns that identify the movie, and those that record actions.

use crate::{
    Film, Format as F, Given, HalfStars, Row, When,
    fields::{FieldError, Fields, required},
    kind,
    read::title::title_and_year,
};

type Result<T> = std::result::Result<T, FieldError>;

/// A row of a file.
pub(crate) enum Mapped {
    /// A row about a movie.
    Row(Box<Row>),
    /// A row about a title of this kind, or in this state, which is skipped.
    Other(String),
}

/// Maps a row of `format`; file, line and source are filled in by the caller. Rows of MovieLens' links and movies are not
/// mapped.
pub(crate) fn map(format: F, fields: &Fields<'_>) -> Result<Mapped> {
    let kind = ["Title Type", "type", "media_type"]
        .map(|name| fields.get(name))
        .into_iter()
        .find(|kind| !kind.is_empty());
    if let Some(kind) = kind.filter(|kind| !kind::is_movie(kind)) {
        return Ok(Mapped::Other(kind.chars().take(40).collect()));
    }
    let mut row = Row {
        film: film(format, fields)?,
        ..Row::default()
    };
    let skipped = match format {
        F::LetterboxdWatched
        | F::LetterboxdRatings
        | F::LetterboxdDiary
        | F::LetterboxdWatchlist
        | F::LetterboxdLikes => letterboxd(&mut row, format, fields)?,
        F::LetterboxdImport => {
            let day = fields.date("WatchedDate")?;
            row.viewing = Some(day);
            row.rating = given(fields.stars("Rating")?.or(fields.points("Rating10")?), day);
            None
        }
        F::ImdbRatings | F::ImdbWatchlist => imdb(&mut row, format, fields)?,
        F::TraktRatings => {
            row.rating = given(
                Some(required("rating", fields.points("rating")?)?),
                fields.date("rated_at")?,
            );
            None
        }
        F::TraktHistory => {
            row.viewing = Some(fields.date(fields.first_of(["watched_at", "last_watched_at"]))?);
            None
        }
        F::TraktWatchlist => {
            row.watchlist = Some(fields.date("listed_at")?);
            None
        }
        F::MovielensRatings => {
            row.rating = given(
                Some(required("rating", fields.stars("rating")?)?),
                fields.timestamp("timestamp")?,
            );
            None
        }
        F::TmdbRatings | F::TmdbWatchlist | F::TmdbFavorites => tmdb(&mut row, format, fields)?,
        F::Simkl => simkl(&mut row, fields)?,
        F::Yamtrack => yamtrack(&mut row, fields)?,
        F::MovaryHistory => {
            row.viewing = Some(fields.date("watchedAt")?);
            None
        }
        F::MovaryRatings => {
            row.rating = given(
                Some(required("userRating", fields.points("userRating")?)?),
                When::Unknown,
            );
            None
        }
        F::MovaryWatchlist => {
            row.watchlist = Some(fields.date("addedAt")?);
            None
        }
        F::MovielensLinks | F::MovielensMovies | F::Marquee => None,
    };
    Ok(skipped.map_or_else(|| Mapped::Row(Box::new(row)), Mapped::Other))
}

fn given(rating: Option<HalfStars>, when: When) -> Option<Given<HalfStars>> {
    rating.map(|value| Given { value, when })
}

/// The movie of a row.
fn film(format: F, fields: &Fields<'_>) -> Result<Film> {
    let mut film = Film::default();
    match format {
        F::ImdbRatings | F::ImdbWatchlist => {
            film.imdb_id = Some(required("Const", fields.imdb_id("Const")?)?);
            film.title = fields.title("Title")?;
            film.original_title = fields.title("Original Title")?;
            film.year = fields.year("Year")?;
        }
        F::TmdbRatings | F::TmdbWatchlist | F::TmdbFavorites => {
            film.tmdb_id = fields.tmdb_id("TMDb ID")?;
            film.imdb_id = fields.imdb_id("IMDb ID")?;
            film.title = fields.title("Name")?;
            film.year = fields.year_of_date("Release Date");
        }
        F::Simkl => {
            film.tmdb_id = fields.tmdb_id(fields.first_of(["TMDB", "TMDB_ID"]))?;
            film.imdb_id = fields.imdb_id(fields.first_of(["IMDB", "IMDB_ID"]))?;
            film.title = fields.title("Title")?;
            film.year = fields.year("Year")?;
        }
        F::Yamtrack => {
            if fields.get("source").eq_ignore_ascii_case("tmdb") {
                film.tmdb_id = fields.tmdb_id("media_id")?;
            }
            film.title = fields.title("title")?;
        }
        F::MovielensRatings => {
            film.tmdb_id = fields.tmdb_id("tmdbId")?;
            film.imdb_id = fields.imdb_id("imdbId")?;
            if let Some(title) = fields.title("title")? {
                let (title, year) = title_and_year(&title);
                (film.title, film.year) = (Some(title), year);
            }
        }
        _ => {
            let title = fields.first_of(["Name", "title"]);
            film.tmdb_id = fields.tmdb_id("tmdbID")?;
            film.imdb_id = fields.imdb_id("imdbID")?;
            film.title = fields.title(title)?;
            film.year = fields.year("Year")?;
            let uri = fields.get("Letterboxd URI");
            film.letterboxd_uri =
                Some(uri.chars().take(200).collect::<String>()).filter(|uri| !uri.is_empty());
            if title == "Name" && film.title.is_none() {
                return Err(FieldError::new("Name", "is required"));
            }
        }
    }
    Ok(film)
}

fn letterboxd(row: &mut Row, format: F, fields: &Fields<'_>) -> Result<Option<String>> {
    let date = fields.date("Date")?;
    match format {
        // The day on which the movie was marked is not the one of a viewing.
        F::LetterboxdWatched => row.viewing = Some(When::Unknown),
        F::LetterboxdRatings => {
            row.rating = given(Some(required("Rating", fields.stars("Rating")?)?), date);
        }
        F::LetterboxdWatchlist => row.watchlist = Some(date),
        F::LetterboxdLikes => row.reaction = Some(Given::like(date)),
        _ => {
            // A review without a day of viewing was written on `Date`.
            row.viewing = Some(fields.date("Watched Date")?);
            row.rating = given(fields.stars("Rating")?, date);
        }
    }
    Ok(None)
}

fn imdb(row: &mut Row, format: F, fields: &Fields<'_>) -> Result<Option<String>> {
    // Exports of before 2017 say `You rated`, for ratings and lists alike, and date by `created`.
    let rating = fields.first_of(["Your Rating", "You rated"]);
    let value = fields.points(rating)?;
    if value.is_some_and(|_| fields.get(rating).contains(['.', ','])) {
        return Err(FieldError::new(
            rating,
            "must be a whole number from 1 to 10",
        ));
    }
    if format == F::ImdbRatings {
        let rated = fields.first_of(["Date Rated", "Date Added", "created"]);
        row.rating = given(Some(required(rating, value)?), fields.date(rated)?);
    } else {
        row.watchlist = Some(fields.date("Created")?);
        row.rating = given(value, fields.date("Date Rated")?);
    }
    Ok(None)
}

fn tmdb(row: &mut Row, format: F, fields: &Fields<'_>) -> Result<Option<String>> {
    let date = fields.date("Date Rated")?;
    match format {
        F::TmdbWatchlist => row.watchlist = Some(date),
        F::TmdbFavorites => row.reaction = Some(Given::like(date)),
        _ => {
            row.rating = given(
                Some(required("Your Rating", fields.points("Your Rating")?)?),
                date,
            )
        }
    }
    Ok(None)
}

fn simkl(row: &mut Row, fields: &Fields<'_>) -> Result<Option<String>> {
    let date = fields.date("WatchedDate")?;
    row.rating = given(fields.points("Rating")?, date);
    let state = kind::normalize(fields.get("Watchlist"));
    match state.as_str() {
        "completed" | "watched" => row.viewing = Some(date),
        "plantowatch" => row.watchlist = Some(date),
        _ => return Ok(unless_rated(row, state)),
    }
    Ok(None)
}

fn yamtrack(row: &mut Row, fields: &Fields<'_>) -> Result<Option<String>> {
    let ended = fields.date("end_date")?;
    row.rating = given(
        fields.points("score").or_else(|error| {
            if fields.get("score").trim_matches(['0', '.']).is_empty() {
                Ok(None)
            } else {
                Err(error)
            }
        })?,
        ended,
    );
    let state = kind::normalize(fields.get("status"));
    match state.as_str() {
        "completed" | "repeating" => row.viewing = Some(ended),
        "planning" | "planned" => row.watchlist = Some(fields.date("created_at")?),
        _ => return Ok(unless_rated(row, state)),
    }
    Ok(None)
}

/// The state for which a row is skipped; `None` if it has a rating to keep.
fn unless_rated(row: &Row, state: String) -> Option<String> {
    let named = match state.is_empty() {
        true => "no state".to_owned(),
        false => state,
    };
    row.rating.is_none().then_some(named)
}
