//! The commands of the program: roles, signing keys, audiences, verification. Called by `main`; each opens the
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
    service::{
        audience, chart_keeper::ChartKeeper, signing::SigningKeys, verification, writer::Writer,
    },
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
    /// Load or remove the users of a published set of ratings, to try the product out
    #[command(subcommand)]
    Audience(AudienceCommand),
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

/// A command that changes an audience.
#[derive(clap::Subcommand)]
pub enum AudienceCommand {
    /// Load the users on standard input, as `recommendation-service audience` writes them; the same again changes nothing
    Load,
    /// Erase all users of an audience, and nobody else
    Remove {
        /// The source that they are marked with
        #[arg(default_value = "movielens")]
        source: String,
    },
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
        Command::Audience(AudienceCommand::Load) => load_audience(&config).await,
        Command::Audience(AudienceCommand::Remove { source }) => {
            remove_audience(&config, &source).await
        }
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
        Role::Moderator => format!("{username} is a moderator"),
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

async fn load_audience(config: &Config) -> anyhow::Result<String> {
    let shutdown = Shutdown::default();
    let pool = database::open(config, &shutdown).await?;
    let retention = config.change_retention();
    let outbox = Outbox::new(pool.clone(), SNAPSHOT, retention, &shutdown);
    let writer = Writer::start(&pool, &outbox, config.writer());
    let input = std::io::BufReader::new(std::io::stdin());
    let loaded = audience::load(&pool, &writer, input, progress).await?;
    shutdown.start();
    Ok(format!(
        "{} users, {} of them new; {} new ratings, {} of movies that are not in the catalogue",
        loaded.users, loaded.created, loaded.ratings, loaded.unknown
    ))
}

async fn remove_audience(config: &Config, source: &str) -> anyhow::Result<String> {
    let pool = database::open(config, &Shutdown::default()).await?;
    let removed = audience::remove(&pool, source, progress).await?;
    Ok(format!(
        "{removed} users of the audience {source} are erased"
    ))
}

/// Prints the progress of a command.
fn progress(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
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
