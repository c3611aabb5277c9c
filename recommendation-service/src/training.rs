//! `recommendation-service train`: fits the learned models to what users did, measures them on what they
//! did later, and puts them into the registry as a version, which goes live if it beats the one that is.
//! `recommendation-service export` writes what it would be fitted to for a trainer elsewhere.
//!
//! Of each user's films the last tenth by time is held out: no model that is measured on it was fitted to
//! it, not even the live one, whose fitting ended before. Settings and the weights of the blend are chosen
//! on the tenth before; then the models are fitted again with that tenth, and those that are measured are
//! those that go live.
//!
//! [`source`] and [`tags`] read, [`fit`] fits and measures, [`export`] writes Parquet.

pub mod export;
mod fit;
mod source;
mod tags;

use std::{
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use chassis::{Settings as ProcessSettings, run::usage_error, shutdown::Shutdown};
use recommender::{model_file, taste::LIKED_STARS};
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::{
    config::{Config, DEFAULTS},
    database,
    evaluation::{Settings, resident},
    registry::repository,
};
use fit::Outcome;
use source::Source;

const USAGE: &str = "recommendation-service train [OPTION…]

Fits to what users did, by the service's own database (DATABASE_URL), and writes a version to its registry.

  --data PATH         fits to ratings in a file, or in a directory with ratings and links to TMDB's ids
                      (MovieLens as it is published), instead
  --links FILE        CSV with movieId and tmdbId, for a file of ratings whose films have other ids
  --min-rating R      ratings in files below R do not count; 3.5 unless given
  --from FILE         takes models fitted elsewhere (safetensors) rather than fitting any
  --out FILE          writes the version to FILE rather than to the registry
  --promote           it goes live, whatever its figures
  --hold              it does not go live; otherwise it does if it beats the one that is live
  --set MODEL.KEY=N   a setting, which is then not searched for; those of `evaluate`
  --seed N            what random numbers come from; 1 unless given
  --memory-mib N      memory at most; TRAINING_MEMORY_MIB unless given";

/// Bytes that one interaction takes while it is parted and fitted to.
const BYTES_PER_INTERACTION: u64 = 128;

/// How often its memory is looked at.
const WATCH_EVERY: Duration = Duration::from_millis(20);

/// When a version goes live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promotion {
    IfBetter,
    Always,
    Never,
}

struct Arguments {
    data: Option<PathBuf>,
    links: Option<PathBuf>,
    min_rating: f64,
    from: Option<PathBuf>,
    out: Option<PathBuf>,
    promotion: Promotion,
    settings: Settings,
    memory_mib: Option<u64>,
}

/// Runs `train`; `arguments` are those behind it.
pub fn command(arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(message) => return usage_error(&format!("{message}\n\n{USAGE}")),
    };
    finish(run(arguments, train))
}

/// Runs `work` with what it needs.
fn run<A, F: Future<Output = anyhow::Result<()>>>(
    arguments: A,
    work: impl FnOnce(A, Config) -> F,
) -> anyhow::Result<()> {
    let config: Config = ProcessSettings::load(DEFAULTS)?.read()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work(arguments, config))
}

fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Tells who runs the command how far it is.
fn tell(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut parsed = Arguments {
        data: None,
        links: None,
        min_rating: LIKED_STARS.into(),
        from: None,
        out: None,
        promotion: Promotion::IfBetter,
        settings: Settings::default(),
        memory_mib: None,
    };
    while let Some(argument) = arguments.next() {
        let (option, value) = match argument.split_once('=') {
            Some((option, value)) if option.starts_with("--") => {
                (option.to_owned(), Some(value.to_owned()))
            }
            _ => (argument, None),
        };
        match option.as_str() {
            "--promote" => {
                parsed.promotion = Promotion::Always;
                continue;
            }
            "--hold" => {
                parsed.promotion = Promotion::Never;
                continue;
            }
            "--data" | "--links" | "--min-rating" | "--from" | "--out" | "--set" | "--seed"
            | "--memory-mib" => {}
            _ => return Err(format!("unknown option `{option}`")),
        }
        let value = value
            .or_else(|| arguments.next())
            .ok_or_else(|| format!("{option} needs a value"))?;
        let wrong = |must: &str| format!("{option} is `{value}`, but must be {must}");
        match option.as_str() {
            "--data" => parsed.data = Some(PathBuf::from(value)),
            "--links" => parsed.links = Some(PathBuf::from(value)),
            "--from" => parsed.from = Some(PathBuf::from(value)),
            "--out" => parsed.out = Some(PathBuf::from(value)),
            "--set" => parsed.settings.set(&value)?,
            "--min-rating" => {
                let number: Option<f64> = value.parse().ok();
                let number = number.filter(|number| number.is_finite());
                parsed.min_rating = number.ok_or_else(|| wrong("a number"))?;
            }
            "--seed" => {
                let seed = value.parse().map_err(|_| wrong("a whole number"))?;
                parsed.settings.seed(seed);
            }
            _ => {
                let number: Option<u64> = value.parse().ok();
                let number = number.filter(|number| (64..=1 << 24).contains(number));
                parsed.memory_mib = Some(number.ok_or_else(|| wrong("64 to 16777216"))?);
            }
        }
    }
    if parsed.links.is_some() && parsed.data.is_none() {
        return Err("--links goes with --data".to_owned());
    }
    Ok(parsed)
}

