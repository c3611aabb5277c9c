//! The file formats of imports. Used to parse files and to name formats in requests and responses.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::models::text::parse_name;

/// The format of a file, by the site that exports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(example = "letterboxd-diary")]
pub enum ImportFormat {
    /// The `watched.csv` of Letterboxd.
    LetterboxdWatched,
    /// The `ratings.csv` of Letterboxd.
    LetterboxdRatings,
    /// The `diary.csv` and `reviews.csv` of Letterboxd.
    LetterboxdDiary,
    /// The `watchlist.csv` of Letterboxd.
    LetterboxdWatchlist,
    /// The `likes/films.csv` of Letterboxd.
    LetterboxdLikes,
    /// The ratings of IMDb.
    ImdbRatings,
    /// The watchlist of IMDb, or another list.
    ImdbWatchlist,
    /// The ratings of Trakt.
    TraktRatings,
    /// The history of Trakt.
    TraktHistory,
    /// The watchlist of Trakt.
    TraktWatchlist,
    /// MovieLens ratings, in the export of the site or in a dataset.
    MovielensRatings,
    /// The `links.csv` of a MovieLens dataset.
    MovielensLinks,
    /// The `movies.csv` of a MovieLens dataset.
    MovielensMovies,
}

impl ImportFormat {
    /// All formats.
    pub const ALL: [Self; 13] = [
        Self::LetterboxdWatched,
        Self::LetterboxdRatings,
        Self::LetterboxdDiary,
        Self::LetterboxdWatchlist,
        Self::LetterboxdLikes,
        Self::ImdbRatings,
        Self::ImdbWatchlist,
        Self::TraktRatings,
        Self::TraktHistory,
        Self::TraktWatchlist,
        Self::MovielensRatings,
        Self::MovielensLinks,
        Self::MovielensMovies,
    ];

    /// The format named `name`.
    pub fn parse(name: &str) -> Option<Self> {
        parse_name(name)
    }
}
