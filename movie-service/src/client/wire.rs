//! Decoding of TMDB's documents for [`super::tmdb`]. A field that is missing, null, of another type or out of range
//! counts as unknown; only the id and the title are required.

use std::collections::{BTreeMap, BTreeSet};

use chassis::language::Language;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::models::{
    AlternativeTitle, Collection, Genre, Names, NewMovie, Person, Provider, Translation,
};

/// Members of the cast that are kept.
const MAX_CAST: usize = 10;
/// Jobs of the crew that are kept.
const CREW_JOBS: [&str; 3] = ["Director", "Writer", "Screenplay"];
/// Movies that TMDB recommends beside one that are kept, of the 20 that it sends.
const MAX_RECOMMENDED: usize = 10;
/// Kinds of offers of watch providers.
const OFFER_TYPES: [&str; 5] = ["flatrate", "free", "ads", "rent", "buy"];

/// A page of a list.
#[derive(Debug, Deserialize)]
pub struct ListPage {
    /// The entries; unreadable ones are left out.
    #[serde(default, deserialize_with = "readable_entries")]
    pub results: Vec<ListEntry>,
    /// The number of pages.
    #[serde(default, deserialize_with = "or_default")]
    pub total_pages: i64,
}

/// A movie in a list.
#[derive(Debug, Deserialize)]
pub struct ListEntry {
    /// TMDB's id.
    pub id: i64,
    /// TMDB's adult-content flag.
    #[serde(default, deserialize_with = "or_default")]
    pub adult: bool,
}

/// A page of a search.
#[derive(Debug, Deserialize)]
pub struct SearchPage {
    /// The movies; unreadable ones are left out.
    #[serde(default, deserialize_with = "readable_entries")]
    pub results: Vec<FoundMovie>,
}

/// A movie that a search found.
#[derive(Debug, Clone, Deserialize)]
pub struct FoundMovie {
    /// TMDB's id.
    pub id: i64,
    /// The title in the catalogue's language.
    #[serde(default, deserialize_with = "or_default")]
    pub title: String,
    /// The title in its original language.
    #[serde(default, deserialize_with = "or_default")]
    pub original_title: String,
    /// The day of release, or an empty text.
    #[serde(default, deserialize_with = "or_default")]
    pub release_date: String,
    /// The number of votes.
    #[serde(default, deserialize_with = "or_default")]
    pub vote_count: i64,
}

impl FoundMovie {
    /// An estimate of the size in memory.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.title.len() + self.original_title.len() + self.release_date.len()
    }

    /// The year of release.
    pub fn year(&self) -> Option<i32> {
        self.release_date.get(..4)?.parse().ok()
    }
}

/// All genres.
#[derive(Debug, Deserialize)]
pub struct GenreList {
    /// The genres.
    pub genres: Vec<Genre>,
}

#[derive(Deserialize)]
struct Country {
    iso_3166_1: String,
}

fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

fn readable_entries<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let values = Option::<Value>::deserialize(deserializer)?.unwrap_or_default();
    if !values.is_array() && !values.is_null() {
        return Err(serde::de::Error::custom("not a list"));
    }
    Ok(entries(&values).collect())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The readable entries of a list.
fn entries<T: DeserializeOwned>(value: &Value) -> impl Iterator<Item = T> {
    list(value).filter_map(|entry| T::deserialize(entry).ok())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default().trim()
}

/// A text, or `None` if it is blank.
fn filled(value: &Value) -> Option<String> {
    let text = value.as_str().filter(|text| !text.trim().is_empty());
    text.map(str::to_owned)
}

fn number(value: &Value, max: f64) -> f64 {
    value.as_f64().unwrap_or_default().clamp(0.0, max)
}

