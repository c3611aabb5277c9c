//! The page at `/` and its files, which are parts of the program: plain HTML, CSS and JavaScript modules, served as they are
//! written in `gateway/page`. The page makes no request to other hosts.

use std::sync::LazyLock;

use bytes::Bytes;
use chassis::{
    Problem,
    conditional::{names_etag, strong_etag},
    problem::from_status,
};
use hyper::{
    HeaderMap, StatusCode,
    header::{ETAG, HeaderValue, IF_NONE_MATCH},
};
use serde::Serialize;

use super::add_file_headers;
use crate::{
    config::AuthMode,
    message::Response,
    middleware::auth::{Principal, Role},
    response::{self, Body},
};

/// The name of the page among its files.
const INDEX: &str = "index.html";

/// The files by name; a test compares them with the directory.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../../page/", $name)).as_slice())),*]
    };
}

static FILE_CONTENTS: &[(&str, &[u8])] = &files![
    "account.js",
    "actions.js",
    "admin.js",
    "api.js",
    "app.css",
    "app.js",
    "catalogue.js",
    "data.js",
    "deck.js",
    "device.js",
    "discover.js",
    "dom.js",
    "experiments.js",
    "film.js",
    "foryou.js",
    "history.js",
    "icon.svg",
    "imports.js",
    "index.html",
    "logins.js",
    "me.js",
    "more.js",
    "results.js",
    "search.js",
    "settings.js",
    "status.js",
    "taste.js",
    "texts.js",
    "tiles.js",
    "together.js",
    "users.js",
    "views.css",
    "votes.js",
    "webhooks.js",
    "why.js",
    "words.js",
];

/// A file of the page.
struct File {
    name: &'static str,
    content_type: HeaderValue,
    etag: HeaderValue,
    content: Bytes,
}

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let file = |(name, content): (&'static str, &'static [u8])| File {
        name,
        content_type: content_type(name),
        etag: strong_etag(content),
        content: Bytes::from_static(content),
    };
    FILE_CONTENTS.iter().copied().map(file).collect()
});

/// The files load nothing inline and nothing from elsewhere.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

fn content_type(name: &str) -> HeaderValue {
    let extension = name.rsplit('.').next().unwrap_or_default();
    HeaderValue::from_static(match extension {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "webmanifest" => "application/manifest+json",
        _ => "application/octet-stream",
    })
}

/// `/page/{name}`, or the page itself if `name` is empty; 304 if `headers` name the present entity tag.
///
/// # Errors
/// 404 if there is no such file.
pub(crate) fn file(name: &str, headers: &HeaderMap) -> Result<Response<Body>, Problem> {
    let name = if name.is_empty() { INDEX } else { name };
    let file = FILES.iter().find(|file| file.name == name);
    let file = file.ok_or_else(|| from_status(StatusCode::NOT_FOUND))?;
    let mut known = headers.get_all(IF_NONE_MATCH).iter();
    let is_known = known.any(|list| names_etag(list, &file.etag));
    let mut response = match is_known {
        true => response::empty(StatusCode::NOT_MODIFIED),
        false => response::document(StatusCode::OK, &file.content_type, file.content.clone()),
    };
    let headers = &mut response.headers;
    add_file_headers(headers, POLICY);
    headers.insert(ETAG, &file.etag);
    Ok(response)
}

/// `GET /session`: the mode of authentication, and the user of the session, `principal`, if there is one.
pub(crate) fn session(mode: AuthMode, principal: Option<&Principal>) -> Response<Body> {
    #[derive(Serialize)]
    struct User<'a> {
        id: &'a str,
        role: Role,
    }
    #[derive(Serialize)]
    struct Session<'a> {
        mode: &'static str,
        user: Option<User<'a>>,
    }
    let session = Session {
        mode: match mode {
            AuthMode::Mock => "mock",
            AuthMode::Jwt => "jwt",
        },
        user: principal.map(|principal| User {
            id: &principal.subject,
            role: principal.role,
        }),
    };
    response::json(StatusCode::OK, &session)
}
