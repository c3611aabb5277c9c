//! Films like a film: by what they are about, and by who deals with both.

use std::collections::HashMap;

use filter::{FacetKind, Filter};
use recommender::content::{TagProfile, TagVector};

use super::{
    ranking,
    recommender::{RecommendError, Recommender},
    scoring::{Placed, apportion},
};
use crate::models::{Catalogue, FilmTags};

/// How much what films are about counts where learned models know both; they have the rest.
const CONTENT_SHARE: f32 = 0.5;
/// So many neighbours of a film count.
const NEIGHBOURS: usize = 1000;

/// A film like another, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct SimilarFilm {
    /// TMDB's id.
    pub id: i64,
    /// How alike they are, in ten-thousandths: 0 to 10,000.
    pub score: i64,
    /// What their tags add to that.
    pub content: i32,
    /// What the learned models add, or what likeness gives in their place.
    pub learned: i32,
    /// Why, in words.
    pub reason: String,
}

/// Films like a film.
#[derive(Debug, Clone, PartialEq)]
pub struct SimilarFilms {
    /// The most alike first.
    pub films: Vec<SimilarFilm>,
    /// The version of the learned models that was asked, if they know the film.
    pub model_version: Option<i64>,
}

impl Recommender {
    /// The `limit` films of those in `filter` that are most like film `id`.
    ///
    /// # Errors
    /// There is no such film, or as [`RecommendError`] says.
    pub async fn similar(
        &self,
        id: i64,
        filter: Filter,
        limit: usize,
    ) -> Result<SimilarFilms, RecommendError> {
        self.check_loaded()?;
        self.check_genres(&filter)?;
        self.compute(move |own| {
            let catalogue = own.catalogue.read();
            let row = catalogue.row(id).ok_or(RecommendError::MovieNotFound)?;
            let placed = own.place(&catalogue);
            let about = own.uses_content();
            Ok(similar(
                &catalogue,
                placed.as_ref(),
                row,
                about,
                &filter,
                limit,
            ))
        })
        .await?
    }
}

fn similar(
    catalogue: &Catalogue,
    placed: Option<&Placed>,
    row: usize,
    uses_content: bool,
    filter: &Filter,
    limit: usize,
) -> SimilarFilms {
    let films = catalogue.films();
    let numbered = u32::try_from(row).unwrap_or(u32::MAX);
    let vector = if uses_content {
        catalogue.vector(row)
    } else {
        TagVector::default()
    };
    let own = TagProfile::new([(&vector, 1.0)], &HashMap::new());
    let [content, _] = own.score(&FilmTags(films), catalogue.norms());

    let together = placed.and_then(|placed| Some((placed, together(placed, catalogue.id(row))?)));
    let (share, learned) = match &together {
        None => (1.0, Vec::new()),
        Some((placed, by_column)) => {
            let slope = slope(placed, by_column, &content);
            let mut learned: Vec<f32> = content
                .iter()
                .map(|content| (slope * content).clamp(0.0, 1.0))
                .collect();
            for (column, row) in placed.places() {
                learned[row] = by_column[column];
            }
            (if uses_content { CONTENT_SHARE } else { 0.0 }, learned)
        }
    };
    let amounts = |row: usize| {
        let learned = learned.get(row).copied().unwrap_or_default();
        (share * content[row], (1.0 - share) * learned)
    };
    let score = |row: usize| {
        let (content, learned) = amounts(row);
        content + learned
    };
    let mut rows = catalogue.select(filter);
    rows.remove(numbered);
    let best = ranking::best(
        catalogue,
        &rows,
        limit,
        |first, scores| {
            for (place, out) in scores.iter_mut().enumerate() {
                *out = score(first + place);
            }
        },
        |row| f64::from(score(row)),
    );
    let films = best.into_iter().filter(|film| film.score > 0).map(|film| {
        let (content, learned) = amounts(film.row);
        let amounts = apportion(&[f64::from(content), f64::from(learned)], film.score);
        SimilarFilm {
            id: catalogue.id(film.row),
            score: film.score,
            content: amounts[0],
            learned: amounts[1],
            reason: reason(catalogue, &vector, film.row, learned > content),
        }
    });
    SimilarFilms {
        films: films.collect(),
        model_version: together.map(|(placed, _)| placed.trained.version()),
    }
}

/// How well each film goes with film `id` by the learned models, by column, the best 1; none where they do
/// not know it.
fn together(placed: &Placed, id: i64) -> Option<Vec<f32>> {
    let trained = &placed.trained;
    let similar = trained.similar(trained.column(id)?, NEIGHBOURS);
    let (_, most) = *similar.first()?;
    let mut by_column = vec![0.0; trained.films().len()];
    for (column, value) in similar {
        by_column[column as usize] = value / most;
    }
    Some(by_column)
}

/// How much of what learned models say of films that they know goes with `content`: the slope of the line
/// through the origin that fits best.
fn slope(placed: &Placed, learned: &[f32], content: &[f32]) -> f32 {
    let (mut xx, mut xy) = (0.0_f64, 0.0_f64);
    for (column, row) in placed.places() {
        let (content, learned) = (f64::from(content[row]), f64::from(learned[column]));
        xx += content * content;
        xy += content * learned;
    }
    if xx > 1e-9 { (xy / xx) as f32 } else { 0.0 }
}

fn reason(catalogue: &Catalogue, vector: &TagVector, row: usize, is_learned: bool) -> String {
    let films = catalogue.films();
    let shared = vector
        .strongest_shared(&catalogue.vector(row))
        .and_then(|number| films.facet(number));
    let about = match shared {
        Some((FacetKind::Person, _)) => Some("made by the same people".to_owned()),
        Some((FacetKind::Keyword, _)) => Some("about the same things".to_owned()),
        Some((FacetKind::Genre, id)) => {
            let name = i64::try_from(id)
                .ok()
                .and_then(|id| catalogue.genre_ids().name(id));
            name.map(|name| format!("also {name}"))
        }
        Some((FacetKind::Language, _)) => Some("in the same language".to_owned()),
        _ => None,
    };
    let people = is_learned.then(|| "who likes one likes the other".to_owned());
    let words: Vec<String> = people.into_iter().chain(about).collect();
    if words.is_empty() {
        "like it".to_owned()
    } else {
        words.join(", ")
    }
}
