//! The arithmetic of leases, without clock or network: one client's window as one gateway knows it.
//!
//! A lease takes a few tokens from Redis, each of which admits a request. While Redis is unavailable, tokens
//! come from the gateway's share of what was left at the last contact, or of a new window, and are reported afterwards.

use std::time::Duration;

/// Milliseconds since the gateway started.
pub(super) type Millis = u64;

pub(super) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

/// Gateways beyond which nothing is left for one of them.
const MAX_GATEWAYS: u64 = 100;

/// The tokens of a lease when `left` are left; the same formula as in `lease.lua`.
fn lease_size(left: u64) -> u64 {
    (left / 10).max(1).min(left)
}

/// One client's window as one gateway knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lease {
    ends: Millis,
    /// Its number in Redis; 0: Redis does not know it.
    window: u64,
    /// Tokens taken but not yet used.
    tokens: u64,
    /// Tokens that all gateways may still take.
    left: u64,
    /// Tokens that this gateway has taken in this window.
    taken: u64,
    /// Those of them that Redis has not counted.
    unreported: u64,
    /// True if `left` is the gateway's own share, since Redis was unavailable.
    is_local: bool,
}

/// The remaining quota of a window, as one gateway knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remainder {
    /// Tokens taken but not yet used.
    pub(super) tokens: u64,
    /// Tokens that all gateways may still take.
    pub(super) left: u64,
    /// Milliseconds until the window ends.
    pub(super) reset: Millis,
}

/// The decision about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is admitted.
    Admitted {
        /// Requests that are left in this window.
        remaining: u64,
        /// Milliseconds until the window ends.
        reset: Millis,
    },
    /// It is refused.
    Refused {
        /// Milliseconds until the window ends.
        reset: Millis,
    },
    /// A new lease is needed first.
    Request(LeaseRequest),
}

/// A request for a lease, without the limit and the length of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeaseRequest {
    /// The time of the request.
    pub(super) at: Millis,
    /// Tokens that this gateway has taken in this window.
    pub(super) taken: u64,
    /// Those of them that Redis has not counted.
    pub(super) unreported: u64,
    /// Milliseconds until the window ends; 0 without a window.
    pub(super) reset: Millis,
    /// The number of the window in Redis; 0 without one.
    pub(super) window: u64,
}

/// The response of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) granted: u64,
    /// Tokens that are left after that.
    pub(super) left: u64,
    /// Milliseconds until the window ends.
    pub(super) reset: Millis,
    /// The number of the window.
    pub(super) window: u64,
}

impl Lease {
    pub(super) fn ends(&self) -> Millis {
        self.ends
    }

    /// Decides about one request.
    pub(super) fn decide(&mut self, now: Millis) -> Decision {
        let reset = self.ends.saturating_sub(now);
        if reset == 0 {
            return Decision::Request(LeaseRequest {
                at: now,
                taken: 0,
                unreported: 0,
                reset: 0,
                window: 0,
            });
        }
        if self.tokens > 0 {
            self.tokens -= 1;
            return Decision::Admitted {
                remaining: self.tokens + self.left,
                reset,
            };
        }
        // The share of others may be left once Redis is available.
        if self.left == 0 && !self.is_local {
            return Decision::Refused { reset };
        }
        Decision::Request(LeaseRequest {
            at: now,
            taken: self.taken,
            unreported: self.unreported,
            reset,
            window: self.window,
        })
    }

    /// As [`Lease::decide`], after a lease request of that time has been applied.
    pub(super) fn decide_granted(&mut self, at: Millis) -> Decision {
        match self.decide(at) {
            Decision::Request(request) if self.left == 0 && request.reset > 0 => {
                Decision::Refused {
                    reset: request.reset,
                }
            }
            decision => decision,
        }
    }

    /// Takes a token back whose request was not served; void if its window, which ended at `ends`, is over.
    pub(super) fn give_back(&mut self, ends: Millis) {
        if self.ends == ends {
            self.tokens += 1;
        }
    }

