//! What a client may ask of a list of films, read as a whole, so that it hears of all that is wrong at
//! once.

use chassis::{
    paging::{Cursor, DEFAULT_PAGE_SIZE},
    problem::FieldError,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{
    IntoParams, ToSchema,
    openapi::path::{Parameter, ParameterIn},
};

use super::{entry::Fields, short_hash};
use crate::{
    models::{Filter, FilterParams, MovieId, Order, SortBy},
    service::listing::{PageRequest, PageStart, WalkPlace, moves::Moment, position::Position},
};

/// The highest page number.
const MOST_PAGES: i64 = 100_000;
/// How many films a page, or a batch of ids, has at most.
const MOST_FILMS: i64 = 100;

#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum SortByParam {
    ReleaseDate,
    Title,
    Popularity,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum OrderParam {
    Asc,
    Desc,
}

/// The parameters beside the filter's.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PageParams {
    /// The page's number, from 1.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100_000, example = 1)]
    page: Option<String>,
    /// How many films a page has: 20 where not given.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, example = 20)]
    page_size: Option<String>,
    /// What the list is ordered by: `popularity` where not given. The id breaks ties.
    #[param(inline, value_type = Option<SortByParam>)]
    sort_by: Option<String>,
    /// Which way: `desc` where not given. Films without a release date come last both ways.
    #[param(inline, value_type = Option<OrderParam>)]
    order: Option<String>,
    /// The `next_cursor` of the page before, instead of `page`: goes on without skips or repeats
    /// while films change. Filters and order must be the same as then.
    cursor: Option<String>,
    /// TMDB's ids of at most 100 films, separated by commas: these films in this order, without those
    /// that the catalogue does not have. Goes together with `fields`, `include` and `region` alone.
    /// Such as `603,550`.
    ids: Option<String>,
    /// The fields that each film has, separated by commas; the first five where not given.
    /// Such as `id,title`.
    fields: Option<String>,
    /// Fields that each film has beside the first five or those of `fields`, separated by commas:
    /// `genres`, `people`, `keywords`, `providers`, `overview`, `language`, `duration`,
    /// `original_title`, `vote_average`, `vote_count`, `countries`, `backdrop_url`, `stats`.
    /// Such as `genres,vote_average`.
    include: Option<String>,
}

/// All parameters of a list of films.
#[derive(Debug, Deserialize)]
pub(in crate::handler) struct ListQuery {
    #[serde(flatten)]
    page: PageParams,
    #[serde(flatten)]
    filter: FilterParams,
}

impl IntoParams for ListQuery {
    fn into_params(location: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut all = PageParams::into_params(&location);
        all.extend(FilterParams::into_params(&location));
        all
    }
}

/// What a client asks for.
pub(super) struct ListRequest {
    /// Which films.
    pub(super) wanted: Wanted,
    /// Which of their fields.
    pub(super) fields: Fields,
    /// Where included providers are.
    pub(super) region: Option<String>,
    /// The filter that its cursors belong to.
    pub(super) fingerprint: String,
}

/// Which films a client asks for.
pub(super) enum Wanted {
    /// These.
    Batch(Vec<MovieId>),
    /// Those of a page.
    Page(Box<PageRequest>),
}

/// What a cursor of a list holds. Order and filter are in it, so that it cannot be used in another list.
#[derive(Serialize, Deserialize)]
struct ListCursor {
    sort_by: SortByParam,
    order: OrderParam,
    filter: String,
    page: i64,
    key: String,
    id: i64,
    since: Moment,
}

impl Cursor for ListCursor {}

/// The cursor of the page after `page`, which begins at `place`.
pub(super) fn next_cursor(
    request: &PageRequest,
    fingerprint: &str,
    page: i64,
    place: &WalkPlace,
) -> String {
    ListCursor {
        sort_by: request.sort_by.into(),
        order: request.order.into(),
        filter: fingerprint.to_owned(),
        page: page + 1,
        key: place.position.key_text(),
        id: place.position.id,
        since: place.since,
    }
    .encode()
}

fn number(
    field: &str,
    text: Option<&String>,
    default: i64,
    most: i64,
    errors: &mut Vec<FieldError>,
) -> i64 {
    let Some(text) = text else {
        return default;
    };
    match text.parse() {
        Ok(number) if (1..=most).contains(&number) => number,
        _ => {
            let message = format!("must be a whole number from 1 to {most}");
            errors.push(FieldError::new(field, message));
            default
        }
    }
}

fn choice<T: for<'de> Deserialize<'de>>(
    field: &str,
    text: Option<&String>,
    default: T,
    known: &str,
    errors: &mut Vec<FieldError>,
) -> T {
    let Some(text) = text else {
        return default;
    };
    match serde_json::from_value(serde_json::Value::from(text.as_str())) {
        Ok(value) => value,
        Err(_) => {
            errors.push(FieldError::new(field, format!("must be {known}")));
            default
        }
    }
}

