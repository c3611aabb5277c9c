//! A drill: three services behind one gateway with its usual settings, and a steady load of requests to all of them. Each
//! service in turn is dead, hangs, is slow, is slower than the time limit, and fails, then works again. Prints for each
//! fault the requests that reached the service for each one of a client, the statuses, how long failing requests take,
//! how soon they fail at once and succeed again, and the latency of the other services' requests before and during the
//! fault. Asserts all of it that does not depend on the machine's speed. Takes eight minutes; FAULT_SECONDS shortens the
//! faults. Not part of ordinary runs:
//!
//! ```text
//! scripts/test.sh --release -p gateway --test api --run-ignored only --no-capture -E 'test(drill_upstreams)'
//! ```

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use gateway::{Role, routes::Service};
use tokio::task::JoinSet;

use self::service::{Behaviour, FaultyService};
use crate::{
    kept::{Failed, KeptConnections, percentile_ms, request},
    stage::{ADMIN, Stage},
};

mod service;

/// Requests to each service per second, of which one of ten writes.
const RATE: u64 = 100;
/// Client addresses, so that none has too large a share of the requests in flight.
const CLIENTS: u8 = 16;
/// The time of ordinary work before each fault.
const BEFORE: Duration = Duration::from_secs(5);
/// A failure that takes no longer than this is immediate, on a busy machine, too.
const IMMEDIATE: Duration = Duration::from_millis(250);
/// The limit of the times that are asserted: twice the mark, for the same reason.
const SOON: Duration = Duration::from_secs(2);
/// The time for which a service that is too slow needs for a response; `request_timeout_ms` is less.
const TOO_SLOW: Duration = Duration::from_secs(12);

/// The services with the name in their problems, a path that is read and one that is written.
const SERVICES: [(Service, &str, &str, &str); 3] = [
    (
        Service::Movie,
        "movie-service",
        "/api/v1/movies",
        "/api/v1/jobs/1/cancel",
    ),
    (
        Service::Preference,
        "preference-service",
        "/api/v1/users/1",
        "/api/v1/users/1/interactions",
    ),
    (
        Service::Recommendation,
        "recommendation-service",
        "/api/v1/users/1/recommendations",
        "/api/v1/recommendations/query",
    ),
];

/// A request of a client.
#[derive(Debug, Clone, Copy)]
struct Record {
    service: usize,
    is_write: bool,
    begun: Instant,
    ended: Instant,
    result: Result<u16, Failed>,
    /// True if the response has `Retry-After` and names the service.
    explains: bool,
}

impl Record {
    fn took(&self) -> Duration {
        self.ended - self.begun
    }
}

/// The load, until it is dropped.
struct OpenLoad {
    records: Arc<Mutex<Vec<Record>>>,
    _tasks: JoinSet<()>,
}

impl OpenLoad {
    /// Sends requests at fixed times, however long their responses take.
    fn start(stage: &Stage) -> Self {
        let records = Arc::<Mutex<Vec<Record>>>::default();
        let token = stage.token_for(86_400, ADMIN, Role::Admin);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| KeptConnections::new(Ipv4Addr::new(127, 0, 1, number), stage.address))
            .collect();
        let clients = Arc::new(clients);
        let mut tasks = JoinSet::new();
        for service in 0..SERVICES.len() {
            let (clients, records) = (Arc::clone(&clients), Arc::clone(&records));
            let token = token.clone();
            tasks.spawn(async move {
                let mut under_way = JoinSet::new();
                let mut clock = tokio::time::interval(Duration::from_secs(1) / RATE as u32);
                for number in 0_usize.. {
                    clock.tick().await;
                    while under_way.try_join_next().is_some() {}
                    let (clients, records) = (Arc::clone(&clients), Arc::clone(&records));
                    let token = token.clone();
                    under_way.spawn(async move {
                        let client = &clients[number % clients.len()];
                        let record = send(client, service, number % 10 == 9, &token).await;
                        records.lock().unwrap().push(record);
                    });
                }
            });
        }
        Self {
            records,
            _tasks: tasks,
        }
    }

    fn records(&self, choose: impl Fn(&Record) -> bool) -> Vec<Record> {
        let records = self.records.lock().unwrap();
        let mut chosen: Vec<_> = records.iter().copied().filter(choose).collect();
        chosen.sort_unstable_by_key(|record| record.begun);
        chosen
    }
}