    /// The remaining quota; `None` without a window.
    pub(super) fn remainder(&self, now: Millis) -> Option<Remainder> {
        let reset = self.ends.saturating_sub(now);
        (reset > 0).then_some(Remainder {
            tokens: self.tokens,
            left: self.left,
            reset,
        })
    }

    /// Applies the response of Redis to `request`.
    pub(super) fn grant(&mut self, request: LeaseRequest, grant: Grant) {
        // Measured from before the request, this window ends before that of Redis: no token is used in the
        // window after it.
        let ends = request.at + grant.reset;
        *self = Self {
            ends: if request.reset == 0 {
                ends
            } else {
                ends.min(self.ends)
            },
            window: grant.window,
            tokens: self.unused(request) + grant.granted,
            left: grant.left,
            taken: request.taken + grant.granted,
            unreported: 0,
            is_local: false,
        };
    }

    /// Applies `request` without Redis, as one of `gateways` that share the limit, at least 1.
    pub(super) fn grant_locally(
        &mut self,
        request: LeaseRequest,
        limit: u64,
        window: Millis,
        gateways: u64,
    ) {
        if request.reset == 0 {
            *self = Self {
                ends: request.at + window,
                left: (limit / gateways).max(1),
                ..Self::default()
            };
        } else if !self.is_local {
            // Others have probably taken leases since the last contact: two each, if all have much to do.
            for _ in 0..(gateways - 1).min(MAX_GATEWAYS) * 2 {
                self.left -= lease_size(self.left);
            }
            self.left /= gateways;
        }
        self.is_local = true;
        let granted = lease_size(self.left);
        self.tokens += granted;
        self.left -= granted;
        self.taken += granted;
        self.unreported += granted;
    }

