use std::collections::HashMap;

use super::*;
use crate::movielens::Like;

/// Users of two tastes, who like 20 of the 30 even or odd movies each, by the ids of the set.
fn likes() -> Vec<Like> {
    let of = |user: u32| {
        let movies = (0..60).filter(move |movie| {
            movie % 2 == user % 2 && !(movie / 2 + user / 2).is_multiple_of(3)
        });
        movies.map(move |movie| Like {
            user,
            movie,
            rating: 5.0,
            time: (movie * 17 + user * 31) % 60,
        })
    };
    let mut all: Vec<Like> = (0..40).flat_map(of).collect();
    all.sort_by_key(|like| (like.user, like.time));
    all
}

fn settings() -> BaseSettings {
    BaseSettings {
        ials: IalsSettings {
            dimensions: 4,
            epochs: 2,
            ..IalsSettings::default()
        },
        searches_ials: false,
        ..BaseSettings::default()
    }
}

#[test]
fn movies_are_mapped_and_two_that_are_one_count_once() {
    let mut likes = likes();
    likes.push(Like {
        user: 99,
        movie: 777,
        rating: 5.0,
        time: 1,
    });
    let mut ids: HashMap<u32, i64> = (0..60)
        .map(|movie| (movie, 1000 - i64::from(movie)))
        .collect();
    // 0 and 2 are the same movie, 4 is not at TMDB, 777 is liked once.
    ids.insert(2, 1000);
    ids.remove(&4);
    ids.insert(777, 777);
    let population = Population::new(&likes, &ids);
    assert_eq!(population.films.len(), 58);
    assert_eq!((population.films[0], population.films[57]), (941, 1000));
    assert_eq!(population.users(), 40, "who likes nothing else is left out");
    let all = population.interactions();
    assert!(
        all.histories()
            .all(|history| history.items.is_sorted_by(|a, b| a < b))
    );
}

#[test]
fn a_base_model_learns_who_likes_what_and_the_same_data_gives_the_same_model() {
    let ids: HashMap<u32, i64> = (0..60)
        .map(|movie| (movie, i64::from(movie) + 100))
        .collect();
    let population = Population::new(&likes(), &ids);
    let fit = || fit(&population, settings(), &|_| true, |_| {}).expect("fits");
    let model = fit();
    let blend = &model.manifest.metrics["blend"];
    assert!(blend["hits@10_after_3"] > 0.9, "{blend:?}");
    let popularity = &model.manifest.metrics["popularity"];
    assert!(blend["hits@10_after_1"] > popularity["hits@10_after_1"]);
    let again = fit();
    assert_eq!((model.manifest, model.parts), (again.manifest, again.parts));
}

#[test]
fn too_few_users_get_the_defaults_and_none_is_an_error() {
    let ids: HashMap<u32, i64> = (0..60).map(|movie| (movie, i64::from(movie))).collect();
    let mut few = likes();
    few.retain(|like| like.user < 4);
    let population = Population::new(&few, &ids);
    let model = fit(&population, settings(), &|_| true, |_| {}).expect("fits");
    assert!(model.manifest.metrics.is_empty());
    assert_eq!(model.manifest.parameters["ease.regularization"], 3000.0);
    let nobody = Population::new(&[], &ids);
    assert!(fit(&nobody, settings(), &|_| true, |_| {}).is_err());
}
