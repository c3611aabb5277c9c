//! A user's state for one movie and its transitions. [`UserMovie::apply`] is a pure function; the stored state,
//! the interaction log, the counters and the charts all follow from it. Called by the writer and by the
//! verification that replays the log.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use super::{
    Interaction, InteractionId, InteractionType, MovieId, NewViewing, UserId, ViewingTime, Viewings,
};

#[cfg(test)]
mod tests;
mod watch;

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

    /// The playback position, in seconds.
    pub fn position(self) -> i32 {
        self.position
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
    /// Reports the playback position. Reaching the end is a viewing.
    Watch(Progress),
    /// Reports the playback position alone.
    Position(Progress),
    /// Marks the movie as watched to its end, without a playback position. Changes nothing if it has been watched.
    Complete,
    /// Reports a viewing. Several are merged if they are of the same day.
    View(NewViewing),
    /// Removes the viewing of a day.
    RemoveViewing(ViewingTime),
    /// Clears the playback position and the viewings that media servers have reported.
    Unplay,
    /// Clears the watch history of the movie with its viewings.
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
            Self::React(None)
                | Self::Bookmark(false)
                | Self::Rate(None)
                | Self::RemoveViewing(_)
                | Self::Unplay
                | Self::ForgetWatch
        )
    }

    /// The day of the single viewing that the action is about.
    pub fn viewing_time(&self) -> Option<ViewingTime> {
        match self {
            Self::View(report) => Some(report.time),
            Self::RemoveViewing(time) => Some(*time),
            _ => None,
        }
    }

    /// True if the viewings of the movie decide the effect of the action.
    pub fn needs_viewings(&self) -> bool {
        match self {
            Self::React(_) | Self::Bookmark(_) | Self::Rate(_) | Self::Position(_) => false,
            Self::Watch(progress) => progress.is_complete(),
            Self::Complete
            | Self::View(_)
            | Self::RemoveViewing(_)
            | Self::Unplay
            | Self::ForgetWatch => true,
        }
    }
}

/// The smallest difference of two times.
const TICK: TimeDelta = TimeDelta::microseconds(1);

/// The time of an action and the id of the interaction that it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventContext {
    /// The id.
    pub id: InteractionId,
    /// The present instant.
    pub now: DateTime<Utc>,
    /// The time of the action if it is reported later. A time in the future counts as the last one before now.
    pub occurred_at: Option<DateTime<Utc>>,
}

impl EventContext {
    /// The time of an action that is reported later: always before the present, which is the time of live ones.
    fn at(&self) -> DateTime<Utc> {
        let latest = self.now - TICK;
        self.occurred_at.map_or(self.now, |at| at.min(latest))
    }

    /// The context of the entry when it was recorded, in which it has the same effect again.
    pub fn of(entry: &Interaction) -> Self {
        Self {
            id: entry.id,
            now: entry.created_at,
            // Of several live actions in one transaction the later ones are a little ahead.
            occurred_at: Some(entry.occurred_at).filter(|at| *at < entry.created_at),
        }
    }

    /// Returns the time of the action, or `None` if the last change, `known`, is newer. A live action is the newest even
    /// if the clock has been set back, or both are of one transaction. Of two that are reported later and have the same time, that with the greater value
    /// is the newer one, so that their order does not matter.
    fn after(&self, known: Option<DateTime<Utc>>, is_greater: bool) -> Option<DateTime<Utc>> {
        match self.occurred_at {
            None => Some(known.map_or(self.now, |known| self.now.max(known + TICK))),
            Some(_) => Some(self.at())
                .filter(|at| known.is_none_or(|known| (*at, is_greater) > (known, false))),
        }
    }
}

