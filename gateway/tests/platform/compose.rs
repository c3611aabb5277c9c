//! docker-compose.yml, Dockerfile and .env.example agree with the code. No container is run: every name, port, URL,
//! command and default in the files is compared with the programs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use config::{Config, File, FileFormat};
use serde_json::Value;
use url::Url;

use crate::stage::binary;

/// The workspace's programs; each is a compose service, a Dockerfile target and a binary of that name.
const PROGRAMS: [&str; 5] = [
    "gateway",
    "movie-service",
    "preference-service",
    "recommendation-service",
    "demo-tmdb",
];
/// Services from public images.
const SERVERS: [&str; 2] = ["postgres", "redis"];
/// Settings that are required.
const SECRETS: [&str; 3] = ["SIGNING_KEY_SECRET", "INTERNAL_TOKEN", "POSTGRES_PASSWORD"];
/// Secrets whose features are disabled if they are not set.
const OPTIONAL_SECRETS: [&str; 2] = ["JWT_SECRET", "REDIS_SENTINEL_PASSWORD"];
/// Settings that have a fixed value in a container, because it differs between the services or would be unsafe.
const FIXED: [&str; 5] = [
    "SERVER_HOST",
    "SERVER_PORT",
    "DATABASE_URL",
    // Everybody can reach the gateway.
    "AUTH_MODE",
    "ALLOW_MOCK_BEYOND_LOOPBACK",
];

// --- the files --------------------------------------------------------------------------------------

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// docker-compose.yml, with anchors and merges resolved.
fn compose() -> Value {
    serde_saphyr::from_str(&file("docker-compose.yml")).expect("docker-compose.yml is YAML")
}

fn services(compose: &Value) -> BTreeMap<&str, &Value> {
    let services = compose["services"].as_object().unwrap();
    services
        .iter()
        .map(|(name, service)| (name.as_str(), service))
        .collect()
}

/// The settings of a service that compose passes on as they are.
fn passed_on(service: &Value) -> BTreeSet<&str> {
    let environment = service["environment"].as_object();
    environment
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.is_null())
        .map(|(name, _)| name.as_str())
        .collect()
}

/// The environment of a service that compose gives a value, before interpolation.
fn environment(service: &Value) -> BTreeMap<String, String> {
    let Some(environment) = service["environment"].as_object() else {
        return BTreeMap::new();
    };
    environment
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (name.clone(), text)
        })
        .collect()
}

/// A `${…}` in docker-compose.yml.
#[derive(Debug, Clone, PartialEq)]
struct Variable {
    name: String,
    /// The default; `None`: the variable is required.
    default: Option<String>,
}

/// The variables in `text`.
fn variables(text: &str) -> Vec<Variable> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("${") {
        let (inner, after) = after.split_once('}').expect("a closing brace");
        rest = after;
        let variable = match (inner.split_once(":-"), inner.split_once(":?")) {
            (Some((name, default)), _) => (name, Some(default.to_owned())),
            (None, Some((name, _))) => (name, None),
            (None, None) => (inner, Some(String::new())),
        };
        found.push(Variable {
            name: variable.0.to_owned(),
            default: variable.1,
        });
    }
    found
}

/// `text`, interpolated with only the secrets set.
fn filled(text: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    let mut variables = variables(text).into_iter();
    while let Some((before, after)) = rest.split_once("${") {
        filled.push_str(before);
        let default = variables.next().unwrap().default;
        filled.push_str(default.as_deref().unwrap_or("secret"));
        rest = after.split_once('}').unwrap().1;
    }
    filled + rest
}

/// The settings of `program` by environment variable, with their defaults.
fn settings(program: &str) -> BTreeMap<String, String> {
    let text = |path: &str| File::from_str(&file(path), FileFormat::Toml);
    let mut builder = Config::builder();
    // demo-tmdb is no service: it has none of their settings.
    if program != "demo-tmdb" {
        builder = builder.add_source(text("chassis/config/default.toml"));
    }
    let merged = builder
        .add_source(text(&format!("{program}/config/default.toml")))
        .build()
        .unwrap();
    let merged: BTreeMap<String, config::Value> = merged.try_deserialize().unwrap();
    let mut settings: BTreeMap<String, String> = merged
        .into_iter()
        .map(|(key, value)| (key.to_uppercase(), value.into_string().unwrap_or_default()))
        .collect();
    if program == "demo-tmdb" {
        // Read by the logging library.
        settings.insert("RUST_LOG".to_owned(), "info".to_owned());
    }
    settings
}

