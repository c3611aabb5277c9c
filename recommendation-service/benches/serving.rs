//! Latency of lists relative to a lower bound measured in the same run: the rules over a million movies relative to
//! reading their columns once, the blend over 60,000 films with its explanations, a response that is
//! handler; messages in words through all layers; and the memory of a catalogue of a million movies.
//!
//! `cargo bench -p recommendation-service --bench serving`; SERVING_FILMS and SERVING_BLEND_FILMS set other
//! numbers of films. Everything runs on one thread.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on should say where, and it is read by people"
)]

use std::{
    collections::HashMap,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    http::{Request, header::CONTENT_TYPE},
    routing::get,
};
use chassis::{
    Process, Settings, audit::AuditLog, client::Client, clock::Clock, feed::follow::FeedState,
};
use chrono::{DateTime, NaiveDate, TimeDelta, TimeZone, Utc};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use recommendation_service::{
    config::Config,
    experiments::{Experiments, impressions::Recorder},
    handler,
    ranking::{
        PartWeights, Strategy,
        known_users::KnownUsers,
        pipeline::{RankingRequest, pipeline},
        recommender::{Recommender, Sources},
        scoring::{ModelOnCatalogue, ScoringContext},
        store::{ListStore, RetentionPolicy},
    },
    read_model::{
        Catalogue, Film, Interaction, InteractionState, Offer, Preferences, Profile, Reaction,
        Shared, Tag, UserId, Users,
    },
    registry::{LiveModels, Registry},
    rules::{Weights, store::RuleSets},
    state::{AppState, Services},
    words::Words,
};
use recommender::{
    Ease, EaseSettings, Ials, IalsSettings, Interactions, ModelName, Popularity, Scorer, Spectral,
    SpectralSettings, TrainedModel, TrainedModels, taste::HalfLife,
};
use tower::ServiceExt;

const RULES: Weights = Weights {
    popularity: 0.4,
    recency: 0.3,
    genre_match: 0.3,
};

fn number(name: &str, default: i64) -> i64 {
    let given = std::env::var(name).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 1, 12, 0, 0).unwrap()
}

/// A number below `count`; the first ones most often, the more so the higher `skew`.
fn skewed(random: &mut ChaCha8Rng, count: u32, skew: i32) -> u32 {
    let uniform = f64::from(random.next_u32()) / (f64::from(u32::MAX) + 1.0);
    (f64::from(count) * uniform.powi(skew)) as u32
}

/// A movie of a synthetic catalogue with skewed distributions: few tags occur in most movies, and most tags in few.
fn film(id: i64) -> Film {
    let random = &mut ChaCha8Rng::seed_from_u64(u64::try_from(id).unwrap());
    let mut tags = |most: u32, of: u32, skew: i32, kind: &str| -> Vec<Tag> {
        let count = skewed(random, most + 1, 2);
        (0..count)
            .map(|_| {
                let id = skewed(random, of, skew);
                Tag {
                    id: id.into(),
                    name: format!("{kind} number {id}"),
                    ..Tag::default()
                }
            })
            .collect()
    };
    let genres = tags(4, 19, 2, "Genre");
    let keywords = tags(15, 50_000, 3, "keyword");
    let people = tags(20, 1_000_000, 2, "Person");
    let day = NaiveDate::from_ymd_opt(2027, 1, 1).unwrap()
        - TimeDelta::days(skewed(random, 40_000, 3).into());
    let providers = (0..skewed(random, 12, 4))
        .map(|_| Offer {
            region: ["US", "KR", "GB", "DE", "FR"][skewed(random, 5, 1) as usize].to_owned(),
            id: skewed(random, 300, 3).into(),
            name: String::new(),
        })
        .collect();
    let poster: String = (0..27)
        .map(|_| char::from(b'a' + skewed(random, 26, 1) as u8))
        .collect();
    Film {
        id,
        version: 1,
        // The number first: titles that begin alike would be compared as parts of one series.
        title: format!("{id} is the number of a film"),
        original_language: ["en", "fr", "ja", "ko", "es"][skewed(random, 5, 2) as usize].to_owned(),
        release_date: Some(day),
        runtime: Some(90),
        popularity: 1000.0 / f64::from(1 + skewed(random, 100_000, 1)),
        vote_average: f64::from(skewed(random, 100, 1)) / 10.0,
        vote_count: 10,
        poster_path: Some(format!("/{poster}.jpg")),
        genres,
        countries: vec!["US".to_owned()],
        keywords,
        people,
        providers,
        ..Film::default()
    }
}

