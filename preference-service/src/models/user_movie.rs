//! Where a user stands with a film, and how what they do moves it: one pure function,
//! [`UserMovie::apply`], from which the state, the log and the counters all follow.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Interaction, InteractionId, InteractionType, MovieId, UserId};

/// What a user thinks of a film; one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(example = "like")]
pub enum Reaction {
    /// They like it.
    Like,
    /// They do not.
    Dislike,
    /// They like it above others.
    Superlike,
}

impl Reaction {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Like, Self::Dislike, Self::Superlike];

    /// Its name, as clients and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.interaction_type().as_str()
    }

    /// The reaction of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }

    fn interaction_type(self) -> InteractionType {
        match self {
            Self::Like => InteractionType::Like,
            Self::Dislike => InteractionType::Dislike,
            Self::Superlike => InteractionType::Superlike,
        }
    }
}

/// A rating: half a star to five stars, in halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rating(i16);

impl Rating {
    /// `halves` of a star, if there is such a rating.
    #[must_use]
    pub fn from_half_stars(halves: i16) -> Option<Self> {
        (1..=10).contains(&halves).then_some(Self(halves))
    }

    /// `stars`, if it is a multiple of one half from 0.5 to 5.
    #[must_use]
    pub fn from_stars(stars: f64) -> Option<Self> {
        (1..=10).map(Self).find(|known| known.stars() == stars)
    }

    /// In half stars, 1 to 10.
    #[must_use]
    pub fn half_stars(self) -> i16 {
        self.0
    }

    /// In stars, 0.5 to 5.
    #[must_use]
    pub fn stars(self) -> f64 {
        f64::from(self.0) / 2.0
    }
}

/// How far a film was watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    position: i32,
    duration: i32,
}

impl Progress {
    /// The longest film there may be, in seconds: a week.
    pub const LONGEST_SECONDS: i32 = 7 * 24 * 60 * 60;

    /// `position` within `duration`, in seconds, if it lies in it.
    #[must_use]
    pub fn new(position: i32, duration: i32) -> Option<Self> {
        ((1..=Self::LONGEST_SECONDS).contains(&duration) && (0..=duration).contains(&position))
            .then_some(Self { position, duration })
    }

    /// Where it stopped, in seconds.
    #[must_use]
    pub fn position_seconds(self) -> i32 {
        self.position
    }

    /// How long the film is, in seconds.
    #[must_use]
    pub fn duration_seconds(self) -> i32 {
        self.duration
    }

    /// Whether nine tenths are reached: the rest are credits.
    #[must_use]
    pub fn is_complete(self) -> bool {
        i64::from(self.position) * 10 >= i64::from(self.duration) * 9
    }
}

/// What a user does with a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Takes up a reaction, or takes back the one there is.
    React(Option<Reaction>),
    /// Puts it on the watchlist, or takes it off.
    Bookmark(bool),
    /// Rates it, or takes the rating back.
    Rate(Option<Rating>),
    /// Watches it up to here.
    Watch(Progress),
    /// Watches it to its end; nothing is known of minutes.
    Complete,
    /// Takes it out of what was watched.
    ForgetWatch,
}

impl Action {
    /// What an interaction of this type does; none where it needs a value that is not given.
    #[must_use]
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

    /// Whether it takes something back, which needs no film, only that there is something.
    #[must_use]
    pub fn is_removal(self) -> bool {
        matches!(
            self,
            Self::React(None) | Self::Bookmark(false) | Self::Rate(None) | Self::ForgetWatch
        )
    }
}

/// The interaction that made a component what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// When the user did it.
    pub at: DateTime<Utc>,
    /// Its id.
    pub id: InteractionId,
}

/// A value that a user gave, or took back: then the mark stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component<T> {
    /// The value, where one stands.
    pub value: Option<T>,
    /// What made it so; none: nothing ever did.
    pub mark: Option<Mark>,
}

impl<T> Default for Component<T> {
    fn default() -> Self {
        Self {
            value: None,
            mark: None,
        }
    }
}

impl<T: PartialEq> Component<T> {
    /// The component with `value`; none where that changes nothing.
    fn set(&self, value: Option<T>, occasion: &Occasion) -> Option<Self> {
        let at = occasion.after(self.mark)?;
        (self.value != value).then_some(Self {
            value,
            mark: Some(Mark {
                at,
                id: occasion.id,
            }),
        })
    }

