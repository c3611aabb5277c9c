//! Interactions of users with items: a sparse matrix with a row per user.

/// The history of one user: distinct columns in ascending order, each with a weight above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct History<'a> {
    /// The columns of the items.
    pub items: &'a [u32],
    /// The weight of each interaction; 1 if there is no other information.
    pub weights: &'a [f32],
}

impl<'a> History<'a> {
    /// The items with their weights.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = (u32, f32)> + 'a {
        self.items.iter().copied().zip(self.weights.iter().copied())
    }

    /// The number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// True if there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// Interactions that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InteractionError {
    /// There are more than 2³² − 1 items or users.
    #[error("there are more than 2^32 - 1 users or films")]
    TooMany,
    /// A column is not below the number of items.
    #[error("user {user} has the item {item}, but there are {items}")]
    Item {
        /// The row.
        user: usize,
        /// The column.
        item: u32,
        /// The number of columns.
        items: usize,
    },
    /// A weight is not a number above 0.
    #[error("user {user} has the item {item} with weight {weight}, which is not a number above 0")]
    Weight {
        /// The row.
        user: usize,
        /// The column.
        item: u32,
        /// The weight.
        weight: f32,
    },
}

/// A sparse matrix of users × items in compressed rows; 8 bytes per interaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Interactions {
    items: usize,
    starts: Vec<usize>,
    columns: Vec<u32>,
    weights: Vec<f32>,
}

impl Interactions {
    /// A matrix of the items of each user with their weights, in any order. Of repeated items the greatest weight counts.
    ///
    /// # Errors
    /// [`InteractionError`] if a column is not below `items`, or a weight is not a finite number above 0.
    pub fn from_rows<R: IntoIterator<Item = (u32, f32)>>(
        items: usize,
        rows: impl IntoIterator<Item = R>,
    ) -> Result<Self, InteractionError> {
        let mut all = Self {
            items,
            starts: vec![0],
            columns: Vec::new(),
            weights: Vec::new(),
        };
        u32::try_from(items).map_err(|_| InteractionError::TooMany)?;
        let mut row: Vec<(u32, f32)> = Vec::new();
        for (user, films) in rows.into_iter().enumerate() {
            u32::try_from(user).map_err(|_| InteractionError::TooMany)?;
            row.clear();
            row.extend(films);
            for &(item, weight) in &row {
                if item as usize >= items {
                    return Err(InteractionError::Item { user, item, items });
                }
                if !(weight.is_finite() && weight > 0.0) {
                    return Err(InteractionError::Weight { user, item, weight });
                }
            }
            row.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
            row.dedup_by_key(|(item, _)| *item);
            for &(item, weight) in &row {
                all.columns.push(item);
                all.weights.push(weight);
            }
            all.starts.push(all.columns.len());
        }
        Ok(all)
    }

    /// The number of users.
    #[must_use]
    pub fn users(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.items
    }

    /// The number of interactions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// True if there is no interaction.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The history of `user`.
    ///
    /// # Panics
    /// If `user` is not below [`Interactions::users`].
    #[must_use]
    pub fn history(&self, user: usize) -> History<'_> {
        let range = self.starts[user]..self.starts[user + 1];
        History {
            items: &self.columns[range.clone()],
            weights: &self.weights[range],
        }
    }

    /// The histories of all users, in the order of rows.
    pub fn histories(&self) -> impl ExactSizeIterator<Item = History<'_>> {
        (0..self.users()).map(|user| self.history(user))
    }

    /// The number of users of each item.
    #[must_use]
    pub fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0_u32; self.items];
        for &item in &self.columns {
            counts[item as usize] += 1;
        }
        counts
    }

    /// The matrix of items × users.
    #[must_use]
    pub fn transpose(&self) -> Self {
        let mut starts = Vec::with_capacity(self.items + 1);
        let mut total = 0;
        starts.push(0);
        for count in self.counts() {
            total += count as usize;
            starts.push(total);
        }
        let mut next = starts.clone();
        let mut columns = vec![0; self.len()];
        let mut weights = vec![0.0; self.len()];
        for (user, history) in (0_u32..).zip(self.histories()) {
            for (item, weight) in history.iter() {
                let place = &mut next[item as usize];
                columns[*place] = user;
                weights[*place] = weight;
                *place += 1;
            }
        }
        Self {
            items: self.users(),
            starts,
            columns,
            weights,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Vec<Vec<(u32, f32)>>> {
        let one = (0_u32..7, 0.5_f32..4.0);
        prop::collection::vec(prop::collection::vec(one, 0..9), 0..8)
    }

    proptest! {
        #[test]
        fn rows_are_ascending_and_transposing_twice_is_the_identity(rows in rows()) {
            let all = Interactions::from_rows(7, rows).expect("in range");
            for history in all.histories() {
                prop_assert!(history.items.is_sorted_by(|a, b| a < b));
            }
            prop_assert_eq!(&all.transpose().transpose(), &all);
        }
    }

    #[test]
    fn columns_out_of_range_and_invalid_weights_are_rejected() {
        let refused = |item, weight| Interactions::from_rows(3, [[(item, weight)]]);
        assert!(matches!(
            refused(3, 1.0),
            Err(InteractionError::Item { .. })
        ));
        for weight in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(matches!(
                refused(0, weight),
                Err(InteractionError::Weight { .. })
            ));
        }
    }

    #[test]
    fn of_a_repeated_item_the_greatest_weight_counts() {
        let all = Interactions::from_rows(3, [[(2, 1.0), (0, 2.0), (2, 3.0)]]).expect("in range");
        assert_eq!(
            all.history(0).iter().collect::<Vec<_>>(),
            [(0, 2.0), (2, 3.0)]
        );
        assert_eq!(all.counts(), [1, 0, 1]);
    }
}
