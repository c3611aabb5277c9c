//! Webhooks of media servers: creating them, and recording what they deliver. Called by the handlers. A delivery has the
//! time of its event, or else the time at which it was first received, so that deliveries may be repeated and arrive in any
//! order: the same commands lead to the same state.

use chassis::shutdown::Shutdown;
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use super::{
    catalogue::Catalogue,
    confirmation::{Confirmation, Requester},
    interactions::Interactions,
    retry,
    writer::Command,
};
use crate::{
    client::{FilmMatch, WantedFilm},
    error::Error,
    models::{
        Action, ApiKeySecret, DeliveryOutcome, EventAction, MovieId, NewViewing, NewWebhook,
        PayloadError, Provider, SecretHash, ServerMovie, Source, UnmatchedReason, UserId,
        ViewingTime, Webhook, WebhookEvent, parse_delivery,
    },
    repository::{
        users,
        webhooks::{self, DeliveryResult, Hook},
    },
};

/// Deliveries by provider and outcome (counter).
pub const WEBHOOK_DELIVERIES_TOTAL: &str = "webhook_deliveries_total";

/// Deliveries that a list of hooks shows of each.
const LISTED_DELIVERIES: i64 = 20;

/// The result of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The outcome.
    pub outcome: DeliveryOutcome,
    /// True if the delivery was received before; it changed nothing this time.
    pub is_repeated: bool,
    /// The reason for which it was not applied.
    pub reason: Option<&'static str>,
}

/// Webhooks of all users; cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    pool: PgPool,
    catalogue: Catalogue,
    interactions: Interactions,
    confirmation: Confirmation,
}

impl Webhooks {
    /// The hooks in `pool`, with the movies of `catalogue`; their events are recorded by `interactions`; `confirmation` checks
    /// the proof of new secrets. Deliveries whose movies were not found are applied again, at once when `arrived` changes.
    pub fn start(
        pool: PgPool,
        catalogue: Catalogue,
        interactions: Interactions,
        confirmation: Confirmation,
        arrived: watch::Receiver<()>,
        shutdown: &Shutdown,
    ) -> Self {
        let webhooks = Self {
            pool,
            catalogue,
            interactions,
            confirmation,
        };
        let retried = webhooks.clone();
        let apply = async move || retried.apply_due().await;
        shutdown.spawn(retry::run("webhooks", arrived, shutdown.clone(), apply));
        webhooks
    }

    /// Creates a hook of `user_id`; returns it with its secret, which outlasts an access token. Requires proof.
    ///
    /// # Errors
    /// As [`webhooks::create`] and [`Confirmation::confirm`].
    #[tracing::instrument(name = "service.webhooks.create", level = "debug", skip_all, fields(%user_id))]
    pub async fn create(
        &self,
        user_id: UserId,
        hook: &NewWebhook,
        requester: &Requester<'_>,
    ) -> Result<(Webhook, String), Error> {
        self.confirmation.confirm(requester).await?;
        let secret = ApiKeySecret::generate_for_webhook();
        let id = webhooks::create(&self.pool, user_id, hook, &secret).await?;
        Ok((self.get(user_id, id).await?, secret.reveal()))
    }

    /// Lists the user's hooks with their last deliveries, newest first.
    ///
    /// # Errors
    /// `UserNotFound` if no user has this id.
    #[tracing::instrument(name = "service.webhooks.list", level = "debug", skip_all, fields(%user_id))]
    pub async fn list(&self, user_id: UserId) -> Result<Vec<Webhook>, Error> {
        let hooks = webhooks::list(&self.pool, user_id, None, LISTED_DELIVERIES).await?;
        if hooks.is_empty() && !users::exists(&self.pool, user_id).await? {
            return Err(Error::UserNotFound);
        }
        Ok(hooks)
    }

    /// Replaces the secret of a hook; returns the hook with the new one. The old one is invalid at once. Requires proof.
    ///
    /// # Errors
    /// `WebhookNotFound` if the user has none of this id; as [`Confirmation::confirm`].
    #[tracing::instrument(name = "service.webhooks.rotate", level = "debug", skip_all, fields(%user_id, id))]
    pub async fn rotate(
        &self,
        user_id: UserId,
        id: i64,
        requester: &Requester<'_>,
    ) -> Result<(Webhook, String), Error> {
        self.confirmation.confirm(requester).await?;
        let secret = ApiKeySecret::generate_for_webhook();
        if !webhooks::rotate(&self.pool, user_id, id, &secret).await? {
            return Err(Error::WebhookNotFound);
        }
        Ok((self.get(user_id, id).await?, secret.reveal()))
    }

