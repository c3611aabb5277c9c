//! Makes a list for a user: candidates, scores, diversity, reasons, name. Pure: the catalogue, the models and
//! the time come in.

use chrono::{DateTime, Utc};
use filter::Filter;
use recommender::{Scorer as _, content::TagVector, rerank::diversity::mmr};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    ranking::{self, Ranked},
    scoring::{NotTrained, Question, Scores},
};
use crate::models::{FilmList, Strategy};

/// Of how many of the best films a diverse list is chosen, and how many it has.
const DIVERSE_POOL: usize = 200;
const DIVERSE_LONGEST: usize = 100;

/// What a list is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Wishes {
    /// How films are scored.
    pub strategy: Strategy,
    /// Which films it can have.
    pub filter: Filter,
    /// Whether films that the user knows are left out; what they dislike always is.
    pub exclude_seen: bool,
    /// From 0, the best films, to 1, the most different.
    pub diversity: f32,
    /// How many films a page has.
    pub limit: usize,
    /// Whether the client says how films are scored: then nothing is tried out on it.
    pub is_chosen: bool,
    /// The same but for `limit`, as text: who goes on with a list must want the same.
    pub asked: String,
}

/// The list for the user that `question` is about.
///
/// # Errors
/// The strategy needs a learned model that is not there.
pub fn make(question: Question<'_>, user_id: i64, wishes: &Wishes) -> Result<FilmList, NotTrained> {
    let Question {
        catalogue,
        profile,
        now,
        ..
    } = question;
    let mut rows = ranking::candidates(catalogue, profile, &wishes.filter, wishes.exclude_seen);
    let max_popularity = ranking::max_popularity(catalogue, &rows);
    let scores = Scores::new(question, wishes.strategy, max_popularity)?;
    scores.keep_covered(&mut rows);
    let longest = if wishes.diversity > 0.0 {
        DIVERSE_POOL
    } else {
        FilmList::LONGEST
    };
    let mut ranked = ranking::best(
        catalogue,
        &rows,
        longest,
        |first, block| scores.estimate(first, block),
        |row| scores.score(row),
    );
    if wishes.diversity > 0.0 {
        ranked = diversify(question, &ranked, wishes.diversity);
    }
    let places: Vec<(usize, i64)> = ranked.iter().map(|film| (film.row, film.score)).collect();
    let mut list = FilmList {
        id: Uuid::nil(),
        user_id,
        created_at: now,
        asked: wishes.asked.clone(),
        limit: wishes.limit,
        exclude_seen: wishes.exclude_seen,
        strategy: scores.strategy,
        model_version: scores.model_version(),
        fresh_as_of: profile.fresh_as_of,
        parts: scores.parts().into_iter().map(str::to_owned).collect(),
        films: scores.explain(&places),
        participations: Vec::new(),
        slots: Vec::new(),
    };
    list.id = name(&list);
    Ok(list)
}

/// The films of `ranked` that a diverse list has, in its order. Alike is what has the same tags and, where
/// learned models know both, what the same people deal with.
fn diversify(question: Question<'_>, ranked: &[Ranked], diversity: f32) -> Vec<Ranked> {
    let catalogue = question.catalogue;
    let trained = question.placed.map(|placed| &placed.trained);
    let columns: Vec<Option<u32>> = ranked
        .iter()
        .map(|film| trained?.column(catalogue.id(film.row)))
        .collect();
    let vectors: Vec<TagVector> = ranked
        .iter()
        .map(|film| {
            if question.uses_content {
                catalogue.vector(film.row)
            } else {
                TagVector::default()
            }
        })
        .collect();
    let scored: Vec<(u32, f32)> = (0..)
        .zip(ranked)
        .map(|(place, film)| (place, film.score as f32))
        .collect();
    let order = mmr(&scored, diversity, DIVERSE_LONGEST, |one, two| {
        let (one, two) = (one as usize, two as usize);
        let content = vectors[one].cosine(&vectors[two]);
        let learned = || trained?.blend().similarity(columns[one]?, columns[two]?);
        learned().map_or(content, |learned| (content + learned.max(0.0)) / 2.0)
    });
    order
        .into_iter()
        .map(|place| ranked[place as usize])
        .collect()
}

/// A name for `list` that follows from what it says and for whom, so that replicas who make the same list
/// give it the same name.
pub(super) fn name(list: &FilmList) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(list.user_id.to_le_bytes());
    hash.update(u64::try_from(list.asked.len()).unwrap_or(0).to_le_bytes());
    hash.update(&list.asked);
    hash.update(u64::try_from(list.limit).unwrap_or(0).to_le_bytes());
    hash.update(list.strategy.as_str());
    hash.update(list.model_version.unwrap_or(-1).to_le_bytes());
    let fresh = list
        .fresh_as_of
        .map_or(i64::MIN, |at: DateTime<Utc>| at.timestamp_micros());
    hash.update(fresh.to_le_bytes());
    for part in &list.participations {
        hash.update(part.experiment_id.to_le_bytes());
        hash.update(u64::try_from(part.variant).unwrap_or(0).to_le_bytes());
    }
    for film in &list.films {
        hash.update(film.id.to_le_bytes());
        hash.update(film.score.to_le_bytes());
        for amount in &film.amounts {
            hash.update(amount.to_le_bytes());
        }
    }
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
