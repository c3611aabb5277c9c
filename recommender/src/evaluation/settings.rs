//! Settings of all models by name, as a command line sets them and model files keep them.

use std::collections::BTreeMap;

use crate::{
    EaseSettings, IalsSettings, ModelName, SpectralSettings,
    content::{CONTENT_WEIGHT, TASTE_WEIGHT},
};

/// An assignment that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no setting of this name.
    #[error("{0}: there is no such setting")]
    Unknown(String),
    /// The value is not a finite number.
    #[error("{0}: the value is not a number")]
    Value(String),
}

/// A model to fit or measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// The baseline.
    Popularity,
    /// [`crate::Ease`].
    Ease,
    /// [`crate::Ials`].
    Ials,
    /// [`crate::Spectral`].
    Spectral,
    /// Content, if the tags of items are known.
    Content,
    /// Taste, likewise.
    Taste,
    /// A base model, if one is live.
    Base,
    /// The blend of the others.
    Blend,
}

impl From<ModelName> for Model {
    fn from(name: ModelName) -> Self {
        match name {
            ModelName::Popularity => Self::Popularity,
            ModelName::Ease => Self::Ease,
            ModelName::Ials => Self::Ials,
            ModelName::Spectral => Self::Spectral,
            ModelName::Base => Self::Base,
        }
    }
}

impl Model {
    /// The models that need interactions alone.
    pub const ALL: [Self; 5] = [
        Self::Popularity,
        Self::Ease,
        Self::Ials,
        Self::Spectral,
        Self::Blend,
    ];

    /// The name on command lines and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Popularity => "popularity",
            Self::Ease => "ease",
            Self::Ials => "ials",
            Self::Spectral => "spectral",
            Self::Content => "content",
            Self::Taste => "taste",
            Self::Base => "base",
            Self::Blend => "blend",
        }
    }
}

/// The weights of the parts of a blend, each 0 and up, and the familiarity of [`crate::Blend::new`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlendSettings {
    /// The weight of ease.
    pub ease: f64,
    /// The weight of ials.
    pub ials: f64,
    /// The weight of spectral.
    pub spectral: f64,
    /// The weight of popularity.
    pub popularity: f64,
    /// The number of items after which personal models have half the share.
    pub familiarity: f64,
    /// The weight of content beside the learned models.
    pub content: f64,
    /// The weight of taste beside the learned models.
    pub taste: f64,
}

impl BlendSettings {
    /// The weight of `model`.
    #[must_use]
    pub fn weight(&self, model: Model) -> f64 {
        match model {
            Model::Popularity => self.popularity,
            Model::Ease => self.ease,
            Model::Ials => self.ials,
            Model::Spectral => self.spectral,
            Model::Content => self.content,
            Model::Taste => self.taste,
            Model::Base | Model::Blend => 0.0,
        }
    }
}

impl Default for BlendSettings {
    fn default() -> Self {
        Self {
            ease: 0.6,
            ials: 0.3,
            spectral: 0.1,
            popularity: 1.0,
            familiarity: 1.0,
            content: CONTENT_WEIGHT.into(),
            taste: TASTE_WEIGHT.into(),
        }
    }
}

/// The settings of all models. Those that are set are not searched for.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Of EASE.
    pub ease: EaseSettings,
    /// Of iALS.
    pub ials: IalsSettings,
    /// Of the low-pass filter.
    pub spectral: SpectralSettings,
    /// Of the blend.
    pub blend: BlendSettings,
    given: Vec<Model>,
}

