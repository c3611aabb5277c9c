//! Reads messages with the names of the catalogue as it is now: by the language model if there is one and its answer can
//! be used, else by the parser. Handlers call it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chassis::clock::Clock;
use chrono::NaiveDate;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Reading, Vocabulary, language,
    llm::{LanguageModel, LlmSettings},
    read,
};
use crate::read_model::{Catalogue, Shared};

/// The share of the time that collecting names may take: one in this many.
const MAX_REFRESH_SHARE: u32 = 20;

/// The reader of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnderstoodBy {
    /// The parser.
    Parser,
    /// The language model.
    Llm,
}

/// Reads messages; cheap to clone.
#[derive(Clone)]
pub struct Words(Arc<Inner>);

struct Inner {
    catalogue: Shared<Arc<Catalogue>>,
    names: Shared<Names>,
    model: Option<LanguageModel>,
    clock: Clock,
    /// The revision of the catalogue that is being collected, so that one task does it.
    collecting: AtomicU64,
}

/// The names, and when they were collected.
#[derive(Clone)]
struct Names {
    vocabulary: Arc<Vocabulary>,
    revision: Option<u64>,
    collected: Instant,
    took: Duration,
}

impl Words {
    /// Reads with the names of `catalogue`, which [`Words::refresh`] collects, and with the language model of `model`.
    ///
    /// # Errors
    /// Fails if the client of the language model cannot be built.
    pub fn new(
        catalogue: Shared<Arc<Catalogue>>,
        model: Option<&LlmSettings>,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let names = Names {
            vocabulary: Arc::default(),
            revision: None,
            collected: Instant::now(),
            took: Duration::ZERO,
        };
        Ok(Self(Arc::new(Inner {
            catalogue,
            names: Shared::new(names),
            model: model.map(LanguageModel::new).transpose()?,
            clock,
            collecting: AtomicU64::new(u64::MAX),
        })))
    }

    /// Collects the names of the catalogue again if it changed. While it changes all the time, only as often as the time
    /// that collecting takes allows: seconds for a million movies.
    pub fn refresh(&self) {
        let known = self.0.names.snapshot();
        let catalogue = self.0.catalogue.snapshot();
        let revision = catalogue.revision().get();
        let is_early = known.collected.elapsed() < known.took * MAX_REFRESH_SHARE;
        if known.revision == Some(revision)
            || is_early
            || self.0.collecting.swap(revision, Ordering::Relaxed) == revision
        {
            return;
        }
        let began = Instant::now();
        let vocabulary = Arc::new(Vocabulary::new(&catalogue));
        let names = Names {
            vocabulary,
            revision: Some(revision),
            collected: Instant::now(),
            took: began.elapsed(),
        };
        let before = std::mem::replace(&mut *self.0.names.write(), names);
        // Outside of the lock: freeing a million names takes a while.
        drop(before);
    }

    /// The names of the catalogue as they were collected last.
    pub fn vocabulary(&self) -> Arc<Vocabulary> {
        self.0.names.read().vocabulary.clone()
    }

    /// The current day.
    pub fn today(&self) -> NaiveDate {
        self.0.clock.now().date_naive()
    }

    /// Reads `message` by the parser alone.
    pub fn parse(&self, message: &str, region: Option<&str>) -> Reading {
        read(message, &self.vocabulary(), region, self.today())
    }

    /// Reads `message`; `region` is that of watch providers, by default the language's.
    #[tracing::instrument(name = "service.words.understand", level = "debug", skip_all)]
    pub async fn understand(&self, message: &str, region: Option<&str>) -> (Reading, UnderstoodBy) {
        if let Some(model) = &self.0.model {
            let (vocabulary, catalogue) = (self.vocabulary(), self.0.catalogue.snapshot());
            match model
                .read(
                    message,
                    (&vocabulary, &catalogue),
                    language(message),
                    region,
                )
                .await
            {
                Ok(reading) => return (reading, UnderstoodBy::Llm),
                Err(error) => tracing::debug!(%error, "the parser reads a message instead"),
            }
        }
        (self.parse(message, region), UnderstoodBy::Parser)
    }
}
