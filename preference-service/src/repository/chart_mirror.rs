//! Charts in Redis: sorted sets that mirror Postgres, and the position in our change feed that they reflect.
//! Scripts update both atomically. A Redis that lost recent writes, or all data, therefore catches up from its
//! own position, and concurrent updates by two processes do not overwrite each other. Called by the chart keeper, which
//! writes, and by the charts, which read.

use std::{collections::BTreeMap, sync::LazyLock};

use chassis::{feed::Cursor, redis::Redis};
use chrono::{DateTime, Utc};
use redis::{Cmd, FromRedisValue, Script, ScriptInvocation, cmd};
use uuid::Uuid;

use super::charts::ChartCount;
use crate::models::{ChartEntry, Metric, MovieId, Window};

static APPLY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("chart_mirror.lua")));
static SWAP: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("chart_mirror_swap.lua")));
/// Takes, extends or (for 0 seconds) releases the lease. KEYS: the lease. ARGV: the holder, the seconds.
static LEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if (redis.call('GET', KEYS[1]) or ARGV[1]) ~= ARGV[1] then return 0 end
         if ARGV[2] == '0' then redis.call('DEL', KEYS[1])
         else redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
         return 1",
    )
});
/// Entries of a chart and its last hour, nil without charts. KEYS: the state, the chart. ARGV: the first and last rank.
static RANGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local hour = redis.call('HGET', KEYS[1], 'hour')
         return hour and {hour, redis.call('ZRANGE', KEYS[2], ARGV[1], ARGV[2], 'REV', 'WITHSCORES')}",
    )
});

// In braces, so that a cluster keeps all keys of the charts in one slot.
const STATE: &str = "{chart}:state";
const LEADER: &str = "{chart}:leader";
/// The TTL of staged charts that are never swapped in, in seconds.
const STAGING_TTL: i64 = 600;

/// Redis does not respond, or not with the expected type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Redis is unavailable")]
pub struct RedisUnavailable;

/// The state of Postgres that the charts mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorState {
    /// The position in our own feed.
    pub cursor: Cursor,
    /// The last hour of the charts.
    pub hour: DateTime<Utc>,
}

fn chart(metric: Metric, window: Window) -> String {
    format!("{{chart}}:{metric}:{window}")
}

fn charts() -> impl Iterator<Item = (Metric, Window)> {
    Metric::ALL
        .into_iter()
        .flat_map(|metric| Window::ALL.map(|window| (metric, window)))
}

/// Encodes a movie as a member of a sorted set. Redis orders equal counts by member, descending like the counts;
/// members descend as ids ascend, so that the lowest id comes first.
fn member(id: MovieId) -> String {
    format!("{:019}", i64::MAX - id.get())
}

fn parse_member(member: &str) -> Option<MovieId> {
    MovieId::new(i64::MAX - member.parse::<i64>().ok()?)
}

fn parse_hour(text: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(text.parse().ok()?, 0)
}

/// The charts in Redis; cheap to clone.
#[derive(Clone)]
pub struct ChartMirror {
    redis: Redis,
}

