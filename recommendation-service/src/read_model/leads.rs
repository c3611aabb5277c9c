//! The people by whom a movie is known: its directors and the first of its cast. Reasons name them; a bit player or a
//! second writer does not make two movies alike.

use filter::{FacetKind, FilterIndex};

use crate::read_model::Tag;

/// Directors of a movie that count.
const MAX_DIRECTORS: usize = 2;
/// The members of the cast, in the order of billing, that count as leading.
const MAX_CAST: usize = 3;
/// No person.
const NONE: u32 = u32::MAX;

/// The leading people of a movie, by the numbers of their facets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leads {
    directors: [u32; MAX_DIRECTORS],
    cast: [u32; MAX_CAST],
}

impl Default for Leads {
    fn default() -> Self {
        Self {
            directors: [NONE; MAX_DIRECTORS],
            cast: [NONE; MAX_CAST],
        }
    }
}

/// [`Leads`] in a quarter of the memory: places among the ascending numbers of the facets of the movie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackedLeads([u8; MAX_DIRECTORS + MAX_CAST]);

/// No place.
const NO_PLACE: u8 = u8::MAX;

impl Default for PackedLeads {
    fn default() -> Self {
        Self([NO_PLACE; MAX_DIRECTORS + MAX_CAST])
    }
}

impl PackedLeads {
    /// The people whose numbers are among `facets`, those of the movie, ascending.
    pub(super) fn unpack(self, facets: &[u32]) -> Leads {
        let mut leads = Leads::default();
        let numbers = leads.directors.iter_mut().chain(&mut leads.cast);
        for (number, place) in numbers.zip(self.0) {
            *number = facets.get(usize::from(place)).copied().unwrap_or(NONE);
        }
        leads
    }
}

impl Leads {
    /// The same in less memory; `facets` are the numbers of all facets of the movie, ascending. Of a movie with more than
    /// 255 of them, a person may be left out.
    pub(super) fn pack(&self, facets: &[u32]) -> PackedLeads {
        let mut packed = PackedLeads::default();
        let numbers = self.directors.iter().chain(&self.cast);
        for (place, number) in packed.0.iter_mut().zip(numbers) {
            let found = facets.binary_search(number).ok();
            *place = found
                .and_then(|found| u8::try_from(found).ok())
                .unwrap_or(NO_PLACE);
        }
        packed
    }

    /// Those of `people`, who are in the order of billing and have facets in `films`.
    pub(super) fn new(films: &FilterIndex, people: &[Tag]) -> Self {
        let fill = |places: &mut [u32], job: &str| {
            let people = people
                .iter()
                .filter(|person| person.job.as_deref() == Some(job));
            let facets = people.filter_map(|person| {
                let id = u64::try_from(person.id).ok()?;
                films.facets().find((FacetKind::Person, id))
            });
            for (place, facet) in places.iter_mut().zip(facets) {
                *place = facet;
            }
        };
        let mut leads = Self::default();
        fill(&mut leads.directors, "Director");
        fill(&mut leads.cast, "Actor");
        leads
    }

    /// The first director of both movies.
    pub fn common_director(&self, other: &Self) -> Option<u32> {
        common(&self.directors, &other.directors)
    }

    /// The first leading actor of both movies.
    pub fn common_actor(&self, other: &Self) -> Option<u32> {
        common(&self.cast, &other.cast)
    }
}

fn common(one: &[u32], other: &[u32]) -> Option<u32> {
    let mut known = one.iter().filter(|number| **number != NONE);
    known.find(|number| other.contains(number)).copied()
}