fn catalogue(films: i64) -> Catalogue {
    let mut catalogue = Catalogue::default();
    for id in 1..=films {
        catalogue.upsert(&film(id));
    }
    let weights = *catalogue.content_weights();
    let factors = catalogue.compute_factors(&weights);
    catalogue.set_factors(factors, &weights, catalogue.revision());
    catalogue
}

fn preferences(user_id: i64) -> Preferences {
    Preferences {
        user_id,
        version: 1,
        preferred_genres: vec!["Genre number 3".to_owned(), "Genre number 5".to_owned()],
        ..Preferences::default()
    }
}

fn request(strategy: Strategy, limit: usize) -> RankingRequest {
    RankingRequest {
        strategy,
        filter: filter::Filter::default(),
        exclude_seen: true,
        diversity: 0.0,
        limit,
        has_chosen_strategy: true,
        parameters: String::new(),
    }
}

/// The quantile `part` of `times`, in milliseconds.
fn within(times: &mut [Duration], part: f64) -> f64 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0
}

fn repeat<T>(times: usize, mut work: impl FnMut(usize) -> T) -> Vec<Duration> {
    (0..times)
        .map(|turn| {
            let started = Instant::now();
            black_box(work(turn));
            started.elapsed()
        })
        .collect()
}

/// The resident memory of the process, in MiB.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0 / 1024.0 / 1024.0
}

fn rules_over_all(films: i64) {
    let before = resident();
    let started = Instant::now();
    let catalogue = catalogue(films);
    println!(
        "{films} films: {:.0} MiB resident for the catalogue, {:.0} MiB in all, filled in {:.1} s",
        resident() - before,
        resident(),
        started.elapsed().as_secs_f64()
    );
    let profile = Profile::new(preferences(1));
    let context = ScoringContext {
        catalogue: &catalogue,
        model_on_catalogue: None,
        profile: &profile,
        rules: RULES,
        weights: PartWeights::default(),
        half_life: HalfLife::default(),
        uses_content: true,
        now: now(),
    };
    let wanted = request(Strategy::Rules, 20);
    let mut lists = Vec::new();
    let mut reads = Vec::new();
    // Alternating, so that other load on the machine slows both equally.
    for _ in 0..100 {
        lists.extend(repeat(1, |_| pipeline(context, 1, &wanted, None, None)));
        reads.extend(repeat(1, |_| read_once(&catalogue)));
    }
    let (list, read) = (within(&mut lists, 0.5), within(&mut reads, 0.5));
    println!(
        "rules, {films} films, a list of the best 200: p50 {list:.2} ms, p99 {:.2} ms; its columns read once: p50 {read:.2} ms; ratio {:.2}",
        within(&mut lists, 0.99),
        list / read
    );
}

/// Reads the columns that the rules use once, as fast as memory allows: popularity, days, genres, and the bitmap of
/// occupied rows.
fn read_once(catalogue: &Catalogue) -> u64 {
    fn sum<T: Copy>(column: &[T], bits: impl Fn(T) -> u64) -> u64 {
        let mut lanes = [0_u64; 8];
        let (eights, rest) = column.as_chunks::<8>();
        for eight in eights {
            for (lane, value) in lanes.iter_mut().zip(eight) {
                *lane = lane.wrapping_add(bits(*value));
            }
        }
        let rest = rest
            .iter()
            .fold(0, |sum: u64, value| sum.wrapping_add(bits(*value)));
        lanes.iter().fold(rest, |sum, lane| sum.wrapping_add(*lane))
    }
    let popularity = catalogue.popularity().chunks();
    let days = catalogue.films().days().chunks();
    let genres = catalogue.genre_numbers().chunks();
    popularity.fold(0, |all, chunk| all ^ sum(chunk, f64::to_bits))
        ^ days.fold(0, |all, chunk| {
            all ^ sum(chunk, |day| u64::from(day.cast_unsigned()))
        })
        ^ genres.fold(0, |all, chunk| all ^ sum(chunk, u64::from))
        ^ sum(catalogue.films().live().words(), |word| word)
}

