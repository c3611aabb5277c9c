//! A walk by cursor during changes returns every movie that stays in the list exactly once, in any order, by any page
//! size and filter, even if the movie moves in the order.

use std::collections::{BTreeMap, BTreeSet};

use chassis::testing::eventually;
use chrono::NaiveDate;
use movie_service::{
    models::{Genre, Keyword, MovieId, NewMovie},
    repository::movies,
};
use proptest::{
    prelude::*,
    sample::Index,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde_json::json;
use sqlx::PgPool;

use crate::{TestApp, ids};

/// The number of walks.
const WALKS: usize = 12;
/// The initial number of movies.
const FILMS: i64 = 150;

/// A change between two pages.
#[derive(Debug, Clone)]
enum Event {
    /// A movie is added.
    Add(Facts),
    /// A movie changes its sort keys.
    Move(Index, Facts),
    /// A movie is removed.
    Remove(Index),
    /// A movie changes its filtered properties.
    Refilter(Index, Facts),
    /// A pause until the lists show all changes.
    Settle,
}

/// The properties that differ between movies.
#[derive(Debug, Clone)]
struct Facts {
    title: String,
    popularity: f64,
    date: Option<NaiveDate>,
    genre: i32,
}

#[derive(Debug, Clone)]
struct Walk {
    films: Vec<Facts>,
    query: String,
    page_size: usize,
    events: Vec<Vec<Event>>,
}

fn facts() -> impl Strategy<Value = Facts> {
    // Few distinct values, so that ids break ties.
    let date = prop::option::weighted(
        0.8,
        (0..40_u64).prop_map(|days| {
            NaiveDate::from_ymd_opt(1999, 1, 1).unwrap() + chrono::Days::new(days)
        }),
    );
    let title = prop::sample::select(vec!["가", "Zorro", "a", "A", "á", "", "Die Hard 2", "나"]);
    let number = prop::option::of(0..100_u8);
    (title, number, 0..50_u8, date, 0..3).prop_map(|(title, number, popularity, date, genre)| {
        Facts {
            title: format!(
                "{title}{}",
                number.map(|n| n.to_string()).unwrap_or_default()
            ),
            popularity: f64::from(popularity) / 3.0,
            date,
            genre,
        }
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => facts().prop_map(Event::Add),
        4 => (any::<Index>(), facts()).prop_map(|(which, facts)| Event::Move(which, facts)),
        2 => any::<Index>().prop_map(Event::Remove),
        1 => (any::<Index>(), facts()).prop_map(|(which, facts)| Event::Refilter(which, facts)),
        3 => Just(Event::Settle),
    ]
}

fn a_walk() -> impl Strategy<Value = Walk> {
    let query = (
        prop::sample::select(vec!["popularity", "title", "release_date"]),
        prop::sample::select(vec!["asc", "desc"]),
        prop::sample::select(vec!["", "&genres=0|1", "&without_genres=2", "&year=1999"]),
    )
        .prop_map(|(sort_by, order, filter)| format!("sort_by={sort_by}&order={order}{filter}"));
    (
        prop::collection::vec(facts(), usize::try_from(FILMS).unwrap()),
        query,
        1..40_usize,
        prop::collection::vec(prop::collection::vec(event(), 0..12), 30),
    )
        .prop_map(|(films, query, page_size, events)| Walk {
            films,
            query,
            page_size,
            events,
        })
}

fn film(id: i64, facts: &Facts) -> NewMovie {
    let document = json!([id, format!("{facts:?}")]);
    NewMovie {
        id,
        title: facts.title.clone(),
        original_title: facts.title.clone(),
        original_language: "en".to_owned(),
        release_date: facts.date,
        popularity: facts.popularity,
        vote_average: 5.0,
        vote_count: 1,
        genre_ids: vec![facts.genre],
        keywords: vec![Keyword {
            id: 1,
            name: "k".to_owned(),
        }],
        source_hash: document.to_string(),
        document,
        ..NewMovie::default()
    }
}

async fn store(pool: &PgPool, films: &[NewMovie]) {
    let mut transaction = pool.begin().await.unwrap();
    movies::upsert(&mut transaction, films).await.unwrap();
    transaction.commit().await.unwrap();
}

/// Another process that writes the catalogue.
struct Writer {
    pool: PgPool,
    films: BTreeMap<i64, Facts>,
    next_id: i64,
}

impl Writer {
    async fn write(&mut self, id: i64, facts: Facts) {
        store(&self.pool, &[film(id, &facts)]).await;
        self.films.insert(id, facts);
    }

    /// Applies `event` and returns the movie that leaves the list by it.
    async fn apply(&mut self, test: &TestApp, event: Event) -> Option<i64> {
        let pick = |which: Index| *which.get(&self.films.keys().copied().collect::<Vec<_>>());
        let mut disturbed = None;
        match event {
            Event::Add(facts) => {
                let id = self.next_id;
                self.next_id += 1;
                self.write(id, facts).await;
            }
            Event::Move(which, mut facts) => {
                let id = pick(which);
                let known = &self.films[&id];
                // It still passes the filters.
                facts.genre = known.genre;
                if known.date.is_none() != facts.date.is_none() {
                    facts.date = known.date;
                }
                self.write(id, facts).await;
            }
            Event::Remove(which) => {
                let id = pick(which);
                let mut transaction = self.pool.begin().await.unwrap();
                movies::remove(&mut transaction, &[MovieId::new(id).unwrap()])
                    .await
                    .unwrap();
                transaction.commit().await.unwrap();
                self.films.remove(&id);
                disturbed = Some(id);
            }
            Event::Refilter(which, facts) => {
                let id = pick(which);
                self.write(id, facts).await;
                disturbed = Some(id);
            }
            Event::Settle => self.settle(test).await,
        }
        sqlx::query("select pg_notify('outbox', '')")
            .execute(&self.pool)
            .await
            .unwrap();
        disturbed
    }

    async fn settle(&self, test: &TestApp) {
        let order = "/api/v1/movies?sort_by=popularity&order=asc&page_size=100&fields=id";
        let mut expected: Vec<(f64, i64)> = self
            .films
            .iter()
            .map(|(id, facts)| (facts.popularity, *id))
            .collect();
        expected.sort_by(|one, two| one.0.total_cmp(&two.0).then(one.1.cmp(&two.1)));
        let first: Vec<i64> = expected.iter().map(|(_, id)| *id).take(100).collect();
        eventually("the lists show all changes", async || {
            let body = test.get(order).await.expect(200);
            body["total_results"] == self.films.len() && ids(&body) == first
        })
        .await;
    }
}

fn passes(query: &str, facts: &Facts) -> bool {
    let found = !query.contains("genres=0|1") || facts.genre < 2;
    let refused = query.contains("without_genres=2") && facts.genre == 2;
    let dated = !query.contains("year=1999") || facts.date.is_some();
    found && !refused && dated
}

#[sqlx::test]
async fn a_walk_returns_every_remaining_movie_exactly_once(pool: PgPool) {
    let genres: Vec<Genre> = (0..3)
        .map(|id| Genre {
            id,
            name: format!("Genre {id}"),
            ..Genre::default()
        })
        .collect();
    movies::upsert_genres(&pool, &genres, true).await.unwrap();
    let test = TestApp::new(&pool);
    let mut runner = TestRunner::new(Config::default());
    let mut writer = Writer {
        pool: pool.clone(),
        films: BTreeMap::new(),
        next_id: FILMS + 1,
    };
    let mut met = 0;
    for _ in 0..WALKS {
        let walk = a_walk().new_tree(&mut runner).unwrap().current();
        let batch: Vec<NewMovie> = (1..)
            .zip(&walk.films)
            .map(|(id, facts)| film(id, facts))
            .collect();
        store(&pool, &batch).await;
        writer.films.extend((1..).zip(walk.films.iter().cloned()));
        writer.apply(&test, Event::Settle).await;
        writer.settle(&test).await;
        let mut throughout: BTreeSet<i64> = writer
            .films
            .iter()
            .filter(|(_, facts)| passes(&walk.query, facts))
            .map(|(id, _)| *id)
            .collect();
        let path = format!("/api/v1/movies?page_size={}&{}", walk.page_size, walk.query);
        let mut seen: BTreeMap<i64, usize> = BTreeMap::new();
        let mut next = path.clone();
        let mut events = walk.events.iter();
        loop {
            let body = test.get(&next).await.expect(200);
            for id in ids(&body) {
                *seen.entry(id).or_default() += 1;
            }
            let Some(cursor) = body["next_cursor"].as_str() else {
                break;
            };
            next = format!("{path}&cursor={cursor}");
            for event in events.next().into_iter().flatten() {
                if let Some(id) = writer.apply(&test, event.clone()).await {
                    throughout.remove(&id);
                }
            }
        }
        for id in &throughout {
            assert_eq!(seen.get(id), Some(&1), "film {id} of {walk:?}");
        }
        met += throughout.len();
    }
    assert!(met > WALKS * 20, "too few movies: {met}");
}