    /// Since when the value stands, where one does.
    #[must_use]
    pub fn since(&self) -> Option<DateTime<Utc>> {
        self.value.as_ref().and(self.mark).map(|mark| mark.at)
    }
}

/// What was watched of a film.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watch {
    /// Where the user stopped last; none where that is not known.
    pub progress: Option<Progress>,
    /// The furthest point reached: each minute counts once, however often it is watched.
    pub watched_seconds: i32,
    /// The last time.
    pub mark: Option<Mark>,
    /// When the end was reached first.
    pub completed: Option<Mark>,
}

impl Watch {
    /// Whether the user has watched any of it.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.progress.is_some() || self.completed.is_some()
    }
}

/// When something happens, and the id that it gets if it changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occasion {
    /// The id.
    pub id: InteractionId,
    /// The present instant.
    pub now: DateTime<Utc>,
    /// When the user did it, where that was not now. What is in the future is taken for now.
    pub occurred_at: Option<DateTime<Utc>>,
}

impl Occasion {
    /// When it happened; none where something newer is known. What happens now is the newest, even if
    /// the clock has been put back meanwhile.
    fn after(&self, mark: Option<Mark>) -> Option<DateTime<Utc>> {
        let known = mark.map_or(DateTime::<Utc>::MIN_UTC, |mark| mark.at);
        match self.occurred_at {
            None => Some(self.now.max(known)),
            Some(at) => Some(at.min(self.now)).filter(|at| *at >= known),
        }
    }
}

/// Where a user stands with a film; the default is: nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserMovie {
    /// The last interaction that changed anything.
    pub version: Option<InteractionId>,
    /// What they think of it.
    pub reaction: Component<Reaction>,
    /// Whether they want to watch it.
    pub bookmark: Component<()>,
    /// How they rate it.
    pub rating: Component<Rating>,
    /// What they watched of it.
    pub watch: Watch,
}

/// What an action changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Where the user stands now.
    pub state: UserMovie,
    /// The entry of the log.
    pub interaction: Interaction,
}

impl UserMovie {
    /// Where the user stands after `action`; none where it changes nothing, because it stands so
    /// already or because something newer is known.
    #[must_use]
    pub fn apply(
        &self,
        user_id: UserId,
        movie_id: MovieId,
        action: Action,
        occasion: &Occasion,
    ) -> Option<Changed> {
        let mut state = *self;
        let (interaction_type, mark) = match action {
            Action::React(value) => {
                state.reaction = self.reaction.set(value, occasion)?;
                let name =
                    value.map_or(InteractionType::ReactionRemoved, Reaction::interaction_type);
                (name, state.reaction.mark)
            }
            Action::Bookmark(value) => {
                state.bookmark = self.bookmark.set(value.then_some(()), occasion)?;
                let name = if value {
                    InteractionType::Watchlist
                } else {
                    InteractionType::BookmarkRemoved
                };
                (name, state.bookmark.mark)
            }
            Action::Rate(value) => {
                state.rating = self.rating.set(value, occasion)?;
                let name =
                    value.map_or(InteractionType::RatingRemoved, |_| InteractionType::Rating);
                (name, state.rating.mark)
            }
            Action::Watch(_) | Action::Complete | Action::ForgetWatch => {
                let name;
                (state.watch, name) = self.watch.apply(action, occasion)?;
                (name, state.watch.mark)
            }
        };
        state.version = Some(occasion.id);
        Some(Changed {
            state,
            interaction: Interaction {
                id: occasion.id,
                user_id,
                movie_id,
                interaction_type,
                rating: match action {
                    Action::Rate(rating) => rating,
                    _ => None,
                },
                progress: match action {
                    Action::Watch(progress) => Some(progress),
                    _ => None,
                },
                occurred_at: mark?.at,
                created_at: occasion.now,
            },
        })
    }

