//! SQL of groups, their members and invitations; called by [`crate::service::groups`]. Locks are taken in the order user, group.

use sqlx::{PgConnection, PgPool, types::Json};

use super::users;
use crate::{
    error::Error,
    models::{
        ApiKeySecret, Group, GroupId, GroupMember, GroupName, MAX_GROUPS, MAX_INVITATIONS,
        MAX_MEMBERS, NewInvitation, SecretHash, UserId,
    },
};

/// Stores a group of `owner` alone.
///
/// # Errors
/// `UserNotFound`; `TooManyGroups`.
#[tracing::instrument(name = "repository.groups.create", level = "debug", skip_all, fields(%owner))]
pub async fn create(pool: &PgPool, owner: UserId, name: &GroupName) -> Result<GroupId, Error> {
    let mut transaction = pool.begin().await?;
    check_capacity(&mut transaction, owner).await?;
    let id = sqlx::query_scalar!(
        r#"insert into user_group (owner_id, name) values ($1, $2) returning id as "id: GroupId""#,
        owner.get(),
        name.0
    )
    .fetch_one(&mut *transaction)
    .await?;
    add_member(&mut transaction, id, owner).await?;
    transaction.commit().await?;
    Ok(id)
}

/// Locks the user, and checks that they can become a member of one more group.
async fn check_capacity(transaction: &mut PgConnection, user_id: UserId) -> Result<(), Error> {
    users::lock_role(transaction, user_id).await?;
    let groups = sqlx::query_scalar!(
        r#"select count(*) as "count!" from group_member where user_id = $1"#,
        user_id.get()
    )
    .fetch_one(transaction)
    .await?;
    (groups < MAX_GROUPS)
        .then_some(())
        .ok_or(Error::TooManyGroups)
}

async fn add_member(
    transaction: &mut PgConnection,
    id: GroupId,
    user_id: UserId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into group_member (group_id, user_id) values ($1, $2)",
        id.get(),
        user_id.get()
    )
    .execute(transaction)
    .await
    .map(|_| ())
}

/// Lists the groups of `member`, oldest first, or the one with this id.
#[tracing::instrument(name = "repository.groups.list", level = "debug", skip_all, fields(%member))]
pub async fn list(pool: &PgPool, member: UserId, id: Option<GroupId>) -> sqlx::Result<Vec<Group>> {
    let rows = sqlx::query!(
        r#"select g.id as "id: GroupId", g.name, g.owner_id as "owner_id: UserId", g.created_at,
                  (select coalesce(json_agg(json_build_object(
                              'user_id', m.user_id, 'username', u.username,
                              'joined_at', to_char(m.joined_at at time zone 'utc',
                                                   'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
                          order by m.joined_at, m.user_id), '[]')
                   from group_member m
                   join user_account u on u.id = m.user_id
                   where m.group_id = g.id) as "members!: Json<Vec<GroupMember>>"
           from user_group g
           join group_member own on own.group_id = g.id and own.user_id = $1
           where $2::bigint is null or g.id = $2
           order by g.id"#,
        member.get(),
        id.map(GroupId::get)
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Group {
            id: row.id,
            name: row.name,
            owner_id: row.owner_id,
            created_at: row.created_at,
            members: row.members.0,
        })
        .collect())
}

/// Lists the members of the group, in the order of joining, if `member` is one of them; otherwise it is empty.
#[tracing::instrument(name = "repository.groups.list_members", level = "debug", skip_all, fields(%id, %member))]
pub async fn list_members(pool: &PgPool, id: GroupId, member: UserId) -> sqlx::Result<Vec<UserId>> {
    sqlx::query_scalar!(
        r#"select m.user_id as "user_id: UserId"
           from group_member own
           join group_member m on m.group_id = own.group_id
           where own.group_id = $1 and own.user_id = $2
           order by m.joined_at, m.user_id"#,
        id.get(),
        member.get()
    )
    .fetch_all(pool)
    .await
}

/// Returns true if one group has all of `users` and `member`.
#[tracing::instrument(name = "repository.groups.share_one", level = "debug", skip_all, fields(%member))]
pub async fn share_one(pool: &PgPool, member: UserId, users: &[UserId]) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
               select from group_member own
               where own.user_id = $1
                 and (select count(*) from group_member m
                      where m.group_id = own.group_id and m.user_id = any($2))
                     = cardinality($2::bigint[])) as "exists!""#,
        member.get(),
        users as &[UserId]
    )
    .fetch_one(pool)
    .await
}

