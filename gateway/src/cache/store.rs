//! The stored responses of all threads, by key, within a bound of bytes; and their removal.

use std::{
    borrow::Cow,
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chassis::language::Language;
use hyper::{
    HeaderMap,
    header::{ACCEPT, HeaderValue},
    http::uri::PathAndQuery,
};
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter, sync::Cache};

use super::{
    entry::{Entry, Variation},
    metrics::count_eviction,
};
use crate::routes::Service;

/// The parts of the memory, each with a lock of its own; fewer if they became too small for an entry.
const MAX_SHARDS: usize = 4;
/// The number of entries for which the order of eviction is kept beyond their own time; takes no memory in advance.
const EXPECTED_ENTRIES: usize = 4096;

/// The request headers that are sent for a response which may be stored, and by which it may differ.
#[derive(Debug, Default)]
pub(crate) struct Selected {
    /// The preferred language alone, so that clients which differ in nothing else share a response.
    pub(crate) language: Option<HeaderValue>,
    pub(crate) accept: Option<HeaderValue>,
}

impl Selected {
    /// Those of the request headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut accept = headers.get_all(ACCEPT).iter();
        let accept = match (accept.next(), accept.next()) {
            (Some(first), Some(_)) => {
                let lines: Vec<&[u8]> = headers
                    .get_all(ACCEPT)
                    .iter()
                    .map(HeaderValue::as_bytes)
                    .collect();
                // Made of headers.
                HeaderValue::from_bytes(&lines.join(&b", "[..]))
                    .ok()
                    .or(Some(first.clone()))
            }
            (first, _) => first.cloned(),
        };
        Self {
            language: Language::accepted(headers).map(HeaderValue::from),
            accept,
        }
    }
}

/// The key of a resource: service, group of instances, target. Its last lines are the target and, if the response differs
/// by request headers, those; neither contains the end of a line.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    text: String,
    pub(crate) service: Service,
}

impl Key {
    /// The key of `target` as the `group` of `service` serves it.
    pub(crate) fn new(service: Service, group: &str, target: &PathAndQuery) -> Self {
        let (target, number) = (target.as_str(), service as usize);
        let mut text = String::with_capacity(group.len() + target.len() + 4);
        // Writing to a string cannot fail.
        let _ = write!(text, "{number}\n{group}\n{target}");
        Self { text, service }
    }

    /// The key of the variant for `selected`.
    pub(super) fn variant(&self, variation: Variation, selected: &Selected) -> Cow<'_, str> {
        if variation == Variation::default() {
            return Cow::Borrowed(&self.text);
        }
        let part = |is_used: bool, value: &Option<HeaderValue>| match value {
            Some(value) if is_used => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            _ => String::new(),
        };
        let language = part(variation.by_language, &selected.language);
        let accept = part(variation.by_accept, &selected.accept);
        Cow::Owned(format!("{}\n{language}\t{accept}", self.text))
    }

    /// The key of a fetch: requests that differ in any header by which responses may differ do not share one.
    pub(super) fn fetch(&self, selected: &Selected) -> String {
        let all = Variation {
            by_language: true,
            by_accept: true,
        };
        self.variant(all, selected).into_owned()
    }
}

/// True if the stored `key` is one of `service`, and of `path` if it is given.
fn is_of(key: &str, service: Service, path: Option<&str>) -> bool {
    let mut lines = key.split('\n');
    let number = lines.next().and_then(|number| number.parse().ok());
    if number != Some(service as usize) {
        return false;
    }
    // The name of a group may contain the end of a line: then more is removed than necessary.
    path.is_none_or(|path| lines.any(|line| line.split('?').next() == Some(path)))
}

#[derive(Clone)]
enum Stored {
    Response(Arc<Entry>),
    /// The response differs by request headers and is stored by the key of its variant.
    Variants(Variation),
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Box<str>, Stored> for ByBytes {
    fn weight(&self, key: &Box<str>, stored: &Stored) -> u64 {
        let bytes = match stored {
            Stored::Response(entry) => entry.bytes(),
            Stored::Variants(_) => 64,
        };
        (key.len() + bytes) as u64
    }
}

/// Counts evictions.
#[derive(Clone)]
struct Evictions;

impl Lifecycle<Box<str>, Stored> for Evictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: Box<str>, _: Stored) {
        count_eviction();
    }
}

/// The stored responses. Shared by all threads; a look-up holds a lock for as long as it takes to clone a pointer.
pub(crate) struct Store {
    entries: Cache<Box<str>, Stored, ByBytes, DefaultHashBuilder, Evictions>,
    /// The number of removals, by service: what was requested before the latest must not be stored after it.
    removals: [AtomicU64; Service::ALL.len()],
    /// The largest body in bytes.
    pub(super) body_limit: usize,
}

