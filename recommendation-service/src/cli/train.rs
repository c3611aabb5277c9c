//! `recommendation-service train`: fits the learned models to interactions, measures them on later ones, and writes them
//! to the registry as a version, which goes live if it is better than the live one.
//!
//! Of each user's interactions the last tenth by time is held out: no measured model was fitted to it, not even the live
//! one, whose fitting ended before. Settings and the weights of the blend are chosen on the tenth before; then the models
//! are fitted again with that tenth.
//!
//! [`source`] and [`tags`] read, [`fit`] fits and measures, [`content`] fits the content model. [`base`] fits a base model to a
//! published set instead.

mod base;
mod content;
mod fit;
pub(super) mod set;
pub(super) mod source;
pub(super) mod tags;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use chassis::shutdown::Shutdown;
use clap::Args;
use recommender::{
    TrainedModels,
    evaluation::{process_memory_mib, settings::Settings},
    model_file,
    taste::LIKED_STARS,
};
use sha2::{Digest, Sha256};
use sqlx::PgPool;

pub(super) use self::base::titles;
use self::{base::BaseSet, fit::Outcome};
use super::{finite, print, setting};
use crate::{
    config::Config,
    database,
    registry::repository::{self, ModelKind, NewModel},
};

/// Bytes that one interaction takes while it is split and fitted to.
const BYTES_PER_INTERACTION: u64 = 128;

/// The interval of memory checks.
const MEMORY_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Fits models to the interactions in the database of the service (DATABASE_URL), or in files, and writes a version to the
/// registry. It goes live if it is better than the live one.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("files"))]
pub struct Arguments {
    /// Fit a base model to a published set, which serves until own users have done enough and as prior beside own models;
    /// --from names the set as it was fetched
    #[arg(long, value_name = "SET", requires = "from", group = "files")]
    base: Option<BaseSet>,
    /// Accept the licence of the set, which is shown
    #[arg(long, requires = "base")]
    accept_licence: bool,
    /// Only read the set, and print how many of its movies map to the catalogue
    #[arg(long, requires = "base")]
    dry_run: bool,
    /// A file of ratings, or a directory with ratings and links to TMDB's ids (MovieLens as published), instead of the
    /// database
    #[arg(long, value_name = "PATH", group = "files")]
    data: Option<PathBuf>,
    /// CSV with movieId and tmdbId, for ratings whose movies have other ids
    #[arg(long, value_name = "FILE", requires = "files")]
    links: Option<PathBuf>,
    /// The smallest rating in files that counts; by default 3.5
    #[arg(long, value_name = "R", value_parser = finite)]
    min_rating: Option<f64>,
    /// Register models that were fitted elsewhere (safetensors), rather than fitting any; with --base the directory or
    /// zip archive of the set
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,
    /// Write the version to a file rather than to the registry
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Make the version live, whatever its metrics
    #[arg(long, overrides_with = "hold")]
    promote: bool,
    /// Do not make the version live
    #[arg(long, overrides_with = "promote")]
    hold: bool,
    /// A setting, which is then not searched for; as in `evaluate`
    #[arg(long, value_name = "MODEL.KEY=N", value_parser = setting)]
    set: Vec<String>,
    /// The seed of random numbers
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The memory limit in MiB; TRAINING_MEMORY_MIB unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(64..=1 << 24))]
    memory_mib: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// Fails if interactions cannot be read or are too few, a model cannot be fitted, a file cannot be written, or Postgres is
/// unreachable.
pub async fn train(arguments: Arguments, config: Config) -> anyhow::Result<()> {
    let mut settings = Settings::default();
    settings.seed(arguments.seed);
    for one in &arguments.set {
        settings.set(one)?;
    }
    let memory_mib = arguments.memory_mib.unwrap_or(config.training_memory_mib);
    let memory = memory_mib << 20;
    watch_memory(memory_mib);
    settings.fit_memory(memory / 2);

    if arguments.base.is_some() {
        return base::train(arguments, config, settings, memory).await;
    }

    let needs_database = arguments.data.is_none() || arguments.out.is_none();
    let pool = if needs_database {
        Some(database::open(&config, &Shutdown::default()).await?)
    } else {
        None
    };
    let start = Instant::now();
    let max = memory / 4 / BYTES_PER_INTERACTION;
    let events = match (&arguments.data, &pool) {
        (Some(path), _) => {
            let min_rating = arguments.min_rating.unwrap_or(f64::from(LIKED_STARS));
            source::from_files(path, arguments.links.as_deref(), min_rating, max)?
        }
        (None, Some(pool)) => source::from_database(pool, max).await?,
        (None, None) => anyhow::bail!("there is neither --data nor a database"),
    };
    print(&format!(
        "{} interactions read in {:.1} s",
        events.len(),
        start.elapsed().as_secs_f64()
    ));
    let catalogue = match &pool {
        Some(pool) if config.content_model => tags::load(pool).await?,
        _ => None,
    };
    let base = match &pool {
        Some(pool) => live(pool, ModelKind::Base).await?.map(|(_, base)| base),
        None => None,
    };
    let mut task = fit::Task::new(events, catalogue, base)?;
    let outcome = match &arguments.from {
        None => {
            task.refit_content();
            task.fit(&mut settings)?
        }
        Some(file) => {
            let bytes = read_file(file).with_context(|| file.display().to_string())?;
            let (manifest, parts) =
                model_file::decode(&bytes).with_context(|| file.display().to_string())?;
            task.adopt(manifest, parts, &mut settings)?
        }
    };
    print(&outcome.table());

    let bytes = model_file::encode(&outcome.manifest, &outcome.parts)?;
    let Some(pool) = registry(&arguments, pool.as_ref(), &bytes)? else {
        return Ok(());
    };
    let goes_live =
        arguments.promote || !arguments.hold && is_better(pool, &task, &outcome).await?;
    let new = NewModel {
        kind: ModelKind::Own,
        manifest: &outcome.manifest,
        bytes: &bytes,
        sha256: &Sha256::digest(&bytes),
    };
    register(pool, &new, goes_live, &config).await
}

