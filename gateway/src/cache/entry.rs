//! A stored response: the conditions under which one may be stored, its age and freshness (RFC 9111, sections 3 and 4.2),
//! and the response that a client gets of it.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use chassis::conditional::names_etag;
use hyper::{
    HeaderMap, StatusCode,
    header::{
        ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AGE, CONTENT_ENCODING, CONTENT_LENGTH,
        CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, EXPIRES, HeaderName, HeaderValue, IF_NONE_MATCH,
        SET_COOKIE, VARY,
    },
};

use super::control::{RequestControl, ResponseControl, seconds};
use crate::message::{Headers, Response, Value};

/// The memory of an entry beside its text, approximately.
const OVERHEAD_BYTES: usize = 512;
/// The prefixes of headers that belong to one request.
const OF_ONE_REQUEST: [&str; 6] = [
    "access-control-",
    "ratelimit",
    "server-timing",
    "preference-applied",
    "x-request-id",
    "x-ratelimit",
];

/// The request headers by which a response differs. Others cannot matter: requests for responses that may be stored carry
/// no others that a service reads.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Variation {
    pub(super) by_language: bool,
    pub(super) by_accept: bool,
}

impl Variation {
    /// The variation that `Vary` names; `None` if it names anything else, so that the response must not be stored.
    fn of(headers: &Headers) -> Option<Self> {
        let mut variation = Self::default();
        for line in headers.get_all(&VARY) {
            for name in line.to_str()?.split(',').map(str::trim) {
                if name.eq_ignore_ascii_case(ACCEPT_LANGUAGE.as_str()) {
                    variation.by_language = true;
                } else if name.eq_ignore_ascii_case(ACCEPT.as_str()) {
                    variation.by_accept = true;
                } else if !name.is_empty() && !name.eq_ignore_ascii_case(ACCEPT_ENCODING.as_str()) {
                    return None;
                }
            }
        }
        Some(variation)
    }
}

/// The head of a response that may be stored.
pub(crate) struct Storable {
    headers: Headers,
    /// The tag without `W/`.
    etag: Option<HeaderValue>,
    freshness: Freshness,
    pub(super) variation: Variation,
}

/// The times of a response.
#[derive(Debug, Clone, Copy)]
struct Freshness {
    /// The age when it was received.
    initial_age: Duration,
    received: Instant,
    lifetime: Duration,
    /// The further time in which it may be used while it is fetched anew.
    while_revalidate: Duration,
    /// The further time in which it may be used if the service fails.
    if_error: Duration,
}

/// The time of a request to a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    /// The instant at which it was sent.
    pub(crate) at: Instant,
    /// The time of the day at which the response was received.
    pub(crate) received: SystemTime,
}

impl Storable {
    /// Reads the head of a response to a GET that was `sent` without credentials; `None` if it must not be stored, or could
    /// never be used.
    pub(crate) fn of(status: StatusCode, headers: &Headers, sent: Sent) -> Option<Self> {
        let control = ResponseControl::of(headers);
        let is_excluded = [SET_COOKIE, CONTENT_RANGE, CONTENT_ENCODING]
            .iter()
            .any(|name| headers.contains(name));
        let is_stream = (headers.get(CONTENT_TYPE))
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if status != StatusCode::OK
            || !control.is_shared
            || control.forbids
            || is_excluded
            || is_stream
        {
            return None;
        }
        let variation = Variation::of(headers)?;
        let etag = headers.get(ETAG).and_then(opaque_tag);
        let freshness = Freshness::of(headers, &control, sent)?;
        if !freshness.is_usable() && etag.is_none() {
            return None;
        }
        let mut headers = headers.clone();
        headers.retain(|name| {
            let mut prefixes = OF_ONE_REQUEST.iter();
            let is_of_one = prefixes.any(|prefix| name.starts_with(prefix.as_bytes()));
            name != AGE.as_str().as_bytes() && !is_of_one
        });
        Some(Self {
            headers,
            etag,
            freshness,
            variation,
        })
    }

    /// The length of the body that the head announces.
    pub(crate) fn announced_length(&self) -> Option<usize> {
        let length = self.headers.number(&CONTENT_LENGTH)?;
        usize::try_from(length).ok()
    }

    /// The entry with `body`.
    pub(crate) fn with_body(self, body: Bytes) -> Entry {
        let Self {
            headers,
            etag,
            freshness,
            variation,
        } = self;
        Entry {
            headers,
            body,
            etag,
            freshness,
            variation,
        }
    }
}

/// The opaque part of an entity tag.
fn opaque_tag(etag: Value<'_>) -> Option<HeaderValue> {
    let etag = etag.as_bytes();
    HeaderValue::from_bytes(etag.strip_prefix(b"W/").unwrap_or(etag)).ok()
}

/// The time of an HTTP date; `None` if there is none or it is malformed.
fn date(headers: &Headers, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str()?).ok()
}

