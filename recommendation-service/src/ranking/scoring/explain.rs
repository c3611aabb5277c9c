//! Explanations: what each part and each movie of the user adds to a score, and the reasons.

use recommender::taste::LIKED_STARS;

use super::{Scores, Source};
use crate::{
    ranking::{
        candidates::rounded,
        common,
        list::{ListedFilm, Strategy},
    },
    read_model::Reaction,
    reason::{Action, Reason},
};

/// The number of the user's movies that are named for a movie in a list.
const MAX_NAMED_MOVIES: usize = 3;
/// The smallest share of a score that makes one of the user's movies a reason.
const MIN_REASON_SHARE: f32 = 0.1;
/// The number of reasons of a movie.
const MAX_REASONS: usize = 3;

/// The sums that make up the score of one movie.
struct Sums {
    /// By part.
    parts: Vec<f32>,
    /// By movie of the user.
    movies: Vec<f32>,
    /// From the affinities that the user states.
    stated: f32,
}

impl Sums {
    fn new(parts: usize, movies: usize) -> Self {
        Self {
            parts: vec![0.0; parts],
            movies: vec![0.0; movies],
            stated: 0.0,
        }
    }
}

impl Scores<'_> {
    /// The movies in `rows` with the explanation of their scores, which are given in ten-thousandths.
    pub fn explain(&self, rows: &[(usize, i64)]) -> Vec<ListedFilm> {
        if self.strategy == Strategy::Rules {
            return rows
                .iter()
                .map(|(row, score)| self.explain_by_rules(*row, *score))
                .collect();
        }
        let model_on_catalogue = self.context.model_on_catalogue;
        let mut sums: Vec<Sums> = rows
            .iter()
            .map(|_| Sums::new(self.parts.len(), self.user.movies.len()))
            .collect();
        let columns: Vec<(usize, u32)> = rows
            .iter()
            .enumerate()
            .filter_map(|(place, (row, _))| {
                let id = self.context.catalogue.id(*row);
                Some((place, model_on_catalogue?.trained.column(id)?))
            })
            .collect();
        let items: Vec<u32> = columns.iter().map(|(_, column)| *column).collect();
        for (number, part) in self.parts.iter().enumerate() {
            if let Source::Learned(scorer) = &part.source {
                let explanations = scorer.explain_all(self.user.history(), &items);
                for ((place, _), one) in columns.iter().zip(explanations) {
                    let own = self.own_position(rows[*place].0);
                    let sums = &mut sums[*place];
                    let (scale, mean) = (part.applied.scale, part.applied.mean);
                    sums.parts[number] += scale * (one.total() - mean);
                    // Both are in the order of the history.
                    for (one, position) in one.contributions.iter().zip(&self.user.positions) {
                        match own == Some(*position) {
                            true => sums.parts[number] -= scale * one.amount,
                            false => sums.movies[*position] += scale * one.amount,
                        }
                    }
                }
            }
        }
        for (place, ((row, _), sums)) in rows.iter().zip(&mut sums).enumerate() {
            let is_covered = columns.binary_search_by_key(&place, |(p, _)| *p).is_ok();
            self.add_other_parts(*row, is_covered, sums);
        }
        rows.iter()
            .zip(sums)
            .map(|((row, score), sums)| self.listed(*row, *score, &sums))
            .collect()
    }

    fn explain_by_rules(&self, row: usize, score: i64) -> ListedFilm {
        let movie = self.context.catalogue.candidate(row);
        let values = self.rules.values(movie);
        let weights = self.rules.weights;
        let amounts = [
            weights.popularity * values.popularity,
            weights.recency * values.recency,
            weights.genre_match * values.genre_match,
        ];
        ListedFilm {
            id: self.context.catalogue.id(row),
            score,
            amounts: apportion(&amounts, score),
            because: Vec::new(),
            others: (0, 0),
            ..self.described(row, self.rules.reasons(values))
        }
    }

    /// Adds all parts but learned models to the `sums` of the movie in `row`.
    fn add_other_parts(&self, row: usize, is_covered: bool, sums: &mut Sums) {
        let catalogue = self.context.catalogue;
        let (by_content, by_taste) = self.tag_factors(is_covered);
        let own = self.own_position(row);
        let vector = catalogue.vector(row);
        let factors = catalogue.factors(row);
        let (mut own_content, mut own_taste) = (0.0, 0.0);
        let visit = |position, content: f32, taste: f32| {
            if own == Some(position) {
                own_content += content;
                own_taste += taste;
            } else {
                sums.movies[position] += by_content * content + by_taste * taste;
            }
        };
        let why = self.user.tags.explain(&vector, &factors, visit);
        sums.stated += by_taste * why.stated;
        let (content, taste) = (why.content - own_content, why.taste - own_taste);
        for (part, sum) in self.parts.iter().zip(&mut sums.parts) {
            let raw = match part.source {
                Source::Learned(_) => continue,
                Source::Imputation if is_covered => continue,
                Source::Imputation => {
                    let standardized = self.content.scale * (content - self.content.mean);
                    self.imputation.at(standardized)
                }
                Source::Content => content,
                Source::Taste => taste,
                Source::Rules => {
                    let movie = catalogue.candidate(row);
                    self.rules.score(self.rules.values(movie)) as f32
                }
                Source::Popularity => catalogue.popularity()[row] as f32,
            };
            *sum += part.applied.scale * (raw - part.applied.mean);
        }
    }

    fn listed(&self, row: usize, score: i64, sums: &Sums) -> ListedFilm {
        let parts: Vec<f64> = sums.parts.iter().map(|part| f64::from(*part)).collect();
        let mut movies: Vec<(usize, f32)> = sums
            .movies
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, amount)| *amount != 0.0)
            .collect();
        let positive = movies.iter().filter(|(_, amount)| *amount > 0.0).count();
        let named = positive.min(MAX_NAMED_MOVIES);
        let order = |(one, amount): &(usize, f32), (two, other): &(usize, f32)| {
            other.total_cmp(amount).then(one.cmp(two))
        };
        // Of hundreds of movies the first few are needed.
        if named < movies.len() {
            movies.select_nth_unstable_by(named, order);
        }
        let rest = movies.split_off(named);
        movies.sort_unstable_by(order);
        let others: f64 = rest.iter().map(|(_, amount)| f64::from(*amount)).sum();
        let reasons = self.reasons(row, sums, &movies);
        let ten_thousandths =
            |amount: f32| i32::try_from(rounded(f64::from(amount))).unwrap_or(i32::MAX);
        ListedFilm {
            id: self.context.catalogue.id(row),
            score,
            amounts: apportion(&parts, score),
            because: movies
                .iter()
                .map(|(position, amount)| {
                    (self.user.movies[*position].id, ten_thousandths(*amount))
                })
                .collect(),
            others: (
                u32::try_from(rest.len()).unwrap_or(u32::MAX),
                rounded(others),
            ),
            ..self.described(row, reasons)
        }
    }

    /// The movie in `row` with `reasons` and nothing else.
    fn described(&self, row: usize, reasons: Vec<Reason>) -> ListedFilm {
        let catalogue = self.context.catalogue;
        let state = self.context.profile.state(catalogue.id(row));
        ListedFilm {
            reason: Reason::text(&reasons, "", &catalogue.localized("")),
            reasons,
            bookmarked: state.is_some_and(|state| state.bookmarked),
            ..ListedFilm::default()
        }
    }

    /// The strongest reasons, at most [`MAX_REASONS`]: a movie of the user's and what it has in common with this one, the
    /// tastes that they state, and the part that adds most to the score.
    fn reasons(&self, row: usize, sums: &Sums, movies: &[(usize, f32)]) -> Vec<Reason> {
        let catalogue = self.context.catalogue;
        let all: f32 = sums.parts.iter().map(|part| part.max(0.0)).sum();
        let mut reasons = Vec::with_capacity(MAX_REASONS);
        let first = movies.first().filter(|(_, amount)| *amount > 0.0);
        let because = first.and_then(|(position, amount)| {
            let movie = self.user.movies[*position].id;
            let known = catalogue.row(movie)?;
            Some((movie, known, *amount >= MIN_REASON_SHARE * all))
        });
        if let Some((movie, known, true)) = because {
            let action = self.action(movie);
            reasons.push(Reason::Because { action, movie });
            reasons.extend(common::reasons(catalogue, known, row, 1));
        }
        if sums.stated > MIN_REASON_SHARE * all {
            reasons.push(Reason::StatedTaste);
        }
        let strongest = self
            .parts
            .iter()
            .zip(&sums.parts)
            .max_by(|(_, one), (_, two)| one.total_cmp(two));
        if let Some((part, amount)) = strongest
            && *amount > 0.0
        {
            match part.source {
                _ if part.name == "popularity" => reasons.push(Reason::PopularNow),
                Source::Rules => {
                    let by_rules = self
                        .rules
                        .reasons(self.rules.values(catalogue.candidate(row)));
                    let is_said = |reason: &Reason| *reason != Reason::Recommended;
                    reasons.extend(by_rules.into_iter().filter(is_said));
                }
                Source::Content | Source::Taste if reasons.is_empty() => {
                    reasons.push(Reason::LikeLiked);
                }
                _ => {}
            }
        }
        if reasons.is_empty()
            && let Some((movie, ..)) = because
        {
            // Each of many movies adds little to the score.
            let action = self.action(movie);
            reasons.push(Reason::AmongOthers { action, movie });
        }
        let state = self.context.profile.state(catalogue.id(row));
        if state.is_some_and(|state| state.bookmarked) {
            reasons.insert(0, Reason::OnWatchlist);
        }
        reasons.truncate(MAX_REASONS);
        if reasons.is_empty() {
            reasons.push(Reason::Recommended);
        }
        reasons
    }

    /// The action of the user that the state of movie `id` is due to.
    fn action(&self, id: i64) -> Action {
        match self.context.profile.state(id) {
            Some(state) => match state.reaction {
                Some(Reaction::Superlike) => Action::Loved,
                Some(Reaction::Like) => Action::Liked,
                _ if state.rating.is_some_and(|stars| stars >= LIKED_STARS) => Action::Rated,
                _ if state.completed_at.is_some() => Action::Watched,
                _ if state.bookmarked => Action::Bookmarked,
                _ => Action::Begun,
            },
            None => Action::Liked,
        }
    }
}