/// Decodes a movie's details with their appended parts.
///
/// # Errors
/// Describes the problem if the document has no positive id or no title.
pub fn movie(document: Value) -> Result<NewMovie, String> {
    let mut document = without_nul(document);
    // Twenty other movies with their plots, of which the ids are enough.
    let recommended = (document.as_object_mut())
        .and_then(|parts| parts.remove("recommendations"))
        .unwrap_or_default();
    let field = |name: &str| &document[name];
    let owned = |name: &str| field(name).as_str().unwrap_or_default().to_owned();
    let id = field("id").as_i64().filter(|id| *id > 0);
    let (title, original_title) = match (text(field("title")), text(field("original_title"))) {
        ("", "") => return Err("there is no title".to_owned()),
        ("", only) | (only, "") => (only, only),
        both => both,
    };
    let countries: BTreeSet<String> = entries::<Country>(field("production_countries"))
        .map(|country| country.iso_3166_1)
        .chain(entries(field("origin_country")))
        .collect();
    let genres: Vec<Genre> = entries(field("genres")).collect();
    let genre_ids: BTreeSet<i32> = genres.iter().map(|genre| genre.id).collect();
    let runtime = field("runtime").as_i64();
    let vote_count = field("vote_count").as_i64().unwrap_or_default();
    let id = id.ok_or("the id is missing or not positive")?;
    let recommended = recommendations(id, &recommended["results"]);
    // The members of a JSON object are sorted, so equal documents have equal text.
    let mut hash = Sha256::new_with_prefix(document.to_string());
    if !recommended.is_empty() {
        hash.update(format!("{recommended:?}"));
    }
    Ok(NewMovie {
        id,
        title: title.to_owned(),
        original_title: original_title.to_owned(),
        original_language: owned("original_language"),
        overview: owned("overview"),
        release_date: field("release_date")
            .as_str()
            .and_then(|date| date.parse().ok()),
        runtime: runtime
            .and_then(|minutes| i32::try_from(minutes).ok())
            .filter(|minutes| *minutes > 0),
        popularity: number(field("popularity"), f64::MAX),
        vote_average: number(field("vote_average"), 10.0),
        vote_count: i32::try_from(vote_count.max(0)).unwrap_or(i32::MAX),
        poster_path: filled(field("poster_path")),
        backdrop_path: filled(field("backdrop_path")),
        imdb_id: filled(field("imdb_id")),
        adult: field("adult").as_bool().unwrap_or_default(),
        genre_ids: genre_ids.into_iter().collect(),
        genres,
        countries: countries.into_iter().collect(),
        keywords: entries(&document["keywords"]["keywords"]).collect(),
        people: people(&document["credits"]),
        providers: providers(&document["watch/providers"]["results"]),
        titles: titles(&document, [title, original_title]),
        translations: translations(&document, title, text(field("overview"))),
        collection: Collection::deserialize(field("belongs_to_collection")).ok(),
        recommended,
        source_hash: format!("{:x}", hash.finalize()),
        document,
    })
}

/// The first of the movies that TMDB recommends beside movie `id`.
fn recommendations(id: i64, results: &Value) -> Vec<i64> {
    let mut ids = Vec::new();
    for entry in entries::<ListEntry>(results) {
        let is_new = entry.id > 0 && entry.id != id && !ids.contains(&entry.id);
        if is_new && !entry.adult && ids.len() < MAX_RECOMMENDED {
            ids.push(entry.id);
        }
    }
    ids
}

/// The kept crew, then the first of the cast in order of billing.
fn people(credits: &Value) -> Vec<Person> {
    let crew = list(&credits["crew"]).filter_map(|member| {
        let job = member["job"].as_str()?;
        CREW_JOBS.contains(&job).then(|| person(member, job))?
    });
    let mut cast: Vec<&Value> = list(&credits["cast"]).collect();
    cast.sort_by_key(|member| member["order"].as_i64().unwrap_or_default());
    let cast = cast
        .into_iter()
        .filter_map(|member| person(member, "Actor"));
    crew.chain(cast.take(MAX_CAST)).collect()
}

fn person(member: &Value, job: &str) -> Option<Person> {
    let name = member["name"].as_str()?;
    let original = text(&member["original_name"]);
    let mut names = Names::new();
    // Only Hangul tells the language of a name.
    if original != name && is_hangul(original) {
        names.insert("ko".to_owned(), original.to_owned());
    }
    Some(Person {
        id: member["id"].as_i64()?,
        name: name.to_owned(),
        job: job.to_owned(),
        names,
    })
}

/// True for at least one syllable of Hangul, and nothing else but spaces.
fn is_hangul(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| matches!(c, '가'..='힣' | ' '))
}

/// True if TMDB has texts of `movie` in `language`.
pub fn is_translated(movie: &NewMovie, language: Language) -> bool {
    let mut translations = list(&movie.document["translations"]["translations"]);
    translations.any(|translation| text(&translation["iso_639_1"]) == language.primary())
}

