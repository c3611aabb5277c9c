//! The arithmetic of leases, without clock or network: what one gateway knows of one client's window.
//!
//! Tokens are taken from Redis a few at a time and handed out one by one. While Redis is away they
//! are taken from what was left when it was last heard of, or from a whole new window, and reported
//! to it when it is back.

/// Milliseconds since the gateway started.
pub(super) type Millis = u64;

/// Tokens that may be taken at once when `left` are left; as `lease.lua` has it.
#[must_use]
pub(super) fn share(left: u64) -> u64 {
    (left / 10).max(1).min(left)
}

/// What one gateway knows of one client's window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lease {
    /// When the window ends.
    ends: Millis,
    /// Taken and not yet handed out.
    tokens: u64,
    /// What others and we may still take.
    left: u64,
    /// All that we took in this window.
    taken: u64,
    /// What of it Redis does not know.
    unreported: u64,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It passes.
    Admitted {
        /// Requests that may follow in this window.
        remaining: u64,
        /// Milliseconds until the window ends.
        reset: Millis,
    },
    /// It does not.
    Refused {
        /// Milliseconds until the window ends.
        reset: Millis,
    },
    /// Redis must be asked, or taken for away, first.
    Ask(Question),
}

/// What Redis is asked, besides the limit and the length of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    /// When it was asked.
    pub(super) at: Millis,
    /// Tokens that we took in this window.
    pub(super) taken: u64,
    /// Those of them that Redis does not know.
    pub(super) unreported: u64,
    /// Milliseconds until our window ends; 0: there is none.
    pub(super) reset: Millis,
}

/// What Redis answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    /// Tokens for us.
    pub(super) granted: u64,
    /// Tokens that are left after that.
    pub(super) left: u64,
    /// Milliseconds until the window ends.
    pub(super) reset: Millis,
}

impl Lease {
    /// When what is known here ends to matter.
    #[must_use]
    pub(super) fn ends(&self) -> Millis {
        self.ends
    }

    /// Decides about one request.
    pub(super) fn decide(&mut self, now: Millis) -> Decision {
        let reset = self.ends.saturating_sub(now);
        if reset == 0 {
            return Decision::Ask(Question {
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
        Decision::Ask(Question {
            at: now,
            taken: self.taken,
            unreported: self.unreported,
            reset,
        })
    }

    /// Takes Redis's answer to `question`.
    pub(super) fn grant(&mut self, question: Question, grant: Grant) {
        // Counted from before the question, our window ends before Redis's does: what we hold is
        // never handed out in the window after it.
        let ends = question.at + grant.reset;
        *self = Self {
            ends: if question.reset == 0 {
                ends
            } else {
                ends.min(self.ends)
            },
            tokens: self.held(question) + grant.granted,
            left: grant.left,
            taken: question.taken + grant.granted,
            unreported: 0,
        };
    }

    /// Goes on without Redis, which did not answer `question`.
    pub(super) fn alone(&mut self, question: Question, limit: u64, window: Millis) {
        if question.reset == 0 {
            *self = Self {
                ends: question.at + window,
                left: limit,
                ..Self::default()
            };
        }
        let granted = share(self.left);
        self.tokens += granted;
        self.left -= granted;
        self.taken += granted;
        self.unreported += granted;
    }

    /// Tokens that are still in hand; those of a window that has ended are void.
    fn held(&self, question: Question) -> u64 {
        if question.reset == 0 { 0 } else { self.tokens }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const LIMIT: u64 = 23;
    const WINDOW: Millis = 100;

    /// Redis, as far as `lease.lua` goes.
    #[derive(Default)]
    struct Store {
        used: u64,
        ends: Millis,
    }

    impl Store {
        fn ask(&mut self, now: Millis, question: Question) -> Grant {
            if self.ends > now {
                self.used += question.unreported;
            } else if question.reset > 0 {
                self.used = question.taken;
                self.ends = now + question.reset;
            } else {
                self.used = 0;
                self.ends = now + WINDOW;
            }
            let left = LIMIT.saturating_sub(self.used);
            let granted = share(left);
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
        /// The question of gateway `0` reaches Redis.
        Reach(usize),
        /// The answer to it reaches gateway `0`.
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
        /// Any number of gateways, any interleaving, answers that take their time: in no window of
        /// Redis are more tokens handed out than the limit.
        #[test]
        fn gateways_together_never_admit_more_than_the_limit(steps in steps(3)) {
            let mut store = Store::default();
            let mut leases = [Lease::default(); 3];
            let mut asked: [Option<Question>; 3] = [None; 3];
            let mut answered: [Option<(Question, Grant, Millis)>; 3] = [None; 3];
            // The window of Redis that each gateway's tokens are of, by its end.
            let mut window_of = [0; 3];
            let mut admitted: HashMap<Millis, u64> = HashMap::new();
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Wait(time) => now += time,
                    Step::Request(g) => {
                        // While a question is under way, requests wait for it.
                        if asked[g].is_some() || answered[g].is_some() { continue; }
                        match leases[g].decide(now) {
                            Decision::Admitted { .. } => {
                                prop_assert!(now < window_of[g], "a token of a window that has ended");
                                *admitted.entry(window_of[g]).or_default() += 1;
                            }
                            Decision::Refused { .. } => {}
                            Decision::Ask(question) => asked[g] = Some(question),
                        }
                    }
                    Step::Reach(g) => if let Some(question) = asked[g].take() {
                        let grant = store.ask(now, question);
                        answered[g] = Some((question, grant, store.ends));
                    },
                    Step::Return(g) => if let Some((question, grant, ends)) = answered[g].take() {
                        leases[g].grant(question, grant);
                        window_of[g] = ends;
                    },
                }
            }
            for (window, count) in admitted {
                prop_assert!(count <= LIMIT, "{count} in the window that ends at {window}");
            }
        }

        /// One gateway whose Redis comes and goes, with or without its memory, admits no more than
        /// the limit in any of its windows.
        #[test]
        fn redis_may_come_and_go(moves in proptest::collection::vec((0u8..10, 0u64..12), 0..600)) {
            let mut store = Store::default();
            let mut lease = Lease::default();
            let (mut now, mut away, mut count, mut ends) = (0, false, 0, 0);
            for (what, time) in moves {
                now += time;
                match what {
                    0 => away = !away,
                    1 => store = Store::default(),
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
                            Decision::Ask(question) => {
                                if away {
                                    lease.alone(question, LIMIT, WINDOW);
                                } else {
                                    let grant = store.ask(now, question);
                                    lease.grant(question, grant);
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

    #[test]
    fn alone_a_gateway_counts_down_to_nothing() {
        let mut store = Store::default();
        let mut lease = Lease::default();
        for expected in (0..LIMIT).rev() {
            let remaining = loop {
                match lease.decide(5) {
                    Decision::Admitted { remaining, .. } => break remaining,
                    Decision::Ask(question) => lease.grant(question, store.ask(5, question)),
                    Decision::Refused { .. } => panic!("refused at {expected}"),
                }
            };
            assert_eq!(remaining, expected);
        }
        assert_eq!(lease.decide(50), Decision::Refused { reset: 55 });
    }
}