    /// The interaction that made what `action` says, where it stands so.
    #[must_use]
    pub fn made_by(&self, action: Action) -> Option<InteractionId> {
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

impl Watch {
    fn apply(&self, action: Action, occasion: &Occasion) -> Option<(Self, InteractionType)> {
        let mark = Mark {
            at: occasion.after(self.mark)?,
            id: occasion.id,
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
            _ => self.is_begun().then_some((
                Self {
                    mark: Some(mark),
                    ..Self::default()
                },
                InteractionType::WatchRemoved,
            )),
        }
    }
}

/// How many users stand so with a film.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Who like it.
    pub likes: i64,
    /// Who do not.
    pub dislikes: i64,
    /// Who like it above others.
    pub superlikes: i64,
    /// Who want to watch it.
    pub bookmarks: i64,
    /// Who watched it to its end.
    pub views: i64,
    /// Who rated it.
    pub ratings: i64,
    /// The sum of their ratings, in half stars.
    pub rating_sum: i64,
}

impl Counts {
    /// What one user adds to them.
    #[must_use]
    pub fn of(state: &UserMovie) -> Self {
        let reacted = |reaction| i64::from(state.reaction.value == Some(reaction));
        Self {
            likes: reacted(Reaction::Like),
            dislikes: reacted(Reaction::Dislike),
            superlikes: reacted(Reaction::Superlike),
            bookmarks: i64::from(state.bookmark.value.is_some()),
            views: i64::from(state.watch.completed.is_some()),
            ratings: i64::from(state.rating.value.is_some()),
            rating_sum: state
                .rating
                .value
                .map_or(0, |rating| i64::from(rating.half_stars())),
        }
    }

    /// Moves them from where a user stood to where the user stands.
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

    /// Whether nothing is counted.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// The mean rating in stars; none where nobody rated.
    #[must_use]
    pub fn rating_average(&self) -> Option<f64> {
        (self.ratings > 0).then(|| self.rating_sum as f64 / self.ratings as f64 / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_000_000;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).expect("in range")
    }

    fn user() -> UserId {
        UserId::new(1).expect("positive")
    }

    fn movie() -> MovieId {
        MovieId::new(603).expect("positive")
    }

    fn occasion(number: usize, occurred_at: Option<DateTime<Utc>>) -> Occasion {
        let number = i64::try_from(number).expect("few") + 1;
        Occasion {
            id: InteractionId::new(number).expect("positive"),
            now: at(NOW + number),
            occurred_at,
        }
    }

    fn actions() -> impl Strategy<Value = Action> {
        prop_oneof![
            prop::option::of(prop::sample::select(Reaction::ALL.to_vec())).prop_map(Action::React),
            any::<bool>().prop_map(Action::Bookmark),
            prop::option::of((1..=10_i16).prop_map(Rating)).prop_map(Action::Rate),
            (0..=20_i32).prop_map(|tenth| Action::Watch(Progress {
                position: tenth * 300,
                duration: 6000,
            })),
            Just(Action::Complete),
            Just(Action::ForgetWatch),
        ]
    }

    /// Actions, live ones and such as are told of later, in the order of their arrival.
    fn events() -> impl Strategy<Value = Vec<(Action, Option<DateTime<Utc>>)>> {
        let past = prop::option::of((0..NOW * 2).prop_map(at));
        prop::collection::vec((actions(), past), 0..60)
    }

    fn play(events: &[(Action, Option<DateTime<Utc>>)]) -> (UserMovie, Vec<Interaction>, Counts) {
        let (mut state, mut log) = (UserMovie::default(), Vec::new());
        let mut counts = Counts::default();
        for (number, (action, occurred_at)) in events.iter().enumerate() {
            let occasion = occasion(number, *occurred_at);
            if let Some(changed) = state.apply(user(), movie(), *action, &occasion) {
                counts.shift(&state, &changed.state);
                state = changed.state;
                log.push(changed.interaction);
            }
        }
        (state, log, counts)
    }

