//! Lists for a group of users.
//!
//! A response must not reveal more of a member than opinions in tenths of a standard deviation: scores, affinities, reasons
//! and the order are computed from these alone, and ties are broken by the catalogue.

use std::{collections::HashMap, sync::Arc};

use filter::Bitmap;
use recommender::{History, Standardization, standardize};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ranking::{RecommendError, Strategy, candidates, recommender::Recommender, scoring::Scores},
    read_model::{Catalogue, Profile, UserId},
    reason::Reason,
};

/// The aggregation of the members' scores into a score of the group; see Masthoff, *Group Recommender Systems*, 2015.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The mean over the members.
    #[default]
    Average,
    /// The lowest score of any member.
    LeastMisery,
    /// Each position for the members who were served least so far: GFAR of Kaya, Bridge and Tintarev, *Ensuring
    /// Fairness in Group Recommendations by Rank-Sensitive Balancing of Relevance*, RecSys 2020.
    Fairness,
}

/// A movie for a group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupFilm {
    /// TMDB's id.
    pub id: i64,
    /// The score of the group, in tenths.
    pub score: f64,
    /// The share of movies that each member likes less, 0 to 1 in tenths, in the order of the members.
    pub affinities: Vec<f64>,
    /// The reason.
    pub reason: Reason,
}

/// A list for a group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupFilms {
    /// The movies, best first.
    pub films: Vec<GroupFilm>,
    /// The version of the learned models; `None` if they scored for no member.
    pub model_version: Option<i64>,
}

/// The smallest affinity of a member for a movie that is something for all.
const MIN_AFFINITY_OF_ALL: f64 = 0.9;

/// `value` in tenths, rounded half away from zero. Never −0, which would reveal the sign of what was rounded.
fn tenths(value: f32) -> f32 {
    (value * 10.0).round() / 10.0 + 0.0
}

/// The opinions of one member by row: scores in standard deviations from the mean over the candidates, in tenths.
struct Member(Vec<f32>);

impl Member {
    fn new(mut scores: Vec<f32>, standard: Standardization) -> Self {
        for score in &mut scores {
            *score = tenths(standard.scale * (*score - standard.mean));
        }
        Self(scores)
    }

    fn opinion(&self, row: usize) -> f32 {
        self.0[row]
    }
}

impl Recommender {
    /// The members of the group `id`, one of whom is `member`.
    ///
    /// # Errors
    /// As [`KnownUsers::group_members`](super::known_users::KnownUsers::group_members).
    pub async fn group_members(
        &self,
        member: UserId,
        id: i64,
    ) -> Result<Vec<UserId>, RecommendError> {
        self.known_users().group_members(member, id).await
    }

    /// True if one group has `member` and all of `users`.
    ///
    /// # Errors
    /// As [`KnownUsers::share_group`](super::known_users::KnownUsers::share_group).
    pub async fn share_group(
        &self,
        member: UserId,
        users: &[UserId],
    ) -> Result<bool, RecommendError> {
        self.known_users().share_group(member, users).await
    }

    /// The best `limit` movies for `members`, of those that no member has seen, judged or ruled out.
    ///
    /// # Errors
    /// [`RecommendError::MemberNotFound`] if a member does not exist, or as [`RecommendError`] says.
    #[tracing::instrument(name = "service.recommender.recommend_to_group", level = "debug", skip_all, fields(members = members.len()), err(level = "debug"))]
    pub async fn recommend_to_group(
        &self,
        members: &[UserId],
        method: Method,
        limit: usize,
    ) -> Result<GroupFilms, RecommendError> {
        self.check_loaded()?;
        let mut profiles = Vec::with_capacity(members.len());
        for (place, member) in members.iter().enumerate() {
            let profile = self.profile(*member).await.map_err(|error| match error {
                RecommendError::UserNotFound => {
                    RecommendError::MemberNotFound { place, id: *member }
                }
                other => other,
            })?;
            profiles.push(profile);
        }
        self.compute(move |own| own.rank_for_group(&profiles, method, limit))
            .await?
    }