/// Adds the names of people in `language` from the `credits` in that language.
pub fn add_names(movie: &mut NewMovie, language: Language, credits: &Value) {
    let members = list(&credits["cast"]).chain(list(&credits["crew"]));
    let names = members.filter_map(|member| Some((member["id"].as_i64()?, text(&member["name"]))));
    let names: BTreeMap<i64, &str> = names.filter(|(_, name)| !name.is_empty()).collect();
    let mut hash = Sha256::new_with_prefix(&movie.source_hash);
    let mut is_named = false;
    for person in &mut movie.people {
        // TMDB repeats the catalogue's name where it has no other.
        let name = names.get(&person.id).filter(|name| **name != person.name);
        if let Some(name) = name.map(|name| name.replace('\0', "")) {
            hash.update(format!("{} {language} {name}\n", person.id));
            person.names.insert(language.primary().to_owned(), name);
            is_named = true;
        }
    }
    if is_named {
        movie.source_hash = format!("{:x}", hash.finalize());
    }
}

/// The texts in each language and region, once, unless they are those of the movie itself.
fn translations(document: &Value, title: &str, overview: &str) -> Vec<Translation> {
    let mut all: Vec<Translation> = Vec::new();
    for translation in list(&document["translations"]["translations"]) {
        let code = [
            text(&translation["iso_639_1"]),
            text(&translation["iso_3166_1"]),
        ]
        .join("-");
        let Some(language) = Language::parse(code.trim_end_matches('-')) else {
            continue;
        };
        let data = &translation["data"];
        let translation = Translation {
            language: language.primary().to_owned(),
            region: language.region().unwrap_or_default().to_owned(),
            title: text(&data["title"]).to_owned(),
            overview: text(&data["overview"]).to_owned(),
        };
        let is_new = |text: &str, own: &str| !text.is_empty() && text != own;
        let is_known = all.iter().any(|other| {
            (&other.language, &other.region) == (&translation.language, &translation.region)
        });
        if !is_known
            && (is_new(&translation.title, title) || is_new(&translation.overview, overview))
        {
            all.push(translation);
        }
    }
    all
}

/// Translated and alternative titles, each once and without the movie's `own` two.
fn titles(document: &Value, own: [&str; 2]) -> Vec<AlternativeTitle> {
    let code = |value: &Value| value.as_str().map(str::to_owned);
    let translated = list(&document["translations"]["translations"]).map(|translation| {
        let title = text(&translation["data"]["title"]);
        let language = code(&translation["iso_639_1"]);
        (title, language, code(&translation["iso_3166_1"]))
    });
    let alternative = list(&document["alternative_titles"]["titles"]).filter_map(|title| {
        let country = code(&title["iso_3166_1"])?;
        Some((text(&title["title"]), None, Some(country)))
    });
    let mut all: Vec<AlternativeTitle> = Vec::new();
    for (title, language, country) in translated.chain(alternative) {
        let is_known = own.contains(&title)
            || all
                .iter()
                .any(|other| other.title == title && other.language == language);
        if !title.is_empty() && !is_known {
            all.push(AlternativeTitle {
                title: title.to_owned(),
                language,
                country,
            });
        }
    }
    all
}

/// Watch providers by region, kind of offer and TMDB's display priority.
fn providers(regions: &Value) -> Vec<Provider> {
    let mut all = Vec::new();
    for (region, offers) in regions.as_object().into_iter().flatten() {
        for kind in OFFER_TYPES {
            let offers = list(&offers[kind]).filter_map(|offer| {
                Some(Provider {
                    region: region.clone(),
                    r#type: kind.to_owned(),
                    provider_id: offer["provider_id"].as_i64()?,
                    provider_name: offer["provider_name"].as_str()?.to_owned(),
                    logo_path: offer["logo_path"].as_str().map(str::to_owned),
                    display_priority: offer["display_priority"].as_i64().unwrap_or_default(),
                    link: offers["link"].as_str().unwrap_or_default().to_owned(),
                    // Of demo-tmdb alone.
                    sample: offers["sample"].as_bool().unwrap_or_default(),
                })
            });
            let mut offers: Vec<Provider> = offers.collect();
            offers.sort_by_key(|offer| (offer.display_priority, offer.provider_id));
            all.append(&mut offers);
        }
    }
    all
}

