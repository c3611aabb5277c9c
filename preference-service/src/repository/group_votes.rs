//! SQL of the votes in groups; called by [`crate::service::groups`]. Votes end with the membership, by a foreign key.

use sqlx::PgPool;

use crate::{
    error::Error,
    models::{GroupId, MAX_VOTES, MovieId, MovieVotes, UserId, VOTE_HOURS},
};

/// Stores the vote of a member on a movie, in place of an earlier one. Deletes the member's votes that do not count any
/// more.
///
/// # Errors
/// `GroupNotFound` if they are not a member.
#[tracing::instrument(name = "repository.group_votes.set", level = "debug", skip_all, fields(%id, %member, %movie_id))]
pub async fn set(
    pool: &PgPool,
    id: GroupId,
    member: UserId,
    movie_id: MovieId,
    yes: bool,
) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    let stored = sqlx::query!(
        "insert into group_vote (group_id, user_id, movie_id, yes)
         select group_id, user_id, $3, $4 from group_member where group_id = $1 and user_id = $2 for key share
         on conflict (group_id, user_id, movie_id) do update set yes = excluded.yes, voted_at = excluded.voted_at",
        id.get(),
        member.get(),
        movie_id.get(),
        yes
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    if stored == 0 {
        return Err(Error::GroupNotFound);
    }
    sqlx::query!(
        "delete from group_vote
         where group_id = $1 and user_id = $2
           and (voted_at < now() - make_interval(hours => $3)
                or movie_id in (select movie_id from group_vote
                                where group_id = $1 and user_id = $2
                                order by voted_at desc, movie_id offset $4))",
        id.get(),
        member.get(),
        VOTE_HOURS,
        MAX_VOTES
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Lists the movies with votes that count, those with most votes for them first, at most 20 times [`MAX_VOTES`].
#[tracing::instrument(name = "repository.group_votes.list", level = "debug", skip_all, fields(%id))]
pub async fn list(pool: &PgPool, id: GroupId) -> sqlx::Result<Vec<MovieVotes>> {
    sqlx::query_as!(
        MovieVotes,
        r#"select movie_id as "movie_id: MovieId",
                  coalesce(array_agg(user_id order by user_id) filter (where yes), '{}') as "yes!: Vec<UserId>",
                  coalesce(array_agg(user_id order by user_id) filter (where not yes), '{}') as "no!: Vec<UserId>"
           from group_vote
           where group_id = $1 and voted_at >= now() - make_interval(hours => $2)
           group by movie_id
           order by count(*) filter (where yes) desc, movie_id"#,
        id.get(),
        VOTE_HOURS
    )
    .fetch_all(pool)
    .await
}

/// Deletes the votes of a member; has no effect if there are none.
#[tracing::instrument(name = "repository.group_votes.delete", level = "debug", skip_all, fields(%id, %member))]
pub async fn delete(pool: &PgPool, id: GroupId, member: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from group_vote where group_id = $1 and user_id = $2",
        id.get(),
        member.get()
    )
    .execute(pool)
    .await
    .map(|_| ())
}
