//! One check of readiness at a time for each thread. Nobody needs a token or a place to ask for readiness, and many requests for
//! it must not become three times as many requests to services. Held by [`crate::state`], used by
//! [`crate::endpoints::health`]; it knows neither what is checked nor HTTP.

use std::{cell::RefCell, rc::Rc};

use chassis::health::Readiness;
use tokio::sync::watch;

/// The result of a check; `None` until it has ended.
type Checked = Option<Rc<Readiness>>;

/// The check that a thread has under way, if any.
#[derive(Default)]
pub(crate) struct ReadinessCheck(RefCell<Option<watch::Receiver<Checked>>>);

/// Ends a check, even if the request that makes it is dropped.
struct UnderWay<'a>(&'a ReadinessCheck);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.0.take();
    }
}

impl ReadinessCheck {
    /// The result of the check that is under way, or of a new `check`.
    pub(crate) async fn join(&self, check: impl AsyncFn() -> Readiness) -> Rc<Readiness> {
        loop {
            let under_way = self.0.borrow().clone();
            let Some(mut checked) = under_way else {
                let (sender, receiver) = watch::channel(None);
                self.0.replace(Some(receiver));
                let guard = UnderWay(self);
                let report = Rc::new(check().await);
                drop(guard);
                sender.send_replace(Some(Rc::clone(&report)));
                return report;
            };
            // It has no result if the client of the request that made the check has hung up.
            if let Ok(report) = checked.wait_for(Option::is_some).await
                && let Some(report) = &*report
            {
                return Rc::clone(report);
            }
        }
    }
}