    fn rank_for_group(
        &self,
        profiles: &[Arc<Profile>],
        method: Method,
        limit: usize,
    ) -> Result<GroupFilms, RecommendError> {
        let catalogue = self.catalogue();
        let model_on_catalogue = self.place(&catalogue);
        let mut rows = catalogue.films().live().clone();
        for profile in profiles {
            if let Some(preferences) = profile.preferences() {
                candidates::keep_preferred(&catalogue, preferences, &mut rows);
            }
            candidates::remove_known(&catalogue, profile, true, &mut rows);
        }
        let max_popularity = candidates::robust_max_popularity(&catalogue, &rows);
        // Opinions are compared over the films that the list can have.
        let others: Vec<u32> = (0..u32::try_from(catalogue.len()).unwrap_or(u32::MAX))
            .filter(|row| !rows.contains(*row))
            .collect();
        let ones = vec![1.0; others.len()];
        let mut model_version = None;
        let mut opinions = Vec::with_capacity(profiles.len());
        for profile in profiles {
            let context = self.context(&catalogue, model_on_catalogue.as_ref(), profile);
            let mut scores = Scores::new(context, Strategy::Blend, max_popularity)?;
            scores.leave_out_own(&rows);
            model_version = model_version.or(scores.model_version());
            let mut all = vec![0.0; catalogue.len()];
            scores.estimate(0, &mut all);
            let known = History {
                items: &others,
                weights: &ones,
            };
            let standard = standardize(&all, known);
            opinions.push(Member::new(all, standard));
        }
        let films = match method {
            Method::Average => by(&catalogue, &rows, limit, |row| mean(&opinions, row)),
            Method::LeastMisery => by(&catalogue, &rows, limit, |row| least(&opinions, row)),
            Method::Fairness => fair(&catalogue, &rows, limit, &opinions),
        };
        let films = films.into_iter().map(|(row, score)| {
            let affinities: Vec<f64> = opinions
                .iter()
                .map(|member| decimal(share_below(member.opinion(row))))
                .collect();
            let is_for_all = affinities.iter().all(|own| *own >= MIN_AFFINITY_OF_ALL);
            GroupFilm {
                id: catalogue.id(row),
                score: decimal(score),
                affinities,
                reason: if is_for_all {
                    Reason::ForAll
                } else {
                    Reason::Compromise
                },
            }
        });
        Ok(GroupFilms {
            films: films.collect(),
            model_version,
        })
    }
}

/// `value` in tenths, as the decimal number that it prints as.
fn decimal(value: f32) -> f64 {
    (f64::from(value) * 10.0).round() / 10.0
}

/// The mean opinion of the members, in tenths.
fn mean(members: &[Member], row: usize) -> f32 {
    let sum: f32 = members.iter().map(|member| member.opinion(row)).sum();
    tenths(sum / members.len() as f32)
}

fn least(members: &[Member], row: usize) -> f32 {
    members
        .iter()
        .map(|member| member.opinion(row))
        .fold(f32::INFINITY, f32::min)
}

/// The share of a normal distribution below `deviations`, to within 0.01; Bowling, Khasawneh, Kaewkuekool and Cho, *A
/// logistic approximation to the cumulative normal distribution*, 2009.
fn share_below(deviations: f32) -> f32 {
    1.0 / (1.0 + (-1.702 * deviations).exp())
}

fn by(
    catalogue: &Catalogue,
    rows: &Bitmap,
    limit: usize,
    score: impl Fn(usize) -> f32,
) -> Vec<(usize, f32)> {
    let best = candidates::best_by(catalogue, rows, limit, &score);
    best.into_iter()
        .map(|film| (film.row, score(film.row)))
        .collect()
}

