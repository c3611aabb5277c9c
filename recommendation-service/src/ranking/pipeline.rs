//! The ranking pipeline: a list for one user out of the whole catalogue, in seven steps. Called by
//! [`super::recommender`] on a worker thread. It reads no clock, waits for nothing and holds no lock: the snapshots, the
//! models and the time come in.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use filter::Filter;
use recommender::{Scorer as _, content::TagVector, rerank::diversity::mmr};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    experiments::treatment::Treatment,
    ranking::{
        FilmList, Strategy,
        candidates::{self, Ranked},
        scoring::{NotTrained, Scores, ScoringContext},
        series,
        store::ListStore,
    },
};

/// The number of best movies that are reranked for diversity.
const RERANKED: usize = 200;
/// The length of a diverse list.
const MAX_DIVERSE: usize = 100;

/// The parameters of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct RankingRequest {
    /// The strategy that scores movies.
    pub strategy: Strategy,
    /// The filter that candidates pass.
    pub filter: Filter,
    /// True if movies that the user has seen or judged are left out; those they dislike always are.
    pub exclude_seen: bool,
    /// The weight of diversity, from 0 (the best movies) to 1 (the most different).
    pub diversity: f32,
    /// The page size, 1 to 100.
    pub limit: usize,
    /// True if the client chose the strategy, so that no treatment applies.
    pub has_chosen_strategy: bool,
    /// All parameters but `limit` as text: the next page of a list must be requested with the same.
    pub parameters: String,
}

/// Ranks the catalogue of `context` for its user. Without a `treatment` there is no exploration; without a `store` the
/// list cannot be found again.
///
/// # Errors
/// [`NotTrained`] if the strategy needs a learned model that is not live.
pub fn pipeline(
    context: ScoringContext<'_>,
    user_id: i64,
    request: &RankingRequest,
    treatment: Option<&Treatment<'_>>,
    store: Option<&ListStore>,
) -> Result<Arc<FilmList>, NotTrained> {
    let catalogue = context.catalogue;

    // 1. Candidates: the filter, the user's preferences, and what they have not seen or judged.
    let (filter, exclude_seen) = (&request.filter, request.exclude_seen);
    let mut rows = candidates::candidates(catalogue, context.profile, filter, exclude_seen);

    // 2. Score by learned models, content and taste, and 3. by the rules, which are a part of the blend or stand alone.
    // The rules alone divide by the largest popularity, as documented; a blend must not depend on one movie's.
    let max_popularity = match request.strategy {
        Strategy::Blend => candidates::robust_max_popularity(catalogue, &rows),
        _ => candidates::max_popularity(catalogue, &rows),
    };
    let mut scores = Scores::new(context, request.strategy, max_popularity)?;
    scores.keep_covered(&mut rows);
    scores.leave_out_own(&rows);
    let is_diverse = request.diversity > 0.0;
    let count = if is_diverse {
        RERANKED
    } else {
        FilmList::MAX_FILMS
    };
    let estimate = |first: usize, block: &mut [f32]| scores.estimate(first, block);
    let score = |row| scores.score(row);
    let mut ranked = candidates::best(catalogue, &rows, count, estimate, score);

    // 4. Rerank for diversity, and so that no series crowds the list. A strategy that a client chooses to see one part of
    // the blend is left as it is.
    if is_diverse {
        ranked = diversify(context, &ranked, request.diversity);
    }
    if request.strategy == Strategy::Blend {
        ranked = series::spaced_out(catalogue, &ranked);
    }

    // 5. Explore: movies further down take some of the first positions.
    let seed = seed(context, user_id, request, &ranked);
    let slots = treatment.map(|treatment| treatment.explore(&mut ranked, request.limit, seed));

    // 6. Explain each score by its parts and by the user's movies.
    let places: Vec<(usize, i64)> = ranked
        .iter()
        .map(|movie| (movie.row, movie.score))
        .collect();
    let mut list = FilmList {
        id: Uuid::nil(),
        user_id,
        created_at: context.now,
        parameters: request.parameters.clone(),
        limit: request.limit,
        exclude_seen,
        strategy: scores.strategy,
        model_version: scores.model_version(),
        fresh_as_of: context.profile.fresh_as_of,
        parts: scores.parts().into_iter().map(str::to_owned).collect(),
        films: scores.explain(&places),
        participations: treatment
            .map(|treatment| treatment.overrides.participations.clone())
            .unwrap_or_default(),
        slots: slots.unwrap_or_default(),
    };
    list.id = list_id(&list);

    // 7. Store, for the next page and for a replay.
    let list = Arc::new(list);
    if let Some(store) = store {
        store.store(&list);
    }
    Ok(list)
}

