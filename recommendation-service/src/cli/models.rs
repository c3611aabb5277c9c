//! `recommendation-service models`: the versions of the learned models, of own users and base models alike. Replicas follow
//! within [`crate::registry::store::LIVE_REFRESH_INTERVAL`].

use anyhow::ensure;
use chassis::shutdown::Shutdown;
use clap::Subcommand;

use crate::{
    config::Config,
    database,
    registry::{
        LiveModels, Registry,
        repository::{self, ModelKind},
    },
};

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the stored versions, newest first
    List,
    /// Make a version live, newer or older
    Activate {
        /// The number of the version
        version: i64,
    },
    /// Rank without the live version
    Deactivate {
        /// The kind of the version
        kind: ModelKind,
    },
    /// Delete a version that is not live
    Delete {
        /// The number of the version
        version: i64,
    },
}

/// Runs the command; returns what it prints.
///
/// # Errors
/// Fails if there is no such version, it is damaged or live, or Postgres is unreachable.
pub async fn execute(command: Command, config: Config) -> anyhow::Result<String> {
    let pool = database::open(&config, &Shutdown::default()).await?;
    let registry = Registry::new(pool.clone(), None, LiveModels::default());
    Ok(match command {
        Command::List => {
            let (_, versions) = registry.list().await?;
            let line = |row: &repository::ModelRow| {
                format!(
                    "{:>6}  {:4}  {}  {:>12} bytes  {:>8} users  {:8}  {}",
                    row.version,
                    row.kind.as_str(),
                    row.created_at.format("%Y-%m-%d %H:%M"),
                    row.bytes,
                    row.manifest.users,
                    if row.is_live { "live" } else { "not live" },
                    row.manifest.source
                )
            };
            versions.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Command::Activate { version } => {
            registry.activate(version, None).await?;
            format!("version {version} is live")
        }
        Command::Deactivate { kind } => {
            registry.deactivate(kind).await?;
            format!("no version of kind {} is live", kind.as_str())
        }
        Command::Delete { version } => {
            let is_deleted = repository::delete(&pool, version).await?;
            ensure!(is_deleted, "version {version} does not exist or is live");
            format!("version {version} is deleted")
        }
    })
}
