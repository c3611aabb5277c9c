use proptest::prelude::*;

use super::*;
use crate::models::{Counts, Source};

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
        // Of each two actions the second is in the same transaction.
        now: at(NOW + number / 2),
        occurred_at,
    }
}

fn reactions() -> impl Strategy<Value = Action> {
    prop::option::of(prop::sample::select(Reaction::ALL.to_vec())).prop_map(Action::React)
}

fn bookmarks() -> impl Strategy<Value = Action> {
    any::<bool>().prop_map(Action::Bookmark)
}

fn ratings() -> impl Strategy<Value = Action> {
    prop::option::of((1..=10_i16).prop_map(Rating)).prop_map(Action::Rate)
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        reactions(),
        bookmarks(),
        ratings(),
        (0..=20_i32).prop_map(|tenth| Action::Watch(Progress {
            position: tenth * 300,
            duration: 6000,
        })),
        Just(Action::Complete),
        Just(Action::ForgetWatch),
        Just(Action::Unplay),
        viewing().prop_map(Action::View),
        viewing().prop_map(|viewing| Action::RemoveViewing(viewing.time)),
    ]
}

/// Viewings of a few days, so that several are of the same, and of an unknown one.
fn viewing() -> impl Strategy<Value = NewViewing> {
    let rating = prop::option::of((1..=10_i16).prop_map(Rating));
    let source = prop::option::of(prop::sample::select(vec!["jellyfin", "letterboxd"]));
    (0..4_i64, prop::option::of(1..23_i64), rating, source).prop_map(
        |(day, hour, rating, source)| NewViewing {
            time: ViewingTime::at(at(day * 86_400 + hour.unwrap_or(0) * 3600)),
            rating,
            source: source.and_then(Source::new),
        },
    )
}

/// Reports with times of their own, as imports and media servers send them.
fn reports() -> impl Strategy<Value = Vec<(Action, Option<DateTime<Utc>>)>> {
    let action = actions().prop_filter("is reported with a time", |action| {
        !matches!(action, Action::Complete | Action::RemoveViewing(_))
    });
    let report = (action, 0..NOW).prop_map(|(action, second)| {
        let (action, second) = match action {
            // The viewing's own time is that of the report. Media servers report other days than sites do.
            Action::View(viewing) => {
                let second = viewing.time.or_midnight().timestamp();
                let is_server = second / 86_400 % 2 == 1;
                let source = Source::new(if is_server { "jellyfin" } else { "letterboxd" });
                // Servers do not rate single viewings.
                let rating = viewing.rating.filter(|_| !is_server);
                let report = NewViewing {
                    rating,
                    source,
                    ..viewing
                };
                (Action::View(report), second)
            }
            action => (action, second / 3),
        };
        (action, Some(at(second)))
    });
    prop::collection::vec(report, 0..12)
}

/// Actions, live ones and some that are reported later, in the order of their arrival.
fn events() -> impl Strategy<Value = Vec<(Action, Option<DateTime<Utc>>)>> {
    let past = prop::option::of((0..NOW * 2).prop_map(at));
    prop::collection::vec((actions(), past), 0..60)
}

fn play(
    events: &[(Action, Option<DateTime<Utc>>)],
) -> (UserMovie, Viewings, Vec<Interaction>, Counts) {
    let (mut state, mut log) = (UserMovie::new(user(), movie()), Vec::new());
    let mut viewings = Viewings::default();
    let mut counts = Counts::default();
    for (number, (action, occurred_at)) in events.iter().enumerate() {
        let context = context(number, *occurred_at);
        if let Some(changed) = state.apply(&mut viewings, *action, &context) {
            counts.shift(&state, &changed.state);
            state = changed.state;
            log.push(changed.interaction);
        }
    }
    (state, viewings, log, counts)
}