impl Freshness {
    /// `None` if the response states no lifetime.
    fn of(headers: &Headers, control: &ResponseControl, sent: Sent) -> Option<Self> {
        let made = date(headers, &DATE).unwrap_or(sent.received);
        let lifetime = match control.lifetime {
            Some(lifetime) => lifetime,
            None if headers.contains(EXPIRES) => date(headers, &EXPIRES)
                .and_then(|expires| expires.duration_since(made).ok())
                .unwrap_or_default(),
            None => return None,
        };
        let received = Instant::now();
        let age = headers
            .get(AGE)
            .and_then(|age| seconds(Some(age.to_str()?)));
        let age = age.unwrap_or_default() + (received - sent.at);
        // Of a date without fractions the age would be up to a second too high.
        let apparent = sent.received.duration_since(made).unwrap_or_default();
        let apparent = Duration::from_secs(apparent.as_secs());
        let when_stale = |window| match control.must_revalidate {
            true => Duration::ZERO,
            false => window,
        };
        Some(Self {
            initial_age: age.max(apparent),
            received,
            lifetime,
            while_revalidate: when_stale(control.stale_while_revalidate),
            if_error: when_stale(control.stale_if_error),
        })
    }

    /// True if the response could be used now or later without being validated.
    fn is_usable(&self) -> bool {
        self.initial_age < self.lifetime + self.while_revalidate.max(self.if_error)
    }
}

/// A stored response.
pub(crate) struct Entry {
    headers: Headers,
    body: Bytes,
    etag: Option<HeaderValue>,
    freshness: Freshness,
    pub(super) variation: Variation,
}

impl Entry {
    /// The time since the service made or validated it.
    fn age(&self) -> Duration {
        self.freshness.initial_age + self.freshness.received.elapsed()
    }

    /// True if it may be used for a request with `control` without asking the service.
    pub(crate) fn is_fresh(&self, control: &RequestControl) -> bool {
        let age = self.age();
        !control.no_cache
            && age + control.min_fresh < self.freshness.lifetime
            && control.max_age.is_none_or(|max_age| age <= max_age)
    }

    /// True if it may be used for a request with `control` while it is fetched anew.
    pub(crate) fn is_usable_meanwhile(&self, control: &RequestControl) -> bool {
        self.is_usable_stale(control, self.freshness.while_revalidate)
    }

    /// True if it may be used for a request with `control` after the service has failed.
    pub(crate) fn is_usable_on_error(&self, control: &RequestControl) -> bool {
        self.is_usable_stale(control, self.freshness.if_error)
    }

    fn is_usable_stale(&self, control: &RequestControl, window: Duration) -> bool {
        let age = self.age();
        !window.is_zero()
            && !control.no_cache
            && control.min_fresh.is_zero()
            && control.max_age.is_none_or(|max_age| age <= max_age)
            && age < self.freshness.lifetime + window
    }

    /// Seconds until it is stale; negative if it is.
    pub(crate) fn ttl(&self) -> i64 {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        seconds(self.freshness.lifetime) - seconds(self.age())
    }

    /// The value of `If-None-Match` by which the service may confirm it; `None` if it has no tag.
    pub(crate) fn validator(&self) -> Option<HeaderValue> {
        self.headers.get(ETAG)?.to_header_value()
    }

    /// The memory that it takes, approximately.
    pub(super) fn bytes(&self) -> usize {
        self.body.len() + self.headers.bytes() + OVERHEAD_BYTES
    }

    /// The entry after the service confirmed it by a 304 with `headers` (RFC 9111, section 3.2); `None` if they are for
    /// another response or forbid to store it.
    pub(crate) fn confirmed(&self, headers: &Headers, sent: Sent) -> Option<Self> {
        if headers
            .get(ETAG)
            .and_then(opaque_tag)
            .is_some_and(|tag| Some(&tag) != self.etag.as_ref())
        {
            return None;
        }
        let mut merged = self.headers.clone();
        let mut of_response = headers.clone();
        of_response.retain(|name| {
            let of_body = [
                CONTENT_LENGTH,
                CONTENT_ENCODING,
                CONTENT_RANGE,
                CONTENT_TYPE,
                ETAG,
            ];
            !of_body
                .iter()
                .any(|known| known.as_str().as_bytes() == name)
        });
        merged.replace(&of_response);
        let storable = Storable::of(StatusCode::OK, &merged, sent)?;
        Some(storable.with_body(self.body.clone()))
    }

    /// The response to a request with `headers`: 304 without a body if the client has it already.
    pub(crate) fn response(&self, headers: &HeaderMap) -> Response<Bytes> {
        let is_known = is_known(headers, self.etag.as_ref());
        let body = if is_known {
            Bytes::new()
        } else {
            self.body.clone()
        };
        let mut response = Response {
            status: StatusCode::OK,
            headers: self.headers.clone(),
            body,
        };
        let age = HeaderValue::from(self.age().as_secs());
        response.headers.insert(AGE, age);
        if is_known {
            make_not_modified(&mut response);
        }
        response
    }
}

/// True if the request's `If-None-Match` names the entity tag `etag`.
fn is_known(request: &HeaderMap, etag: Option<&HeaderValue>) -> bool {
    let (Some(known), Some(etag)) = (request.get(IF_NONE_MATCH), etag) else {
        return false;
    };
    names_etag(known, etag)
}

/// True if the client that sent `request` has the response with `status` and `headers` already.
pub(crate) fn is_not_modified(request: &HeaderMap, status: StatusCode, headers: &Headers) -> bool {
    status == StatusCode::OK
        && request.contains_key(IF_NONE_MATCH)
        && is_known(request, headers.get(ETAG).and_then(opaque_tag).as_ref())
}

/// Makes `response` a 304.
pub(crate) fn make_not_modified<B>(response: &mut Response<B>) {
    response.status = StatusCode::NOT_MODIFIED;
    response.headers.remove(CONTENT_TYPE);
    response.headers.remove(CONTENT_LENGTH);
}