async fn train(mut arguments: Arguments, config: Config) -> anyhow::Result<()> {
    let memory_mib = arguments.memory_mib.unwrap_or(config.training_memory_mib);
    let memory = memory_mib << 20;
    watch_memory(memory_mib);
    arguments.settings.fit_memory(memory / 2);

    let needs_database = arguments.data.is_none() || arguments.out.is_none();
    let pool = if needs_database {
        Some(database::open(&config, &Shutdown::default()).await?)
    } else {
        None
    };
    let source = match (&arguments.data, &pool) {
        (Some(path), _) => Source::Files {
            path: path.clone(),
            links: arguments.links.clone(),
            min_rating: arguments.min_rating,
        },
        (None, Some(pool)) => Source::Database(pool.clone()),
        (None, None) => anyhow::bail!("there is neither --data nor a database"),
    };
    let start = Instant::now();
    let events = source.read(memory / 4 / BYTES_PER_INTERACTION).await?;
    tell(&format!(
        "{} interactions read in {:.1} s",
        events.len(),
        start.elapsed().as_secs_f64()
    ));
    let catalogue = match &pool {
        Some(pool) if config.content_model => tags::load(pool).await?,
        _ => None,
    };
    let task = fit::Task::new(events, catalogue)?;
    let outcome = match &arguments.from {
        None => task.fit(&mut arguments.settings)?,
        Some(file) => {
            let bytes = read_file(file).with_context(|| file.display().to_string())?;
            let (manifest, parts) =
                model_file::decode(&bytes).with_context(|| file.display().to_string())?;
            task.adopt(manifest, parts, &mut arguments.settings)?
        }
    };
    tell(&outcome.table());

    if let Some(file) = &arguments.out {
        let bytes = model_file::encode(&outcome.manifest, &outcome.parts)?;
        std::fs::write(file, bytes).with_context(|| file.display().to_string())?;
        tell(&format!("written to {}", file.display()));
        return Ok(());
    }
    let Some(pool) = &pool else {
        return Ok(());
    };
    register(
        pool,
        &task,
        &outcome,
        arguments.promotion,
        config.model_versions_kept,
    )
    .await
}

/// Ends the process, and nothing but the process, once it is larger than `most` MiB. The system's own limits
/// count what is set aside and never touched, of which there is more the larger the machine's caches are.
fn watch_memory(most: u64) {
    std::thread::spawn(move || {
        loop {
            // Where nobody tells, nobody can watch.
            let Some(resident) = resident() else {
                return;
            };
            if resident > most {
                tell(&format!(
                    "it takes {resident} MiB, more than {most}; give --memory-mib or \
                     TRAINING_MEMORY_MIB a higher number, or fewer films by --set ease.max_items"
                ));
                std::process::exit(1);
            }
            std::thread::sleep(WATCH_EVERY);
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

/// Writes the version to the registry, and makes it live if it may be.
async fn register(
    pool: &PgPool,
    task: &fit::Task,
    outcome: &Outcome,
    promotion: Promotion,
    keep: i64,
) -> anyhow::Result<()> {
    let bytes = model_file::encode(&outcome.manifest, &outcome.parts)?;
    let sha256 = Sha256::digest(&bytes);
    let goes_live = match promotion {
        Promotion::Always => true,
        Promotion::Never => false,
        Promotion::IfBetter => is_better(pool, task, outcome).await?,
    };
    let version =
        repository::insert(pool, &outcome.manifest, &bytes, &sha256, goes_live, keep).await?;
    let state = if goes_live { "live" } else { "not live" };
    tell(&format!(
        "version {version}, {} bytes, is {state}",
        bytes.len()
    ));
    Ok(())
}

/// Whether what was fitted beats what is live, or, where nothing is, what is merely popular.
async fn is_better(pool: &PgPool, task: &fit::Task, outcome: &Outcome) -> anyhow::Result<bool> {
    let own = outcome.value;
    let live = match repository::live(pool).await? {
        None => None,
        Some(version) => {
            let bytes = repository::load(pool, version).await?;
            match model_file::decode(&bytes) {
                Ok((manifest, parts)) => Some((version, parts.into_trained(version, &manifest)?)),
                Err(error) => {
                    tell(&format!("version {version} is live but broken: {error}"));
                    None
                }
            }
        }
    };
    let (against, value) = match live {
        Some((version, live)) => (format!("live version {version}"), task.value(&live)),
        None => ("popularity".to_owned(), task.popularity()),
    };
    tell(&format!("held out: {own:.5}, {against} {value:.5}"));
    Ok(own > value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_cannot_be_are_refused_by_name() {
        let refused = |line: &str| {
            parse(line.split_whitespace().map(str::to_owned))
                .err()
                .expect("refused")
        };
        assert!(refused("--fast").contains("--fast"));
        assert!(refused("--data").contains("--data"));
        assert!(refused("--links a").contains("--links"));
        assert!(refused("--seed x").contains("--seed"));
        assert!(refused("--memory-mib 1").contains("--memory-mib"));
        assert!(refused("--set ease.size=3").contains("ease.size"));
        assert!(parse(["--data=a", "--hold"].map(str::to_owned).into_iter()).is_ok());
    }
}
