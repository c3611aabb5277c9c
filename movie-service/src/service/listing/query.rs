//! What is asked of the list index: who passes a filter, and which films a page has.

use std::{borrow::Cow, ops::ControlFlow};

use chassis::config::nearest;

use super::{
    bitmap::Bitmap,
    collation::fold,
    facets::{Facet, Kind, code, offer},
    index::{Index, Ranking},
    position::Position,
};
use crate::models::{AllOf, Filter, Order, SortBy, Term, day_number};

/// With fewer films than this, they are sorted for the page; with more, the order is walked.
const FEW: usize = 256;

/// Where a page begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// After so many films.
    Offset(usize),
    /// After this film.
    After(Position),
}

/// Films of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// Their ids, in order.
    pub ids: Vec<i64>,
    /// Where each stands.
    pub positions: Vec<Position>,
    /// Whether others follow.
    pub more: bool,
}

/// A genre that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownGenre {
    /// The parameter that names it.
    pub field: &'static str,
    /// What it is called there.
    pub name: String,
    /// The nearest that does exist.
    pub nearest: Option<String>,
}

/// The films that pass a filter.
#[derive(Debug)]
pub struct Selection<'a> {
    index: &'a Index,
    rows: Cow<'a, Bitmap>,
    count: usize,
}

impl Index {
    /// Genres in `filter` that do not exist. While no genres are known at all, none is unknown.
    #[must_use]
    pub fn unknown_genres(&self, filter: &Filter) -> Vec<UnknownGenre> {
        let mut unknown = Vec::new();
        for (field, all) in [
            ("genres", &filter.genres),
            ("without_genres", &filter.without_genres),
        ] {
            for term in all.iter().flatten() {
                let names = || self.genres().map(|(genre, _)| genre.name.as_str());
                if self.genre(term).is_some() || names().next().is_none() {
                    continue;
                }
                let (name, nearest) = match term {
                    Term::Id(id) => (id.to_string(), None),
                    Term::Name(name) => {
                        let folded: Vec<String> = names().map(fold).collect();
                        let near = nearest(&fold(name), folded.iter().map(String::as_str));
                        let near = near.and_then(|near| names().find(|name| fold(name) == near));
                        (name.clone(), near.map(str::to_owned))
                    }
                };
                unknown.push(UnknownGenre {
                    field,
                    name,
                    nearest,
                });
            }
        }
        unknown
    }

    fn genre(&self, term: &Term) -> Option<u64> {
        let found = self.genres().find(|(genre, _)| match term {
            Term::Id(id) => i64::from(genre.id) == *id,
            Term::Name(name) => fold(&genre.name) == fold(name),
        });
        found.and_then(|(genre, _)| u64::try_from(genre.id).ok())
    }

    /// The things of `kind` that `term` names; several where they share a name.
    fn facets_of(&self, kind: Kind, term: &Term, region: &str) -> Vec<Facet> {
        let ids: Vec<u64> = match (kind, term) {
            (Kind::Genre, _) => self.genre(term).into_iter().collect(),
            (Kind::Language | Kind::Country, Term::Name(text)) => code(text).into_iter().collect(),
            (Kind::Offer, Term::Id(id)) => offer(region, *id).into_iter().collect(),
            (Kind::Offer, Term::Name(name)) => self
                .facets
                .ids(Kind::Provider, name)
                .into_iter()
                .filter_map(|id| offer(region, i64::try_from(id).ok()?))
                .collect(),
            (_, Term::Id(id)) => u64::try_from(*id).into_iter().collect(),
            (_, Term::Name(name)) => self.facets.ids(kind, name),
        };
        ids.into_iter().map(|id| (kind, id)).collect()
    }

