//! A gateway as a process of its own, for drills that measure it: that of the environment variable `GATEWAY_BINARY`, such as
//! a release build, or else the one that was built with the tests.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use chassis::clock::Clock;
use gateway::{Role, config::Config, sign_token};

use crate::{
    commands::read_address,
    stage::{SECRET, settings},
};

/// A running gateway, killed on drop.
pub struct GatewayProcess {
    child: Child,
    pub address: SocketAddr,
    /// Its settings for tokens.
    config: Config,
}

impl GatewayProcess {
    /// Starts a gateway with its usual settings and no Redis in front of `upstream` as all services, with `more` on top.
    pub fn start(upstream: SocketAddr, more: &[(&str, &str)]) -> Self {
        let program = std::env::var_os("GATEWAY_BINARY")
            .unwrap_or_else(|| env!("CARGO_BIN_EXE_gateway").into());
        let url = format!("http://{upstream}");
        let mut child = Command::new(program)
            .env_clear()
            // A directory without a developer's `.env`.
            .current_dir(std::env::temp_dir())
            .envs([("SERVER_PORT", "0"), ("JWT_SECRET", SECRET)])
            .envs([("REDIS_URL", ""), ("LOG_FORMAT", "json")])
            .env("MOVIE_SERVICE_URL", &url)
            .env("USER_PREFERENCE_SERVICE_URL", &url)
            .env("RECOMMENDATION_SERVICE_URL", &url)
            .envs(more.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the gateway");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let address = read_address(&mut output);
        std::thread::spawn(move || output.lines().map_while(Result::ok).for_each(drop));
        Self {
            child,
            address,
            config: settings(upstream, more).read().expect("settings"),
        }
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A token that is valid for a day.
    pub fn token(&self, subject: &str, role: Role) -> String {
        sign_token(&self.config, &Clock::system(), subject, role, 86_400).expect("a token")
    }

    /// Its resident memory in MiB.
    pub fn memory(&self) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("a running gateway");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.expect("VmRSS").parse::<f64>().expect("a number") / 1024.0
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