impl ListQuery {
    /// What is asked for.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn parse(&self) -> Result<ListRequest, Vec<FieldError>> {
        let mut errors = Vec::new();
        let params = &self.page;
        let fields = Fields::parse(
            params.fields.as_deref(),
            params.include.as_deref(),
            &mut errors,
        );
        let filter = Filter::parse(&self.filter, &mut errors);
        let region = filter.region.clone();
        if region.is_some() && self.filter.providers.is_none() && !fields.has("providers") {
            let message = "is of use only with providers, or with include=providers";
            errors.push(FieldError::new("region", message));
        }
        let fingerprint = self.fingerprint();
        let wanted = match &params.ids {
            Some(ids) => Wanted::Batch(self.batch(ids, &mut errors)),
            None => {
                let includes = fields.includes();
                let page = self.request(filter, &fingerprint, includes, &mut errors);
                Wanted::Page(Box::new(page))
            }
        };
        if errors.is_empty() {
            Ok(ListRequest {
                wanted,
                fields,
                region,
                fingerprint,
            })
        } else {
            Err(errors)
        }
    }

    fn request(
        &self,
        filter: Filter,
        fingerprint: &str,
        includes: crate::models::Includes,
        errors: &mut Vec<FieldError>,
    ) -> PageRequest {
        let params = &self.page;
        let page = number("page", params.page.as_ref(), 1, MOST_PAGES, errors);
        let page_size = number(
            "page_size",
            params.page_size.as_ref(),
            DEFAULT_PAGE_SIZE,
            MOST_FILMS,
            errors,
        );
        let sort_by = choice(
            "sort_by",
            params.sort_by.as_ref(),
            SortByParam::Popularity,
            "release_date, title or popularity",
            errors,
        );
        let order = choice(
            "order",
            params.order.as_ref(),
            OrderParam::Desc,
            "asc or desc",
            errors,
        );
        let start = match &params.cursor {
            None => PageStart::Number(page),
            Some(_) if params.page.is_some() => {
                let message = "cannot be given together with cursor";
                errors.push(FieldError::new("page", message));
                PageStart::Number(page)
            }
            Some(cursor) => match after(cursor, sort_by, order, fingerprint) {
                Ok(start) => start,
                Err(message) => {
                    errors.push(FieldError::new("cursor", message));
                    PageStart::Number(page)
                }
            },
        };
        PageRequest {
            filter,
            sort_by: sort_by.into(),
            order: order.into(),
            start,
            page_size,
            includes,
        }
    }

    fn batch(&self, ids: &str, errors: &mut Vec<FieldError>) -> Vec<MovieId> {
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
        for name in paging.chain(filters).filter(|name| *name != "region") {
            errors.push(FieldError::new(name, "cannot be given together with ids"));
        }
        let mut batch = Vec::new();
        for id in ids.split(',').map(str::trim) {
            match id.parse().ok().and_then(MovieId::new) {
                Some(id) if batch.contains(&id) => {}
                Some(id) => batch.push(id),
                None => {
                    let message = format!("`{id}` is not the id of a film");
                    errors.push(FieldError::new("ids", message));
                    return batch;
                }
            }
        }
        if i64::try_from(batch.len()).is_ok_and(|count| count > MOST_FILMS) {
            let message = format!("must be at most {MOST_FILMS} ids");
            errors.push(FieldError::new("ids", message));
        }
        batch
    }

    /// Names the filter in a few characters.
    fn fingerprint(&self) -> String {
        let given = self.filter.entries();
        let mut hash = Sha256::new();
        for (name, value) in given.iter().filter(|(name, _)| *name != "region") {
            // Neither can have a NUL.
            hash.update(name);
            hash.update([0]);
            hash.update(value);
            hash.update([0]);
        }
        if let (Some(_), Some(region)) = (&self.filter.providers, &self.filter.region) {
            hash.update(region);
        }
        short_hash(hash, 6)
    }
}

fn after(
    text: &str,
    sort_by: SortByParam,
    order: OrderParam,
    fingerprint: &str,
) -> Result<PageStart, &'static str> {
    let unreadable = "must be a next_cursor of this list";
    let cursor = ListCursor::decode(text).ok_or(unreadable)?;
    if (cursor.sort_by, cursor.order) != (sort_by, order) {
        return Err("belongs to another sort_by or order");
    }
    if cursor.filter != fingerprint {
        return Err("belongs to other filters");
    }
    let position = Position::parse(sort_by.into(), &cursor.key, cursor.id).ok_or(unreadable)?;
    Ok(PageStart::After {
        page: cursor.page.clamp(1, i64::MAX - 1),
        place: WalkPlace {
            position,
            since: cursor.since,
        },
    })
}

impl From<SortByParam> for SortBy {
    fn from(param: SortByParam) -> Self {
        match param {
            SortByParam::ReleaseDate => Self::ReleaseDate,
            SortByParam::Title => Self::Title,
            SortByParam::Popularity => Self::Popularity,
        }
    }
}

impl From<SortBy> for SortByParam {
    fn from(sort_by: SortBy) -> Self {
        match sort_by {
            SortBy::ReleaseDate => Self::ReleaseDate,
            SortBy::Title => Self::Title,
            SortBy::Popularity => Self::Popularity,
        }
    }
}

impl From<OrderParam> for Order {
    fn from(param: OrderParam) -> Self {
        match param {
            OrderParam::Asc => Self::Asc,
            OrderParam::Desc => Self::Desc,
        }
    }
}

impl From<Order> for OrderParam {
    fn from(order: Order) -> Self {
        match order {
            Order::Asc => Self::Asc,
            Order::Desc => Self::Desc,
        }
    }
}
