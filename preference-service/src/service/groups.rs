//! Groups of users who decide together. Called by the handlers of groups. A user becomes a member only by accepting an
//! invitation, and a group that the caller is not a member of has the response of one that does not exist.

use sqlx::PgPool;

use super::attempts::AttemptLimiter;
use crate::{
    error::Error,
    models::{
        ApiKeySecret, Group, GroupId, GroupName, Invitation, MovieId, MovieVotes, NewInvitation,
        SecretHash, UserId,
    },
    repository::{group_votes, groups, movies},
};

/// The groups of all users; cheap to clone.
#[derive(Clone)]
pub struct Groups {
    pool: PgPool,
    join_attempts: AttemptLimiter,
}

impl Groups {
    /// The groups in `pool`. `join_attempts` limits invalid codes per user.
    pub fn new(pool: PgPool, join_attempts: AttemptLimiter) -> Self {
        Self {
            pool,
            join_attempts,
        }
    }

    /// Creates a group of `owner` alone.
    ///
    /// # Errors
    /// As [`groups::create`].
    #[tracing::instrument(name = "service.groups.create", level = "debug", skip_all, fields(%owner))]
    pub async fn create(&self, owner: UserId, name: &GroupName) -> Result<Group, Error> {
        let id = groups::create(&self.pool, owner, name).await?;
        self.get(owner, id).await
    }

    /// Lists the groups of `member`, oldest first.
    #[tracing::instrument(name = "service.groups.list", level = "debug", skip_all, fields(%member))]
    pub async fn list(&self, member: UserId) -> Result<Vec<Group>, Error> {
        Ok(groups::list(&self.pool, member, None).await?)
    }

    /// Gets a group of `member`.
    ///
    /// # Errors
    /// `GroupNotFound` if they are not a member.
    #[tracing::instrument(name = "service.groups.get", level = "debug", skip_all, fields(%member, %id))]
    pub async fn get(&self, member: UserId, id: GroupId) -> Result<Group, Error> {
        let found = groups::list(&self.pool, member, Some(id)).await?;
        found.into_iter().next().ok_or(Error::GroupNotFound)
    }

    /// Stores the vote of a member on a movie, in place of an earlier one.
    ///
    /// # Errors
    /// `MovieNotFound` if the movie is not known; `GroupNotFound` if they are not a member.
    #[tracing::instrument(name = "service.groups.vote", level = "debug", skip_all, fields(%member, %id))]
    pub async fn vote(
        &self,
        member: UserId,
        id: GroupId,
        movie_id: MovieId,
        yes: bool,
    ) -> Result<(), Error> {
        if !movies::is_known(&self.pool, movie_id).await? {
            return Err(Error::MovieNotFound);
        }
        group_votes::set(&self.pool, id, member, movie_id, yes).await
    }

    /// Lists the votes in a group of `member`, by movie.
    ///
    /// # Errors
    /// `GroupNotFound` if they are not a member.
    #[tracing::instrument(name = "service.groups.list_votes", level = "debug", skip_all, fields(%member, %id))]
    pub async fn list_votes(&self, member: UserId, id: GroupId) -> Result<Vec<MovieVotes>, Error> {
        self.get(member, id).await?;
        Ok(group_votes::list(&self.pool, id).await?)
    }

    /// Deletes the votes of a member of a group.
    ///
    /// # Errors
    /// `GroupNotFound` if they are not a member.
    #[tracing::instrument(name = "service.groups.delete_votes", level = "debug", skip_all, fields(%member, %id))]
    pub async fn delete_votes(&self, member: UserId, id: GroupId) -> Result<(), Error> {
        self.get(member, id).await?;
        Ok(group_votes::delete(&self.pool, id, member).await?)
    }

