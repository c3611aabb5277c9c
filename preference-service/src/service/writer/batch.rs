//! One transaction of the writer: locks the users, applies the commands in memory one after another, and stores the
//! result. Called by the lanes only.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::SubsecRound;
use sqlx::PgConnection;

use super::command::{Command, Replies, Reply, WriteError, Written};
use crate::{
    models::{
        ChartShift, Counts, EventContext, Interaction, InteractionChange, InteractionId, MovieId,
        UserId, UserMovie, Viewing, Viewings, chart_shifts,
    },
    repository::{
        interactions,
        user_movies::{self, BatchSnapshot, Changes, LockTimeout, Pair},
        viewings::{self, ViewingRow},
    },
};

/// Applies `commands` within a transaction. Returns the replies, and true if there is anything to commit.
pub(super) async fn apply(
    transaction: &mut PgConnection,
    commands: &[Command],
    timeout: LockTimeout,
) -> sqlx::Result<(Replies, bool)> {
    let mut users: Vec<i64> = commands
        .iter()
        .map(|command| command.user_id.get())
        .collect();
    users.sort_unstable();
    users.dedup();
    let locked = user_movies::lock_users(transaction, &users, timeout).await?;
    let locked: HashSet<i64> = locked.into_iter().collect();
    let is_locked = |command: &&Command| locked.contains(&command.user_id.get());
    let mut pairs: Vec<Pair> = commands
        .iter()
        .filter(is_locked)
        .map(Command::pair)
        .collect();
    if pairs.is_empty() {
        return Ok((vec![None; commands.len()], false));
    }
    let count = pairs.len();
    pairs.sort_unstable();
    pairs.dedup();
    let snapshot = user_movies::load_batch(transaction, &pairs, count).await?;
    let mut viewed: Vec<Pair> = commands
        .iter()
        .filter(is_locked)
        .filter(|command| command.action.needs_viewings())
        .map(Command::pair)
        .collect();
    viewed.sort_unstable();
    viewed.dedup();
    let stored = viewings::load_batch(transaction, &viewed).await?;
    let mut batch = Batch::new(pairs, snapshot);
    batch.add_viewings(&viewed, stored);
    let mut replies: Replies = commands
        .iter()
        .map(|command| is_locked(&command).then(|| batch.apply(command)))
        .collect();
    if !batch.earlier.is_empty() {
        let keys: Vec<(UserId, InteractionId)> = batch.earlier.iter().copied().collect();
        let found = interactions::find(transaction, &keys).await?;
        let found: HashMap<InteractionId, &Interaction> =
            found.iter().map(|entry| (entry.id, entry)).collect();
        for (command, reply) in commands.iter().zip(&mut replies) {
            if let Some(Ok(written)) = reply
                && written.interaction.is_none()
                && let Some(id) = written.state.last_interaction(command.action)
            {
                written.interaction = found.get(&id).map(|entry| (*entry).clone());
            }
        }
    }
    let viewings = batch.take_viewings();
    let changes = batch.into_changes();
    let changed = !changes.interactions.is_empty();
    if changed {
        if !viewings.is_empty() {
            viewings::store(transaction, &viewings).await?;
        }
        user_movies::store(transaction, &changes).await?;
    }
    Ok((replies, changed))
}

/// The states that a transaction's commands are applied to, and the changes so far.
struct Batch {
    snapshot: BatchSnapshot,
    /// The index of each pair in the snapshot.
    positions: HashMap<Pair, usize>,
    touched: Vec<bool>,
    /// The viewings of the pairs about which a command needs them, as they were and as they are.
    viewings: HashMap<Pair, (Viewings, Viewings)>,
    log: Vec<Interaction>,
    payloads: Vec<String>,
    counts: BTreeMap<MovieId, Counts>,
    chart_shifts: Vec<ChartShift>,
    /// Interactions of earlier transactions that led to a requested state.
    earlier: HashSet<(UserId, InteractionId)>,
}

impl Batch {
    fn new(pairs: Vec<Pair>, snapshot: BatchSnapshot) -> Self {
        Self {
            touched: vec![false; pairs.len()],
            positions: pairs.into_iter().zip(0..).collect(),
            snapshot,
            viewings: HashMap::new(),
            log: Vec::new(),
            payloads: Vec::new(),
            counts: BTreeMap::new(),
            chart_shifts: Vec::new(),
            earlier: HashSet::new(),
        }
    }

