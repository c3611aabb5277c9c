//! SQL of the confusable skeletons of names that were stored without them; called by [`crate::service::users`].

use sqlx::PgPool;

use crate::models::UserId;

/// Users without a skeleton: id and username, in the order of ids after `after`.
#[tracing::instrument(
    name = "repository.name_skeleton.list_missing",
    level = "debug",
    skip_all
)]
pub async fn list_missing(
    pool: &PgPool,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<(UserId, String)>> {
    let rows = sqlx::query!(
        r#"select id as "id: UserId", username from user_account
           where id > $1 and username_skeleton is null
           order by id
           limit $2"#,
        after,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.username)).collect())
}

/// Stores the skeletons of names; a name whose skeleton another has keeps none.
#[tracing::instrument(name = "repository.name_skeleton.store", level = "debug", skip_all)]
pub async fn store(pool: &PgPool, ids: &[i64], skeletons: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "update user_account u
         set username_skeleton = new.skeleton
         from (select distinct on (skeleton) id, skeleton
               from unnest($1::bigint[], $2::text[]) as given (id, skeleton)
               order by skeleton, id) as new
         where u.id = new.id and u.username_skeleton is null
           and not exists (select from user_account other where other.username_skeleton = new.skeleton)",
        ids,
        skeletons
    )
    .execute(pool)
    .await
    .map(|_| ())
}
