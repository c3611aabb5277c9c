//! The query parameters of searches, validated as a whole, so that a response names every invalid one.

use chassis::{
    language::Language,
    paging::{Cursor, DEFAULT_PAGE_SIZE, next_link},
    validate::{FieldError, Validator},
};
use search::Place;
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams,
    openapi::path::{Parameter, ParameterIn},
};

use crate::{
    handler::movies::{
        entry::{FieldParams, Fields},
        query::fingerprint,
    },
    models::{Filter, FilterParams},
};

/// The longest query, in characters.
const MAX_CHARS: usize = 200;
/// Results per page.
const MAX_PAGE_SIZE: i64 = 100;

/// The description of the parameter `language`, which is no filter here.
const LANGUAGE: &str = "The display language, BCP 47: `ko`, `KO` and `ko-KR` alike. Texts that are not known in it are in the \
    catalogue's language. `original_language` filters.";

/// The parameters beside the filter's.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SearchParams {
    /// The query, 1 to 200 characters: a title in any language, names of cast and directors, keywords, a year.
    #[param(value_type = String, example = "oldboy", min_length = 1, max_length = 200, pattern = r"^[^\u0000-\u0008\u000E-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u0008\u000E-\u001F\u007F-\u009F]*$")]
    q: Option<String>,
    /// Movies per page.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, default = 20, example = 10)]
    page_size: Option<String>,
    /// The `next_cursor` of the previous page. The query and filters must be the same.
    #[param(example = "eyJzY29yZSI6MC45fQ")]
    cursor: Option<String>,
    /// True to count movies by genre, year and language.
    #[param(value_type = Option<bool>, default = true, example = false)]
    facets: Option<String>,
}

/// All parameters of a search.
#[derive(Debug, Deserialize)]
pub(in crate::handler) struct SearchQuery {
    #[serde(flatten)]
    params: SearchParams,
    #[serde(flatten)]
    fields: FieldParams,
    #[serde(flatten)]
    filter: FilterParams,
}

impl IntoParams for SearchQuery {
    fn into_params(location: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut all = SearchParams::into_params(&location);
        all.extend(FieldParams::into_params(&location));
        all.extend(FilterParams::into_params(&location));
        for parameter in all
            .iter_mut()
            .filter(|parameter| parameter.name == "language")
        {
            parameter.description = Some(LANGUAGE.to_owned());
            let display = NameQuery::into_params(&location).into_iter();
            let mut display = display.filter(|parameter| parameter.name == "language");
            parameter.schema = display.next().and_then(|parameter| parameter.schema);
        }
        all
    }
}

/// A valid search.
pub(super) struct ValidSearch {
    pub(super) query: String,
    pub(super) filter: Filter,
    pub(super) fields: Fields,
    pub(super) region: Option<String>,
    pub(super) language: Option<Language>,
    pub(super) page_size: i64,
    pub(super) after: Option<Place>,
    pub(super) facets: bool,
    pub(super) fingerprint: String,
}

/// The content of a cursor; with the query and filter, so that it cannot be used for another list.
#[derive(Serialize, Deserialize)]
struct SearchCursor {
    list: String,
    score: f32,
    id: i64,
}

impl Cursor for SearchCursor {}

/// The cursor of the page behind `place`.
pub(super) fn next_cursor(place: Place, fingerprint: &str) -> String {
    SearchCursor {
        list: fingerprint.to_owned(),
        score: place.score,
        id: place.id,
    }
    .encode()
}

/// The place that `cursor` names.
fn resume(cursor: &str, fingerprint: &str) -> Result<Place, &'static str> {
    let cursor = SearchCursor::decode(cursor).ok_or("must be a next_cursor of this list")?;
    if cursor.list != fingerprint {
        return Err("belongs to another query or other filters");
    }
    Ok(Place {
        score: cursor.score,
        id: cursor.id,
    })
}

/// Checks the text of a query.
pub(super) fn check_text(text: Option<&str>, check: &mut Validator) -> String {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        check.error(
            "q",
            "must be a text of 1 to 200 characters, such as a title",
        );
        return String::new();
    };
    if text.chars().count() > MAX_CHARS {
        check.error("q", format!("must be at most {MAX_CHARS} characters"));
    } else if text
        .chars()
        .any(|letter| letter.is_control() && !letter.is_whitespace())
    {
        check.error("q", "must not contain control characters");
    }
    text.to_owned()
}

