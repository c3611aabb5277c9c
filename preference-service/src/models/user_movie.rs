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

/// A playback position within a movie.
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

    /// The playback position in seconds.
    pub fn position_seconds(self) -> i32 {
        self.position
    }

    /// The runtime in seconds.
    pub fn duration_seconds(self) -> i32 {
        self.duration
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

/// The interaction that last changed a part of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The time of the user's action.
    pub at: DateTime<Utc>,
    /// The interaction's id.
    pub id: InteractionId,
}

/// A value with the interaction that set or cleared it. The mark outlives the value, so that an older event that
/// arrives later does not bring the value back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamped<T> {
    /// The value, `None` if never set or cleared.
    pub value: Option<T>,
    /// The last change, `None` if never changed.
    pub mark: Option<Mark>,
}

impl<T> Default for Timestamped<T> {
    fn default() -> Self {
        Self {
            value: None,
            mark: None,
        }
    }
}

impl<T: PartialEq> Timestamped<T> {
    /// Returns the value set to `value`, or `None` if that changes nothing.
    fn set(&self, value: Option<T>, context: &EventContext) -> Option<Self> {
        let at = context.after(self.mark)?;
        (self.value != value).then_some(Self {
            value,
            mark: Some(Mark { at, id: context.id }),
        })
    }

    /// The time the present value was set, `None` without a value.
    pub fn since(&self) -> Option<DateTime<Utc>> {
        self.value.as_ref().and(self.mark).map(|mark| mark.at)
    }
}

/// The watch history of one movie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watch {
    /// The last playback position, `None` if unknown.
    pub progress: Option<Progress>,
    /// The furthest position reached, in seconds: each minute counts once, however often it is watched.
    pub watched_seconds: i32,
    /// The last change.
    pub mark: Option<Mark>,
    /// The first time the end was reached.
    pub completed: Option<Mark>,
}

impl Watch {
    /// True if the user has watched any of the movie.
    pub fn is_started(&self) -> bool {
        self.progress.is_some() || self.completed.is_some()
    }

    /// The time of the last change, `None` if the user has watched none of the movie.
    pub fn since(&self) -> Option<DateTime<Utc>> {
        self.mark.filter(|_| self.is_started()).map(|mark| mark.at)
    }

    fn apply(&self, action: Action, context: &EventContext) -> Option<(Self, InteractionType)> {
        let mark = Mark {
            at: context.after(self.mark)?,
            id: context.id,
        };
        let first = self.completed.is_none();
        let mut watch = Self {
            mark: Some(mark),
            ..*self
        };
        match action {
            Action::Watch(progress) => {
                if self.progress == Some(progress) && !(first && progress.is_complete()) {
                    return None;
                }
                watch.progress = Some(progress);
                watch.watched_seconds = self.watched_seconds.max(progress.position);
                if first && progress.is_complete() {
                    watch.completed = Some(mark);
                    return Some((watch, InteractionType::Watched));
                }
                Some((watch, InteractionType::Progress))
            }
            Action::Complete => first.then(|| {
                watch.completed = Some(mark);
                (watch, InteractionType::Watched)
            }),
            _ => self.is_started().then_some((
                Self {
                    mark: Some(mark),
                    ..Self::default()
                },
                InteractionType::WatchRemoved,
            )),
        }
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
    /// Returns the time of the action, or `None` if `mark` is newer. A live action is the newest even if the clock
    /// has been set back.
    fn after(&self, mark: Option<Mark>) -> Option<DateTime<Utc>> {
        let known = mark.map_or(DateTime::<Utc>::MIN_UTC, |mark| mark.at);
        match self.occurred_at {
            None => Some(self.now.max(known)),
            Some(at) => Some(at.min(self.now)).filter(|at| *at >= known),
        }
    }
}

/// A user's state for one movie; the default is the state before any action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserMovie {
    /// The last interaction that changed anything.
    pub version: Option<InteractionId>,
    /// The reaction.
    pub reaction: Timestamped<Reaction>,
    /// The bookmark: the movie is on the watchlist.
    pub bookmark: Timestamped<()>,
    /// The rating.
    pub rating: Timestamped<Rating>,
    /// The watch history.
    pub watch: Watch,
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
    /// Returns the state after `action`, or `None` if the action changes nothing because the state is already so or a
    /// newer action is known.
    pub fn apply(
        &self,
        user_id: UserId,
        movie_id: MovieId,
        action: Action,
        context: &EventContext,
    ) -> Option<Changed> {
        let mut state = *self;
        let (interaction_type, mark) = match action {
            Action::React(value) => {
                state.reaction = self.reaction.set(value, context)?;
                let name =
                    value.map_or(InteractionType::ReactionRemoved, Reaction::interaction_type);
                (name, state.reaction.mark)
            }
            Action::Bookmark(value) => {
                state.bookmark = self.bookmark.set(value.then_some(()), context)?;
                let name = if value {
                    InteractionType::Watchlist
                } else {
                    InteractionType::BookmarkRemoved
                };
                (name, state.bookmark.mark)
            }
            Action::Rate(value) => {
                state.rating = self.rating.set(value, context)?;
                let name =
                    value.map_or(InteractionType::RatingRemoved, |_| InteractionType::Rating);
                (name, state.rating.mark)
            }
            Action::Watch(_) | Action::Complete | Action::ForgetWatch => {
                let name;
                (state.watch, name) = self.watch.apply(action, context)?;
                (name, state.watch.mark)
            }
        };
        state.version = Some(context.id);
        let rating = match action {
            Action::Rate(rating) => rating,
            _ => None,
        };
        let progress = match action {
            Action::Watch(progress) => Some(progress),
            _ => None,
        };
        Some(Changed {
            state,
            interaction: Interaction {
                user_id,
                id: context.id,
                movie_id,
                interaction_type,
                created_at: context.now,
                occurred_at: mark?.at,
                rating,
                position_seconds: progress.map(Progress::position_seconds),
                duration_seconds: progress.map(Progress::duration_seconds),
            },
        })
    }

    /// Returns the id of the interaction that last changed the part of the state that `action` is about.
    pub fn last_interaction(&self, action: Action) -> Option<InteractionId> {
        let mark = match action {
            Action::React(_) => self.reaction.mark,
            Action::Bookmark(_) => self.bookmark.mark,
            Action::Rate(_) => self.rating.mark,
            Action::Watch(_) | Action::ForgetWatch => self.watch.mark,
            Action::Complete => self.watch.completed,
        };
        mark.map(|mark| mark.id)
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

    /// The time the part was last changed, `None` if it is not set. Lists are ordered by it.
    pub fn since(self, state: &UserMovie) -> Option<DateTime<Utc>> {
        match self {
            Self::Reaction => state.reaction.since(),
            Self::Bookmark => state.bookmark.since(),
            Self::Rating => state.rating.since(),
            Self::Watch => state.watch.since(),
        }
    }
}