    /// Deletes a hook.
    ///
    /// # Errors
    /// `WebhookNotFound` if the user has none of this id.
    #[tracing::instrument(name = "service.webhooks.delete", level = "debug", skip_all, fields(%user_id, id))]
    pub async fn delete(&self, user_id: UserId, id: i64) -> Result<(), Error> {
        let is_deleted = webhooks::delete(&self.pool, user_id, id).await?;
        is_deleted.then_some(()).ok_or(Error::WebhookNotFound)
    }

    async fn get(&self, user_id: UserId, id: i64) -> Result<Webhook, Error> {
        let hooks = webhooks::list(&self.pool, user_id, Some(id), LISTED_DELIVERIES).await?;
        hooks.into_iter().next().ok_or(Error::WebhookNotFound)
    }

    /// Records what a server delivers.
    ///
    /// # Errors
    /// `WebhookNotFound` if no hook of `provider` has this secret, `InvalidPayload` if the payload cannot be read,
    /// `WriterBusy` if too many writes are pending, `Database` if Postgres fails. After the last two the server may deliver it
    /// again.
    // The secret must not be recorded.
    #[tracing::instrument(name = "service.webhooks.deliver", level = "debug", skip_all, fields(provider = provider.as_str()))]
    pub async fn deliver(
        &self,
        provider: Provider,
        secret: &str,
        payload: &[u8],
    ) -> Result<Delivered, Error> {
        let hash = SecretHash::of(secret.as_bytes());
        let hook = webhooks::find(&self.pool, provider, &hash).await?;
        // The index finds the row; that it is the right one is decided in constant time.
        let hook = hook
            .filter(|hook| bool::from(hook.secret_hash.ct_eq(hash.as_bytes())))
            .ok_or(Error::WebhookNotFound)?;
        let delivered = self.process(provider, &hook, payload).await;
        let outcome = match &delivered {
            Ok(delivered) if delivered.is_repeated => "repeated",
            Ok(delivered) => delivered.outcome.name(),
            Err(Error::InvalidPayload(_)) => DeliveryOutcome::Invalid.name(),
            Err(_) => "failed",
        };
        metrics::counter!(WEBHOOK_DELIVERIES_TOTAL, "provider" => provider.as_str(), "outcome" => outcome)
            .increment(1);
        delivered
    }

    async fn process(
        &self,
        provider: Provider,
        hook: &Hook,
        payload: &[u8],
    ) -> Result<Delivered, Error> {
        let hash = SecretHash::of(payload);
        let event = match parse_delivery(provider, payload) {
            Ok(event) => event,
            Err(error) => {
                self.record_invalid(hook, &hash, error).await?;
                return Err(Error::InvalidPayload(error));
            }
        };
        let title = event.movie.title.as_deref();
        let received = webhooks::receive(&self.pool, hook.id, &hash, &event.name, title).await?;
        // The catalogue may have got the movie in the meantime, and the household another user.
        let is_final = !matches!(
            received.outcome,
            DeliveryOutcome::Pending | DeliveryOutcome::Unmatched | DeliveryOutcome::UnknownUser
        );
        if is_final {
            return Ok(Delivered {
                outcome: received.outcome,
                is_repeated: true,
                reason: None,
            });
        }
        let received_at = received.received_at;
        let result = self.try_apply(provider, hook, &event, received_at).await?;
        webhooks::finish(&self.pool, hook.id, &hash, &result, Some(payload)).await?;
        Ok(Delivered {
            outcome: result.outcome,
            is_repeated: false,
            reason: result.reason,
        })
    }

    async fn record_invalid(
        &self,
        hook: &Hook,
        hash: &SecretHash,
        error: PayloadError,
    ) -> Result<(), Error> {
        webhooks::receive(&self.pool, hook.id, hash, "unknown", None).await?;
        let reason = error.to_string();
        let result = DeliveryResult::refused(DeliveryOutcome::Invalid, &reason);
        webhooks::finish(&self.pool, hook.id, hash, &result, None).await?;
        Ok(())
    }

    /// Applies a batch of deliveries that are due; returns their number.
    #[tracing::instrument(name = "service.webhooks.apply_due", level = "debug", skip_all)]
    async fn apply_due(&self) -> Result<usize, Error> {
        let deliveries = webhooks::take_due(&self.pool, retry::BATCH).await?;
        for delivery in &deliveries {
            let (hook, provider) = (&delivery.hook, delivery.provider);
            let hash = SecretHash::of(&delivery.payload);
            let result = match parse_delivery(provider, &delivery.payload) {
                Ok(event) => {
                    let received_at = delivery.received_at;
                    self.try_apply(provider, hook, &event, received_at).await?
                }
                Err(_) => DeliveryResult::refused(DeliveryOutcome::Invalid, "it cannot be read"),
            };
            webhooks::finish(&self.pool, hook.id, &hash, &result, None).await?;
        }
        Ok(deliveries.len())
    }

