//! A running program of the workspace, with its log.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use chassis::testing::eventually;

use super::{MAX_WAIT, address_of, api::Api};

/// The path of the built program `name`.
///
/// # Panics
/// Panics if it was not built.
pub(crate) fn binary(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_gateway")).parent().unwrap();
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "the program {name} is not built; run scripts/test.sh, or cargo build --workspace --bins before"
    );
    path
}

/// A running program, killed on drop.
pub(crate) struct Program {
    name: String,
    settings: Vec<(String, String)>,
    child: Child,
    address: SocketAddr,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    written: Condvar,
}

impl Program {
    /// Starts `name` on a free port, with only `settings` in its environment.
    pub(crate) fn start(name: &str, settings: &[(&str, String)]) -> Self {
        let mut own: Vec<(String, String)> = vec![("SERVER_PORT".to_owned(), "0".to_owned())];
        own.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        Self::launch(name.to_owned(), own, Arc::default())
    }

    fn launch(name: String, settings: Vec<(String, String)>, log: Arc<Log>) -> Self {
        let before = log.lines.lock().unwrap().len();
        let mut child = command(&name, &settings)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        read(child.stdout.take().unwrap(), &log);
        read(child.stderr.take().unwrap(), &log);
        let mut program = Self {
            name,
            settings,
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            log,
        };
        program.address = program.announced(before);
        program
    }

    /// Waits for the log line with the address.
    fn announced(&mut self, before: usize) -> SocketAddr {
        let started = Instant::now();
        loop {
            let lines = self.log.lines.lock().unwrap();
            if let Some(address) = lines[before..].iter().find_map(|line| listening(line)) {
                return address;
            }
            let _ = self
                .log
                .written
                .wait_timeout(lines, Duration::from_millis(50))
                .unwrap();
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < MAX_WAIT,
                "{} does not come up ({ended:?}); its log:\n{}",
                self.name,
                self.lines().join("\n")
            );
        }
    }

    /// Its URL, without a trailing slash.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until it is ready.
    pub(crate) async fn until_ready(&self) {
        let client = Api::new(&self.url());
        eventually(&format!("{} is ready", self.name), async || {
            client
                .try_get("/health/ready")
                .await
                .is_ok_and(|response| response.status == 200)
        })
        .await;
    }

    /// Its output so far, by lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.log.lines.lock().unwrap().clone()
    }

    /// Its log lines of the level ERROR and of panics.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.lines()
            .into_iter()
            .filter(|line| {
                line.contains("\"ERROR\"") || line.contains(" ERROR ") || line.contains("panicked")
            })
            .map(|line| format!("{}: {line}", self.name))
            .collect()
    }

    /// Kills it, like a power failure.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        // The standard library can only send SIGKILL.
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success(), "{} is not there", self.name);
    }

    /// Its exit status, if it exits in time.
    pub(crate) async fn ended(&mut self, max_wait: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < max_wait {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        None
    }

    /// Starts it again at the same address, with the same settings.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let mut settings = self.settings.clone();
        settings.retain(|(name, _)| name != "SERVER_PORT");
        settings.push(("SERVER_PORT".to_owned(), self.address.port().to_string()));
        *self = Self::launch(self.name.clone(), settings, Arc::clone(&self.log));
    }

    /// Starts another one at another address, with the same settings.
    pub(crate) fn twin(&self) -> Self {
        let mut settings = self.settings.clone();
        settings.retain(|(name, _)| name != "SERVER_PORT");
        settings.push(("SERVER_PORT".to_owned(), "0".to_owned()));
        Self::launch(self.name.clone(), settings, Arc::default())
    }

    /// Runs a command of the program with its settings and port; returns the output.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let mut settings = self.settings.clone();
        settings.push(("SERVER_PORT".to_owned(), self.address.port().to_string()));
        let output = command(&self.name, &settings)
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{} {arguments:?}: {said}",
            self.name
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if thread::panicking() && std::env::var_os("PLATFORM_LOGS").is_some() {
            println!("--- {} ---\n{}", self.name, self.lines().join("\n"));
        }
        self.kill();
    }
}

fn command(name: &str, settings: &[(String, String)]) -> Command {
    let mut command = Command::new(binary(name));
    command
        .env_clear()
        // A directory without a developer's `.env`.
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .envs(settings.iter().cloned());
    command
}

fn read(stream: impl Read + Send + 'static, log: &Arc<Log>) {
    let log = Arc::clone(log);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            log.lines.lock().unwrap().push(line);
            log.written.notify_all();
        }
    });
}

fn listening(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on http://")?;
    let end = rest
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != ':')
        .unwrap_or(rest.len());
    Some(address_of(&format!("http://{}", &rest[..end])))
}
