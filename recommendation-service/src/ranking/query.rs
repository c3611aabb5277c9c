//! Lists for messages in words: the movies that pass the filter of a reading, ranked by similarity to its examples, by
//! its order, or by the rules. A condition that leaves no movie is relaxed, the softest first.

use chrono::Datelike as _;
use filter::{Bitmap, Filter};

use crate::{
    ranking::{
        RecommendError, candidates, candidates::Ranked, recommender::Recommender,
        similar::Similarity,
    },
    read_model::{Catalogue, UserId, rating},
    reason::Reason,
    rules::score::{Context, days_since_epoch},
    words::{Filters, Order, Reading},
};

/// The best movies of a list that can be shown.
pub const MAX_FILMS: usize = 1000;
/// The prior votes of ratings by which movies are ordered.
const PRIOR_VOTES: f64 = 500.0;
/// The languages of countries, for movies whose countries are unknown.
const LANGUAGES: &[(&str, &str)] = &[
    ("US", "en"),
    ("GB", "en"),
    ("CA", "en"),
    ("AU", "en"),
    ("NZ", "en"),
    ("IE", "en"),
    ("MX", "es"),
    ("AR", "es"),
    ("BR", "pt"),
    ("TW", "zh"),
    ("KR", "ko"),
    ("JP", "ja"),
    ("FR", "fr"),
    ("IT", "it"),
    ("DE", "de"),
    ("ES", "es"),
    ("CN", "zh"),
    ("HK", "cn"),
    ("IN", "hi"),
    ("RU", "ru"),
];

/// A movie of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryFilm {
    /// TMDB's id.
    pub id: i64,
    /// The score in ten-thousandths.
    pub score: i64,
    /// The reasons, at least one.
    pub reasons: Vec<Reason>,
}

/// A list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueryFilms {
    /// The movies of the page, best first.
    pub films: Vec<QueryFilm>,
    /// The number of movies that pass the filter.
    pub total: usize,
    /// The parameters that were left out because no movie passed all of them.
    pub relaxed: Vec<&'static str>,
}

/// The conditions that may be left out, the softest first.
const SOFT: &[&str] = &[
    "vote_count",
    "vote_average",
    "keywords",
    "runtime",
    "providers",
    "country",
    "release_date",
    "genres",
];

/// Leaves out a condition of `filters`; false if there is none of this name.
fn relax(filters: &mut Filters, name: &str) -> bool {
    match name {
        "vote_count" => {
            filters.vote_count_min.take().is_some() | filters.vote_count_max.take().is_some()
        }
        "vote_average" => filters.vote_average_min.take().is_some(),
        "keywords" => filters.keywords.take().is_some(),
        "runtime" => filters.runtime_min.take().is_some() | filters.runtime_max.take().is_some(),
        "providers" => {
            filters.region = None;
            filters.providers.take().is_some()
        }
        "country" => filters.country.take().is_some_and(|countries| {
            let language = |country: &str| {
                LANGUAGES
                    .iter()
                    .find(|(code, _)| *code == country)
                    .map(|(_, language)| *language)
            };
            let mut languages: Vec<&str> = countries.split('|').filter_map(language).collect();
            languages.dedup();
            if filters.language.is_none() && !languages.is_empty() {
                filters.language = Some(languages.join("|"));
            }
            true
        }),
        "release_date" => {
            filters.year.take().is_some()
                | filters.release_date_from.take().is_some()
                | filters.release_date_to.take().is_some()
        }
        // Something else must still say what is wanted.
        "genres" => {
            let is_rest = filters.people.is_some()
                || filters.language.is_some()
                || filters.without_genres.is_some();
            is_rest && filters.genres.take().is_some()
        }
        _ => false,
    }
}

/// The weighted rating of the movie in `row`, 0 to 10.
fn weighted_average(catalogue: &Catalogue, row: usize) -> f32 {
    let films = catalogue.films();
    let votes = films.vote_count(u32::try_from(row).unwrap_or(u32::MAX));
    rating::weighted(films.vote_averages()[row].into(), votes, PRIOR_VOTES) as f32
}

