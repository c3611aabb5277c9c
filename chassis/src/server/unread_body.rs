//! Announces the end of a connection on which a part of a request's body was not read. Called by [`super::layers`].
//!
//! hyper closes such a connection after the response, and says so to nobody: a client that reuses it at that moment loses
//! its next request, which it must not send again if it is not idempotent (RFC 9110, 9.2.2).

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderValue, header::CONNECTION},
    middleware::Next,
    response::Response,
};
use hyper::body::{Frame, SizeHint};

/// Adds `Connection: close` to the response of a request whose body was not read to its end.
pub(super) async fn announce_close(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let is_read = Arc::new(AtomicBool::new(false));
    let observed = |body| ObservedBody {
        body,
        is_read: Arc::clone(&is_read),
    };
    let request = request.map(|body| Body::new(observed(body)));
    let mut response = next.run(request).await;
    if !is_read.load(Ordering::Relaxed) {
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

struct ObservedBody {
    body: Body,
    /// Set at the end of the body.
    is_read: Arc<AtomicBool>,
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.is_read.store(true, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware::from_fn, routing::post};
    use futures_util::stream;
    use tower::ServiceExt;

    use super::*;

    async fn read(body: Bytes) -> String {
        body.len().to_string()
    }

    #[tokio::test]
    async fn the_end_of_a_connection_with_an_unread_body_is_announced() {
        let routes = Router::new()
            .route("/read", post(read))
            .route("/ignored", post(async || ()))
            .layer(from_fn(announce_close));
        let chunks = || {
            let chunks = ["ab", "c"].map(Ok::<_, std::io::Error>);
            Body::from_stream(stream::iter(chunks))
        };
        for (path, body, is_closed) in [
            ("/read", Body::from("abc"), false),
            ("/read", chunks(), false),
            ("/read", Body::empty(), false),
            ("/ignored", Body::empty(), false),
            ("/ignored", Body::from("abc"), true),
            ("/ignored", chunks(), true),
            ("/unknown", Body::from("abc"), true),
        ] {
            let request = Request::post(path).body(body).expect("a request");
            let response = routes.clone().oneshot(request).await.unwrap();
            let close = response.headers().get(CONNECTION);
            assert_eq!(
                close.is_some_and(|close| close == "close"),
                is_closed,
                "{path}"
            );
        }
    }
}
