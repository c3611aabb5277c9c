//! The file of `routes_file`: TOML with groups of instances and the routes to them. Read at the start and by
//! [`super::reload`]; an error names the faulty entry, and a file with one is refused whole.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path, sync::Arc};

use chassis::{
    config::{ConfigError, nearest},
    tls::{Roots, client_config},
};
use config::{Config, FileFormat, Value};
use hyper::header::{HeaderName, HeaderValue};
use rustls::ClientConfig;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Group, GroupRules, Rule, Share};
use crate::{
    config::{GatewayConfig, origin},
    middleware::auth::limit_id,
    proxy::DEFAULT_GROUP,
    routes::{Handler, ROUTES, Router, Service},
};

const MAX_FILE_BYTES: u64 = 256 * 1024;
const MAX_GROUPS: usize = 64;
const MAX_ROUTES: usize = 256;
const MAX_URLS: usize = 64;
const MAX_NAME_BYTES: usize = 64;

/// The content of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    groups: BTreeMap<String, Value>,
    #[serde(default)]
    routes: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupEntry {
    service: String,
    urls: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteEntry {
    group: String,
    path: Option<String>,
    host: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    users_percent: Option<f64>,
}

/// The rules of the file at `path`. `tls` is that of the ordinary instances, if they have one.
///
/// # Errors
/// Returns [`ConfigError::Invalid`], which names the file and the faulty entry, if the file cannot be read or an entry is
/// invalid.
pub(super) fn read(
    path: &Path,
    config: &GatewayConfig,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<GroupRules, ConfigError> {
    let name = path.display();
    let rules = text(path)
        .and_then(|text| parse(&text))
        .map_err(|reason| ConfigError::Invalid(format!("ROUTES_FILE {name}: {reason}")))?;
    let urls = rules.groups.iter().flat_map(|group| &group.urls);
    let tls = match tls {
        Some(tls) => Some(Arc::clone(tls)),
        None if urls.into_iter().all(|url| url.scheme() == "http") => None,
        None => Some(Arc::new(client_config(&config.process, Roots::Platform)?)),
    };
    Ok(GroupRules { tls, ..rules })
}

fn text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut file = file.take(MAX_FILE_BYTES + 1);
    let read = file.read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it has more than {MAX_FILE_BYTES} bytes"));
    }
    Ok(text)
}