    /// Unused tokens; those of a window that has ended are void.
    fn unused(&self, request: LeaseRequest) -> u64 {
        if request.reset == 0 { 0 } else { self.tokens }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const LIMIT: u64 = 23;
    const WINDOW: Millis = 100;

    /// A model of `lease.lua`.
    #[derive(Default)]
    struct Redis {
        used: u64,
        ends: Millis,
        window: u64,
        /// The number of windows so far.
        windows: u64,
    }

    impl Redis {
        fn request(&mut self, now: Millis, request: LeaseRequest) -> Grant {
            if self.ends > now {
                self.used += match request.window == self.window {
                    true => request.unreported,
                    false => request.taken,
                };
            } else {
                self.windows += 1;
                self.window = self.windows;
                (self.used, self.ends) = match request.reset {
                    0 => (0, now + WINDOW),
                    reset => (request.taken, now + reset),
                };
            }
            let left = LIMIT.saturating_sub(self.used);
            let granted = lease_size(left);
            self.used += granted;
            Grant {
                granted,
                left: left - granted,
                reset: self.ends - now,
                window: self.window,
            }
        }

        fn lose_data(&mut self) {
            *self = Self {
                windows: self.windows,
                ..Self::default()
            };
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// A request reaches gateway `0`.
        Request(usize),
        /// The lease request of gateway `0` reaches Redis.
        Reach(usize),
        /// The response to it reaches gateway `0`.
        Return(usize),
        /// Time passes.
        Wait(Millis),
    }

    fn steps(gateways: usize) -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0..gateways).prop_map(Step::Request),
            3 => (0..gateways).prop_map(Step::Reach),
            3 => (0..gateways).prop_map(Step::Return),
            1 => (0u64..20).prop_map(Step::Wait),
        ];
        proptest::collection::vec(step, 0..600)
    }

    proptest! {
        /// For any interleaving and any delay of responses, no window of Redis admits more than the limit.
        #[test]
        fn gateways_together_never_admit_more_than_the_limit(steps in steps(3)) {
            let mut redis = Redis::default();
            let mut leases = [Lease::default(); 3];
            let mut requested: [Option<LeaseRequest>; 3] = [None; 3];
            let mut responses: [Option<(LeaseRequest, Grant, Millis)>; 3] = [None; 3];
            // The window of Redis that each gateway's tokens are of, by its end.
            let mut window_of = [0; 3];
            let mut admitted: HashMap<Millis, u64> = HashMap::new();
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Wait(time) => now += time,
                    Step::Request(g) => {
                        // Requests wait for a pending lease.
                        if requested[g].is_some() || responses[g].is_some() { continue; }
                        match leases[g].decide(now) {
                            Decision::Admitted { .. } => {
                                prop_assert!(now < window_of[g], "a token of a window that has ended");
                                *admitted.entry(window_of[g]).or_default() += 1;
                            }
                            Decision::Refused { .. } => {}
                            Decision::Request(request) => requested[g] = Some(request),
                        }
                    }
                    Step::Reach(g) => if let Some(request) = requested[g].take() {
                        let grant = redis.request(now, request);
                        responses[g] = Some((request, grant, redis.ends));
                    },
                    Step::Return(g) => if let Some((request, grant, ends)) = responses[g].take() {
                        leases[g].grant(request, grant);
                        window_of[g] = ends;
                    },
                }
            }
            for (window, count) in admitted {
                prop_assert!(count <= LIMIT, "{count} in the window that ends at {window}");
            }
        }

        /// After a loss of its data Redis knows again what each gateway has taken once that asks.
        #[test]
        fn lost_data_is_reported_again(taken in proptest::collection::vec(0_u64..8, 3)) {
            let mut redis = Redis::default();
            let mut leases = [Lease::default(); 3];
            let ask = |redis: &mut Redis, lease: &mut Lease| {
                let request = LeaseRequest {
                    at: 1,
                    taken: lease.taken,
                    unreported: lease.unreported,
                    reset: lease.ends.saturating_sub(1),
                    window: lease.window,
                };
                lease.grant(request, redis.request(1, request));
            };
            for (lease, count) in leases.iter_mut().zip(taken) {
                (0..count).for_each(|_| ask(&mut redis, lease));
            }
            redis.lose_data();
            leases.iter_mut().for_each(|lease| ask(&mut redis, lease));
            prop_assert_eq!(redis.used, leases.iter().map(|lease| lease.taken).sum::<u64>());
        }

        /// Without Redis all gateways together admit no more than the limit in a window that begins then.
        #[test]
        fn shares_are_within_the_limit(gateways in 1_u64..8, requests in 0_u64..60) {
            let mut admitted = 0;
            for _ in 0..gateways {
                let mut lease = Lease::default();
                for _ in 0..requests {
                    let mut decision = lease.decide(1);
                    if let Decision::Request(request) = decision {
                        lease.grant_locally(request, LIMIT, WINDOW, gateways);
                        decision = lease.decide_granted(1);
                    }
                    admitted += u64::from(matches!(decision, Decision::Admitted { .. }));
                }
            }
            prop_assert!(admitted <= LIMIT);
            prop_assert!(admitted >= gateways * requests.min(LIMIT / gateways));
        }

        /// One gateway admits at most the limit in each of its windows, even if Redis comes and goes, with or
        /// without its data.
        #[test]
        fn the_limit_holds_while_redis_comes_and_goes(steps in proptest::collection::vec((0u8..10, 0u64..12), 0..600)) {
            let mut redis = Redis::default();
            let mut lease = Lease::default();
            let (mut now, mut is_down, mut count, mut ends) = (0, false, 0, 0);
            for (step, time) in steps {
                now += time;
                match step {
                    0 => is_down = !is_down,
                    1 => redis.lose_data(),
                    _ => {
                        let mut decision = lease.decide(now);
                        if let Decision::Request(request) = decision {
                            if is_down {
                                lease.grant_locally(request, LIMIT, WINDOW, 1);
                            } else {
                                let grant = redis.request(now, request);
                                lease.grant(request, grant);
                            }
                            decision = lease.decide_granted(now);
                        }
                        match decision {
                            Decision::Admitted { .. } => {
                                if now >= ends {
                                    ends = lease.ends();
                                    count = 0;
                                }
                                count += 1;
                                prop_assert!(count <= LIMIT);
                            }
                            Decision::Refused { .. } => {}
                            Decision::Request(_) => prop_assert!(false, "no decision"),
                        }
                    }
                }
            }
        }
    }
}
