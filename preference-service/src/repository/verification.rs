//! Everything that users did and where they stand, read in one order and as of one moment, so that the
//! one can be compared with the other without holding more than one user's in memory.

use futures_util::{Stream, TryStreamExt};
use sqlx::{PgPool, Postgres, Transaction};

use super::user_movies::UserMovieRow;
use crate::models::{FilmTags, Interaction, MovieId, UserId, UserMovie};

/// Two views of one moment, since two orders are read at once.
pub struct Moment {
    log: Transaction<'static, Postgres>,
    states: Transaction<'static, Postgres>,
}

/// Where a user stands with a film, as it is stored.
#[derive(Debug)]
pub struct Standing {
    /// Who.
    pub user_id: UserId,
    /// With which film.
    pub movie_id: MovieId,
    /// Where.
    pub state: UserMovie,
    /// What the film is about.
    pub tags: FilmTags,
}

/// Opens the present moment.
///
/// # Errors
/// Postgres's.
pub async fn open(pool: &PgPool) -> sqlx::Result<Moment> {
    let mut log = pool.begin().await?;
    let mut states = pool.begin().await?;
    for transaction in [&mut log, &mut states] {
        for setting in [
            "set transaction isolation level repeatable read, read only",
            "set local statement_timeout = 0",
            "set local idle_in_transaction_session_timeout = 0",
        ] {
            sqlx::query(setting).execute(&mut **transaction).await?;
        }
    }
    let snapshot: String = sqlx::query_scalar("select pg_export_snapshot()")
        .fetch_one(&mut *log)
        .await?;
    // A name that Postgres made: digits and dashes.
    let statement = format!("set transaction snapshot '{snapshot}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(&mut *states)
        .await?;
    Ok(Moment { log, states })
}

impl Moment {
    /// The films whose counters are not what the states add up to.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn counter_differences(&mut self) -> sqlx::Result<i64> {
        sqlx::query_scalar(
            "with counted as (
                select movie_id,
                       count(*) filter (where reaction = 'like') as like_count,
                       count(*) filter (where reaction = 'dislike') as dislike_count,
                       count(*) filter (where reaction = 'superlike') as superlike_count,
                       count(*) filter (where bookmarked) as bookmark_count,
                       count(completed_at) as view_count,
                       count(rating) as rating_count,
                       coalesce(sum(rating), 0) as rating_sum
                from user_movie
                group by movie_id
             )
             select count(*)
             from counted c
             full join movie_stats s using (movie_id)
             where (coalesce(c.like_count, 0), coalesce(c.dislike_count, 0),
                    coalesce(c.superlike_count, 0), coalesce(c.bookmark_count, 0),
                    coalesce(c.view_count, 0), coalesce(c.rating_count, 0),
                    coalesce(c.rating_sum, 0))
                is distinct from
                   (coalesce(s.like_count, 0), coalesce(s.dislike_count, 0),
                    coalesce(s.superlike_count, 0), coalesce(s.bookmark_count, 0),
                    coalesce(s.view_count, 0), coalesce(s.rating_count, 0),
                    coalesce(s.rating_sum, 0))",
        )
        .fetch_one(&mut *self.log)
        .await
    }

    /// What users did, by user and then in its order; and where they stand, by user and film.
    pub fn read(
        &mut self,
    ) -> (
        impl Stream<Item = sqlx::Result<Interaction>> + Send + Unpin,
        impl Stream<Item = sqlx::Result<Standing>> + Send + Unpin,
    ) {
        let log = sqlx::query!(
            r#"select i as "interaction!: Interaction" from interaction i order by user_id, id"#
        )
        .fetch(&mut *self.log)
        .map_ok(|row| row.interaction);
        let states = sqlx::query!(
            r#"select s as "state!: UserMovieRow", coalesce(m.genre_ids, '{}') as "genres!",
                      coalesce(m.keyword_ids, '{}') as "keywords!",
                      coalesce(m.person_ids, '{}') as "people!", m.language as "language?"
               from user_movie s
               left join movie m on m.id = s.movie_id
               order by s.user_id, s.movie_id"#
        )
        .fetch(&mut *self.states)
        .map_ok(|row| Standing {
            user_id: row.state.user_id,
            movie_id: row.state.movie_id,
            state: row.state.into(),
            tags: FilmTags {
                genres: row.genres,
                keywords: row.keywords,
                people: row.people,
                language: row.language,
            },
        });
        (log, states)
    }
}
