//! Watch providers. The data has none, so they are sample data unless that is off (`DEMO_PROVIDERS`): the providers are
//! real, their movies are made up, the same in every run. Each region of a movie says so in a member `sample`, which
//! TMDB does not have.

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::params::Params;
use crate::catalogue::{Film, stable_number};
use crate::state::{AppState, SharedState};

struct Provider {
    id: u32,
    name: &'static str,
    regions: &'static [&'static str],
}

const fn provider(id: u32, name: &'static str, regions: &'static [&'static str]) -> Provider {
    Provider { id, name, regions }
}

/// In the order of their display priority.
static PROVIDERS: [Provider; 5] = [
    provider(8, "Netflix", &REGIONS),
    provider(119, "Amazon Prime Video", &REGIONS),
    provider(337, "Disney Plus", &REGIONS),
    provider(356, "wavve", &["KR"]),
    provider(97, "Watcha", &["KR"]),
];
const REGIONS: [&str; 2] = ["KR", "US"];
/// One in this many movies has an offer of the kind (stream, rent, buy) by a provider.
const OFFERS: [(&str, u64); 3] = [("buy", 9), ("flatrate", 3), ("rent", 7)];

pub(super) async fn list_providers(State(state): SharedState, params: Params) -> Json<Value> {
    let region = params
        .get("watch_region")
        .filter(|region| !region.is_empty());
    let provides = |provider: &Provider| {
        state.providers && region.is_none_or(|region| provider.regions.contains(&region))
    };
    let results = entries(provides).map(|(priority, provider, mut entry)| {
        let priorities = provider
            .regions
            .iter()
            .map(|region| ((*region).to_owned(), json!(priority)));
        entry["display_priorities"] = Value::Object(priorities.collect());
        entry
    });
    Json(json!({ "results": results.collect::<Vec<_>>() }))
}

/// `watch/providers` of a film.
pub(super) fn of_film(state: &AppState, film: &Film) -> Value {
    let mut results = Map::new();
    for region in REGIONS.into_iter().filter(|_| state.providers) {
        let mut offers = Map::new();
        for (kind, (offer, _)) in OFFERS.into_iter().enumerate() {
            let entries = entries(|provider| has(provider, film, region, kind));
            let entries: Vec<Value> = entries.map(|(.., entry)| entry).collect();
            if !entries.is_empty() {
                offers.insert(offer.to_owned(), Value::Array(entries));
            }
        }
        if !offers.is_empty() {
            let id = film.id;
            let link = format!("https://www.themoviedb.org/movie/{id}/watch?locale={region}");
            offers.insert("link".to_owned(), Value::String(link));
            offers.insert("sample".to_owned(), Value::Bool(true));
            results.insert(region.to_owned(), Value::Object(offers));
        }
    }
    json!({ "results": results })
}

/// True if the provider offers the movie in the region, on any terms.
pub(super) fn is_offered(state: &AppState, film: &Film, region: &str, provider_id: u32) -> bool {
    let provider = PROVIDERS.iter().find(|provider| provider.id == provider_id);
    let provider = provider.filter(|_| state.providers);
    provider.is_some_and(|provider| (0..OFFERS.len()).any(|kind| has(provider, film, region, kind)))
}

/// True if the provider has an offer of a kind, an index in [`OFFERS`].
fn has(provider: &Provider, film: &Film, region: &str, kind: usize) -> bool {
    // Another salt for each provider, region and offer, so that they differ from each other.
    let salt = u64::from(provider.id) * 100 + u64::from(region == "US") * 10 + kind as u64;
    let number = stable_number(film.id, salt);
    provider.regions.contains(&region) && number.is_multiple_of(OFFERS[kind].1)
}

/// The providers that pass, with their display priorities and their entries in responses.
fn entries(
    passes: impl Fn(&Provider) -> bool,
) -> impl Iterator<Item = (usize, &'static Provider, Value)> {
    let providers = PROVIDERS.iter().enumerate();
    providers
        .filter(move |(_, provider)| passes(provider))
        .map(|(priority, provider)| {
            let entry = json!({
                "display_priority": priority,
                "logo_path": format!("/demo-provider-{}.jpg", provider.id),
                "provider_id": provider.id,
                "provider_name": provider.name,
            });
            (priority, provider, entry)
        })
}
