//! The export of a history in the layouts of other sites: the rows of each part, read in one snapshot and written into an
//! archive piece by piece.

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream::BoxStream};
use histories::{
    Film, Given, HalfStars, Row, When,
    export::{Archive, Layout, Part},
};
use sqlx::PgConnection;
use tokio::sync::mpsc;

use super::{Export, PIECE_BYTES, Piece, send};
use crate::models::{MovieId, Rating, UserId, ViewingTime};

/// A row of a part.
struct PartRow {
    movie_id: MovieId,
    title: Option<String>,
    year: Option<i16>,
    at: Option<DateTime<Utc>>,
    rating: Option<Rating>,
}

impl PartRow {
    fn into_row(self, part: Part) -> Row {
        let time = self.at.map_or(ViewingTime::UNKNOWN, ViewingTime::at);
        let day = time.day().map_or(When::Unknown, When::Day);
        let when = time.instant().map_or(day, When::At);
        let halves = self
            .rating
            .and_then(|rating| u8::try_from(rating.half_stars()).ok());
        let rating = halves
            .and_then(HalfStars::new)
            .map(|value| Given { value, when });
        let given = |of: &[Part]| of.contains(&part).then_some(when);
        Row {
            film: Film {
                tmdb_id: Some(self.movie_id.get()),
                title: self.title,
                year: self.year.map(i32::from),
                ..Film::default()
            },
            viewing: given(&[Part::Diary, Part::Watched]),
            rating,
            reaction: given(&[Part::Likes]).map(Given::like),
            watchlist: given(&[Part::Watchlist]),
            ..Row::default()
        }
    }
}

impl Export {
    /// Sends the history as an archive in pieces, until it is complete or the receiver is gone or too slow.
    pub async fn send_archive(self, layout: Layout, pieces: mpsc::Sender<Piece>) {
        let user_id = self.user_id;
        if let Err(error) = self.write_archive(layout, &pieces).await {
            tracing::warn!(%user_id, %error, "an export was interrupted");
        }
    }

    #[tracing::instrument(name = "repository.export.send_archive", level = "debug", skip_all, fields(user_id = %self.user_id))]
    async fn write_archive(
        mut self,
        layout: Layout,
        pieces: &mpsc::Sender<Piece>,
    ) -> sqlx::Result<()> {
        let mut archive = Archive::new(layout);
        for part in Part::ALL {
            archive.begin(part)?;
            let mut rows = rows(&mut self.transaction, self.user_id, part);
            let mut written = 0;
            while let Some(row) = rows.next().await {
                archive.push(&row?.into_row(part))?;
                written += 1;
                // The archive compresses before it is taken.
                if written % 1024 == 0 && archive.len() >= PIECE_BYTES {
                    send(pieces, Some(archive.take())).await?;
                }
            }
        }
        send(pieces, Some(archive.finish()?)).await?;
        send(pieces, None).await?;
        self.transaction.commit().await
    }
}

/// The rows of a part, by movie and time.
fn rows(
    connection: &mut PgConnection,
    user_id: UserId,
    part: Part,
) -> BoxStream<'_, sqlx::Result<PartRow>> {
    let id = user_id.get();
    match part {
        Part::Diary => sqlx::query_as!(
            PartRow,
            r#"select v.movie_id as "movie_id!: MovieId", m.title, m.release_year as year, v.viewed_at as at,
                      v.rating as "rating: Rating"
               from counted_viewing v left join movie m on m.id = v.movie_id
               where v.user_id = $1 and v.day <> '1970-01-01'
               order by v.movie_id, v.viewed_at"#,
            id
        )
        .fetch(connection)
        .boxed(),
        Part::Watched => sqlx::query_as!(
            PartRow,
            r#"select v.movie_id as "movie_id!: MovieId", m.title, m.release_year as year, v.viewed_at as at,
                      null::smallint as "rating: Rating"
               from counted_viewing v left join movie m on m.id = v.movie_id
               where v.user_id = $1 and v.day = '1970-01-01'
               order by v.movie_id"#,
            id
        )
        .fetch(connection)
        .boxed(),
        Part::Ratings => sqlx::query_as!(
            PartRow,
            r#"select s.movie_id as "movie_id!: MovieId", m.title, m.release_year as year, s.rated_at as at,
                      s.rating as "rating: Rating"
               from user_movie s left join movie m on m.id = s.movie_id
               where s.user_id = $1 and s.rating is not null
               order by s.movie_id"#,
            id
        )
        .fetch(connection)
        .boxed(),
        Part::Watchlist => sqlx::query_as!(
            PartRow,
            r#"select s.movie_id as "movie_id!: MovieId", m.title, m.release_year as year, s.bookmarked_at as at,
                      null::smallint as "rating: Rating"
               from user_movie s left join movie m on m.id = s.movie_id
               where s.user_id = $1 and s.bookmarked
               order by s.movie_id"#,
            id
        )
        .fetch(connection)
        .boxed(),
        Part::Likes => sqlx::query_as!(
            PartRow,
            r#"select s.movie_id as "movie_id!: MovieId", m.title, m.release_year as year, s.reacted_at as at,
                      null::smallint as "rating: Rating"
               from user_movie s left join movie m on m.id = s.movie_id
               where s.user_id = $1 and s.reaction in ('like', 'superlike')
               order by s.movie_id"#,
            id
        )
        .fetch(connection)
        .boxed(),
    }
}