fn parse(text: &str) -> Result<GroupRules, String> {
    let file = Config::builder()
        .add_source(config::File::from_str(text, FileFormat::Toml))
        .build();
    let content = file.and_then(Config::try_deserialize::<Content>);
    let content = content.map_err(|error| one_line(&error.to_string()))?;
    if content.groups.len() > MAX_GROUPS || content.routes.len() > MAX_ROUTES {
        return Err(format!(
            "at most {MAX_GROUPS} groups and {MAX_ROUTES} routes are possible"
        ));
    }
    let groups = content
        .groups
        .into_iter()
        .map(|(name, entry)| {
            let reason = |reason| format!("groups.{}: {reason}", one_line(&name));
            typed(entry)
                .and_then(|entry| group(&name, &entry))
                .map_err(reason)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let router = Router::new();
    let patterns: Vec<&str> = router.patterns().collect();
    let mut by_path = vec![Vec::new(); patterns.len()];
    let mut rules = Vec::new();
    for (index, entry) in content.routes.into_iter().enumerate() {
        let (rule, paths) = typed(entry)
            .and_then(|entry| rule(entry, &groups, &patterns))
            .map_err(|reason| format!("routes[{index}]: {reason}"))?;
        for path in paths {
            by_path[path].push(index);
        }
        rules.push(rule);
    }
    Ok(GroupRules {
        groups,
        rules,
        by_path,
        tls: None,
    })
}

/// An entry as `T`; its caller names it in errors.
fn typed<T: DeserializeOwned>(entry: Value) -> Result<T, String> {
    let typed = entry.try_deserialize();
    typed.map_err(|error| one_line(&error.to_string()))
}

fn group(name: &str, entry: &GroupEntry) -> Result<Group, String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(is_allowed) {
        return Err(format!(
            "a name has 1 to {MAX_NAME_BYTES} of the characters a-z, 0-9 and -"
        ));
    }
    if name == DEFAULT_GROUP {
        return Err("this is the name of the ordinary instances".to_owned());
    }
    let services = Service::ALL.map(Service::name);
    let service = Service::ALL
        .into_iter()
        .find(|service| service.name() == entry.service)
        .ok_or_else(|| format!("service must be one of {}", services.join(", ")))?;
    if entry.urls.is_empty() || entry.urls.len() > MAX_URLS {
        return Err(format!("urls must have 1 to {MAX_URLS} entries"));
    }
    let urls = entry.urls.iter().map(|url| origin(url));
    let urls = urls
        .collect::<Result<Vec<_>, _>>()
        .map_err(|reason| format!("urls: {reason}"))?;
    Ok(Group {
        name: name.to_owned(),
        service,
        urls,
    })
}

/// The rule of `entry`, and the indices of the paths that it may apply to.
fn rule(
    entry: RouteEntry,
    groups: &[Group],
    patterns: &[&str],
) -> Result<(Rule, Vec<usize>), String> {
    let group = groups.iter().position(|group| group.name == entry.group);
    let Some(group) = group else {
        let names = groups.iter().map(|group| group.name.as_str());
        let hint = nearest(&entry.group, names);
        let hint = hint.map_or(String::new(), |name| format!(" (did you mean `{name}`?)"));
        let group = one_line(&entry.group);
        return Err(format!("there is no group `{group}`{hint}"));
    };
    let service = groups[group].service;
    let paths: Vec<usize> = paths_of(service, entry.path.as_deref(), patterns).collect();
    if paths.is_empty() {
        return Err(format!(
            "no path of {} begins with path = `{}`; path parameters are written as in the API's document, for example \
             /api/v1/users/{{id}}",
            service.name(),
            one_line(&entry.path.unwrap_or_default())
        ));
    }
    let rule = Rule {
        group,
        service,
        host: entry.host.as_deref().map(host).transpose()?,
        headers: (entry.headers.iter())
            .map(|(name, value)| header(name, value))
            .collect::<Result<_, _>>()?,
        users: entry
            .users_percent
            .map(|percent| share(&entry.group, percent))
            .transpose()?,
    };
    Ok((rule, paths))
}

/// The indices of the paths with a route of `service` that are `prefix` or below it.
fn paths_of(
    service: Service,
    prefix: Option<&str>,
    patterns: &[&str],
) -> impl Iterator<Item = usize> {
    patterns
        .iter()
        .enumerate()
        .filter_map(move |(index, path)| {
            let is_below = prefix.is_none_or(|prefix| {
                let rest = path.strip_prefix(prefix.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            let has_route = || {
                let mut routes = ROUTES.iter();
                routes
                    .any(|route| route.path == *path && route.handler == Handler::Upstream(service))
            };
            (is_below && has_route()).then_some(index)
        })
}

fn host(host: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    let has_port = !host.ends_with(']') && host.contains(':');
    if host.is_empty() || has_port || !host.bytes().all(is_allowed) {
        return Err("host must be a host name or address, without scheme and port".to_owned());
    }
    Ok(host.trim_end_matches('.').to_ascii_lowercase())
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let invalid = || format!("headers: `{}` is not a valid header", one_line(name));
    let parsed = HeaderName::try_from(name).map_err(|_| invalid())?;
    if value.is_empty() {
        return Err(format!("headers: `{name}` needs a value"));
    }
    let value = HeaderValue::try_from(value).map_err(|_| invalid())?;
    Ok((parsed, value))
}

fn share(group: &str, percent: f64) -> Result<Share, String> {
    if !(0.0..=100.0).contains(&percent) {
        return Err("users_percent must be 0 to 100".to_owned());
    }
    let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = limit_id(group.as_bytes()).to_be_bytes();
    let multiplier = u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7]) | 1;
    Ok(Share {
        multiplier,
        percent,
    })
}

/// `text` without line breaks: errors are one line of the log.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