impl Store {
    /// An empty store for `bytes` of responses, each with a body of at most `body_limit`. Takes no memory in advance.
    pub(super) fn new(bytes: u64, body_limit: usize) -> Self {
        // A part must have room for some of the largest bodies.
        let shards = bytes / (body_limit as u64).saturating_mul(4).max(1);
        let shards = usize::try_from(shards)
            .unwrap_or(MAX_SHARDS)
            .clamp(1, MAX_SHARDS);
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(EXPECTED_ENTRIES)
            .weight_capacity(bytes)
            .build()
            .expect("the capacities are set");
        Self {
            entries: Cache::with_options(
                options,
                ByBytes,
                DefaultHashBuilder::default(),
                Evictions,
            ),
            removals: Default::default(),
            body_limit,
        }
    }

    /// The response to a request for `key` with the `selected` headers.
    pub(super) fn find(&self, key: &Key, selected: &Selected) -> Option<Arc<Entry>> {
        let variation = match self.entries.get(key.text.as_str())? {
            Stored::Response(entry) => return Some(entry),
            Stored::Variants(variation) => variation,
        };
        match self.entries.get(&*key.variant(variation, selected))? {
            Stored::Response(entry) => Some(entry),
            Stored::Variants(_) => None,
        }
    }

    /// The number of removals of responses of `service` so far, which is to be given to [`Store::insert`].
    pub(super) fn removals(&self, service: Service) -> u64 {
        self.removals[service as usize].load(Ordering::SeqCst)
    }

    /// Stores `entry`, which was requested after `removals` removals, unless there were more since.
    pub(super) fn insert(&self, key: &Key, selected: &Selected, entry: Arc<Entry>, removals: u64) {
        let variation = entry.variation;
        let place = key.variant(variation, selected);
        if let Cow::Owned(_) = place {
            let resource = Box::from(key.text.as_str());
            self.entries.insert(resource, Stored::Variants(variation));
        }
        self.entries
            .insert(Box::from(&*place), Stored::Response(entry));
        // One that began meanwhile may have looked at this place before.
        if self.removals(key.service) != removals {
            self.entries.remove(&*place);
        }
    }

    /// Removes the response to requests for `key` with the `selected` headers.
    pub(super) fn remove(&self, key: &Key, selected: &Selected) {
        if let Some(Stored::Variants(variation)) = self.entries.get(key.text.as_str()) {
            self.entries.remove(&*key.variant(variation, selected));
        } else {
            self.entries.remove(key.text.as_str());
        }
    }

    /// Removes the responses of `service`, or those to requests for `path`, whatever the query.
    pub(super) fn remove_all(&self, service: Service, path: Option<&str>) {
        self.removals[service as usize].fetch_add(1, Ordering::SeqCst);
        self.entries.retain(|key, _| !is_of(key, service, path));
    }

    /// The number of entries and the bytes that they take.
    pub(super) fn size(&self) -> (usize, u64) {
        (self.entries.len(), self.entries.weight())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Parts = (usize, String, String, Option<String>, Option<String>);

    fn parts() -> impl Strategy<Value = Parts> {
        let header = || proptest::option::of("[ab,;=\t]{0,3}");
        (
            0..3_usize,
            "[a0\n\t]{0,3}",
            "/[ab?&=%]{0,3}",
            header(),
            header(),
        )
    }

    fn key((service, group, target, language, accept): &Parts) -> Option<String> {
        let target = PathAndQuery::try_from(target.as_str()).ok()?;
        let header = |text: &Option<String>| {
            text.as_ref()
                .map(|text| HeaderValue::try_from(text).expect("a header"))
        };
        let selected = Selected {
            // A language is a tag, which contains no tab.
            language: header(language).filter(|tag| !tag.as_bytes().contains(&b'\t')),
            accept: header(accept),
        };
        Some(Key::new(Service::ALL[*service], group, &target).fetch(&selected))
    }

    proptest! {
        #[test]
        fn requests_that_differ_have_different_keys(one in parts(), other in parts()) {
            if let (Some(first), Some(second)) = (key(&one), key(&other)) {
                // An empty header is the same as none.
                let normal = |(service, group, target, language, accept): Parts| {
                    let target = PathAndQuery::try_from(target).expect("as before").to_string();
                    let language = language.filter(|tag| !tag.contains('\t')).unwrap_or_default();
                    (service, group, target, language, accept.unwrap_or_default())
                };
                prop_assert_eq!(first == second, normal(one) == normal(other));
            }
        }
    }
}
