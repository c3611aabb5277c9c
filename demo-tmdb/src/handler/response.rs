//! The shapes that several of TMDB's responses share: a movie in a list, a page, the parts of a movie. Where the
//! catalogue has no facts, the shape is there and empty.

use serde_json::{Value, json};

use super::error::TmdbError;
use super::params::{LAST_PAGE, Params};
use crate::catalogue::{Catalogue, Film, Language, genre_name, overview};

const PAGE_SIZE: usize = 20;

/// The most movies of a list that TMDB cuts off.
pub(super) const MAX_LIST: usize = LAST_PAGE * PAGE_SIZE;

/// A film as lists show it.
pub(super) fn list_item(catalogue: &Catalogue, film: &Film, language: Language<'_>) -> Value {
    json!({
        "adult": film.adult,
        "backdrop_path": null,
        "genre_ids": film.genres,
        "id": film.id,
        "original_language": film.language,
        "original_title": film.original_title,
        "overview": overview(catalogue, film, language),
        "popularity": film.popularity,
        "poster_path": catalogue.poster_path(film),
        "release_date": release_date(film),
        "softcore": false,
        "title": film.title_in(language),
        "video": false,
        "vote_average": film.vote_average,
        "vote_count": film.vote_count,
    })
}

/// One page of a list of films.
///
/// # Errors
/// TMDB's code 22 if the page is invalid.
pub(super) fn film_page(
    catalogue: &Catalogue,
    params: &Params,
    films: &[&Film],
) -> Result<Value, TmdbError> {
    page(params, films, |film| {
        list_item(catalogue, film, params.language())
    })
}

/// The release date; an empty text if unknown, as TMDB has it.
pub(super) fn release_date(film: &Film) -> String {
    let date = film.release_date.map(|date| date.to_string());
    date.unwrap_or_default()
}

/// One page of a list, with what `item` makes of each entry on it.
///
/// # Errors
/// TMDB's code 22 if the page is invalid.
pub(super) fn page<T>(
    params: &Params,
    all: &[T],
    item: impl Fn(&T) -> Value,
) -> Result<Value, TmdbError> {
    let page = params.page()?;
    let results: Vec<Value> = all
        .iter()
        .skip((page - 1) * PAGE_SIZE)
        .take(PAGE_SIZE)
        .map(item)
        .collect();
    Ok(json!({
        "page": page,
        "results": results,
        // An empty list still has one page.
        "total_pages": all.len().div_ceil(PAGE_SIZE).max(1),
        "total_results": all.len(),
    }))
}

/// A film as its own page shows it.
pub(super) fn details(catalogue: &Catalogue, film: &Film, language: Language<'_>) -> Value {
    let genres: Vec<Value> = film
        .genres
        .iter()
        .map(|id| json!({ "id": id, "name": genre_name(*id, language == Language::Korean) }))
        .collect();
    let mut details = list_item(catalogue, film, language);
    let more = json!({
        "belongs_to_collection": null,
        "budget": 0,
        "genres": genres,
        "homepage": "",
        "imdb_id": film.imdb_id,
        "origin_country": [],
        "production_companies": [],
        "production_countries": [],
        "revenue": 0,
        "runtime": film.runtime,
        "spoken_languages": [],
        "status": "Released",
        "tagline": "",
    });
    if let (Value::Object(details), Value::Object(more)) = (&mut details, more) {
        details.remove("genre_ids");
        details.extend(more);
    }
    details
}

/// Cast and directors.
pub(super) fn credits(catalogue: &Catalogue, film: &Film, language: Language<'_>) -> Value {
    let cast: Vec<Value> = film
        .cast
        .iter()
        .enumerate()
        .map(|(order, id)| {
            let mut person = person(catalogue, film, *id, "Acting", language);
            person["cast_id"] = json!(order + 1);
            // The facts have no characters; TMDB too has this empty at times.
            person["character"] = json!("");
            person["order"] = json!(order);
            person
        })
        .collect();
    let crew: Vec<Value> = film
        .directors
        .iter()
        .map(|id| {
            let mut person = person(catalogue, film, *id, "Directing", language);
            person["department"] = json!("Directing");
            person["job"] = json!("Director");
            person
        })
        .collect();
    json!({ "cast": cast, "crew": crew })
}

fn person(
    catalogue: &Catalogue,
    film: &Film,
    id: u32,
    department: &str,
    language: Language<'_>,
) -> Value {
    let (name, details) = catalogue.people.find(id).unzip();
    let name = name.unwrap_or_default();
    let korean_name = details.and_then(|person| person.korean_name.as_deref());
    let korean_name = korean_name.filter(|_| language == Language::Korean);
    let job = if department == "Acting" { 1 } else { 2 };
    json!({
        "adult": false,
        "credit_id": format!("{:012x}{id:08x}{job:04x}", film.id),
        "gender": 0,
        "id": id,
        "known_for_department": department,
        "name": korean_name.unwrap_or(name),
        "original_name": name,
        "popularity": details.map_or(0.0, |person| f64::from(person.films)),
        "profile_path": null,
    })
}

pub(super) fn keywords(catalogue: &Catalogue, film: &Film) -> Value {
    let keywords: Vec<Value> = film
        .keywords
        .iter()
        .map(|id| json!({ "id": id, "name": catalogue.keywords.name(*id) }))
        .collect();
    json!({ "keywords": keywords })
}

/// English always, Korean where there is a Korean title. As at TMDB, the original title is not repeated.
pub(super) fn translations(catalogue: &Catalogue, film: &Film) -> Value {
    let data = |language| {
        let (code, title) = match language {
            Language::Korean => ("ko", film.title_in(language)),
            _ => ("en", film.title.as_str()),
        };
        let is_original = film.language == code && film.original_title == title;
        json!({
            "homepage": "",
            "overview": overview(catalogue, film, language),
            "runtime": film.runtime,
            "tagline": "",
            "title": if is_original { "" } else { title },
        })
    };
    let mut translations = vec![json!({
        "iso_3166_1": "US",
        "iso_639_1": "en",
        "name": "English",
        "english_name": "English",
        "data": data(Language::English),
    })];
    if film.korean_title.is_some() || film.language == "ko" {
        translations.push(json!({
            "iso_3166_1": "KR",
            "iso_639_1": "ko",
            "name": "한국어/조선말",
            "english_name": "Korean",
            "data": data(Language::Korean),
        }));
    }
    json!({ "translations": translations })
}

pub(super) fn external_ids(film: &Film) -> Value {
    json!({
        "imdb_id": film.imdb_id,
        "wikidata_id": null,
        "facebook_id": null,
        "instagram_id": null,
        "twitter_id": null,
    })
}

/// The Korean title, unless another country is requested.
pub(super) fn alternative_titles(film: &Film, country: Option<&str>) -> Value {
    let titles: Vec<Value> = film
        .korean_title
        .iter()
        .filter(|_| {
            country.is_none_or(|country| country.is_empty() || country.eq_ignore_ascii_case("KR"))
        })
        .map(|title| json!({ "iso_3166_1": "KR", "title": title, "type": "" }))
        .collect();
    json!({ "titles": titles })
}
