//! What TMDB sends, read leniently: a field that is missing or null is unknown, an empty date is no
//! date, a number out of range is as good as none. Only an id is indispensable.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::models::{AlternativeTitle, Genre, Keyword, NewMovie, Person, Provider};

/// How many of the cast are kept.
const CAST: usize = 10;
/// Jobs of the crew that are kept.
const JOBS: [&str; 3] = ["Director", "Writer", "Screenplay"];

/// A page of a list.
#[derive(Debug, Deserialize)]
pub struct ListPage {
    /// The entries.
    #[serde(default, deserialize_with = "readable_entries")]
    pub results: Vec<ListedMovie>,
    /// How many pages there are.
    #[serde(default, deserialize_with = "or_default")]
    pub total_pages: i64,
}

/// A film in a list.
#[derive(Debug, Deserialize)]
pub struct ListedMovie {
    /// TMDB's id.
    pub id: i64,
    /// Whether it is pornography.
    #[serde(default, deserialize_with = "or_default")]
    pub adult: bool,
}

/// All genres.
#[derive(Debug, Deserialize)]
pub struct GenreList {
    /// The genres.
    pub genres: Vec<Genre>,
}

#[derive(Debug, Deserialize)]
struct Detail {
    id: i64,
    #[serde(default, deserialize_with = "or_default")]
    title: String,
    #[serde(default, deserialize_with = "or_default")]
    original_title: String,
    #[serde(default, deserialize_with = "or_default")]
    original_language: String,
    #[serde(default, deserialize_with = "or_default")]
    overview: String,
    #[serde(default, deserialize_with = "date")]
    release_date: Option<NaiveDate>,
    #[serde(default, deserialize_with = "or_default")]
    runtime: Option<i64>,
    #[serde(default, deserialize_with = "or_default")]
    popularity: f64,
    #[serde(default, deserialize_with = "or_default")]
    vote_average: f64,
    #[serde(default, deserialize_with = "or_default")]
    vote_count: i64,
    #[serde(default, deserialize_with = "or_default")]
    poster_path: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    backdrop_path: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    imdb_id: Option<String>,
    #[serde(default, deserialize_with = "readable_entries")]
    genres: Vec<Genre>,
    #[serde(default, deserialize_with = "or_default")]
    keywords: Keywords,
    #[serde(default, deserialize_with = "or_default")]
    credits: Credits,
    #[serde(default, deserialize_with = "or_default")]
    adult: bool,
    #[serde(default, deserialize_with = "readable_entries")]
    production_countries: Vec<Country>,
    #[serde(default, deserialize_with = "readable_entries")]
    origin_country: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    alternative_titles: AlternativeTitles,
    #[serde(default, deserialize_with = "or_default")]
    translations: Translations,
    #[serde(default, rename = "watch/providers", deserialize_with = "or_default")]
    watch_providers: WatchProviders,
}

#[derive(Debug, Deserialize)]
struct Country {
    iso_3166_1: String,
}

#[derive(Debug, Default, Deserialize)]
struct AlternativeTitles {
    #[serde(default, deserialize_with = "readable_entries")]
    titles: Vec<TitleIn>,
}

#[derive(Debug, Deserialize)]
struct TitleIn {
    iso_3166_1: String,
    title: String,
}

#[derive(Debug, Default, Deserialize)]
struct Translations {
    #[serde(default, deserialize_with = "readable_entries")]
    translations: Vec<Translation>,
}

#[derive(Debug, Deserialize)]
struct Translation {
    #[serde(default, deserialize_with = "or_default")]
    iso_639_1: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    iso_3166_1: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    data: TranslationData,
}

#[derive(Debug, Default, Deserialize)]
struct TranslationData {
    #[serde(default, deserialize_with = "or_default")]
    title: String,
}