/// All learned models over all of `films`; EASE is dense between the most popular of them.
fn trained(films: i64) -> Arc<TrainedModels> {
    let columns = usize::try_from(films).unwrap();
    let count = u32::try_from(films).unwrap();
    let random = &mut ChaCha8Rng::seed_from_u64(1);
    let rows: Vec<Vec<(u32, f32)>> = (0..8000)
        .map(|_| (0..60).map(|_| (skewed(random, count, 3), 1.0)).collect())
        .collect();
    let interactions = Interactions::from_rows(columns, rows).unwrap();
    let ease = EaseSettings {
        max_items: 3000,
        ..EaseSettings::plain(300.0)
    };
    let ials = IalsSettings {
        dimensions: 128,
        epochs: 1,
        ..IalsSettings::default()
    };
    let spectral = Spectral::fit(&interactions, &SpectralSettings::default()).unwrap();
    let model = |name, scorer: Arc<dyn Scorer>, weight| TrainedModel {
        name,
        scorer,
        weight,
    };
    let models = vec![
        model(
            ModelName::Popularity,
            Arc::new(Popularity::fit(&interactions)),
            1.0,
        ),
        model(
            ModelName::Ease,
            Arc::new(Ease::fit(&interactions, &ease).unwrap()),
            0.7,
        ),
        model(
            ModelName::Ials,
            Arc::new(Ials::fit(&interactions, &ials).unwrap()),
            0.3,
        ),
        model(ModelName::Spectral, Arc::new(spectral), 0.1),
    ];
    Arc::new(TrainedModels::new(1, (1..=films).collect(), models, 5.0).unwrap())
}

/// A user with `count` movies, most of them liked.
fn user(id: i64, films: i64, count: i64) -> Vec<Interaction> {
    let random = &mut ChaCha8Rng::seed_from_u64(u64::try_from(id).unwrap());
    let of = u32::try_from(films).unwrap();
    (0..count)
        .map(|n| {
            let at = now() - TimeDelta::days(n);
            let reaction = if n % 8 == 7 {
                Reaction::Dislike
            } else {
                Reaction::Like
            };
            Interaction {
                id: n + 1,
                user_id: id,
                movie_id: 1 + i64::from(skewed(random, of, 3)),
                occurred_at: at,
                created_at: at,
                state: InteractionState {
                    reaction: Some(reaction),
                    reacted_at: Some(at),
                    ..InteractionState::default()
                },
            }
        })
        .collect()
}

fn blend(catalogue: &Catalogue, trained: &Arc<TrainedModels>, films: i64) {
    let model_on_catalogue =
        ModelOnCatalogue::new(Some(Arc::clone(trained)), None, catalogue).unwrap();
    for count in [10, 50, 200] {
        let mut users = Users::default();
        for id in 1..=100 {
            users.prefer(preferences(id));
            for interaction in user(id, films, count) {
                users.record(&interaction);
            }
        }
        let wanted = request(Strategy::Blend, 20);
        let mut times = repeat(300, |turn| {
            let id = UserId::new(1 + i64::try_from(turn % 100).unwrap()).unwrap();
            let context = ScoringContext {
                catalogue,
                model_on_catalogue: Some(&model_on_catalogue),
                profile: users.find(id).unwrap(),
                rules: RULES,
                weights: PartWeights::default(),
                half_life: HalfLife::default(),
                uses_content: true,
                now: now(),
            };
            pipeline(context, 1, &wanted, None, None).unwrap()
        });
        println!(
            "blend with explanations, {films} films, users of {count}: p50 {:.2} ms, p99 {:.2} ms",
            within(&mut times, 0.5),
            within(&mut times, 0.99)
        );
    }
}