async fn send(client: &KeptConnections, service: usize, is_write: bool, token: &str) -> Record {
    let (_, name, read, write) = SERVICES[service];
    let request = match is_write {
        true => request(write, token, Some("{}")),
        false => request(read, token, None),
    };
    let begun = Instant::now();
    let response = client.send(request).await;
    let explains = response.as_ref().is_ok_and(|response| {
        let body = String::from_utf8_lossy(response.body());
        response.headers().contains_key("retry-after") && body.contains(name)
    });
    Record {
        service,
        is_write,
        begun,
        ended: Instant::now(),
        result: response.map(|response| response.status().as_u16()),
        explains,
    }
}

/// A fault from its begin to its end, and the records from some time before to some time after it.
struct Fault {
    behaviour: Behaviour,
    service: usize,
    begun: Instant,
    ended: Instant,
    attempts: usize,
    records: Vec<Record>,
}

impl Fault {
    async fn run(
        behaviour: Behaviour,
        number: usize,
        service: &FaultyService,
        load: &OpenLoad,
        duration: Duration,
    ) -> Self {
        let quiet = Instant::now();
        tokio::time::sleep(BEFORE).await;
        let attempts = service.attempts();
        let begun = Instant::now();
        service.behave(behaviour);
        tokio::time::sleep(duration).await;
        let attempts = service.attempts() - attempts;
        let ended = Instant::now();
        service.behave(Behaviour::Ordinary);
        // The last requests of the fault may take as long as the time limit.
        let after = match behaviour {
            Behaviour::Slow(delay) => delay.min(Duration::from_secs(11)) + SOON,
            _ => 2 * SOON,
        };
        tokio::time::sleep(after).await;
        Self {
            behaviour,
            service: number,
            begun,
            ended,
            attempts,
            records: load.records(|record| record.begun >= quiet),
        }
    }

    /// The requests to the service that began during the fault.
    fn during(&self) -> impl Iterator<Item = &Record> {
        let is_during = |record: &&Record| {
            record.service == self.service
                && record.begun >= self.begun
                && record.begun < self.ended
        };
        self.records.iter().filter(is_during)
    }

    /// The times of the other services' requests before and during the fault.
    fn others(&self) -> [Vec<Duration>; 2] {
        let times = |is_during| {
            let is_chosen = |record: &&Record| {
                record.service != self.service
                    && record.begun < self.ended
                    && (record.begun >= self.begun) == is_during
            };
            let chosen = self.records.iter().filter(is_chosen);
            chosen.map(Record::took).collect()
        };
        [times(false), times(true)]
    }

    /// The time from the begin of the fault until requests begin that fail at once.
    fn until_immediate(&self) -> Duration {
        let slow = self.during().filter(|record| record.took() > IMMEDIATE);
        slow.map(|record| record.begun - self.begun)
            .max()
            .unwrap_or_default()
    }

    /// The times from the end of the fault until the first success, and until all requests succeed.
    fn until_success(&self) -> (Option<Duration>, Duration) {
        let after = || {
            let records = self.records.iter();
            records.filter(|record| record.service == self.service && record.ended >= self.ended)
        };
        let first = after()
            .filter(|record| record.begun >= self.ended && record.result == Ok(200))
            .map(|record| record.ended - self.ended)
            .min();
        let last = after()
            .filter(|record| record.begun >= self.ended && record.result != Ok(200))
            .map(|record| record.begun - self.ended)
            .max();
        (first, last.unwrap_or_default())
    }

