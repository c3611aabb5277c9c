//! The writer: what users do with films is stored by a few lanes, each of which takes all that waits
//! for it into one transaction. Alone, a command goes at once; under load the cost of a commit is
//! shared by hundreds. A command is answered after the commit of its transaction.
//!
//! All commands of a user go through one lane, in the order of their arrival. Users whom somebody
//! else holds, as another replica may for a moment, are passed over and waited for apart, so that
//! they hold up nobody else. What cannot be written with others is written without them: a batch that
//! fails is halved until only those that are to blame fail.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use chassis::feed::outbox::Outbox;
use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use serde::{Serialize, Serializer};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};

use crate::{
    models::{
        Action, ChartShift, Counts, Interaction, InteractionId, InteractionType, Mark, MovieId,
        Occasion, Progress, Rating, Reaction, UserId, UserMovie, chart_shifts,
    },
    repository::{
        interactions,
        user_movies::{self, Changes, Opening, Pair, Patience},
    },
};

/// Commands taken into one transaction (histogram).
pub const WRITER_BATCH_COMMANDS: &str = "writer_batch_commands";
/// How long one transaction took (histogram, seconds).
pub const WRITER_BATCH_DURATION_SECONDS: &str = "writer_batch_duration_seconds";
/// Commands that were refused because too many waited (counter).
pub const WRITER_REFUSED_TOTAL: &str = "writer_refused_total";

/// How long one transaction may take; beyond it the connection is given up.
const TRANSACTION_LIMIT: Duration = Duration::from_secs(15);
/// How long a lane waits for a new connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// In how many transactions at most the commands of a failed one are tried again.
const SALVAGE_BUDGET: usize = 32;
/// Users waited for at once.
const WAITED_FOR_AT_ONCE: usize = 4;

/// How the writer is set up.
#[derive(Debug, Clone, Copy)]
pub struct WriterOptions {
    /// Transactions under way at once.
    pub lanes: usize,
    /// Commands in one transaction at most.
    pub batch: usize,
    /// Commands that wait or are being written at most; those of bulk work come on top.
    pub queue: usize,
    /// The same of bulk work, so that it does not crowd out users who wait for an answer.
    pub bulk_queue: usize,
}

/// Something that a user does with a film, to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// Who.
    pub user_id: UserId,
    /// With which film.
    pub movie_id: MovieId,
    /// What.
    pub action: Action,
    /// When, where it was not just now.
    pub occurred_at: Option<DateTime<Utc>>,
    /// Whether the film is known to exist though the feed may not have told of it yet.
    pub film_known: bool,
}

impl Command {
    /// Something that happens now, with a film that the feed has told of, or else is asked for.
    #[must_use]
    pub fn now(user_id: UserId, movie_id: MovieId, action: Action) -> Self {
        Self {
            user_id,
            movie_id,
            action,
            occurred_at: None,
            film_known: false,
        }
    }