/// `amounts` in ten-thousandths, rounded so that they add up to `total` by the method of largest remainders.
pub fn apportion(amounts: &[f64], total: i64) -> Vec<i32> {
    let scaled: Vec<f64> = amounts.iter().map(|amount| amount * 10_000.0).collect();
    let mut whole: Vec<i64> = scaled.iter().map(|amount| amount.floor() as i64).collect();
    let mut order: Vec<usize> = (0..amounts.len()).collect();
    order.sort_by(|one, two| {
        let remainder = |place: usize| scaled[place] - scaled[place].floor();
        remainder(*two)
            .total_cmp(&remainder(*one))
            .then(one.cmp(two))
    });
    if let Ok(count) = i64::try_from(order.len())
        && count > 0
    {
        let left = total - whole.iter().sum::<i64>();
        let (each, rest) = (left.div_euclid(count), left.rem_euclid(count));
        for (rank, place) in (0..).zip(order) {
            whole[place] += each + i64::from(rank < rest);
        }
    }
    whole
        .into_iter()
        .map(|amount| i32::try_from(amount).unwrap_or(i32::MAX))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn apportioned_amounts_add_up_and_stay_close(
            amounts in prop::collection::vec(-3.0_f64..3.0, 1..9),
        ) {
            let total = rounded(amounts.iter().sum());
            let whole = apportion(&amounts, total);
            prop_assert_eq!(whole.iter().map(|amount| i64::from(*amount)).sum::<i64>(), total);
            for (amount, whole) in amounts.iter().zip(whole) {
                prop_assert!((amount * 10_000.0 - f64::from(whole)).abs() <= 1.5);
            }
        }
    }
}
