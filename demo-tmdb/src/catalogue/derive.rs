//! Numbers that the facts do not have, or have from different years. Every formula here is written down in
//! `data/README.md`; change both or neither.

use chrono::NaiveDate;

/// A film's popularity, the same way for every film so that two films can be compared.
///
/// Strength depends on the number of votes (logarithmically) and their average; recency is 3.5 at release and falls
/// towards one over the years. It is one for a film whose votes are not known: a number that is made up must not lead the
/// lists. Ages are counted from a fixed day: responses must not drift from one day to the next.
pub(crate) fn popularity(
    vote_average: f64,
    vote_count: u32,
    has_votes: bool,
    release_date: Option<NaiveDate>,
) -> f64 {
    const PRIOR_VOTES: f64 = 500.0;
    const PRIOR_AVERAGE: f64 = 6.5;
    let votes = f64::from(vote_count);
    let average = (votes * vote_average + PRIOR_VOTES * PRIOR_AVERAGE) / (votes + PRIOR_VOTES);
    let strength = 3.0 * votes.ln_1p() * (average / 10.0).powi(2);
    let recency = release_date.filter(|_| has_votes).map_or(1.0, |date| {
        let days = reference_day()
            .signed_duration_since(date)
            .num_days()
            .max(0);
        1.0 + 2.5 * (-(days as f64) / 365.0).exp()
    });
    round(strength * recency)
}

/// Votes for a film whose facts have none.
pub(crate) fn default_vote_count(id: i64) -> u32 {
    // Between 300 and 599: enough to take part in lists that ask for votes, too few to lead them.
    300 + id.rem_euclid(300) as u32
}

/// A number that looks random and is always the same for the same two inputs (splitmix64).
pub(crate) fn stable_number(id: i64, salt: u64) -> u64 {
    let mut x = (id as u64).wrapping_add(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Three decimals, as TMDB gives them; this also hides the last bits in which machines differ.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn reference_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, 1).expect("a day of the calendar")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popularity_rises_with_votes_and_falls_with_age() {
        let day = |year| NaiveDate::from_ymd_opt(year, 6, 1);
        assert!(popularity(7.0, 9000, true, day(2000)) > popularity(7.0, 900, true, day(2000)));
        assert!(popularity(7.0, 9000, true, day(2025)) > popularity(7.0, 9000, true, day(2020)));
        assert!(popularity(8.5, 9000, true, day(2000)) > popularity(5.0, 9000, true, day(2000)));
        assert_eq!(
            popularity(7.0, 500, false, day(2025)),
            popularity(7.0, 500, true, None)
        );
    }

    #[test]
    fn popularity_of_nothing_known_is_zero_and_never_negative() {
        assert_eq!(popularity(0.0, 0, true, None), 0.0);
        assert!(popularity(1.0, 1, true, NaiveDate::from_ymd_opt(2999, 1, 1)) > 0.0);
    }
}
