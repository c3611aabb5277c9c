//! `recommendation-service train --base`: fits a base model to a MovieLens set that the operator has fetched.
//! [`recommender::base`] chooses and fits; here are the files, the licence and the registry.

use anyhow::{Context as _, ensure};
use chassis::shutdown::Shutdown;
use clap::ValueEnum;
use recommender::{
    base::{self, BaseSettings, Population},
    evaluation::settings::Settings,
    model_file,
    movielens::{CatalogueTitle, edition},
    taste::LIKED_STARS,
};
use sha2::{Digest, Sha256};

use super::{Arguments, register, registry, set::SetFiles, tags};
use crate::{
    cli::print,
    config::Config,
    database,
    read_model::Catalogue,
    registry::repository::{ModelKind, NewModel},
};

/// Bytes that one like takes while it is read and fitted to.
const BYTES_PER_LIKE: u64 = 64;

/// The published sets that a base model can be fitted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BaseSet {
    /// MovieLens in the layout of latest-small, 1M, 25M or 32M
    Movielens,
}

/// Runs the command: fits a base model, and makes it live unless it is held.
///
/// # Errors
/// Fails if the licence is not accepted, a file is damaged, no movie maps to TMDB's ids, or Postgres is unreachable.
pub(super) async fn train(
    arguments: Arguments,
    config: Config,
    settings: Settings,
    memory: u64,
) -> anyhow::Result<()> {
    let path = arguments.from.as_deref();
    let path = path.context("--base needs --from, the directory or zip archive of the set")?;
    let needs_database = arguments.out.is_none();
    let pool = match needs_database {
        true => Some(database::open(&config, &Shutdown::default()).await?),
        false => None,
    };
    let catalogue = match &pool {
        Some(pool) => tags::load(pool).await?,
        None => None,
    };
    let mut files = SetFiles::open(path)?;
    files.accept_licence(arguments.accept_licence || arguments.dry_run)?;

    let (ids, movies) = files.ids(arguments.links.as_deref(), || titles(catalogue.as_ref()))?;
    let min_rating = arguments.min_rating.unwrap_or(f64::from(LIKED_STARS)) as f32;
    let max = usize::try_from(memory / 4 / BYTES_PER_LIKE).unwrap_or(usize::MAX);
    let likes = files.likes(min_rating, max)?;
    let source = edition(likes.ratings);
    let population = Population::new(&likes.likes, &ids);
    let is_listed = |id: i64| {
        catalogue
            .as_ref()
            .is_none_or(|known| known.row(id).is_some())
    };
    let listed = population.films.iter().filter(|id| is_listed(**id)).count();
    print(&format!(
        "{source}: {} ratings, {} of them likes (at least {min_rating}) by {} users",
        likes.ratings,
        likes.likes.len(),
        population.users()
    ));
    print(&format!(
        "{} of its {movies} movies have an id of TMDB, {} of them two likes or more, {listed} of these are in the catalogue",
        ids.len(),
        population.films.len()
    ));
    if let Some(catalogue) = &catalogue {
        let (have, all) = (listed as f64, catalogue.len().max(1) as f64);
        print(&format!(
            "the base model covers {listed} of the {} movies in the catalogue ({:.0} %)",
            catalogue.len(),
            100.0 * have / all
        ));
    }
    ensure!(
        listed > 0,
        "{}: none of its movies is in the catalogue, so that the model would score nothing",
        path.display()
    );
    if arguments.dry_run {
        return Ok(());
    }

    drop(likes);
    let model = base::fit(&population, BaseSettings::new(&settings), &is_listed, print)?;
    let mut manifest = model.manifest;
    manifest.source = source.to_owned();
    manifest.data_sha256 = format!("{:x}", Sha256::digest(population.to_bytes()));
    env!("CARGO_PKG_VERSION").clone_into(&mut manifest.code_version);
    let bytes = model_file::encode(&manifest, &model.parts)?;
    for (name, figures) in &manifest.metrics {
        let figures: Vec<String> = figures
            .iter()
            .map(|(name, figure)| format!("{name} {figure:.3}"))
            .collect();
        print(&format!("held out: {name:10} {}", figures.join("  ")));
    }
    let Some(pool) = registry(&arguments, pool.as_ref(), &bytes)? else {
        return Ok(());
    };
    let new = NewModel {
        kind: ModelKind::Base,
        manifest: &manifest,
        bytes: &bytes,
        sha256: &Sha256::digest(&bytes),
    };
    register(pool, &new, !arguments.hold, &config).await
}

/// The titles of `catalogue` with their years.
pub(in crate::cli) fn titles(catalogue: Option<&Catalogue>) -> Vec<CatalogueTitle> {
    let Some(catalogue) = catalogue else {
        return Vec::new();
    };
    let title = |row| CatalogueTitle {
        id: catalogue.id(row),
        title: catalogue.title(row).to_owned(),
        year: catalogue
            .release_date(row)
            .map(|date| chrono::Datelike::year(&date)),
    };
    (0..catalogue.len()).map(title).collect()
}