fn port(program: &str) -> String {
    settings(program)["SERVER_PORT"].clone()
}

// --- Dockerfile -------------------------------------------------------------------------------------

/// A stage of the Dockerfile: its base, and its instructions with their continuation lines joined.
struct Stage {
    base: String,
    instructions: Vec<(String, String)>,
}

impl Stage {
    fn all<'a>(&'a self, keyword: &'a str) -> impl Iterator<Item = &'a str> {
        self.instructions
            .iter()
            .filter(move |(known, _)| known == keyword)
            .map(|(_, rest)| rest.as_str())
    }

    fn one<'a>(&'a self, keyword: &'a str) -> &'a str {
        let mut found = self.all(keyword);
        let one = found.next().unwrap_or_else(|| panic!("no {keyword}"));
        assert_eq!(found.next(), None, "{keyword}");
        one
    }
}

fn dockerfile() -> BTreeMap<String, Stage> {
    let text = file("Dockerfile").replace("\\\n", " ");
    let mut stages: BTreeMap<String, Stage> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines().map(str::trim) {
        let Some((keyword, rest)) = line.split_once(' ').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        if keyword == "FROM" {
            let (base, stage) = rest.split_once(" AS ").expect("every stage has a name");
            name = stage.to_owned();
            let stage = Stage {
                base: base.to_owned(),
                instructions: Vec::new(),
            };
            stages.insert(name.clone(), stage);
        } else if let Some(stage) = stages.get_mut(&name) {
            let instruction = (keyword.to_owned(), rest.trim().to_owned());
            stage.instructions.push(instruction);
        }
    }
    stages
}

/// The last value of an instruction in a stage and its base stages.
fn inherited<'a>(
    stages: &'a BTreeMap<String, Stage>,
    name: &str,
    keyword: &str,
) -> Option<&'a str> {
    let stage = stages.get(name)?;
    let own = stage
        .instructions
        .iter()
        .rev()
        .find(|(known, _)| known == keyword);
    match own {
        Some((_, rest)) => Some(rest),
        None => inherited(stages, &stage.base, keyword),
    }
}

// --- tests --------------------------------------------------------------------------------

#[test]
fn compose_runs_the_four_services_and_what_they_need() {
    let compose = compose();
    let services = services(&compose);
    let expected: BTreeSet<&str> = PROGRAMS.into_iter().chain(SERVERS).collect();
    assert_eq!(services.keys().copied().collect::<BTreeSet<_>>(), expected);
    for (name, service) in &services {
        let image = service["image"].as_str().unwrap();
        if PROGRAMS.contains(name) {
            assert_eq!(image, format!("marquee/{name}"));
            assert_eq!(service["build"]["target"], **name);
        } else {
            assert!(
                image.starts_with(&format!("{name}:")),
                "{image}: pinned to a version"
            );
        }
        let needed = service["depends_on"].as_object();
        for (other, how) in needed.into_iter().flatten() {
            assert!(
                services.contains_key(other.as_str()),
                "{name} waits for {other}"
            );
            assert_eq!(
                how["condition"], "service_healthy",
                "{name} waits for {other}"
            );
        }
        assert!(
            service["healthcheck"]["test"].is_array(),
            "{name} has a health check"
        );
    }
}

#[test]
fn every_variable_that_compose_gives_is_a_setting() {
    let compose = compose();
    for (name, service) in services(&compose) {
        if !PROGRAMS.contains(&name) {
            continue;
        }
        let known = settings(name);
        let given = environment(service);
        for (variable, value) in &given {
            let default = known
                .get(variable)
                .unwrap_or_else(|| panic!("{name} has no setting {variable}"));
            // Repeated defaults must be equal; URLs differ by their hosts.
            let own = variables(value)
                .into_iter()
                .find(|own| own.name == *variable);
            let text = filled(value);
            if own.is_some_and(|own| own.default.is_some())
                && !text.contains("://")
                && !variable.ends_with("_API_KEY")
            {
                assert_eq!(&text, default, "the default of {variable} in {name}");
            }
        }
        for variable in passed_on(service) {
            assert!(
                known.contains_key(variable),
                "{name} has no setting {variable}"
            );
        }
        // Defaults lead to localhost, which is useless in a container.
        for setting in known.keys().filter(|setting| setting.ends_with("_URL")) {
            assert!(given.contains_key(setting), "{name} needs {setting}");
        }
    }
}