    fn pair(&self) -> Pair {
        Pair {
            user_id: self.user_id,
            movie_id: self.movie_id,
        }
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Whether it changed anything; if not, the user stood so already or something newer was known.
    pub changed: bool,
    /// Where the user stands with the film.
    pub state: UserMovie,
    /// The interaction that made it so: this one, or the earlier one that stands; none where
    /// nothing ever was that could be taken back.
    pub interaction: Option<Interaction>,
}

/// Why a command was not stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// There is no such user.
    #[error("user not found")]
    UserNotFound,
    /// The feed has not told of the film, and nobody else has vouched for it.
    #[error("film not known")]
    MovieUnknown,
    /// Too many commands wait.
    #[error("too many writes are waiting")]
    Busy,
    /// The process is stopping.
    #[error("the writer has stopped")]
    Stopped,
    /// Postgres failed. Whether the command was stored may not be known; to repeat it is safe.
    #[error(transparent)]
    Database(Arc<sqlx::Error>),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

type Answer = Result<Written, WriteError>;

/// A command that waits, and who waits for it.
struct Waiting {
    command: Command,
    answer: oneshot::Sender<Answer>,
    _place: OwnedSemaphorePermit,
}

/// Stores what users do; cheap to clone. Its lanes end when all clones are gone: whoever waits for an
/// answer holds one, so a stopping process finishes what it has accepted.
#[derive(Clone)]
pub struct Writer {
    lanes: Arc<[mpsc::UnboundedSender<Waiting>]>,
    places: Arc<Semaphore>,
    bulk_places: Arc<Semaphore>,
    bulk_queue: usize,
}

impl Writer {
    /// Starts the lanes, which write where `pool` leads to, over connections of their own.
    #[must_use]
    pub fn start(pool: &PgPool, outbox: &Outbox, options: WriterOptions) -> Self {
        let connect = (*pool.connect_options()).clone().options([
            // The statements touch a few rows of large tables, always by key. What the planner
            // thinks of tables that were empty a minute ago must not turn that into reading them whole.
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("jit", "off"),
        ]);
        let waited_for = Arc::new(Semaphore::new(WAITED_FOR_AT_ONCE));
        let lanes = (0..options.lanes.max(1))
            .map(|_| {
                let (sender, queue) = mpsc::unbounded_channel();
                let lane = Lane {
                    connect: connect.clone(),
                    connection: None,
                    pool: pool.clone(),
                    outbox: outbox.clone(),
                    waited_for: Arc::clone(&waited_for),
                };
                tokio::spawn(lane.run(queue, options.batch.max(1)));
                sender
            })
            .collect();
        Self {
            lanes,
            places: Arc::new(Semaphore::new(options.queue)),
            bulk_places: Arc::new(Semaphore::new(options.bulk_queue.max(1))),
            bulk_queue: options.bulk_queue.max(1),
        }
    }

    /// Stores one command for somebody who waits.
    ///
    /// # Errors
    /// As [`WriteError`] says; at once where too many wait.
    pub async fn write(&self, command: Command) -> Result<Written, WriteError> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            metrics::counter!(WRITER_REFUSED_TOTAL).increment(1);
            return Err(WriteError::Busy);
        };
        self.send(command, place)
            .await
            .unwrap_or(Err(WriteError::Stopped))
    }

    /// Stores many commands; those of one user in their order. Waits for its turn among other bulk
    /// work, and leaves room for users who wait. The results stand in the order of the commands.
    ///
    /// # Errors
    /// Each as [`WriteError`] says; never `Busy`.
    pub async fn write_all(&self, commands: Vec<Command>) -> Vec<Result<Written, WriteError>> {
        let mut results = Vec::with_capacity(commands.len());
        // One chunk is taken up while the one before it is being written.
        let mut before: Vec<oneshot::Receiver<Answer>> = Vec::new();
        for chunk in commands.chunks(self.bulk_queue.div_ceil(2)) {
            let mut answers = Vec::with_capacity(chunk.len());
            let mut places = match u32::try_from(chunk.len()) {
                Ok(count) => Arc::clone(&self.bulk_places)
                    .acquire_many_owned(count)
                    .await
                    .ok(),
                Err(_) => None,
            };
            for command in chunk {
                answers.push(match places.as_mut().and_then(|places| places.split(1)) {
                    Some(place) => self.send(*command, place),
                    None => oneshot::channel().1,
                });
            }
            settle(std::mem::replace(&mut before, answers), &mut results).await;
        }
        settle(before, &mut results).await;
        results
    }

    fn send(&self, command: Command, place: OwnedSemaphorePermit) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let lane = command.user_id.get().unsigned_abs() % self.lanes.len() as u64;
        if let Some(lane) = usize::try_from(lane).ok().and_then(|at| self.lanes.get(at)) {
            // A lane that is gone drops the sender, which tells the receiver.
            let _ = lane.send(Waiting {
                command,
                answer,
                _place: place,
            });
        }
        answered
    }
}

async fn settle(answers: Vec<oneshot::Receiver<Answer>>, results: &mut Vec<Answer>) {
    for answer in answers {
        results.push(answer.await.unwrap_or(Err(WriteError::Stopped)));
    }
}

/// What became of each command of a batch; none: its user is held by somebody else, or is not there.
type Outcomes = Vec<Option<Answer>>;