/// The value of a setting.
enum Place<'a> {
    Number(&'a mut f64),
    Count(&'a mut usize),
}

/// The settings `MODEL.KEY` of local variables: the name, the value, and the model that is not searched for if it is set.
macro_rules! places {
    ($($kind:ident($model:ident.$key:ident) $searched:expr;)*) => {
        [$((
            concat!(stringify!($model), ".", stringify!($key)),
            Place::$kind(&mut $model.$key),
            $searched,
        )),*]
    };
}

impl Settings {
    fn places(&mut self) -> [(&'static str, Place<'_>, Option<Model>); 22] {
        let (ease, ials, spectral) = (&mut self.ease, &mut self.ials, &mut self.spectral);
        let blend = &mut self.blend;
        places! {
            Number(ease.regularization) Some(Model::Ease);
            Number(ease.user_discount) Some(Model::Ease);
            Number(ease.item_discount) Some(Model::Ease);
            Number(ease.dropout) None;
            Count(ease.max_items) None;
            Count(ease.neighbors) None;
            Count(ials.dimensions) None;
            Count(ials.epochs) None;
            Number(ials.unobserved_weight) Some(Model::Ials);
            Number(ials.regularization) Some(Model::Ials);
            Number(ials.frequency_exponent) Some(Model::Ials);
            Number(ials.initial_deviation) None;
            Count(spectral.dimensions) None;
            Number(spectral.item_discount) None;
            Number(spectral.user_discount) None;
            Number(blend.ease) Some(Model::Blend);
            Number(blend.ials) Some(Model::Blend);
            Number(blend.spectral) Some(Model::Blend);
            Number(blend.popularity) Some(Model::Blend);
            Number(blend.familiarity) Some(Model::Blend);
            Number(blend.content) Some(Model::Blend);
            Number(blend.taste) Some(Model::Blend);
        }
    }

    /// Sets a setting by an assignment `MODEL.KEY=N`.
    ///
    /// # Errors
    /// [`SettingError`] if there is no such setting or the value is not a finite number.
    pub fn set(&mut self, assignment: &str) -> Result<(), SettingError> {
        let unknown = || SettingError::Unknown(assignment.to_owned());
        let (name, value) = assignment.split_once('=').ok_or_else(unknown)?;
        let number: f64 = value
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .ok_or_else(|| SettingError::Value(assignment.to_owned()))?;
        self.assign(name, number).then_some(()).ok_or_else(unknown)
    }

    /// Sets the setting `name` to `number`; false if there is none.
    pub(crate) fn assign(&mut self, name: &str, number: f64) -> bool {
        let place = |(known, ..): &(&str, _, _)| *known == name;
        let Some((_, place, model)) = self.places().into_iter().find(place) else {
            return false;
        };
        match place {
            Place::Number(place) => *place = number,
            Place::Count(place) => *place = number.max(0.0) as usize,
        }
        self.given.extend(model);
        true
    }

    /// Sets the seed of all random numbers.
    pub fn seed(&mut self, seed: u64) {
        self.ials.seed = seed;
        self.spectral.seed = seed;
    }

    /// Limits the dense weights of EASE to what can be fitted in so many bytes.
    pub fn fit_memory(&mut self, bytes: u64) {
        let items = (bytes / EaseSettings::BYTES_PER_PAIR).isqrt();
        self.ease.max_items = self.ease.max_items.min(items as usize);
    }

    /// True if a setting of `model` that is otherwise searched for was set.
    #[must_use]
    pub fn is_given(&self, model: Model) -> bool {
        self.given.contains(&model)
    }

    /// All settings by name.
    #[must_use]
    pub fn parameters(&self) -> BTreeMap<String, f64> {
        let mut settings = self.clone();
        let value = |(name, place, _): (&str, Place<'_>, _)| match place {
            Place::Number(place) => (name.to_owned(), *place),
            Place::Count(place) => (name.to_owned(), *place as f64),
        };
        settings.places().into_iter().map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_can_be_set_and_is_listed() {
        let mut settings = Settings::default();
        let mut expected = settings.parameters();
        for (number, (name, value)) in (2_u32..).zip(&mut expected) {
            settings.set(&format!("{name}={number}")).expect("known");
            *value = number.into();
        }
        assert_eq!(settings.parameters(), expected);
        assert!(settings.is_given(Model::Blend) && !Settings::default().is_given(Model::Ease));
    }

    #[test]
    fn less_memory_means_fewer_items() {
        let mut settings = Settings::default();
        settings.fit_memory(28_000_000);
        assert_eq!(settings.ease.max_items, 1000);
    }
}