#[test]
fn compose_can_set_every_setting_of_every_service() {
    let compose = compose();
    let services = services(&compose);
    for program in PROGRAMS {
        let service = services[program];
        let given = environment(service);
        let passed_on = passed_on(service);
        let known = settings(program);
        for setting in known.keys().map(String::as_str) {
            if setting.starts_with("REDIS_") && !known.contains_key("REDIS_URL") {
                continue;
            }
            let is_variable = given.get(setting).is_some_and(|value| value.contains("${"));
            assert!(
                is_variable
                    || passed_on.contains(setting)
                    || FIXED.contains(&setting)
                    || setting == "LOG_FORMAT",
                "{program} is not passed {setting}"
            );
        }
    }
}

#[test]
fn urls_between_services_lead_to_services() {
    let compose = compose();
    let services = services(&compose);
    let made = file("scripts/docker/databases.sql");
    let databases: BTreeSet<&str> = made
        .lines()
        .filter_map(|line| line.strip_prefix("create database ")?.strip_suffix(';'))
        .collect();
    let mut owners = BTreeMap::new();
    for (name, service) in &services {
        for (variable, value) in environment(service) {
            // The published port, in links of mails and as the issuer of tokens: for clients.
            let is_of_clients = ["PUBLIC_URL", "JWT_ISSUER"].contains(&variable.as_str());
            let Some(url) = Url::parse(&filled(&value)).ok().filter(|_| !is_of_clients) else {
                continue;
            };
            let host = url.host_str().unwrap_or_default().to_owned();
            assert!(
                services.contains_key(host.as_str()),
                "{name}: {variable} leads to {host}"
            );
            let path = url.path().trim_start_matches('/');
            match url.scheme() {
                "http" => assert_eq!(
                    url.port().unwrap().to_string(),
                    port(&host),
                    "{name}: {variable}"
                ),
                "postgres" => {
                    assert_eq!((host.as_str(), url.port()), ("postgres", Some(5432)));
                    assert!(
                        databases.contains(path),
                        "{name}: no service creates {path}"
                    );
                    assert_eq!(
                        owners.insert(path.to_owned(), *name),
                        None,
                        "{path} has one owner"
                    );
                    // It has no default, but an example.
                    let example = format!("such as postgres://localhost/{path}");
                    let defaults = file(&format!("{name}/config/default.toml"));
                    assert!(defaults.contains(&example), "{name}: {example}");
                }
                "redis" => {
                    assert_eq!((host.as_str(), url.port()), ("redis", Some(6379)));
                    let number = PROGRAMS.iter().position(|program| program == name).unwrap();
                    assert_eq!(
                        path,
                        number.to_string(),
                        "{name} has a logical database of its own"
                    );
                }
                other => panic!("{name}: {variable} is {other}"),
            }
            let waited_for = service["depends_on"].get(&host).is_some();
            // They wait for movie-service, which does not depend on them.
            let is_needed = *name != "movie-service" || !host.ends_with("-service");
            assert_eq!(
                waited_for, is_needed,
                "{name} waits for {host}, which {variable} leads to"
            );
        }
    }
    assert_eq!(owners.len(), databases.len(), "{owners:?}");
    let user = environment(services["postgres"])["POSTGRES_USER"].clone();
    for owner in owners.values() {
        let url = filled(&environment(services[owner])["DATABASE_URL"]);
        assert_eq!(Url::parse(&url).unwrap().username(), user);
    }
}

#[test]
fn only_the_gateway_can_be_reached_from_outside() {
    let compose = compose();
    for (name, service) in services(&compose) {
        let ports = service["ports"].as_array();
        if name == "gateway" {
            let [published] = &ports.unwrap()[..] else {
                panic!("one port");
            };
            let port = port("gateway");
            assert_eq!(
                filled(published.as_str().unwrap()),
                format!("{port}:{port}")
            );
        } else {
            assert!(ports.is_none(), "{name} publishes {ports:?}");
        }
        for open in ["network_mode", "privileged", "cap_add"] {
            assert!(service.get(open).is_none(), "{name}: {open}");
        }
    }
}

#[test]
fn the_gateway_always_verifies_tokens() {
    let compose = compose();
    let gateway = services(&compose)["gateway"];
    assert_eq!(environment(gateway)["AUTH_MODE"], "jwt");
    assert!(!file("docker-compose.yml").contains("ALLOW_MOCK_BEYOND_LOOPBACK"));
}

