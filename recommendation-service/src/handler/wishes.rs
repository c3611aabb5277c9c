//! What a client may ask of a list for a user, read as a whole, so that it hears of all that is wrong at
//! once.

use std::fmt::Write as _;

use chassis::{paging::Cursor, problem::FieldError};
use filter::{Filter, FilterParams};
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams,
    openapi::path::{Parameter, ParameterIn},
};
use uuid::Uuid;

use crate::{models::Strategy, service::making::Wishes};

const DEFAULT_LIMIT: usize = 10;
const MOST_FILMS: i64 = 100;

/// The parameters beside the filter's.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// How many films at most; 10 where not given.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, example = 10)]
    limit: Option<String>,
    /// The `next_cursor` of the page before: goes on with the same list. What else is asked for must be the
    /// same as then, but for `limit` and `explain`.
    cursor: Option<String>,
    /// How films are scored: `blend` where not given.
    #[param(inline, value_type = Option<Strategy>)]
    strategy: Option<String>,
    /// Whether films that the user has seen or judged are left out: `true` where not given. What they dislike
    /// is never recommended.
    #[param(value_type = Option<bool>)]
    exclude_seen: Option<String>,
    /// From 0, the best films, to 1, the most different from each other; 0 where not given.
    #[param(value_type = Option<f64>, minimum = 0, maximum = 1)]
    diversity: Option<String>,
    /// Whether each film comes with why it has its score.
    #[param(value_type = Option<bool>)]
    explain: Option<String>,
}

/// All parameters of a list for a user.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RecommendationsQuery {
    #[serde(flatten)]
    list: ListParams,
    #[serde(flatten)]
    filter: FilterParams,
}

impl IntoParams for RecommendationsQuery {
    fn into_params(location: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut all = ListParams::into_params(&location);
        all.extend(FilterParams::into_params(&location));
        all
    }
}

/// A place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct ListCursor {
    /// Which list.
    pub(super) list: Uuid,
    /// The place.
    pub(super) from: usize,
}

impl Cursor for ListCursor {}

/// What a client asks for.
pub(super) struct ListRequest {
    pub(super) wishes: Wishes,
    pub(super) cursor: Option<ListCursor>,
    pub(super) explain: bool,
}

/// Reads parameters, and collects what is wrong with them.
pub(super) struct Reader {
    pub(super) errors: Vec<FieldError>,
}

impl Reader {
    pub(super) fn limit(&mut self, text: Option<&String>) -> Option<usize> {
        let number = text?.parse::<i64>().ok();
        let number = number.filter(|number| (1..=MOST_FILMS).contains(number));
        if number.is_none() {
            let message = format!("must be a whole number from 1 to {MOST_FILMS}");
            self.errors.push(FieldError::new("limit", message));
        }
        number.and_then(|number| usize::try_from(number).ok())
    }

    pub(super) fn switch(&mut self, field: &str, text: Option<&String>, default: bool) -> bool {
        match text.map(String::as_str) {
            None => default,
            Some("true") => true,
            Some("false") => false,
            Some(_) => {
                self.errors
                    .push(FieldError::new(field, "must be true or false"));
                default
            }
        }
    }

    pub(super) fn strategy(&mut self, text: Option<&String>) -> Strategy {
        let Some(text) = text else {
            return Strategy::default();
        };
        serde_json::from_value(serde_json::Value::from(text.as_str())).unwrap_or_else(|_| {
            let message =
                "must be blend, rules, popularity, ease, ials, spectral, content or taste";
            self.errors.push(FieldError::new("strategy", message));
            Strategy::default()
        })
    }

    fn diversity(&mut self, text: Option<&String>) -> f32 {
        let number = text.map_or(Some(0.0), |text| text.parse::<f32>().ok());
        number
            .filter(|number| (0.0..=1.0).contains(number))
            .unwrap_or_else(|| {
                self.errors
                    .push(FieldError::new("diversity", "must be a number from 0 to 1"));
                0.0
            })
    }

    pub(super) fn cursor(&mut self, text: Option<&String>) -> Option<ListCursor> {
        let cursor = ListCursor::decode(text?);
        if cursor.is_none() {
            let message = "must be the next_cursor of the page before";
            self.errors.push(FieldError::new("cursor", message));
        }
        cursor
    }
}

impl RecommendationsQuery {
    /// What is asked for.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn parse(&self) -> Result<ListRequest, Vec<FieldError>> {
        let params = &self.list;
        let mut reader = Reader { errors: Vec::new() };
        let limit = reader.limit(params.limit.as_ref()).unwrap_or(DEFAULT_LIMIT);
        let strategy = reader.strategy(params.strategy.as_ref());
        let exclude_seen = reader.switch("exclude_seen", params.exclude_seen.as_ref(), true);
        let diversity = reader.diversity(params.diversity.as_ref());
        let explain = reader.switch("explain", params.explain.as_ref(), false);
        let cursor = reader.cursor(params.cursor.as_ref());
        let mut errors = reader.errors;
        let filter = Filter::parse(&self.filter, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut asked = format!("{} {exclude_seen} {diversity}", strategy.as_str());
        for (name, value) in self.filter.entries() {
            let _ = write!(asked, " {name}={value:?}");
        }
        Ok(ListRequest {
            wishes: Wishes {
                strategy,
                filter,
                exclude_seen,
                diversity,
                limit,
                is_chosen: params.strategy.is_some(),
                asked,
            },
            cursor,
            explain,
        })
    }
}
