//! Reading the catalogue: a film, a page of films.

use chassis::paging::total_pages;
use sqlx::PgPool;

use crate::{
    models::Movie,
    repository::movies::{self, Filter, Order, Position, SortBy, Start},
};

/// The catalogue; cheap to clone.
#[derive(Clone)]
pub struct Catalogue {
    pool: PgPool,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq)]
pub enum PageStart {
    /// At this page, from 1.
    Number(i64),
    /// After this film, on this page.
    After {
        /// The page's number.
        page: i64,
        /// The last film of the page before.
        position: Position,
    },
}

/// A page of films.
#[derive(Debug)]
pub struct MoviePage {
    /// Its number, from 1.
    pub page: i64,
    /// How many pages there are.
    pub total_pages: i64,
    /// How many films there are.
    pub total_results: i64,
    /// The films.
    pub movies: Vec<Movie>,
    /// Where the next page begins; none: this is the last.
    pub next: Option<Position>,
}

impl Catalogue {
    /// The catalogue in `pool`.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// A page of films in order.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn list(
        &self,
        filter: &Filter,
        sort_by: SortBy,
        order: Order,
        start: PageStart,
        page_size: i64,
    ) -> sqlx::Result<MoviePage> {
        let (page, start) = match start {
            PageStart::Number(page) => (page, Start::Offset((page - 1) * page_size)),
            PageStart::After { page, position } => (page, Start::After(position)),
        };
        let total_results = movies::count(&self.pool, filter).await?;
        // One more than asked for tells whether there is a next page.
        let mut films =
            movies::list(&self.pool, filter, sort_by, order, &start, page_size + 1).await?;
        let asked = usize::try_from(page_size).unwrap_or(usize::MAX);
        let more = films.len() > asked;
        films.truncate(asked);
        let next = films
            .last()
            .filter(|_| more)
            .map(|last| sort_by.position(order, last));
        Ok(MoviePage {
            page,
            total_pages: total_pages(total_results, page_size),
            total_results,
            movies: films,
            next,
        })
    }
}