    /// The films that pass `filter`.
    #[must_use]
    pub fn select(&self, filter: &Filter) -> Selection<'_> {
        if *filter == Filter::default() {
            return Selection {
                index: self,
                rows: Cow::Borrowed(&self.live),
                count: self.len(),
            };
        }
        let mut rows = self.live.clone();
        let region = filter.region.as_deref().unwrap_or_default();
        let having: [(Kind, &AllOf); 6] = [
            (Kind::Genre, &filter.genres),
            (Kind::Keyword, &filter.keywords),
            (Kind::Person, &filter.people),
            (Kind::Language, &filter.language),
            (Kind::Country, &filter.country),
            (Kind::Offer, &filter.providers),
        ];
        for (kind, all) in having {
            for any in all {
                let mut passing = Bitmap::with_rows(self.columns.ids.len());
                for facet in any
                    .iter()
                    .flat_map(|term| self.facets_of(kind, term, region))
                {
                    self.facets.unite_into(facet, &mut passing);
                }
                rows.intersect(&passing);
            }
        }
        for any in &filter.without_genres {
            // Without one of these: not with all of them.
            let mut refused = self.live.clone();
            for term in any {
                let mut having = Bitmap::default();
                for facet in self.facets_of(Kind::Genre, term, region) {
                    self.facets.unite_into(facet, &mut having);
                }
                refused.intersect(&having);
            }
            rows.subtract(&refused);
        }
        self.keep_ranges(filter, &mut rows);
        let count = rows.len();
        Selection {
            index: self,
            rows: Cow::Owned(rows),
            count,
        }
    }

    fn keep_ranges(&self, filter: &Filter, rows: &mut Bitmap) {
        let columns = &self.columns;
        if filter.release_from.is_some() || filter.release_to.is_some() {
            // A film without a day has the lowest of all numbers, which no day has.
            let from = filter.release_from.map_or(i32::MIN + 1, day_number);
            let to = filter.release_to.map_or(i32::MAX, day_number);
            rows.keep(&columns.days, |day| day >= from && day <= to);
        }
        if filter.runtime_min.is_some() || filter.runtime_max.is_some() {
            let from = filter.runtime_min.unwrap_or(0).max(1);
            let to = filter.runtime_max.unwrap_or(u16::MAX);
            rows.keep(&columns.runtimes, |minutes| {
                minutes >= from && minutes <= to
            });
        }
        if let Some(least) = filter.vote_average_min {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "cut off as votes themselves are"
            )]
            let least = least as f32;
            rows.keep(&columns.vote_averages, |average| average >= least);
        }
        if let Some(least) = filter.vote_count_min {
            rows.keep(&columns.vote_counts, |count| count >= least);
        }
    }
}

impl Selection<'_> {
    /// How many films there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// At most `limit` films in order, from `start`.
    #[must_use]
    pub fn slice(&self, sort_by: SortBy, order: Order, start: &Start, limit: usize) -> Slice {
        let ranking = Ranking::of(sort_by, order);
        // One more than asked for tells whether others follow.
        let mut rows = if self.count < FEW {
            self.sorted(ranking, order, start, limit + 1)
        } else {
            self.walked(ranking, order, start, limit + 1)
        };
        let more = rows.len() > limit;
        rows.truncate(limit);
        Slice {
            ids: rows.iter().map(|row| self.index.id(*row)).collect(),
            positions: rows
                .iter()
                .map(|row| self.index.position(sort_by, *row))
                .collect(),
            more,
        }
    }

    fn sorted(&self, ranking: Ranking, order: Order, start: &Start, limit: usize) -> Vec<u32> {
        let columns = &self.index.columns;
        let mut rows: Vec<u32> = self.rows.rows().collect();
        rows.sort_unstable_by(|one, two| match order {
            Order::Asc => columns.compare(ranking, *one, *two),
            Order::Desc => columns.compare(ranking, *two, *one),
        });
        let skipped = match start {
            Start::Offset(offset) => *offset,
            Start::After(position) => rows.partition_point(|row| {
                let standing = columns.compare_to(ranking, *row, position);
                match order {
                    Order::Asc => standing.is_le(),
                    Order::Desc => standing.is_ge(),
                }
            }),
        };
        rows.into_iter().skip(skipped).take(limit).collect()
    }

    fn walked(&self, ranking: Ranking, order: Order, start: &Start, limit: usize) -> Vec<u32> {
        let columns = &self.index.columns;
        let sorted = self.index.order(ranking);
        let all = self.count == self.index.len();
        let (place, mut skipped) = match start {
            Start::Offset(offset) if *offset >= self.count => return Vec::new(),
            Start::Offset(offset) if all => (Some(sorted.skip(*offset, order)), 0),
            Start::Offset(offset) => (None, *offset),
            Start::After(position) => {
                let place = sorted.place(|row| {
                    let standing = columns.compare_to(ranking, row, position);
                    match order {
                        Order::Asc => standing.is_le(),
                        Order::Desc => standing.is_lt(),
                    }
                });
                (Some(place), 0)
            }
        };
        let mut rows = Vec::with_capacity(limit);
        sorted.walk(place, order, |row| {
            if self.rows.contains(row) {
                if skipped > 0 {
                    skipped -= 1;
                } else {
                    rows.push(row);
                }
            }
            if rows.len() == limit {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        rows
    }
}
