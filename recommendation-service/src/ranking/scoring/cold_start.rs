//! Imputation for movies that no learned model covers.

use super::ModelOnCatalogue;

/// The imputed score of a movie without a learned one: `base + slope · content`, fitted by least squares to the learned
/// scores of the movies that the models cover. So a new movie ranks as high as similar movies do for this user, and no
/// higher than its similarity explains.
#[derive(Clone, Copy, Default)]
pub(super) struct ColdStartImputation {
    base: f32,
    pub(super) slope: f32,
}

impl ColdStartImputation {
    /// Fits the line to `learned`, by column, over `content`, by row; the slope is at least 0.
    pub(super) fn fit(
        model_on_catalogue: &ModelOnCatalogue,
        learned: &[f32],
        content: &[f32],
    ) -> Self {
        let (mut count, mut x, mut y, mut xx, mut xy) = (0.0_f64, 0.0, 0.0, 0.0, 0.0);
        for (column, row) in model_on_catalogue.places() {
            let (content, learned) = (f64::from(content[row]), f64::from(learned[column]));
            count += 1.0;
            x += content;
            y += learned;
            xx += content * content;
            xy += content * learned;
        }
        if count == 0.0 {
            return Self::default();
        }
        let variance = xx / count - (x / count) * (x / count);
        let covariance = xy / count - (x / count) * (y / count);
        let slope = if variance > 1e-9 {
            (covariance / variance).max(0.0)
        } else {
            0.0
        };
        Self {
            base: ((y - slope * x) / count) as f32,
            slope: slope as f32,
        }
    }

    /// The imputed score of a movie with this standardized content score.
    pub(super) fn at(self, content: f32) -> f32 {
        self.base + self.slope * content
    }
}
