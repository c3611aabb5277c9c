//! Discards the rest of a refused request's body: closing the connection with an unread body would reset it
//! before the client has read the refusal.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    body::{Body as _, Incoming},
    header::EXPECT,
};

use super::RequestContext;

const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

impl RequestContext<'_> {
    /// Discards the body in the background, unless a layer has taken it.
    pub(super) fn drain_body(&mut self) {
        let Some(body) = self.body.take_if(|body| !body.is_end_stream()) else {
            return;
        };
        // Reading would request the body from a client that waits for `100 Continue`.
        if self.head.headers.contains_key(EXPECT) {
            return;
        }
        // Twice the largest limit, so that clients that exceed it somewhat receive the refusal.
        let own = &self.state.shared.config.own;
        let max_bytes = own.import_body_limit_bytes.saturating_mul(2);
        tokio::task::spawn_local(tokio::time::timeout(
            DRAIN_TIMEOUT,
            discard(body, max_bytes),
        ));
    }
}

async fn discard(mut body: Incoming, max_bytes: usize) {
    let mut remaining = max_bytes;
    while let Some(Ok(frame)) = body.frame().await {
        match remaining.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => remaining = rest,
            None => return,
        }
    }
}