    /// Applies an event; it is pending if the catalogue cannot be asked now.
    async fn try_apply(
        &self,
        provider: Provider,
        hook: &Hook,
        event: &WebhookEvent,
        received_at: DateTime<Utc>,
    ) -> Result<DeliveryResult<'static>, Error> {
        match self.apply(provider, hook, event, received_at).await {
            Err(Error::Catalogue(_) | Error::Unconfirmed) => {
                let reason = "the movie cannot be looked for now; the delivery is applied later";
                Ok(DeliveryResult {
                    user_id: user_of(hook, event),
                    ..DeliveryResult::refused(DeliveryOutcome::Pending, reason)
                })
            }
            result => result,
        }
    }

    async fn apply(
        &self,
        provider: Provider,
        hook: &Hook,
        event: &WebhookEvent,
        received_at: DateTime<Utc>,
    ) -> Result<DeliveryResult<'static>, Error> {
        if let EventAction::Skipped(reason) = event.action {
            return Ok(DeliveryResult::refused(DeliveryOutcome::Skipped, reason));
        }
        let Some(user_id) = user_of(hook, event) else {
            let reason = "the user of the server is none of this hook";
            return Ok(DeliveryResult::refused(
                DeliveryOutcome::UnknownUser,
                reason,
            ));
        };
        let Some(movie_id) = self.find_movie(&event.movie).await? else {
            let reason = "no movie of the catalogue has these ids, or this title and year";
            return Ok(DeliveryResult {
                user_id: Some(user_id),
                ..DeliveryResult::refused(DeliveryOutcome::Unmatched, reason)
            });
        };
        let occurred_at = event.occurred_at.unwrap_or(received_at);
        // A server whose clock is ahead must not have the last word for long.
        let occurred_at = occurred_at.min(received_at);
        let mut changed = false;
        for action in actions(provider, event.action, ViewingTime::at(occurred_at)) {
            let command = Command {
                user_id,
                movie_id,
                action,
                occurred_at: Some(occurred_at),
                is_movie_known: true,
            };
            match self.interactions.record(command).await {
                Ok(written) => changed |= written.changed,
                Err(Error::UserNotFound) => {
                    let reason = "the user of this hook does not exist";
                    return Ok(DeliveryResult::refused(
                        DeliveryOutcome::UnknownUser,
                        reason,
                    ));
                }
                Err(error) => return Err(error),
            }
        }
        let outcome = if changed {
            DeliveryOutcome::Applied
        } else {
            DeliveryOutcome::Unchanged
        };
        Ok(DeliveryResult {
            outcome,
            user_id: Some(user_id),
            movie_id: Some(movie_id),
            reason: None,
        })
    }

    /// Finds the movie of the catalogue; movie-service requests it from TMDB if need be.
    async fn find_movie(&self, movie: &ServerMovie) -> Result<Option<MovieId>, Error> {
        if let Some(id) = movie.tmdb_id
            && self.catalogue.is_known(id).await?
        {
            return Ok(Some(id));
        }
        let wanted = WantedFilm {
            tmdb_id: movie.tmdb_id,
            imdb_id: movie.imdb_id.as_deref(),
            title: movie.title.as_deref(),
            year: movie.year,
        };
        let found = self.catalogue.find(&[wanted], 1).await?;
        match found.matches.into_iter().next() {
            Some(FilmMatch::Found { id }) => Ok(Some(id)),
            Some(FilmMatch::Missing {
                unmatched: UnmatchedReason::NotFetched,
                ..
            }) => Err(Error::Unconfirmed),
            _ => Ok(None),
        }
    }
}

/// The user whose event it is.
fn user_of(hook: &Hook, event: &WebhookEvent) -> Option<UserId> {
    match (&hook.users, &hook.server_user) {
        (Some(users), _) => event.user.keys().find_map(|key| users.get(&key).copied()),
        (None, Some(wanted)) => event.user.is(wanted).then_some(hook.user_id),
        (None, None) => Some(hook.user_id),
    }
}

/// The actions of an event.
fn actions(provider: Provider, action: EventAction, time: ViewingTime) -> Vec<Action> {
    let viewing = Action::View(NewViewing {
        time,
        rating: None,
        source: Source::new(provider.as_str()),
    });
    match action {
        EventAction::Progress(progress) => progress.map(Action::Position).into_iter().collect(),
        EventAction::Completed(progress) => progress
            .map(Action::Position)
            .into_iter()
            .chain([viewing])
            .collect(),
        EventAction::MarkedPlayed => vec![viewing],
        EventAction::MarkedUnplayed => vec![Action::Unplay],
        EventAction::Rated(rating) => vec![Action::Rate(rating)],
        EventAction::Skipped(_) => Vec::new(),
    }
}
