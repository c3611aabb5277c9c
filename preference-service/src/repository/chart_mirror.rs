//! Charts as Redis has them: sorted sets that hold what Postgres says, and beside them up to where in
//! our own feed they do. Both move together or not at all, so that a Redis that lost its last second,
//! or everything, is caught up with from where it stands, and two processes that move the charts at
//! once do not undo each other's work.

use std::sync::LazyLock;

use chassis::{feed::Cursor, redis::Redis};
use chrono::{DateTime, Utc};
use redis::Script;
use uuid::Uuid;

use super::charts::ChartCount;
use crate::models::{ChartEntry, Metric, MovieId, Window};

static APPLY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("chart_mirror.lua")));
static SWAP: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("chart_mirror_swap.lua")));
static TOP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("chart_mirror_top.lua")));

/// In braces, so that a cluster keeps all keys of the charts in one place.
const STATE: &str = "{chart}:state";
const LEADER: &str = "{chart}:leader";
/// What was built aside and never put in place goes away by itself.
const ASIDE_SECONDS: i64 = 600;

/// Redis does not answer, or not sensibly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Redis is away")]
pub struct Away;

/// Up to where the charts are Postgres's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorState {
    /// Up to where in our own feed.
    pub cursor: Cursor,
    /// The last hour that they count.
    pub hour: DateTime<Utc>,
}

fn chart(metric: Metric, window: Window) -> String {
    format!("{{chart}}:{}:{}", metric.as_str(), window.as_str())
}

fn charts() -> impl Iterator<Item = (Metric, Window)> {
    Metric::ALL
        .into_iter()
        .flat_map(|metric| Window::ALL.map(|window| (metric, window)))
}

/// A film's member of a sorted set. Redis orders equal counts by member, from the highest on where the
/// highest count comes first; so that the lowest id comes first, members fall as ids rise.
fn member(id: MovieId) -> String {
    format!("{:019}", i64::MAX - id.get())
}

fn read_member(member: &str) -> Option<MovieId> {
    MovieId::new(i64::MAX - member.parse::<i64>().ok()?)
}

fn read_hour(text: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(text.parse().ok()?, 0)
}

/// The charts in Redis; cheap to clone.
#[derive(Clone)]
pub struct ChartMirror {
    redis: Redis,
}

impl ChartMirror {
    /// Those in `redis`.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// Makes `who` the one that moves the charts, if nobody is; or keeps it so. For `seconds`.
    /// It saves work; that nothing goes wrong without it is the scripts' part.
    pub async fn lead(&self, who: Uuid, seconds: u64) -> Result<bool, Away> {
        let who = who.to_string();
        let set = redis::cmd("SET")
            .arg(LEADER)
            .arg(&who)
            .arg("NX")
            .arg("EX")
            .arg(seconds)
            .clone();
        let made: Option<String> = self.redis.run(&set).await.ok_or(Away)?;
        if made.is_some() {
            return Ok(true);
        }
        let leader: Option<String> = self
            .redis
            .run(redis::cmd("GET").arg(LEADER))
            .await
            .ok_or(Away)?;
        if leader != Some(who) {
            return Ok(false);
        }
        let keep = redis::cmd("EXPIRE").arg(LEADER).arg(seconds).clone();
        let kept: i64 = self.redis.run(&keep).await.ok_or(Away)?;
        Ok(kept == 1)
    }

    /// Lets go of the lead, so that another need not wait for it.
    pub async fn resign(&self, who: Uuid) {
        let leader: Option<Option<String>> = self.redis.run(redis::cmd("GET").arg(LEADER)).await;
        if leader.flatten() == Some(who.to_string()) {
            let _: Option<i64> = self.redis.run(redis::cmd("DEL").arg(LEADER)).await;
        }
    }

