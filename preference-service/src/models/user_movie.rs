//! A user's state for one movie and its transitions. [`UserMovie::apply`] is a pure function; the stored state,
//! the interaction log, the counters and the charts all follow from it. Called by the writer and by the
//! verification that replays the log.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use super::{Interaction, InteractionId, InteractionType, MovieId, UserId};

#[cfg(test)]
mod tests;

/// A user's opinion of a movie; a user has at most one per movie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
#[schema(example = "like")]
pub enum Reaction {
    /// The user likes the movie.
    Like,
    /// The user dislikes the movie.
    Dislike,
    /// The user likes the movie very much.
    Superlike,
}

impl Reaction {
    /// All reactions.
    pub const ALL: [Self; 3] = [Self::Like, Self::Dislike, Self::Superlike];

    fn interaction_type(self) -> InteractionType {
        match self {
            Self::Like => InteractionType::Like,
            Self::Dislike => InteractionType::Dislike,
            Self::Superlike => InteractionType::Superlike,
        }
    }
}

/// A rating of 0.5 to 5 stars in steps of half a star. Stored in half stars, serialized in stars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, sqlx::Type)]
#[sqlx(transparent)]
pub struct Rating(i16);

impl Rating {
    /// Returns the rating of `halves` half stars, or `None` if it is not in 1..=10.
    pub fn from_half_stars(halves: i16) -> Option<Self> {
        (1..=10).contains(&halves).then_some(Self(halves))
    }

    /// Returns the rating of `stars`, or `None` if it is not a multiple of 0.5 from 0.5 to 5.
    pub fn from_stars(stars: f64) -> Option<Self> {
        (1..=10).map(Self).find(|known| known.stars() == stars)
    }

    /// Half stars, 1 to 10.
    pub fn half_stars(self) -> i16 {
        self.0
    }

    /// Stars, 0.5 to 5.
    pub fn stars(self) -> f64 {
        f64::from(self.0) / 2.0
    }
}

impl Serialize for Rating {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.stars())
    }
}

/// A playback position within a movie, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    position: i32,
    duration: i32,
}

impl Progress {
    /// The maximum runtime of a movie in seconds: one week.
    pub const MAX_DURATION_SECONDS: i32 = 7 * 24 * 60 * 60;

    /// Returns the progress, or `None` if `duration` is out of range or `position` lies outside the movie. Both are
    /// in seconds.
    pub fn new(position: i32, duration: i32) -> Option<Self> {
        ((1..=Self::MAX_DURATION_SECONDS).contains(&duration) && (0..=duration).contains(&position))
            .then_some(Self { position, duration })
    }

    /// True from nine tenths of the runtime on: the rest are credits.
    pub fn is_complete(self) -> bool {
        i64::from(self.position) * 10 >= i64::from(self.duration) * 9
    }
}

/// An action of a user on a movie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Sets the reaction, or clears it.
    React(Option<Reaction>),
    /// Adds the movie to the watchlist, or removes it.
    Bookmark(bool),
    /// Sets the rating, or clears it.
    Rate(Option<Rating>),
    /// Reports the playback position.
    Watch(Progress),
    /// Marks the movie as watched to its end, without a playback position.
    Complete,
    /// Clears the watch history of the movie.
    ForgetWatch,
}

impl Action {
    /// Returns the action of an interaction of this type, or `None` if a required value is missing.
    pub fn of(
        interaction_type: InteractionType,
        rating: Option<Rating>,
        progress: Option<Progress>,
    ) -> Option<Self> {
        Some(match interaction_type {
            InteractionType::Like => Self::React(Some(Reaction::Like)),
            InteractionType::Dislike => Self::React(Some(Reaction::Dislike)),
            InteractionType::Superlike => Self::React(Some(Reaction::Superlike)),
            InteractionType::ReactionRemoved => Self::React(None),
            InteractionType::Watchlist => Self::Bookmark(true),
            InteractionType::BookmarkRemoved => Self::Bookmark(false),
            InteractionType::Rating => Self::Rate(Some(rating?)),
            InteractionType::RatingRemoved => Self::Rate(None),
            InteractionType::Progress => Self::Watch(progress?),
            InteractionType::Watched => progress.map_or(Self::Complete, Self::Watch),
            InteractionType::WatchRemoved => Self::ForgetWatch,
        })
    }