async fn answers(catalogue: Catalogue, trained: Arc<TrainedModels>, films: i64) {
    let settings =
        Settings::merge(recommendation_service::config::DEFAULTS, &HashMap::new()).unwrap();
    let process = Process::new(recommendation_service::NAME, settings).unwrap();
    // Unreachable address; none of the measured requests uses the database.
    let pool = sqlx::postgres::PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(1))
        .connect_lazy("postgres://127.0.0.1:1/none")
        .unwrap();
    let users = Shared::new(Users::default());
    users.write().prefer(preferences(7));
    for interaction in user(7, films, 50) {
        users.write().record(&interaction);
    }
    let retention = RetentionPolicy {
        ttl: TimeDelta::hours(1),
        max_lists: 1000,
    };
    let clock = Clock::fixed(now());
    let lists = ListStore::new(
        pool.clone(),
        users.clone(),
        retention,
        clock.clone(),
        &process.shutdown,
    );
    let nowhere = "http://127.0.0.1:1".parse().unwrap();
    let owner = Client::new("preference-service", nowhere, &process.config).unwrap();
    let trained = LiveModels::new(Some(trained));
    let models = Registry::new(pool.clone(), None, trained.clone());
    let catalogue = Shared::new(Arc::new(catalogue));
    let words = Words::new(catalogue.clone(), None, clock.clone()).unwrap();
    words.refresh();
    let sources = Sources {
        catalogue,
        movies_feed: FeedState::default(),
        users: KnownUsers::new(users, owner.clone()),
        trained,
        lists,
        half_life: HalfLife::default(),
        uses_content: true,
        treatments: None,
    };
    let recorder = Recorder::start(pool.clone(), &process.shutdown);
    let state = AppState::new(Services {
        recommender: Recommender::new(pool.clone(), sources, clock.clone()),
        rule_sets: RuleSets::new(pool.clone(), clock.clone()),
        experiments: Experiments::new(pool, recorder, clock),
        models,
        languages: process
            .settings
            .read::<Config>()
            .unwrap()
            .catalogue_languages,
        words,
    });
    let routes = handler::router(state, &process.config, AuditLog::new(owner))
        .merge(Router::new().route("/api/v1/nothing", get(async || {})));
    let health = chassis::health::Health::default();
    let app = process.application(routes, health, &handler::openapi());
    let paths = [
        "/api/v1/nothing",
        "/api/v1/users/7/recommendations?limit=20",
        "/api/v1/users/7/recommendations?limit=20&explain=true",
    ];
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..5000 {
        for (path, times) in paths.iter().zip(&mut times) {
            let request = Request::get(*path).body(Body::empty()).unwrap();
            times.push(timed(&app, request).await);
        }
    }
    let [nothing, bare, explained] = times.map(|mut times| within(&mut times, 0.5) * 1000.0);
    println!(
        "through all layers, p50: nothing {nothing:.1} µs; a remembered list {bare:.1} µs, ratio {:.2}; with explanations {explained:.1} µs, ratio {:.2}",
        bare / nothing,
        explained / nothing
    );
    let all = messages();
    let longest: String = all[0].chars().cycle().take(1000).collect();
    for (name, messages) in [
        ("messages in words", all),
        ("a message of 1,000 characters", vec![longest]),
    ] {
        let mut times = Vec::new();
        for message in messages.iter().cycle().take(500) {
            let body = serde_json::json!({ "message": message }).to_string();
            let request = Request::post("/api/v1/recommendations/query")
                .header(CONTENT_TYPE, "application/json")
                .body(Body::from(body))
                .unwrap();
            times.push(timed(&app, request).await);
        }
        println!(
            "through all layers, {name}: p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
            within(&mut times, 0.5),
            within(&mut times, 0.99),
            within(&mut times, 1.0)
        );
    }
    process.shutdown.start();
}

/// The time that `app` takes to answer `request` with 200, its body included.
async fn timed(app: &Router, request: Request<Body>) -> Duration {
    let started = Instant::now();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
    black_box(body.unwrap());
    let elapsed = started.elapsed();
    assert_eq!(status.as_u16(), 200);
    elapsed
}

/// The messages of the evaluation.
fn messages() -> Vec<String> {
    let lines = include_str!("../tests/data/messages.tsv").lines();
    let lines = lines.filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split('\t').nth(1).map(str::to_owned))
        .collect()
}

fn main() {
    rules_over_all(number("SERVING_FILMS", 1_000_000));
    let films = number("SERVING_BLEND_FILMS", 60_000);
    let catalogue = catalogue(films);
    let trained = trained(films);
    blend(&catalogue, &trained, films);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(answers(catalogue, trained, films));
}
