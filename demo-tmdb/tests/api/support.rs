//! demo-tmdb as a process, for the tests of its start and end.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use demo_tmdb::testing::Client;

/// A demo-tmdb in a process of its own, killed when it goes out of scope.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) client: Client,
}

impl Program {
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let mut child = command(settings)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("demo-tmdb starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout is piped"))
            .read_line(&mut line)
            .expect("demo-tmdb prints its address");
        let address = line
            .trim()
            .strip_prefix("listening on http://")
            .unwrap_or_else(|| panic!("unexpected first line {line:?}"))
            .parse()
            .expect("an address");
        let client = Client { address };
        Self { child, client }
    }

    pub(crate) fn terminate(&self) {
        // The standard library can only send SIGKILL.
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }

    /// The exit status, if the process ends within `timeout`.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let since = Instant::now();
        while since.elapsed() < timeout {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program with a clean environment, so that the developer's own settings cannot change a test.
pub(crate) fn command(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo-tmdb"));
    command
        .env_clear()
        .env("SERVER_PORT", "0")
        .envs(settings.iter().copied());
    command
}
