//! Reading on after a refusal: closing a connection with a body unread would reset it, and the client
//! would not see why it was refused.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    body::{Body as _, Incoming},
    header::EXPECT,
};

use super::Passage;

/// For how long it is read on at most.
const LINGER_TIME: Duration = Duration::from_secs(2);

impl Passage<'_> {
    pub(super) fn linger(&mut self) {
        let Some(body) = self.body.take_if(|body| !body.is_end_stream()) else {
            return;
        };
        // Reading would ask a waiting client for its body.
        if self.head.headers.contains_key(EXPECT) {
            return;
        }
        // Whoever sends somewhat more than may ever be sent is to hear so.
        let most = self
            .worker
            .shared
            .config
            .own
            .import_body_limit_bytes
            .saturating_mul(2);
        tokio::task::spawn_local(tokio::time::timeout(LINGER_TIME, discard(body, most)));
    }
}

async fn discard(mut body: Incoming, most: usize) {
    let mut left = most;
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