    /// True if the action clears something. It then needs no movie in the catalogue, only a state to clear.
    pub fn is_removal(self) -> bool {
        matches!(
            self,
            Self::React(None) | Self::Bookmark(false) | Self::Rate(None) | Self::ForgetWatch
        )
    }
}

/// The time of an action and the id of the interaction that it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventContext {
    /// The id.
    pub id: InteractionId,
    /// The present instant.
    pub now: DateTime<Utc>,
    /// The time of the action if it is reported later. A time in the future counts as now.
    pub occurred_at: Option<DateTime<Utc>>,
}

impl EventContext {
    /// Returns the time of the action, or `None` if the last change, `known`, is newer. A live action is the newest even
    /// if the clock has been set back.
    fn after(&self, known: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let known = known.unwrap_or(DateTime::<Utc>::MIN_UTC);
        match self.occurred_at {
            None => Some(self.now.max(known)),
            Some(at) => Some(at.min(self.now)).filter(|at| *at >= known),
        }
    }
}

/// A user's state for one movie: its parts, each with the time and the id of the interaction that last changed it. Both
/// outlive the value, so that an older event that arrives later does not bring the value back.
// Field order must match the composite type: rows are read and written as composite values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "user_movie_row")]
pub struct UserMovie {
    /// The user.
    pub user_id: UserId,
    /// The movie.
    pub movie_id: MovieId,
    /// The last interaction that changed anything.
    pub version: Option<InteractionId>,
    /// The reaction.
    pub reaction: Option<Reaction>,
    /// The time it was set or cleared.
    pub reacted_at: Option<DateTime<Utc>>,
    /// The interaction that set or cleared it.
    pub reaction_id: Option<InteractionId>,
    /// True if the movie is on the watchlist.
    pub bookmarked: bool,
    /// The time it was added or removed.
    pub bookmarked_at: Option<DateTime<Utc>>,
    /// The interaction that added or removed it.
    pub bookmark_id: Option<InteractionId>,
    /// The rating.
    pub rating: Option<Rating>,
    /// The time it was set or cleared.
    pub rated_at: Option<DateTime<Utc>>,
    /// The interaction that set or cleared it.
    pub rating_id: Option<InteractionId>,
    /// The last playback position, `None` if unknown.
    pub position_seconds: Option<i32>,
    /// The movie's runtime, `None` if unknown.
    pub duration_seconds: Option<i32>,
    /// The furthest position reached: each minute counts once, however often it is watched.
    pub watched_seconds: i32,
    /// The last change of the watch history.
    pub watched_at: Option<DateTime<Utc>>,
    /// The interaction of that change.
    pub watch_id: Option<InteractionId>,
    /// The first time the end was reached.
    pub completed_at: Option<DateTime<Utc>>,
    /// The interaction that reached it.
    pub completion_id: Option<InteractionId>,
}

/// The result of an action that changed the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The new state.
    pub state: UserMovie,
    /// The entry of the interaction log.
    pub interaction: Interaction,
}

impl UserMovie {
    /// The state before any action.
    pub fn new(user_id: UserId, movie_id: MovieId) -> Self {
        Self {
            user_id,
            movie_id,
            version: None,
            reaction: None,
            reacted_at: None,
            reaction_id: None,
            bookmarked: false,
            bookmarked_at: None,
            bookmark_id: None,
            rating: None,
            rated_at: None,
            rating_id: None,
            position_seconds: None,
            duration_seconds: None,
            watched_seconds: 0,
            watched_at: None,
            watch_id: None,
            completed_at: None,
            completion_id: None,
        }
    }

    /// True if the user has watched any of the movie.
    pub fn is_watched(&self) -> bool {
        self.position_seconds.is_some() || self.completed_at.is_some()
    }

    /// The time the part was set, `None` if it is not set. Lists are ordered by it.
    pub fn since(&self, part: StatePart) -> Option<DateTime<Utc>> {
        match part {
            StatePart::Reaction => self.reacted_at.filter(|_| self.reaction.is_some()),
            StatePart::Bookmark => self.bookmarked_at.filter(|_| self.bookmarked),
            StatePart::Rating => self.rated_at.filter(|_| self.rating.is_some()),
            StatePart::Watch => self.watched_at.filter(|_| self.is_watched()),
        }
    }

