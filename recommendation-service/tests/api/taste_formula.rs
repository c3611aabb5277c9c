//! The formula of taste: the profile that preference-service shows has the weights by which movies are ranked here.

use chrono::{DateTime, Utc};
use preference_service::models::{
    Action, EventContext, InteractionChange, InteractionId, MovieId, NewViewing, Progress, Rating,
    Reaction, UserId, UserMovie, ViewingTime, Viewings, movie_weights,
};
use proptest::prelude::*;
use recommendation_service::read_model::{self, Users, affinities};
use recommender::taste::{HalfLife, LIKE};
use serde_json::json;

const MOVIES: usize = 5;

fn at(hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(hour * 3600, 0).expect("in range")
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        prop::option::of(prop::sample::select(Reaction::ALL.to_vec())).prop_map(Action::React),
        any::<bool>().prop_map(Action::Bookmark),
        prop::option::of(1..=10_i16)
            .prop_map(|halves| Action::Rate(halves.and_then(Rating::from_half_stars))),
        (0..=6000)
            .prop_map(|position| Action::Watch(Progress::new(position, 6000).expect("inside"))),
        Just(Action::Complete),
        (0..20_000_i64).prop_map(|hour| Action::View(NewViewing {
            time: ViewingTime::at(at(hour)),
            rating: None,
            source: None,
        })),
        Just(Action::ForgetWatch),
    ]
}

proptest! {
    #[test]
    fn the_profile_shown_has_the_weights_that_rank(
        events in prop::collection::vec((0..MOVIES, actions(), 0..20_000_i64), 0..60),
        days in prop::sample::select(vec![0.0, 30.0, 180.0]),
    ) {
        let (user, half_life) = (UserId::new(7).expect("positive"), HalfLife { days });
        let movies: Vec<MovieId> =
            (1..).take(MOVIES).map(|id| MovieId::new(id).expect("positive")).collect();
        let mut states: Vec<UserMovie> =
            movies.iter().map(|movie| UserMovie::new(user, *movie)).collect();
        let mut viewings = vec![Viewings::default(); MOVIES];
        let mut users = Users::default();
        let preferences = json!({"user_id": 7, "version": 1, "preferred_genres": [],
                                 "preferred_language": null, "min_rating": 0});
        users.prefer(serde_json::from_value(preferences).expect("preferences"));
        for (id, (movie, action, hour)) in (1..).zip(events) {
            let context = EventContext {
                id: InteractionId::new(id).expect("positive"),
                now: at(20_000),
                occurred_at: Some(at(hour)),
            };
            let changed = states[movie].apply(&mut viewings[movie], action, &context);
            if let Some(changed) = changed {
                states[movie] = changed.state;
                let change = InteractionChange::new(&changed.interaction, &changed.state);
                let change = serde_json::to_string(&change).expect("JSON");
                users.record(&serde_json::from_str(&change).expect("a change record"));
            }
        }
        let now = at(30_000);
        let shown = movie_weights(movies.iter().copied().zip(&states), now, half_life);
        let shown: Vec<(i64, f32)> = shown
            .into_iter()
            .map(|(movie, weight)| (movie.get(), (weight / LIKE) as f32))
            .collect();
        let profile = users.find(read_model::UserId::new(7).expect("positive")).expect("a user");
        prop_assert_eq!(affinities(profile, now, half_life), shown);
    }
}
