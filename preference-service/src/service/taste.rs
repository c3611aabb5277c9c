//! Users' taste: computed when it is asked for, and what they say of it themselves.

use std::collections::HashMap;

use chassis::{feed::outbox::Outbox, problem::FieldError};
use chrono::Utc;
use sqlx::PgPool;

use crate::{
    models::{HalfLife, MovieId, STRONGEST_EDIT, TagKey, TagKind, TasteScore, TasteScores, UserId, weight},
    repository::{
        movies,
        taste::{self, Edited},
        user_movies, users,
    },
};

/// Edits of one user at most.
const MOST_EDITS: i64 = 500;

/// Why taste is not told or changed.
#[derive(Debug, thiserror::Error)]
pub enum TasteError {
    /// There is no such user.
    #[error("user not found")]
    UserNotFound,
    /// What the user says is of no tag that there is.
    #[error("invalid edits")]
    Invalid(Vec<FieldError>),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What a user says of one tag; null takes back what was said.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTasteEdit {
    /// What kind of tag.
    pub kind: TagKind,
    /// Its id, where it has one.
    pub id: Option<i64>,
    /// Its name, or the code of a language.
    pub name: Option<String>,
    /// How much they like it.
    pub score: Option<f64>,
}

/// A user's taste.
#[derive(Debug)]
pub struct Profile {
    /// After so many days what was done weighs half; 0: it keeps its weight.
    pub half_life: HalfLife,
    /// The scores, by kind, the strongest first, each with the name of its tag.
    pub scores: Vec<(TasteScore, String)>,
}

/// The taste of users; cheap to clone.
#[derive(Clone)]
pub struct Tastes {
    pool: PgPool,
    outbox: Outbox,
    half_life: HalfLife,
}

impl Tastes {
    /// That of the users in `pool`, whose edits go out through `outbox`.
    #[must_use]
    pub fn new(pool: PgPool, outbox: Outbox, half_life: HalfLife) -> Self {
        Self {
            pool,
            outbox,
            half_life,
        }
    }

    /// The user's taste, at most `limit` tags of each kind.
    ///
    /// # Errors
    /// As [`TasteError`] says.
    pub async fn of(&self, user_id: UserId, limit: usize) -> Result<Profile, TasteError> {
        let now = Utc::now();
        let mut scores = TasteScores::default();
        let mut connection = self.pool.acquire().await?;
        let states = user_movies::list_all(&mut connection, user_id).await?;
        let movies: Vec<MovieId> = states.iter().map(|(movie, _)| *movie).collect();
        let tags = movies::find_tags(&mut connection, &movies).await?;
        for (movie, state) in &states {
            if let Some(tags) = tags.get(movie) {
                scores.add(tags, weight(state, now, self.half_life));
            }
        }
        let edits = taste::list_edits(&mut connection, user_id).await?;
        drop(connection);
        let scores = scores.profile(&edits, limit);
        if scores.is_empty() && !users::exists(&self.pool, user_id).await? {
            return Err(TasteError::UserNotFound);
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

    /// Stores what the user says of their taste; it stands, whatever they do, until they take it back.
    ///
    /// # Errors
    /// As [`TasteError`] says; nothing is then stored.
    pub async fn edit(&self, user_id: UserId, edits: &[NewTasteEdit]) -> Result<(), TasteError> {
        if !users::exists(&self.pool, user_id).await? {
            return Err(TasteError::UserNotFound);
        }
        let mut resolved: HashMap<TagKey, Option<f64>> = HashMap::new();
        let mut errors = Vec::new();
        for (number, edit) in edits.iter().enumerate() {
            let score = edit.score;
            if score.is_some_and(|score| score.is_nan() || score.abs() > STRONGEST_EDIT) {
                let message =
                    format!("must be a number from -{STRONGEST_EDIT} to {STRONGEST_EDIT}, or null");
                errors.push(FieldError::new(format!("edits[{number}].score"), message));
                continue;
            }
            match self.resolve(edit).await? {
                Ok(key) => {
                    if resolved.insert(key, score).is_some() {
                        let message = "another edit is of the same tag";
                        errors.push(FieldError::new(format!("edits[{number}]"), message));
                    }
                }
                Err((field, message)) => {
                    errors.push(FieldError::new(format!("edits[{number}].{field}"), message));
                }
            }
        }
        if !errors.is_empty() {
            return Err(TasteError::Invalid(errors));
        }
        let resolved: Vec<(TagKey, Option<f64>)> = resolved.into_iter().collect();
        match taste::edit(&self.pool, user_id, &resolved, MOST_EDITS).await? {
            Edited::Stored(changed) => {
                if changed {
                    self.outbox.wake();
                }
                Ok(())
            }
            Edited::TooMany => Err(TasteError::Invalid(vec![FieldError::new(
                "edits",
                format!("at most {MOST_EDITS} may stand; take some back with a score of null"),
            )])),
            Edited::NoUser => Err(TasteError::UserNotFound),
        }
    }

    /// The tag that an edit is of, or which of its fields is wrong, and how.
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
