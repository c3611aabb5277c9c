//! Versions of models as safetensors, which other trainers can read and write.
//!
//! | tensor | type and shape | |
//! | --- | --- | --- |
//! | `films` | I64 n | the id of each column, ascending |
//! | `popularity.scores` | F32 n | scores |
//! | `ease.columns` | U32 m | columns with dense weights, ascending |
//! | `ease.weights` | F32 m × m | a row per item of a history, a column per scored item |
//! | `ease.sparse_starts` | U64 n + 1 | weights of all other pairs, if there are any: the start of each row in the next two |
//! | `ease.sparse_targets` | U32 w | scored items, ascending in each row |
//! | `ease.sparse_weights` | F32 w | their weights |
//! | `ials.factors` | F32 n × d | item factors |
//! | `spectral.factors` | F32 n × k | item factors |
//! | `spectral.scales` | F32 n | the scale of each item |
//!
//! At least one model must be present. The optional metadata entry `manifest` is a [`Manifest`] as JSON. iALS needs
//! the parameters `ials.unobserved_weight`, `ials.regularization` and `ials.frequency_exponent` of its fit there, to
//! fold users in.
//!
//! A file is validated as a whole before it is used: truncated data, wrong shapes and numbers that are not finite are
//! rejected.

use std::{collections::BTreeMap, sync::Arc};

use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::{
    Ease, FitError, Ials, IalsSettings, ModelName, Popularity, Scorer, Spectral, TrainedModel,
    TrainedModels,
    content::{CONTENT_WEIGHT, ContentWeight, ContentWeights, TASTE_WEIGHT},
    evaluation::settings::Settings,
    learners::SparseWeights,
    trained::default_base_share,
};

/// The supported [`Manifest::format`].
pub const FORMAT: u32 = 1;
/// The largest size of a file in bytes.
pub const MAX_BYTES: usize = 1 << 30;
/// The familiarity of the blend, unless the manifest has one.
const FAMILIARITY: f32 = 1.0;

/// The data and settings that a version was fitted with, and its metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Manifest {
    /// The format of the file; 1.
    pub format: u32,
    /// The version of the program that wrote it.
    pub code_version: String,
    /// The published set that a base model was fitted to; absent for models of own users.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The SHA-256 of the interactions, hexadecimal.
    pub data_sha256: String,
    /// The number of users that the models were fitted to.
    pub users: usize,
    /// The number of movies.
    pub films: usize,
    /// The number of interactions.
    pub interactions: usize,
    /// The seed of random numbers.
    pub seed: u64,
    /// The settings by the names of `--set`; `blend.MODEL` are the weights of the blend, `blend.content` and `blend.taste`
    /// those of content and taste beside it.
    pub parameters: BTreeMap<String, f64>,
    /// The metrics on held-out interactions, such as `recall@10`, by model, and of the `blend`.
    pub metrics: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            format: FORMAT,
            code_version: String::new(),
            source: String::new(),
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

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// It is longer than [`MAX_BYTES`].
    #[error("it has {0} bytes, more than {MAX_BYTES}")]
    TooLong(usize),
    /// It is no complete safetensors file.
    #[error("it is not a whole safetensors file: {0}")]
    Format(String),
    /// The manifest is invalid.
    #[error("its manifest cannot be read: {0}")]
    Manifest(#[from] serde_json::Error),
    /// The format of the manifest is not supported.
    #[error("it is of format {0}, but {FORMAT} is known")]
    Version(u32),
    /// A tensor has the wrong type or shape.
    #[error("tensor {name}: {problem}")]
    Tensor {
        /// Its name.
        name: &'static str,
        /// The problem.
        problem: &'static str,
    },
    /// It contains no model.
    #[error("there is no model in it")]
    Empty,
    /// Its numbers are no valid model.
    #[error(transparent)]
    Model(#[from] FitError),
}

/// Models over the same items, each of which may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelParts {
    /// The ids of the columns, ascending.
    pub films: Vec<i64>,
    /// Popularity.
    pub popularity: Option<Arc<Popularity>>,
    /// Item-item weights.
    pub ease: Option<Arc<Ease>>,
    /// Matrix factorization.
    pub ials: Option<Arc<Ials>>,
    /// The ideal low-pass filter.
    pub spectral: Option<Arc<Spectral>>,
}

