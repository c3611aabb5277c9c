//! Graceful shutdown: readiness fails, no new connection is accepted, requests in flight
//! complete, background tasks are awaited, all within a grace period.

use std::{future::Future, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Signals tasks that the process is stopping, and waits for them; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Starts the shutdown.
    pub fn start(&self) {
        self.token.cancel();
    }

    /// True if the shutdown has started.
    pub fn is_started(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns once the shutdown has started.
    pub async fn started(&self) {
        self.token.cancelled().await;
    }

    /// Runs `task` beside the requests. It must return soon after [`Shutdown::started`].
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Waits for `duration` or the start of the shutdown; true if it has started.
    pub async fn sleep(&self, duration: Duration) -> bool {
        tokio::time::timeout(duration, self.started()).await.is_ok()
    }

    /// Waits for the tasks, at most `grace`; true if all have returned.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }

    /// Starts the shutdown on SIGTERM or SIGINT; a second signal exits immediately.
    ///
    /// # Errors
    /// Returns an error if signal handlers cannot be installed.
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends with the process, not before it"
    )]
    pub fn on_signals(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if shutdown.is_started() {
                    tracing::warn!("second signal, stopping without waiting");
                    std::process::exit(1);
                }
                // First, so that nothing that goes wrong with the log line keeps the process running.
                shutdown.start();
                tracing::info!("stopping: no new connections, finishing what was accepted");
            }
        });
        Ok(())
    }
}
