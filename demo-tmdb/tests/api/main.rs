//! demo-tmdb as its clients see it: what comes over the wire, and the process. Each test has a demo-tmdb of its own, so
//! that faults and changed movies cannot leak from one to another.

mod control;
mod faults;
mod lists;
mod process;
mod protocol;
mod shapes;
mod support;
