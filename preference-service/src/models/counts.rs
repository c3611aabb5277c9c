//! Counters per movie: the number of users in each state. Moved by the writer with every change of a state.

use super::{Reaction, UserMovie};

/// The counters of one movie, or their shift: the number of users in each state.
// Field order must match the table's columns: they are read and written as one composite value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "movie_counts_row")]
pub struct Counts {
    /// Users who like the movie.
    pub likes: i64,
    /// Users who dislike it.
    pub dislikes: i64,
    /// Users who superlike it.
    pub superlikes: i64,
    /// Users who have it on their watchlist.
    pub bookmarks: i64,
    /// Users who watched it to its end.
    pub views: i64,
    /// Users who rated it.
    pub ratings: i64,
    /// The sum of their ratings, in half stars.
    pub rating_sum: i64,
}

impl Counts {
    /// Returns the contribution of one user.
    pub fn of(state: &UserMovie) -> Self {
        let reacted = |reaction| i64::from(state.reaction == Some(reaction));
        Self {
            likes: reacted(Reaction::Like),
            dislikes: reacted(Reaction::Dislike),
            superlikes: reacted(Reaction::Superlike),
            bookmarks: i64::from(state.bookmarked),
            views: i64::from(state.completed_at.is_some()),
            ratings: i64::from(state.rating.is_some()),
            rating_sum: state
                .rating
                .map_or(0, |rating| i64::from(rating.half_stars())),
        }
    }

    /// Adds the difference between two states of one user.
    pub fn shift(&mut self, from: &UserMovie, to: &UserMovie) {
        let (from, to) = (Self::of(from), Self::of(to));
        self.likes += to.likes - from.likes;
        self.dislikes += to.dislikes - from.dislikes;
        self.superlikes += to.superlikes - from.superlikes;
        self.bookmarks += to.bookmarks - from.bookmarks;
        self.views += to.views - from.views;
        self.ratings += to.ratings - from.ratings;
        self.rating_sum += to.rating_sum - from.rating_sum;
    }

    /// True if every counter is zero.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// The mean rating in stars, `None` without ratings.
    pub fn rating_average(&self) -> Option<f64> {
        (self.ratings > 0).then(|| self.rating_sum as f64 / self.ratings as f64 / 2.0)
    }
}