impl Recommender {
    /// The movies for `reading`: those from position `from` on, at most `limit`, of the best [`MAX_FILMS`]. Movies that
    /// `user` dislikes are left out.
    ///
    /// # Errors
    /// [`RecommendError::Invalid`] if a parameter is invalid, or as [`RecommendError`] says.
    #[tracing::instrument(
        name = "service.recommender.query",
        level = "debug",
        skip_all,
        err(level = "debug")
    )]
    pub async fn query(
        &self,
        reading: Reading,
        user: Option<UserId>,
        from: usize,
        limit: usize,
    ) -> Result<QueryFilms, RecommendError> {
        self.check_loaded()?;
        let filter = reading.filters.parse().map_err(RecommendError::Invalid)?;
        // Other values that no movie has are relaxed, since a message names them in passing.
        let errors = self.catalogue().genres().ids().check(&filter);
        if !errors.is_empty() {
            return Err(RecommendError::Invalid(errors));
        }
        self.compute(move |own| own.rank_query(&reading, filter, user, from, limit))
            .await
    }

    /// True if a movie passes all conditions of `reading`.
    pub fn has_films(&self, reading: &Reading, user: Option<UserId>) -> bool {
        let catalogue = self.catalogue();
        let filter = reading.filters.parse();
        filter.is_ok_and(|filter| {
            !self
                .query_rows(&catalogue, reading, &filter, user)
                .is_empty()
        })
    }

    fn query_rows(
        &self,
        catalogue: &Catalogue,
        reading: &Reading,
        filter: &Filter,
        user: Option<UserId>,
    ) -> Bitmap {
        let mut rows = catalogue.select(filter);
        for row in reading.like.iter().filter_map(|id| catalogue.row(*id)) {
            rows.remove(u32::try_from(row).unwrap_or(u32::MAX));
        }
        if let Some(profile) = user.and_then(|user| self.known_profile(user)) {
            candidates::remove_known(catalogue, &profile, false, &mut rows);
        }
        rows
    }

    /// The movies that pass `reading` without its conditions in `relaxed`; `None` if one of them cannot be left out.
    fn rows_without(
        &self,
        catalogue: &Catalogue,
        reading: &Reading,
        relaxed: &[&str],
        user: Option<UserId>,
    ) -> Option<Bitmap> {
        let mut filters = reading.filters.clone();
        if !relaxed.iter().all(|name| relax(&mut filters, name)) {
            return None;
        }
        let filter = filters.parse().unwrap_or_default();
        Some(self.query_rows(catalogue, reading, &filter, user))
    }

    fn rank_query(
        &self,
        reading: &Reading,
        filter: Filter,
        user: Option<UserId>,
        from: usize,
        limit: usize,
    ) -> QueryFilms {
        let catalogue = self.catalogue();
        let mut rows = self.query_rows(&catalogue, reading, &filter, user);
        let mut relaxed: Vec<&'static str> = Vec::new();
        for name in SOFT {
            if !rows.is_empty() {
                break;
            }
            let more = [&relaxed[..], &[*name]].concat();
            if let Some(found) = self.rows_without(&catalogue, reading, &more, user) {
                (relaxed, rows) = (more, found);
            }
        }
        if rows.is_empty() {
            // Nothing helped: the conditions that cannot be relaxed fit no movie.
            return QueryFilms::default();
        }
        // Softer conditions were left out before the one at fault; they hold again unless they leave no movie.
        for place in (0..relaxed.len().saturating_sub(1)).rev() {
            let mut fewer = relaxed.clone();
            fewer.remove(place);
            let found = self.rows_without(&catalogue, reading, &fewer, user);
            if let Some(found) = found.filter(|found| !found.is_empty()) {
                (relaxed, rows) = (fewer, found);
            }
        }
        let ranked = self.ranked(&catalogue, &rows, reading, (from + limit).min(MAX_FILMS));
        QueryFilms {
            films: ranked.into_iter().skip(from).collect(),
            total: rows.len(),
            relaxed,
        }
    }

    /// The best `count` of `rows`.
    fn ranked(
        &self,
        catalogue: &Catalogue,
        rows: &Bitmap,
        reading: &Reading,
        count: usize,
    ) -> Vec<QueryFilm> {
        let rules = Context {
            weights: self.weights(),
            max_popularity: candidates::max_popularity(catalogue, rows),
            preferred: 0,
            has_preferred: false,
            today: days_since_epoch(self.now()),
        };
        let values = |row: usize| rules.values(catalogue.candidate(row));
        let by_rules = |row: usize| {
            (
                candidates::rounded(rules.score(values(row))),
                rules.reasons(values(row)),
            )
        };
        let model_on_catalogue = self.place(catalogue);
        let examples: Vec<Similarity> = reading
            .like
            .iter()
            .filter_map(|id| catalogue.row(*id))
            .map(|row| {
                Similarity::new(
                    catalogue,
                    model_on_catalogue.as_ref(),
                    row,
                    self.uses_content(),
                )
            })
            .collect();
        let mean = |row: usize| {
            examples
                .iter()
                .map(|example| example.score(row))
                .sum::<f32>()
                / examples.len() as f32
        };
        let best =
            |score: &dyn Fn(usize) -> f32| candidates::best_by(catalogue, rows, count, score);
        let is_rated = reading.filters.vote_average_min.is_some();
        let list = |ranked: Vec<Ranked>, describe: &dyn Fn(&Ranked) -> (i64, Vec<Reason>)| {
            let film = |ranked: &Ranked| {
                let (score, reasons) = describe(ranked);
                QueryFilm {
                    id: ranked.id,
                    score,
                    reasons,
                }
            };
            ranked.iter().map(film).collect()
        };
        let rated = |row: usize| weighted_average(catalogue, row) / 10.0;
        match reading.sort {
            Some(order @ (Order::Newest | Order::Oldest)) => {
                let days = |row: usize| {
                    catalogue
                        .release_date(row)
                        .map(|date| date.num_days_from_ce() as f32)
                };
                let ranked = match order {
                    Order::Newest => best(&|row| days(row).unwrap_or(-1.0)),
                    _ => best(&|row| -days(row).unwrap_or(f32::from(i16::MAX) * 100.0)),
                };
                list(ranked, &|film| by_rules(film.row))
            }
            Some(Order::Popular) => {
                let most = rules.max_popularity.max(f64::MIN_POSITIVE);
                let ranked = best(&|row| (catalogue.popularity()[row] / most) as f32);
                list(ranked, &|film| (film.score, by_rules(film.row).1))
            }
            Some(Order::Rated) => list(best(&rated), &|film| (film.score, by_rules(film.row).1)),
            None if !examples.is_empty() => list(best(&mean), &|film| {
                let nearest = examples
                    .iter()
                    .max_by(|one, two| one.score(film.row).total_cmp(&two.score(film.row)));
                let reasons = nearest.map(|example| example.reasons(catalogue, film.row));
                (film.score, reasons.unwrap_or_default())
            }),
            None if is_rated => list(best(&rated), &|film| (film.score, by_rules(film.row).1)),
            None => {
                let score = |row: usize| rules.score(values(row)) as f32;
                list(best(&score), &|film| by_rules(film.row))
            }
        }
    }
}
