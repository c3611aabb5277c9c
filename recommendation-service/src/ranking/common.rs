//! The things that two movies have in common, as reasons: a director, a leading actor, keywords, a genre, a language.
//! Reasons of similar movies and of lists for a user call it. Pure.

use filter::FacetKind;

use crate::{read_model::Catalogue, reason::Reason};

/// A keyword that more than this share of all movies has says nothing.
const MAX_KEYWORD_SHARE: f32 = 0.1;
/// The same for a language.
const MAX_LANGUAGE_SHARE: f32 = 0.2;
/// Keywords that say how a movie was made or ends, not what it is about.
const NO_TOPICS: [&str; 22] = [
    "stinger",
    "based on",
    "sequel",
    "prequel",
    "remake",
    "reboot",
    "spin off",
    "musical",
    "live action",
    "short film",
    "woman director",
    "cult film",
    "black and white",
    "independent film",
    "female protagonist",
    "anime",
    "romance",
    "flashback",
    "individual",
    "hero",
    "villain",
    "3d",
];

/// The things that the movies in two rows have in common, the strongest first, at most `limit`. Directors and leading
/// actors come first, then what both are about; a genre or a language only if there is nothing else.
pub(super) fn reasons(
    catalogue: &Catalogue,
    one: usize,
    other: usize,
    limit: usize,
) -> Vec<Reason> {
    let facets = catalogue.films().facets();
    let person = |number: u32| match facets.facet(number)? {
        (FacetKind::Person, id) => i64::try_from(id).ok(),
        _ => None,
    };
    let (leads, others) = (catalogue.leads(one), catalogue.leads(other));
    let director = leads.common_director(&others).and_then(person);
    let actor = leads.common_actor(&others).and_then(person);
    let mut reasons = Vec::new();
    reasons.extend(director.map(Reason::SameDirector));
    reasons.extend(
        actor
            .filter(|actor| Some(*actor) != director)
            .map(Reason::SameActor),
    );
    let shared = shared(catalogue, one, other);
    reasons.extend(keywords(catalogue, &shared));
    if reasons.is_empty() {
        reasons.extend(genre(&shared));
        reasons.extend(language(catalogue, &shared));
    }
    reasons.truncate(limit);
    reasons
}

/// A facet of both movies, with the number of movies that have it.
pub(super) type Shared = (FacetKind, u64, usize);

/// The facets of both movies, the rarest first.
pub(super) fn shared(catalogue: &Catalogue, one: usize, other: usize) -> Vec<Shared> {
    let films = catalogue.films();
    let numbers = |row: usize| films.facet_ids(u32::try_from(row).unwrap_or(u32::MAX));
    let others = numbers(other);
    let both = numbers(one).into_iter();
    let both = both.filter(|number| others.binary_search(number).is_ok());
    let mut shared: Vec<Shared> = both
        .filter_map(|number| {
            let (kind, id) = films.facets().facet(number)?;
            Some((kind, id, films.facets().numbered(number)?.len()))
        })
        .collect();
    shared.sort_by_key(|(kind, id, count)| (*count, *kind, *id));
    shared
}

/// The two rarest keywords of both that are topics.
fn keywords(catalogue: &Catalogue, shared: &[Shared]) -> Option<Reason> {
    let facets = catalogue.films().facets();
    let most = (MAX_KEYWORD_SHARE * catalogue.len() as f32).max(2.0) as usize;
    let is_topic = |id: u64| {
        let name = facets.name_of((FacetKind::Keyword, id), "");
        name.is_some_and(|name| !NO_TOPICS.iter().any(|word| name.contains(word)))
    };
    let mut topics = shared.iter().filter_map(|(kind, id, count)| {
        let is_named = *kind == FacetKind::Keyword && *count <= most && is_topic(*id);
        is_named.then_some(i64::try_from(*id).ok()?)
    });
    Some(Reason::SameKeywords {
        first: topics.next()?,
        second: topics.next(),
    })
}

/// The rarest genre of both.
fn genre(shared: &[Shared]) -> Option<Reason> {
    let (_, id, _) = shared.iter().find(|(kind, ..)| *kind == FacetKind::Genre)?;
    Some(Reason::SameGenre(i64::try_from(*id).ok()?))
}

/// The language of both, if not many movies have it.
fn language(catalogue: &Catalogue, shared: &[Shared]) -> Option<Reason> {
    let most = (MAX_LANGUAGE_SHARE * catalogue.len() as f32).max(2.0) as usize;
    let is_rare = |(kind, _, count): &&Shared| *kind == FacetKind::Language && *count <= most;
    shared.iter().find(is_rare).map(|_| Reason::SameLanguage)
}