/// Under load most commands come from clients who have just been answered, and who come back at once.
/// A transaction that begins with the first of them makes all others wait for its commit and then for
/// their own; one that waits a moment for them takes them along. Nobody waits for whom there is no
/// reason to expect.
#[derive(Default)]
struct Gathering {
    expected: usize,
    until: Option<Instant>,
}

/// Fewer than this are not waited for.
const WORTH_WAITING_FOR: usize = 8;
/// For how much of the time that a transaction takes, and for how long at most, others are waited for.
const GATHERING_SHARE: u32 = 4;
const LONGEST_GATHERING: Duration = Duration::from_millis(2);

impl Gathering {
    /// Remembers that `count` clients are being answered after a transaction of `duration`.
    fn answered(&mut self, count: usize, duration: Duration) {
        self.expected = count;
        let share = (duration / GATHERING_SHARE).min(LONGEST_GATHERING);
        self.until = Some(Instant::now() + share);
    }

    /// Waits for those who were just answered to come back, if they are many.
    async fn gather(
        &mut self,
        queue: &mut mpsc::UnboundedReceiver<Waiting>,
        waiting: &mut Vec<Waiting>,
        batch: usize,
    ) {
        let Some(until) = self
            .until
            .take()
            .filter(|_| self.expected >= WORTH_WAITING_FOR)
        else {
            return;
        };
        while waiting.len() < self.expected.min(batch) {
            let room = batch - waiting.len();
            match tokio::time::timeout_at(until, queue.recv_many(waiting, room)).await {
                Ok(count) if count > 0 => {}
                _ => return,
            }
        }
    }
}

struct Lane {
    connect: PgConnectOptions,
    connection: Option<PgConnection>,
    pool: PgPool,
    outbox: Outbox,
    waited_for: Arc<Semaphore>,
}

impl Lane {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Waiting>, batch: usize) {
        let mut waiting = Vec::with_capacity(batch);
        let mut gathering = Gathering::default();
        while queue.recv_many(&mut waiting, batch).await > 0 {
            gathering.gather(&mut queue, &mut waiting, batch).await;
            let begun = Instant::now();
            // Whoever has gone away does not know whether it was stored, so it need not be.
            waiting.retain(|waiting: &Waiting| !waiting.answer.is_closed());
            let commands: Vec<Command> = waiting.iter().map(|waiting| waiting.command).collect();
            let outcomes = self.write(&commands).await;
            gathering.answered(waiting.len(), begun.elapsed());
            let mut held: BTreeMap<UserId, Vec<Waiting>> = BTreeMap::new();
            for (waiting, outcome) in waiting.drain(..).zip(outcomes) {
                match outcome {
                    Some(result) => {
                        let _ = waiting.answer.send(result);
                    }
                    None => held
                        .entry(waiting.command.user_id)
                        .or_default()
                        .push(waiting),
                }
            }
            for commands in held.into_values() {
                tokio::spawn(wait_for_user(
                    self.pool.clone(),
                    self.outbox.clone(),
                    Arc::clone(&self.waited_for),
                    commands,
                ));
            }
        }
    }

    /// Writes `commands` in one transaction if that can be done, else in several.
    async fn write(&mut self, commands: &[Command]) -> Outcomes {
        if commands.is_empty() {
            return Vec::new();
        }
        let mut outcomes = vec![None; commands.len()];
        let mut budget = SALVAGE_BUDGET;
        // Parts still to be written: where they begin and end, and whether they have been tried.
        let mut parts = vec![(0, commands.len(), false)];
        while let Some((begin, end, tried)) = parts.pop() {
            let error = match self.attempt(&commands[begin..end]).await {
                Ok(written) => {
                    outcomes.splice(begin..end, written);
                    self.outbox.notify_readers();
                    continue;
                }
                Err(error) => error,
            };
            budget = budget.saturating_sub(1);
            let middle = begin.midpoint(end);
            if budget > 0 && error.is_passing() && !tried {
                parts.push((begin, end, true));
            } else if budget > 0 && !error.is_unreachable() && end - begin > 1 {
                parts.push((middle, end, false));
                parts.push((begin, middle, false));
            } else {
                tracing::warn!(commands = end - begin, cause = %error.cause, "a batch was not written");
                let error = WriteError::Database(error.cause);
                outcomes[begin..end].fill(Some(Err(error)));
            }
        }
        outcomes
    }

    async fn attempt(&mut self, commands: &[Command]) -> Result<Outcomes, BatchError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => within(CONNECT_LIMIT, self.connect.connect())
                .await
                .map_err(|cause| BatchError::new(cause, Step::Connect))?,
        };
        let outcomes = within_batch(TRANSACTION_LIMIT, async {
            transact(&mut connection, commands, Patience::Skip).await
        })
        .await?;
        // Only a connection that is known to be well is kept.
        self.connection = Some(connection);
        Ok(outcomes)
    }
}

