//! A version of the models as bytes: safetensors, so that other trainers can write and read it.
//!
//! | tensor | type and shape | |
//! | --- | --- | --- |
//! | `films` | I64 n | TMDB's ids, ascending: the film of each column |
//! | `popularity.scores` | F32 n | the higher the more popular |
//! | `ease.columns` | U32 m | columns of the films that have weights, ascending |
//! | `ease.weights` | F32 m × m | a row for each film of a history, a column for each film scored |
//! | `ials.factors` | F32 n × d | films' vectors |
//! | `spectral.factors` | F32 n × k | films' places among the tastes |
//! | `spectral.scales` | F32 n | what each film of a history is multiplied by |
//!
//! Models that are not there are left out, but one must be there. The metadata has one entry,
//! `manifest`, a [`Manifest`] as JSON; all of it may be left out. iALS folds users in by the parameters
//! `ials.unobserved_weight`, `ials.regularization` and `ials.frequency_exponent`, which must be those
//! that its factors were fitted with.
//!
//! Everything is checked before it is used: what is cut short, of another shape or not finite is
//! refused as a whole.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use safetensors::{Dtype, SafeTensors, View, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::{
    Ease, FitError, Ials, IalsSettings, ModelName, Popularity, Scorer, Spectral, TrainedModel,
    TrainedModels,
    content::{CONTENT_WEIGHT, TASTE_WEIGHT},
};

/// The format of [`Manifest::format`] that is written and read.
pub const FORMAT: u32 = 1;
/// Bytes of a file at most.
pub const MAX_BYTES: usize = 1 << 30;
/// The share of personal models with a user of one film is one half, unless the manifest says otherwise.
const FAMILIARITY: f32 = 1.0;

/// What a version was made from, and how good it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Manifest {
    /// Of this file; 1.
    pub format: u32,
    /// Of the program that wrote it.
    pub code_version: String,
    /// SHA-256 of the interactions, hexadecimal.
    pub data_sha256: String,
    /// How many users, films and interactions the models were fitted on.
    pub users: usize,
    /// Films.
    pub films: usize,
    /// Interactions.
    pub interactions: usize,
    /// What random numbers came from.
    pub seed: u64,
    /// Settings by the names that `--set` has for them; `blend.MODEL` are the weights of the blend, and
    /// `blend.content` and `blend.taste` what goes by films' tags weighs beside it.
    pub parameters: BTreeMap<String, f64>,
    /// By model, and `blend`: what it reached on interactions that it was not fitted on, such as
    /// `recall@10`.
    pub metrics: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            format: FORMAT,
            code_version: String::new(),
            data_sha256: String::new(),
            users: 0,
            films: 0,
            interactions: 0,
            seed: 0,
            parameters: BTreeMap::new(),
            metrics: BTreeMap::new(),
        }
    }
}

impl Manifest {
    /// The parameter `name`, if it is there.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<f64> {
        self.parameters.get(name).copied()
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// It is longer than any may be.
    #[error("it has {0} bytes, more than {MAX_BYTES}")]
    TooLong(usize),
    /// It is not safetensors, or not all of it.
    #[error("it is not a whole safetensors file: {0}")]
    Format(String),
    /// The manifest is not one.
    #[error("its manifest cannot be read: {0}")]
    Manifest(#[from] serde_json::Error),
    /// The manifest is of a format that this program does not know.
    #[error("it is of format {0}, but {FORMAT} is known")]
    Version(u32),
    /// A tensor is of another type or shape.
    #[error("tensor {name}: {problem}")]
    Tensor {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// There is no model in it.
    #[error("there is no model in it")]
    Empty,
    /// Its numbers make no model.
    #[error(transparent)]
    Model(#[from] FitError),
}

/// Models over the same films, each of which may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelParts {
    /// TMDB's ids of the films, ascending, one a column.
    pub films: Vec<i64>,
    /// How many dealt with a film.
    pub popularity: Option<Arc<Popularity>>,
    /// Item-item weights.
    pub ease: Option<Arc<Ease>>,
    /// Matrix factorization.
    pub ials: Option<Arc<Ials>>,
    /// The ideal low-pass filter.
    pub spectral: Option<Arc<Spectral>>,
}

impl ModelParts {
    /// The models as version `version`, weighted as the parameters `blend.MODEL` of `manifest` say: 1
    /// where they say nothing.
    ///
    /// # Errors
    /// As [`TrainedModels::new`].
    pub fn into_trained(
        self,
        version: i64,
        manifest: &Manifest,
    ) -> Result<TrainedModels, FitError> {
        let weight = |name: ModelName| {
            let parameter = format!("blend.{}", name.as_str());
            manifest.parameter(&parameter).unwrap_or(1.0) as f32
        };
        fn shared<S: Scorer + 'static>(scorer: Arc<S>) -> Arc<dyn Scorer> {
            scorer
        }
        let parts = [
            (ModelName::Popularity, self.popularity.map(shared)),
            (ModelName::Ease, self.ease.map(shared)),
            (ModelName::Ials, self.ials.map(shared)),
            (ModelName::Spectral, self.spectral.map(shared)),
        ];
        let parts = parts.into_iter().filter_map(|(name, scorer)| {
            Some(TrainedModel {
                name,
                scorer: scorer?,
                weight: weight(name),
            })
        });
        let number = |name: &str, otherwise: f32| {
            manifest
                .parameter(name)
                .map_or(otherwise, |number| number as f32)
        };
        let familiarity = number("blend.familiarity", FAMILIARITY);
        TrainedModels::new(version, self.films, parts.collect(), familiarity)?.with_tags(
            number("blend.content", CONTENT_WEIGHT),
            number("blend.taste", TASTE_WEIGHT),
        )
    }
}

struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    fn new<const N: usize>(
        dtype: Dtype,
        shape: &[usize],
        values: impl Iterator<Item = [u8; N]>,
    ) -> Self {
        Self {
            dtype,
            shape: shape.to_vec(),
            bytes: values.flatten().collect(),
        }
    }

