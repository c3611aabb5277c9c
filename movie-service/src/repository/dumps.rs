//! Movies from dumps, written by `movie-service import`. A value from TMDB itself is never overwritten: a dump fills
//! in unknown values, may correct values that only it provided, and changes nothing if a row is imported again.

use std::{
    fmt::{Display, Write},
    ops::Add,
};

use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};

use super::movies::record_synced;
use crate::models::NewMovie;

/// Numbers of imported movies by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Movies that were not in the catalogue.
    pub new: u64,
    /// Movies that changed.
    pub changed: u64,
    /// Movies that stayed as they were.
    pub unchanged: u64,
}

impl Add for Stored {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            new: self.new + other.new,
            changed: self.changed + other.changed,
            unchanged: self.unchanged + other.unchanged,
        }
    }
}

/// Movies in Postgres's text format of COPY.
#[derive(Default)]
pub struct Rows {
    text: String,
    /// The number of movies.
    pub count: usize,
}

impl Rows {
    /// Adds a line with `film` and a hash of its content.
    pub fn push(&mut self, film: &NewMovie) {
        let start = self.text.len();
        let json = |value: serde_json::Result<String>| value.unwrap_or_else(|_| "[]".to_owned());
        let ids: Vec<String> = film.genre_ids.iter().map(i32::to_string).collect();
        self.add(film.id);
        self.add(&film.title);
        self.add(&film.original_title);
        self.add(&film.original_language);
        self.add(&film.overview);
        self.add_option(film.release_date);
        self.add_option(film.runtime);
        self.add(film.popularity);
        self.add(film.vote_average);
        self.add(film.vote_count);
        self.add(film.adult);
        self.add(format!("{{{}}}", ids.join(",")));
        self.add(json(serde_json::to_string(&film.countries)));
        self.add(json(serde_json::to_string(&film.keywords)));
        self.add(json(serde_json::to_string(&film.people)));
        self.add(json(serde_json::to_string(&film.titles)));
        let digest = Sha256::digest(&self.text.as_bytes()[start..]);
        for byte in &digest[..8] {
            let _ = write!(self.text, "{byte:02x}");
        }
        self.text.push('\n');
        self.count += 1;
    }

    /// The length in bytes.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    fn add(&mut self, value: impl Display) {
        let start = self.text.len();
        let _ = write!(self.text, "{value}");
        let special = ['\\', '\t', '\n', '\r'];
        if self.text[start..].contains(special) {
            let text = self.text.split_off(start);
            for character in text.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '\t' => self.text.push_str("\\t"),
                    '\n' => self.text.push_str("\\n"),
                    '\r' => self.text.push_str("\\r"),
                    other => self.text.push(other),
                }
            }
        }
        self.text.push('\t');
    }

    fn add_option(&mut self, value: Option<impl Display>) {
        match value {
            Some(value) => self.add(value),
            None => self.text.push_str("\\N\t"),
        }
    }
}

/// Stores movies of a dump in `layout`, each at most once in `rows`, in one transaction.
#[tracing::instrument(name = "repository.dumps.store", level = "debug", skip_all, fields(layout, count = rows.count))]
pub async fn store(pool: &PgPool, layout: &str, rows: &Rows) -> sqlx::Result<Stored> {
    let mut transaction = pool.begin().await?;
    copy(&mut transaction, rows).await?;
    // The temporary table is not part of the migrated schema, so no macro can check the statement.
    let touched: Vec<(i64, bool, bool)> = sqlx::query_as(MERGE)
        .bind(layout)
        .fetch_all(&mut *transaction)
        .await?;
    let new = touched.iter().filter(|(_, is_new, _)| *is_new).count() as u64;
    let changed: Vec<i64> = touched
        .iter()
        .filter(|(_, is_new, is_changed)| *is_new || *is_changed)
        .map(|(id, ..)| *id)
        .collect();
    record_synced(&mut transaction, &changed).await?;
    transaction.commit().await?;
    let written = changed.len() as u64;
    Ok(Stored {
        new,
        changed: written - new,
        unchanged: rows.count as u64 - written,
    })
}

