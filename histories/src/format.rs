//! The formats of files and the columns by which they are recognized: all required ones, and none that only other formats
//! have.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Source, header::Header};

/// The format of a file, by the site that exports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ImportFormat, example = "letterboxd-diary")]
pub enum Format {
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
    /// The layout that Letterboxd imports and converters write: `Title,Year,Rating10,WatchedDate,tmdbID,imdbID`.
    LetterboxdImport,
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
    /// The ratings of TMDB.
    TmdbRatings,
    /// The watchlist of TMDB.
    TmdbWatchlist,
    /// The favorites of TMDB.
    TmdbFavorites,
    /// The backup of Simkl, or its import layout.
    Simkl,
    /// The export of Yamtrack.
    Yamtrack,
    /// The `history.csv` of Movary.
    MovaryHistory,
    /// The `ratings.csv` of Movary.
    MovaryRatings,
    /// The `watchlist.csv` of Movary.
    MovaryWatchlist,
    /// The JSON export of Marquee.
    Marquee,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 23] = [
        Self::LetterboxdWatched,
        Self::LetterboxdRatings,
        Self::LetterboxdDiary,
        Self::LetterboxdWatchlist,
        Self::LetterboxdLikes,
        Self::LetterboxdImport,
        Self::ImdbRatings,
        Self::ImdbWatchlist,
        Self::TraktRatings,
        Self::TraktHistory,
        Self::TraktWatchlist,
        Self::MovielensRatings,
        Self::MovielensLinks,
        Self::MovielensMovies,
        Self::TmdbRatings,
        Self::TmdbWatchlist,
        Self::TmdbFavorites,
        Self::Simkl,
        Self::Yamtrack,
        Self::MovaryHistory,
        Self::MovaryRatings,
        Self::MovaryWatchlist,
        Self::Marquee,
    ];

    /// The format named `name` in requests.
    pub fn parse(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }

    /// The site.
    pub fn source(self) -> Source {
        match self {
            Self::LetterboxdWatched
            | Self::LetterboxdRatings
            | Self::LetterboxdDiary
            | Self::LetterboxdWatchlist
            | Self::LetterboxdLikes
            | Self::LetterboxdImport => Source::Letterboxd,
            Self::ImdbRatings | Self::ImdbWatchlist => Source::Imdb,
            Self::TraktRatings | Self::TraktHistory | Self::TraktWatchlist => Source::Trakt,
            Self::MovielensRatings | Self::MovielensLinks | Self::MovielensMovies => {
                Source::Movielens
            }
            Self::TmdbRatings | Self::TmdbWatchlist | Self::TmdbFavorites => Source::Tmdb,
            Self::Simkl => Source::Simkl,
            Self::Yamtrack => Source::Yamtrack,
            Self::MovaryHistory | Self::MovaryRatings | Self::MovaryWatchlist => Source::Movary,
            Self::Marquee => Source::Marquee,
        }
    }
}

/// Columns of which each names one format or a few; they contradict a format that does not have them.
const DISTINCTIVE: [&str; 18] = [
    "const",
    "yourrating",
    "yourated",
    "daterated",
    "titletype",
    "letterboxduri",
    "watcheddate",
    "rating10",
    "traktid",
    "watchedat",
    "ratedat",
    "listedat",
    "movieid",
    "simklid",
    "lastepwatched",
    "mediaid",
    "userrating",
    "addedat",
];

/// The columns of a format.
struct Layout {
    format: Format,
    required: &'static [&'static str],
    /// The distinctive columns that files of the format may have besides.
    also: &'static [&'static str],
}

const fn layout(
    format: Format,
    required: &'static [&'static str],
    also: &'static [&'static str],
) -> Layout {
    Layout {
        format,
        required,
        also,
    }
}

