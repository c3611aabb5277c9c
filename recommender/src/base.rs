//! Base models: fitted to the likes of another population, such as the users of MovieLens, to serve as prior until own
//! users have done enough.
//!
//! A base model is for users with a short history. So its settings are chosen by first lists: of users that were held
//! out, the first few likes are told, and the best ten items are judged by what they liked later.

mod judge;
mod population;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use self::judge::{Judge, MIN_JUDGED, MIN_JUDGED_LIKES};
pub use self::{judge::TOLD, population::Population};
use crate::{
    Ease, EaseSettings, FitError, Ials, IalsSettings, Popularity,
    evaluation::settings::{Model, Settings},
    model_file::{Manifest, ModelParts},
};

/// The weight of content beside a base model: the best from 1 to 2.5 on folds of users of MovieLens latest-small and 1M.
/// Likes of other people say less of a user than what the user likes.
const CONTENT_WEIGHT: f64 = 1.5;

/// The settings of a base model. The defaults were the best on folds of users of MovieLens latest-small and 1M; a large
/// regularization and much popularity are what little history asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BaseSettings {
    /// Of EASE.
    pub ease: EaseSettings,
    /// Of iALS.
    pub ials: IalsSettings,
    /// The weight of iALS beside that of EASE, 1.
    pub ials_weight: f64,
    /// The weight of popularity.
    pub popularity_weight: f64,
    /// The number of items after which personal models have half the share beside popularity.
    pub familiarity: f64,
    /// True if the settings of EASE are chosen.
    pub searches_ease: bool,
    /// True if the regularization of iALS is chosen.
    pub searches_ials: bool,
    /// True if the weights of the blend are chosen.
    pub searches_blend: bool,
}

impl Default for BaseSettings {
    fn default() -> Self {
        Self {
            ease: EaseSettings::plain(3000.0),
            ials: IalsSettings {
                dimensions: 64,
                regularization: 0.04,
                ..IalsSettings::default()
            },
            ials_weight: 0.25,
            popularity_weight: 1.0,
            familiarity: 1.0,
            searches_ease: true,
            searches_ials: true,
            searches_blend: true,
        }
    }
}

impl BaseSettings {
    /// The defaults, and what is set in `settings`, which is not searched for.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let mut own = Self::default();
        own.ease.max_items = settings.ease.max_items;
        own.ials.seed = settings.ials.seed;
        if settings.is_given(Model::Ease) {
            (own.ease, own.searches_ease) = (settings.ease, false);
        }
        if settings.is_given(Model::Ials) {
            (own.ials, own.searches_ials) = (settings.ials, false);
        }
        if settings.is_given(Model::Blend) {
            let blend = &settings.blend;
            own.ials_weight = blend.ials;
            own.popularity_weight = blend.popularity;
            own.familiarity = blend.familiarity;
            own.searches_blend = false;
        }
        own
    }

    /// The settings of a model file with these.
    fn parameters(&self) -> BTreeMap<String, f64> {
        let mut settings = Settings::default();
        (settings.ease, settings.ials) = (self.ease, self.ials);
        settings.blend.ease = 1.0;
        settings.blend.ials = self.ials_weight;
        settings.blend.spectral = 0.0;
        settings.blend.popularity = self.popularity_weight;
        settings.blend.familiarity = self.familiarity;
        settings.blend.content = CONTENT_WEIGHT;
        settings.blend.taste = 0.0;
        settings.parameters()
    }
}

/// A fitted base model.
#[derive(Debug, Clone)]
pub struct BaseModel {
    /// The data that it was fitted to, its settings and its metrics.
    pub manifest: Manifest,
    /// The models.
    pub parts: ModelParts,
}

/// Chooses the settings by first lists of items for which `is_listed` holds, and fits to `population`. Each step is passed
/// to `report`.
///
/// # Errors
/// [`FitError`] if there is no like, or a setting is out of its range.
pub fn fit(
    population: &Population,
    mut settings: BaseSettings,
    is_listed: &dyn Fn(i64) -> bool,
    report: fn(&str),
) -> Result<BaseModel, FitError> {
    let count = population.len() as f64;
    FitError::check("likes", count, "1 and up", !population.is_empty())?;
    let judge = Judge::new(&population.listed(is_listed), report);
    let mut metrics = BTreeMap::new();
    if judge.people() < MIN_JUDGED {
        report(&format!(
            "{} users have {MIN_JUDGED_LIKES} likes of listed movies, too few to choose settings on: the defaults are taken",
            judge.people()
        ));
    } else {
        metrics = judge.choose(&mut settings)?;
    }
    let all = population.interactions();
    let (users, films) = (all.users(), all.items());
    report(&format!(
        "fitting to {} likes of {films} movies by {users} users",
        all.len()
    ));
    let popularity = Popularity::fit(&all);
    let ease = Ease::fit(&all, &settings.ease)?;
    report(&format!("ease is fitted: {} movies", ease.columns.len()));
    let ials = Ials::fit_watched(&all, &settings.ials, |epoch, _, _| {
        report(&format!("ials: epoch {epoch} of {}", settings.ials.epochs));
    })?;
    Ok(BaseModel {
        manifest: Manifest {
            users,
            films,
            interactions: all.len(),
            seed: settings.ials.seed,
            parameters: settings.parameters(),
            metrics,
            ..Manifest::default()
        },
        parts: ModelParts {
            films: population.films.clone(),
            popularity: Some(Arc::new(popularity)),
            ease: Some(Arc::new(ease)),
            ials: Some(Arc::new(ials)),
            spectral: None,
        },
    })
}
