//! The transitions of the watch history: playback positions, viewings and their removal. The state that is left does not
//! depend on the order in which reports with times of their own arrive. Called by [`UserMovie::apply`].

use chrono::{DateTime, Utc};

use super::{Action, Changed, EventContext, Progress, TICK, UserMovie};
use crate::models::{Interaction, InteractionType, NewViewing, Source, ViewingTime, Viewings};

/// The values of a log entry about the watch history.
#[derive(Default)]
struct Logged {
    progress: Option<Progress>,
    viewing: Option<NewViewing>,
    /// The source of an entry that is not about a viewing.
    source: Option<Source>,
}

impl UserMovie {
    /// Returns the state with the values that a replica of the previous release leaves out.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        match self.completed_at {
            Some(at) if self.viewing_count == 0 => {
                (self.viewing_count, self.viewed_at) = (1, Some(at));
            }
            None => (self.viewing_count, self.viewed_at) = (0, None),
            Some(_) => {}
        }
        if self.position_seconds.is_some() {
            self.progressed_at = self.progressed_at.or(self.watched_at);
            self.furthest_at = self.furthest_at.or(self.watched_at);
        }
        if !self.is_watched() && self.unplayed_at.is_none() {
            self.forgotten_at = self.forgotten_at.max(self.watched_at);
        }
        self
    }

    /// Returns the state without the times of reports that `stored`, which a previous release has written, leaves out.
    #[must_use]
    pub fn like_stored(mut self, stored: &Self) -> Self {
        self.progressed_at = stored.progressed_at.and(self.progressed_at);
        self.furthest_at = stored.furthest_at.and(self.furthest_at);
        self.forgotten_at = stored.forgotten_at.and(self.forgotten_at);
        self
    }

    pub(super) fn apply_watch(
        &self,
        viewings: &mut Viewings,
        action: Action,
        context: &EventContext,
    ) -> Option<Changed> {
        let mut state = self.normalized();
        let at = state.event_time(viewings, action, context);
        let removed_at = match action {
            Action::View(report) if report.source.is_some_and(|source| source.is_player()) => {
                state.forgotten_at.max(state.unplayed_at)
            }
            _ => state.forgotten_at,
        };
        if removed_at.is_some_and(|removed| at < removed) && !action.is_removal() {
            return None;
        }
        let mut logged = Logged::default();
        let interaction_type = match action {
            Action::Watch(progress) | Action::Position(progress) => {
                logged.progress = Some(progress);
                let completes = matches!(action, Action::Watch(_))
                    && state.complete(viewings, progress, at, context);
                let moves = state.advance(progress, at, context);
                match (completes, moves) {
                    (true, _) => InteractionType::Watched,
                    (false, true) => InteractionType::Progress,
                    (false, false) => return None,
                }
            }
            Action::Complete if state.is_complete_for(context) => return None,
            Action::Complete | Action::View(_) => {
                let report = match action {
                    Action::View(report) => report,
                    _ => manual(at),
                };
                logged.viewing = Some(report).filter(|_| action != Action::Complete);
                let is_live = context.occurred_at.is_none();
                let known = viewings.find(report.time).filter(|_| is_live);
                if known.is_some_and(|known| known.covers(&report)) || !viewings.add(&report, at) {
                    return None;
                }
                InteractionType::Watched
            }
            Action::RemoveViewing(time) => {
                logged.viewing = Some(NewViewing {
                    time,
                    rating: None,
                    source: None,
                });
                if !viewings.remove(time, at) {
                    return None;
                }
                InteractionType::WatchRemoved
            }
            Action::Unplay => {
                logged.source = Some(Source::PLAYER);
                if !state.unplay(viewings, at) {
                    return None;
                }
                InteractionType::WatchRemoved
            }
            _ => {
                let is_late = context.occurred_at.is_some() && state.forgotten_at < Some(at);
                if !(state.is_watched() || is_late) || !state.forget(viewings, at) {
                    return None;
                }
                InteractionType::WatchRemoved
            }
        };
        state.derive(viewings, action, context);
        let (position_seconds, duration_seconds) = logged
            .progress
            .map(|progress| (progress.position, progress.duration))
            .unzip();
        let interaction = Interaction {
            rating: logged.viewing.and_then(|viewing| viewing.rating),
            position_seconds,
            duration_seconds,
            viewed_at: logged.viewing.map(|viewing| viewing.time.or_midnight()),
            source: logged
                .source
                .or(logged.viewing.and_then(|viewing| viewing.source)),
            ..state.interaction(interaction_type, context, at)
        };
        Some(Changed { state, interaction })
    }

    /// True if the mark that the movie was watched to its end is no news: a time that is reported later is some if the
    /// times of all viewings are unknown.
    fn is_complete_for(&self, context: &EventContext) -> bool {
        let is_known = self
            .completed_at
            .is_some_and(|at| ViewingTime::at(at).is_known());
        is_known || (context.occurred_at.is_none() && self.completed_at.is_some())
    }

    /// The time of the action. A live one is the newest of those that it competes with, even if the clock has been set back.
    fn event_time(
        &self,
        viewings: &Viewings,
        action: Action,
        context: &EventContext,
    ) -> DateTime<Utc> {
        if context.occurred_at.is_some() {
            return context.at();
        }
        let after = |known: Option<DateTime<Utc>>| known.map(|known| known + TICK);
        let known = match action {
            Action::Watch(_) | Action::Position(_) => after(self.progressed_at)
                .max(self.forgotten_at)
                .max(self.unplayed_at),
            Action::View(report) => {
                let known = viewings.find(report.time);
                let reported =
                    known.map(|known| known.added_at.max(known.rated_at.unwrap_or(known.added_at)));
                let removed = known.and_then(|known| known.removed_at);
                after(reported)
                    .max(removed)
                    .max(self.forgotten_at)
                    .max(self.unplayed_at)
            }
            Action::RemoveViewing(time) => after(viewings.find(time).map(|known| known.added_at)),
            Action::Unplay | Action::ForgetWatch => {
                after(self.progressed_at.max(viewings.newest())).max(self.forgotten_at)
            }
            _ => viewings.newest_removal().max(self.forgotten_at),
        };
        known.map_or(context.now, |known| known.max(context.now))
    }

    /// Adds a viewing if the end has been reached. Of live reports only the first from the end on does: later ones are
    /// about the same viewing, until the movie is watched from an earlier position again.
    fn complete(
        &self,
        viewings: &mut Viewings,
        progress: Progress,
        at: DateTime<Utc>,
        context: &EventContext,
    ) -> bool {
        let known = self.position_seconds.zip(self.duration_seconds);
        let was_complete = known
            .and_then(|(position, duration)| Progress::new(position, duration))
            .is_some_and(Progress::is_complete);
        let is_live = context.occurred_at.is_none();
        let is_same = is_live && self.viewing_count > 0 && was_complete;
        let today = viewings.find(ViewingTime::at(at));
        let is_today = is_live && today.is_some_and(|viewing| viewing.is_present());
        progress.is_complete() && !is_same && !is_today && viewings.add(&manual(at), at)
    }

    /// Stores a playback position. False if it changes nothing.
    fn advance(&mut self, progress: Progress, at: DateTime<Utc>, context: &EventContext) -> bool {
        if self.unplayed_at.is_some_and(|unplayed| at < unplayed) {
            return false;
        }
        let reached = (Some(progress.position), Some(progress.duration));
        let known = (self.position_seconds, self.duration_seconds);
        let is_newest = match context.occurred_at {
            None => reached != known,
            Some(_) => (Some(at), reached) > (self.progressed_at, known),
        };
        let is_furthest = (progress.position, Some(at)) > (self.watched_seconds, self.furthest_at);
        if is_newest {
            (self.position_seconds, self.duration_seconds) = reached;
            self.progressed_at = Some(at);
        }
        if is_furthest {
            self.watched_seconds = progress.position;
            self.furthest_at = Some(at);
        }
        // A live report of the same position is no news.
        is_newest || (is_furthest && context.occurred_at.is_some())
    }

    /// Removes all that was reported before `at`. False if that changes nothing.
    fn forget(&mut self, viewings: &mut Viewings, at: DateTime<Utc>) -> bool {
        let before = *self;
        let changed = viewings.forget(at, false);
        self.forgotten_at = self.forgotten_at.max(Some(at));
        self.reset_position(at);
        changed || before != *self
    }

    /// Removes what media servers reported before `at`. False if that changes nothing.
    fn unplay(&mut self, viewings: &mut Viewings, at: DateTime<Utc>) -> bool {
        let before = *self;
        let changed = viewings.forget(at, true);
        self.unplayed_at = self.unplayed_at.max(Some(at));
        self.reset_position(at);
        changed || before != *self
    }

    /// Removes playback positions from before `at`.
    fn reset_position(&mut self, at: DateTime<Utc>) {
        if self.progressed_at < Some(at) {
            (self.position_seconds, self.duration_seconds) = (None, None);
            self.progressed_at = None;
        }
        if self.furthest_at < Some(at) {
            self.watched_seconds = self.position_seconds.unwrap_or(0);
            self.furthest_at = self.progressed_at;
        }
    }

    /// Derives the parts of the state that follow from the viewings.
    fn derive(&mut self, viewings: &Viewings, action: Action, context: &EventContext) {
        self.version = Some(context.id);
        self.watch_id = Some(context.id);
        if action.needs_viewings() {
            let counted = viewings.counted().map(|viewing| viewing.time.or_midnight());
            let first = counted.clone().next();
            if first != self.completed_at {
                self.completed_at = first;
                self.completion_id = first.map(|_| context.id);
            }
            self.viewed_at = counted.clone().last();
            self.viewing_count = i32::try_from(counted.count()).unwrap_or(i32::MAX);
        }
        let progressed_at = self.position_seconds.and(self.progressed_at);
        let watched_at = progressed_at.max(self.viewed_at);
        let removed_at = self.forgotten_at.max(self.unplayed_at);
        self.watched_at = watched_at.or(removed_at).or(self.watched_at);
    }
}

fn manual(at: DateTime<Utc>) -> NewViewing {
    NewViewing {
        time: ViewingTime::at(at),
        rating: None,
        source: Some(Source::MANUAL),
    }
}