    /// Returns the state after `action`, or `None` if the action changes nothing because the state is already so or a
    /// newer action is known.
    pub fn apply(&self, action: Action, context: &EventContext) -> Option<Changed> {
        let mut state = *self;
        let (changed_at, changed_by) = match action {
            Action::React(_) => (&mut state.reacted_at, &mut state.reaction_id),
            Action::Bookmark(_) => (&mut state.bookmarked_at, &mut state.bookmark_id),
            Action::Rate(_) => (&mut state.rated_at, &mut state.rating_id),
            _ => (&mut state.watched_at, &mut state.watch_id),
        };
        let at = context.after(*changed_at)?;
        (*changed_at, *changed_by) = (Some(at), Some(context.id));
        state.version = Some(context.id);
        let (mut rating, mut progress) = (None, None);
        let is_completed = self.completed_at.is_some();
        let interaction_type = match action {
            Action::React(value) if value != self.reaction => {
                state.reaction = value;
                value.map_or(InteractionType::ReactionRemoved, Reaction::interaction_type)
            }
            Action::Bookmark(true) if !self.bookmarked => {
                state.bookmarked = true;
                InteractionType::Watchlist
            }
            Action::Bookmark(false) if self.bookmarked => {
                state.bookmarked = false;
                InteractionType::BookmarkRemoved
            }
            Action::Rate(value) if value != self.rating => {
                (state.rating, rating) = (value, value);
                value.map_or(InteractionType::RatingRemoved, |_| InteractionType::Rating)
            }
            Action::Watch(reached) => {
                let completes = !is_completed && reached.is_complete();
                progress = Some((reached.position, reached.duration));
                if progress == self.position_seconds.zip(self.duration_seconds) && !completes {
                    return None;
                }
                (state.position_seconds, state.duration_seconds) = progress.unzip();
                state.watched_seconds = self.watched_seconds.max(reached.position);
                if completes {
                    InteractionType::Watched
                } else {
                    InteractionType::Progress
                }
            }
            Action::Complete if !is_completed => InteractionType::Watched,
            Action::ForgetWatch if self.is_watched() => {
                (state.position_seconds, state.duration_seconds) = (None, None);
                (state.completed_at, state.completion_id) = (None, None);
                state.watched_seconds = 0;
                InteractionType::WatchRemoved
            }
            _ => return None,
        };
        if interaction_type == InteractionType::Watched {
            (state.completed_at, state.completion_id) = (Some(at), Some(context.id));
        }
        let (position_seconds, duration_seconds) = progress.unzip();
        let interaction = Interaction {
            user_id: self.user_id,
            id: context.id,
            movie_id: self.movie_id,
            interaction_type,
            created_at: context.now,
            occurred_at: at,
            rating,
            position_seconds,
            duration_seconds,
        };
        Some(Changed { state, interaction })
    }

    /// Returns the id of the interaction that last changed the part of the state that `action` is about.
    pub fn last_interaction(&self, action: Action) -> Option<InteractionId> {
        match action {
            Action::React(_) => self.reaction_id,
            Action::Bookmark(_) => self.bookmark_id,
            Action::Rate(_) => self.rating_id,
            Action::Watch(_) | Action::ForgetWatch => self.watch_id,
            Action::Complete => self.completion_id,
        }
    }
}

/// A part of the state that a user sets and clears, and by which their movies are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatePart {
    /// The reaction.
    Reaction,
    /// The bookmark.
    Bookmark,
    /// The rating.
    Rating,
    /// The watch history.
    Watch,
}

impl StatePart {
    /// The path segment of the list.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reaction => "reactions",
            Self::Bookmark => "bookmarks",
            Self::Rating => "ratings",
            Self::Watch => "watch",
        }
    }

    /// The name of one value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reaction => "reaction",
            Self::Bookmark => "bookmark",
            Self::Rating => "rating",
            Self::Watch => "watch entry",
        }
    }
}
