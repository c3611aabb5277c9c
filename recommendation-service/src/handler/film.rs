//! How a film in a list is told of.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ranking::{FilmList, ListedFilm},
    read_model::Catalogue,
};

/// TMDB's host of images, with the width that lists show a poster in.
const POSTER_BASE: &str = "https://image.tmdb.org/t/p/w500";

/// A film.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FilmCard {
    /// TMDB's id.
    #[schema(example = 603)]
    pub(super) id: i64,
    /// The title.
    #[schema(example = "The Matrix")]
    title: String,
    /// The day of the first release, `YYYY-MM-DD`; empty where unknown.
    #[schema(example = "1999-03-31")]
    release_date: String,
    /// Names of its genres, alphabetical.
    #[schema(example = json!(["Action", "Science Fiction"]))]
    genres: Vec<String>,
    /// TMDB's popularity.
    #[schema(example = 73.5)]
    popularity: f64,
    /// The poster, 500 pixels wide; empty where there is none.
    #[schema(example = "")]
    poster_url: String,
}

impl FilmCard {
    /// The film in `row`.
    pub(super) fn new(catalogue: &Catalogue, row: usize) -> Self {
        let release_date = catalogue.release_date(row);
        let poster = catalogue.poster_path(row);
        Self {
            id: catalogue.id(row),
            title: catalogue.title(row).to_owned(),
            release_date: release_date
                .map(|date| date.to_string())
                .unwrap_or_default(),
            genres: catalogue
                .genre_names(row)
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

/// What a part of the score adds to it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ContributionResponse {
    /// The part: `ease`, `ials`, `spectral`, `popularity`, `content`, `taste`, `rules`, or `stand_in`, what
    /// likeness gives a film that no learned model knows yet; under `rules`: `popularity`, `recency`,
    /// `genre_match`.
    #[schema(example = "content")]
    name: String,
    /// What it adds; below 0: it speaks against the film.
    #[schema(example = 0.31)]
    amount: f64,
}

/// A film of the user's that speaks for the film.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BecauseResponse {
    /// TMDB's id.
    #[schema(example = 604)]
    id: i64,
    /// The title.
    #[schema(example = "The Matrix Reloaded")]
    title: String,
    /// What it adds to the score.
    #[schema(example = 0.2)]
    share: f64,
}

/// What the user's other films add to a score.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OthersResponse {
    /// How many there are.
    #[schema(example = 12)]
    films: u32,
    /// What they add together.
    #[schema(example = 0.11)]
    share: f64,
}

/// Why a film has its score.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExplanationResponse {
    /// What the parts of the score add; together the score.
    contributions: Vec<ContributionResponse>,
    /// Films of the user that speak most for it. Their shares, those of others and `base` are together the
    /// score.
    because: Vec<BecauseResponse>,
    /// The user's other films.
    others: OthersResponse,
    /// What the score owes to none of the user's films.
    #[schema(example = 0.04)]
    base: f64,
}

/// A number of ten-thousandths.
pub(super) fn decimal(ten_thousandths: i64) -> f64 {
    ten_thousandths as f64 / 10_000.0
}

impl ExplanationResponse {
    pub(super) fn new(catalogue: &Catalogue, list: &FilmList, film: &ListedFilm) -> Self {
        let amounts = list.parts.iter().zip(&film.amounts);
        Self {
            contributions: amounts
                .map(|(name, amount)| ContributionResponse {
                    name: name.clone(),
                    amount: decimal((*amount).into()),
                })
                .collect(),
            because: film
                .because
                .iter()
                .map(|(id, amount)| BecauseResponse {
                    id: *id,
                    title: catalogue
                        .row(*id)
                        .map(|row| catalogue.title(row).to_owned())
                        .unwrap_or_default(),
                    share: decimal((*amount).into()),
                })
                .collect(),
            others: OthersResponse {
                films: film.others.0,
                share: decimal(film.others.1),
            },
            base: decimal(film.base()),
        }
    }
}
