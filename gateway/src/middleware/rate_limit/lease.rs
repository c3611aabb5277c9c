//! The arithmetic of leases, without clock or network: one client's window as one gateway knows it.
//!
//! A lease takes a few tokens from Redis, each of which admits a request. While Redis is unavailable, tokens
//! come from what was left at the last contact, or from a whole new window, and are reported afterwards.

/// Milliseconds since the gateway started.
pub(super) type Millis = u64;

/// The tokens of a lease when `left` are left; the same formula as in `lease.lua`.
fn lease_size(left: u64) -> u64 {
    (left / 10).max(1).min(left)
}

/// One client's window as one gateway knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lease {
    ends: Millis,
    /// Tokens taken but not yet used.
    tokens: u64,
    /// Tokens that all gateways may still take.
    left: u64,
    /// Tokens that this gateway has taken in this window.
    taken: u64,
    /// Those of them that Redis has not counted.
    unreported: u64,
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
}

/// The response of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) granted: u64,
    /// Tokens that are left after that.
    pub(super) left: u64,
    /// Milliseconds until the window ends.
    pub(super) reset: Millis,
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
            });
        }
        if self.tokens > 0 {
            self.tokens -= 1;
            return Decision::Admitted {
                remaining: self.tokens + self.left,
                reset,
            };
        }
        if self.left == 0 {
            return Decision::Refused { reset };
        }
        Decision::Request(LeaseRequest {
            at: now,
            taken: self.taken,
            unreported: self.unreported,
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
            tokens: self.unused(request) + grant.granted,
            left: grant.left,
            taken: request.taken + grant.granted,
            unreported: 0,
        };
    }

    /// Applies `request` without Redis.
    pub(super) fn grant_locally(&mut self, request: LeaseRequest, limit: u64, window: Millis) {
        if request.reset == 0 {
            *self = Self {
                ends: request.at + window,
                left: limit,
                ..Self::default()
            };
        }
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
    }

    impl Redis {
        fn request(&mut self, now: Millis, request: LeaseRequest) -> Grant {
            if self.ends > now {
                self.used += request.unreported;
            } else if request.reset > 0 {
                self.used = request.taken;
                self.ends = now + request.reset;
            } else {
                self.used = 0;
                self.ends = now + WINDOW;
            }
            let left = LIMIT.saturating_sub(self.used);
            let granted = lease_size(left);
            self.used += granted;
            Grant {
                granted,
                left: left - granted,
                reset: self.ends - now,
            }
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
                    1 => redis = Redis::default(),
                    _ => loop {
                        match lease.decide(now) {
                            Decision::Admitted { .. } => {
                                if now >= ends {
                                    ends = lease.ends();
                                    count = 0;
                                }
                                count += 1;
                                prop_assert!(count <= LIMIT);
                            }
                            Decision::Refused { .. } => {}
                            Decision::Request(request) => {
                                if is_down {
                                    lease.grant_locally(request, LIMIT, WINDOW);
                                } else {
                                    let grant = redis.request(now, request);
                                    lease.grant(request, grant);
                                }
                                continue;
                            }
                        }
                        break;
                    },
                }
            }
        }
    }
}