/// Selects greedily: the next movie has the greatest `Σ p(u, i) · Π (1 − p(u, j))` over members u and the movies j
/// selected so far, where `p(u, i)` is movie i's Borda count in u's own list over the sum of all. The scores are these sums
/// over that of the first movie.
fn fair(
    catalogue: &Catalogue,
    rows: &Bitmap,
    limit: usize,
    members: &[Member],
) -> Vec<(usize, f32)> {
    let own = limit.saturating_mul(2);
    let mut relevance: HashMap<usize, Vec<f32>> = HashMap::new();
    for (place, member) in members.iter().enumerate() {
        let list = by(catalogue, rows, own, |row| member.opinion(row));
        let count = list.len() as f32;
        for (rank, (row, _)) in list.into_iter().enumerate() {
            let borda = 2.0 * (count - rank as f32) / (count * (count + 1.0));
            let all = relevance
                .entry(row)
                .or_insert_with(|| vec![0.0; members.len()]);
            all[place] = borda;
        }
    }
    let mut left: Vec<(usize, Vec<f32>)> = relevance.into_iter().collect();
    left.sort_unstable_by_key(|(row, _)| catalogue.id(*row));
    let mut unserved = vec![1.0_f32; members.len()];
    let mut chosen = Vec::with_capacity(limit);
    while chosen.len() < limit {
        let gain = |all: &[f32]| -> f32 {
            let gains = all.iter().zip(&unserved);
            gains
                .map(|(relevance, unserved)| relevance * unserved)
                .sum()
        };
        let next = left
            .iter()
            .enumerate()
            .map(|(place, (_, all))| (place, gain(all)))
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        let Some((place, gain)) = next else {
            break;
        };
        let (row, all) = left.remove(place);
        for (unserved, relevance) in unserved.iter_mut().zip(all) {
            *unserved *= 1.0 - relevance;
        }
        chosen.push((row, gain));
    }
    let greatest = chosen.first().map_or(1.0, |(_, gain)| *gain);
    chosen.iter_mut().for_each(|(_, gain)| *gain /= greatest);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_model::Film;

    /// Two members who like opposite ends of `films`, and a third on the side of the first.
    fn members(films: usize) -> Vec<Member> {
        let rising: Vec<f32> = (0..films).map(|row| row as f32).collect();
        let falling: Vec<f32> = rising.iter().rev().copied().collect();
        let standard = Standardization {
            mean: (films - 1) as f32 / 2.0,
            scale: 1.0,
        };
        let member = |scores: &[f32]| Member::new(scores.to_vec(), standard);
        vec![member(&rising), member(&rising), member(&falling)]
    }

    fn catalogue(films: usize) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for id in (1..).take(films) {
            catalogue.upsert(&Film {
                id,
                version: 1,
                ..Film::default()
            });
        }
        catalogue
    }

    #[test]
    fn least_misery_takes_the_middle_and_the_average_the_majority() {
        let (members, catalogue) = (members(9), catalogue(9));
        let rows = catalogue.films().live();
        let of =
            |films: Vec<(usize, f32)>| films.into_iter().map(|(row, _)| row).collect::<Vec<_>>();
        assert_eq!(of(by(&catalogue, rows, 1, |row| least(&members, row))), [4]);
        assert_eq!(
            of(by(&catalogue, rows, 2, |row| mean(&members, row))),
            [8, 7]
        );
    }

    #[test]
    fn fairness_serves_the_minority_before_the_majority_has_all() {
        let (members, catalogue) = (members(40), catalogue(40));
        let rows = catalogue.films().live();
        let chosen: Vec<usize> = fair(&catalogue, rows, 4, &members)
            .into_iter()
            .map(|(row, _)| row)
            .collect();
        assert_eq!(chosen[..3], [39, 38, 0]);
    }

    #[test]
    fn neither_order_nor_sign_reveals_differences_below_a_tenth() {
        let catalogue = catalogue(3);
        let standard = Standardization {
            mean: 0.0,
            scale: 1.0,
        };
        let first = |scores: [f32; 3], least_only: bool| {
            let members = [Member::new(scores.to_vec(), standard)];
            let score = |row| match least_only {
                true => least(&members, row),
                false => mean(&members, row),
            };
            by(&catalogue, catalogue.films().live(), 1, score)
        };
        for least_only in [false, true] {
            assert_eq!(first([0.96, 1.04, 0.3], least_only), [(0, 1.0)]);
            assert_eq!(first([1.04, 0.96, 0.3], least_only), [(0, 1.0)]);
        }
        assert!(tenths(-0.04).is_sign_positive());
    }
}
