//! Models that are fitted to interactions: [`Ease`], [`Ials`], [`Spectral`] and the baseline [`Popularity`].

#[cfg(feature = "learners")]
mod ease;
#[cfg(feature = "learners")]
mod factors;
#[cfg(feature = "learners")]
mod ials;
mod popularity;
#[cfg(feature = "learners")]
mod spectral;

#[cfg(feature = "learners")]
pub(crate) use ease::SparseWeights;
#[cfg(feature = "learners")]
pub use ease::{Ease, EaseSettings};
#[cfg(feature = "learners")]
pub use ials::{Ials, IalsSettings};
pub use popularity::Popularity;
#[cfg(feature = "learners")]
pub use spectral::{Spectral, SpectralSettings};

/// A model that cannot be fitted or assembled.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FitError {
    /// A setting, or a number of parameters, is out of its range.
    #[error("{setting} is {value}, but must be {range}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// The allowed range.
        range: &'static str,
    },
    /// A system of equations has no unique solution: the regularization is too weak for the numbers.
    #[error("the equations have no stable solution; use a stronger regularization")]
    Singular,
}

impl FitError {
    /// Checks that all `values` are finite.
    pub(crate) fn check_all(name: &'static str, values: &[f32]) -> Result<(), Self> {
        match values.iter().find(|value| !value.is_finite()) {
            None => Ok(()),
            Some(value) => Err(Self::Setting {
                setting: name,
                value: f64::from(*value),
                range: "finite numbers",
            }),
        }
    }

    #[cfg(feature = "learners")]
    /// Checks that there are `wanted` values.
    pub(crate) fn check_count(name: &'static str, count: usize, wanted: usize) -> Result<(), Self> {
        Self::check(
            name,
            count as f64,
            "as many as the shape says",
            count == wanted,
        )
    }

    #[cfg(feature = "learners")]
    /// Checks that `value` is above 0.
    pub(crate) fn check_positive(setting: &'static str, value: f64) -> Result<(), Self> {
        Self::check(setting, value, "above 0", value > 0.0)
    }

    #[cfg(feature = "learners")]
    /// Checks that `value` is 0 to 1.
    pub(crate) fn check_unit(setting: &'static str, value: f64) -> Result<(), Self> {
        Self::check(setting, value, "0 to 1", (0.0..=1.0).contains(&value))
    }

    /// Checks that `value` is finite and `ok`.
    pub(crate) fn check(
        setting: &'static str,
        value: f64,
        range: &'static str,
        ok: bool,
    ) -> Result<(), Self> {
        if value.is_finite() && ok {
            Ok(())
        } else {
            Err(Self::Setting {
                setting,
                value,
                range,
            })
        }
    }
}
