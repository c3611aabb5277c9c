//! One check of readiness at a time for each thread. Nobody needs a token or a place to ask for readiness, and many requests for
//! it must not become three times as many requests to services. Held by [`crate::state`], used by
//! [`crate::endpoints::health`]; it knows neither what is checked nor HTTP.

use std::{
    cell::RefCell,
    rc::{Rc, Weak},
};

use chassis::health::Readiness;
use tokio::sync::OnceCell;

/// The check that a thread has under way, if any.
#[derive(Default)]
pub(crate) struct ReadinessCheck(RefCell<Weak<OnceCell<Readiness>>>);

impl ReadinessCheck {
    /// The check that is under way, or a new one. The first request that needs the result makes it, the others wait; if the
    /// client of that one hangs up, the next one does.
    pub(crate) fn current(&self) -> Rc<OnceCell<Readiness>> {
        let under_way = self.0.borrow().upgrade();
        under_way
            .filter(|check| !check.initialized())
            .unwrap_or_else(|| {
                let check = Rc::default();
                self.0.replace(Rc::downgrade(&check));
                check
            })
    }
}