impl ModelParts {
    /// The models as version `version`, with the weights `blend.MODEL` of `manifest`, 1 by default.
    ///
    /// # Errors
    /// As [`TrainedModels::new`].
    pub fn into_trained(
        self,
        version: i64,
        manifest: &Manifest,
    ) -> Result<TrainedModels, FitError> {
        let number = |name: &str, default: f32| {
            let number = manifest.parameters.get(&format!("blend.{name}"));
            number.map_or(default, |number| *number as f32)
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
                weight: number(name.as_str(), 1.0),
            })
        });
        let familiarity = number("familiarity", FAMILIARITY);
        let mut trained = TrainedModels::new(version, self.films, parts.collect(), familiarity)?;
        let mut content = ContentWeights::default();
        for weight in ContentWeight::ALL {
            if let Some(value) = manifest.parameters.get(weight.name()) {
                let is_sound = value.is_finite() && (0.0..=1e3).contains(value);
                FitError::check(weight.name(), *value, "0 to 1000", is_sound)?;
                *weight.of(&mut content) = *value as f32;
                trained.content = Some(content);
            }
        }
        trained
            .with_tags(
                number("content", CONTENT_WEIGHT),
                number("taste", TASTE_WEIGHT),
            )?
            .with_base_share(number("base", default_base_share(manifest.users)))
    }
}

/// The bytes of `values`, little-endian.
fn bytes<const N: usize, T: Copy>(values: &[T], write: fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| write(*value)).collect()
}

/// The bytes of `parts` with `manifest`; deterministic.
///
/// # Errors
/// [`ModelFileError::TooLong`] if they are more than [`MAX_BYTES`].
pub fn encode(manifest: &Manifest, parts: &ModelParts) -> Result<Vec<u8>, ModelFileError> {
    let films = parts.films.len();
    let floats = |values: &[f32]| bytes(values, f32::to_le_bytes);
    let ids = bytes(&parts.films, i64::to_le_bytes);
    let mut tensors = vec![(FILMS, Dtype::I64, vec![films], ids)];
    if let Some(popularity) = &parts.popularity {
        let scores = floats(&popularity.scores);
        tensors.push((POPULARITY, Dtype::F32, vec![films], scores));
    }
    if let Some(ease) = &parts.ease {
        let kept = ease.columns.len();
        let columns = bytes(&ease.columns, u32::to_le_bytes);
        tensors.push((EASE_COLUMNS, Dtype::U32, vec![kept], columns));
        let weights = floats(&ease.weights);
        tensors.push((EASE_WEIGHTS, Dtype::F32, vec![kept, kept], weights));
        let sparse = &ease.sparse;
        if !sparse.starts.is_empty() {
            let (rows, count) = (vec![sparse.starts.len()], vec![sparse.targets.len()]);
            let starts = bytes(&sparse.starts, u64::to_le_bytes);
            tensors.push((EASE_SPARSE_STARTS, Dtype::U64, rows, starts));
            let targets = bytes(&sparse.targets, u32::to_le_bytes);
            tensors.push((EASE_SPARSE_TARGETS, Dtype::U32, count.clone(), targets));
            let weights = floats(&sparse.weights);
            tensors.push((EASE_SPARSE_WEIGHTS, Dtype::F32, count, weights));
        }
    }
    if let Some(ials) = &parts.ials {
        let shape = vec![films, ials.settings.dimensions];
        tensors.push((IALS_FACTORS, Dtype::F32, shape, floats(&ials.factors)));
    }
    if let Some(spectral) = &parts.spectral {
        let (shape, factors) = (vec![films, spectral.dimensions], floats(&spectral.factors));
        tensors.push((SPECTRAL_FACTORS, Dtype::F32, shape, factors));
        let scales = floats(&spectral.scales);
        tensors.push((SPECTRAL_SCALES, Dtype::F32, vec![films], scales));
    }
    // A single entry, since the order of several is not deterministic.
    let metadata = [(MANIFEST.to_owned(), serde_json::to_string(manifest)?)];
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(format)?;
        Ok((*name, view))
    });
    let views = views.collect::<Result<Vec<_>, ModelFileError>>()?;
    let bytes =
        safetensors::serialize(views, Some(metadata.into_iter().collect())).map_err(format)?;
    if bytes.len() > MAX_BYTES {
        return Err(ModelFileError::TooLong(bytes.len()));
    }
    Ok(bytes)
}

fn format(error: SafeTensorError) -> ModelFileError {
    ModelFileError::Format(error.to_string())
}

const MANIFEST: &str = "manifest";
const FILMS: &str = "films";
const POPULARITY: &str = "popularity.scores";
const EASE_COLUMNS: &str = "ease.columns";
const EASE_WEIGHTS: &str = "ease.weights";
const EASE_SPARSE_STARTS: &str = "ease.sparse_starts";
const EASE_SPARSE_TARGETS: &str = "ease.sparse_targets";
const EASE_SPARSE_WEIGHTS: &str = "ease.sparse_weights";
const IALS_FACTORS: &str = "ials.factors";
const SPECTRAL_FACTORS: &str = "spectral.factors";
const SPECTRAL_SCALES: &str = "spectral.scales";