    fn report(&self) {
        let requests = self.during().count();
        let amplification = self.attempts as f64 / requests as f64;
        let mut statuses: BTreeMap<String, usize> = BTreeMap::new();
        for record in self.during() {
            let status = match record.result {
                Ok(status) => status.to_string(),
                Err(failed) => format!("{failed:?}"),
            };
            *statuses.entry(status).or_default() += 1;
        }
        let mut failing: Vec<_> = self
            .during()
            .filter(|record| record.result != Ok(200))
            .map(Record::took)
            .collect();
        let (first, all) = self.until_success();
        let [mut before, mut during] = self.others();
        let name = SERVICES[self.service].0.name();
        println!(
            "{name} {:?}: {requests} requests, {statuses:?}",
            self.behaviour
        );
        println!(
            "  attempts {} ({amplification:.2} for each); failing requests: p99 {:.0} ms, longest {:.0} ms",
            self.attempts,
            percentile_ms(&mut failing, 0.99),
            percentile_ms(&mut failing, 1.0),
        );
        if matches!(self.behaviour, Behaviour::Dead | Behaviour::Hanging) {
            let until = self.until_immediate().as_secs_f64();
            println!("  failing at once after {until:.2} s");
        }
        println!(
            "  first success {:.2} s after the end, all after {:.2} s",
            first.map_or(f64::NAN, |first| first.as_secs_f64()),
            all.as_secs_f64(),
        );
        let p99 = [
            percentile_ms(&mut before, 0.99),
            percentile_ms(&mut during, 0.99),
        ];
        println!(
            "  other services: p50 {:.1} ms before, {:.1} ms during; p99 {:.1} ms before, {:.1} ms during ({:.2} times)",
            percentile_ms(&mut before, 0.5),
            percentile_ms(&mut during, 0.5),
            p99[0],
            p99[1],
            p99[1] / p99[0],
        );
    }

    fn check(&self) {
        let requests = self.during().count();
        assert!(5 * self.attempts <= 6 * requests + 5 * 20, "amplification");
        for record in &self.records {
            let is_ordinary = record.service != self.service
                || record.ended < self.begun
                || record.begun >= self.ended + SOON;
            assert!(!is_ordinary || record.result == Ok(200), "{record:?}");
        }
        for record in self.during() {
            let is_expected = match self.behaviour {
                Behaviour::Ordinary => false,
                // A write that was under way may have been done: only that is not known, so it is no 503.
                Behaviour::Dead | Behaviour::Hanging => {
                    let was_under_way = record.begun < self.begun + IMMEDIATE;
                    (record.result == Ok(503) && record.explains)
                        || (record.result == Ok(502) && record.is_write && was_under_way)
                }
                Behaviour::Slow(TOO_SLOW) => record.result == Ok(504),
                Behaviour::Slow(_) => record.result == Ok(200),
                Behaviour::Failing => matches!(
                    record.result,
                    Ok(500 | 502) | Err(Failed::NoResponse | Failed::Truncated)
                ),
            };
            // A request at the edge of the fault may meet the service before or after it.
            let is_edge = record.begun < self.begun + IMMEDIATE || record.ended > self.ended;
            assert!(
                is_expected || (is_edge && record.result == Ok(200)),
                "{record:?}"
            );
        }
        if matches!(self.behaviour, Behaviour::Dead | Behaviour::Hanging) {
            let until = self.until_immediate();
            assert!(until < SOON, "failing at once after {until:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a drill: takes minutes"]
async fn drill_upstreams() {
    let seconds = std::env::var("FAULT_SECONDS").map_or(20, |text| text.parse().unwrap());
    let duration = Duration::from_secs(seconds);
    let mut services = Vec::new();
    for _ in SERVICES {
        services.push(FaultyService::start().await);
    }
    let urls = services
        .iter()
        .map(|service| format!("http://{}", service.address))
        .collect::<Vec<_>>();
    let stage = Stage::new(
        services[0].address,
        &[
            ("USER_PREFERENCE_SERVICE_URL", &urls[1]),
            ("RECOMMENDATION_SERVICE_URL", &urls[2]),
        ],
    );
    let load = OpenLoad::start(&stage);
    for behaviour in [
        Behaviour::Dead,
        Behaviour::Hanging,
        Behaviour::Slow(Duration::from_secs(3)),
        Behaviour::Slow(TOO_SLOW),
        Behaviour::Failing,
    ] {
        for (number, service) in services.iter().enumerate() {
            let fault = Fault::run(behaviour, number, service, &load, duration).await;
            fault.report();
            fault.check();
        }
    }
}
