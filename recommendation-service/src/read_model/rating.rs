//! Ratings that few votes cannot move far: the mean of the votes and of a number of votes of an average movie. This is
//! the weighted rating of IMDb's Top 250, `WR = v ÷ (v + m) · R + m ÷ (v + m) · C`, a Bayesian average.

/// The prior mean, C: about the average of TMDB's movies.
const PRIOR_MEAN: f64 = 6.5;
/// The prior votes, m, of the rating that a lowest rating is compared with.
const PRIOR_VOTES: f64 = 100.0;

/// The mean of `votes` votes of this `average`, 0 to 10, and of `prior_votes` votes of 6.5.
pub fn weighted(average: f64, votes: u32, prior_votes: f64) -> f64 {
    let votes = f64::from(votes);
    (votes * average + prior_votes * PRIOR_MEAN) / (votes + prior_votes)
}

/// The rating that a lowest rating is compared with: the weighted rating to one decimal, but no more than the average
/// itself; 0 without votes.
pub(super) fn assured(average: f64, votes: i32) -> f64 {
    let Some(votes) = u32::try_from(votes).ok().filter(|votes| *votes > 0) else {
        return 0.0;
    };
    let weighted = (weighted(average, votes, PRIOR_VOTES) * 10.0).round() / 10.0;
    weighted.min(average)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_votes_assure_no_high_rating() {
        for (average, votes, expected) in [
            (10.0, 0, 0.0),
            (10.0, 1, 6.5),
            (9.0, 3, 6.6),
            (8.0, 100, 7.3),
            (8.0, 10_000, 8.0),
            (7.9, 5000, 7.9),
            (5.0, 20, 5.0),
        ] {
            assert!(
                (assured(average, votes) - expected).abs() < 1e-9,
                "{average} {votes}"
            );
        }
    }
}
