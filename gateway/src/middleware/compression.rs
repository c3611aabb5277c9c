//! Compression of responses by the client's `Accept-Encoding` (RFC 9110, section 12.5.3). Called by [`crate::pipeline`]
//! for each response; compresses what is long enough and of a type that pays, as it is streamed.
//!
//! A compressed response differs from what its strong entity tag was made for, so the tag becomes weak. A client that
//! sends such a tag back in `If-Match` means the strong one: see [`strong_if_match`].

use std::{
    rc::Rc,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::{
    HeaderMap, Method, StatusCode,
    header::{
        ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
        CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH, VARY,
    },
};
use metrics::Counter;
use quick_cache::sync::Cache;

use crate::{
    config::Config,
    message::{Headers, Response, Value},
    response::{Body, Coding, EncodedBody, ServiceBody},
};

/// Responses that one thread compresses at a time; further ones are sent as they are. A compressor takes up to a
/// megabyte.
const MAX_ACTIVE: usize = 256;
/// The quality for files, which are compressed once.
const FILE_LEVEL: u32 = 6;
/// Compressed files that are kept; there are fewer.
const MAX_FILES: usize = 512;
const BY_ENCODING: HeaderValue = HeaderValue::from_static("Accept-Encoding");

const RESPONSES_TOTAL: &str = "compressed_responses_total";
const BYTES_IN_TOTAL: &str = "compression_input_bytes_total";
const BYTES_OUT_TOTAL: &str = "compression_output_bytes_total";

/// Describes the metrics of this module.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(
        RESPONSES_TOTAL,
        "Responses that were compressed, by coding: zstd, br, gzip"
    );
    metrics::describe_counter!(
        BYTES_IN_TOTAL,
        "Bytes of response bodies before compression; files of the page and Swagger UI excepted"
    );
    metrics::describe_counter!(
        BYTES_OUT_TOTAL,
        "Bytes of response bodies after compression; files of the page and Swagger UI excepted"
    );
}