#[derive(Debug, Default, Deserialize)]
struct WatchProviders {
    #[serde(default, deserialize_with = "or_default")]
    results: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
struct ProviderIn {
    provider_id: i64,
    provider_name: String,
    #[serde(default, deserialize_with = "or_default")]
    logo_path: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    display_priority: i64,
}

#[derive(Debug, Default, Deserialize)]
struct Keywords {
    #[serde(default, deserialize_with = "readable_entries")]
    keywords: Vec<Keyword>,
}

#[derive(Debug, Default, Deserialize)]
struct Credits {
    #[serde(default, deserialize_with = "readable_entries")]
    cast: Vec<CastMember>,
    #[serde(default, deserialize_with = "readable_entries")]
    crew: Vec<CrewMember>,
}

#[derive(Debug, Deserialize)]
struct CastMember {
    id: i64,
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    order: i64,
}

#[derive(Debug, Deserialize)]
struct CrewMember {
    id: i64,
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    job: String,
}

/// A value of another type than expected, or null, counts as unknown.
fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// An entry that cannot be read is left out; the others are kept.
fn readable_entries<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let values = Option::<Vec<Value>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(values
        .into_iter()
        .filter_map(|value| serde_json::from_value(value).ok())
        .collect())
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
    let text: Option<String> = or_default(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// A film's detail document as what the catalogue stores.
///
/// # Errors
/// A document without an id or a title: it is not a film's.
pub fn movie(document: Value) -> Result<NewMovie, String> {
    let document = without_nul(document);
    let detail: Detail =
        serde_json::from_value(document.clone()).map_err(|error| error.to_string())?;
    if detail.id <= 0 {
        return Err("the id is not positive".to_owned());
    }
    let title = first_filled([&detail.title, &detail.original_title]);
    if title.is_empty() {
        return Err("there is no title".to_owned());
    }
    let original_title = first_filled([&detail.original_title, &detail.title]);
    let people = people(&detail.credits);
    let titles = titles(&detail, [&title, &original_title]);
    let mut countries: Vec<String> = detail
        .production_countries
        .into_iter()
        .map(|country| country.iso_3166_1)
        .chain(detail.origin_country)
        .collect();
    countries.sort_unstable();
    countries.dedup();
    let mut genre_ids: Vec<i32> = detail.genres.iter().map(|genre| genre.id).collect();
    genre_ids.sort_unstable();
    genre_ids.dedup();
    Ok(NewMovie {
        id: detail.id,
        title,
        original_title,
        original_language: detail.original_language,
        overview: detail.overview,
        release_date: detail.release_date,
        runtime: detail
            .runtime
            .and_then(|minutes| i32::try_from(minutes).ok())
            .filter(|minutes| *minutes > 0),
        popularity: finite(detail.popularity, f64::MAX),
        vote_average: finite(detail.vote_average, 10.0),
        vote_count: i32::try_from(detail.vote_count.max(0)).unwrap_or(i32::MAX),
        poster_path: filled(detail.poster_path),
        backdrop_path: filled(detail.backdrop_path),
        imdb_id: filled(detail.imdb_id),
        adult: detail.adult,
        genre_ids,
        countries,
        keywords: detail.keywords.keywords,
        people,
        providers: providers(&detail.watch_providers),
        titles,
        source_hash: hash(&document),
        document,
    })
}

fn people(credits: &Credits) -> Vec<Person> {
    let mut cast: Vec<&CastMember> = credits.cast.iter().collect();
    cast.sort_by_key(|member| member.order);
    let crew = credits
        .crew
        .iter()
        .filter(|member| JOBS.contains(&member.job.as_str()))
        .map(|member| Person {
            id: member.id,
            name: member.name.clone(),
            job: member.job.clone(),
        });
    crew.chain(cast.into_iter().take(CAST).map(|member| Person {
        id: member.id,
        name: member.name.clone(),
        job: "Actor".to_owned(),
    }))
    .collect()
}

/// Titles beside the film's own two, each once.
fn titles(detail: &Detail, own: [&str; 2]) -> Vec<AlternativeTitle> {
    let translated = detail
        .translations
        .translations
        .iter()
        .map(|translation| AlternativeTitle {
            title: translation.data.title.trim().to_owned(),
            language: translation.iso_639_1.clone(),
            country: translation.iso_3166_1.clone(),
        });
    let alternative = detail
        .alternative_titles
        .titles
        .iter()
        .map(|title| AlternativeTitle {
            title: title.title.trim().to_owned(),
            language: None,
            country: Some(title.iso_3166_1.clone()),
        });
    let mut all: Vec<AlternativeTitle> = Vec::new();
    for title in translated.chain(alternative) {
        let known = own.contains(&title.title.as_str())
            || all
                .iter()
                .any(|other| other.title == title.title && other.language == title.language);
        if !title.title.is_empty() && !known {
            all.push(title);
        }
    }
    all
}

/// On which terms TMDB tells of providers.
const TERMS: [&str; 5] = ["flatrate", "free", "ads", "rent", "buy"];

/// By region, terms and TMDB's own order.
fn providers(told: &WatchProviders) -> Vec<Provider> {
    let mut all = Vec::new();
    for (region, entry) in &told.results {
        let link = entry["link"].as_str().unwrap_or_default();
        for terms in TERMS {
            let mut shown: Vec<ProviderIn> = entry[terms]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|provider| serde_json::from_value(provider.clone()).ok())
                .collect();
            shown.sort_by_key(|provider| (provider.display_priority, provider.provider_id));
            all.extend(shown.into_iter().map(|provider| Provider {
                region: region.clone(),
                r#type: terms.to_owned(),
                provider_id: provider.provider_id,
                provider_name: provider.provider_name,
                logo_path: provider.logo_path,
                display_priority: provider.display_priority,
                link: link.to_owned(),
            }));
        }
    }
    all
}

fn first_filled(texts: [&String; 2]) -> String {
    texts
        .into_iter()
        .map(|text| text.trim())
        .find(|text| !text.is_empty())
        .unwrap_or_default()
        .to_owned()
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

fn finite(number: f64, most: f64) -> f64 {
    if number.is_finite() {
        number.clamp(0.0, most)
    } else {
        0.0
    }
}

/// Postgres stores no NUL, neither in text nor in JSON.
fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "")),
        Value::Array(values) => values.into_iter().map(without_nul).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name.replace('\0', ""), without_nul(value)))
            .collect(),
        other => other,
    }
}

