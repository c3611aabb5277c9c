//! The table `interaction`, a log that is only read here: [`super::user_movies::store`] writes it.

use sqlx::{PgConnection, PgPool};

use crate::models::{Interaction, InteractionId, InteractionType, UserId};

/// Finds those interactions of `keys` that exist.
pub async fn find(
    connection: &mut PgConnection,
    keys: &[(UserId, InteractionId)],
) -> sqlx::Result<Vec<Interaction>> {
    let (users, ids): (Vec<i64>, Vec<i64>) =
        keys.iter().map(|(user, id)| (user.get(), id.get())).unzip();
    let rows = sqlx::query!(
        r#"select i as "interaction!: Interaction"
         from unnest($1::bigint[], $2::bigint[]) as key (user_id, id)
         join interaction i on i.user_id = key.user_id and i.id = key.id"#,
        &users,
        &ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| row.interaction).collect())
}

/// Lists at most `limit` interactions of a user, newest first; of one type, and with ids below `before`, if given.
#[tracing::instrument(name = "repository.interactions.list", level = "debug", skip_all)]
pub async fn list(
    pool: &PgPool,
    user_id: UserId,
    interaction_type: Option<InteractionType>,
    before: Option<InteractionId>,
    limit: i64,
) -> sqlx::Result<Vec<Interaction>> {
    let rows = sqlx::query!(
        r#"select i as "interaction!: Interaction"
         from interaction i
         where user_id = $1
           and id < $2
           and ($3::text is null or interaction_type = $3)
         order by id desc
         limit $4"#,
        user_id.get(),
        before.map_or(i64::MAX, InteractionId::get),
        interaction_type as Option<InteractionType>,
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| row.interaction).collect())
}
