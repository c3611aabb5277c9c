//! The commands of the program: roles, signing keys, verification. Called by `main`; each opens the
//! database itself and needs no running service.

use std::{io::Write, process::ExitCode};

use chassis::{
    Service, Settings, clock::Clock, feed::outbox::Outbox, redis::Redis, run, shutdown::Shutdown,
};
use sqlx::PgPool;

use crate::{
    config::{Config, DEFAULTS},
    database, handler,
    models::{Role, login_key},
    repository::{changes::SNAPSHOT, chart_mirror::ChartMirror, users},
    service::{chart_keeper::ChartKeeper, signing::SigningKeys, verification},
};

/// The description of the service.
pub const SERVICE: Service = Service {
    name: crate::NAME,
    defaults: DEFAULTS,
    openapi: handler::openapi,
};

/// A command of the program.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Grant or revoke the role of an administrator
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Manage the signing keys of access tokens
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Compare states, counters, taste and charts with the interaction log
    Verify,
}

/// A command that changes a role.
#[derive(clap::Subcommand)]
pub enum AdminCommand {
    /// Make a user an administrator
    Grant {
        /// The user's name, ignoring case
        username: String,
    },
    /// Make an administrator an ordinary user
    Revoke {
        /// The user's name, ignoring case
        username: String,
    },
}

/// A command that changes the signing keys.
#[derive(clap::Subcommand)]
pub enum KeysCommand {
    /// Publish a new key, which signs after SIGNING_KEY_DELAY_SECONDS
    Rotate,
}

/// Executes `command` with the settings of the environment.
pub fn execute(command: Command) -> ExitCode {
    run::execute(&SERVICE, async |config: Config| match command {
        Command::Admin(AdminCommand::Grant { username }) => {
            set_role(&config, &username, Role::Admin).await
        }
        Command::Admin(AdminCommand::Revoke { username }) => {
            set_role(&config, &username, Role::User).await
        }
        Command::Keys(KeysCommand::Rotate) => rotate_keys(&config).await,
        Command::Verify => verify(&config).await,
    })
}

/// Sets a role. It applies to API keys immediately, and to access tokens after the next refresh.
async fn set_role(config: &Config, username: &str, role: Role) -> anyhow::Result<String> {
    let pool = database::open(config, &Shutdown::default()).await?;
    let is_updated = match login_key(username) {
        Some(key) => users::set_role(&pool, &key, role).await?,
        None => false,
    };
    anyhow::ensure!(is_updated, "no user has the username {username}");
    Ok(match role {
        Role::Admin => {
            format!("{username} is an administrator; access tokens include it after a refresh")
        }
        Role::User => format!(
            "{username} is not an administrator; existing access tokens expire within {} s",
            config.access_ttl_seconds
        ),
    })
}

async fn rotate_keys(config: &Config) -> anyhow::Result<String> {
    let pool = database::open(config, &Shutdown::default()).await?;
    let keys = SigningKeys::new(pool, Clock::system(), config)?;
    let signs_from = keys.rotate().await?;
    Ok(format!(
        "a new key is published; it signs from {}",
        signs_from.format("%Y-%m-%dT%H:%M:%SZ")
    ))
}

/// Fails if derived data differs from the log.
async fn verify(config: &Config) -> anyhow::Result<String> {
    let pool = database::open(config, &Shutdown::default()).await?;
    let now = Clock::system().now();
    let findings = verification::verify(&pool, now, config.taste_half_life()).await?;
    let charts = chart_differences(config, pool).await?;
    let report = match charts {
        Some(differences) => format!("{findings}, chart differences {differences}"),
        None => {
            format!("{findings}, charts not compared: Redis is unavailable, or they are moving")
        }
    };
    if !findings.is_clean() || charts.is_some_and(|differences| differences > 0) {
        writeln!(std::io::stdout(), "{report}")?;
        anyhow::bail!("the stored data differs from the interaction log");
    }
    Ok(report)
}

/// Counts the differences between the charts in Redis and Postgres; `None` if they cannot be compared.
async fn chart_differences(config: &Config, pool: PgPool) -> anyhow::Result<Option<u64>> {
    let Some(redis) = Redis::from_settings(&Settings::load(DEFAULTS)?)? else {
        return Ok(None);
    };
    let shutdown = Shutdown::default();
    let outbox = Outbox::new(pool.clone(), SNAPSHOT, config.change_retention(), &shutdown);
    let keeper = ChartKeeper::new(pool, outbox, ChartMirror::new(redis), &shutdown);
    let differences = keeper.differences().await?;
    shutdown.start();
    Ok(differences)
}