/// The tensor `name`, if it is present; `rows` is the number of rows that it must have, if that is known.
fn find<'a>(
    tensors: &SafeTensors<'a>,
    name: &'static str,
    dtype: Dtype,
    dimensions: usize,
    rows: Option<usize>,
) -> Result<Option<TensorView<'a>>, ModelFileError> {
    let problem = |problem| Err(ModelFileError::Tensor { name, problem });
    let Ok(tensor) = tensors.tensor(name) else {
        return Ok(None);
    };
    match tensor.shape() {
        _ if tensor.dtype() != dtype => problem("is of another type"),
        shape if shape.len() != dimensions => problem("has another number of dimensions"),
        shape if rows.is_some_and(|rows| shape[0] != rows) => {
            problem("has another number of rows than there are films")
        }
        _ => Ok(Some(tensor)),
    }
}

fn needed<'a>(
    tensors: &SafeTensors<'a>,
    name: &'static str,
    dtype: Dtype,
) -> Result<TensorView<'a>, ModelFileError> {
    let problem = "is missing";
    find(tensors, name, dtype, 1, None)?.ok_or(ModelFileError::Tensor { name, problem })
}

fn values<const N: usize, T>(tensor: &TensorView<'_>, read: fn([u8; N]) -> T) -> Vec<T> {
    let (values, _) = tensor.data().as_chunks();
    values.iter().map(|bytes| read(*bytes)).collect()
}

fn floats(tensor: &TensorView<'_>) -> Vec<f32> {
    values(tensor, f32::from_le_bytes)
}

/// The manifest and the models in `bytes`.
///
/// # Errors
/// [`ModelFileError`] if they are no complete file, or the models are inconsistent.
pub fn decode(bytes: &[u8]) -> Result<(Manifest, ModelParts), ModelFileError> {
    if bytes.len() > MAX_BYTES {
        return Err(ModelFileError::TooLong(bytes.len()));
    }
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
    let manifest = match header.metadata().as_ref().and_then(|all| all.get(MANIFEST)) {
        Some(json) => serde_json::from_str(json)?,
        None => Manifest::default(),
    };
    if manifest.format != FORMAT {
        return Err(ModelFileError::Version(manifest.format));
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(format)?;
    let films = values(&needed(&tensors, FILMS, Dtype::I64)?, i64::from_le_bytes);
    let items = films.len();
    if !films.is_sorted_by(|a, b| a < b) {
        let (name, problem) = (FILMS, "does not ascend");
        return Err(ModelFileError::Tensor { name, problem });
    }

    let mut parts = ModelParts {
        films,
        ..ModelParts::default()
    };
    if let Some(tensor) = find(&tensors, POPULARITY, Dtype::F32, 1, Some(items))? {
        parts.popularity = Some(Arc::new(Popularity::from_scores(floats(&tensor))?));
    }
    if let Some(tensor) = find(&tensors, EASE_WEIGHTS, Dtype::F32, 2, None)? {
        let columns = needed(&tensors, EASE_COLUMNS, Dtype::U32)?;
        let columns = values(&columns, u32::from_le_bytes);
        let mut ease = Ease::from_weights(items, columns, floats(&tensor))?;
        if let Some(starts) = find(&tensors, EASE_SPARSE_STARTS, Dtype::U64, 1, Some(items + 1))? {
            let targets = needed(&tensors, EASE_SPARSE_TARGETS, Dtype::U32)?;
            let weights = needed(&tensors, EASE_SPARSE_WEIGHTS, Dtype::F32)?;
            ease = ease.with_sparse(SparseWeights {
                starts: values(&starts, u64::from_le_bytes),
                targets: values(&targets, u32::from_le_bytes),
                weights: floats(&weights),
            })?;
        }
        parts.ease = Some(Arc::new(ease));
    }
    if let Some(tensor) = find(&tensors, IALS_FACTORS, Dtype::F32, 2, Some(items))? {
        let mut settings = Settings::default();
        for (name, value) in &manifest.parameters {
            settings.assign(name, *value);
        }
        let settings = IalsSettings {
            dimensions: tensor.shape()[1],
            seed: manifest.seed,
            ..settings.ials
        };
        let ials = Ials::from_factors(items, floats(&tensor), &settings)?;
        parts.ials = Some(Arc::new(ials));
    }
    if let Some(tensor) = find(&tensors, SPECTRAL_FACTORS, Dtype::F32, 2, None)? {
        let scales = needed(&tensors, SPECTRAL_SCALES, Dtype::F32)?;
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
mod tests;
