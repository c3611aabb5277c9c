//! Lists of films for a user, scored over the whole catalogue in memory.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use ::recommender::TrainedModels;
use bytes::Bytes;
use chassis::{
    client::{CallError, Client},
    clock::Clock,
    feed::follow::FeedState,
    problem::FieldError,
};
use chrono::{DateTime, Utc};
use filter::Filter;
use moka::sync::Cache;
use sqlx::PgPool;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    lists::Lists,
    making::{Wishes, make, name},
    ranking,
    read_model::Shared,
    scoring::{NotTrained, Placed, Question},
    trials::Trials,
};
use crate::{
    models::{
        Catalogue, FilmList, HalfLife, PartWeights, Preferences, Profile, Rule, UserId, Users,
        Weights,
    },
    repository::rules as repository,
};

/// How long preference-service may take to tell of a user whom its feed has not brought yet.
const ASK_LIMIT: Duration = Duration::from_secs(2);
/// How often the rules are read again.
pub const RULES_REFRESH: Duration = Duration::from_secs(5);
/// How much memory answers take at most, in bytes, and for how long one is given again: films grow older,
/// though nothing else changes.
const ANSWERS_BYTES: u64 = 16 * 1024 * 1024;
const ANSWERS_TIME: Duration = Duration::from_secs(60);

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum RecommendError {
    /// There is no such user.
    #[error("user not found")]
    UserNotFound,
    /// One of several users does not exist.
    #[error("user not found")]
    MemberNotFound {
        /// The member's place, from 0.
        place: usize,
        /// The id that nobody has.
        id: UserId,
    },
    /// The user is not in memory, and who knows cannot be asked.
    #[error("cannot ask about the user")]
    Asking(#[from] CallError),
    /// The catalogue has not been loaded yet.
    #[error("the catalogue is still loading")]
    Loading,
    /// The strategy needs a model that is not there.
    #[error(transparent)]
    NotTrained(#[from] NotTrained),
    /// What was asked for does not fit what is known.
    #[error("invalid request")]
    Invalid(Vec<FieldError>),
    /// There is no such film.
    #[error("movie not found")]
    MovieNotFound,
    /// There is no such list, or it is not for whoever asks.
    #[error("list not found")]
    ListNotFound,
    /// The process stops.
    #[error("the process is stopping")]
    Stopping,
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl RecommendError {
    /// One field is wrong.
    pub(crate) fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }
}

/// What a list depends on beside what is asked for: while it is the same, so is the list.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stamp {
    profile: u64,
    catalogue: u64,
    rules: Weights,
    model: Option<i64>,
    trials: u64,
}

struct Answer {
    query: String,
    stamp: Stamp,
    body: Bytes,
}

/// A part of a list.
#[derive(Debug)]
pub struct Page {
    /// The list.
    pub list: Arc<FilmList>,
    /// Places in the list of the films on this page.
    pub places: Vec<usize>,
    /// The place where the next page begins; none: this is the last one.
    pub next: Option<usize>,
    /// What was known when it was made, for [`Recommender::remember`]; none: it is not remembered.
    stamp: Option<Stamp>,
}

/// Makes lists; cheap to clone.
#[derive(Clone)]
pub struct Recommender {
    pub(super) catalogue: Shared<Catalogue>,
    pub(super) users: Shared<Users>,
    pool: PgPool,
    rules: Shared<Arc<[Rule]>>,
    trained: Shared<Option<Arc<TrainedModels>>>,
    /// The learned models over the rows of the catalogue's last state.
    placed: Shared<Option<(u64, Placed)>>,
    lists: Lists,
    /// By user and by the hash of the query, which is quicker to ask for than a text.
    answers: Cache<(UserId, u64), Arc<Answer>>,
    hasher: RandomState,
    preference_service: Client,
    movies_feed: FeedState,
    half_life: HalfLife,
    uses_content: bool,
    /// What is tried out; none: nothing is.
    trials: Option<Trials>,
    pub(super) clock: Clock,
    /// Scoring takes a core for milliseconds: no more of it at once than there are cores.
    cores: Arc<Semaphore>,
}

/// What a [`Recommender`] works with.
pub struct Sources {
    /// The films, which `movies_feed` fills.
    pub catalogue: Shared<Catalogue>,
    /// Whether it has.
    pub movies_feed: FeedState,
    /// The users.
    pub users: Shared<Users>,
    /// Who is asked about a user who is not there yet.
    pub preference_service: Client,
    /// The learned models that are live.
    pub trained: Shared<Option<Arc<TrainedModels>>>,
    /// Lists that were made.
    pub lists: Lists,
    /// How fast what users did loses weight.
    pub half_life: HalfLife,
    /// Whether films are compared by what they are about.
    pub uses_content: bool,
}

impl Recommender {
    /// Makes lists of what is in `sources`. The rules are read from `pool`.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn new(pool: PgPool, sources: Sources, clock: Clock) -> sqlx::Result<Self> {
        let recommender = Self::with_rules(pool, sources, clock, Vec::new());
        recommender.refresh_rules().await?;
        Ok(recommender)
    }

    /// As [`Recommender::new`], with `rules` until they are read.
    #[must_use]
    pub fn with_rules(pool: PgPool, sources: Sources, clock: Clock, rules: Vec<Rule>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let answers = Cache::builder()
            .weigher(|_, answer: &Arc<Answer>| {
                u32::try_from(answer.body.len() + answer.query.len() + 128).unwrap_or(u32::MAX)
            })
            .max_capacity(ANSWERS_BYTES)
            .time_to_live(ANSWERS_TIME)
            .build();
        Self {
            catalogue: sources.catalogue,
            users: sources.users,
            pool,
            rules: Shared::new(rules.into()),
            trained: sources.trained,
            placed: Shared::new(None),
            lists: sources.lists,
            answers,
            hasher: RandomState::new(),
            preference_service: sources.preference_service,
            movies_feed: sources.movies_feed,
            half_life: sources.half_life,
            uses_content: sources.uses_content,
            trials: None,
            clock,
            cores: Arc::new(Semaphore::new(cores)),
        }
    }

    /// The same, with `trials` on its lists.
    #[must_use]
    pub fn with_trials(self, trials: Trials) -> Self {
        Self {
            trials: Some(trials),
            ..self
        }
    }

    /// Reads the rules again.
    ///
    /// # Errors
    /// Postgres's; the rules stay as they are.
    pub async fn refresh_rules(&self) -> sqlx::Result<()> {
        let rules = repository::list_active(&self.pool).await?;
        *self.rules.write() = rules.into();
        Ok(())
    }

    /// The active rules, by type.
    #[must_use]
    pub fn rules(&self) -> Arc<[Rule]> {
        Arc::clone(&self.rules.read())
    }

    /// Computes the lengths of tag vectors anew where films changed since.
    pub fn settle(&self) {
        let (revision, norms) = {
            let catalogue = self.catalogue.read();
            if !catalogue.is_unsettled() {
                return;
            }
            (catalogue.revision().get(), catalogue.norms_anew())
        };
        let mut catalogue = self.catalogue.write();
        // Films that changed meanwhile are for the next time.
        if catalogue.revision().get() == revision {
            catalogue.settle_by(norms);
        }
    }

    /// The live models over the rows of `catalogue`.
    pub(super) fn place(&self, catalogue: &Catalogue) -> Option<Placed> {
        let trained = self.trained.read().clone()?;
        let revision = catalogue.revision().get();
        if let Some((known, placed)) = &*self.placed.read()
            && *known == revision
            && Arc::ptr_eq(&placed.trained, &trained)
        {
            return Some(placed.clone());
        }
        let placed = Placed::new(trained, catalogue);
        *self.placed.write() = Some((revision, placed.clone()));
        Some(placed)
    }

    /// Does `work` on a thread that may take long, no more at once than there are cores.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, RecommendError> {
        let permit = Arc::clone(&self.cores).acquire_owned().await;
        let permit = permit.map_err(|_| RecommendError::Stopping)?;
        let recommender = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let done = work(&recommender);
            drop(permit);
            done
        });
        task.await.map_err(|_| RecommendError::Stopping)
    }

    /// A catalogue without films is one only once the feed has told so.
    pub(super) fn check_loaded(&self) -> Result<(), RecommendError> {
        if self.catalogue.read().is_empty() && !self.movies_feed.is_caught_up() {
            return Err(RecommendError::Loading);
        }
        Ok(())
    }

    /// Makes sure that user `id` is known.
    pub(super) async fn know(&self, id: UserId) -> Result<(), RecommendError> {
        let is_known = self.users.read().find(id).is_some();
        if !is_known {
            let preferences = self.ask(id).await?;
            self.users.write().prefer(preferences);
        }
        Ok(())
    }

    async fn ask(&self, id: UserId) -> Result<Preferences, RecommendError> {
        let client = &self.preference_service;
        let response = client
            .get(&format!("/internal/v1/users/{}", id.get()), ASK_LIMIT)
            .send()
            .await
            .map_err(|error| client.unreachable(error))?;
        match response.status().as_u16() {
            200 => response.json().await.map_err(|error| {
                CallError::Unreadable {
                    service: client.service(),
                    reason: error.without_url().to_string(),
                }
                .into()
            }),
            404 => Err(RecommendError::UserNotFound),
            status => Err(CallError::Status {
                service: client.service(),
                status,
            }
            .into()),
        }
    }

    /// Refuses genres in `filter` that do not exist: there are few, and whoever writes another has mistyped.
    ///
    /// # Errors
    /// Those genres.
    pub fn check_genres(&self, filter: &Filter) -> Result<(), RecommendError> {
        let unknown = self.catalogue.read().genre_ids().unknown(filter);
        if unknown.is_empty() {
            return Ok(());
        }
        let errors = unknown.into_iter().map(|genre| {
            let name = genre.name;
            let message = match genre.nearest {
                Some(near) => format!("unknown genre `{name}`; did you mean `{near}`?"),
                None => {
                    format!("unknown genre `{name}`; GET /api/v1/genres lists those that exist")
                }
            };
            FieldError::new(genre.field, message)
        });
        Err(RecommendError::Invalid(errors.collect()))
    }

    fn stamp(&self, id: UserId) -> Option<Stamp> {
        let profile = self.users.read().find(id)?.revision().get();
        let catalogue = self.catalogue.read().revision().get();
        let model = self
            .trained
            .read()
            .as_ref()
            .map(|trained| trained.version());
        Some(Stamp {
            profile,
            catalogue,
            rules: self.weights(),
            model,
            trials: self.trials.as_ref().map_or(0, Trials::revision),
        })
    }

    /// The answer that was remembered for this query of user `id`, if it would be the same now.
    #[must_use]
    pub fn remembered(&self, id: UserId, query: &str) -> Option<Bytes> {
        let answer = self.answers.get(&(id, self.hash(query)))?;
        let is_same = answer.query == query && self.stamp(id)? == answer.stamp;
        is_same.then(|| answer.body.clone())
    }

    /// Remembers `body` as what was answered with `page` to `query`.
    pub fn remember(&self, id: UserId, query: &str, page: &Page, body: &Bytes) {
        if let Some(stamp) = page.stamp {
            let answer = Answer {
                query: query.to_owned(),
                stamp,
                body: body.clone(),
            };
            self.answers
                .insert((id, self.hash(query)), Arc::new(answer));
        }
    }

    fn hash(&self, query: &str) -> u64 {
        self.hasher.hash_one(query)
    }

    /// The first page of a list for user `id`.
    ///
    /// # Errors
    /// As [`RecommendError`] says.
    pub async fn recommend(&self, id: UserId, wishes: Wishes) -> Result<Page, RecommendError> {
        self.check_loaded()?;
        self.check_genres(&wishes.filter)?;
        self.know(id).await?;
        let stamp = self.stamp(id);
        let made = self.compute(move |own| own.make(id, &wishes)).await?;
        let list = Arc::new(made?);
        self.lists.keep(&list);
        let mut page = self.page(list, 0, None);
        page.stamp = stamp;
        self.record(&page);
        Ok(page)
    }

    fn make(&self, id: UserId, wishes: &Wishes) -> Result<FilmList, RecommendError> {
        let trials = self.trials.as_ref().filter(|_| !wishes.is_chosen);
        let assignment = trials.map(|trials| trials.assign(id)).unwrap_or_default();
        let users = self.users.read();
        let profile = users.find(id).ok_or(RecommendError::UserNotFound)?;
        let catalogue = self.catalogue.read();
        let placed = trials
            .zip(assignment.model_version)
            .and_then(|(trials, version)| trials.place(version, &catalogue))
            .or_else(|| self.place(&catalogue));
        let question = Question {
            catalogue: &catalogue,
            placed: placed.as_ref(),
            profile,
            rules: assignment.rules.unwrap_or_else(|| self.weights()),
            weights: assignment.part_weights(),
            half_life: self.half_life,
            uses_content: self.uses_content,
            now: self.clock.now(),
        };
        let mut list = match assignment.strategy {
            None => make(question, id.get(), wishes)?,
            Some(strategy) => {
                let tried = Wishes {
                    strategy,
                    ..wishes.clone()
                };
                // Nobody asked for a model that is not there.
                make(question, id.get(), &tried).or_else(|_| make(question, id.get(), wishes))?
            }
        };
        if let Some(trials) = trials {
            trials.explore(&mut list, &catalogue, assignment);
            list.id = name(&list);
        }
        Ok(list)
    }

    /// Notes what `page` shows.
    fn record(&self, page: &Page) {
        if let Some(trials) = &self.trials {
            trials.record(&page.list, &page.places, self.clock.now());
        }
    }

    /// As [`Recommender::recommend`] for a user who does not exist, or did what they did not: nothing is kept.
    ///
    /// # Errors
    /// As [`RecommendError`] says.
    pub async fn preview(
        &self,
        profile: Profile,
        rules: Option<Weights>,
        weights: PartWeights,
        wishes: Wishes,
    ) -> Result<Page, RecommendError> {
        self.check_loaded()?;
        self.check_genres(&wishes.filter)?;
        let made = self.compute(move |own| {
            let catalogue = own.catalogue.read();
            let placed = own.place(&catalogue);
            let question = Question {
                catalogue: &catalogue,
                placed: placed.as_ref(),
                profile: &profile,
                rules: rules.unwrap_or_else(|| own.weights()),
                weights,
                half_life: own.half_life,
                uses_content: own.uses_content,
                now: own.clock.now(),
            };
            make(question, 0, &wishes)
        });
        let list = Arc::new(made.await??);
        let places = (0..list.films.len().min(list.limit)).collect();
        Ok(Page {
            list,
            places,
            next: None,
            stamp: None,
        })
    }

    /// What is known of user `id`, to suppose something else of them.
    ///
    /// # Errors
    /// There is no such user, or who knows cannot be asked.
    pub async fn profile(&self, id: UserId) -> Result<Profile, RecommendError> {
        self.know(id).await?;
        let users = self.users.read();
        users.find(id).cloned().ok_or(RecommendError::UserNotFound)
    }

    /// Whether the catalogue has film `id`.
    #[must_use]
    pub fn has_film(&self, id: i64) -> bool {
        self.catalogue.read().row(id).is_some()
    }

    /// The list `list_id` of user `id` from place `from` on, at most `limit` films.
    ///
    /// # Errors
    /// There is no such list of that user, or what is asked for is not what it was made for.
    pub async fn go_on(
        &self,
        id: UserId,
        list_id: Uuid,
        from: usize,
        wishes: &Wishes,
    ) -> Result<Page, RecommendError> {
        self.know(id).await?;
        let list = self.lists.find(list_id).await?;
        let list = list
            .filter(|list| list.user_id == id.get())
            .ok_or_else(|| {
                let message =
                    "is of a list that is not kept any more; ask without it for a new one";
                RecommendError::field("cursor", message)
            })?;
        if list.asked != wishes.asked {
            let message = "is of a list with other parameters; they must be the same as then";
            return Err(RecommendError::field("cursor", message));
        }
        let page = self.page(list, from, Some(wishes.limit));
        self.record(&page);
        Ok(page)
    }

    /// The list `list_id` again, from place `from` on; `may_see` tells of whose lists whoever asks may know.
    ///
    /// # Errors
    /// There is no such list that whoever asks may see.
    pub async fn replay(
        &self,
        list_id: Uuid,
        from: usize,
        limit: Option<usize>,
        may_see: impl FnOnce(i64) -> bool,
    ) -> Result<Page, RecommendError> {
        let list = self.lists.find(list_id).await?;
        let list = list
            .filter(|list| may_see(list.user_id))
            .filter(|list| UserId::new(list.user_id).is_some_and(|id| self.is_user(id)))
            .ok_or(RecommendError::ListNotFound)?;
        Ok(self.page(list, from, limit))
    }

    fn is_user(&self, id: UserId) -> bool {
        self.users.read().find(id).is_some()
    }

    /// A page of `list`. The first one has the films that it had when it was made, as long as they exist;
    /// of what comes after it, the films that the user must not be shown any more are left out.
    fn page(&self, list: Arc<FilmList>, from: usize, limit: Option<usize>) -> Page {
        let limit = limit.unwrap_or(list.limit);
        let users = self.users.read();
        let profile = UserId::new(list.user_id).and_then(|id| users.find(id));
        let catalogue = self.catalogue.read();
        let mut places = Vec::with_capacity(limit);
        let mut next = None;
        for (place, film) in list.films.iter().enumerate().skip(from) {
            let was_shown = place < list.limit;
            let may_show = was_shown
                || profile.is_none_or(|p| ranking::may_show(p, film.id, list.exclude_seen));
            if !may_show || catalogue.row(film.id).is_none() {
                continue;
            }
            if places.len() == limit {
                next = Some(place);
                break;
            }
            places.push(place);
        }
        drop((users, catalogue));
        Page {
            list,
            places,
            next,
            stamp: None,
        }
    }

    /// The catalogue, to tell of films in a page.
    #[must_use]
    pub fn catalogue(&self) -> Shared<Catalogue> {
        self.catalogue.clone()
    }

    /// The weights of the active rules.
    #[must_use]
    pub fn weights(&self) -> Weights {
        Weights::of(&self.rules.read())
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// How fast what users did loses weight.
    pub(super) fn half_life(&self) -> HalfLife {
        self.half_life
    }

    /// Whether films are compared by what they are about.
    pub(super) fn uses_content(&self) -> bool {
        self.uses_content
    }
}