async fn copy(transaction: &mut PgConnection, rows: &Rows) -> sqlx::Result<()> {
    for statement in [
        // A batch is small and the catalogue large: index lookups beat scans.
        "set local jit = off",
        "set local enable_hashjoin = off",
        "set local enable_mergejoin = off",
        "create temporary table if not exists dump_row (
             id bigint, title text, original_title text, original_language text, overview text,
             release_date date, runtime int, popularity float8, vote_average float8, vote_count int,
             adult boolean, genre_ids int[], countries jsonb, keywords jsonb, people jsonb, titles jsonb, hash text
         ) on commit delete rows",
    ] {
        sqlx::query(statement).execute(&mut *transaction).await?;
    }
    let mut copy = transaction.copy_in_raw("copy dump_row from stdin").await?;
    for chunk in rows.text.as_bytes().chunks(256 * 1024) {
        copy.send(chunk).await?;
    }
    copy.finish().await.map(|_| ())
}

/// Unknown values are the empty text, 0, null and empty lists. `own`: only this dump provided the movie. `again`: this
/// dump provided it before, with other values. Rows are taken in the order of ids, so that two writers never
/// deadlock. Storing the hash alone is no change of the movie and is not recorded in the outbox.
const MERGE: &str = r"
insert into movie as m (id, title, original_title, original_language, overview, release_date, runtime,
    popularity, vote_average, vote_count, adult, genre_ids, countries, keywords, people, providers,
    titles, document, source_hash, imports, synced_at)
select id, title, original_title, original_language, overview, release_date, runtime,
    popularity, vote_average, vote_count, adult, genre_ids,
    array(select jsonb_array_elements_text(countries)), keywords, people, '[]',
    titles, '{}', 'import:' || $1, jsonb_build_object($1, hash), 'epoch'
from dump_row r
where not exists (select from movie k
                  where k.id = r.id and (k.imports ->> $1 = r.hash or k.removed_at is not null))
order by id
on conflict (id) do update set
    (title, original_title, original_language, overview, release_date, runtime, popularity, vote_average,
     vote_count, genre_ids, countries, keywords, people, titles, imports, version, updated_at) = (
        select n.*, m.imports || excluded.imports,
               m.version + d.differs::int, case when d.differs then now() else m.updated_at end
        from (select not m.hydrated and m.imports - $1 = '{}' as own,
                     not m.hydrated and m.imports ? $1 as again) t,
             lateral (select
                 case when own then excluded.title else m.title end as title,
                 case when own then excluded.original_title else m.original_title end as original_title,
                 case when own then coalesce(nullif(excluded.original_language, ''), m.original_language)
                      else coalesce(nullif(m.original_language, ''), excluded.original_language) end as original_language,
                 case when own then coalesce(nullif(excluded.overview, ''), m.overview)
                      else coalesce(nullif(m.overview, ''), excluded.overview) end as overview,
                 case when own then coalesce(excluded.release_date, m.release_date)
                      else coalesce(m.release_date, excluded.release_date) end as release_date,
                 case when own then coalesce(excluded.runtime, m.runtime)
                      else coalesce(m.runtime, excluded.runtime) end as runtime,
                 case when again then coalesce(nullif(excluded.popularity, 0), m.popularity)
                      else coalesce(nullif(m.popularity, 0), excluded.popularity) end as popularity,
                 case when again then coalesce(nullif(excluded.vote_average, 0), m.vote_average)
                      else coalesce(nullif(m.vote_average, 0), excluded.vote_average) end as vote_average,
                 case when again then coalesce(nullif(excluded.vote_count, 0), m.vote_count)
                      else coalesce(nullif(m.vote_count, 0), excluded.vote_count) end as vote_count,
                 case when own then coalesce(nullif(excluded.genre_ids, '{}'), m.genre_ids)
                      else coalesce(nullif(m.genre_ids, '{}'), excluded.genre_ids) end as genre_ids,
                 case when own then coalesce(nullif(excluded.countries, '{}'), m.countries)
                      else coalesce(nullif(m.countries, '{}'), excluded.countries) end as countries,
                 case when own then coalesce(nullif(excluded.keywords, '[]'), m.keywords)
                      else coalesce(nullif(m.keywords, '[]'), excluded.keywords) end as keywords,
                 case when own then coalesce(nullif(excluded.people, '[]'), m.people)
                      else coalesce(nullif(m.people, '[]'), excluded.people) end as people,
                 case when own then coalesce(nullif(excluded.titles, '[]'), m.titles)
                      else coalesce(nullif(m.titles, '[]'), excluded.titles) end as titles) n,
             lateral (select (n.*) is distinct from (m.title, m.original_title, m.original_language, m.overview,
                 m.release_date, m.runtime, m.popularity, m.vote_average, m.vote_count, m.genre_ids, m.countries,
                 m.keywords, m.people, m.titles) as differs) d)
where m.removed_at is null
returning m.id, m.xmax = 0, m.updated_at = now()";
