//! What the program can be told to do besides running: print its API, say whether a running service is
//! ready, make somebody an administrator, rotate the signing keys, verify what is
//! kept.

use std::{io::Write, process::ExitCode};

use chassis::{
    Service, Settings,
    clock::Clock,
    feed::outbox::Outbox,
    run::{healthcheck, print_openapi, usage_error},
    shutdown::Shutdown,
};
use sqlx::PgPool;

use crate::{
    config::{Config, DEFAULTS},
    database, handler,
    models::{Role, login_key},
    repository::{changes::SNAPSHOT, chart_mirror::ChartMirror, users},
    service::{chart_keeper::ChartKeeper, signing::SigningKeys, verification},
};

const KNOWN: &str =
    "openapi, healthcheck, admin grant USERNAME, admin revoke USERNAME, keys rotate, verify";

/// What the service is before it runs.
#[must_use]
pub fn service() -> Service {
    Service {
        name: crate::NAME,
        defaults: DEFAULTS,
        openapi: handler::openapi,
    }
}

/// Does what `arguments` say; none where they say nothing, which means to run.
#[must_use]
pub fn run(arguments: &[String]) -> Option<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Some(match words[..] {
        [] => return None,
        ["openapi"] => print_openapi(&service()),
        ["healthcheck"] => healthcheck(&service()),
        ["admin", "grant", name] => {
            with_config(async |config| set_role(&config, name, Role::Admin).await)
        }
        ["admin", "revoke", name] => {
            with_config(async |config| set_role(&config, name, Role::User).await)
        }
        ["verify"] => with_config(async |config| verify(&config).await),
        ["keys", "rotate"] => with_config(async |config| rotate(&config).await),
        _ => usage_error(&format!(
            "unknown command `{}`; known are {KNOWN}",
            words.join(" ")
        )),
    })
}

/// Runs `work`, and prints the line that it returns.
fn with_config(work: impl AsyncFnOnce(Config) -> anyhow::Result<String>) -> ExitCode {
    let config = match Settings::load(DEFAULTS).and_then(|settings| settings.read::<Config>()) {
        Ok(config) => config,
        Err(error) => return usage_error(&error.to_string()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(work(config)));
    match done {
        Ok(line) => {
            let _ = writeln!(std::io::stdout(), "{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The role is in tokens from the next refresh on, and with API keys at once.
async fn set_role(config: &Config, name: &str, role: Role) -> anyhow::Result<String> {
    let pool = database::open(config, &Shutdown::default()).await?;
    let known = match login_key(name) {
        Some(key) => users::set_role(&pool, &key, role).await?,
        None => false,
    };
    anyhow::ensure!(known, "no user has the username {name}");
    Ok(match role {
        Role::Admin => {
            format!("{name} is an administrator; access tokens include it after a refresh")
        }
        Role::User => format!(
            "{name} is not an administrator; existing access tokens expire within {} s",
            config.access_ttl_seconds
        ),
    })
}

async fn rotate(config: &Config) -> anyhow::Result<String> {
    let pool = database::open(config, &Shutdown::default()).await?;
    let signs_from = SigningKeys::new(pool, Clock::system(), config)?
        .rotate()
        .await?;
    Ok(format!(
        "a new key is published; it signs from {}",
        signs_from.format("%Y-%m-%dT%H:%M:%SZ")
    ))
}

/// Compares states, counters and taste with the log; fails where they differ.
async fn verify(config: &Config) -> anyhow::Result<String> {
    let pool = database::open(config, &Shutdown::default()).await?;
    let findings =
        verification::verify(&pool, Clock::system().now(), config.taste_half_life()).await?;
    let charts = chart_differences(config, pool).await?;
    let told = match charts {
        Some(differences) => format!("{findings}, chart differences {differences}"),
        None => {
            format!("{findings}, charts not compared: Redis is unavailable, or they are moving")
        }
    };
    if !findings.is_clean() || charts.is_some_and(|differences| differences > 0) {
        writeln!(std::io::stdout(), "{told}")?;
        anyhow::bail!("the stored data differs from the interaction log");
    }
    Ok(told)
}

/// Where the charts in Redis differ from Postgres; none where they cannot be compared.
async fn chart_differences(config: &Config, pool: PgPool) -> anyhow::Result<Option<u64>> {
    let Some(redis) = config.redis()? else {
        return Ok(None);
    };
    let shutdown = Shutdown::default();
    let outbox = Outbox::new(pool.clone(), SNAPSHOT, config.change_retention(), &shutdown);
    let keeper = ChartKeeper::new(pool, outbox, ChartMirror::new(redis), &shutdown);
    let differences = keeper.differences().await?;
    shutdown.start();
    Ok(differences)
}
