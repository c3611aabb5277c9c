//! The parameters of a list for a user, parsed as a whole, so that one response reports all errors.

use std::fmt::Write as _;

use chassis::{
    language::Language,
    paging::Cursor,
    validate::{FieldError, Validator},
};
use filter::{Filter, FilterParams};
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams,
    openapi::path::{Parameter, ParameterIn},
};
use uuid::Uuid;

use crate::ranking::{Strategy, pipeline::RankingRequest};

/// The default page size.
pub(super) const DEFAULT_LIMIT: usize = 10;
/// The range of page sizes.
pub(super) const LIMITS: std::ops::RangeInclusive<i64> = 1..=100;

/// The parameters beside those of the filter.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// The page size.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, default = 10, example = 5)]
    limit: Option<String>,
    /// The `next_cursor` of the previous page: continues the same list. All parameters but `limit` and `explain` must
    /// be the same.
    #[param(example = "eyJmcm9tIjoxMH0")]
    cursor: Option<String>,
    /// The strategy that scores movies.
    #[param(inline, value_type = Option<Strategy>, default = "blend", example = "rules")]
    strategy: Option<String>,
    /// Leaves out movies that the user has seen or judged. Movies that they dislike are never
    /// recommended.
    #[param(value_type = Option<bool>, default = true, example = false)]
    exclude_seen: Option<String>,
    /// The weight of diversity, from 0 (the best movies) to 1 (the most different).
    #[param(value_type = Option<f64>, minimum = 0, maximum = 1, default = 0, example = 0.3)]
    diversity: Option<String>,
    /// Adds the explanation of each score.
    #[param(value_type = Option<bool>, default = false, example = true)]
    explain: Option<String>,
}

/// The parameter of a response's language, where there is no filter.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LanguageQuery {
    /// The display language (BCP 47): titles, genres and reasons are in it where known. The default is that of
    /// `Accept-Language`, then the user's `preferred_language`, else the catalogue's own.
    #[param(value_type = Option<String>, example = "ko-KR")]
    pub(super) language: Option<Language>,
}

/// Parameters `P` beside those of the filter.
#[derive(Debug, Deserialize)]
pub(super) struct Filtered<P> {
    #[serde(flatten)]
    pub(super) params: P,
    #[serde(flatten)]
    pub(super) filter: FilterParams,
}

impl<P: IntoParams> IntoParams for Filtered<P> {
    fn into_params(location: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut all = P::into_params(&location);
        all.extend(FilterParams::into_params(&location));
        all
    }
}

/// All parameters of a list for a user.
pub(super) type RecommendationsQuery = Filtered<ListParams>;

/// A position in a list.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct ListCursor {
    /// The list.
    pub(super) list: Uuid,
    /// The position, from 0.
    pub(super) from: usize,
}

impl Cursor for ListCursor {}

impl ListCursor {
    /// The cursor that `text` encodes.
    pub(super) fn parse(check: &mut Validator, text: Option<&str>) -> Option<Self> {
        let message = "must be the next_cursor of the previous page";
        check.parse("cursor", text, Self::decode, message)
    }
}

/// A parsed request for a list.
pub(super) struct ListRequest {
    pub(super) ranking: RankingRequest,
    /// The display language.
    pub(super) language: Option<Language>,
    pub(super) cursor: Option<ListCursor>,
    pub(super) explain: bool,
}

impl RecommendationsQuery {
    /// Parses the parameters.
    ///
    /// # Errors
    /// Returns all invalid fields.
    pub(super) fn parse(&self) -> Result<ListRequest, Vec<FieldError>> {
        let params = &self.params;
        let mut check = Validator::default();
        let limit = check.integer("limit", params.limit.as_deref(), LIMITS);
        let strategy = params.strategy.as_deref();
        let strategy: Strategy = check
            .variant("strategy", strategy, Strategy::NAMES)
            .unwrap_or_default();
        let exclude_seen = check.boolean("exclude_seen", params.exclude_seen.as_deref());
        let exclude_seen = exclude_seen.unwrap_or(true);
        let diversity = check.decimal("diversity", params.diversity.as_deref(), 0.0..=1.0);
        let diversity = diversity.unwrap_or_default() as f32;
        let explain = check.boolean("explain", params.explain.as_deref());
        let cursor = ListCursor::parse(&mut check, params.cursor.as_deref());
        let filter = Filter::parse(&self.filter, &mut check);
        check.finish(())?;
        let mut parameters = format!("{} {exclude_seen} {diversity}", strategy.as_str());
        let is_display = |name| name == "language" && !self.filter.language_filters();
        let entries = self.filter.entries().into_iter();
        for (name, value) in entries.filter(|(name, _)| !is_display(*name)) {
            let _ = write!(parameters, " {name}={value:?}");
        }
        Ok(ListRequest {
            ranking: RankingRequest {
                strategy,
                filter,
                exclude_seen,
                diversity,
                limit: limit.unwrap_or(DEFAULT_LIMIT),
                has_chosen_strategy: params.strategy.is_some(),
                parameters,
            },
            language: self.filter.display_language(),
            cursor,
            explain: explain.unwrap_or(false),
        })
    }
}
