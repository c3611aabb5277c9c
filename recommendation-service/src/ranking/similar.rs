//! Similar movies: by content, and by their audiences.

use std::collections::HashMap;

use filter::{Bitmap, FacetKind, Filter};
use recommender::{
    Scorer as _,
    content::{ContentWeights, TagProfile, TagVector},
};

use crate::{
    ranking::{
        RecommendError, candidates, common,
        recommender::Recommender,
        scoring::{ModelOnCatalogue, apportion},
        series,
    },
    read_model::Catalogue,
    reason::Reason,
};

/// The share of content where learned models know both movies; they have the rest.
const CONTENT_SHARE: f32 = 0.5;
/// The number of neighbours of a movie that count.
const MAX_NEIGHBOURS: usize = 1000;
/// The similarity of a movie to another for being the first that TMDB recommends beside it; half as much for the last of the
/// ten. Not fitted: the sets of ratings that the other weights are fitted to have no recommendations of TMDB.
const RECOMMENDED: f32 = 0.25;
/// The movies that are ranked beyond those that are asked for, in place of parts of a series.
const MAX_SPARE: usize = 50;
/// The things in common that are named.
const MAX_COMMON: usize = 2;

/// A similar movie, with the reason.
#[derive(Debug, Clone, PartialEq)]
pub struct SimilarFilm {
    /// TMDB's id.
    pub id: i64,
    /// The similarity in ten-thousandths, 0 to 10,000.
    pub score: i64,
    /// The part of content.
    pub content: i32,
    /// The part of the learned models, or of its imputation from content.
    pub learned: i32,
    /// The reasons, at least one.
    pub reasons: Vec<Reason>,
}

/// The movies that are similar to a movie.
#[derive(Debug, Clone, PartialEq)]
pub struct SimilarFilms {
    /// The movies, most similar first.
    pub films: Vec<SimilarFilm>,
    /// The version of the learned models; `None` if they do not know the movie.
    pub model_version: Option<i64>,
}

impl Recommender {
    /// The `limit` movies that pass `filter` and are most similar to movie `id`.
    ///
    /// # Errors
    /// [`RecommendError::MovieNotFound`] if there is no such movie, or as [`RecommendError`] says.
    #[tracing::instrument(
        name = "service.recommender.similar",
        level = "debug",
        skip(self, filter),
        err(level = "debug")
    )]
    pub async fn similar(
        &self,
        id: i64,
        filter: Filter,
        limit: usize,
    ) -> Result<SimilarFilms, RecommendError> {
        self.check_loaded()?;
        self.check_filter(&filter)?;
        self.compute(move |own| {
            let catalogue = own.catalogue();
            let row = catalogue.row(id).ok_or(RecommendError::MovieNotFound)?;
            let model_on_catalogue = own.place(&catalogue);
            let (model_on_catalogue, uses_content) =
                (model_on_catalogue.as_ref(), own.uses_content());
            let similar = similar(
                &catalogue,
                model_on_catalogue,
                row,
                uses_content,
                &filter,
                limit,
            );
            Ok(similar)
        })
        .await?
    }
}

/// The similarity of all movies to one, by row.
pub(super) struct Similarity {
    row: usize,
    /// The share of content in the whole.
    share: f32,
    content: Vec<f32>,
    /// Empty if the learned models do not know the movie.
    learned: Vec<f32>,
    /// The rows of its neighbours by the learned models, and of those that TMDB recommends.
    audience: Vec<u32>,
    model_version: Option<i64>,
}

impl Similarity {
    /// The similarity to the movie in `row`.
    pub(super) fn new(
        catalogue: &Catalogue,
        model_on_catalogue: Option<&ModelOnCatalogue>,
        row: usize,
        uses_content: bool,
    ) -> Self {
        let vector = if uses_content {
            catalogue.vector(row)
        } else {
            TagVector::default()
        };
        let weights = ContentWeights {
            prior: 0.0,
            ..*catalogue.content_weights()
        };
        let movie = (&vector, catalogue.factors(row), 1.0);
        let own = TagProfile::new(&weights, [movie], &HashMap::new());
        let [mut content, _] = catalogue.score_tags(&own);
        let scale = if uses_content {
            1.0 / weights.max_similarity()
        } else {
            0.0
        };
        content
            .iter_mut()
            .for_each(|score| *score = (scale * *score).clamp(0.0, 1.0));
        let recommended = recommended(catalogue, row);
        for (other, amount) in recommended.iter().filter(|_| uses_content) {
            content[*other] += (1.0 - content[*other]) * amount;
        }
        let together = model_on_catalogue.and_then(|model_on_catalogue| {
            Some((
                model_on_catalogue,
                learned_similarity(model_on_catalogue, catalogue.id(row))?,
            ))
        });
        let mut audience: Vec<u32> = recommended
            .iter()
            .filter_map(|(row, _)| u32::try_from(*row).ok())
            .collect();
        let (share, learned) = match &together {
            None => (1.0, Vec::new()),
            Some((model_on_catalogue, by_column)) => {
                let slope = slope(model_on_catalogue, by_column, &content);
                let mut learned: Vec<f32> = content
                    .iter()
                    .map(|content| (slope * content).clamp(0.0, 1.0))
                    .collect();
                for (column, row) in model_on_catalogue.places() {
                    learned[row] = by_column[column];
                    if by_column[column] > 0.0 {
                        audience.extend(u32::try_from(row));
                    }
                }
                (if uses_content { CONTENT_SHARE } else { 0.0 }, learned)
            }
        };
        Self {
            row,
            share,
            content,
            learned,
            audience,
            model_version: together
                .map(|(model_on_catalogue, _)| model_on_catalogue.trained.version),
        }
    }