impl SearchQuery {
    /// The conditions, and the display language. Unlike on lists, a code without a region is no condition: a movie that
    /// is searched by its Korean title need not be Korean.
    fn conditions(&self) -> (FilterParams, Option<String>) {
        let mut conditions = self.filter.clone();
        let language = conditions.language.take();
        (conditions, language)
    }

    /// Validates the parameters.
    pub(super) fn parse(&self) -> Result<ValidSearch, Vec<FieldError>> {
        let mut check = Validator::default();
        let params = &self.params;
        let query = check_text(params.q.as_deref(), &mut check);
        let fields = self.fields.parse(&mut check);
        let (conditions, language) = self.conditions();
        let language = Language::parse_parameter(&mut check, language.as_deref());
        let filter = Filter::parse(&conditions, &mut check);
        let fingerprint = fingerprint(&conditions, params.q.as_deref());
        let after = params
            .cursor
            .as_deref()
            .map(|cursor| resume(cursor, &fingerprint));
        let after = after.and_then(|after| check.take("cursor", after));
        let facets = match params.facets.as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => {
                check.error("facets", "must be true or false");
                true
            }
        };
        let page_size = check.integer("page_size", params.page_size.as_deref(), 1..=MAX_PAGE_SIZE);
        check.finish(ValidSearch {
            query,
            region: filter.region.clone(),
            language,
            filter,
            fields,
            page_size: page_size.unwrap_or(DEFAULT_PAGE_SIZE),
            after,
            facets,
            fingerprint,
        })
    }

    /// The link to the next page.
    pub(super) fn next_link(&self, cursor: &str) -> String {
        let params = &self.params;
        let own = [
            ("q", &params.q),
            ("page_size", &params.page_size),
            ("fields", &self.fields.fields),
            ("include", &self.fields.include),
            ("facets", &params.facets),
        ];
        let own = own.into_iter().map(|(name, value)| (name, value.clone()));
        let filter = self
            .filter
            .entries()
            .into_iter()
            .map(|(name, value)| (name, Some(value.to_owned())));
        let all: Vec<_> = own
            .chain(filter)
            .chain([("cursor", Some(cursor.to_owned()))])
            .collect();
        next_link("/api/v1/search", &all)
    }
}

/// The parameters of a search for people or keywords.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::handler) struct NameQuery {
    /// The name, perhaps not typed to the end, 1 to 200 characters.
    #[param(value_type = String, example = "park chan", min_length = 1, max_length = 200, pattern = r"^[^\u0000-\u0008\u000E-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u0008\u000E-\u001F\u007F-\u009F]*$")]
    q: Option<String>,
    /// Results per page.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, default = 20, example = 10)]
    page_size: Option<String>,
    /// The display language, BCP 47; a name that is not known in it keeps that of the catalogue.
    #[param(value_type = Option<String>, example = "ko-KR")]
    pub(super) language: Option<Language>,
    /// The `next_cursor` of the previous page, for the same name.
    #[param(example = "eyJzY29yZSI6MC45fQ")]
    cursor: Option<String>,
}

/// A valid search for people or keywords.
pub(super) struct ValidNames {
    pub(super) query: String,
    pub(super) page_size: i64,
    pub(super) after: Option<Place>,
    pub(super) fingerprint: String,
}

impl NameQuery {
    /// Validates the parameters.
    pub(super) fn parse(&self) -> Result<ValidNames, Vec<FieldError>> {
        let mut check = Validator::default();
        let query = check_text(self.q.as_deref(), &mut check);
        let fingerprint = fingerprint(&FilterParams::default(), self.q.as_deref());
        let after = self
            .cursor
            .as_deref()
            .map(|cursor| resume(cursor, &fingerprint));
        let after = after.and_then(|after| check.take("cursor", after));
        let page_size = check.integer("page_size", self.page_size.as_deref(), 1..=MAX_PAGE_SIZE);
        let page_size = page_size.unwrap_or(DEFAULT_PAGE_SIZE);
        check.finish(ValidNames {
            query,
            page_size,
            after,
            fingerprint,
        })
    }
}
