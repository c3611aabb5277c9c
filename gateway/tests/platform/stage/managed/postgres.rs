//! A Postgres that accepts connections with TLS only.

use std::{path::PathBuf, process::Command};

use chassis::testing::free_port;
use url::Url;

use super::{
    super::{postgres_user, run_postgres},
    Certificates,
    certificates::{folder, remove},
};

const PASSWORD: &str = "a-password-of-the-tests";

/// A server with `host.crt`.
pub(crate) struct TlsPostgres {
    folder: PathBuf,
    port: u16,
}

impl TlsPostgres {
    /// Creates and starts it.
    pub(crate) fn start(certificates: &Certificates) -> Self {
        let server = Self {
            folder: folder("postgres"),
            port: free_port(),
        };
        std::fs::write(server.path("password"), PASSWORD).unwrap();
        for name in ["host.crt", "host.key"] {
            std::fs::copy(certificates.path(name), server.path(name)).unwrap();
        }
        server.give_to_its_user();
        let data = server.path("data");
        run_postgres(
            "initdb",
            &[
                "--username=marquee",
                "--auth=scram-sha-256",
                &format!("--pwfile={}", server.path("password")),
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--pgdata",
                &data,
            ],
        );
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = ''\nfsync = off\n\
             ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\nhba_file = '{}'\n",
            server.port,
            server.path("host.crt"),
            server.path("host.key"),
            server.path("hba"),
        );
        std::fs::write(server.path("settings"), settings).unwrap();
        std::fs::write(server.path("hba"), "hostssl all all all scram-sha-256\n").unwrap();
        server.give_to_its_user();
        let options = format!("-c config_file={}", server.path("settings"));
        let log = server.path("log");
        run_postgres(
            "pg_ctl",
            &[
                "start", "--wait", "-D", &data, "-o", &options, "--log", &log,
            ],
        );
        server
    }

    /// Its URL with `query`, such as `sslmode=require`.
    pub(crate) fn url(&self, query: &str) -> Url {
        let port = self.port;
        format!("postgres://marquee:{PASSWORD}@127.0.0.1:{port}/postgres?{query}")
            .parse()
            .unwrap()
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// Postgres refuses to run as root, and to read the keys of others.
    fn give_to_its_user(&self) {
        let folder = self.path("");
        let mut commands = vec![vec!["chmod", "-R", "go-rwx", &folder]];
        let user = postgres_user();
        if !user.is_empty() {
            commands.push(vec!["chown", "-R", &user, &folder]);
        }
        for command in commands {
            let done = Command::new(command[0]).args(&command[1..]).status();
            assert!(done.unwrap().success(), "{command:?}");
        }
    }
}

impl Drop for TlsPostgres {
    fn drop(&mut self) {
        let data = self.path("data");
        run_postgres("pg_ctl", &["stop", "--mode=immediate", "-D", &data]);
        remove(&self.folder);
    }
}
