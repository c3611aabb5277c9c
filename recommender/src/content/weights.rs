//! The weights of the content model, and what it keeps of each item beside its tags.
//!
//! The defaults were fitted to predict which movies the same people like, on MovieLens (Harper and Konstan, *The MovieLens
//! Datasets: History and Context*, ACM TiiS 5 (4), 2015): a coordinate search (Hooke and Jeeves 1961) for the sum of two
//! means, NDCG@10 of similar movies against the 20 with the greatest shrunk cosine of likes, and hits@10 of lists after 1,
//! 3 and 10 likes, over half of the users; the figures of the other half are the same to within 0.02.

/// Steps of a binned property; the last stands for an unknown value.
const BINS: usize = 256;
const UNKNOWN: u8 = 255;
/// The year of the first bin of release years, which are a year each.
const FIRST_YEAR: f32 = 1880.0;
/// Bins per unit of the logarithm of votes.
const VOTE_BINS: f32 = 20.0;
/// Minutes per bin of runtimes.
const MINUTES_PER_BIN: f32 = 2.0;
/// The prominence of an item is 1 where the logarithm of its votes is this (22,000 votes) and the average is
/// [`NEUTRAL_AVERAGE`].
const PROMINENT: f32 = 10.0;
const NEUTRAL_AVERAGE: f32 = 7.0;
/// Votes of the average [`PRIOR_AVERAGE`] that are added to those of each item, so that a few votes prove little.
const PRIOR_VOTES: f32 = 500.0;
const PRIOR_AVERAGE: f32 = 6.5;
/// Votes that are added to those of each item, so that one without votes can be similar too.
const ADDED_VOTES: f32 = 20.0;
/// Votes that weigh as much as one unit of popularity, for items that have few votes because they are new.
const VOTES_PER_POPULARITY: f32 = 10.0;

/// `weight · exp(−|difference| ÷ distance)`: how much nearness in a property adds to the similarity of two items.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Closeness {
    /// The similarity of two items with the same value; 0 and up.
    pub weight: f32,
    /// The difference at which e-fold less is added; above 0.
    pub distance: f32,
}

/// The weights of the content model.
///
/// The similarity of a liked item `i` to an item `j` is
/// `prominence(j) · (cos(i, j) + Σ closeness(i, j) + floor)`, where `cos` is the cosine of tag vectors, a tag's value is
/// the factor of its kind times its inverse document frequency, and
/// `prominence = (ln(21 + votes + 10 · popularity) ÷ 10)^vote_exponent · exp(average_slope · (average − 7))`, the average
/// being the Bayesian one with 500 votes of 6.5.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContentWeights {
    /// The factor of genres.
    pub genre: f32,
    /// The factor of keywords.
    pub keyword: f32,
    /// The factor of people.
    pub person: f32,
    /// The factor of the original language.
    pub language: f32,
    /// Nearness of release, in years.
    pub era: Closeness,
    /// Nearness of `ln(21 + votes + 10 · popularity)`.
    pub votes: Closeness,
    /// Nearness of runtimes, in minutes.
    pub runtime: Closeness,
    /// The similarity of any two items.
    pub floor: f32,
    /// The score of an item of prominence 1 for a user without a history, in likes of a similarity of 1.
    pub prior: f32,
    /// The exponent of votes in prominence.
    pub vote_exponent: f32,
    /// The exponent of e per point of the vote average in prominence.
    pub average_slope: f32,
}

impl Default for ContentWeights {
    fn default() -> Self {
        Self {
            genre: 1.6,
            keyword: 0.5,
            person: 0.6,
            language: 4.0,
            era: Closeness {
                weight: 0.28,
                distance: 18.4,
            },
            votes: Closeness {
                weight: 0.04,
                distance: 1.0,
            },
            runtime: Closeness {
                weight: 0.04,
                distance: 20.0,
            },
            floor: 0.03,
            prior: 1.0,
            vote_exponent: 1.25,
            average_slope: 0.1,
        }
    }
}

impl ContentWeights {
    /// The greatest similarity of two items of prominence 1.
    #[must_use]
    pub fn max_similarity(&self) -> f32 {
        1.0 + self.era.weight + self.votes.weight + self.runtime.weight + self.floor
    }