    fn add_viewings(&mut self, pairs: &[Pair], mut stored: HashMap<Pair, Vec<Viewing>>) {
        for pair in pairs {
            let state = self.positions.get(pair);
            let Some((state, _)) = state.and_then(|at| self.snapshot.pairs.get(*at)) else {
                continue;
            };
            let stored = stored.remove(pair).unwrap_or_default();
            let before = Viewings::from(stored.clone());
            let viewings = Viewings::of(state, stored);
            self.viewings.insert(*pair, (before, viewings));
        }
    }

    fn apply(&mut self, command: &Command) -> Reply {
        let position = self.positions.get(&command.pair()).copied();
        let found = position.and_then(|at| Some((at, *self.snapshot.pairs.get(at)?)));
        let Some((position, (state, is_movie_known))) = found else {
            return Err(WriteError::MovieUnknown);
        };
        // A value can be cleared even if the movie has left the catalogue.
        let is_clearing = command.action.is_removal() && state.version.is_some();
        if !(is_movie_known || command.is_movie_known || is_clearing) {
            return Err(WriteError::MovieUnknown);
        }
        let Some(id) = self.snapshot.ids.get(self.log.len()).copied() else {
            return Err(WriteError::Busy);
        };
        let context = EventContext {
            id,
            now: self.snapshot.now,
            // The precision of Postgres.
            occurred_at: command.occurred_at.map(|at| at.trunc_subsecs(6)),
        };
        let mut none = Viewings::default();
        let viewings = self.viewings.get_mut(&command.pair());
        let viewings = viewings.map_or(&mut none, |(_, viewings)| viewings);
        let changed = state.apply(viewings, command.action, &context);
        let viewing = command.action.viewing_time();
        let viewing = viewing.and_then(|time| viewings.find(time)).copied();
        let Some(changed) = changed else {
            return Ok(self.unchanged(command, state, viewing));
        };
        self.counts
            .entry(command.movie_id)
            .or_default()
            .shift(&state, &changed.state);
        self.chart_shifts.extend(chart_shifts(
            command.movie_id,
            &state,
            &changed.state,
            self.snapshot.now,
        ));
        let change = InteractionChange::new(&changed.interaction, &changed.state);
        // Numbers, names and instants always serialize.
        self.payloads
            .push(serde_json::to_string(&change).unwrap_or_default());
        self.log.push(changed.interaction.clone());
        if let (Some(pair), Some(touched)) = (
            self.snapshot.pairs.get_mut(position),
            self.touched.get_mut(position),
        ) {
            pair.0 = changed.state;
            *touched = true;
        }
        Ok(Written {
            changed: true,
            state: changed.state,
            interaction: Some(changed.interaction),
            viewing,
        })
    }

    fn unchanged(
        &mut self,
        command: &Command,
        state: UserMovie,
        viewing: Option<Viewing>,
    ) -> Written {
        let interaction = state.last_interaction(command.action).and_then(|id| {
            let found = self.log.iter().rev().find(|entry| entry.id == id);
            if found.is_none() {
                self.earlier.insert((command.user_id, id));
            }
            found.cloned()
        });
        Written {
            changed: false,
            state,
            interaction,
            viewing,
        }
    }

    /// Takes the rows of new and changed viewings.
    fn take_viewings(&mut self) -> Vec<ViewingRow> {
        let viewings = std::mem::take(&mut self.viewings).into_iter();
        viewings
            .flat_map(|(pair, (before, after))| {
                let changed = after.changed_since(&before).into_iter();
                changed.map(move |viewing| ViewingRow::new(pair, &viewing))
            })
            .collect()
    }

    fn into_changes(self) -> Changes {
        let states = self.snapshot.pairs.into_iter().zip(self.touched);
        Changes {
            states: states
                .filter(|(_, touched)| *touched)
                .map(|((state, _), _)| state)
                .collect(),
            interactions: self.log,
            payloads: self.payloads,
            counts: self
                .counts
                .into_iter()
                .filter(|(_, counts)| !counts.is_zero())
                .collect(),
            chart_shifts: self.chart_shifts,
        }
    }
}