impl ChartMirror {
    /// The charts in `redis`.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisUnavailable> {
        self.redis.run(command).await.ok_or(RedisUnavailable)
    }

    async fn invoke<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, RedisUnavailable> {
        self.redis.invoke(script).await.ok_or(RedisUnavailable)
    }

    /// Takes or extends the lease of the process that updates the charts; 0 seconds release it. Returns false if another
    /// process holds it. The lease saves work; correctness is up to the scripts.
    pub async fn lease(&self, holder: Uuid, seconds: u64) -> Result<bool, RedisUnavailable> {
        let mut lease = LEASE.key(LEADER);
        self.invoke(lease.arg(holder.to_string()).arg(seconds))
            .await
    }

    /// Finds the state that the charts mirror; `None` without charts.
    pub async fn find_state(&self) -> Result<Option<MirrorState>, RedisUnavailable> {
        let mut get = cmd("HMGET");
        let (cursor, hour): (Option<String>, Option<String>) =
            self.run(get.arg(STATE).arg("cursor").arg("hour")).await?;
        Ok(cursor.zip(hour).and_then(|(cursor, hour)| {
            Some(MirrorState {
                cursor: cursor.parse().ok()?,
                hour: parse_hour(&hour)?,
            })
        }))
    }

    /// Sets `counts` and moves the charts' position to `cursor`. Returns false if the charts are no longer at `from`.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis does not respond; the counts may have been set.
    pub async fn apply(
        &self,
        from: &MirrorState,
        counts: &[ChartCount],
        cursor: Cursor,
    ) -> Result<bool, RedisUnavailable> {
        let mut script = APPLY.key(STATE);
        let mut indexes = BTreeMap::new();
        // Lua counts from 1, and the state is the first key.
        for (index, (metric, window)) in (2..).zip(charts()) {
            script.key(chart(metric, window));
            indexes.insert((metric, window), index);
        }
        script
            .arg(from.cursor.to_string())
            .arg(from.hour.timestamp())
            .arg(cursor.to_string());
        for count in counts {
            script
                .arg(indexes[&(count.metric, count.window)])
                .arg(count.count)
                .arg(member(count.movie_id));
        }
        self.invoke(&script).await
    }

    /// New, empty staging charts.
    pub fn stage(&self) -> StagingChart {
        StagingChart {
            mirror: self.clone(),
            name: Uuid::now_v7(),
        }
    }

    /// Lists `count` entries of a chart from rank `offset` on, with the last hour of the chart; `None` without charts.
    pub async fn list(
        &self,
        metric: Metric,
        window: Window,
        offset: usize,
        count: usize,
    ) -> Result<Option<(DateTime<Utc>, Vec<ChartEntry>)>, RedisUnavailable> {
        let mut script = RANGE.key(STATE);
        script
            .key(chart(metric, window))
            .arg(offset)
            .arg(offset + count - 1);
        let found: Option<(String, Vec<(String, f64)>)> = self.invoke(&script).await?;
        Ok(found.and_then(|(hour, entries)| {
            let entries = entries.into_iter().filter_map(|(member, count)| {
                Some(ChartEntry {
                    movie_id: parse_member(&member)?,
                    // Counts are integers far below 2^53.
                    count: count as i64,
                })
            });
            Some((parse_hour(&hour)?, entries.collect()))
        }))
    }
}

/// Charts that are built beside those that are read.
pub struct StagingChart {
    mirror: ChartMirror,
    name: Uuid,
}

impl StagingChart {
    fn key(&self, metric: Metric, window: Window) -> String {
        format!("{{chart}}:staging:{}:{metric}:{window}", self.name)
    }

    /// Adds `counts`.
    pub async fn add(&self, counts: &[ChartCount]) -> Result<(), RedisUnavailable> {
        let mut commands: BTreeMap<String, Cmd> = BTreeMap::new();
        for count in counts.iter().filter(|count| count.count > 0) {
            commands
                .entry(self.key(count.metric, count.window))
                .or_insert_with_key(|key| cmd("ZADD").arg(key).clone())
                .arg(count.count)
                .arg(member(count.movie_id));
        }
        for (key, add) in commands {
            let _: i64 = self.mirror.run(&add).await?;
            let mut expire = cmd("EXPIRE");
            let _: i64 = self.mirror.run(expire.arg(key).arg(STAGING_TTL)).await?;
        }
        Ok(())
    }

    /// Replaces the charts of `windows`. Returns false if the present charts are no longer at `from`.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis does not respond; the charts may have been replaced.
    pub async fn swap(
        self,
        windows: &[Window],
        from: Option<&MirrorState>,
        to: &MirrorState,
    ) -> Result<bool, RedisUnavailable> {
        let mut script = SWAP.key(STATE);
        for (metric, window) in charts().filter(|(_, window)| windows.contains(window)) {
            script
                .key(chart(metric, window))
                .key(self.key(metric, window));
        }
        let (cursor, hour) = from.map_or_else(Default::default, |from| {
            (from.cursor.to_string(), from.hour.timestamp().to_string())
        });
        script
            .arg(cursor)
            .arg(hour)
            .arg(to.cursor.to_string())
            .arg(to.hour.timestamp());
        self.mirror.invoke(&script).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_fall_as_ids_rise_and_parse_back() {
        let ids = [1, 2, 9, 10, 603, i64::MAX].map(|id| MovieId::new(id).expect("positive"));
        let members = ids.map(member);
        assert!(members.is_sorted_by(|a, b| a > b), "{members:?}");
        for (id, member) in ids.iter().zip(&members) {
            assert_eq!(parse_member(member), Some(*id));
        }
        assert_eq!(parse_member("none"), None);
    }
}
