//! Reordering of a ranked list so that the parts of one series do not crowd it.

/// The order of `count` ranked items, best first, in which at most `max` of any `window` items one after the other are of
/// one series, as long as there are others; an item that would be one too many moves down to the first place that it may
/// have. `is_same` tells whether two items, by their places in the ranking, are of one series.
///
/// O(count · window) calls of `is_same` for each item that is moved.
#[must_use]
pub fn space_out(
    count: usize,
    window: usize,
    max: usize,
    is_same: impl Fn(usize, usize) -> bool,
) -> Vec<usize> {
    let mut left: Vec<usize> = (0..count).collect();
    let mut order: Vec<usize> = Vec::with_capacity(count);
    while !left.is_empty() {
        let recent = &order[order.len().saturating_sub(window.saturating_sub(1))..];
        let may_follow = |item: &usize| {
            let same = recent.iter().filter(|other| is_same(*item, **other));
            same.count() < max
        };
        let next = left.iter().position(may_follow).unwrap_or(0);
        order.push(left.remove(next));
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_third_part_moves_behind_the_window() {
        let series = ["a", "a", "a", "b", "c", "a", "d"];
        let order = space_out(7, 4, 2, |one, other| series[one] == series[other]);
        let names: Vec<&str> = order.iter().map(|place| series[*place]).collect();
        assert_eq!(names, ["a", "a", "b", "c", "a", "a", "d"]);
    }

    #[test]
    fn a_list_of_one_series_stays_as_it_is() {
        assert_eq!(space_out(4, 3, 1, |_, _| true), [0, 1, 2, 3]);
    }

    proptest! {
        #[test]
        fn each_item_stays_in_the_list_and_none_without_series_moves_down(
            series in prop::collection::vec(0..6_usize, 0..40),
        ) {
            // Series 0 stands for none.
            let is_same = |one: usize, other: usize| series[one] == series[other] && series[one] != 0;
            let order = space_out(series.len(), 10, 2, is_same);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..series.len()).collect::<Vec<_>>());
            for (place, item) in order.iter().enumerate() {
                prop_assert!(series[*item] != 0 || place <= *item);
            }
        }
    }
}
