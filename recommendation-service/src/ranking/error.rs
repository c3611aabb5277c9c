//! The reasons for which there is no list.

use chassis::{client::CallError, problem::FieldError};

use crate::{ranking::scoring::NotTrained, read_model::UserId};

/// The reasons for which there is no list.
#[derive(Debug, thiserror::Error)]
pub enum RecommendError {
    /// There is no such user.
    #[error("user not found")]
    UserNotFound,
    /// One of several users does not exist.
    #[error("user not found")]
    MemberNotFound {
        /// The member's position, from 0.
        place: usize,
        /// The id that no user has.
        id: UserId,
    },
    /// The caller is not a member of the group, or there is no such group.
    #[error("group not found")]
    GroupNotFound,
    /// The user is not in memory, and preference-service cannot be reached.
    #[error("cannot request the user")]
    Upstream(#[from] CallError),
    /// The catalogue has not been loaded yet.
    #[error("the catalogue is still loading")]
    Loading,
    /// The strategy needs a learned model that is not live.
    #[error(transparent)]
    NotTrained(#[from] NotTrained),
    /// Parameters are invalid.
    #[error("invalid request")]
    Invalid(Vec<FieldError>),
    /// There is no such movie.
    #[error("movie not found")]
    MovieNotFound,
    /// There is no such list, or the caller may not see it.
    #[error("list not found")]
    ListNotFound,
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopping,
    /// Postgres is unreachable or a statement failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl RecommendError {
    /// One invalid field.
    pub(crate) fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }
}
