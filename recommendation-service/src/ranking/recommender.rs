//! Lists of movies for a user, as handlers request them. Ranks by [`super::pipeline`] over snapshots of the read models,
//! on worker threads; the maximum number of concurrent rankings is the number of cores.

use std::sync::Arc;

use ::recommender::taste::HalfLife;
use bytes::Bytes;
use chassis::{clock::Clock, feed::follow::FeedState, language::Language};
use chrono::{DateTime, Utc};
use filter::Filter;
use sqlx::PgPool;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    experiments::treatment::Treatments,
    ranking::{
        FilmList, PartWeights, RecommendError, candidates,
        known_users::KnownUsers,
        pipeline::{RankingRequest, pipeline},
        response_cache::{ResponseCache, Stamp},
        scoring::{ModelOnCatalogue, ScoringContext},
        store::ListStore,
    },
    read_model::{Catalogue, Profile, Shared, UserId},
    registry::LiveModels,
    rules::{Rule, Weights, repository},
};

/// The interval at which the rules are read again.
pub const RULES_REFRESH_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    /// The list.
    pub list: Arc<FilmList>,
    /// The positions in the list of the movies on this page, from 0.
    pub places: Vec<usize>,
    /// The position at which the next page begins; `None` for the last page.
    pub next: Option<usize>,
    /// The revisions it was made of, for [`Recommender::cache_response`]; `None` if it is not cached.
    stamp: Option<Stamp>,
}

/// The recommender; cheap to clone.
#[derive(Clone)]
pub struct Recommender {
    pool: PgPool,
    sources: Sources,
    rules: Shared<Arc<[Rule]>>,
    /// The live models on the rows of the latest catalogue that was ranked.
    model_on_catalogue: Shared<Option<ModelOnCatalogue>>,
    responses: ResponseCache,
    clock: Clock,
    workers: Arc<Semaphore>,
}

/// The dependencies of a [`Recommender`].
#[derive(Clone)]
pub struct Sources {
    /// The catalogue, which `movies_feed` fills.
    pub catalogue: Shared<Arc<Catalogue>>,
    /// The state of the feed of movies.
    pub movies_feed: FeedState,
    /// The users.
    pub users: KnownUsers,
    /// The live versions of the learned models.
    pub trained: LiveModels,
    /// The stored lists.
    pub lists: ListStore,
    /// The half-life of interactions.
    pub half_life: HalfLife,
    /// True if movies are compared by content.
    pub uses_content: bool,
    /// `None` without experiments and exploration.
    pub treatments: Option<Treatments>,
}