#[test]
fn secrets_have_no_default() {
    let text = file("docker-compose.yml");
    for secret in SECRETS {
        let uses: Vec<Variable> = variables(&text)
            .into_iter()
            .filter(|variable| variable.name == secret)
            .collect();
        assert!(!uses.is_empty(), "{secret}");
        assert!(
            uses.iter().all(|variable| variable.default.is_none()),
            "{secret}"
        );
        let example = file(".env.example");
        assert!(
            example.lines().any(|line| line == format!("{secret}=")),
            "{secret}"
        );
    }
    // Settings that are named like secrets come from secrets.
    let compose = compose();
    for (name, service) in services(&compose) {
        for (variable, value) in environment(service) {
            let is_secret = ["SECRET", "TOKEN", "PASSWORD"]
                .iter()
                .any(|word| variable.contains(word));
            if is_secret {
                let variables = variables(&value);
                let from_secret = variables.iter().any(|one| {
                    SECRETS.contains(&one.name.as_str())
                        || (OPTIONAL_SECRETS.contains(&one.name.as_str())
                            && one.default.as_deref() == Some(""))
                });
                assert!(from_secret, "{name}: {variable}={value}");
            }
        }
    }
    for program in &PROGRAMS[..4] {
        for (setting, default) in settings(program) {
            let is_secret = setting.ends_with("API_KEY")
                || ["SECRET", "TOKEN", "PASSWORD"]
                    .iter()
                    .any(|word| setting.contains(word));
            assert!(!is_secret || default.is_empty(), "{program}: {setting}");
        }
    }
}

#[test]
fn compose_stops_services_later_than_they_stop_themselves() {
    let compose = compose();
    for (name, service) in services(&compose) {
        let Some(grace) =
            settings_of(name).and_then(|known| known.get("SHUTDOWN_GRACE_SECONDS").cloned())
        else {
            continue;
        };
        let given = service["stop_grace_period"]
            .as_str()
            .unwrap()
            .trim_end_matches('s');
        let (given, grace): (u64, u64) = (given.parse().unwrap(), grace.parse().unwrap());
        assert!(
            given > grace,
            "{name}: {given} s to stop in, of which it uses {grace}"
        );
    }
}

fn settings_of(name: &str) -> Option<BTreeMap<String, String>> {
    PROGRAMS.contains(&name).then(|| settings(name))
}

#[test]
fn images_run_one_program_each_without_rights() {
    let stages = dockerfile();
    let build = stages["build"].instructions.iter();
    let build: String = build
        .map(|(_, rest)| rest.as_str())
        .collect::<Vec<_>>()
        .join(" ");
    for program in PROGRAMS {
        let stage = &stages[program];
        let port = port(program);
        let copied = stage.one("COPY");
        assert_eq!(
            copied,
            format!("--from=build /programs/{program} /usr/local/bin/{program}")
        );
        assert!(
            build.contains(&format!("target/release/{program} "))
                || build.ends_with(&format!("target/release/{program}"))
        );
        assert_eq!(stage.one("ENTRYPOINT"), format!("[\"{program}\"]"));
        assert_eq!(stage.one("EXPOSE"), port);
        assert_eq!(stage.one("ENV"), format!("SERVER_PORT={port}"));
        let health = stage.one("HEALTHCHECK");
        assert!(
            health.ends_with(&format!("CMD [\"{program}\", \"healthcheck\"]")),
            "{health}"
        );
        let user = inherited(&stages, program, "USER").expect("a user");
        let number: u32 = user
            .split(':')
            .next()
            .unwrap()
            .parse()
            .expect("a number, which Kubernetes can check");
        assert_ne!(number, 0);
        assert_eq!(inherited(&stages, program, "STOPSIGNAL"), Some("SIGTERM"));
        let defaults = inherited(&stages, &stage.base, "ENV").unwrap();
        let known = settings(program);
        for (name, _) in defaults
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='))
        {
            let of_another = program == "demo-tmdb" && name == "LOG_FORMAT";
            assert!(
                of_another || known.contains_key(name),
                "{program} has no setting {name}"
            );
        }
    }
    let toolchain = file("rust-toolchain.toml");
    let version = file("Dockerfile");
    let version = version
        .lines()
        .find_map(|line| line.strip_prefix("ARG RUST_VERSION="))
        .unwrap();
    let minimum = file("Cargo.toml");
    let minimum = minimum
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap();
    assert!(
        version.starts_with(minimum.trim_matches('"')) || toolchain.contains(version),
        "{version}"
    );
}

