//! The results of an experiment: of each variant, and of its difference to the control. The intervals are confidence
//! sequences, valid at any time.

use futures_util::TryStreamExt;
use recommender::experiments::{
    confidence_sequence::{Interval, RunningMean, Verdict},
    estimators::{InversePropensityMean, SelfNormalizedMean, TreatmentEffect},
};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::experiments::{Experiment, repository};

/// The level of the test for a sample ratio mismatch.
const MISMATCH_ALPHA: f64 = 0.001;

/// The results of an experiment so far.
#[derive(Debug, Serialize, ToSchema)]
pub struct Report {
    /// The experiment.
    #[serde(flatten)]
    pub experiment: Experiment,
    /// The number of users who were served a list.
    #[schema(example = 1200)]
    pub users: i64,
    /// The number of those whose window has ended.
    #[schema(example = 1000)]
    pub users_counted: u64,
    /// The variants, the control first.
    pub results: Vec<VariantReport>,
    /// True if the numbers of users differ so much from the variants' weights that something is broken, and no verdict
    /// can be trusted.
    pub sample_ratio_mismatch: bool,
}

/// The results of a variant.
#[derive(Debug, Serialize, ToSchema)]
pub struct VariantReport {
    /// The name.
    #[schema(example = "control")]
    pub name: String,
    /// True for the variant that the others are compared with.
    pub is_control: bool,
    /// The probability of a user who takes part to get it.
    #[schema(example = 0.5)]
    pub propensity: f64,
    /// The number of users who were served a list of it.
    #[schema(example = 600)]
    pub users: i64,
    /// The number of those whose window has ended.
    #[schema(example = 500)]
    pub users_counted: u64,
    /// The number of movies those were shown, each counted once per user.
    #[schema(example = 5000)]
    pub impressions: i64,
    /// The number of those that they liked, rated 4 stars or more, completed or bookmarked.
    #[schema(example = 150)]
    pub outcomes: i64,
    /// The mean outcome of a user, capped at `outcome_cap` and divided by it, with its confidence sequence at level 1 −
    /// `alpha`. Null before a user is counted.
    pub mean: Option<Interval>,
    /// The same for all users who take part, estimated from this variant's by inverse propensity.
    pub inverse_propensity: Option<Interval>,
    /// The outcomes per impression.
    #[schema(example = 0.03)]
    pub outcome_rate: Option<f64>,
    /// The same without exploration: of movies that were not explored, weighted by inverse propensity and
    /// self-normalized.
    #[schema(example = 0.031)]
    pub outcome_rate_without_exploration: Option<f64>,
    /// The mean less the control's, doubly robust, with its confidence sequence at level 1 − `alpha` for all variants
    /// together. Null for the control.
    pub difference: Option<Interval>,
    /// The verdict on the difference; null for the control.
    #[schema(inline)]
    pub verdict: Option<Verdict>,
    /// The reason for the verdict, in words; empty for the control.
    pub basis: String,
}

struct Tally {
    propensity: f64,
    users: i64,
    users_counted: u64,
    impressions: i64,
    outcomes: i64,
    ranked: SelfNormalizedMean,
    mean: RunningMean,
    inverse_propensity: InversePropensityMean,
    share: RunningMean,
    difference: TreatmentEffect,
}

impl Tally {
    fn new(experiment: &Experiment, propensity: f64, control: f64, alpha: f64) -> Self {
        let users = f64::from(experiment.planned_users);
        let against_control = propensity / (propensity + control);
        let of_both = users * (propensity + control);
        Self {
            propensity,
            users: 0,
            users_counted: 0,
            impressions: 0,
            outcomes: 0,
            ranked: SelfNormalizedMean::default(),
            mean: RunningMean::new(0.0, 1.0, users * propensity * 0.1, experiment.alpha),
            inverse_propensity: InversePropensityMean::new(propensity, users, experiment.alpha),
            share: RunningMean::new(0.0, 1.0, users * propensity, MISMATCH_ALPHA),
            difference: TreatmentEffect::new(against_control, of_both, alpha),
        }
    }
}