    fn floats(shape: &[usize], values: &[f32]) -> Self {
        Self::new(
            Dtype::F32,
            shape,
            values.iter().map(|value| value.to_le_bytes()),
        )
    }
}

impl View for Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// The bytes of `parts` with `manifest`; the same for the same.
///
/// # Errors
/// More bytes than a file may have.
pub fn encode(manifest: &Manifest, parts: &ModelParts) -> Result<Vec<u8>, ModelFileError> {
    let films = parts.films.len();
    let ids = parts.films.iter().map(|id| id.to_le_bytes());
    let mut tensors = vec![(FILMS, Tensor::new(Dtype::I64, &[films], ids))];
    if let Some(popularity) = &parts.popularity {
        tensors.push((POPULARITY, Tensor::floats(&[films], popularity.scores())));
    }
    if let Some(ease) = &parts.ease {
        let kept = ease.columns().len();
        let columns = ease.columns().iter().map(|column| column.to_le_bytes());
        tensors.push((EASE_COLUMNS, Tensor::new(Dtype::U32, &[kept], columns)));
        tensors.push((EASE_WEIGHTS, Tensor::floats(&[kept, kept], ease.weights())));
    }
    if let Some(ials) = &parts.ials {
        let shape = [films, ials.settings().dimensions];
        tensors.push((IALS_FACTORS, Tensor::floats(&shape, ials.factors())));
    }
    if let Some(spectral) = &parts.spectral {
        let shape = [films, spectral.dimensions()];
        tensors.push((SPECTRAL_FACTORS, Tensor::floats(&shape, spectral.factors())));
        tensors.push((SPECTRAL_SCALES, Tensor::floats(&[films], spectral.scales())));
    }
    // One entry, since more would be written in any order.
    let metadata = [(MANIFEST.to_owned(), serde_json::to_string(manifest)?)];
    let bytes = safetensors::serialize(tensors, Some(metadata.into_iter().collect()))
        .map_err(|error| ModelFileError::Format(error.to_string()))?;
    if bytes.len() > MAX_BYTES {
        return Err(ModelFileError::TooLong(bytes.len()));
    }
    Ok(bytes)
}

const MANIFEST: &str = "manifest";
const FILMS: &str = "films";
const POPULARITY: &str = "popularity.scores";
const EASE_COLUMNS: &str = "ease.columns";
const EASE_WEIGHTS: &str = "ease.weights";
const IALS_FACTORS: &str = "ials.factors";
const SPECTRAL_FACTORS: &str = "spectral.factors";
const SPECTRAL_SCALES: &str = "spectral.scales";

fn find<'a>(
    tensors: &SafeTensors<'a>,
    name: &'static str,
    dtype: Dtype,
    dimensions: usize,
) -> Result<Option<TensorView<'a>>, ModelFileError> {
    let problem = |problem| ModelFileError::Tensor { name, problem };
    let Ok(tensor) = tensors.tensor(name) else {
        return Ok(None);
    };
    if tensor.dtype() != dtype {
        return Err(problem("is of another type"));
    }
    if tensor.shape().len() != dimensions {
        return Err(problem("has another number of dimensions"));
    }
    Ok(Some(tensor))
}

