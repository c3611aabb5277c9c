//! The rules in force and their exchange while the gateway runs: SIGHUP reads `routes_file` again. An invalid file changes
//! nothing. Started by [`crate::server`].

use std::{path::PathBuf, sync::Arc, time::Duration};

use chassis::{config::ConfigError, shutdown::Shutdown};
use rustls::ClientConfig;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::{GroupRules, RELOADS_TOTAL, RULES, file};
use crate::config::GatewayConfig;

/// The time limit of a read, which a file on a network could exceed.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The file of the rules, and the rules that are in force.
pub(crate) struct GroupSource {
    /// `None` without a `routes_file`.
    path: Option<PathBuf>,
    config: Arc<GatewayConfig>,
    tls: Option<Arc<ClientConfig>>,
    current: watch::Sender<Option<Arc<GroupRules>>>,
}

impl GroupSource {
    /// Reads the file, if there is one. `tls` is that of the services' ordinary instances.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] that names the faulty entry if the file is invalid.
    pub(crate) fn new(
        config: &Arc<GatewayConfig>,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Arc<Self>, ConfigError> {
        let path = &config.own.routes_file;
        let source = Self {
            path: (!path.is_empty()).then(|| PathBuf::from(path)),
            config: Arc::clone(config),
            tls: tls.cloned(),
            current: watch::Sender::new(None),
        };
        if let Some(rules) = source.read()? {
            source.put_in_force(rules);
        }
        Ok(Arc::new(source))
    }

    /// The rules in force.
    pub(super) fn current(&self) -> Option<Arc<GroupRules>> {
        self.current.borrow().clone()
    }

    /// Notifies of rules that are put in force from now on.
    pub(super) fn changes(&self) -> watch::Receiver<Option<Arc<GroupRules>>> {
        self.current.subscribe()
    }

    /// Starts the task that reads the file again on SIGHUP, which has no effect without a file.
    ///
    /// # Errors
    /// Returns an error if the signal cannot be awaited.
    pub(crate) fn start_reload(self: &Arc<Self>, shutdown: &Shutdown) -> std::io::Result<()> {
        let mut hangups = signal(SignalKind::hangup())?;
        let (source, until) = (Arc::clone(self), shutdown.clone());
        shutdown.spawn(async move {
            loop {
                tokio::select! {
                    () = until.started() => return,
                    received = hangups.recv() => if received.is_none() { return },
                }
                source.reload().await;
            }
        });
        Ok(())
    }

    fn read(&self) -> Result<Option<GroupRules>, ConfigError> {
        let Some(path) = &self.path else {
            return Ok(None);
        };
        file::read(path, &self.config, self.tls.as_ref()).map(Some)
    }

    fn put_in_force(&self, rules: GroupRules) {
        let (groups, routes) = (rules.groups.len(), rules.rules.len());
        metrics::gauge!(RULES).set(u32::try_from(routes).unwrap_or(u32::MAX));
        metrics::counter!(RELOADS_TOTAL, "result" => "applied").increment(1);
        self.current.send_replace(Some(Arc::new(rules)));
        tracing::info!(groups, routes, "the routes of ROUTES_FILE are in force");
    }

    async fn reload(self: &Arc<Self>) {
        let source = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || source.read());
        let cause = match tokio::time::timeout(READ_TIMEOUT, read).await {
            Ok(Ok(Ok(None))) => return,
            Ok(Ok(Ok(Some(rules)))) => return self.put_in_force(rules),
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "ROUTES_FILE could not be read in time".to_owned(),
        };
        metrics::counter!(RELOADS_TOTAL, "result" => "refused").increment(1);
        tracing::error!(
            cause,
            "the routes are refused; those before them stay in force"
        );
    }
}