proptest! {
    #[test]
    fn counters_match_the_state(events in events()) {
        let (state, _, _, counts) = play(&events);
        prop_assert_eq!(counts, Counts::of(&state));
    }

    #[test]
    fn replaying_the_log_gives_the_state(events in events()) {
        let (state, _, log, _) = play(&events);
        let mut replayed = UserMovie::new(user(), movie());
        let mut viewings = Viewings::default();
        for entry in &log {
            let context = EventContext::of(entry);
            let changed = replayed
                .apply(&mut viewings, entry.action().expect("a complete entry"), &context)
                .expect("every entry changed something");
            prop_assert_eq!(&changed.interaction, entry);
            replayed = changed.state;
        }
        prop_assert_eq!(replayed, state);
    }

    #[test]
    fn repeating_an_action_changes_nothing(
        events in events(),
        // Media servers report each mark once, with its time.
        last in actions().prop_filter("is live", |action| *action != Action::Unplay),
    ) {
        let (state, mut viewings, _, _) = play(&events);
        let once = state.apply(&mut viewings, last, &context(100, None));
        let once = once.map_or(state, |changed| changed.state);
        let again = once.apply(&mut viewings, last, &context(101, None));
        prop_assert_eq!(again, None);
    }

    #[test]
    fn an_older_opinion_changes_nothing(
        events in events(),
        (first, late) in prop_oneof![
            (reactions(), reactions()), (bookmarks(), bookmarks()), (ratings(), ratings()),
        ],
    ) {
        let (state, mut viewings, _, _) = play(&events);
        let known = state.apply(&mut viewings, first, &context(100, None));
        let known = known.map_or(state, |changed| changed.state);
        prop_assume!(known.last_interaction(first).is_some());
        let late = known.apply(&mut viewings, late, &context(101, Some(at(-1))));
        prop_assert_eq!(late, None);
    }

    #[test]
    fn reports_from_before_a_removal_change_nothing(
        mut events in events(),
        late in prop_oneof![
            Just(Action::Complete),
            viewing().prop_map(Action::View),
            (0..=6000).prop_map(|position| Action::Watch(Progress { position, duration: 6000 })),
        ],
    ) {
        events.push((Action::Complete, None));
        let (state, mut viewings, _, _) = play(&events);
        let forgotten = state
            .apply(&mut viewings, Action::ForgetWatch, &context(100, None))
            .expect("changed")
            .state;
        prop_assert!(!forgotten.is_watched());
        prop_assert_eq!(viewings.counted().count(), 0);
        let late = forgotten.apply(&mut viewings, late, &context(101, Some(at(NOW))));
        prop_assert_eq!(late, None);
    }

    #[test]
    fn the_order_and_the_repetition_of_reports_do_not_matter(
        (reports, shuffled) in reports().prop_flat_map(|reports| {
            let twice = [reports.clone(), reports.clone()].concat();
            (Just(reports), Just(twice).prop_shuffle())
        }),
    ) {
        let outcome = |reports: &[(Action, Option<DateTime<Utc>>)]| {
            let (state, viewings, _, counts) = play(reports);
            let counted: Vec<_> = viewings
                .counted()
                .map(|viewing| (viewing.time.day(), viewing.rating))
                .collect();
            let day = |at: Option<DateTime<Utc>>| at.map(|at| at.date_naive());
            let days = (day(state.completed_at), day(state.watched_at));
            let watch = (state.position_seconds, days, state.viewing_count);
            let opinion = (state.reaction, state.bookmarked, state.rating);
            (watch, opinion, counted, counts)
        };
        let mut in_order = reports;
        in_order.sort_by_key(|(_, at)| *at);
        prop_assert_eq!(outcome(&in_order), outcome(&shuffled));
    }

    #[test]
    fn the_last_live_action_of_each_kind_wins(
        all in prop::collection::vec(
            actions().prop_filter("of all viewings", |action| {
                !matches!(action, Action::RemoveViewing(_) | Action::Unplay)
            }),
            0..60,
        ),
    ) {
        let events: Vec<_> = all.iter().map(|action| (*action, None)).collect();
        let (state, ..) = play(&events);
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
                Action::Complete | Action::View(_) => completed = true,
                Action::RemoveViewing(_) | Action::Position(_) | Action::Unplay => {}
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
    let (_, _, log, counts) = play(&[like, dislike]);
    assert_eq!((counts.likes, counts.dislikes), (0, 1));
    assert_eq!(log.len(), 2);
}

#[test]
fn a_live_action_is_the_newest_even_if_the_clock_was_set_back() {
    let like = Action::React(Some(Reaction::Like));
    let first = UserMovie::new(user(), movie())
        .apply(&mut Viewings::default(), like, &context(10, None))
        .expect("changed");
    let earlier = EventContext {
        now: at(5),
        ..context(11, None)
    };
    let removed = first
        .state
        .apply(&mut Viewings::default(), Action::React(None), &earlier)
        .expect("changed");
    assert_eq!(removed.state.reaction, None);
    assert!(removed.interaction.occurred_at > first.interaction.occurred_at);
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

#[test]
fn a_viewing_of_an_unknown_day_counts_while_there_is_no_other() {
    let seen = |day: i64| {
        let viewing = NewViewing {
            time: ViewingTime::at(at(day * 86_400)),
            rating: None,
            source: None,
        };
        (Action::View(viewing), Some(at(day * 86_400)))
    };
    let remove = |day: i64| {
        (
            Action::RemoveViewing(ViewingTime::at(at(day * 86_400))),
            None,
        )
    };
    for (events, count, first) in [
        (vec![seen(0)], 1, Some(0)),
        (vec![seen(0), seen(0)], 1, Some(0)),
        (vec![seen(0), seen(5)], 1, Some(5)),
        (vec![seen(5), seen(0)], 1, Some(5)),
        (vec![seen(5), seen(0), seen(3), seen(5)], 2, Some(3)),
        (vec![seen(5), seen(0), remove(5)], 1, Some(0)),
        (vec![seen(5), remove(5)], 0, None),
        (vec![seen(5), remove(5), seen(5)], 0, None),
    ] {
        let (state, ..) = play(&events);
        let first = first.map(|day| at(day * 86_400));
        assert_eq!(
            (state.viewing_count, state.completed_at),
            (count, first),
            "{events:?}"
        );
    }
}

#[test]
fn the_end_of_a_movie_counts_once_until_it_is_watched_from_before_again() {
    let day = |day: i64| EventContext {
        id: InteractionId::new(1).expect("positive"),
        now: at(day * 86_400),
        occurred_at: None,
    };
    let watch = |position| Action::Watch(Progress::new(position, 6000).expect("within"));
    let (mut state, mut viewings) = (UserMovie::new(user(), movie()), Viewings::default());
    for (now, position, count) in [
        (1, 3000, 0),
        (1, 5900, 1),
        (2, 6000, 1),
        (3, 100, 1),
        (3, 5900, 2),
        (3, 100, 2),
        (3, 5900, 2),
    ] {
        let changed = state.apply(&mut viewings, watch(position), &day(now));
        state = changed.expect("changed").state;
        assert_eq!(state.viewing_count, count, "day {now}, position {position}");
    }
    let completed_on = state.completed_at.map(|at| at.date_naive());
    assert_eq!(completed_on, Some(at(86_400).date_naive()));
}