/// The layouts, those with more columns first.
const LAYOUTS: [Layout; 22] = [
    layout(
        Format::Simkl,
        &["title", "watchlist", "lastepwatched", "watcheddate"],
        &["simklid"],
    ),
    layout(
        Format::TmdbRatings,
        &["tmdbid", "type", "name", "yourrating"],
        &["daterated"],
    ),
    layout(
        Format::LetterboxdDiary,
        &["name", "watcheddate"],
        &["letterboxduri"],
    ),
    layout(
        Format::LetterboxdRatings,
        &["name", "letterboxduri", "rating"],
        &[],
    ),
    layout(Format::LetterboxdWatched, &["name", "letterboxduri"], &[]),
    layout(
        Format::ImdbRatings,
        &["const", "created", "yourated"],
        &["titletype"],
    ),
    layout(
        Format::ImdbWatchlist,
        &["const", "created"],
        &["titletype", "yourrating", "daterated"],
    ),
    layout(
        Format::ImdbRatings,
        &["const", "yourrating"],
        &["titletype", "daterated"],
    ),
    layout(
        Format::TraktRatings,
        &["ratedat", "rating", "title"],
        &["traktid"],
    ),
    layout(
        Format::TraktHistory,
        &["watchedat", "title", "type"],
        &["traktid"],
    ),
    layout(
        Format::TraktHistory,
        &["watchedat", "title", "action"],
        &["traktid"],
    ),
    layout(
        Format::TraktHistory,
        &["watchedat", "title", "traktid"],
        &[],
    ),
    layout(
        Format::TraktHistory,
        &["lastwatchedat", "title"],
        &["traktid"],
    ),
    layout(Format::TraktWatchlist, &["listedat", "title"], &["traktid"]),
    layout(
        Format::Yamtrack,
        &["mediaid", "source", "mediatype", "status"],
        &[],
    ),
    layout(Format::MovielensRatings, &["movieid", "rating"], &[]),
    layout(
        Format::MovielensLinks,
        &["movieid", "imdbid", "tmdbid"],
        &[],
    ),
    layout(Format::MovielensMovies, &["movieid", "title"], &[]),
    layout(
        Format::MovaryHistory,
        &["title", "tmdbid", "imdbid", "watchedat"],
        &[],
    ),
    layout(
        Format::MovaryRatings,
        &["title", "tmdbid", "imdbid", "userrating"],
        &[],
    ),
    layout(
        Format::MovaryWatchlist,
        &["title", "tmdbid", "imdbid", "addedat"],
        &[],
    ),
    layout(
        Format::LetterboxdImport,
        &[],
        &["letterboxduri", "watcheddate", "rating10"],
    ),
];

impl Layout {
    fn has_required(&self, header: &Header) -> bool {
        if self.format == Format::LetterboxdImport {
            let movie = ["title", "letterboxduri", "tmdbid", "imdbid"];
            let action = [
                "rating",
                "rating10",
                "watcheddate",
                "rewatch",
                "review",
                "directors",
                "tags",
            ];
            let has_any = |names: &[&str]| names.iter().any(|name| header.has(name));
            return has_any(&movie) && has_any(&action) && !header.has("name");
        }
        self.required.iter().all(|name| header.has(name))
    }

    /// A column that only other formats have.
    fn contradiction(&self, header: &Header) -> Option<&'static str> {
        let mut distinctive = DISTINCTIVE.into_iter();
        distinctive.find(|name| {
            header.has(name) && !self.required.contains(name) && !self.also.contains(name)
        })
    }
}

/// The format of a file by its header and then its name: `requested` if the columns fit it.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn detect(
    header: &Header,
    file_name: &str,
    requested: Option<Format>,
) -> Result<Format, String> {
    if let Some(column) = header.repeated() {
        return Err(format!("has the column {column} twice"));
    }
    if let Some(requested) = requested {
        let alike = columns_of(requested);
        let fits = LAYOUTS
            .iter()
            .any(|layout| layout.format == alike && layout.has_required(header));
        return fits
            .then_some(requested)
            .ok_or_else(|| format!("the first line is not the header of {requested}"));
    }
    let mut contradiction = None;
    for layout in LAYOUTS.iter().filter(|layout| layout.has_required(header)) {
        match layout.contradiction(header) {
            None => return by_name(layout.format, file_name),
            Some(column) => contradiction = contradiction.or(Some((layout.format, column))),
        }
    }
    Err(match contradiction {
        Some((format, column)) => format!(
            "has the columns of {} and the column {}, which contradict each other: send the file as it was exported",
            format,
            header.spelled(column)
        ),
        None => "the first line is not the header of an export of Letterboxd, IMDb, Trakt, TMDB, MovieLens, Simkl, Yamtrack or Movary".to_owned(),
    })
}

/// The format that has the columns of `format` in [`LAYOUTS`].
fn columns_of(format: Format) -> Format {
    match format {
        Format::LetterboxdWatchlist | Format::LetterboxdLikes => Format::LetterboxdWatched,
        Format::TmdbWatchlist | Format::TmdbFavorites => Format::TmdbRatings,
        other => other,
    }
}

/// Tells formats with equal columns apart by the name of the file.
fn by_name(format: Format, file_name: &str) -> Result<Format, String> {
    let name = file_name.to_lowercase();
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    match format {
        Format::LetterboxdWatched => match base.trim_end_matches(".csv") {
            base if base.contains("watchlist") => Ok(Format::LetterboxdWatchlist),
            base if base.contains("watched") => Ok(Format::LetterboxdWatched),
            base if base.starts_with("films") || base.contains("likes") => Ok(Format::LetterboxdLikes),
            _ => Err("watched.csv, watchlist.csv and films.csv (likes) have the same columns: keep their names, or choose the format by format=letterboxd-watched, letterboxd-watchlist or letterboxd-likes".to_owned()),
        },
        Format::TmdbRatings if base.contains("watchlist") => Ok(Format::TmdbWatchlist),
        Format::TmdbRatings if base.contains("favorite") || base.contains("favourite") => Ok(Format::TmdbFavorites),
        Format::ImdbRatings if base.contains("watchlist") => Ok(Format::ImdbWatchlist),
        other => Ok(other),
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}
