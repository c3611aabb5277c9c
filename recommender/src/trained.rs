//! A version of the learned models with the identifiers of its columns.

use std::sync::Arc;

use crate::{
    Blend, FitError, Part, Projected, Scorer,
    content::{CONTENT_WEIGHT, ContentWeights, TASTE_WEIGHT},
};

/// The learned models by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelName {
    /// The baseline.
    Popularity,
    /// Item-item weights in closed form.
    Ease,
    /// Matrix factorization.
    Ials,
    /// The ideal low-pass filter.
    Spectral,
    /// The base model: models that were fitted to a published set of ratings, together.
    Base,
}

impl ModelName {
    /// All names.
    pub const ALL: [Self; 5] = [
        Self::Popularity,
        Self::Ease,
        Self::Ials,
        Self::Spectral,
        Self::Base,
    ];

    /// The name in APIs and files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Popularity => "popularity",
            Self::Ease => "ease",
            Self::Ials => "ials",
            Self::Spectral => "spectral",
            Self::Base => "base",
        }
    }

    /// True if its scores depend on the history.
    #[must_use]
    pub fn is_personal(self) -> bool {
        !matches!(self, Self::Popularity)
    }
}

/// One model of a version.
#[derive(Clone)]
pub struct TrainedModel {
    /// Its name.
    pub name: ModelName,
    /// The model.
    pub scorer: Arc<dyn Scorer>,
    /// The weight among the personal models, or among the others.
    pub weight: f32,
}

/// The share of a base model beside models that were fitted to so many own users, unless it was chosen on their held-out
/// interactions: `1 / (1 + users / 1000)`.
#[must_use]
pub fn default_base_share(users: usize) -> f32 {
    1.0 / (1.0 + users as f32 / 1000.0)
}

/// A version of the learned models; only [`TrainedModels::new`] and [`TrainedModels::combined`] make one.
#[non_exhaustive]
pub struct TrainedModels {
    /// The number of the version.
    pub version: i64,
    /// The ids of the columns, ascending.
    pub films: Vec<i64>,
    /// The models.
    pub parts: Vec<TrainedModel>,
    /// The blend of all models.
    pub blend: Blend,
    /// The weight of content beside the models.
    pub content_weight: f32,
    /// The weight of taste beside the models.
    pub taste_weight: f32,
    /// The weights of the content model that were fitted with these models; `None` for the default ones.
    pub content: Option<ContentWeights>,
    /// The share of a base model beside these models, 0 to 1.
    pub base_share: f32,
    /// The version of the base model among them, if it is another one than `version`.
    pub base_version: Option<i64>,
    familiarity: f32,
}

impl TrainedModels {
    /// Version `version` of models over `films`, the ids of the columns in ascending order.
    /// `familiarity` is that of [`Blend::new`].
    ///
    /// # Errors
    /// [`FitError::Setting`] if there is no part, a part has another number of items, ids do not ascend, or a weight is
    /// negative.
    pub fn new(
        version: i64,
        films: Vec<i64>,
        parts: Vec<TrainedModel>,
        familiarity: f32,
    ) -> Result<Self, FitError> {
        let is_sound = films.is_sorted_by(|a, b| a < b)
            && parts.iter().all(|part| part.scorer.items() == films.len());
        FitError::check(
            "films",
            films.len() as f64,
            "ascending ids, one a column",
            is_sound,
        )?;
        let blend = parts.iter().map(|part| Part {
            scorer: Arc::clone(&part.scorer),
            weight: part.weight,
            personal: part.name.is_personal(),
        });
        let blend = Blend::new(blend.collect(), familiarity)?;
        Ok(Self {
            version,
            films,
            parts,
            blend,
            content_weight: CONTENT_WEIGHT,
            taste_weight: TASTE_WEIGHT,
            content: None,
            base_share: default_base_share(0),
            base_version: None,
            familiarity,
        })
    }

    /// The same with this share of a base model.
    ///
    /// # Errors
    /// [`FitError::Setting`] if it is not 0 to 1.
    pub fn with_base_share(self, base_share: f32) -> Result<Self, FitError> {
        let (share, range) = (f64::from(base_share), 0.0..=1.0);
        FitError::check("base", share, "0 to 1", range.contains(&share))?;
        Ok(Self { base_share, ..self })
    }