/// Writes the commands of a user whom somebody else holds, or who is not there.
async fn wait_for_user(pool: PgPool, outbox: Outbox, turns: Arc<Semaphore>, waiting: Vec<Waiting>) {
    let Ok(_turn) = turns.acquire().await else {
        return;
    };
    let commands: Vec<Command> = waiting.iter().map(|waiting| waiting.command).collect();
    let written = within_batch(TRANSACTION_LIMIT, async {
        let mut connection = pool
            .acquire()
            .await
            .map_err(|cause| BatchError::new(cause, Step::Connect))?;
        transact(&mut connection, &commands, Patience::Wait).await
    })
    .await;
    let outcomes = match written {
        Ok(outcomes) => outcomes,
        Err(error) => vec![Some(Err(WriteError::Database(error.cause))); waiting.len()],
    };
    outbox.notify_readers();
    for (waiting, outcome) in waiting.into_iter().zip(outcomes) {
        let _ = waiting
            .answer
            .send(outcome.unwrap_or(Err(WriteError::UserNotFound)));
    }
}

/// How far a transaction came before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    Work,
    /// Whether it was committed is not known.
    Commit,
}

#[derive(Debug)]
struct BatchError {
    cause: Arc<sqlx::Error>,
    step: Step,
}

impl BatchError {
    fn new(cause: sqlx::Error, step: Step) -> Self {
        Self {
            cause: Arc::new(cause),
            step,
        }
    }

    /// Whether the same may succeed if it is done again at once: two transactions were in each
    /// other's way, or the connection was lost before the commit, as after a restart of Postgres.
    fn is_passing(&self) -> bool {
        // 40001: serialization failure, 40P01: deadlock.
        let in_the_way = self
            .cause
            .as_database_error()
            .and_then(|error| error.code())
            .is_some_and(|code| ["40001", "40P01"].contains(&code.as_ref()));
        in_the_way || (self.step == Step::Work && self.is_unreachable())
    }

    fn is_unreachable(&self) -> bool {
        chassis::postgres::is_unreachable(&self.cause)
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

async fn within_batch<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, BatchError>>,
) -> Result<T, BatchError> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(BatchError::new(sqlx::Error::PoolTimedOut, Step::Commit)))
}

async fn transact(
    connection: &mut PgConnection,
    commands: &[Command],
    patience: Patience,
) -> Result<Outcomes, BatchError> {
    let started = Instant::now();
    let failed = |cause| BatchError::new(cause, Step::Work);
    let mut transaction = connection.begin().await.map_err(failed)?;
    let (outcomes, changed) = work(&mut transaction, commands, patience)
        .await
        .map_err(failed)?;
    if changed {
        transaction
            .commit()
            .await
            .map_err(|cause| BatchError::new(cause, Step::Commit))?;
    } else {
        transaction.rollback().await.map_err(failed)?;
    }
    metrics::histogram!(WRITER_BATCH_COMMANDS).record(commands.len() as f64);
    metrics::histogram!(WRITER_BATCH_DURATION_SECONDS).record(started.elapsed().as_secs_f64());
    Ok(outcomes)
}