/// Locks the group; its owner, if `member` is a member of it.
async fn lock(
    transaction: &mut PgConnection,
    id: GroupId,
    member: UserId,
) -> sqlx::Result<Option<UserId>> {
    sqlx::query_scalar!(
        r#"select owner_id as "owner_id: UserId" from user_group g
           where id = $1
             and exists (select from group_member where group_id = g.id and user_id = $2)
           for update"#,
        id.get(),
        member.get()
    )
    .fetch_optional(transaction)
    .await
}

/// Locks the group for its owner.
async fn lock_as_owner(
    transaction: &mut PgConnection,
    id: GroupId,
    owner: UserId,
) -> Result<(), Error> {
    match lock(transaction, id, owner).await? {
        None => Err(Error::GroupNotFound),
        Some(found) if found == owner => Ok(()),
        Some(_) => Err(Error::NotGroupOwner),
    }
}

/// Stores an invitation to the group of `owner`; returns the end of its validity.
///
/// # Errors
/// `GroupNotFound` if `owner` is not a member; `NotGroupOwner`; `TooManyInvitations`.
#[tracing::instrument(name = "repository.groups.invite", level = "debug", skip_all, fields(%id, %owner))]
pub async fn invite(
    pool: &PgPool,
    id: GroupId,
    owner: UserId,
    invitation: NewInvitation,
    code: &ApiKeySecret,
) -> Result<chrono::DateTime<chrono::Utc>, Error> {
    let mut transaction = pool.begin().await?;
    lock_as_owner(&mut transaction, id, owner).await?;
    sqlx::query!(
        "delete from group_invitation where group_id = $1 and expires_at <= now()",
        id.get()
    )
    .execute(&mut *transaction)
    .await?;
    let invitations = sqlx::query_scalar!(
        r#"select count(*) as "count!" from group_invitation where group_id = $1"#,
        id.get()
    )
    .fetch_one(&mut *transaction)
    .await?;
    if invitations >= MAX_INVITATIONS {
        return Err(Error::TooManyInvitations);
    }
    let hash = code.hash();
    let expires_at = sqlx::query_scalar!(
        "insert into group_invitation (group_id, code_hash, expires_at, uses_left)
         values ($1, $2, now() + make_interval(secs => $3), $4)
         returning expires_at",
        id.get(),
        hash.as_bytes(),
        invitation.expires_in as f64,
        invitation.max_uses
    )
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(expires_at)
}

/// Deletes all invitations to the group of `owner`.
///
/// # Errors
/// `GroupNotFound` if `owner` is not a member; `NotGroupOwner`.
#[tracing::instrument(name = "repository.groups.withdraw_invitations", level = "debug", skip_all, fields(%id, %owner))]
pub async fn withdraw_invitations(pool: &PgPool, id: GroupId, owner: UserId) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    lock_as_owner(&mut transaction, id, owner).await?;
    delete_invitations(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(())
}

async fn delete_invitations(transaction: &mut PgConnection, id: GroupId) -> sqlx::Result<()> {
    sqlx::query!("delete from group_invitation where group_id = $1", id.get())
        .execute(transaction)
        .await
        .map(|_| ())
}

