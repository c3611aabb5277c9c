//! Movies in responses, and the explanations of their scores.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ranking::{FilmList, ListedFilm},
    read_model::Localized,
    reason::{Names as _, Reason},
};

/// TMDB's image host, with the width of posters in lists.
const POSTER_BASE: &str = "https://image.tmdb.org/t/p/w500";

/// A movie.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FilmCard)]
pub(super) struct MovieCard {
    /// TMDB's id.
    #[schema(example = 603)]
    pub(super) id: i64,
    /// The title in the display language if it is known, else the catalogue's.
    #[schema(example = "The Matrix")]
    title: String,
    /// The first release date, `YYYY-MM-DD`; empty if unknown.
    #[schema(example = "1999-03-31")]
    release_date: String,
    /// The names of its genres in the display language if they are known, in alphabetical order.
    #[schema(example = json!(["Action", "Science Fiction"]))]
    genres: Vec<String>,
    /// TMDB's popularity.
    #[schema(example = 73.5)]
    popularity: f64,
    /// The URL of the poster, 500 pixels wide; empty if there is none.
    #[schema(example = "")]
    poster_url: String,
}

impl MovieCard {
    /// The movie in `row`.
    pub(super) fn new(localized: &Localized<'_>, row: usize) -> Self {
        let catalogue = localized.catalogue;
        let release_date = catalogue.release_date(row);
        let poster = catalogue.poster_path(row);
        Self {
            id: catalogue.id(row),
            title: localized.title_at(row).to_owned(),
            release_date: release_date
                .map(|date| date.to_string())
                .unwrap_or_default(),
            genres: localized
                .genres_at(row)
                .into_iter()
                .map(str::to_owned)
                .collect(),
            popularity: catalogue.popularity()[row],
            poster_url: poster
                .map(|path| format!("{POSTER_BASE}{path}"))
                .unwrap_or_default(),
        }
    }
}

/// The contribution of a part of the score.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ContributionResponse {
    /// The part: `ease`, `ials`, `spectral`, `popularity`, `base` (the base model), `content`, `taste`, `rules`, or
    /// `stand_in` (cold-start imputation: a learned score predicted from content, for a movie that no learned model knows);
    /// with the strategy `rules`: `popularity`, `recency`, `genre_match`.
    #[schema(example = "content")]
    name: String,
    /// The amount; negative if it lowers the score.
    #[schema(example = 0.31)]
    amount: f64,
}

/// The contribution of one of the user's movies.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BecauseResponse {
    /// TMDB's id.
    #[schema(example = 604)]
    id: i64,
    /// The title.
    #[schema(example = "The Matrix Reloaded")]
    title: String,
    /// The amount that it adds to the score.
    #[schema(example = 0.2)]
    share: f64,
}

/// The contribution of the user's other movies.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OthersResponse {
    /// Their number.
    #[schema(example = 12)]
    films: u32,
    /// The amount that they add together.
    #[schema(example = 0.11)]
    share: f64,
}

/// The explanation of a score; empty unless it is requested by `explain`.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct ExplanationResponse {
    /// The contributions of the parts of the score; together the score.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<ContributionResponse>, required = false)]
    contributions: Option<Vec<ContributionResponse>>,
    /// The user's movies with the largest contributions. With those of `others` and `base` they add up to the score.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<BecauseResponse>, required = false)]
    because: Option<Vec<BecauseResponse>>,
    /// The user's other movies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = OthersResponse, required = false)]
    others: Option<OthersResponse>,
    /// The amount that comes from none of the user's movies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = f64, required = false, example = 0.04)]
    base: Option<f64>,
}

/// The reasons for `film` in words. Those in English are stored, with titles as they were when the list was made.
pub(super) fn reason(localized: &Localized<'_>, film: &ListedFilm) -> String {
    match localized.language {
        "ko" if !film.reasons.is_empty() => Reason::text(&film.reasons, "ko", localized),
        _ => film.reason.clone(),
    }
}

/// The number of `ten_thousandths` as a decimal.
pub(super) fn decimal(ten_thousandths: i64) -> f64 {
    ten_thousandths as f64 / 10_000.0
}

impl ExplanationResponse {
    pub(super) fn new(localized: &Localized<'_>, list: &FilmList, film: &ListedFilm) -> Self {
        let amounts = list.parts.iter().zip(&film.amounts);
        let contribution = |(name, amount): (&String, &i32)| ContributionResponse {
            name: name.clone(),
            amount: decimal((*amount).into()),
        };
        let because = |(id, amount): &(i64, i32)| BecauseResponse {
            id: *id,
            title: localized.title(*id).unwrap_or_default().to_owned(),
            share: decimal((*amount).into()),
        };
        Self {
            contributions: Some(amounts.map(contribution).collect()),
            because: Some(film.because.iter().map(because).collect()),
            others: Some(OthersResponse {
                films: film.others.0,
                share: decimal(film.others.1),
            }),
            base: Some(decimal(film.base())),
        }
    }
}