    /// Deletes a group of `owner`.
    ///
    /// # Errors
    /// As [`groups::delete`].
    #[tracing::instrument(name = "service.groups.delete", level = "debug", skip_all, fields(%owner, %id))]
    pub async fn delete(&self, owner: UserId, id: GroupId) -> Result<(), Error> {
        groups::delete(&self.pool, id, owner).await
    }

    /// Creates an invitation to a group of `owner`; returns it with its code.
    ///
    /// # Errors
    /// As [`groups::invite`].
    #[tracing::instrument(name = "service.groups.invite", level = "debug", skip_all, fields(%owner, %id))]
    pub async fn invite(
        &self,
        owner: UserId,
        id: GroupId,
        invitation: NewInvitation,
    ) -> Result<Invitation, Error> {
        let code = ApiKeySecret::generate_for_invitation();
        let expires_at = groups::invite(&self.pool, id, owner, invitation, &code).await?;
        Ok(Invitation {
            group_id: id,
            code: code.reveal(),
            expires_at,
            max_uses: invitation.max_uses,
        })
    }

    /// Withdraws all invitations to a group of `owner`.
    ///
    /// # Errors
    /// As [`groups::withdraw_invitations`].
    #[tracing::instrument(name = "service.groups.withdraw_invitations", level = "debug", skip_all, fields(%owner, %id))]
    pub async fn withdraw_invitations(&self, owner: UserId, id: GroupId) -> Result<(), Error> {
        groups::withdraw_invitations(&self.pool, id, owner).await
    }

    /// Makes the user a member of the group that `code` invites to.
    ///
    /// # Errors
    /// `TooManyAttempts` at invalid codes; otherwise as [`groups::join`].
    #[tracing::instrument(name = "service.groups.join", level = "debug", skip_all, fields(%user_id))]
    pub async fn join(&self, user_id: UserId, code: &str) -> Result<Group, Error> {
        let subject = user_id.to_string();
        self.join_attempts.acquire(&subject).await?;
        let joined = groups::join(&self.pool, user_id, &SecretHash::of(code.as_bytes())).await;
        // A refusal for another reason than the code is no guess.
        if matches!(joined, Ok(_) | Err(Error::GroupFull | Error::TooManyGroups)) {
            self.join_attempts.reset(&subject).await;
        }
        self.get(user_id, joined?).await
    }

    /// Ends the membership of `user_id`; lists for the group that are made from now on do without them.
    ///
    /// # Errors
    /// `GroupNotFound` if they are not a member.
    #[tracing::instrument(name = "service.groups.leave", level = "debug", skip_all, fields(%user_id, %id))]
    pub async fn leave(&self, user_id: UserId, id: GroupId) -> Result<(), Error> {
        groups::leave(&self.pool, id, user_id).await
    }

    /// Removes another member from a group of `owner`.
    ///
    /// # Errors
    /// As [`groups::remove`].
    #[tracing::instrument(name = "service.groups.remove", level = "debug", skip_all, fields(%owner, %id, %member))]
    pub async fn remove(&self, owner: UserId, id: GroupId, member: UserId) -> Result<(), Error> {
        groups::remove(&self.pool, id, owner, member).await
    }

    /// Lists the ids of the members of a group of `member`, in the order of joining.
    ///
    /// # Errors
    /// `GroupNotFound` if they are not a member.
    #[tracing::instrument(name = "service.groups.list_members", level = "debug", skip_all, fields(%member, %id))]
    pub async fn list_members(&self, member: UserId, id: GroupId) -> Result<Vec<UserId>, Error> {
        let members = groups::list_members(&self.pool, id, member).await?;
        (!members.is_empty())
            .then_some(members)
            .ok_or(Error::GroupNotFound)
    }

    /// Returns true if one group of `member` has all of `users`.
    #[tracing::instrument(name = "service.groups.share_one", level = "debug", skip_all, fields(%member))]
    pub async fn share_one(&self, member: UserId, users: &[UserId]) -> Result<bool, Error> {
        Ok(groups::share_one(&self.pool, member, users).await?)
    }
}