/// Removes NUL, which Postgres stores neither in text nor in jsonb.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_and_invalid_fields_are_left_empty() {
        let film = movie(json!({
            "id": 7, "title": "A\u{0}", "release_date": "", "runtime": 0, "popularity": null,
            "vote_average": "high", "vote_count": -3, "poster_path": null,
            "genres": [{"id": 18, "name": "Drama"}, {"id": "x"}, null],
            "credits": {"cast": [{"id": 2, "name": "B", "order": 1}, {"id": 1, "name": "A", "order": 0}],
                        "crew": [{"id": 3, "name": "D", "job": "Director"}, {"id": 4, "name": "G", "job": "Gaffer"}]},
            "belongs_to_collection": {"id": 70, "name": "A Collection", "poster_path": null},
            "recommendations": {"results": [{"id": 8}, {"id": 7}, {"id": 9, "adult": true}, {"id": 8}, {"id": 6}, {}]},
        }))
        .expect("a movie");
        let person = |id, name: &str, job: &str| Person {
            id,
            name: name.to_owned(),
            job: job.to_owned(),
            names: Names::new(),
        };
        let expected = NewMovie {
            id: 7,
            title: "A".to_owned(),
            original_title: "A".to_owned(),
            genre_ids: vec![18],
            genres: vec![Genre {
                id: 18,
                name: "Drama".to_owned(),
                ..Genre::default()
            }],
            people: vec![
                person(3, "D", "Director"),
                person(1, "A", "Actor"),
                person(2, "B", "Actor"),
            ],
            collection: Some(Collection {
                id: 70,
                name: "A Collection".to_owned(),
            }),
            recommended: vec![8, 6],
            document: film.document.clone(),
            source_hash: film.source_hash.clone(),
            ..NewMovie::default()
        };
        assert_eq!(film, expected);
        assert!(film.document.get("recommendations").is_none());
        assert!(movie(json!({"title": "no id"})).is_err());
        assert!(movie(json!({"id": 7, "title": " "})).is_err());
    }

    #[test]
    fn translations_and_names_in_other_languages_are_kept() {
        let entry = |language: &str, region: &str, title: &str, overview: &str| json!({"iso_639_1": language, "iso_3166_1": region, "data": {"title": title, "overview": overview}});
        let mut film = movie(json!({
            "id": 7, "title": "Train", "original_title": "부산행", "original_language": "ko", "overview": "Zombies.",
            "credits": {
                "cast": [{"id": 1, "name": "Gong Yoo", "original_name": "공유"}, {"id": 2, "name": "Ma"}],
                "crew": [{"id": 3, "name": "Yeon", "original_name": "Ён", "job": "Director"}, {"name": "X", "job": "Writer"}],
            },
            "translations": {"translations": [
                entry("en", "US", "", "Zombies."), entry("ko", "KR", "", "좀비."), entry("ko", "KR", "again", ""),
                entry("fr", "FR", " Dernier train ", ""), entry("de", "DE", "Train", ""), entry("xx", "", "", ""),
                entry("english", "US", "No code", ""), json!({"iso_639_1": "it"}), json!(null),
            ]},
        }))
        .expect("a movie");
        let kept: Vec<String> = film
            .translations
            .iter()
            .map(|kept| {
                format!(
                    "{}-{} {}|{}",
                    kept.language, kept.region, kept.title, kept.overview
                )
            })
            .collect();
        assert_eq!(kept, ["ko-KR |좀비.", "fr-FR Dernier train|"]);
        let korean = Language::parse("ko-KR").expect("a tag");
        assert!(is_translated(&film, korean));
        let before = film.source_hash.clone();
        add_names(
            &mut film,
            korean,
            &json!({"cast": [{"id": 1, "name": "Gong Yoo"}]}),
        );
        assert_eq!(film.source_hash, before, "no names");
        add_names(
            &mut film,
            korean,
            &json!({"cast": [{"id": 2, "name": "마동석"}], "crew": [{"id": 3, "name": "연상호"}]}),
        );
        assert_ne!(film.source_hash, before);
        let people = serde_json::to_value(&film.people).expect("JSON");
        assert_eq!(
            people,
            json!([
                {"id": 3, "name": "Yeon", "job": "Director", "names": {"ko": "연상호"}},
                {"id": 1, "name": "Gong Yoo", "job": "Actor", "names": {"ko": "공유"}},
                {"id": 2, "name": "Ma", "job": "Actor", "names": {"ko": "마동석"}},
            ])
        );
    }

    #[test]
    fn the_hash_depends_on_content_but_not_on_order() {
        let hash = |document: &str| {
            let movie = movie(serde_json::from_str(document).expect("JSON")).expect("a movie");
            movie.source_hash
        };
        let one = hash(r#"{"id":1,"title":"x"}"#);
        let recommending = r#"{"id":1,"title":"x","recommendations":{"results":[{"id":2}]}}"#;
        assert_ne!(one, hash(recommending));
        assert_eq!(one, hash(r#"{"title":"x","id":1}"#));
        assert_ne!(one, hash(r#"{"id":1,"title":"y"}"#));
    }
}
