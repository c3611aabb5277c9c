//! Redis with TLS and a password, a set of Sentinels, and a Cluster.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use chassis::testing::{eventually, free_port};
use redis::{
    Client, ClientTlsConfig, Cmd, FromRedisValue, RedisResult, TlsCertificates,
    aio::ConnectionLike, cmd,
};

use super::{
    Certificates,
    certificates::{folder, remove},
};

const PASSWORD: &str = "a-password-of-the-tests";
const SENTINEL_PASSWORD: &str = "another-password-of-the-tests";
/// Slots of a Cluster.
const SLOTS: usize = 16384;

/// A process of redis-server.
struct Node {
    child: Child,
    client: Client,
}

impl Node {
    fn start(arguments: &[&str], client: Client) -> Self {
        let program = std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let child = Command::new(program)
            .args(arguments)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server; scripts/test.sh installs it");
        Self { child, client }
    }

    /// Starts a server without TLS on `port`.
    fn plain(port: u16, arguments: &[&str]) -> Self {
        let url = format!("redis://:{PASSWORD}@127.0.0.1:{port}");
        let port = port.to_string();
        let common = ["--port", &port, "--requirepass", PASSWORD];
        let arguments = [&common, arguments].concat();
        Self::start(&arguments, Client::open(url).unwrap())
    }

    /// Starts a server on `port` with TLS only, which requires a certificate of its clients.
    fn tls(port: u16, certificates: &Certificates, arguments: &[&str]) -> Self {
        let client = Client::build_with_tls(
            format!("rediss://:{PASSWORD}@127.0.0.1:{port}"),
            TlsCertificates {
                client_tls: Some(ClientTlsConfig {
                    client_cert: certificates.read("host.crt"),
                    client_key: certificates.read("host.key"),
                }),
                root_cert: Some(certificates.read("root.crt")),
            },
        );
        let (port, [root, cert, key]) = (
            port.to_string(),
            ["root.crt", "host.crt", "host.key"].map(|name| certificates.file(name)),
        );
        let common = [
            "--port",
            "0",
            "--tls-port",
            &port,
            "--requirepass",
            PASSWORD,
        ];
        let files = ["--tls-ca-cert-file", &root, "--tls-cert-file", &cert];
        let rest = ["--tls-key-file", &key, "--tls-auth-clients", "yes"];
        let arguments = [&common[..], &files, &rest, arguments].concat();
        Self::start(&arguments, client.unwrap())
    }

