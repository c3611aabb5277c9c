//! The handshake of a WebSocket: admitted before it is sent to a service, handed to the connection when the service
//! accepts it. Called by [`super::forward`].

use chassis::Problem;
use hyper::{body::Body as _, header::CONTENT_LENGTH};

use super::{RequestContext, refused};
use crate::{
    admission::Permit,
    message::Headers,
    middleware::client_ip::ClientKey,
    proxy::upgrade::{ServiceSide, add_switch},
    routes::{Route, Service},
    websocket::{Handshake, check_origin},
};

impl RequestContext<'_> {
    /// Takes a place for the WebSocket that the request asks for; `None` if it is an ordinary request.
    ///
    /// # Errors
    /// 403 if the page that asks may not, 429 or 503 if there are too many, 503 while the gateway stops.
    pub(super) fn admit_websocket(&self) -> Result<Option<Permit>, Problem> {
        let has_body = || self.body.as_ref().is_some_and(|body| !body.is_end_stream());
        if !self.state.websockets.is_handshake(&self.head) || has_body() {
            return Ok(None);
        }
        check_origin(&self.state.shared.cors, &self.head.headers)?;
        if self.state.is_draining.get() {
            return Err(Problem::unavailable("the gateway").error("the gateway is stopping"));
        }
        let client = ClientKey::of(self.client);
        let admitted = self.state.websockets.admit(client, &self.peer.connection);
        admitted.map_err(|refusal| {
            let of_client = "too many WebSockets of this client are open";
            refused(refusal, of_client, "too many WebSockets are open")
        })
    }

    /// Lets the connection become the WebSocket that `service` has accepted for a request of `route`; `headers` are those
    /// of the response.
    pub(super) fn open_websocket(
        &self,
        place: Permit,
        service_side: ServiceSide,
        route: &Route,
        service: Service,
        headers: &mut Headers,
    ) {
        add_switch(headers);
        // A response that switches has no body (RFC 9110, 8.6).
        headers.remove(CONTENT_LENGTH);
        let handshake = Handshake {
            service: service.name(),
            route: route.path,
            client: self.client,
            trace: &self.trace,
        };
        let tunnel = self.state.websockets.open(place, service_side, &handshake);
        self.peer.tunnel.set(Some(tunnel));
    }
}
