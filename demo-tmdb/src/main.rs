//! The program of the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    demo_tmdb::main()
}
