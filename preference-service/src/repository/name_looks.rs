//! SQL of the looks of names that were stored before names were compared by them; called by [`crate::service::users`].

use sqlx::PgPool;

use crate::models::UserId;

/// Users without looks: id and username, in the order of ids after `after`.
#[tracing::instrument(name = "repository.name_looks.list_missing", level = "debug", skip_all)]
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

/// Stores the looks of names; a name that looks like one before it keeps none.
#[tracing::instrument(name = "repository.name_looks.store", level = "debug", skip_all)]
pub async fn store(pool: &PgPool, ids: &[i64], looks: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "update user_account u
         set username_skeleton = new.looks
         from (select distinct on (looks) id, looks
               from unnest($1::bigint[], $2::text[]) as given (id, looks)
               order by looks, id) as new
         where u.id = new.id and u.username_skeleton is null
           and not exists (select from user_account other where other.username_skeleton = new.looks)",
        ids,
        looks
    )
    .execute(pool)
    .await
    .map(|_| ())
}