/// Makes the user a member of the group that the code invites to; uses the code up by one, unless they are one already.
///
/// # Errors
/// `InvitationNotFound` if the code does not exist, has expired or is used up; `UserNotFound`; `TooManyGroups`; `GroupFull`.
#[tracing::instrument(name = "repository.groups.join", level = "debug", skip_all, fields(%user_id))]
pub async fn join(pool: &PgPool, user_id: UserId, code: &SecretHash) -> Result<GroupId, Error> {
    let mut transaction = pool.begin().await?;
    users::lock_role(&mut transaction, user_id).await?;
    // Locks the group before the invitation, as everyone who deletes invitations does.
    let id = sqlx::query_scalar!(
        r#"select g.id as "id: GroupId" from user_group g
           where g.id = (select group_id from group_invitation where code_hash = $1)
           for update"#,
        code.as_bytes()
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(Error::InvitationNotFound)?;
    let used = sqlx::query!(
        "update group_invitation set uses_left = uses_left - 1
         where code_hash = $1 and expires_at > now() and uses_left > 0",
        code.as_bytes()
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    if used == 0 {
        return Err(Error::InvitationNotFound);
    }
    let members = sqlx::query!(
        r#"select count(*) as "count!", coalesce(bool_or(user_id = $2), false) as "is_member!"
           from group_member where group_id = $1"#,
        id.get(),
        user_id.get()
    )
    .fetch_one(&mut *transaction)
    .await?;
    // The transaction, and with it the use of the code, is rolled back.
    if members.is_member {
        return Ok(id);
    }
    check_capacity(&mut transaction, user_id).await?;
    if members.count >= MAX_MEMBERS {
        return Err(Error::GroupFull);
    }
    add_member(&mut transaction, id, user_id).await?;
    transaction.commit().await?;
    Ok(id)
}

/// Ends the membership of `user_id`. The group of an owner passes to the member who joined first, and is deleted after the
/// last one.
///
/// # Errors
/// `GroupNotFound` if they are not a member.
#[tracing::instrument(name = "repository.groups.leave", level = "debug", skip_all, fields(%id, %user_id))]
pub async fn leave(pool: &PgPool, id: GroupId, user_id: UserId) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    let owner = lock(&mut transaction, id, user_id).await?;
    let owner = owner.ok_or(Error::GroupNotFound)?;
    remove_member(&mut transaction, id, user_id, owner).await?;
    transaction.commit().await?;
    Ok(())
}

/// Ends all memberships of a user who is erased.
pub(super) async fn leave_all(transaction: &mut PgConnection, user_id: UserId) -> sqlx::Result<()> {
    let groups = sqlx::query!(
        r#"select id as "id: GroupId", owner_id as "owner_id: UserId" from user_group g
           where exists (select from group_member where group_id = g.id and user_id = $1)
           order by id
           for update"#,
        user_id.get()
    )
    .fetch_all(&mut *transaction)
    .await?;
    for group in groups {
        remove_member(transaction, group.id, user_id, group.owner_id).await?;
    }
    Ok(())
}

async fn remove_member(
    transaction: &mut PgConnection,
    id: GroupId,
    user_id: UserId,
    owner: UserId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from group_member where group_id = $1 and user_id = $2",
        id.get(),
        user_id.get()
    )
    .execute(&mut *transaction)
    .await?;
    if owner != user_id {
        return Ok(());
    }
    delete_invitations(transaction, id).await?;
    let handed_over = sqlx::query!(
        "update user_group g set owner_id = next.user_id
         from (select user_id from group_member where group_id = $1
               order by joined_at, user_id limit 1) as next
         where g.id = $1",
        id.get()
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    if handed_over == 0 {
        delete_group(transaction, id).await?;
    }
    Ok(())
}

/// Removes another member from the group of `owner`, and withdraws its invitations, one of which they may have.
///
/// # Errors
/// `GroupNotFound` if `owner` is not a member; `NotGroupOwner`; `MemberNotFound`.
#[tracing::instrument(name = "repository.groups.remove", level = "debug", skip_all, fields(%id, %owner, %member))]
pub async fn remove(
    pool: &PgPool,
    id: GroupId,
    owner: UserId,
    member: UserId,
) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    lock_as_owner(&mut transaction, id, owner).await?;
    let removed = sqlx::query!(
        "delete from group_member where group_id = $1 and user_id = $2 and user_id <> $3",
        id.get(),
        member.get(),
        owner.get()
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    if removed == 0 {
        return Err(Error::MemberNotFound);
    }
    delete_invitations(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(())
}

/// Deletes the group of `owner`.
///
/// # Errors
/// `GroupNotFound` if `owner` is not a member; `NotGroupOwner`.
#[tracing::instrument(name = "repository.groups.delete", level = "debug", skip_all, fields(%id, %owner))]
pub async fn delete(pool: &PgPool, id: GroupId, owner: UserId) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    lock_as_owner(&mut transaction, id, owner).await?;
    delete_group(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(())
}

async fn delete_group(transaction: &mut PgConnection, id: GroupId) -> sqlx::Result<()> {
    sqlx::query!("delete from user_group where id = $1", id.get())
        .execute(transaction)
        .await
        .map(|_| ())
}
