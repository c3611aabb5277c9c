//! Conditional requests (RFC 9110, section 13): a strong entity tag over the body, and 304 for a client
//! that has the body already.

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

use crate::Problem;

/// Adds a strong `ETag` and `cache_control` to successful GETs of `routes`, and responds 304 to a
/// client that sends the tag. Only for bodies that are whole in memory anyway. A handler that has a
/// cheaper tag than a hash of the body, or a longer lifetime, sets the header itself.
pub fn conditional<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    cache_control: &'static str,
) -> Router<S> {
    routes.layer(from_fn(move |request: Request, next: Next| async move {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return next.run(request).await;
        }
        let known = request.headers().get(header::IF_NONE_MATCH).cloned();
        let response = next.run(request).await;
        if response.status() != StatusCode::OK || is_stream(&response) {
            return response;
        }
        tag(response, known.as_ref(), cache_control).await
    }))
}

/// A stream of events has no end to hash.
fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

async fn tag(
    response: Response,
    known: Option<&HeaderValue>,
    cache_control: &'static str,
) -> Response {
    let (mut head, mut body) = response.into_parts();
    let etag = match head.headers.get(header::ETAG) {
        Some(own) => own.clone(),
        None => {
            let whole = match body.collect().await {
                Ok(whole) => whole.to_bytes(),
                Err(error) => return Problem::internal(&error).into_response(),
            };
            let etag = strong_etag(&whole);
            body = Body::from(whole);
            etag
        }
    };
    head.headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static(cache_control));
    let unchanged = known.is_some_and(|known| names_etag(known, &etag));
    head.headers.insert(header::ETAG, etag);
    if unchanged {
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(header::CONTENT_TYPE);
        head.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(head, Body::empty());
    }
    Response::from_parts(head, body)
}

/// The strong entity tag of a body.
#[must_use]
pub fn strong_etag(body: &[u8]) -> HeaderValue {
    let digest = Sha256::digest(body);
    let half = digest.first_chunk().copied().map_or(0, u128::from_be_bytes);
    let tag = format!("\"{half:032x}\"");
    HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// True if the list in `If-None-Match` contains `etag`, by weak comparison as the RFC requires.
#[must_use]
pub fn names_etag(list: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(list), Ok(etag)) = (list.to_str(), etag.to_str()) else {
        return false;
    };
    list.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_tags_is_searched_by_weak_comparison() {
        let etag = strong_etag(b"{}");
        let text = etag.to_str().expect("hexadecimal");
        for (list, named) in [
            (text.to_owned(), true),
            (format!("\"a\", W/{text}"), true),
            ("*".to_owned(), true),
            ("\"a\"".to_owned(), false),
        ] {
            assert_eq!(
                names_etag(&HeaderValue::try_from(&list).expect("header"), &etag),
                named,
                "{list}"
            );
        }
    }
}