fn needed<'a>(
    tensors: &SafeTensors<'a>,
    name: &'static str,
    dtype: Dtype,
    dimensions: usize,
) -> Result<TensorView<'a>, ModelFileError> {
    let problem = "is missing";
    find(tensors, name, dtype, dimensions)?.ok_or(ModelFileError::Tensor { name, problem })
}

fn values<const N: usize, T>(tensor: &TensorView<'_>, read: fn([u8; N]) -> T) -> Vec<T> {
    tensor
        .data()
        .as_chunks()
        .0
        .iter()
        .map(|bytes| read(*bytes))
        .collect()
}

fn floats(tensor: &TensorView<'_>) -> Vec<f32> {
    values(tensor, f32::from_le_bytes)
}

fn check_rows(
    name: &'static str,
    tensor: &TensorView<'_>,
    rows: usize,
) -> Result<(), ModelFileError> {
    if tensor.shape()[0] == rows {
        return Ok(());
    }
    let problem = "has another number of rows than there are films";
    Err(ModelFileError::Tensor { name, problem })
}

/// What `bytes` hold.
///
/// # Errors
/// Bytes that are not all of a file, or not of models that fit together.
pub fn decode(bytes: &[u8]) -> Result<(Manifest, ModelParts), ModelFileError> {
    if bytes.len() > MAX_BYTES {
        return Err(ModelFileError::TooLong(bytes.len()));
    }
    let format = |error: safetensors::SafeTensorError| ModelFileError::Format(error.to_string());
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
    let manifest = match header.metadata().as_ref().and_then(|all| all.get(MANIFEST)) {
        Some(json) => serde_json::from_str(json)?,
        None => Manifest::default(),
    };
    if manifest.format != FORMAT {
        return Err(ModelFileError::Version(manifest.format));
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(format)?;
    let films = values(&needed(&tensors, FILMS, Dtype::I64, 1)?, i64::from_le_bytes);
    let items = films.len();
    if !films.is_sorted_by(|a, b| a < b) {
        let problem = "does not ascend";
        return Err(ModelFileError::Tensor {
            name: FILMS,
            problem,
        });
    }

    let mut parts = ModelParts {
        films,
        ..ModelParts::default()
    };
    if let Some(tensor) = find(&tensors, POPULARITY, Dtype::F32, 1)? {
        check_rows(POPULARITY, &tensor, items)?;
        parts.popularity = Some(Arc::new(Popularity::from_scores(floats(&tensor))?));
    }
    if let Some(tensor) = find(&tensors, EASE_WEIGHTS, Dtype::F32, 2)? {
        let columns = needed(&tensors, EASE_COLUMNS, Dtype::U32, 1)?;
        let columns = values(&columns, u32::from_le_bytes);
        let ease = Ease::from_weights(items, columns, floats(&tensor))?;
        parts.ease = Some(Arc::new(ease));
    }
    if let Some(tensor) = find(&tensors, IALS_FACTORS, Dtype::F32, 2)? {
        check_rows(IALS_FACTORS, &tensor, items)?;
        let default = IalsSettings::default();
        let parameter = |name: &str, default| manifest.parameter(name).unwrap_or(default);
        let settings = IalsSettings {
            dimensions: tensor.shape()[1],
            epochs: parameter("ials.epochs", default.epochs as f64) as usize,
            unobserved_weight: parameter("ials.unobserved_weight", default.unobserved_weight),
            regularization: parameter("ials.regularization", default.regularization),
            frequency_exponent: parameter("ials.frequency_exponent", default.frequency_exponent),
            initial_deviation: parameter("ials.initial_deviation", default.initial_deviation),
            seed: manifest.seed,
        };
        let ials = Ials::from_factors(items, floats(&tensor), &settings)?;
        parts.ials = Some(Arc::new(ials));
    }
    if let Some(tensor) = find(&tensors, SPECTRAL_FACTORS, Dtype::F32, 2)? {
        let scales = needed(&tensors, SPECTRAL_SCALES, Dtype::F32, 1)?;
        let dimensions = tensor.shape()[1];
        let spectral = Spectral::from_factors(items, dimensions, floats(&tensor), floats(&scales))?;
        parts.spectral = Some(Arc::new(spectral));
    }
    let is_empty = parts.popularity.is_none()
        && parts.ease.is_none()
        && parts.ials.is_none()
        && parts.spectral.is_none();
    if is_empty {
        return Err(ModelFileError::Empty);
    }
    Ok((manifest, parts))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        EaseSettings, SpectralSettings,
        testing::{on_threads, tastes},
    };

    fn fitted() -> (Manifest, ModelParts) {
        let all = tastes(60, 20);
        let settings = IalsSettings {
            dimensions: 4,
            ..IalsSettings::default()
        };
        let parts = ModelParts {
            films: (100..120).collect(),
            popularity: Some(Arc::new(Popularity::fit(&all))),
            ease: Some(Arc::new(
                Ease::fit(&all, &EaseSettings::default()).expect("fits"),
            )),
            ials: Some(Arc::new(Ials::fit(&all, &settings).expect("fits"))),
            spectral: Some(Arc::new(
                Spectral::fit(&all, &SpectralSettings::default()).expect("fits"),
            )),
        };
        let parameter = |name: &str, value| (name.to_owned(), value);
        let manifest = Manifest {
            seed: settings.seed,
            parameters: BTreeMap::from([
                parameter("blend.ease", 0.5),
                parameter("ials.regularization", settings.regularization),
            ]),
            ..Manifest::default()
        };
        (manifest, parts)
    }

    #[test]
    fn what_was_written_is_read_and_the_same_models_give_the_same_bytes() {
        let write = || {
            let (manifest, parts) = fitted();
            encode(&manifest, &parts).expect("short")
        };
        let bytes = on_threads(1, write);
        assert!(bytes == on_threads(3, write));
        let read = decode(&bytes).expect("whole");
        assert!(read == fitted());
        let (manifest, parts) = read;
        let trained = parts.into_trained(7, &manifest).expect("sound");
        let weights: Vec<f32> = trained.parts().iter().map(|part| part.weight).collect();
        assert_eq!(weights, [1.0, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn without_a_manifest_and_with_one_model_it_is_a_version() {
        let (_, parts) = fitted();
        let lone = ModelParts {
            films: parts.films,
            ials: parts.ials,
            ..ModelParts::default()
        };
        let bytes = encode(&Manifest::default(), &lone).expect("short");
        assert_eq!(decode(&bytes).expect("whole").1.films.len(), 20);
        let none = ModelParts {
            films: lone.films,
            ..ModelParts::default()
        };
        let bytes = encode(&Manifest::default(), &none).expect("short");
        assert!(matches!(decode(&bytes), Err(ModelFileError::Empty)));
    }

    #[test]
    fn numbers_that_are_none_and_shapes_that_do_not_fit_are_refused() {
        let refused = |change: fn(&mut ModelParts)| {
            let (manifest, mut parts) = fitted();
            change(&mut parts);
            decode(&encode(&manifest, &parts).expect("short")).expect_err("refused")
        };
        let films = [7_i64, 9].map(i64::to_le_bytes).into_iter();
        let scores = Tensor::floats(&[3], &[1.0; 3]);
        let tensors = [
            (FILMS, Tensor::new(Dtype::I64, &[2], films)),
            (POPULARITY, scores),
        ];
        let bytes = safetensors::serialize(tensors, None).expect("tensors");
        let error = decode(&bytes).expect_err("refused");
        assert!(error.to_string().contains(POPULARITY), "{error}");
        let error = refused(|parts| parts.films.swap(3, 4));
        assert!(error.to_string().contains(FILMS), "{error}");
        let (mut manifest, parts) = fitted();
        manifest.format = 2;
        let bytes = encode(&manifest, &parts).expect("short");
        assert!(matches!(decode(&bytes), Err(ModelFileError::Version(2))));
        // The last number of the last tensor.
        let (manifest, parts) = fitted();
        let mut bytes = encode(&manifest, &parts).expect("short");
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(matches!(decode(&bytes), Err(ModelFileError::Model(_))));
    }

    proptest! {
        #[test]
        fn what_is_cut_short_is_refused(part in 0.0_f64..1.0) {
            let (manifest, parts) = fitted();
            let bytes = encode(&manifest, &parts).expect("short");
            let end = (bytes.len() as f64 * part) as usize;
            prop_assert!(decode(&bytes[..end]).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(place in 0_usize..3000, byte: u8) {
            let (manifest, parts) = fitted();
            let mut bytes = encode(&manifest, &parts).expect("short");
            let place = place % bytes.len();
            bytes[place] = byte;
            if let Ok((manifest, parts)) = decode(&bytes) {
                // Weights below 0 may still be refused.
                let _ = parts.into_trained(1, &manifest);
            }
        }
    }
}
