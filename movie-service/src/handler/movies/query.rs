//! The query parameters of a list, validated as a whole, so that a response names every invalid one.

use chassis::{
    language::Language,
    paging::{Cursor, DEFAULT_PAGE_SIZE},
    validate::{FieldError, Validator},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{
    IntoParams,
    openapi::path::{Parameter, ParameterIn},
};

use super::{
    entry::{FieldParams, Fields},
    short_hash,
};
use crate::{
    models::{Filter, FilterParams, Includes, MovieId, Order, SortBy},
    service::listing::{PageRequest, moves::Moment, position::Position, query::WalkPlace},
};

const MAX_PAGE: i64 = 100_000;
/// Movies per page, and ids per batch.
const MAX_MOVIES: i64 = 100;

/// The parameters beside the filter's.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PageParams {
    /// The page number, from 1.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100_000, default = 1, example = 2)]
    page: Option<String>,
    /// Movies per page.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, default = 20, example = 10)]
    page_size: Option<String>,
    /// The sort key. The id breaks ties.
    #[param(inline, value_type = Option<SortBy>, default = "popularity", example = "release_date")]
    sort_by: Option<String>,
    /// The direction. Movies without a release date come last in both directions.
    #[param(inline, value_type = Option<Order>, default = "desc", example = "asc")]
    order: Option<String>,
    /// The `next_cursor` of the previous page, instead of `page`: continues without skips or repeats while movies
    /// change. Filters and order must be the same.
    #[param(example = "eyJzb3J0X2J5IjoicG9wdWxhcml0eSJ9")]
    cursor: Option<String>,
    /// TMDB's ids of at most 100 movies, separated by commas: these movies in this order, without those that the
    /// catalogue does not have. May be combined only with `fields`, `include`, `region` and a display `language`.
    #[param(
        example = "603,550",
        pattern = r"^[1-9][0-9]{0,17}(,[1-9][0-9]{0,17}){0,99}$"
    )]
    ids: Option<String>,
}

/// All parameters of a list.
#[derive(Debug, Deserialize)]
pub(in crate::handler) struct ListQuery {
    #[serde(flatten)]
    page: PageParams,
    #[serde(flatten)]
    fields: FieldParams,
    #[serde(flatten)]
    filter: FilterParams,
}

impl IntoParams for ListQuery {
    fn into_params(location: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut all = PageParams::into_params(&location);
        all.extend(FieldParams::into_params(&location));
        all.extend(FilterParams::into_params(&location));
        all
    }
}

/// A valid request for a list.
pub(super) struct ListRequest {
    /// The requested movies.
    pub(super) selected: Selected,
    /// The requested fields.
    pub(super) fields: Fields,
    /// The region of included providers.
    pub(super) region: Option<String>,
    /// The language of the parameter `language`.
    pub(super) language: Option<Language>,
    /// The filter to which cursors belong.
    pub(super) fingerprint: String,
}

/// The movies that a client requests.
pub(super) enum Selected {
    /// Movies by id.
    Batch(Vec<MovieId>),
    /// A page of a list.
    Page(Box<PageRequest>),
}

/// The content of a cursor; with order and filter, so that it cannot be used for another list.
#[derive(Serialize, Deserialize)]
struct ListCursor {
    sort_by: SortBy,
    order: Order,
    filter: String,
    page: i64,
    key: String,
    id: i64,
    since: Moment,
}

impl Cursor for ListCursor {}

/// The cursor of the page after `request`, which begins at `place`.
pub(super) fn next_cursor(request: &PageRequest, fingerprint: &str, place: &WalkPlace) -> String {
    ListCursor {
        sort_by: request.sort_by,
        order: request.order,
        filter: fingerprint.to_owned(),
        page: request.page + 1,
        key: place.position.key_text(),
        id: place.position.id,
        since: place.since,
    }
    .encode()
}

impl ListQuery {
    /// Validates the parameters.
    pub(super) fn parse(&self) -> Result<ListRequest, Vec<FieldError>> {
        let mut check = Validator::default();
        let params = &self.page;
        let fields = self.fields.parse(&mut check);
        let filter = Filter::parse(&self.filter, &mut check);
        let region = filter.region.clone();
        let uses_region = self.filter.providers.is_some() || fields.has("providers");
        check.require(
            region.is_none() || uses_region,
            "region",
            "is of use only with providers, or with include=providers",
        );
        let fingerprint = fingerprint(&self.filter, None);
        let selected = match &params.ids {
            Some(ids) => Selected::Batch(self.batch(ids, &mut check)),
            None => {
                // The language may be that of a header field.
                let includes = fields.includes(None);
                let page = self.request(filter, &fingerprint, includes, &mut check);
                Selected::Page(Box::new(page))
            }
        };
        check.finish(ListRequest {
            selected,
            fields,
            region,
            language: self.filter.display_language(),
            fingerprint,
        })
    }