#[test]
fn health_checks_use_existing_commands_and_paths() {
    let compose = compose();
    for (name, service) in services(&compose) {
        let command: Vec<&str> = service["healthcheck"]["test"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        match name {
            "postgres" => assert_eq!(command[..2], ["CMD", "pg_isready"]),
            "redis" => assert_eq!(command, ["CMD", "redis-cli", "ping"]),
            program => assert_eq!(command, ["CMD", program, "healthcheck"]),
        }
    }
    for program in PROGRAMS {
        // 1: no service is running; 64 would be an unknown command.
        let unused_port = chassis::testing::free_port().to_string();
        assert_eq!(
            exit_code(program, "healthcheck", &unused_port),
            1,
            "{program}"
        );
    }
}

#[test]
fn every_program_prints_its_help_and_version() {
    for program in PROGRAMS {
        let printed = |argument: &str| {
            let output = Command::new(binary(program))
                .arg(argument)
                .env_clear()
                .output()
                .unwrap();
            assert!(output.status.success(), "{program} {argument}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let version = printed("--version");
        assert_eq!(
            version.trim(),
            format!("{program} {}", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(version, printed("-V"));
        let help = printed("--help");
        for part in [
            &format!("Usage: {program} ")[..],
            "healthcheck",
            "--version",
            "ettings",
        ] {
            assert!(
                help.contains(part),
                "{program} has no {part} in its help: {help}"
            );
        }
        assert_eq!(exit_code(program, "nonsense", "0"), 64, "{program}");
    }
}

/// The exit code of `program` with only a port set; fails if it takes long.
fn exit_code(program: &str, command: &str, port: &str) -> i32 {
    let mut child = Command::new(binary(program))
        .arg(command)
        .env_clear()
        .env("SERVER_PORT", port)
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("{program} {command} does not end");
}

// --- .env.example -------------------------------------------------------------------------------------

/// The settings of .env.example with their values, including commented ones.
fn example() -> BTreeMap<String, String> {
    let lines = example_lines();
    let count = lines.len();
    let settings: BTreeMap<_, _> = lines.into_iter().collect();
    assert_eq!(settings.len(), count, "each setting is named once");
    settings
}

fn example_lines() -> Vec<(String, String)> {
    let text = file(".env.example");
    text.lines()
        .map(|line| line.trim_start_matches('#'))
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| {
            let is_name = |letter: char| {
                letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_'
            };
            !name.is_empty() && name.chars().all(is_name)
        })
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn env_example_has_every_setting_once_and_nothing_else() {
    let example = example();
    let compose: BTreeSet<String> = variables(&file("docker-compose.yml"))
        .into_iter()
        .map(|variable| variable.name)
        .collect();
    let scripts: String = [
        "dev-services.sh",
        "test.sh",
        "lib/base.sh",
        "lib/install.sh",
        "lib/servers.sh",
        "lib/stack.sh",
    ]
    .map(|script| file(&format!("scripts/{script}")))
    .concat();
    let known: Vec<BTreeMap<String, String>> = PROGRAMS.into_iter().map(settings).collect();
    for name in example.keys() {
        let is_setting = known.iter().any(|settings| settings.contains_key(name));
        let is_used = is_setting || compose.contains(name) || mentions(&scripts, name);
        assert!(is_used, "nothing reads {name}");
    }
    for name in known.iter().flat_map(BTreeMap::keys).chain(&compose) {
        assert!(
            example.contains_key(name),
            ".env.example says nothing of {name}"
        );
    }
}

#[test]
fn every_program_accepts_the_settings_of_all_others() {
    let all: HashMap<String, String> = PROGRAMS
        .into_iter()
        .flat_map(settings)
        .chain(example())
        .filter(|(name, _)| name != "CONFIG_FILE")
        .collect();
    for program in PROGRAMS {
        let defaults = file(&format!("{program}/config/default.toml"));
        if let Err(error) = chassis::Settings::merge(&defaults, &all) {
            panic!("{program}: {error}; name one of the two differently");
        }
    }
}

/// True if `text` contains the word `name`.
fn mentions(text: &str, name: &str) -> bool {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .any(|word| word == name)
}

#[test]
fn env_example_shows_the_defaults() {
    for (name, value) in example() {
        let defaults: BTreeSet<String> = PROGRAMS
            .into_iter()
            .filter_map(|program| settings(program).get(&name).cloned())
            .collect();
        // Empty values are to be filled in; URLs and settings of single services are examples.
        let is_example = value.is_empty() || value.contains("://") || defaults.is_empty();
        assert!(
            is_example || defaults.contains(&value),
            "{name}={value}, but it is {defaults:?}"
        );
    }
}
