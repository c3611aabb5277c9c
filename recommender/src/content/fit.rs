//! Fitting the weights of the content model to what people like together: a search that calls a judge, which owns the
//! items and the users. Training calls it.

use super::ContentWeights;

/// The factors by which a weight is changed, one after the other.
const STEPS: [f32; 2] = [1.8, 1.25];
/// A change must improve the judgement by this share, so that noise changes nothing.
const MIN_GAIN: f64 = 1e-3;

/// A weight of the content model that is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentWeight {
    /// [`ContentWeights::genre`].
    Genre,
    /// [`ContentWeights::keyword`].
    Keyword,
    /// [`ContentWeights::person`].
    Person,
    /// [`ContentWeights::language`].
    Language,
    /// [`ContentWeights::era`], its weight.
    Era,
    /// [`ContentWeights::votes`], its weight.
    Votes,
    /// [`ContentWeights::prior`].
    Prior,
    /// [`ContentWeights::vote_exponent`].
    VoteExponent,
    /// [`ContentWeights::average_slope`].
    AverageSlope,
}

impl ContentWeight {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 9] = [
        Self::VoteExponent,
        Self::Prior,
        Self::Genre,
        Self::Keyword,
        Self::Era,
        Self::Language,
        Self::AverageSlope,
        Self::Person,
        Self::Votes,
    ];

    /// The name in model files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Genre => "content.genre",
            Self::Keyword => "content.keyword",
            Self::Person => "content.person",
            Self::Language => "content.language",
            Self::Era => "content.era",
            Self::Votes => "content.votes",
            Self::Prior => "content.prior",
            Self::VoteExponent => "content.vote_exponent",
            Self::AverageSlope => "content.average_slope",
        }
    }

    /// Its value in `weights`.
    pub fn of(self, weights: &mut ContentWeights) -> &mut f32 {
        match self {
            Self::Genre => &mut weights.genre,
            Self::Keyword => &mut weights.keyword,
            Self::Person => &mut weights.person,
            Self::Language => &mut weights.language,
            Self::Era => &mut weights.era.weight,
            Self::Votes => &mut weights.votes.weight,
            Self::Prior => &mut weights.prior,
            Self::VoteExponent => &mut weights.vote_exponent,
            Self::AverageSlope => &mut weights.average_slope,
        }
    }
}

/// The weights near `start` that `judge`, larger is better, likes best: a pattern search over one weight at a time (Hooke
/// and Jeeves, *"Direct Search" Solution of Numerical and Statistical Problems*, Journal of the ACM 8 (2), 1961), at most
/// 37 judgements.
///
/// The search for settings in [`crate::evaluation::tuning`] climbs along one setting as long as that helps; within as few
/// judgements it reaches the first weights alone.
pub fn fit(start: ContentWeights, mut judge: impl FnMut(&ContentWeights) -> f64) -> ContentWeights {
    let mut best = (judge(&start), start);
    for step in STEPS {
        for weight in ContentWeight::ALL {
            for factor in [step, 1.0 / step] {
                let mut changed = best.1;
                *weight.of(&mut changed) *= factor;
                let value = judge(&changed);
                if value > best.0 * (1.0 + MIN_GAIN) {
                    best = (value, changed);
                    break;
                }
            }
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_approach_those_that_the_judge_likes() {
        let aim = ContentWeights {
            keyword: 1.2,
            prior: 0.3,
            ..ContentWeights::default()
        };
        let error = |one: &ContentWeights| {
            let of = |a: f32, b: f32| f64::from((a / b).ln().abs());
            of(one.keyword, aim.keyword) + of(one.prior, aim.prior) + of(one.genre, aim.genre)
        };
        let mut calls = 0;
        let fitted = fit(ContentWeights::default(), |weights| {
            calls += 1;
            1.0 / (1.0 + error(weights))
        });
        assert!(calls <= 37);
        assert!(
            error(&fitted) < error(&ContentWeights::default()) / 2.0,
            "{fitted:?}"
        );
        assert_eq!(fitted.language, aim.language, "it makes no difference");
    }
}
