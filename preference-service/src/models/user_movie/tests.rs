use proptest::prelude::*;

use super::*;
use crate::models::Counts;

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

fn context(number: usize, occurred_at: Option<DateTime<Utc>>) -> EventContext {
    let number = i64::try_from(number).expect("few") + 1;
    EventContext {
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

/// Actions, live ones and some that are reported later, in the order of their arrival.
fn events() -> impl Strategy<Value = Vec<(Action, Option<DateTime<Utc>>)>> {
    let past = prop::option::of((0..NOW * 2).prop_map(at));
    prop::collection::vec((actions(), past), 0..60)
}

fn play(events: &[(Action, Option<DateTime<Utc>>)]) -> (UserMovie, Vec<Interaction>, Counts) {
    let (mut state, mut log) = (UserMovie::new(user(), movie()), Vec::new());
    let mut counts = Counts::default();
    for (number, (action, occurred_at)) in events.iter().enumerate() {
        let context = context(number, *occurred_at);
        if let Some(changed) = state.apply(*action, &context) {
            counts.shift(&state, &changed.state);
            state = changed.state;
            log.push(changed.interaction);
        }
    }
    (state, log, counts)
}

proptest! {
    #[test]
    fn counters_match_the_state(events in events()) {
        let (state, _, counts) = play(&events);
        prop_assert_eq!(counts, Counts::of(&state));
    }

    #[test]
    fn replaying_the_log_gives_the_state(events in events()) {
        let (state, log, _) = play(&events);
        let mut replayed = UserMovie::new(user(), movie());
        for entry in &log {
            let context = EventContext {
                id: entry.id,
                now: entry.created_at,
                occurred_at: Some(entry.occurred_at),
            };
            let changed = replayed
                .apply(entry.action().expect("a complete entry"), &context)
                .expect("every entry changed something");
            prop_assert_eq!(&changed.interaction, entry);
            replayed = changed.state;
        }
        prop_assert_eq!(replayed, state);
    }

    #[test]
    fn repeating_an_action_changes_nothing(events in events(), last in actions()) {
        let (state, _, _) = play(&events);
        let once = state.apply(last, &context(100, None));
        let once = once.map_or(state, |changed| changed.state);
        prop_assert_eq!(once.apply(last, &context(101, None)), None);
    }

    #[test]
    fn an_older_action_changes_nothing(
        events in events(), first in actions(), late in actions(),
    ) {
        let (state, _, _) = play(&events);
        let known = state.apply(first, &context(100, None));
        let known = known.map_or(state, |changed| changed.state);
        // Only what the first action was about has something newer.
        let same = std::mem::discriminant(&Action::Complete);
        let watch = |action: Action| matches!(action, Action::Watch(_) | Action::ForgetWatch)
            || std::mem::discriminant(&action) == same;
        let about = std::mem::discriminant(&first) == std::mem::discriminant(&late)
            || watch(first) && watch(late);
        prop_assume!(about && known.last_interaction(first).is_some());
        let late = known.apply(late, &context(101, Some(at(-1))));
        prop_assert_eq!(late, None);
    }

    #[test]
    fn the_last_live_action_of_each_kind_wins(all in prop::collection::vec(actions(), 0..60)) {
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
        prop_assert_eq!(state.reaction, reaction);
        prop_assert_eq!(state.bookmarked, bookmarked);
        prop_assert_eq!(state.rating, rating);
        prop_assert_eq!(state.watched_seconds, reached);
        prop_assert_eq!(state.completed_at.is_some(), completed);
    }
}

#[test]
fn a_new_reaction_replaces_the_old_one_in_the_counters() {
    let like = (Action::React(Some(Reaction::Like)), None);
    let dislike = (Action::React(Some(Reaction::Dislike)), None);
    let (_, log, counts) = play(&[like, dislike]);
    assert_eq!((counts.likes, counts.dislikes), (0, 1));
    assert_eq!(log.len(), 2);
}

#[test]
fn a_live_action_is_the_newest_even_if_the_clock_was_set_back() {
    let like = Action::React(Some(Reaction::Like));
    let first = UserMovie::new(user(), movie())
        .apply(like, &context(10, None))
        .expect("changed");
    let earlier = EventContext {
        now: at(5),
        ..context(11, None)
    };
    let removed = first
        .state
        .apply(Action::React(None), &earlier)
        .expect("changed");
    assert_eq!(removed.state.reaction, None);
    assert_eq!(
        removed.interaction.occurred_at,
        first.interaction.occurred_at
    );
}

#[test]
fn ratings_are_half_stars_and_progress_lies_within_the_movie() {
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