/// Reranks by maximal marginal relevance. Movies are similar if they have the same tags and, where learned models know
/// both, the same audience.
fn diversify(context: ScoringContext<'_>, ranked: &[Ranked], diversity: f32) -> Vec<Ranked> {
    let trained = context
        .model_on_catalogue
        .map(|model_on_catalogue| &model_on_catalogue.trained);
    let columns: Vec<Option<u32>> = ranked
        .iter()
        .map(|movie| trained?.column(movie.id))
        .collect();
    let vector = |movie: &Ranked| match context.uses_content {
        true => context.catalogue.vector(movie.row),
        false => TagVector::default(),
    };
    let vectors: Vec<TagVector> = ranked.iter().map(vector).collect();
    let scored: Vec<(u32, f32)> = (0..)
        .zip(ranked)
        .map(|(place, movie)| (place, movie.score as f32))
        .collect();
    let order = mmr(&scored, diversity, MAX_DIVERSE, |one, two| {
        let (one, two) = (one as usize, two as usize);
        let content = vectors[one].cosine(&vectors[two]);
        let learned = || trained?.blend.similarity(columns[one]?, columns[two]?);
        learned().map_or(content, |learned| (content + learned.max(0.0)) / 2.0)
    });
    order
        .into_iter()
        .map(|place| ranked[place as usize])
        .collect()
}

fn time_bytes(at: Option<DateTime<Utc>>) -> [u8; 8] {
    at.map_or(i64::MIN, |at| at.timestamp_micros())
        .to_le_bytes()
}

/// The seed of exploration: the same ranking for the same user is explored in the same way on every replica.
fn seed(
    context: ScoringContext<'_>,
    user_id: i64,
    request: &RankingRequest,
    ranked: &[Ranked],
) -> u64 {
    let mut hash = Sha256::new();
    hash.update(user_id.to_le_bytes());
    hash.update(&request.parameters);
    hash.update(time_bytes(context.profile.fresh_as_of));
    for movie in ranked {
        hash.update(movie.id.to_le_bytes());
        hash.update(movie.score.to_le_bytes());
    }
    let mut seed = [0; 8];
    seed.copy_from_slice(&hash.finalize()[..8]);
    u64::from_le_bytes(seed)
}

/// The id of `list`: a hash of its contents, so that replicas that make the same list give it the same id.
fn list_id(list: &FilmList) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(list.user_id.to_le_bytes());
    hash.update((list.parameters.len() as u64).to_le_bytes());
    hash.update(&list.parameters);
    hash.update((list.limit as u64).to_le_bytes());
    hash.update(list.strategy.as_str());
    hash.update(list.model_version.unwrap_or(-1).to_le_bytes());
    hash.update(time_bytes(list.fresh_as_of));
    for part in &list.participations {
        hash.update(part.experiment_id.to_le_bytes());
        hash.update((part.variant as u64).to_le_bytes());
    }
    for film in &list.films {
        hash.update(film.id.to_le_bytes());
        hash.update(film.score.to_le_bytes());
        for amount in &film.amounts {
            hash.update(amount.to_le_bytes());
        }
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
