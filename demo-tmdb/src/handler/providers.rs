//! Watch providers. The data has none, so the response is empty, unless synthetic test data is on
//! (`DEMO_PROVIDERS`): the providers are real, their movies are made up.

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

impl Provider {
    const fn new(id: u32, name: &'static str, regions: &'static [&'static str]) -> Self {
        Self { id, name, regions }
    }
}

/// In the order of their display priority.
const PROVIDERS: [Provider; 5] = [
    Provider::new(8, "Netflix", &["KR", "US"]),
    Provider::new(119, "Amazon Prime Video", &["KR", "US"]),
    Provider::new(337, "Disney Plus", &["KR", "US"]),
    Provider::new(356, "wavve", &["KR"]),
    Provider::new(97, "Watcha", &["KR"]),
];
const REGIONS: [&str; 2] = ["KR", "US"];
/// One in this many movies has an offer of the kind (stream, rent, buy) by a provider.
const OFFERS: [(&str, u64); 3] = [("buy", 9), ("flatrate", 3), ("rent", 7)];

pub(super) async fn list_providers(State(state): SharedState, params: Params) -> Json<Value> {
    let region = params
        .get("watch_region")
        .filter(|region| !region.is_empty());
    let results: Vec<Value> = PROVIDERS
        .iter()
        .enumerate()
        .filter(|(_, provider)| {
            state.providers && region.is_none_or(|region| provider.regions.contains(&region))
        })
        .map(|(priority, provider)| {
            let priorities: Map<String, Value> = provider
                .regions
                .iter()
                .map(|region| ((*region).to_owned(), json!(priority)))
                .collect();
            let mut entry = entry(priority, provider);
            entry["display_priorities"] = Value::Object(priorities);
            entry
        })
        .collect();
    Json(json!({ "results": results }))
}

/// `watch/providers` of a film.
pub(super) fn of_film(state: &AppState, film: &Film) -> Value {
    let mut results = Map::new();
    for region in REGIONS.into_iter().filter(|_| state.providers) {
        let mut offers = Map::new();
        for (offer, _) in OFFERS {
            let entries: Vec<Value> = PROVIDERS
                .iter()
                .enumerate()
                .filter(|(_, provider)| has(provider, film, region, offer))
                .map(|(priority, provider)| entry(priority, provider))
                .collect();
            if !entries.is_empty() {
                offers.insert(offer.to_owned(), Value::Array(entries));
            }
        }
        if !offers.is_empty() {
            let link = format!(
                "https://www.themoviedb.org/movie/{}/watch?locale={region}",
                film.id
            );
            offers.insert("link".to_owned(), Value::String(link));
            results.insert(region.to_owned(), Value::Object(offers));
        }
    }
    json!({ "results": results })
}

/// True if the provider offers the movie in the region, on any terms.
pub(super) fn is_offered(state: &AppState, film: &Film, region: &str, provider_id: u32) -> bool {
    state.providers
        && PROVIDERS
            .iter()
            .filter(|provider| provider.id == provider_id)
            .any(|provider| {
                OFFERS
                    .iter()
                    .any(|(offer, _)| has(provider, film, region, offer))
            })
}

fn has(provider: &Provider, film: &Film, region: &str, offer: &str) -> bool {
    let one_in = OFFERS
        .iter()
        .find(|(name, _)| *name == offer)
        .map_or(u64::MAX, |(_, one_in)| *one_in);
    // Another salt for each provider, region and offer, so that they differ from each other.
    let salt = u64::from(provider.id) * 100
        + u64::from(region == "US") * 10
        + OFFERS
            .iter()
            .position(|(name, _)| *name == offer)
            .map_or(0, |index| index as u64);
    provider.regions.contains(&region) && stable_number(film.id, salt).is_multiple_of(one_in)
}

fn entry(priority: usize, provider: &Provider) -> Value {
    json!({
        "display_priority": priority,
        "logo_path": format!("/demo-provider-{}.jpg", provider.id),
        "provider_id": provider.id,
        "provider_name": provider.name,
    })
}
