//! Interactions split into parts to fit on, to choose settings on and to measure on.

use std::collections::BTreeMap;

use crate::{InteractionError, Interactions};

/// One interaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// The identifier of the user.
    pub user: u64,
    /// The identifier of the item.
    pub item: u64,
    /// The rating, if there is one.
    pub rating: Option<f64>,
    /// The weight of the interaction, above 0.
    pub weight: f32,
    /// The time, in any unit, or the position among the interactions of the user.
    pub time: Option<i64>,
}

/// A split by time: of each user's `n` interactions the last `n / test` are the test part, the `n / valid` before
/// them the validation part, and the others the training part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// The divisor for the test part.
    pub test: usize,
    /// The divisor for the validation part.
    pub valid: usize,
}

impl Default for Split {
    /// A fifth and a tenth.
    fn default() -> Self {
        Self { test: 5, valid: 10 }
    }
}

/// Interactions that cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SplitError {
    /// An interaction has no time.
    #[error("there are no times to split by")]
    NoTimes,
    /// The parts cannot be made into matrices.
    #[error(transparent)]
    Interactions(#[from] InteractionError),
}

/// The parts, over the same users and items.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The training part; its items are not recommended again.
    pub train: Interactions,
    /// The validation part, to choose settings on.
    pub valid: Option<Interactions>,
    /// The test part.
    pub test: Interactions,
    /// Items that are not recommended when the test part is measured on; `None`: those of the training part.
    pub hidden: Option<Interactions>,
    /// Row → identifier of the user, ascending.
    pub user_ids: Vec<u64>,
    /// Column → identifier of the item, ascending.
    pub item_ids: Vec<u64>,
}

impl Dataset {
    /// Splits `events` by time.
    ///
    /// # Errors
    /// [`SplitError::NoTimes`] if an event has no time, [`SplitError::Interactions`] if a weight is not above 0.
    pub fn by_time(events: Vec<Event>, split: Split) -> Result<Self, SplitError> {
        let (train, valid, test) = split_by_time(events, split)?;
        Self::new(&train, Some(&valid), &test, None)
    }

    /// A dataset of given parts; items in `mask` are hidden beside those of the training part. Items of the training
    /// part are removed from the others, since they are never recommended.
    ///
    /// # Errors
    /// [`SplitError::Interactions`] if a weight is not above 0.
    pub fn new(
        train: &[Event],
        valid: Option<&[Event]>,
        test: &[Event],
        mask: Option<&[Event]>,
    ) -> Result<Self, SplitError> {
        let parts = [
            train,
            valid.unwrap_or_default(),
            test,
            mask.unwrap_or_default(),
        ];
        let every = || parts.iter().copied().flatten();
        let ids = |id: fn(&Event) -> u64| {
            let mut ids: Vec<u64> = every().map(id).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let user_ids = ids(|event| event.user);
        let item_ids = ids(|event| event.item);
        let matrix = |events: &[Event], without: Option<&Interactions>| {
            let mut rows = vec![Vec::new(); user_ids.len()];
            for event in events {
                // Every identifier is one of these events.
                let (Ok(user), Ok(item)) = (
                    user_ids.binary_search(&event.user),
                    item_ids.binary_search(&event.item),
                ) else {
                    continue;
                };
                let item = u32::try_from(item).map_err(|_| InteractionError::TooMany)?;
                let hidden = without
                    .is_some_and(|train| train.history(user).items.binary_search(&item).is_ok());
                if !hidden {
                    rows[user].push((item, event.weight));
                }
            }
            Ok::<_, SplitError>(Interactions::from_rows(item_ids.len(), rows)?)
        };
        let fitted = matrix(train, None)?;
        let valid = valid
            .map(|events| matrix(events, Some(&fitted)))
            .transpose()?;
        let hidden = mask
            .map(|mask| matrix(&[train, mask].concat(), None))
            .transpose()?;
        Ok(Self {
            test: matrix(test, Some(&fitted))?,
            valid,
            hidden,
            train: fitted,
            user_ids,
            item_ids,
        })
    }
}

type Parts = (Vec<Event>, Vec<Event>, Vec<Event>);

fn split_by_time(events: Vec<Event>, split: Split) -> Result<Parts, SplitError> {
    let mut users: BTreeMap<u64, Vec<(i64, Event)>> = BTreeMap::new();
    for event in events {
        let Some(time) = event.time else {
            return Err(SplitError::NoTimes);
        };
        users.entry(event.user).or_default().push((time, event));
    }
    let (mut train, mut valid, mut test) = (Vec::new(), Vec::new(), Vec::new());
    for mut events in users.into_values() {
        events.sort_by_key(|(time, event)| (*time, event.item));
        let last = events.len() / split.test;
        let before = events.len() / split.valid;
        let parts = [events.len() - last - before, events.len() - last];
        for (place, (_, event)) in events.into_iter().enumerate() {
            match parts {
                [first, _] if place < first => train.push(event),
                [_, second] if place < second => valid.push(event),
                _ => test.push(event),
            }
        }
    }
    Ok((train, valid, test))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::formats::parse;

    #[test]
    fn ids_become_rows_and_columns_in_order_and_training_items_are_not_held_out() {
        let events = |text: &str| parse(text.as_bytes()).expect("readable");
        let data = Dataset::new(
            &events("20 500 7\n3 7"),
            None,
            &events("20 7 9\n50 500"),
            Some(&events("3 500\n")),
        )
        .expect("in range");
        assert_eq!(data.user_ids, [3, 20, 50]);
        assert_eq!(data.item_ids, [7, 9, 500]);
        assert_eq!(data.train.history(1).items, [0, 2]);
        assert_eq!(data.test.history(1).items, [1]);
        assert_eq!(data.test.history(2).items, [2]);
        let hidden = data.hidden.expect("a mask");
        assert_eq!(hidden.history(0).items, [0, 2]);
        assert_eq!(hidden.history(1).items, [0, 2]);
    }

    #[test]
    fn interactions_of_each_user_are_split_by_time() {
        let event = |time: u64| Event {
            user: 1,
            item: 100 - time,
            rating: None,
            weight: 1.0,
            time: i64::try_from(time).ok(),
        };
        let (train, valid, test) =
            split_by_time((0..10).rev().map(event).collect(), Split::default()).expect("times");
        let items = |events: Vec<Event>| events.iter().map(|e| e.item).collect::<Vec<_>>();
        assert_eq!(items(train), [100, 99, 98, 97, 96, 95, 94]);
        assert_eq!(items(valid), [93]);
        assert_eq!(items(test), [92, 91]);
    }
}