    proptest! {
        #[test]
        fn the_counters_are_those_of_the_state(events in events()) {
            let (state, _, counts) = play(&events);
            prop_assert_eq!(counts, Counts::of(&state));
        }

        #[test]
        fn the_log_replayed_is_the_state(events in events()) {
            let (state, log, _) = play(&events);
            let mut replayed = UserMovie::default();
            for entry in &log {
                let action = Action::of(entry.interaction_type, entry.rating, entry.progress);
                let occasion = Occasion {
                    id: entry.id,
                    now: entry.created_at,
                    occurred_at: Some(entry.occurred_at),
                };
                let changed = replayed
                    .apply(user(), movie(), action.expect("a whole entry"), &occasion)
                    .expect("every entry changed something");
                prop_assert_eq!(&changed.interaction, entry);
                replayed = changed.state;
            }
            prop_assert_eq!(replayed, state);
        }

        #[test]
        fn the_same_twice_changes_nothing(events in events(), last in actions()) {
            let (state, _, _) = play(&events);
            let once = state.apply(user(), movie(), last, &occasion(100, None));
            let once = once.map_or(state, |changed| changed.state);
            prop_assert_eq!(once.apply(user(), movie(), last, &occasion(101, None)), None);
        }

        #[test]
        fn what_is_older_than_what_is_known_changes_nothing(
            events in events(), first in actions(), late in actions(),
        ) {
            let (state, _, _) = play(&events);
            let known = state.apply(user(), movie(), first, &occasion(100, None));
            let known = known.map_or(state, |changed| changed.state);
            // Only what the first action was about has something newer.
            let same = std::mem::discriminant(&Action::Complete);
            let watch = |action: Action| matches!(action, Action::Watch(_) | Action::ForgetWatch)
                || std::mem::discriminant(&action) == same;
            let about = std::mem::discriminant(&first) == std::mem::discriminant(&late)
                || watch(first) && watch(late);
            prop_assume!(about && known.made_by(first).is_some());
            let late = known.apply(user(), movie(), late, &occasion(101, Some(at(-1))));
            prop_assert_eq!(late, None);
        }

        #[test]
        fn of_live_actions_the_last_of_each_kind_stands(all in prop::collection::vec(actions(), 0..60)) {
            let events: Vec<_> = all.iter().map(|action| (*action, None)).collect();
            let (state, _, _) = play(&events);
            let (mut reaction, mut bookmarked, mut rating) = (None, false, None);
            let (mut reached, mut completed) = (0, false);
            for action in all {
                match action {
                    Action::React(value) => reaction = value,
                    Action::Bookmark(value) => bookmarked = value,
                    Action::Rate(value) => rating = value,
                    Action::Watch(progress) => {
                        reached = reached.max(progress.position);
                        completed |= progress.is_complete();
                    }
                    Action::Complete => completed = true,
                    Action::ForgetWatch => (reached, completed) = (0, false),
                }
            }
            prop_assert_eq!(state.reaction.value, reaction);
            prop_assert_eq!(state.bookmark.value.is_some(), bookmarked);
            prop_assert_eq!(state.rating.value, rating);
            prop_assert_eq!(state.watch.watched_seconds, reached);
            prop_assert_eq!(state.watch.completed.is_some(), completed);
        }
    }

    #[test]
    fn a_change_of_mind_takes_back_what_it_replaces() {
        let like = (Action::React(Some(Reaction::Like)), None);
        let dislike = (Action::React(Some(Reaction::Dislike)), None);
        let (_, log, counts) = play(&[like, dislike]);
        assert_eq!((counts.likes, counts.dislikes), (0, 1));
        assert_eq!(log.len(), 2);
    }

    #[test]
    fn what_happens_now_is_the_newest_even_if_the_clock_was_put_back() {
        let like = Action::React(Some(Reaction::Like));
        let first = UserMovie::default()
            .apply(user(), movie(), like, &occasion(10, None))
            .expect("changed");
        let earlier = Occasion {
            now: at(5),
            ..occasion(11, None)
        };
        let removed = first
            .state
            .apply(user(), movie(), Action::React(None), &earlier)
            .expect("changed");
        assert_eq!(removed.state.reaction.value, None);
        assert_eq!(
            removed.interaction.occurred_at,
            first.interaction.occurred_at
        );
    }

    #[test]
    fn only_half_stars_are_ratings_and_only_points_within_a_film_are_progress() {
        for (stars, halves) in [(0.5, Some(1)), (5.0, Some(10)), (3.5, Some(7))] {
            assert_eq!(Rating::from_stars(stars).map(Rating::half_stars), halves);
        }
        for stars in [0.0, 5.5, 0.25, 3.2, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Rating::from_stars(stars), None, "{stars}");
        }
        for (position, duration) in [(-1, 10), (11, 10), (0, 0), (1, i32::MAX)] {
            assert_eq!(Progress::new(position, duration), None);
        }
        let complete = |position| Progress::new(position, 100).map(Progress::is_complete);
        assert_eq!((complete(89), complete(90)), (Some(false), Some(true)));
    }
}
