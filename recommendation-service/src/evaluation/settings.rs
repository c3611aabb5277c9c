//! Settings of all models by name, as `--set` gives them and manifests keep them.

use std::collections::BTreeMap;

use recommender::{
    EaseSettings, IalsSettings, SpectralSettings,
    content::{CONTENT_WEIGHT, TASTE_WEIGHT},
};

/// A model to fit or measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    Popularity,
    Ease,
    Ials,
    Spectral,
    /// Known of films whose tags are known, so not in files.
    Content,
    /// As content.
    Taste,
    Blend,
}

impl Model {
    /// Those that need nothing but interactions.
    pub(crate) const ALL: [Self; 5] = [
        Self::Popularity,
        Self::Ease,
        Self::Ials,
        Self::Spectral,
        Self::Blend,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Popularity => "popularity",
            Self::Ease => "ease",
            Self::Ials => "ials",
            Self::Spectral => "spectral",
            Self::Content => "content",
            Self::Taste => "taste",
            Self::Blend => "blend",
        }
    }
}

/// What the parts of a blend weigh.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BlendSettings {
    pub(crate) ease: f64,
    pub(crate) ials: f64,
    pub(crate) spectral: f64,
    pub(crate) popularity: f64,
    pub(crate) familiarity: f64,
    pub(crate) content: f64,
    pub(crate) taste: f64,
}

impl BlendSettings {
    pub(crate) fn weight(&self, model: Model) -> f64 {
        match model {
            Model::Popularity => self.popularity,
            Model::Ease => self.ease,
            Model::Ials => self.ials,
            Model::Spectral => self.spectral,
            Model::Content => self.content,
            Model::Taste => self.taste,
            Model::Blend => 0.0,
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

/// Settings of all models, and which were given rather than are to be chosen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) ease: EaseSettings,
    pub(crate) ials: IalsSettings,
    pub(crate) spectral: SpectralSettings,
    pub(crate) blend: BlendSettings,
    given: Vec<Model>,
}

/// Where the value of a setting is.
enum Place<'a> {
    Number(&'a mut f64),
    Count(&'a mut usize),
}

/// The settings that there are.
const NAMES: [&str; 20] = [
    "ease.regularization",
    "ease.user_discount",
    "ease.item_discount",
    "ease.max_items",
    "ials.dimensions",
    "ials.epochs",
    "ials.unobserved_weight",
    "ials.regularization",
    "ials.frequency_exponent",
    "ials.initial_deviation",
    "spectral.dimensions",
    "spectral.item_discount",
    "spectral.user_discount",
    "blend.ease",
    "blend.ials",
    "blend.spectral",
    "blend.popularity",
    "blend.familiarity",
    "blend.content",
    "blend.taste",
];

impl Settings {
    /// The place of the setting `name`, and the model whose settings are not searched for where it is
    /// given.
    fn place(&mut self, name: &str) -> Option<(Place<'_>, Option<Model>)> {
        use Place::{Count, Number};
        let (ease, ials, spectral) = (&mut self.ease, &mut self.ials, &mut self.spectral);
        let blend = &mut self.blend;
        Some(match name {
            "ease.regularization" => (Number(&mut ease.regularization), Some(Model::Ease)),
            "ease.user_discount" => (Number(&mut ease.user_discount), Some(Model::Ease)),
            "ease.item_discount" => (Number(&mut ease.item_discount), Some(Model::Ease)),
            "ease.max_items" => (Count(&mut ease.max_items), None),
            "ials.dimensions" => (Count(&mut ials.dimensions), None),
            "ials.epochs" => (Count(&mut ials.epochs), None),
            "ials.unobserved_weight" => (Number(&mut ials.unobserved_weight), Some(Model::Ials)),
            "ials.regularization" => (Number(&mut ials.regularization), Some(Model::Ials)),
            "ials.frequency_exponent" => (Number(&mut ials.frequency_exponent), Some(Model::Ials)),
            "ials.initial_deviation" => (Number(&mut ials.initial_deviation), None),
            "spectral.dimensions" => (Count(&mut spectral.dimensions), None),
            "spectral.item_discount" => (Number(&mut spectral.item_discount), None),
            "spectral.user_discount" => (Number(&mut spectral.user_discount), None),
            "blend.ease" => (Number(&mut blend.ease), Some(Model::Blend)),
            "blend.ials" => (Number(&mut blend.ials), Some(Model::Blend)),
            "blend.spectral" => (Number(&mut blend.spectral), Some(Model::Blend)),
            "blend.popularity" => (Number(&mut blend.popularity), Some(Model::Blend)),
            "blend.familiarity" => (Number(&mut blend.familiarity), Some(Model::Blend)),
            "blend.content" => (Number(&mut blend.content), Some(Model::Blend)),
            "blend.taste" => (Number(&mut blend.taste), Some(Model::Blend)),
            _ => return None,
        })
    }

    /// Sets what `MODEL.KEY=N` says.
    pub(crate) fn set(&mut self, assignment: &str) -> Result<(), String> {
        let unknown = || format!("--set {assignment}: there is no such setting");
        let (name, value) = assignment.split_once('=').ok_or_else(unknown)?;
        let number: f64 = value
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .ok_or_else(|| format!("--set {assignment}: `{value}` is not a number"))?;
        let (place, model) = self.place(name).ok_or_else(unknown)?;
        match place {
            Place::Number(place) => *place = number,
            Place::Count(place) => *place = number.max(0.0) as usize,
        }
        self.given.extend(model);
        Ok(())
    }

    /// Sets what all random numbers come from.
    pub(crate) fn seed(&mut self, seed: u64) {
        self.ials.seed = seed;
        self.spectral.seed = seed;
    }

    /// Leaves films out of EASE beyond those that can be fitted in so many bytes.
    pub(crate) fn fit_memory(&mut self, bytes: u64) {
        let films = (bytes / EaseSettings::BYTES_PER_PAIR).isqrt();
        self.ease.max_items = self.ease.max_items.min(films as usize);
    }

    /// Whether the settings of `model` were given.
    pub(crate) fn is_given(&self, model: Model) -> bool {
        self.given.contains(&model)
    }

    /// All settings by name.
    pub(crate) fn parameters(&self) -> BTreeMap<String, f64> {
        let mut settings = self.clone();
        let value = |name: &&str| {
            let (place, _) = settings.place(name)?;
            Some(match place {
                Place::Number(place) => ((*name).to_owned(), *place),
                Place::Count(place) => ((*name).to_owned(), *place as f64),
            })
        };
        NAMES.iter().filter_map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_can_be_given_and_is_told_again() {
        let mut settings = Settings::default();
        for (number, name) in (2..).zip(NAMES) {
            settings.set(&format!("{name}={number}")).expect("known");
        }
        let parameters = settings.parameters();
        for (number, name) in (2..).zip(NAMES) {
            assert_eq!(parameters.get(name), Some(&f64::from(number)), "{name}");
        }
        assert!(settings.is_given(Model::Blend) && !Settings::default().is_given(Model::Ease));
    }

    #[test]
    fn less_memory_means_fewer_films() {
        let mut settings = Settings::default();
        settings.fit_memory(28_000_000);
        assert_eq!(settings.ease.max_items, 1000);
    }
}