    /// The parts of content and of the learned models for the movie in `row`.
    fn amounts(&self, row: usize) -> (f32, f32) {
        let learned = self.learned.get(row).copied().unwrap_or_default();
        (self.share * self.content[row], (1.0 - self.share) * learned)
    }

    /// The similarity of the movie in `row`, 0 to 1.
    pub(super) fn score(&self, row: usize) -> f32 {
        let (content, learned) = self.amounts(row);
        content + learned
    }

    /// The rows of the movies that have something in common with the movie: a genre, a keyword, a person or an audience. To
    /// be of the same language, release year, length or number of votes is not enough.
    fn related(&self, catalogue: &Catalogue) -> Bitmap {
        let mut related = Bitmap::with_rows(catalogue.len());
        let facets = catalogue.films().facets();
        for tag in catalogue.vector(self.row).tags() {
            let postings = facets.numbered(tag);
            if let Some(postings) = postings.filter(|_| is_subject(catalogue, tag)) {
                postings.for_each(|row| {
                    related.insert(row);
                });
            }
        }
        for row in &self.audience {
            related.insert(*row);
        }
        related
    }

    /// The reasons for the similarity of the movie in `row`, at least one.
    pub(super) fn reasons(&self, catalogue: &Catalogue, row: usize) -> Vec<Reason> {
        let (content, learned) = self.amounts(row);
        let audience = (learned > content).then_some(Reason::SameAudience);
        let common = common::reasons(catalogue, self.row, row, MAX_COMMON);
        let reasons: Vec<Reason> = audience.into_iter().chain(common).collect();
        match reasons.is_empty() {
            true => vec![Reason::Similar],
            false => reasons,
        }
    }
}

fn similar(
    catalogue: &Catalogue,
    model_on_catalogue: Option<&ModelOnCatalogue>,
    row: usize,
    uses_content: bool,
    filter: &Filter,
    limit: usize,
) -> SimilarFilms {
    let similarity = Similarity::new(catalogue, model_on_catalogue, row, uses_content);
    let mut rows = catalogue.select(filter);
    rows.intersect(&similarity.related(catalogue));
    rows.remove(u32::try_from(row).unwrap_or(u32::MAX));
    let count = limit + MAX_SPARE;
    let best = candidates::best_by(catalogue, &rows, count, |row| similarity.score(row));
    let best = series::spaced_out(catalogue, &best).into_iter().take(limit);
    let films = best.filter(|film| film.score > 0).map(|film| {
        let (content, learned) = similarity.amounts(film.row);
        let amounts = apportion(&[f64::from(content), f64::from(learned)], film.score);
        SimilarFilm {
            id: catalogue.id(film.row),
            score: film.score,
            content: amounts[0],
            learned: amounts[1],
            reasons: similarity.reasons(catalogue, film.row),
        }
    });
    SimilarFilms {
        films: films.collect(),
        model_version: similarity.model_version,
    }
}

/// The rows of the movies that TMDB recommends beside the one in `row`, with their similarity for that.
fn recommended(catalogue: &Catalogue, row: usize) -> Vec<(usize, f32)> {
    let related = catalogue.related(row);
    let places = (0_u8..).zip(related.recommended());
    places
        .filter_map(|(place, id)| {
            let last = f32::from(place.min(10)) / 10.0;
            Some((catalogue.row(id)?, RECOMMENDED * (1.0 - last / 2.0)))
        })
        .collect()
}

/// The similarity to movie `id` by the learned models, by column, the best 1; `None` if they do not know it.
fn learned_similarity(model_on_catalogue: &ModelOnCatalogue, id: i64) -> Option<Vec<f32>> {
    let trained = &model_on_catalogue.trained;
    let similar = trained.blend.similar(trained.column(id)?, MAX_NEIGHBOURS);
    let (_, most) = *similar.first()?;
    let mut by_column = vec![0.0; trained.films.len()];
    for (column, value) in similar {
        by_column[column as usize] = value / most;
    }
    Some(by_column)
}

/// The slope of the line through the origin that fits the learned similarities by `content` best (least squares).
fn slope(model_on_catalogue: &ModelOnCatalogue, learned: &[f32], content: &[f32]) -> f32 {
    let (mut xx, mut xy) = (0.0_f64, 0.0_f64);
    for (column, row) in model_on_catalogue.places() {
        let (content, learned) = (f64::from(content[row]), f64::from(learned[column]));
        xx += content * content;
        xy += content * learned;
    }
    if xx > 1e-9 { (xy / xx) as f32 } else { 0.0 }
}

/// True if to share `tag` is to have something in common, and not only the language.
fn is_subject(catalogue: &Catalogue, tag: u32) -> bool {
    let facet = catalogue.films().facets().facet(tag);
    facet.is_some_and(|(kind, _)| kind != FacetKind::Language)
}