    /// The response to `command`.
    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let mut connection = self.client.get_multiplexed_async_connection().await?;
        let value = connection.req_packed_command(command).await?;
        Ok(T::from_redis_value(value.extract_error()?)?)
    }

    async fn until_up(&self) {
        eventually("Redis is up", async || {
            self.ask::<String>(&cmd("PING")).await.is_ok()
        })
        .await;
    }

    /// The section `replication` of `INFO`; empty if there is no response.
    async fn replication(&self) -> String {
        let info = self.ask(cmd("INFO").arg("replication")).await;
        info.unwrap_or_default()
    }

    async fn keys(&self) -> BTreeSet<String> {
        self.ask(cmd("KEYS").arg("*")).await.unwrap_or_default()
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Settings of `certificates` for all services.
fn tls_settings(certificates: &Certificates) -> Vec<(&'static str, String)> {
    vec![
        ("REDIS_TLS_CA_CERT_FILE", certificates.file("root.crt")),
        ("REDIS_TLS_CERT_FILE", certificates.file("host.crt")),
        ("REDIS_TLS_KEY_FILE", certificates.file("host.key")),
    ]
}

/// One server with TLS and a password, which requires a certificate of its clients.
pub(crate) struct TlsRedis {
    node: Node,
    /// The settings of all services that use it.
    pub(crate) settings: Vec<(&'static str, String)>,
}

impl TlsRedis {
    /// Starts it.
    pub(crate) async fn start(certificates: &Certificates) -> Self {
        let port = free_port();
        let node = Node::tls(port, certificates, &["--save", ""]);
        node.until_up().await;
        let mut settings = tls_settings(certificates);
        settings.push((
            "REDIS_URL",
            format!("rediss://:{PASSWORD}@127.0.0.1:{port}/0"),
        ));
        Self { node, settings }
    }

    /// All its keys.
    pub(crate) async fn keys(&self) -> BTreeSet<String> {
        self.node.keys().await
    }
}

/// A master with a replica, and three Sentinels, with passwords.
pub(crate) struct SentinelSet {
    folder: PathBuf,
    servers: Vec<Node>,
    _sentinels: Vec<Node>,
    /// The settings of all services that use it.
    pub(crate) settings: Vec<(&'static str, String)>,
}

impl SentinelSet {
    /// Starts it.
    pub(crate) async fn start() -> Self {
        let folder = folder("sentinels");
        let (master, replica) = (free_port(), free_port());
        let common = [
            "--save",
            "",
            "--masterauth",
            PASSWORD,
            "--repl-diskless-sync-delay",
            "0",
        ];
        let replica_of = format!("127.0.0.1 {master}");
        let servers = vec![
            Node::plain(master, &common),
            Node::plain(
                replica,
                &[&common[..], &["--replicaof", &replica_of]].concat(),
            ),
        ];
        eventually("the replica is synced", async || {
            let info = servers[0].replication().await;
            info.contains("state=online")
        })
        .await;
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let sentinels: Vec<Node> = ports
            .iter()
            .map(|port| {
                let file = folder.join(format!("{port}.conf"));
                let settings = format!(
                    "port {port}\ndir {}\nrequirepass {SENTINEL_PASSWORD}\n\
                     sentinel sentinel-pass {SENTINEL_PASSWORD}\n\
                     sentinel monitor movies 127.0.0.1 {master} 2\nsentinel auth-pass movies {PASSWORD}\n\
                     sentinel down-after-milliseconds movies 500\nsentinel failover-timeout movies 2000\n",
                    folder.display()
                );
                std::fs::write(&file, settings).unwrap();
                let url = format!("redis://:{SENTINEL_PASSWORD}@127.0.0.1:{port}");
                let arguments = [file.to_str().unwrap(), "--sentinel"];
                Node::start(&arguments, Client::open(url).unwrap())
            })
            .collect();
        for sentinel in &sentinels {
            eventually(
                "the Sentinels know each other and the replica",
                async || {
                    let quorum: RedisResult<String> = sentinel
                        .ask(cmd("SENTINEL").arg("CKQUORUM").arg("movies"))
                        .await;
                    let replicas: RedisResult<Vec<redis::Value>> = sentinel
                        .ask(cmd("SENTINEL").arg("REPLICAS").arg("movies"))
                        .await;
                    quorum.is_ok_and(|text| text.starts_with("OK 3"))
                        && replicas.is_ok_and(|replicas| replicas.len() == 1)
                },
            )
            .await;
        }
        let [a, b, c] = ports[..] else {
            unreachable!("three ports")
        };
        // The first does not exist.
        let hosts = format!(
            "127.0.0.1:{},127.0.0.1:{a},127.0.0.1:{b},127.0.0.1:{c}",
            free_port()
        );
        let settings = vec![
            ("REDIS_URL", format!("redis://:{PASSWORD}@{hosts}/0")),
            ("REDIS_MODE", "sentinel".to_owned()),
            ("REDIS_SENTINEL_MASTER", "movies".to_owned()),
            ("REDIS_SENTINEL_PASSWORD", SENTINEL_PASSWORD.to_owned()),
        ];
        Self {
            folder,
            servers,
            _sentinels: sentinels,
            settings,
        }
    }

    /// Kills the master, and waits until the replica is the master.
    pub(crate) async fn fail_over(&mut self) {
        self.servers.remove(0);
        let replica = &self.servers[0];
        eventually("the replica is the master", async || {
            let info = replica.replication().await;
            info.contains("role:master")
        })
        .await;
    }

    /// All keys of the master.
    pub(crate) async fn keys(&self) -> BTreeSet<String> {
        self.servers[0].keys().await
    }
}

impl Drop for SentinelSet {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Three masters with one replica each, with TLS and a password.
pub(crate) struct Cluster {
    folder: PathBuf,
    nodes: Vec<Node>,
    /// The settings of all services that use it.
    pub(crate) settings: Vec<(&'static str, String)>,
}

impl Cluster {
    /// Starts it.
    pub(crate) async fn start(certificates: &Certificates) -> Self {
        let folder = folder("cluster");
        let directory = folder.to_str().unwrap();
        let mut ports: Vec<u16> = Vec::new();
        while ports.len() < 6 {
            let port = free_port();
            // The port of the cluster's bus.
            let is_free = |port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
            if port.checked_add(10_000).is_some_and(is_free) && !ports.contains(&port) {
                ports.push(port);
            }
        }
        let nodes: Vec<Node> = ports
            .iter()
            .map(|port| {
                let file = format!("{port}.nodes");
                let arguments = [
                    "--save",
                    "",
                    "--masterauth",
                    PASSWORD,
                    "--repl-diskless-sync-delay",
                    "0",
                    "--tls-replication",
                    "yes",
                    "--tls-cluster",
                    "yes",
                    "--dir",
                    directory,
                    "--cluster-enabled",
                    "yes",
                    "--cluster-config-file",
                    &file,
                    "--cluster-node-timeout",
                    "1000",
                ];
                Node::tls(*port, certificates, &arguments)
            })
            .collect();
        let command = |words: &[&str]| {
            let mut command = cmd("CLUSTER");
            command.arg(words);
            command
        };
        let mut ids = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            node.until_up().await;
            ids.push(node.ask::<String>(&command(&["MYID"])).await.unwrap());
            let epoch = (number + 1).to_string();
            let _: String = node
                .ask(&command(&["SET-CONFIG-EPOCH", &epoch]))
                .await
                .unwrap();
            if number < 3 {
                let mut add = command(&["ADDSLOTS"]);
                (SLOTS * number / 3..SLOTS * (number + 1) / 3).for_each(|slot| {
                    add.arg(slot);
                });
                let _: String = node.ask(&add).await.unwrap();
            }
            let port = ports[number].to_string();
            let meet = command(&["MEET", "127.0.0.1", &port]);
            let _: String = nodes[0].ask(&meet).await.unwrap();
        }
        for (number, node) in nodes.iter().enumerate().skip(3) {
            let replicate = command(&["REPLICATE", &ids[number - 3]]);
            eventually("a replica of its master", async || {
                node.ask::<String>(&replicate).await.is_ok()
            })
            .await;
        }
        for node in &nodes {
            eventually("the Cluster is complete", async || {
                let info: String = node.ask(&command(&["INFO"])).await.unwrap_or_default();
                let known: String = node.ask(&command(&["NODES"])).await.unwrap_or_default();
                info.contains("cluster_state:ok")
                    && known.matches(" slave ").count() + known.matches("myself,slave ").count()
                        == 3
            })
            .await;
        }
        for replica in &nodes[3..] {
            eventually("a replica is synced", async || {
                let info = replica.replication().await;
                info.contains("master_link_status:up")
            })
            .await;
        }
        let mut settings = tls_settings(certificates);
        settings.extend([
            (
                "REDIS_URL",
                format!(
                    "rediss://:{PASSWORD}@127.0.0.1:{},127.0.0.1:{}/0",
                    ports[0], ports[1]
                ),
            ),
            ("REDIS_MODE", "cluster".to_owned()),
        ]);
        Self {
            folder,
            nodes,
            settings,
        }
    }

    /// Kills the master of `key`, and waits until its replica has taken its place.
    pub(crate) async fn fail_over(&mut self, key: &str) {
        let slot: usize = self.nodes[0]
            .ask(cmd("CLUSTER").arg("KEYSLOT").arg(key))
            .await
            .unwrap();
        let number = slot * 3 / SLOTS;
        self.nodes[number].kill();
        let replica = &self.nodes[number + 3];
        eventually("the replica is a master", async || {
            let info = replica.replication().await;
            let state: String = replica
                .ask(cmd("CLUSTER").arg("INFO"))
                .await
                .unwrap_or_default();
            info.contains("role:master") && state.contains("cluster_state:ok")
        })
        .await;
    }

    /// All keys of all nodes.
    pub(crate) async fn keys(&self) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        for node in &self.nodes {
            keys.extend(node.keys().await);
        }
        keys
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.clear();
        remove(&self.folder);
    }
}
