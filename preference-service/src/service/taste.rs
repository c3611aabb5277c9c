//! Taste profiles: computed from the user's states on request, and edited by the user. Called by the handler of taste.

use std::collections::HashMap;

use chassis::{clock::Clock, feed::outbox::Outbox, problem::FieldError};
use filter::Term;
use sqlx::PgPool;

use crate::{
    error::Error,
    models::{
        HalfLife, MAX_EDIT_SCORE, MovieId, NewTasteEdit, TagKey, TagKind, TasteScore, TasteScores,
        UserId, movie_weights,
    },
    repository::{
        movies,
        taste::{self, Edited},
        user_movies, users,
    },
};

/// The maximum number of edits of one user.
const MAX_EDITS: i64 = 500;

/// A taste profile.
#[derive(Debug)]
pub struct Profile {
    /// The half-life of an action's weight.
    pub half_life: HalfLife,
    /// The scores, by kind and descending absolute value, with the names of the tags.
    pub scores: Vec<(TasteScore, String)>,
}

/// Taste profiles; cheap to clone.
#[derive(Clone)]
pub struct Tastes {
    pool: PgPool,
    outbox: Outbox,
    half_life: HalfLife,
    clock: Clock,
}

impl Tastes {
    /// The profiles of the users in `pool`, whose edits are published through `outbox`.
    pub fn new(pool: PgPool, outbox: Outbox, half_life: HalfLife, clock: Clock) -> Self {
        Self {
            pool,
            outbox,
            half_life,
            clock,
        }
    }

    /// Returns the user's profile, with at most `limit` tags of each kind.
    ///
    /// # Errors
    /// `UserNotFound` if the user does not exist, `Database` if Postgres fails.
    #[tracing::instrument(name = "service.taste.get", level = "debug", skip_all)]
    pub async fn get(&self, user_id: UserId, limit: usize) -> Result<Profile, Error> {
        let mut scores = TasteScores::default();
        let mut connection = self.pool.acquire().await?;
        let states = user_movies::list_all(&mut connection, user_id).await?;
        let states = states.iter().map(|state| (state.movie_id, state));
        let weights = movie_weights(states, self.clock.now(), self.half_life);
        let movies: Vec<MovieId> = weights.iter().map(|(movie, _)| *movie).collect();
        let tags = movies::find_tags(&mut connection, &movies).await?;
        for (movie, weight) in weights {
            if let Some(tags) = tags.get(&movie) {
                scores.add(tags, weight);
            }
        }
        let edits = taste::list_edits(&mut connection, user_id).await?;
        drop(connection);
        let scores = scores.profile(edits, limit);
        if scores.is_empty() && !users::exists(&self.pool, user_id).await? {
            return Err(Error::UserNotFound);
        }
        let keys: Vec<&TagKey> = scores.iter().map(|score| &score.key).collect();
        let mut names = taste::find_names(&self.pool, &keys).await?;
        let scores = scores.into_iter().map(|score| {
            let name = match &score.key {
                TagKey::Language(code) => code.clone(),
                key => names.remove(key).unwrap_or_default(),
            };
            (score, name)
        });
        Ok(Profile {
            half_life: self.half_life,
            scores: scores.collect(),
        })
    }

    /// Stores the user's edits, which replace the computed scores until the user removes them.
    ///
    /// # Errors
    /// `UserNotFound` if the user does not exist, `Invalid` if an edit is, `Database` if Postgres fails. Nothing is stored
    /// then.
    #[tracing::instrument(name = "service.taste.edit", level = "debug", skip_all)]
    pub async fn edit(&self, user_id: UserId, edits: &[NewTasteEdit]) -> Result<(), Error> {
        if !users::exists(&self.pool, user_id).await? {
            return Err(Error::UserNotFound);
        }
        let mut resolved: HashMap<TagKey, Option<f64>> = HashMap::new();
        let mut errors = Vec::new();
        for (number, edit) in edits.iter().enumerate() {
            let score = edit.score;
            if score.is_some_and(|score| score.is_nan() || score.abs() > MAX_EDIT_SCORE) {
                let message =
                    format!("must be a number from -{MAX_EDIT_SCORE} to {MAX_EDIT_SCORE}, or null");
                errors.push(FieldError::new(format!("edits[{number}].score"), message));
                continue;
            }
            match self.resolve(edit).await? {
                Ok(key) => {
                    if resolved.insert(key, score).is_some() {
                        let message = "another edit is about the same tag";
                        errors.push(FieldError::new(format!("edits[{number}]"), message));
                    }
                }
                Err((field, message)) => {
                    errors.push(FieldError::new(format!("edits[{number}].{field}"), message));
                }
            }
        }
        if !errors.is_empty() {
            return Err(Error::Invalid(errors));
        }
        let resolved: Vec<(TagKey, Option<f64>)> = resolved.into_iter().collect();
        match taste::edit(&self.pool, user_id, &resolved, MAX_EDITS).await? {
            Edited::Stored(changed) => {
                if changed {
                    self.outbox.notify_readers();
                }
                Ok(())
            }
            Edited::TooMany => Err(Error::Invalid(vec![FieldError::new(
                "edits",
                format!("a user has at most {MAX_EDITS} edits; remove some with a score of null"),
            )])),
            Edited::NoUser => Err(Error::UserNotFound),
        }
    }

    /// Returns the tag of an edit, or the invalid field with a message.
    async fn resolve(
        &self,
        edit: &NewTasteEdit,
    ) -> sqlx::Result<Result<TagKey, (&'static str, String)>> {
        let kind = edit.kind;
        Ok(match (kind, edit.id, edit.name.as_deref()) {
            (TagKind::Language, None, Some(code)) => {
                let is_code = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_lowercase());
                is_code
                    .then(|| TagKey::Language(code.to_owned()))
                    .ok_or(("name", "must be an ISO 639-1 code, such as ko".to_owned()))
            }
            (TagKind::Language, ..) => Err((
                "name",
                "must be the language's ISO 639-1 code; languages have no id".to_owned(),
            )),
            (_, Some(id), None) => {
                let key = TagKey::Numbered(kind, id);
                let names = taste::find_names(&self.pool, &[&key]).await?;
                if names.is_empty() {
                    Err(("id", format!("no {kind} of the catalogue has this id")))
                } else {
                    Ok(key)
                }
            }
            (_, None, Some(name)) => match taste::find_by_name(&self.pool, kind, name).await?[..] {
                [id] => Ok(TagKey::Numbered(kind, id)),
                [] if kind == TagKind::Genre => {
                    let genres = movies::genres(&self.pool).await?;
                    match genres.resolve(&Term::Name(name.to_owned()))[..] {
                        [id] => Ok(TagKey::Numbered(kind, id)),
                        [] => Err(("name", genres.canonical(name).err().unwrap_or_default())),
                        _ => Err(("name", "means more than one genre; edit each".to_owned())),
                    }
                }
                [] => Err(("name", format!("no {kind} of the catalogue has this name"))),
                _ => Err((
                    "name",
                    format!("more than one {kind} has this name; give the id"),
                )),
            },
            _ => Err(("id", "give either the id or the name".to_owned())),
        })
    }
}
