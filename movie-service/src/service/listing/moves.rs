//! Recent changes of movies' positions in the sort orders. A walk along a list visits a moved movie at its position
//! at the start of the walk, so that it neither repeats the movie nor skips it. Used by [`super::index`] alone.

use std::collections::{HashMap, VecDeque};

use super::position::{Key, Position};
use crate::models::SortBy;

/// The remembered moves. A longer walk may repeat or skip a movie that moved twice.
const MAX_MOVES: usize = 20_000;

/// A point in the history of the catalogue: the time of the latest change in microseconds since 1970, and the number
/// of moves at that time. Taken from Postgres rather than from a local clock, so that replicas agree and that it does
/// not change while the catalogue does not.
pub type Moment = (i64, u32);

/// The keys of a movie in every sort order.
#[derive(Debug, Clone)]
pub struct SortKeys {
    /// TMDB's popularity.
    pub popularity: f64,
    /// The collation key of the title.
    pub title: Box<[u8]>,
    /// The day of release.
    pub day: Option<i32>,
}

impl SortKeys {
    /// The position of movie `id` with these keys in the order of `sort_by`.
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
    from: SortKeys,
}

/// The moves, oldest first.
#[derive(Debug, Default)]
pub struct Moves {
    moves: VecDeque<Move>,
    now: Moment,
}

impl Moves {
    /// The present moment: after all recorded moves and before later ones.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Records the time of a change without a move.
    pub fn see(&mut self, updated_at: i64) {
        if updated_at > self.now.0 {
            self.now = (updated_at, 0);
        }
    }

    /// Records that all changes until now are known, in any order.
    pub fn see_all(&mut self) {
        self.now.1 = u32::MAX;
    }

    /// Records that movie `id` leaves its position by a change made at `updated_at`. A change that arrives late counts
    /// as made after those before it.
    pub fn record(&mut self, id: i64, updated_at: i64, from: SortKeys) {
        self.see(updated_at);
        self.now = match self.now.1.checked_add(1) {
            Some(count) => (self.now.0, count),
            None => (self.now.0 + 1, 0),
        };
        if self.moves.len() >= MAX_MOVES {
            self.moves.pop_front();
        }
        self.moves.push_back(Move {
            at: self.now,
            id,
            from,
        });
    }

    /// Returns the keys at `moment` of the movies that moved after it.
    pub fn since(&self, moment: Moment) -> HashMap<i64, &SortKeys> {
        let first = self.moves.partition_point(|made| made.at <= moment);
        let mut before = HashMap::new();
        for made in self.moves.iter().skip(first) {
            before.entry(made.id).or_insert(&made.from);
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(popularity: f64) -> SortKeys {
        SortKeys {
            popularity,
            title: Box::default(),
            day: None,
        }
    }

    #[test]
    fn since_returns_the_keys_at_the_moment() {
        let mut moves = Moves::default();
        moves.record(1, 10, at(1.0));
        moves.see_all();
        let moment = moves.now();
        moves.see(9);
        assert_eq!(
            moves.now(),
            moment,
            "an older change does not move the present"
        );
        // Made before the moment, arrived after it.
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
