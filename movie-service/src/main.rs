//! The process: runs the service, or a command of its own.

use std::process::ExitCode;

use chassis::{Service, run::execute};
use movie_service::{
    NAME, app,
    config::DEFAULTS,
    handler, import,
    service::search::{
        self,
        evaluate::{self, EvaluateArgs},
    },
};

/// mimalloc: with the system's allocator, a build of the search index spends a quarter of its time on allocation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERVICE: Service = Service {
    name: NAME,
    defaults: DEFAULTS,
    openapi: handler::openapi,
};

#[derive(clap::Subcommand)]
enum Command {
    Import(import::ImportArgs),
    SearchEval(EvaluateArgs),
    /// Builds the search index anew in SEARCH_INDEX_DIR; running services switch to it without an interruption.
    SearchRebuild,
}

fn main() -> ExitCode {
    chassis::run_with(SERVICE, app::build, |command| match command {
        Command::Import(arguments) => execute(&SERVICE, async |config| {
            import::run(arguments, &config).await
        }),
        Command::SearchEval(arguments) => execute(&SERVICE, async |config| {
            evaluate::run(arguments, &config).await
        }),
        Command::SearchRebuild => execute(&SERVICE, async |config| search::rebuild(&config).await),
    })
}
