//! Sparse vectors of tags.

/// The tag vector of one item, of norm 1: tags in ascending order with their values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TagVector(pub(super) Vec<(u32, f32)>);

impl TagVector {
    /// The vector with these `weights` by tag, in ascending order of tags, divided by their `norm`; empty if that
    /// is 0. Weights of 0 are left out.
    #[must_use]
    pub fn new(weights: impl IntoIterator<Item = (u32, f32)>, norm: f32) -> Self {
        if norm <= 0.0 {
            return Self::default();
        }
        let values = weights
            .into_iter()
            .filter_map(|(tag, weight)| (weight > 0.0).then_some((tag, weight / norm)));
        Self(values.collect())
    }

    /// True if it has no tag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its tags, ascending.
    pub fn tags(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|(tag, _)| *tag)
    }

    /// The cosine similarity with `other`, 0 to 1.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f32 {
        self.shared(other).map(|(_, product)| product).sum()
    }

    /// The tags of both, with the products of their values.
    fn shared(&self, other: &Self) -> impl Iterator<Item = (u32, f32)> {
        let mut theirs = other.0.iter().peekable();
        self.0.iter().filter_map(move |(tag, value)| {
            while theirs.next_if(|(other, _)| other < tag).is_some() {}
            let (_, other) = theirs.next_if(|(other, _)| other == tag)?;
            Some((*tag, value * other))
        })
    }
}
