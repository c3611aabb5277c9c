//! The header of a CSV file: its columns, and the format that they identify. Column names are compared
//! without case, spaces and underscores.

use std::collections::HashMap;

use csv::ByteRecord;

use crate::models::ImportFormat;

/// The columns of a file by their normalized names.
pub(super) struct Header(HashMap<String, usize>);

impl Header {
    pub(super) fn new(record: &ByteRecord) -> Self {
        let names = record.iter().enumerate();
        Self(
            names
                .map(|(place, name)| (normalize(&String::from_utf8_lossy(name)), place))
                .collect(),
        )
    }

    fn has(&self, names: &[&str]) -> bool {
        names
            .iter()
            .all(|name| self.0.contains_key(&normalize(name)))
    }

    /// The format of the file: `requested` if the columns fit it, else the format that the columns or the
    /// file name identify.
    ///
    /// # Errors
    /// A message for the client if the columns fit no format, or several that the name does not tell apart.
    pub(super) fn format(
        &self,
        requested: Option<ImportFormat>,
        file_name: &str,
    ) -> Result<ImportFormat, String> {
        use ImportFormat as F;
        let has_columns = |format: &F| match format {
            F::LetterboxdDiary => self.has(&["Name", "Watched Date"]),
            F::LetterboxdRatings => self.has(&["Name", "Letterboxd URI", "Rating"]),
            F::LetterboxdWatched | F::LetterboxdWatchlist | F::LetterboxdLikes => {
                self.has(&["Name", "Letterboxd URI"])
            }
            F::ImdbWatchlist => self.has(&["Const", "Created"]),
            F::ImdbRatings => self.has(&["Const", "Your Rating"]),
            F::TraktRatings => self.has(&["rated_at", "rating", "title"]),
            F::TraktHistory => self.has(&["watched_at", "title"]),
            F::TraktWatchlist => self.has(&["listed_at", "title"]),
            F::MovielensRatings => self.has(&["movieId", "rating"]),
            F::MovielensLinks => self.has(&["movieId", "imdbId", "tmdbId"]),
            F::MovielensMovies => self.has(&["movieId", "title"]),
        };
        if let Some(requested) = requested {
            return has_columns(&requested)
                .then_some(requested)
                .ok_or_else(|| format!("the first line is not the header of {requested}"));
        }
        // Formats with more columns first, since their columns include those of others.
        let order = [
            F::LetterboxdDiary,
            F::LetterboxdRatings,
            F::ImdbWatchlist,
            F::ImdbRatings,
            F::TraktRatings,
            F::TraktHistory,
            F::TraktWatchlist,
            F::MovielensRatings,
            F::MovielensLinks,
            F::MovielensMovies,
        ];
        if let Some(format) = order.into_iter().find(has_columns) {
            return Ok(format);
        }
        if !has_columns(&F::LetterboxdWatched) {
            return Err("the first line is not the header of an export of Letterboxd, IMDb, Trakt or MovieLens".to_owned());
        }
        let name = file_name.to_lowercase();
        let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
        match base.trim_end_matches(".csv") {
            base if base.contains("watchlist") => Ok(F::LetterboxdWatchlist),
            base if base.contains("watched") => Ok(F::LetterboxdWatched),
            "films" => Ok(F::LetterboxdLikes),
            base if base.contains("likes") => Ok(F::LetterboxdLikes),
            _ => Err("watched.csv, watchlist.csv and films.csv (likes) have the same columns: keep their names, or choose the format by format=letterboxd-watched, letterboxd-watchlist or letterboxd-likes".to_owned()),
        }
    }

    /// The index of the column `name`.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.0.get(&normalize(name)).copied()
    }
}

/// A name without case, spaces and punctuation, since exports differ in these.
pub(super) fn normalize(name: &str) -> String {
    let letters = name.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}