    /// The factors of an item with these `properties` whose tag weights have this `norm`.
    #[must_use]
    pub fn describe(&self, properties: &Properties, norm: f32) -> ItemFactors {
        let votes = properties.votes.max(0.0);
        let average =
            (votes * properties.average + PRIOR_VOTES * PRIOR_AVERAGE) / (votes + PRIOR_VOTES);
        let popularity = VOTES_PER_POPULARITY * properties.popularity.max(0.0);
        let log_votes = (ADDED_VOTES + votes + popularity).ln_1p();
        let prominence = (log_votes / PROMINENT).powf(self.vote_exponent)
            * (self.average_slope * (average - NEUTRAL_AVERAGE)).exp();
        let bin = |value: f32| value.round().clamp(0.0, f32::from(UNKNOWN - 1)) as u8;
        let known = |value: Option<f32>| value.map_or(UNKNOWN, bin);
        ItemFactors {
            norm,
            prominence: if prominence.is_finite() {
                prominence
            } else {
                0.0
            },
            bins: [
                known(properties.year.map(|year| year - FIRST_YEAR)),
                bin(log_votes * VOTE_BINS),
                known(properties.runtime.map(|minutes| minutes / MINUTES_PER_BIN)),
            ],
        }
    }

    /// The closenesses of the binned properties by the difference in bins.
    pub(super) fn kernels(&self) -> Kernels {
        let kernel = |closeness: Closeness, step: f32| {
            let mut values = [0.0; BINS];
            for (difference, value) in values.iter_mut().enumerate() {
                *value =
                    closeness.weight * (-(difference as f32) * step / closeness.distance).exp();
            }
            values
        };
        Kernels(ByBin(Box::new([
            kernel(self.era, 1.0),
            kernel(self.votes, 1.0 / VOTE_BINS),
            kernel(self.runtime, MINUTES_PER_BIN),
        ])))
    }
}

/// The properties of an item beside its tags.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Properties {
    /// The year of release, with fraction; `None` if unknown.
    pub year: Option<f32>,
    /// The number of votes.
    pub votes: f32,
    /// The average vote, 0 to 10.
    pub average: f32,
    /// TMDB's popularity, 0 and up.
    pub popularity: f32,
    /// The runtime in minutes; `None` if unknown.
    pub runtime: Option<f32>,
}

/// The factors of an item in the content model beside its tags; see [`ContentWeights::describe`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ItemFactors {
    /// The Euclidean norm of its tag weights; 0 without tags.
    pub norm: f32,
    /// The factor of its similarity to any item, 0 to about 1.5.
    pub prominence: f32,
    /// The bins of the release year, the votes and the runtime.
    pub(super) bins: [u8; 3],
}

/// A value for each property by bin.
#[derive(Debug, Clone, PartialEq)]
struct ByBin(Box<[[f32; BINS]; 3]>);

impl Default for ByBin {
    fn default() -> Self {
        Self(Box::new([[0.0; BINS]; 3]))
    }
}

/// The closeness of each property by the difference in bins.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Kernels(ByBin);

impl Kernels {
    /// The sum of the closenesses of two items.
    pub(super) fn closeness(&self, one: &ItemFactors, other: &ItemFactors) -> f32 {
        let pairs = one.bins.iter().zip(&other.bins).zip(self.0.0.iter());
        let known = pairs.filter(|((one, other), _)| **one != UNKNOWN && **other != UNKNOWN);
        known
            .map(|((one, other), kernel)| kernel[usize::from(one.abs_diff(*other))])
            .sum()
    }

    /// The sums of the closenesses of weighted items to each bin.
    pub(super) fn sums<'a>(
        &self,
        items: impl Iterator<Item = (&'a ItemFactors, f32)>,
    ) -> ClosenessSums {
        let mut weights = [[0.0_f32; BINS]; 3];
        for (item, weight) in items {
            for (weights, bin) in weights.iter_mut().zip(item.bins) {
                weights[usize::from(bin)] += weight;
            }
        }
        let mut sums = [[0.0_f32; BINS]; 3];
        let unknown = usize::from(UNKNOWN);
        for ((weights, sums), kernel) in weights.iter().zip(&mut sums).zip(self.0.0.iter()) {
            for (bin, weight) in weights[..unknown].iter().enumerate() {
                if *weight != 0.0 {
                    for (other, sum) in sums[..unknown].iter_mut().enumerate() {
                        *sum += weight * kernel[bin.abs_diff(other)];
                    }
                }
            }
        }
        ClosenessSums(ByBin(Box::new(sums)))
    }
}

/// See [`Kernels::sums`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ClosenessSums(ByBin);

impl ClosenessSums {
    /// The sum for an item.
    pub(super) fn of(&self, item: &ItemFactors) -> f32 {
        let by_property = self.0.0.iter().zip(item.bins);
        by_property.map(|(sums, bin)| sums[usize::from(bin)]).sum()
    }
}
