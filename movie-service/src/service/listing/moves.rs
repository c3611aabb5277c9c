//! Which films changed their place in an order lately, and where they stood before. Who walks a list
//! meets such a film where it stood when the walk began: neither twice, because it moved ahead, nor
//! never, because it moved behind.

use std::collections::{HashMap, VecDeque};

use super::position::{Key, Position};
use crate::models::SortBy;

/// Moves that are remembered at most. A walk that lasts longer may meet a film that moved twice, or
/// miss it.
const MOST_MOVES: usize = 20_000;

/// A moment in the life of the catalogue: when the latest change until then was made, in microseconds
/// since 1970, and how many films had moved by changes of the same time. It is told from what stands in
/// Postgres, not from a clock of this machine, so that replicas understand each other, and it stays
/// the same while nothing changes.
pub type Moment = (i64, u32);

/// Where a film stood in every order.
#[derive(Debug, Clone)]
pub struct Standing {
    /// TMDB's popularity.
    pub popularity: f64,
    /// The title's sort key.
    pub title: Box<[u8]>,
    /// The day of release.
    pub day: Option<i32>,
}

impl Standing {
    /// The place of film `id`, which stood here, in the order of `sort_by`.
    #[must_use]
    pub fn position(&self, sort_by: SortBy, id: i64) -> Position {
        let key = match sort_by {
            SortBy::Popularity => Key::Popularity(self.popularity),
            SortBy::Title => Key::Title(self.title.clone()),
            SortBy::ReleaseDate => Key::Day(self.day),
        };
        Position { key, id }
    }
}

#[derive(Debug)]
struct Move {
    at: Moment,
    id: i64,
    from: Standing,
}

/// Moves, oldest first.
#[derive(Debug, Default)]
pub struct Moves {
    moves: VecDeque<Move>,
    now: Moment,
}

impl Moves {
    /// This moment: after all moves until now and before those to come.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.now
    }

    /// A change made at `updated_at` is known.
    pub fn see(&mut self, updated_at: i64) {
        if updated_at > self.now.0 {
            self.now = (updated_at, 0);
        }
    }

    /// All changes until now are known, whatever order they were made in.
    pub fn see_all(&mut self) {
        self.now.1 = u32::MAX;
    }

    /// Film `id` moves away from where it stood, by a change made at `updated_at`. A change that is
    /// known late counts as made after those known before.
    pub fn record(&mut self, id: i64, updated_at: i64, from: Standing) {
        self.see(updated_at);
        self.now = match self.now.1.checked_add(1) {
            Some(count) => (self.now.0, count),
            None => (self.now.0 + 1, 0),
        };
        if self.moves.len() >= MOST_MOVES {
            self.moves.pop_front();
        }
        self.moves.push_back(Move {
            at: self.now,
            id,
            from,
        });
    }

    /// Where films that moved after `moment` stood then.
    #[must_use]
    pub fn since(&self, moment: Moment) -> HashMap<i64, &Standing> {
        let first = self.moves.partition_point(|made| made.at <= moment);
        let mut stood = HashMap::new();
        for made in self.moves.iter().skip(first) {
            stood.entry(made.id).or_insert(&made.from);
        }
        stood
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(popularity: f64) -> Standing {
        Standing {
            popularity,
            title: Box::default(),
            day: None,
        }
    }

    #[test]
    fn a_film_is_remembered_where_it_stood_at_the_moment() {
        let mut moves = Moves::default();
        moves.record(1, 10, at(1.0));
        moves.see_all();
        let moment = moves.now();
        moves.see(9);
        assert_eq!(moves.now(), moment, "known already");
        // Made before, known after.
        moves.record(1, 9, at(2.0));
        moves.record(1, 20, at(3.0));
        let between = moves.now();
        moves.record(2, 20, at(4.0));
        let since = moves.since(moment);
        assert_eq!((since[&1].popularity, since[&2].popularity), (2.0, 4.0));
        let since = moves.since(between);
        assert_eq!((since.len(), since[&2].popularity), (1, 4.0));
        assert!(moves.since(moves.now()).is_empty());
    }
}