/// `serde_json` keeps the members of an object in the order of their names, so that equal documents
/// have equal text.
fn hash(document: &Value) -> String {
    use std::fmt::Write;
    let digest = Sha256::digest(document.to_string());
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_tmdb_does_not_know_is_unknown_and_what_is_broken_is_no_more_than_that() {
        let film = movie(json!({
            "id": 7, "title": "A\u{0}", "release_date": "", "runtime": 0, "popularity": null,
            "vote_average": "high", "vote_count": -3, "poster_path": null,
            "genres": [{"id": 18, "name": "Drama"}, {"id": "x"}, null],
            "credits": {"cast": [{"id": 2, "name": "B", "order": 1}, {"id": 1, "name": "A", "order": 0}],
                        "crew": [{"id": 3, "name": "D", "job": "Director"}, {"id": 4, "name": "G", "job": "Gaffer"}]},
        }))
        .expect("a film");
        assert_eq!(
            (film.title.as_str(), film.original_title.as_str()),
            ("A", "A")
        );
        assert_eq!(
            (film.release_date, film.runtime, film.vote_count),
            (None, None, 0)
        );
        assert_eq!(film.genre_ids, [18]);
        let jobs: Vec<_> = film.people.iter().map(|p| (p.id, p.job.as_str())).collect();
        assert_eq!(jobs, [(3, "Director"), (1, "Actor"), (2, "Actor")]);
        assert!(movie(json!({"title": "no id"})).is_err());
        assert!(movie(json!({"id": 7, "title": " "})).is_err());
    }

    #[test]
    fn the_hash_knows_content_not_order() {
        let one = movie(json!({"id": 1, "title": "x"})).expect("a film");
        let two =
            movie(serde_json::from_str(r#"{"title":"x","id":1}"#).expect("JSON")).expect("a film");
        let other = movie(json!({"id": 1, "title": "y"})).expect("a film");
        assert_eq!(one.source_hash, two.source_hash);
        assert_ne!(one.source_hash, other.source_hash);
    }
}