/// A user's state for one movie: its parts, each with the time and the id of the interaction that last changed it. Both
/// outlive the value, so that an older event that arrives later does not bring the value back.
// Field order must match the composite type: rows are read and written as composite values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "user_movie_row_v2")]
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
    /// The last time that the user watched the movie, or the removal of it from the history.
    pub watched_at: Option<DateTime<Utc>>,
    /// The interaction of the last change of the watch history.
    pub watch_id: Option<InteractionId>,
    /// The time of the first viewing that counts, see [`ViewingTime::or_midnight`].
    pub completed_at: Option<DateTime<Utc>>,
    /// The interaction that made it so.
    pub completion_id: Option<InteractionId>,
    /// The viewings that count.
    pub viewing_count: i32,
    /// The time of the last viewing that counts.
    pub viewed_at: Option<DateTime<Utc>>,
    /// The time of the newest report of a playback position.
    pub progressed_at: Option<DateTime<Utc>>,
    /// The time of the report of the furthest position.
    pub furthest_at: Option<DateTime<Utc>>,
    /// The time of the newest removal from the history. Older reports do not count.
    pub forgotten_at: Option<DateTime<Utc>>,
    /// The time of the newest mark of a media server that the movie was not played. Older reports of media servers do not
    /// count.
    pub unplayed_at: Option<DateTime<Utc>>,
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
            viewing_count: 0,
            viewed_at: None,
            progressed_at: None,
            furthest_at: None,
            forgotten_at: None,
            unplayed_at: None,
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
    /// newer action is known. `viewings` are those of the movie, and change with the state; if [`Action::needs_viewings`]
    /// is false they may be empty.
    pub fn apply(
        &self,
        viewings: &mut Viewings,
        action: Action,
        context: &EventContext,
    ) -> Option<Changed> {
        let mut state = *self;
        let is_greater = match action {
            Action::React(value) => {
                value.map(Reaction::interaction_type)
                    > self.reaction.map(Reaction::interaction_type)
            }
            Action::Bookmark(value) => value && !self.bookmarked,
            Action::Rate(value) => value > self.rating,
            _ => return self.apply_watch(viewings, action, context),
        };
        let (changed_at, changed_by) = match action {
            Action::React(_) => (&mut state.reacted_at, &mut state.reaction_id),
            Action::Bookmark(_) => (&mut state.bookmarked_at, &mut state.bookmark_id),
            _ => (&mut state.rated_at, &mut state.rating_id),
        };
        let at = context.after(*changed_at, is_greater)?;
        // What is reported later moves the time, so that the order of the reports does not matter.
        let is_later = context.occurred_at.is_some() && Some(at) > *changed_at;
        (*changed_at, *changed_by) = (Some(at), Some(context.id));
        state.version = Some(context.id);
        let mut rating = None;
        let interaction_type = match action {
            Action::React(value) if is_later || value != self.reaction => {
                state.reaction = value;
                value.map_or(InteractionType::ReactionRemoved, Reaction::interaction_type)
            }
            Action::Bookmark(true) if is_later || !self.bookmarked => {
                state.bookmarked = true;
                InteractionType::Watchlist
            }
            Action::Bookmark(false) if is_later || self.bookmarked => {
                state.bookmarked = false;
                InteractionType::BookmarkRemoved
            }
            Action::Rate(value) if is_later || value != self.rating => {
                (state.rating, rating) = (value, value);
                value.map_or(InteractionType::RatingRemoved, |_| InteractionType::Rating)
            }
            _ => return None,
        };
        let interaction = Interaction {
            rating,
            ..state.interaction(interaction_type, context, at)
        };
        Some(Changed { state, interaction })
    }

    /// The log's entry of a change, without values.
    fn interaction(
        &self,
        interaction_type: InteractionType,
        context: &EventContext,
        occurred_at: DateTime<Utc>,
    ) -> Interaction {
        Interaction {
            user_id: self.user_id,
            id: context.id,
            movie_id: self.movie_id,
            interaction_type,
            created_at: context.now,
            occurred_at,
            rating: None,
            position_seconds: None,
            duration_seconds: None,
            viewed_at: None,
            source: None,
        }
    }

    /// Returns the id of the interaction that last changed the part of the state that `action` is about.
    pub fn last_interaction(&self, action: Action) -> Option<InteractionId> {
        match action {
            Action::React(_) => self.reaction_id,
            Action::Bookmark(_) => self.bookmark_id,
            Action::Rate(_) => self.rating_id,
            Action::Complete => self.completion_id,
            _ => self.watch_id,
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