async fn work(
    transaction: &mut PgConnection,
    commands: &[Command],
    patience: Patience,
) -> sqlx::Result<(Outcomes, bool)> {
    let mut users: Vec<i64> = commands
        .iter()
        .map(|command| command.user_id.get())
        .collect();
    users.sort_unstable();
    users.dedup();
    let held = user_movies::lock_users(transaction, &users, patience).await?;
    let held: HashSet<i64> = held.into_iter().collect();
    let mine = |command: &&Command| held.contains(&command.user_id.get());
    let mut pairs: Vec<Pair> = commands.iter().filter(mine).map(Command::pair).collect();
    if pairs.is_empty() {
        return Ok((vec![None; commands.len()], false));
    }
    pairs.sort_unstable();
    pairs.dedup();
    let count = commands.iter().filter(mine).count();
    let opening = user_movies::open(transaction, &pairs, count).await?;
    let mut batch = Batch::new(pairs, opening);
    let mut outcomes: Outcomes = commands
        .iter()
        .map(|command| mine(&command).then(|| batch.apply(command)))
        .collect();
    if !batch.standing.is_empty() {
        let keys: Vec<(UserId, InteractionId)> = batch.standing.iter().copied().collect();
        let found = interactions::find(transaction, &keys).await?;
        let found: HashMap<InteractionId, &Interaction> =
            found.iter().map(|entry| (entry.id, entry)).collect();
        for (command, outcome) in commands.iter().zip(&mut outcomes) {
            if let Some(Ok(written)) = outcome
                && written.interaction.is_none()
                && let Some(id) = written.state.made_by(command.action)
            {
                written.interaction = found.get(&id).map(|entry| (*entry).clone());
            }
        }
    }
    let now = batch.opening.now;
    let changes = batch.into_changes();
    let changed = !changes.interactions.is_empty();
    if changed {
        user_movies::store(transaction, &changes, now).await?;
    }
    Ok((outcomes, changed))
}

/// The commands of one transaction, applied one after another in memory.
struct Batch {
    opening: Opening,
    /// Each pair's place among those of the opening.
    places: HashMap<Pair, usize>,
    pairs: Vec<Pair>,
    touched: Vec<bool>,
    log: Vec<Interaction>,
    payloads: Vec<String>,
    counts: BTreeMap<MovieId, Counts>,
    chart_shifts: Vec<ChartShift>,
    /// Interactions of earlier transactions that made what commands asked for.
    standing: HashSet<(UserId, InteractionId)>,
}

impl Batch {
    fn new(pairs: Vec<Pair>, opening: Opening) -> Self {
        Self {
            places: pairs.iter().copied().zip(0..).collect(),
            touched: vec![false; pairs.len()],
            pairs,
            opening,
            log: Vec::new(),
            payloads: Vec::new(),
            counts: BTreeMap::new(),
            chart_shifts: Vec::new(),
            standing: HashSet::new(),
        }
    }

    fn apply(&mut self, command: &Command) -> Answer {
        let Some(place) = self.places.get(&command.pair()).copied() else {
            return Err(WriteError::MovieUnknown);
        };
        let Some((state, film_known)) = self.opening.pairs.get(place).copied() else {
            return Err(WriteError::MovieUnknown);
        };
        // What stands can be taken back though the film has gone.
        let is_taken_back = command.action.is_removal() && state.version.is_some();
        if !(film_known || command.film_known || is_taken_back) {
            return Err(WriteError::MovieUnknown);
        }
        let Some(id) = self.opening.ids.get(self.log.len()).copied() else {
            return Err(WriteError::Busy);
        };
        let occasion = Occasion {
            id,
            now: self.opening.now,
            // As Postgres keeps it.
            occurred_at: command.occurred_at.map(|at| at.trunc_subsecs(6)),
        };
        let Some(changed) =
            state.apply(command.user_id, command.movie_id, command.action, &occasion)
        else {
            return Ok(self.stands(command, state));
        };
        self.counts
            .entry(command.movie_id)
            .or_default()
            .shift(&state, &changed.state);
        self.chart_shifts.extend(chart_shifts(
            command.movie_id,
            &state,
            &changed.state,
            self.opening.now,
        ));
        self.payloads
            .push(payload(&changed.interaction, &changed.state));
        self.log.push(changed.interaction.clone());
        if let (Some(pair), Some(touched)) = (
            self.opening.pairs.get_mut(place),
            self.touched.get_mut(place),
        ) {
            pair.0 = changed.state;
            *touched = true;
        }
        Ok(Written {
            changed: true,
            state: changed.state,
            interaction: Some(changed.interaction),
        })
    }

