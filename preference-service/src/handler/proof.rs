//! The caller of an endpoint: who they are, and the optional body by which they prove it once more.

use chassis::caller::Caller;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{error::Error, models::UserId, service::confirmation::Requester};

/// The proof of what an old access token alone does not permit.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"current_password": "correct horse battery staple"}))]
pub(super) struct ProofRequest {
    /// The caller's present password.
    #[schema(value_type = Option<String>)]
    current_password: Option<SecretString>,
}

impl ProofRequest {
    /// `caller` with this proof.
    pub(super) fn requester<'a>(&'a self, caller: &'a Caller) -> Requester<'a> {
        Requester::new(caller, self.current_password.as_ref())
    }
}

/// The user who sends the request.
///
/// # Errors
/// `UserNotFound` if it is none.
pub(super) fn user_of(caller: &Caller) -> Result<UserId, Error> {
    UserId::of(caller).ok_or(Error::UserNotFound)
}
