//! Numbers that are the same for the same seed, on every machine.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// Draws from the standard normal distribution, as Box and Muller, *A Note on the Generation of
/// Random Normal Deviates*, 1958.
pub(super) struct Normal(ChaCha8Rng);

impl Normal {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(super) fn draw(&mut self) -> f64 {
        // 53 bits, and never 0, of which there is no logarithm.
        let mut uniform = || ((self.0.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let radius = (-2.0 * uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * uniform()).cos()
    }
}
