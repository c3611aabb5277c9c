//! The end of a process: readiness turns red, no new connection is accepted, requests under way
//! are answered, background tasks are waited for, all within a grace period.

use std::{future::Future, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Tells tasks that the process is stopping, and waits for them; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Begins the end.
    pub fn start(&self) {
        self.token.cancel();
    }

    /// Whether the end has begun.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns when the end has begun.
    pub async fn started(&self) {
        self.token.cancelled().await;
    }

    /// Runs `task` beside the requests. It must return soon after [`Shutdown::started`].
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Waits until the end has begun or `duration` is over; true when the end has begun.
    pub async fn sleep(&self, duration: Duration) -> bool {
        tokio::time::timeout(duration, self.started()).await.is_ok()
    }

    /// Waits for the tasks, at most `grace`; true when all have returned.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }

    /// Begins the end when the process gets SIGTERM or SIGINT; a second signal ends it at once.
    ///
    /// # Errors
    /// Where signals cannot be listened to.
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
                tracing::info!("stopping: no new connections, finishing what was accepted");
                shutdown.start();
            }
        });
        Ok(())
    }
}
