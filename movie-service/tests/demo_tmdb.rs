//! demo-tmdb as its clients see it: a process, and what comes over the wire. Each test has a process of its own, so
//! faults and patches of one never meet another.

#[path = "demo_tmdb/control.rs"]
mod control;
#[path = "demo_tmdb/faults.rs"]
mod faults;
#[path = "demo_tmdb/lists.rs"]
mod lists;
#[path = "demo_tmdb/protocol.rs"]
mod protocol;
#[path = "demo_tmdb/shapes.rs"]
mod shapes;
#[path = "demo_tmdb/support.rs"]
mod support;