    fn request(
        &self,
        filter: Filter,
        fingerprint: &str,
        includes: Includes,
        check: &mut Validator,
    ) -> PageRequest {
        let params = &self.page;
        let (page, size) = (params.page.as_deref(), params.page_size.as_deref());
        let (sort_by, order) = (params.sort_by.as_deref(), params.order.as_deref());
        let keys = "release_date, title or popularity";
        let mut request = PageRequest {
            page: check.integer("page", page, 1..=MAX_PAGE).unwrap_or(1),
            page_size: check
                .integer("page_size", size, 1..=MAX_MOVIES)
                .unwrap_or(DEFAULT_PAGE_SIZE),
            sort_by: check.variant("sort_by", sort_by, keys).unwrap_or_default(),
            order: check
                .variant("order", order, "asc or desc")
                .unwrap_or_default(),
            after: None,
            filter,
            includes,
        };
        if let Some(cursor) = &params.cursor {
            if params.page.is_some() {
                check.error("page", "cannot be given together with cursor");
            } else {
                check.take("cursor", resume(&mut request, cursor, fingerprint));
            }
        }
        request
    }

    fn batch(&self, ids: &str, check: &mut Validator) -> Vec<MovieId> {
        let params = &self.page;
        let paging = [
            ("page", &params.page),
            ("page_size", &params.page_size),
            ("sort_by", &params.sort_by),
            ("order", &params.order),
            ("cursor", &params.cursor),
        ];
        let paging = paging
            .into_iter()
            .filter_map(|(name, value)| value.as_ref().map(|_| name));
        let filters = self.filter.entries().into_iter().map(|(name, _)| name);
        let is_display = |name: &str| {
            name == "region" || name == "language" && self.filter.display_language().is_some()
        };
        for name in paging.chain(filters).filter(|name| !is_display(name)) {
            check.error(name, "cannot be given together with ids");
        }
        let mut batch = Vec::new();
        for id in ids.split(',').map(str::trim) {
            match id.parse().ok().and_then(MovieId::new) {
                Some(id) if batch.contains(&id) => {}
                Some(id) => batch.push(id),
                None => {
                    check.error("ids", format!("`{id}` is not the id of a film"));
                    return batch;
                }
            }
        }
        let is_short = i64::try_from(batch.len()).is_ok_and(|count| count <= MAX_MOVIES);
        check.require(is_short, "ids", format!("must be at most {MAX_MOVIES} ids"));
        batch
    }
}

/// A short hash of a filter and, for a search, of its text.
pub(in crate::handler) fn fingerprint(filter: &FilterParams, text: Option<&str>) -> String {
    let given = filter.entries();
    let mut hash = Sha256::new();
    let is_filter =
        |name: &str| name != "region" && (name != "language" || filter.language_filters());
    for (name, value) in given.iter().filter(|(name, _)| is_filter(name)) {
        // Neither contains NUL.
        hash.update(name);
        hash.update([0]);
        hash.update(value);
        hash.update([0]);
    }
    if let (Some(_), Some(region)) = (&filter.providers, &filter.region) {
        hash.update(region);
    }
    if let Some(text) = text {
        hash.update([0]);
        hash.update(text);
    }
    short_hash(hash, 6)
}

/// Moves `request` to the page that `text` names.
fn resume(request: &mut PageRequest, text: &str, fingerprint: &str) -> Result<(), &'static str> {
    let unreadable = "must be a next_cursor of this list";
    let cursor = ListCursor::decode(text).ok_or(unreadable)?;
    if (cursor.sort_by, cursor.order) != (request.sort_by, request.order) {
        return Err("belongs to another sort_by or order");
    }
    if cursor.filter != fingerprint {
        return Err("belongs to other filters");
    }
    let position = Position::parse(cursor.sort_by, &cursor.key, cursor.id).ok_or(unreadable)?;
    request.page = cursor.page.clamp(1, i64::MAX - 1);
    request.after = Some(WalkPlace {
        position,
        since: cursor.since,
    });
    Ok(())
}