/// Reads the counts of `experiment` and computes its results.
pub(super) async fn read(pool: &PgPool, experiment: Experiment) -> sqlx::Result<Report> {
    let mut transaction = repository::begin_read(pool).await?;
    let weights = experiment.weights();
    let total: f64 = weights.iter().sum();
    let control = weights.first().map_or(1.0, |weight| weight / total);
    // All differences hold together when each may be wrong that much less often (Bonferroni).
    let comparisons = weights.len().saturating_sub(1).max(1);
    let alpha = experiment.alpha / comparisons as f64;
    let mut tallies: Vec<Tally> = weights
        .iter()
        .map(|weight| Tally::new(&experiment, weight / total, control, alpha))
        .collect();
    for (variant, users) in repository::count_users(&mut transaction, experiment.id).await? {
        let tally = usize::try_from(variant)
            .ok()
            .and_then(|variant| tallies.get_mut(variant));
        if let Some(tally) = tally {
            tally.users = users;
        }
    }
    let cap = i64::from(experiment.outcome_cap);
    let mut counted = std::pin::pin!(repository::settled(&mut transaction, experiment.id));
    while let Some(user) = counted.try_next().await? {
        let own = usize::try_from(user.variant).unwrap_or(usize::MAX);
        let outcome = user.outcomes.min(cap) as f64 / cap as f64;
        for (index, tally) in tallies.iter_mut().enumerate() {
            let is_own = index == own;
            tally.share.push(f64::from(u8::from(is_own)));
            tally.inverse_propensity.push(is_own.then_some(outcome));
            if index > 0 && (is_own || own == 0) {
                tally.difference.push(is_own, outcome);
            }
            if is_own {
                tally.users_counted += 1;
                tally.impressions += user.impressions;
                tally.outcomes += user.outcomes;
                tally.ranked.outcomes += user.ranked_outcomes;
                tally.ranked.weights += user.ranked_weights;
                tally.mean.push(outcome);
            }
        }
    }
    let sample_ratio_mismatch = tallies
        .iter()
        .any(|tally| tally.share.excludes(tally.propensity, MISMATCH_ALPHA));
    let results: Vec<VariantReport> = tallies
        .iter()
        .enumerate()
        .map(|(index, tally)| variant_report(&experiment, tally, index, alpha))
        .collect();
    Ok(Report {
        users: results.iter().map(|variant| variant.users).sum(),
        users_counted: results.iter().map(|variant| variant.users_counted).sum(),
        results,
        sample_ratio_mismatch,
        experiment,
    })
}

fn variant_report(
    experiment: &Experiment,
    tally: &Tally,
    index: usize,
    alpha: f64,
) -> VariantReport {
    let is_control = index == 0;
    let difference = (!is_control)
        .then(|| tally.difference.interval(alpha))
        .flatten();
    let verdict = (!is_control).then(|| difference.map_or(Verdict::Undecided, Verdict::of));
    VariantReport {
        name: experiment.variants[index].name.clone(),
        is_control,
        propensity: tally.propensity,
        users: tally.users,
        users_counted: tally.users_counted,
        impressions: tally.impressions,
        outcomes: tally.outcomes,
        mean: tally.mean.interval(experiment.alpha),
        inverse_propensity: tally.inverse_propensity.interval(experiment.alpha),
        outcome_rate: (tally.impressions > 0)
            .then(|| tally.outcomes as f64 / tally.impressions as f64),
        outcome_rate_without_exploration: tally.ranked.mean(),
        difference,
        verdict,
        basis: basis(tally, difference, verdict, alpha),
    }
}

fn basis(
    tally: &Tally,
    difference: Option<Interval>,
    verdict: Option<Verdict>,
    alpha: f64,
) -> String {
    let Some(verdict) = verdict else {
        return String::new();
    };
    let Some(interval) = difference else {
        return "no user is counted yet".to_owned();
    };
    let words = match verdict {
        Verdict::Better => "lies above 0",
        Verdict::Worse => "lies below 0",
        Verdict::Undecided => "contains 0",
    };
    format!(
        "the interval {:.4} to {:.4} of the difference, valid at any time with probability {}, {words}, after {} users \
         of this variant and the control",
        interval.lower,
        interval.upper,
        1.0 - alpha,
        tally.difference.count(),
    )
}