/// The registry in which the model file `bytes` is registered; `None` if it was written to a file instead.
fn registry<'a>(
    arguments: &Arguments,
    pool: Option<&'a PgPool>,
    bytes: &[u8],
) -> anyhow::Result<Option<&'a PgPool>> {
    let Some(file) = &arguments.out else {
        return Ok(pool);
    };
    std::fs::write(file, bytes).with_context(|| file.display().to_string())?;
    print(&format!("written to {}", file.display()));
    Ok(None)
}

/// Stores `new` as a version in the registry, and says so.
async fn register(
    pool: &PgPool,
    new: &NewModel<'_>,
    goes_live: bool,
    config: &Config,
) -> anyhow::Result<()> {
    let version = repository::insert(pool, new, goes_live, config.model_versions_kept).await?;
    let name = match new.kind {
        ModelKind::Own => "",
        ModelKind::Base => "base model: ",
    };
    let state = if goes_live { "live" } else { "not live" };
    let bytes = new.bytes.len();
    print(&format!(
        "{name}version {version}, {bytes} bytes, is {state}"
    ));
    Ok(())
}

/// Ends the process once it is larger than `max` MiB. The limits of the system count reserved memory that is never touched,
/// which grows with the caches of the machine.
fn watch_memory(max: u64) {
    std::thread::spawn(move || {
        loop {
            // Not every system reports it.
            let Some(resident) = process_memory_mib("VmRSS:") else {
                return;
            };
            if resident > max {
                print(&format!(
                    "it takes {resident} MiB, more than {max}; give --memory-mib or TRAINING_MEMORY_MIB a \
                     higher number, or fewer weights by --set ease.max_items and ease.neighbors"
                ));
                std::process::exit(1);
            }
            std::thread::sleep(MEMORY_CHECK_INTERVAL);
        }
    });
}

fn read_file(file: &std::path::Path) -> anyhow::Result<Vec<u8>> {
    let length = std::fs::metadata(file)?.len();
    anyhow::ensure!(
        length <= model_file::MAX_BYTES as u64,
        "it has {length} bytes, more than {}",
        model_file::MAX_BYTES
    );
    Ok(std::fs::read(file)?)
}

/// The live version of `kind` with its number, if there is one that can be used.
async fn live(pool: &PgPool, kind: ModelKind) -> anyhow::Result<Option<(i64, TrainedModels)>> {
    let Some(version) = repository::live(pool, kind).await? else {
        return Ok(None);
    };
    let bytes = repository::load(pool, version).await?;
    match model_file::decode(&bytes) {
        Ok((manifest, parts)) => Ok(Some((version, parts.into_trained(version, &manifest)?))),
        Err(error) => {
            print(&format!("version {version} is live but broken: {error}"));
            Ok(None)
        }
    }
}

/// True if the fitted models are better than the live version, or than popularity if none is live.
async fn is_better(pool: &PgPool, task: &fit::Task, outcome: &Outcome) -> anyhow::Result<bool> {
    let own = outcome.value;
    let (against, value) = match live(pool, ModelKind::Own).await? {
        Some((version, live)) => (format!("live version {version}"), task.value(live)),
        None => ("popularity".to_owned(), task.popularity()),
    };
    print(&format!("held out: {own:.5}, {against} {value:.5}"));
    Ok(own > value)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        _arguments: Arguments,
    }

    #[test]
    fn invalid_options_are_rejected_by_name() {
        let parse = |line: &str| {
            Line::try_parse_from(std::iter::once("train").chain(line.split_whitespace()))
        };
        let rejected = |line: &str| parse(line).expect_err("rejected").to_string();
        assert!(rejected("--fast").contains("--fast"));
        assert!(rejected("--data").contains("--data"));
        assert!(rejected("--links a").contains("--data"));
        assert!(rejected("--seed x").contains("--seed"));
        assert!(rejected("--memory-mib 1").contains("--memory-mib"));
        assert!(rejected("--set ease.size=3").contains("ease.size"));
        assert!(parse("--data=a --hold").is_ok());
    }
}