    /// The models of `base` as one, [`ModelName::Base`], beside those of `own` if there are any, over the items of `own`
    /// and those of `base` for which `is_kept` holds. Each model adds nothing to the score of an item that it does not
    /// cover.
    ///
    /// The base model has the weight `own.base_share` of that of all personal models, the own models have the rest.
    ///
    /// # Errors
    /// [`FitError::Setting`] if `base` covers no item that is kept.
    pub fn combined(
        own: Option<&Self>,
        base: &Self,
        is_kept: impl Fn(i64) -> bool,
    ) -> Result<Self, FitError> {
        let kept: Vec<i64> = base
            .films
            .iter()
            .copied()
            .filter(|id| is_kept(*id))
            .collect();
        FitError::check(
            "base items",
            kept.len() as f64,
            "1 and up",
            !kept.is_empty(),
        )?;
        let of_base = base.on(&kept)?;
        let share = own.map_or(1.0, |own| own.base_share);
        let mut films = own.map_or_else(Vec::new, |own| own.films.clone());
        films.extend(kept);
        films.sort_unstable();
        films.dedup();

        let mut parts = Vec::new();
        let mut all_personal = 1.0;
        if let Some(own) = own {
            let personal = own.parts.iter().filter(|part| part.name.is_personal());
            all_personal = personal.map(|part| part.weight).sum();
            for part in own.on(&films)?.parts {
                parts.push(TrainedModel {
                    weight: part.weight * (1.0 - share),
                    ..part
                });
            }
        }
        let base_on_films = Projected::new(
            Arc::new(of_base.blend),
            films.len(),
            columns(&of_base.films, &films),
        );
        parts.push(TrainedModel {
            name: ModelName::Base,
            scorer: Arc::new(base_on_films),
            weight: share * all_personal,
        });
        let (version, familiarity) =
            own.map_or((base.version, 0.0), |own| (own.version, own.familiarity));
        let combined = Self::new(version, films, parts, familiarity)?;
        let weight = |of: fn(&Self) -> f32| {
            let own = own.map_or(0.0, |own| (1.0 - share) * of(own));
            own + share * all_personal * of(base)
        };
        let combined = combined.with_tags(
            weight(|one| one.content_weight),
            weight(|one| one.taste_weight),
        )?;
        Ok(Self {
            content: own.and_then(|own| own.content),
            base_share: share,
            base_version: own.map(|_| base.version),
            ..combined
        })
    }

    /// The same models over `films` instead, ascending ids.
    fn on(&self, films: &[i64]) -> Result<Self, FitError> {
        let parts = self.parts.iter().map(|part| TrainedModel {
            name: part.name,
            scorer: Arc::new(Projected::new(
                Arc::clone(&part.scorer),
                films.len(),
                columns(&self.films, films),
            )),
            weight: part.weight,
        });
        let own = Self::new(
            self.version,
            films.to_vec(),
            parts.collect(),
            self.familiarity,
        )?;
        own.with_tags(self.content_weight, self.taste_weight)
    }

    /// The same with these weights of content and taste.
    ///
    /// # Errors
    /// [`FitError::Setting`] if a weight is negative.
    pub fn with_tags(self, content_weight: f32, taste_weight: f32) -> Result<Self, FitError> {
        for (name, weight) in [("content", content_weight), ("taste", taste_weight)] {
            FitError::check(name, f64::from(weight), "0 and up", weight >= 0.0)?;
        }
        Ok(Self {
            content_weight,
            taste_weight,
            ..self
        })
    }

    /// The column of the item `id`, if the models cover it.
    #[must_use]
    pub fn column(&self, id: i64) -> Option<u32> {
        let column = self.films.binary_search(&id).ok()?;
        u32::try_from(column).ok()
    }
}

/// The column in `films` of each of `ids`.
fn columns<'a>(ids: &'a [i64], films: &'a [i64]) -> impl Iterator<Item = Option<u32>> + 'a {
    ids.iter().map(|id| {
        let column = films.binary_search(id).ok()?;
        u32::try_from(column).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{History, Popularity, testing::tastes};

    fn part() -> TrainedModel {
        TrainedModel {
            name: ModelName::Popularity,
            scorer: Arc::new(Popularity::fit(&tastes(6, 3))),
            weight: 1.0,
        }
    }

    #[test]
    fn columns_are_found_by_id() {
        let trained =
            TrainedModels::new(1, vec![11, 603, 27205], vec![part()], 1.0).expect("sound");
        assert_eq!(trained.column(603), Some(1));
        assert_eq!(trained.column(604), None);
    }

    #[test]
    fn ids_out_of_order_or_of_another_number_are_rejected() {
        assert!(TrainedModels::new(1, vec![11, 27205, 603], vec![part()], 1.0).is_err());
        assert!(TrainedModels::new(1, vec![11, 603], vec![part()], 1.0).is_err());
    }

    #[test]
    fn own_and_base_models_are_combined_by_the_ids_of_items() {
        let named = |version, films: &[i64], scores: &[f32]| {
            let scorer = Popularity::from_scores(scores.to_vec()).expect("finite");
            let part = TrainedModel {
                name: ModelName::Popularity,
                scorer: Arc::new(scorer),
                weight: 1.0,
            };
            TrainedModels::new(version, films.to_vec(), vec![part], 1.0).expect("sound")
        };
        let base = named(7, &[3, 5, 8, 9], &[1.0, 4.0, 2.0, 100.0]);
        let alone = TrainedModels::combined(None, &base, |id| id != 9).expect("sound");
        assert_eq!((alone.version, alone.base_version), (7, None));
        assert_eq!(alone.films, [3, 5, 8]);
        let nobody = History {
            items: &[],
            weights: &[],
        };
        let mut scores = [0.0; 3];
        alone.parts[0].scorer.score(nobody, &mut scores);
        assert!(scores[1] > scores[2] && scores[2] > scores[0]);

        let own = named(2, &[4, 5, 8], &[9.0, 1.0, 5.0]);
        let own = own.with_base_share(0.25).expect("a share");
        let both = TrainedModels::combined(Some(&own), &base, |id| id != 9).expect("sound");
        assert_eq!((both.version, both.base_version), (2, Some(7)));
        assert_eq!(both.films, [3, 4, 5, 8]);
        let names: Vec<&str> = both.parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["popularity", "base"]);
        assert_eq!(both.parts[0].weight, 0.75);
        let mut scores = [0.0; 4];
        both.parts[0].scorer.score(nobody, &mut scores);
        assert_eq!(scores, [5.0, 9.0, 1.0, 5.0]);
        assert!(TrainedModels::combined(Some(&own), &base, |_| false).is_err());
    }
}