    /// Up to where the charts are Postgres's; none: there are no charts.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn state(&self) -> Result<Option<MirrorState>, Away> {
        let get = redis::cmd("HMGET")
            .arg(STATE)
            .arg("cursor")
            .arg("hour")
            .clone();
        let (cursor, hour): (Option<String>, Option<String>) =
            self.redis.run(&get).await.ok_or(Away)?;
        Ok(cursor.zip(hour).and_then(|(cursor, hour)| {
            Some(MirrorState {
                cursor: cursor.parse().ok()?,
                hour: read_hour(&hour)?,
            })
        }))
    }

    /// Sets `counts`, and with them that the charts stand at `cursor`; false: they no longer stand at
    /// `from`.
    ///
    /// # Errors
    /// Redis is away; whether the counts are set is not known.
    pub async fn apply(
        &self,
        from: &MirrorState,
        counts: &[ChartCount],
        cursor: Cursor,
    ) -> Result<bool, Away> {
        let mut invocation = APPLY.key(STATE);
        let charts: Vec<(Metric, Window)> = charts().collect();
        for (metric, window) in &charts {
            invocation.key(chart(*metric, *window));
        }
        invocation
            .arg(from.cursor.to_string())
            .arg(from.hour.timestamp())
            .arg(cursor.to_string());
        for count in counts {
            let place = charts
                .iter()
                .position(|c| *c == (count.metric, count.window));
            // The state is the first key, and Lua counts from 1.
            invocation
                .arg(place.unwrap_or_default() + 2)
                .arg(count.count)
                .arg(member(count.movie_id));
        }
        let applied: i64 = self.redis.invoke(&invocation).await.ok_or(Away)?;
        Ok(applied == 1)
    }

    /// Charts to build aside.
    #[must_use]
    pub fn aside(&self) -> Aside {
        Aside {
            mirror: self.clone(),
            name: Uuid::now_v7(),
        }
    }

    /// The first `limit` places of a chart, and the last hour that it counts; none: there are no
    /// charts.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn top(
        &self,
        metric: Metric,
        window: Window,
        limit: usize,
    ) -> Result<Option<(DateTime<Utc>, Vec<ChartEntry>)>, Away> {
        let mut invocation = TOP.key(STATE);
        invocation.key(chart(metric, window)).arg(limit);
        let found: Option<(String, Vec<(String, f64)>)> =
            self.redis.invoke(&invocation).await.ok_or(Away)?;
        Ok(found.and_then(|(hour, places)| {
            let places = places.into_iter().filter_map(|(member, count)| {
                Some(ChartEntry {
                    movie_id: read_member(&member)?,
                    // Counts of users are whole, and far below where a double no longer is.
                    count: count as i64,
                })
            });
            Some((read_hour(&hour)?, places.collect()))
        }))
    }

    /// One chart whole, in pages of `size` from `offset` on, in no order that matters.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn page(
        &self,
        metric: Metric,
        window: Window,
        offset: usize,
        size: usize,
    ) -> Result<Vec<ChartEntry>, Away> {
        let range = redis::cmd("ZRANGE")
            .arg(chart(metric, window))
            .arg(offset)
            .arg(offset + size - 1)
            .arg("REV")
            .arg("WITHSCORES")
            .clone();
        let places: Vec<(String, f64)> = self.redis.run(&range).await.ok_or(Away)?;
        Ok(places
            .into_iter()
            .filter_map(|(member, count)| {
                Some(ChartEntry {
                    movie_id: read_member(&member)?,
                    count: count as i64,
                })
            })
            .collect())
    }
}

/// Charts that are built beside those that are read.
pub struct Aside {
    mirror: ChartMirror,
    name: Uuid,
}

impl Aside {
    fn key(&self, metric: Metric, window: Window) -> String {
        format!(
            "{{chart}}:aside:{}:{}:{}",
            self.name,
            metric.as_str(),
            window.as_str()
        )
    }

    /// Adds `counts`.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn add(&self, counts: &[ChartCount]) -> Result<(), Away> {
        for (metric, window) in charts() {
            let mut add = redis::cmd("ZADD");
            let key = self.key(metric, window);
            add.arg(&key);
            let here = counts.iter().filter(|count| {
                (count.metric, count.window) == (metric, window) && count.count > 0
            });
            let mut any = false;
            for count in here {
                any = true;
                add.arg(count.count).arg(member(count.movie_id));
            }
            if any {
                let _: i64 = self.mirror.redis.run(&add).await.ok_or(Away)?;
                let expire = redis::cmd("EXPIRE").arg(&key).arg(ASIDE_SECONDS).clone();
                let _: i64 = self.mirror.redis.run(&expire).await.ok_or(Away)?;
            }
        }
        Ok(())
    }

    /// Puts the charts of `windows` in place, where the present ones stand at `from`; false: they do
    /// not.
    ///
    /// # Errors
    /// Redis is away.
    pub async fn swap(
        self,
        windows: &[Window],
        from: Option<&MirrorState>,
        to: &MirrorState,
    ) -> Result<bool, Away> {
        let mut invocation = SWAP.key(STATE);
        for (metric, window) in charts().filter(|(_, window)| windows.contains(window)) {
            invocation
                .key(chart(metric, window))
                .key(self.key(metric, window));
        }
        let (cursor, hour) = from.map_or_else(Default::default, |from| {
            (from.cursor.to_string(), from.hour.timestamp().to_string())
        });
        invocation
            .arg(cursor)
            .arg(hour)
            .arg(to.cursor.to_string())
            .arg(to.hour.timestamp());
        let swapped: i64 = self.mirror.redis.invoke(&invocation).await.ok_or(Away)?;
        Ok(swapped == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_fall_as_ids_rise_and_are_read_back() {
        let ids = [1, 2, 9, 10, 603, i64::MAX].map(|id| MovieId::new(id).expect("positive"));
        let members = ids.map(member);
        assert!(members.is_sorted_by(|a, b| a > b), "{members:?}");
        for (id, member) in ids.iter().zip(&members) {
            assert_eq!(read_member(member), Some(*id));
        }
        assert_eq!(read_member("none"), None);
    }
}
