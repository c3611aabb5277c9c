//! The likes of a population.

use std::collections::HashMap;

use crate::{Interactions, movielens::Like};

/// The largest number of items that settings are chosen on.
const MAX_JUDGED_ITEMS: usize = 2048;

/// The likes of a population, by user in the order of time, in columns of items.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    /// The ids of the columns, ascending.
    pub films: Vec<i64>,
    starts: Vec<usize>,
    columns: Vec<u32>,
}

impl Population {
    /// The `likes` of items that have an id in `ids`; those by user and time. Items of a single like are left out, as they
    /// relate to none.
    #[must_use]
    pub fn new(likes: &[Like], ids: &HashMap<u32, i64>) -> Self {
        let mut counts: HashMap<i64, u32> = HashMap::new();
        for id in likes.iter().filter_map(|like| ids.get(&like.movie)) {
            *counts.entry(*id).or_default() += 1;
        }
        let known = counts.into_iter().filter(|(_, count)| *count > 1);
        let mut films: Vec<i64> = known.map(|(id, _)| id).collect();
        films.sort_unstable();
        let mut own = Self {
            films,
            starts: vec![0],
            columns: Vec::new(),
        };
        let mut seen = std::collections::HashSet::new();
        for user in likes.chunk_by(|one, two| one.user == two.user) {
            seen.clear();
            for like in user {
                let column = ids.get(&like.movie).and_then(|id| {
                    let column = own.films.binary_search(id).ok()?;
                    u32::try_from(column).ok()
                });
                // Two movies of the set may be one.
                if let Some(column) = column.filter(|column| seen.insert(*column)) {
                    own.columns.push(column);
                }
            }
            if own.starts.last() != Some(&own.columns.len()) {
                own.starts.push(own.columns.len());
            }
        }
        own
    }

    /// The number of users.
    #[must_use]
    pub fn users(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of likes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// True if there is no like.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The ids of the columns, and the columns that each user likes, as bytes, to tell populations apart.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let films = self.films.iter().flat_map(|id| id.to_le_bytes());
        let starts = self.starts.iter().flat_map(|start| start.to_le_bytes());
        let columns = self.columns.iter().flat_map(|column| column.to_le_bytes());
        films.chain(starts).chain(columns).collect()
    }

    pub(super) fn liked(&self, user: usize) -> &[u32] {
        &self.columns[self.starts[user]..self.starts[user + 1]]
    }

    /// The likes of all users.
    ///
    /// # Panics
    /// Never: columns are in range.
    #[must_use]
    pub fn interactions(&self) -> Interactions {
        let rows = (0..self.users()).map(|user| self.liked(user).iter().map(|item| (*item, 1.0)));
        Interactions::from_rows(self.films.len(), rows).expect("columns are below their number")
    }

    /// The same over at most [`MAX_JUDGED_ITEMS`] of the columns for which `is_listed` holds, those with most likes.
    pub(super) fn listed(&self, is_listed: &dyn Fn(i64) -> bool) -> Self {
        let mut counts = vec![0_u32; self.films.len()];
        for column in &self.columns {
            counts[*column as usize] += 1;
        }
        let columns = 0..self.films.len();
        let mut kept: Vec<usize> = columns
            .filter(|column| is_listed(self.films[*column]))
            .collect();
        kept.sort_by_key(|column| std::cmp::Reverse(counts[*column]));
        kept.truncate(MAX_JUDGED_ITEMS);
        kept.sort_unstable();
        let mut places: Vec<Option<u32>> = vec![None; self.films.len()];
        for (place, column) in (0..).zip(&kept) {
            places[*column] = Some(place);
        }
        let mut own = Self {
            films: kept.iter().map(|column| self.films[*column]).collect(),
            starts: vec![0],
            columns: Vec::new(),
        };
        for user in 0..self.users() {
            let liked = self.liked(user).iter();
            own.columns
                .extend(liked.filter_map(|column| places[*column as usize]));
            own.starts.push(own.columns.len());
        }
        own
    }
}