/// The route and the name of a file, and its coding.
type FileKey = (&'static str, Arc<str>, Coding);

/// The compressed files of the gateway.
static FILES: LazyLock<Cache<FileKey, Bytes>> = LazyLock::new(|| Cache::new(MAX_FILES));

/// The compression of one thread.
pub(crate) struct Compression {
    /// In the order of preference.
    codings: Vec<Coding>,
    min_bytes: u64,
    level: u32,
    /// One weak reference for each response that is being compressed.
    active: Rc<()>,
    /// Indexed by [`Coding`].
    responses: [Counter; Coding::ALL.len()],
    bytes_in: Counter,
    bytes_out: Counter,
}

impl Compression {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            codings: config.compression.0.clone(),
            min_bytes: config.compression_min_bytes,
            level: config.compression_level,
            active: Rc::default(),
            responses: Coding::ALL
                .map(|coding| metrics::counter!(RESPONSES_TOTAL, "coding" => coding.name())),
            bytes_in: metrics::counter!(BYTES_IN_TOTAL),
            bytes_out: metrics::counter!(BYTES_OUT_TOTAL),
        }
    }

    /// True if responses may be compressed.
    pub(crate) fn is_on(&self) -> bool {
        !self.codings.is_empty()
    }

    /// Compresses `response` to a request with `method` and `request_headers` if that is worthwhile. `file` is the route
    /// and the name of a file of the gateway, whose content never changes.
    pub(crate) async fn apply(
        &self,
        method: &Method,
        request_headers: &HeaderMap,
        file: Option<(&'static str, &str)>,
        mut response: Response<Body>,
    ) -> Response<Body> {
        if !self.is_on() {
            return response;
        }
        let is_unchanged = response.status == StatusCode::NOT_MODIFIED;
        if !is_unchanged && !is_compressible(&response) {
            return response;
        }
        vary_by_encoding(&mut response.headers);
        let Some(coding) = negotiate(request_headers, &self.codings) else {
            return response;
        };
        if is_unchanged {
            weaken_etag(&mut response.headers);
            return response;
        }
        let is_long_enough = match &response.body {
            Either::Left(full) => hyper::body::Body::size_hint(full).lower() >= self.min_bytes,
            Either::Right(_) => {
                let length = response.headers.number(&CONTENT_LENGTH);
                length.is_none_or(|bytes| bytes >= self.min_bytes)
            }
        };
        if !is_long_enough {
            return response;
        }
        let Response {
            status,
            mut headers,
            body,
        } = response;
        let encoded = match body {
            Either::Left(full) => Box::pin(self.encode_whole(coding, file, full)).await,
            Either::Right(Either::Left(body)) if method == Method::HEAD => {
                Ok(Either::Right(Either::Left(body)))
            }
            Either::Right(Either::Left(body)) => self.encode_stream(coding, body),
            Either::Right(Either::Right(encoded)) => Err(Either::Right(Either::Right(encoded))),
        };
        let body = match encoded {
            Ok(body) => {
                self.responses[coding as usize].increment(1);
                headers.insert(CONTENT_ENCODING, coding.header());
                headers.remove(CONTENT_LENGTH);
                headers.remove(ACCEPT_RANGES);
                weaken_etag(&mut headers);
                body
            }
            Err(body) => body,
        };
        Response {
            status,
            headers,
            body,
        }
    }

    /// Compresses a streamed body; returns it as it is if there are too many.
    fn encode_stream(&self, coding: Coding, body: Box<ServiceBody>) -> Result<Body, Body> {
        if Rc::weak_count(&self.active) >= MAX_ACTIVE {
            return Err(Either::Right(Either::Left(body)));
        }
        let bytes = (self.bytes_in.clone(), self.bytes_out.clone());
        let active = Rc::downgrade(&self.active);
        match EncodedBody::new(body, coding, self.level, bytes, active) {
            Ok(body) => Ok(Either::Right(Either::Right(Box::new(body)))),
            Err((error, body)) => {
                tracing::error!(%error, "a response cannot be compressed");
                Err(Either::Right(Either::Left(body)))
            }
        }
    }

    /// Compresses a body of the gateway's own; returns it as it is if that fails.
    async fn encode_whole(
        &self,
        coding: Coding,
        file: Option<(&'static str, &str)>,
        body: Full<Bytes>,
    ) -> Result<Body, Body> {
        let Ok(whole) = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let encoded = match file {
            None => {
                self.bytes_in.increment(whole.len() as u64);
                coding.encode(&whole, self.level)
            }
            Some(file) => encode_file(coding, file, whole.clone()).await,
        };
        match encoded {
            Ok(bytes) => {
                if file.is_none() {
                    self.bytes_out.increment(bytes.len() as u64);
                }
                Ok(Either::Left(Full::new(bytes)))
            }
            Err(error) => {
                tracing::error!(%error, "a response cannot be compressed");
                Err(Either::Left(Full::new(whole)))
            }
        }
    }
}

/// Compresses a file at its first use, outside of the thread that serves requests.
async fn encode_file(
    coding: Coding,
    (route, name): (&'static str, &str),
    content: Bytes,
) -> std::io::Result<Bytes> {
    let key: FileKey = (route, Arc::from(name), coding);
    match FILES.get_value_or_guard_async(&key).await {
        Ok(bytes) => Ok(bytes),
        Err(placeholder) => {
            let encode = move || coding.encode(&content, FILE_LEVEL);
            let bytes = tokio::task::spawn_blocking(encode).await??;
            // Fails only if the entry was removed meanwhile.
            let _ = placeholder.insert(bytes.clone());
            Ok(bytes)
        }
    }
}

/// True if the status, the headers and the type of `response` allow compression.
fn is_compressible(response: &Response<Body>) -> bool {
    let headers = &response.headers;
    // The statuses of responses with a part of the content or none.
    let is_whole = !matches!(
        response.status,
        StatusCode::SWITCHING_PROTOCOLS
            | StatusCode::NO_CONTENT
            | StatusCode::PARTIAL_CONTENT
            | StatusCode::RANGE_NOT_SATISFIABLE
    );
    is_whole
        && !headers.contains(CONTENT_ENCODING)
        && headers.get(CONTENT_TYPE).is_some_and(is_compressible_type)
        && !headers.list_contains(&CACHE_CONTROL, "no-transform")
}

/// True for types of text; those of images, video and archives are compressed already.
fn is_compressible_type(content_type: Value<'_>) -> bool {
    let bytes = content_type.as_bytes();
    let end = bytes.iter().position(|byte| *byte == b';');
    let essence = bytes[..end.unwrap_or(bytes.len())].trim_ascii();
    let is_any = |types: [&str; 4]| {
        let mut types = types.into_iter();
        types.any(|name| essence.eq_ignore_ascii_case(name.as_bytes()))
    };
    let ends_with = |suffix: &[u8]| {
        let at = essence.len().checked_sub(suffix.len());
        at.is_some_and(|at| essence[at..].eq_ignore_ascii_case(suffix))
    };
    is_any([
        "application/json",
        "application/javascript",
        "application/xml",
        "application/x-ndjson",
    ]) || (essence.get(..5)).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/"))
        || ends_with(b"+json")
        || ends_with(b"+xml")
}

/// The coding of `supported`, which are in the order of preference, that the client prefers; `None` if it prefers none.
fn negotiate(headers: &HeaderMap, supported: &[Coding]) -> Option<Coding> {
    // The quality of each coding in thousandths, as far as it is named.
    let mut named = [None; Coding::ALL.len()];
    let (mut identity, mut others) = (None, None);
    for list in headers.get_all(ACCEPT_ENCODING) {
        for word in list.to_str().ok()?.split(',') {
            let (name, quality) = parse_word(word)?;
            let known = Coding::ALL.into_iter().find(|coding| {
                let alias = *coding == Coding::Gzip && name.eq_ignore_ascii_case("x-gzip");
                alias || name.eq_ignore_ascii_case(coding.name())
            });
            match known {
                Some(coding) => named[coding as usize] = Some(quality),
                None if name == "*" => others = Some(quality),
                None if name.eq_ignore_ascii_case("identity") => identity = Some(quality),
                None => {}
            }
        }
    }
    let quality = |coding: Coding| named[coding as usize].or(others).unwrap_or(0);
    // The first of those with the highest quality.
    let best = supported
        .iter()
        .copied()
        .rev()
        .max_by_key(|coding| quality(*coding))?;
    (quality(best) > 0 && quality(best) >= identity.unwrap_or(0)).then_some(best)
}

/// The name and the quality, in thousandths, of an element of `Accept-Encoding`; `None` if it is malformed.
fn parse_word(word: &str) -> Option<(&str, u16)> {
    let mut parts = word.split(';');
    let name = parts.next()?.trim();
    let Some(parameter) = parts.next() else {
        return Some((name, 1000));
    };
    let (key, value) = parameter.split_once('=')?;
    let value: f32 = value.trim().parse().ok()?;
    let is_quality = key.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&value);
    is_quality.then_some((name, (value * 1000.0).round() as u16))
}

/// Adds `Accept-Encoding` to `Vary` unless it is there.
fn vary_by_encoding(headers: &mut Headers) {
    let mut names = ["*", "accept-encoding"].into_iter();
    if !names.any(|name| headers.list_contains(&VARY, name)) {
        headers.append(VARY, BY_ENCODING);
    }
}

fn weaken_etag(headers: &mut Headers) {
    let strong = headers.get(ETAG).map(Value::as_bytes);
    if let Some(strong) = strong.filter(|tag| !tag.starts_with(b"W/")) {
        let weak = [b"W/", strong].concat();
        headers.insert_parsed(&ETAG, &weak);
    }
}

/// Restores the strong entity tags of services in `If-Match`, which compares strongly: only compression made them weak.
pub(crate) fn strong_if_match(headers: &mut HeaderMap) {
    let Some(value) = headers.get_mut(IF_MATCH) else {
        return;
    };
    let strong = value.to_str().map(|list| {
        let tags = list.split(',').map(str::trim);
        let tags: Vec<&str> = tags
            .map(|tag| tag.strip_prefix("W/").unwrap_or(tag))
            .collect();
        HeaderValue::try_from(tags.join(", "))
    });
    if let Ok(Ok(strong)) = strong {
        *value = strong;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accepted: &str, supported: &[Coding]) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCEPT_ENCODING,
            HeaderValue::try_from(accepted).expect("a header"),
        );
        negotiate(&headers, supported)
    }

    #[test]
    fn the_client_chooses_the_coding() {
        use Coding::{Br, Gzip, Zstd};
        for (accepted, expected) in [
            ("", None),
            ("identity", None),
            ("compress, deflate", None),
            ("gzip", Some(Gzip)),
            ("X-GZIP", Some(Gzip)),
            ("gzip, deflate, br", Some(Br)),
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip;q=0.9, br ; q=0.8", Some(Gzip)),
            ("gzip;q=1.0, br;Q=1.000, zstd;q=0", Some(Br)),
            ("*", Some(Zstd)),
            ("zstd;q=0, *;q=0.1", Some(Br)),
            ("gzip;q=0.5, identity", None),
            ("gzip, identity;q=0", Some(Gzip)),
            ("gzip;q=0", None),
            ("*;q=0", None),
            ("gzip;q=2", None),
            ("gzip;level=1", None),
        ] {
            assert_eq!(negotiated(accepted, &Coding::ALL), expected, "{accepted:?}");
        }
        assert_eq!(negotiated("gzip, br", &[Gzip, Br]), Some(Gzip));
        assert_eq!(negotiate(&HeaderMap::new(), &Coding::ALL), None);
    }

    #[test]
    fn only_text_is_compressed() {
        for (kind, expected) in [
            ("application/json", true),
            ("Application/Problem+JSON; charset=utf-8", true),
            ("text/event-stream", true),
            ("image/svg+xml", true),
            ("application/x-ndjson", true),
            ("image/jpeg", false),
            ("application/zip", false),
            ("application/octet-stream", false),
        ] {
            let mut headers = Headers::default();
            headers.append(CONTENT_TYPE, HeaderValue::from_static(kind));
            let value = headers.get(CONTENT_TYPE).expect("the header");
            assert_eq!(is_compressible_type(value), expected, "{kind}");
        }
    }
}