impl Recommender {
    /// A recommender over `sources`, without rules until [`Recommender::refresh_rules`] reads those of `pool`.
    pub fn new(pool: PgPool, sources: Sources, clock: Clock) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            pool,
            sources,
            rules: Shared::new(Arc::from([])),
            model_on_catalogue: Shared::new(None),
            responses: ResponseCache::new(),
            clock,
            workers: Arc::new(Semaphore::new(cores)),
        }
    }

    /// Reads the rules again.
    ///
    /// # Errors
    /// Returns [`sqlx::Error`] if Postgres is unreachable; the rules in memory stay.
    pub async fn refresh_rules(&self) -> sqlx::Result<()> {
        let rules = repository::list_active(&self.pool).await?;
        *self.rules.write() = rules.into();
        Ok(())
    }

    /// The active rules, by type.
    pub fn rules(&self) -> Arc<[Rule]> {
        self.rules.snapshot()
    }

    /// The weights of the active rules.
    pub fn weights(&self) -> Weights {
        Weights::of(&self.rules.read())
    }

    /// The catalogue as it is now.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.sources.catalogue.snapshot()
    }

    /// The current time.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// True if movies are compared by content.
    pub(super) fn uses_content(&self) -> bool {
        self.sources.uses_content
    }

    /// The profile of user `id` as it is now.
    ///
    /// # Errors
    /// [`RecommendError::UserNotFound`] if there is no such user, [`RecommendError::Upstream`] if preference-service
    /// cannot be reached.
    pub async fn profile(&self, id: UserId) -> Result<Arc<Profile>, RecommendError> {
        self.sources.users.get(id).await
    }

    pub(super) fn known_users(&self) -> &KnownUsers {
        &self.sources.users
    }

    /// The profile of user `id`, if it is in memory.
    pub(super) fn known_profile(&self, id: UserId) -> Option<Arc<Profile>> {
        self.sources.users.find(id)
    }

    /// The live models on the rows of `catalogue`.
    pub(super) fn place(&self, catalogue: &Catalogue) -> Option<ModelOnCatalogue> {
        let own = self.sources.trained.own.snapshot();
        let base = self.sources.trained.base.snapshot();
        if let Some(known) = &*self.model_on_catalogue.read()
            && known.is_of(own.as_ref(), base.as_ref(), catalogue)
        {
            return Some(known.clone());
        }
        let model_on_catalogue = ModelOnCatalogue::new(own, base, catalogue)?;
        *self.model_on_catalogue.write() = Some(model_on_catalogue.clone());
        Some(model_on_catalogue)
    }

    /// The scoring context of `profile`, with the rules in force and the default weights.
    pub(super) fn context<'a>(
        &self,
        catalogue: &'a Catalogue,
        model_on_catalogue: Option<&'a ModelOnCatalogue>,
        profile: &'a Profile,
    ) -> ScoringContext<'a> {
        ScoringContext {
            catalogue,
            model_on_catalogue,
            profile,
            rules: self.weights(),
            weights: PartWeights::default(),
            half_life: self.sources.half_life,
            uses_content: self.sources.uses_content,
            now: self.clock.now(),
        }
    }

    /// Runs `work` on a worker thread, at most one per core concurrently: scoring takes a core for milliseconds.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, RecommendError> {
        let permit = Arc::clone(&self.workers).acquire_owned().await;
        let permit = permit.map_err(|_| RecommendError::Stopping)?;
        let recommender = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let done = work(&recommender);
            drop(permit);
            done
        });
        task.await.map_err(|_| RecommendError::Stopping)
    }

    /// Fails if the catalogue is empty only because the feed has not filled it yet.
    pub(super) fn check_loaded(&self) -> Result<(), RecommendError> {
        if self.sources.catalogue.read().is_empty() && !self.sources.movies_feed.is_caught_up() {
            return Err(RecommendError::Loading);
        }
        Ok(())
    }

    /// Rejects values in `filter` that no movie has; see [`filter::FilterIndex::check`]. While the catalogue is being
    /// loaded for the first time, only genres are checked.
    ///
    /// # Errors
    /// [`RecommendError::Invalid`] with those values.
    pub fn check_filter(&self, filter: &Filter) -> Result<(), RecommendError> {
        if *filter == Filter::default() {
            return Ok(());
        }
        let catalogue = self.catalogue();
        let errors = match self.sources.movies_feed.is_caught_up() {
            true => catalogue.check(filter),
            false => catalogue.genres().ids().check(filter),
        };
        match errors.is_empty() {
            true => Ok(()),
            false => Err(RecommendError::Invalid(errors)),
        }
    }

    fn stamp(&self, id: UserId) -> Option<Stamp> {
        Some(Stamp {
            profile: self.sources.users.find(id)?.revision().get(),
            catalogue: self.sources.catalogue.read().revision().get(),
            rules: self.weights(),
            models: self.sources.trained.versions(),
            treatments: self
                .sources
                .treatments
                .as_ref()
                .map_or(0, Treatments::revision),
        })
    }

    /// The language that user `id` prefers, if they are in memory and stated one.
    pub fn preferred_language(&self, id: UserId) -> Option<Language> {
        self.sources.users.find(id)?.preferred_language()
    }

    /// The cached body for this query of user `id` from a client that accepts a language, if the same list would be made
    /// now, and the body's language.
    pub fn cached_response(
        &self,
        id: UserId,
        query: &str,
        accepted: Option<Language>,
    ) -> Option<(Bytes, Language)> {
        let key = (id, query, accepted);
        self.responses.get(key, || self.stamp(id))
    }

    /// Caches a body and its language as the response to `query` from a client that accepts a language; `page` is the
    /// page that it contains.
    pub fn cache_response(
        &self,
        id: UserId,
        query: &str,
        accepted: Option<Language>,
        page: &Page,
        body: (&Bytes, Language),
    ) {
        if let Some(stamp) = page.stamp {
            self.responses.insert((id, query, accepted), stamp, body);
        }
    }

    /// The first page of a new list for user `id`.
    #[tracing::instrument(name = "service.recommender.recommend", level = "debug", skip_all, fields(user.id = id.get()), err(level = "debug"))]
    pub async fn recommend(
        &self,
        id: UserId,
        request: RankingRequest,
    ) -> Result<Page, RecommendError> {
        self.check_loaded()?;
        self.check_filter(&request.filter)?;
        self.sources.users.get(id).await?;
        let stamp = self.stamp(id);
        let list = self.compute(move |own| own.rank(id, &request)).await??;
        let mut page = self.page(list, 0, None);
        page.stamp = stamp;
        self.record(&page);
        Ok(page)
    }

    fn rank(&self, id: UserId, request: &RankingRequest) -> Result<Arc<FilmList>, RecommendError> {
        let treatments = self.sources.treatments.as_ref();
        let treatments = treatments.filter(|_| !request.has_chosen_strategy);
        let treatment = treatments.map(|treatments| treatments.of(id));
        let overrides = treatment
            .as_ref()
            .map(|treatment| treatment.overrides.clone())
            .unwrap_or_default();
        let profile = self
            .sources
            .users
            .find(id)
            .ok_or(RecommendError::UserNotFound)?;
        let catalogue = self.catalogue();
        let model_on_catalogue = treatments
            .zip(overrides.model_version)
            .and_then(|(treatments, version)| {
                let base = self.sources.trained.base.snapshot();
                treatments.place(version, base, &catalogue)
            })
            .or_else(|| self.place(&catalogue));
        let mut context = self.context(&catalogue, model_on_catalogue.as_ref(), &profile);
        context.rules = overrides.rules.unwrap_or(context.rules);
        context.weights = overrides.part_weights();
        let run = |request: &RankingRequest| {
            let store = Some(&self.sources.lists);
            pipeline(context, id.get(), request, treatment.as_ref(), store)
        };
        let Some(strategy) = overrides.strategy else {
            return Ok(run(request)?);
        };
        let overridden = RankingRequest {
            strategy,
            ..request.clone()
        };
        // The client did not request a model that is not live.
        Ok(run(&overridden).or_else(|_| run(request))?)
    }

    /// Records the movies that `page` shows.
    fn record(&self, page: &Page) {
        if let Some(treatments) = &self.sources.treatments {
            treatments.record(&page.list, &page.places, self.clock.now());
        }
    }

    /// As [`Recommender::recommend`] for a hypothetical user; nothing is stored.
    #[tracing::instrument(
        name = "service.recommender.preview",
        level = "debug",
        skip_all,
        err(level = "debug")
    )]
    pub async fn preview(
        &self,
        profile: Arc<Profile>,
        rules: Option<Weights>,
        weights: PartWeights,
        request: RankingRequest,
    ) -> Result<Page, RecommendError> {
        self.check_loaded()?;
        self.check_filter(&request.filter)?;
        let list = self.compute(move |own| {
            let catalogue = own.catalogue();
            let model_on_catalogue = own.place(&catalogue);
            let mut context = own.context(&catalogue, model_on_catalogue.as_ref(), &profile);
            context.rules = rules.unwrap_or(context.rules);
            context.weights = weights;
            pipeline(context, 0, &request, None, None)
        });
        let list = list.await??;
        let places = (0..list.films.len().min(list.limit)).collect();
        Ok(Page {
            list,
            places,
            next: None,
            stamp: None,
        })
    }

    /// The list `list_id` of user `id` from position `from` on, at most `request.limit` movies.
    ///
    /// # Errors
    /// [`RecommendError::Invalid`] if the user has no such list, or other parameters than it was made with.
    #[tracing::instrument(
        name = "service.recommender.continue_list",
        level = "debug",
        skip(self, request),
        err(level = "debug")
    )]
    pub async fn continue_list(
        &self,
        id: UserId,
        list_id: Uuid,
        from: usize,
        request: &RankingRequest,
    ) -> Result<Page, RecommendError> {
        self.sources.users.get(id).await?;
        let list = self.sources.lists.find(list_id).await?;
        let list = list
            .filter(|list| list.user_id == id.get())
            .ok_or_else(|| {
                let message = "the list is not kept any more; request a new one without it";
                RecommendError::field("cursor", message)
            })?;
        if list.parameters != request.parameters {
            let message = "the list has other parameters; they must be the same";
            return Err(RecommendError::field("cursor", message));
        }
        let page = self.page(list, from, Some(request.limit));
        self.record(&page);
        Ok(page)
    }

    /// The list `list_id` again, from position `from` on, if `may_see` allows the caller to see its user's lists.
    ///
    /// # Errors
    /// [`RecommendError::ListNotFound`] if there is no list that the caller may see.
    #[tracing::instrument(
        name = "service.recommender.replay",
        level = "debug",
        skip(self, may_see),
        err(level = "debug")
    )]
    pub async fn replay(
        &self,
        list_id: Uuid,
        from: usize,
        limit: Option<usize>,
        may_see: impl FnOnce(i64) -> bool,
    ) -> Result<Page, RecommendError> {
        let is_user = |list: &Arc<FilmList>| {
            UserId::new(list.user_id).is_some_and(|id| self.sources.users.find(id).is_some())
        };
        let list = self.sources.lists.find(list_id).await?;
        let list = list
            .filter(|list| may_see(list.user_id))
            .filter(is_user)
            .ok_or(RecommendError::ListNotFound)?;
        Ok(self.page(list, from, limit))
    }

    /// A page of `list`. The first page has the movies that it had when the list was made, as long as they exist; on
    /// later pages, movies that the user must no longer be shown are left out.
    fn page(&self, list: Arc<FilmList>, from: usize, limit: Option<usize>) -> Page {
        let limit = limit.unwrap_or(list.limit);
        let profile = UserId::new(list.user_id).and_then(|id| self.sources.users.find(id));
        let profile = profile.as_deref();
        let catalogue = self.catalogue();
        let mut places = Vec::with_capacity(limit);
        let mut next = None;
        for (place, film) in list.films.iter().enumerate().skip(from) {
            let was_shown = place < list.limit;
            let may_show = was_shown
                || profile.is_none_or(|p| candidates::may_show(p, film.id, list.exclude_seen));
            if !may_show || catalogue.row(film.id).is_none() {
                continue;
            }
            if places.len() == limit {
                next = Some(place);
                break;
            }
            places.push(place);
        }
        Page {
            list,
            places,
            next,
            stamp: None,
        }
    }
}