    fn stands(&mut self, command: &Command, state: UserMovie) -> Written {
        let made_by = state.made_by(command.action);
        let interaction = made_by.and_then(|id| {
            let found = self.log.iter().rev().find(|entry| entry.id == id);
            if found.is_none() {
                self.standing.insert((command.user_id, id));
            }
            found.cloned()
        });
        Written {
            changed: false,
            state,
            interaction,
        }
    }

    fn into_changes(self) -> Changes {
        let states = self.pairs.into_iter().zip(self.opening.pairs);
        Changes {
            states: states
                .zip(self.touched)
                .filter(|(_, touched)| *touched)
                .map(|((pair, (state, _)), _)| (pair, state))
                .collect(),
            interactions: self.log.into_iter().zip(self.payloads).collect(),
            counts: self
                .counts
                .into_iter()
                .filter(|(_, counts)| !counts.is_zero())
                .collect(),
            chart_shifts: self.chart_shifts,
        }
    }
}

/// What the feed says of an interaction; the view `interaction_change` says the same.
#[derive(Serialize)]
struct Payload {
    id: InteractionId,
    user_id: UserId,
    movie_id: MovieId,
    interaction_type: InteractionType,
    #[serde(skip_serializing_if = "Option::is_none")]
    rating: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position_seconds: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<i32>,
    #[serde(serialize_with = "instant", skip_serializing_if = "Option::is_none")]
    occurred_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "instant", skip_serializing_if = "Option::is_none")]
    created_at: Option<DateTime<Utc>>,
    state: StatePayload,
}

/// Where the user stands with the film thereafter.
#[derive(Serialize)]
struct StatePayload {
    #[serde(skip_serializing_if = "Option::is_none")]
    reaction: Option<Reaction>,
    #[serde(serialize_with = "instant", skip_serializing_if = "Option::is_none")]
    reacted_at: Option<DateTime<Utc>>,
    bookmarked: bool,
    #[serde(serialize_with = "instant", skip_serializing_if = "Option::is_none")]
    bookmarked_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rating: Option<f64>,
    #[serde(serialize_with = "instant", skip_serializing_if = "Option::is_none")]
    rated_at: Option<DateTime<Utc>>,
    watched: bool,
    watched_seconds: i32,
    #[serde(serialize_with = "instant", skip_serializing_if = "Option::is_none")]
    watched_at: Option<DateTime<Utc>>,
    completed: bool,
    #[serde(serialize_with = "instant", skip_serializing_if = "Option::is_none")]
    completed_at: Option<DateTime<Utc>>,
}

fn instant<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(&at.to_rfc3339_opts(SecondsFormat::Micros, true)),
        None => serializer.serialize_none(),
    }
}

fn payload(interaction: &Interaction, state: &UserMovie) -> String {
    let at = |mark: Option<Mark>| mark.map(|mark| mark.at);
    let payload = Payload {
        id: interaction.id,
        user_id: interaction.user_id,
        movie_id: interaction.movie_id,
        interaction_type: interaction.interaction_type,
        rating: interaction.rating.map(Rating::stars),
        position_seconds: interaction.progress.map(Progress::position_seconds),
        duration_seconds: interaction.progress.map(Progress::duration_seconds),
        occurred_at: Some(interaction.occurred_at),
        created_at: Some(interaction.created_at),
        state: StatePayload {
            reaction: state.reaction.value,
            reacted_at: at(state.reaction.mark),
            bookmarked: state.bookmark.value.is_some(),
            bookmarked_at: at(state.bookmark.mark),
            rating: state.rating.value.map(Rating::stars),
            rated_at: at(state.rating.mark),
            watched: state.watch.is_begun(),
            watched_seconds: state.watch.watched_seconds,
            watched_at: at(state.watch.mark),
            completed: state.watch.completed.is_some(),
            completed_at: at(state.watch.completed),
        },
    };
    // Numbers, words and instants always make JSON.
    serde_json::to_string(&payload).unwrap_or_default()
}
