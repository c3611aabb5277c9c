//! Validates responses against the committed OpenAPI documents: the status, the content type and the body. Called for
//! each response of a test, so that what documents say of an operation is what it does.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex},
};

use hyper::{Method, header::CONTENT_TYPE};
use jsonschema::{Draft, Validator};
use serde_json::Value;

use super::TestResponse;

/// Documents by name, and validators by document, operation, status and content type.
#[derive(Default)]
struct Cache {
    documents: HashMap<String, Arc<Value>>,
    validators: HashMap<String, Arc<Validator>>,
}

static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(Mutex::default);

/// Asserts that one of `openapi/<name>.json` describes `response` to a request of `method` and `path`. Paths and methods
/// that none of them has are not part of the API and pass.
///
/// # Panics
/// If the status or the content type is not documented, or the body violates its schema.
pub fn assert_documented(names: &[&str], method: &Method, path: &str, response: &TestResponse) {
    let is_head = method == Method::HEAD;
    let key = if is_head { "get" } else { method.as_str() };
    let key = key.to_ascii_lowercase();
    let operations = names.iter().filter_map(|name| {
        let document = document(name);
        let template = template(&document, &key, path)?.to_owned();
        Some((document, template))
    });
    let literals = |template: &str| template.matches('/').count() - template.matches('{').count();
    let Some((document, template)) = operations.max_by_key(|(_, found)| literals(found)) else {
        return;
    };
    let (status, text) = (response.status.as_u16(), &response.text);
    let place = format!("{method} {template} {status}");
    let documented = &document["paths"][&template][&key]["responses"][status.to_string()];
    let documented = resolve(&document, documented);
    assert!(documented.is_object(), "{place} is not documented: {text}");
    let content = documented["content"].as_object();
    let Some(content) = content.filter(|_| !is_head) else {
        assert!(text.is_empty(), "{place} has an undocumented body: {text}");
        return;
    };
    let kind = response.headers.get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    let media = content.get(kind);
    let media =
        media.unwrap_or_else(|| panic!("{place} is not documented as {kind:?}, but sent: {text}"));
    if !kind.ends_with("json") {
        return;
    }
    let body: Value =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{place}: {error}: {text}"));
    let validator = validator(&format!("{place} {kind}"), &document, &media["schema"]);
    let errors: Vec<String> = validator
        .iter_errors(&body)
        .map(|error| format!("{error} at {:?}", error.instance_path().to_string()))
        .collect();
    assert!(
        errors.is_empty(),
        "{place} violates its schema: {}\n{text}",
        errors.join("; ")
    );
}

/// The most literal path template of `document` that matches `path` and has an operation `method`.
fn template<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a str> {
    let paths = document["paths"].as_object()?.iter();
    let matches = |template: &str| {
        let (mut known, mut given) = (template.split('/'), path.split('/'));
        loop {
            match (known.next(), given.next()) {
                (None, None) => return true,
                (Some(known), Some(given)) if known == given || known.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    paths
        .filter(|(template, item)| item.get(method).is_some() && matches(template))
        .map(|(template, _)| template.as_str())
        .min_by_key(|template| template.matches('{').count())
}

/// `item`, or the component that it refers to.
fn resolve<'a>(document: &'a Value, item: &'a Value) -> &'a Value {
    match item["$ref"].as_str() {
        Some(pointer) => document.pointer(&pointer[1..]).expect("a component"),
        None => item,
    }
}

fn document(name: &str) -> Arc<Value> {
    let mut cache = CACHE.lock().expect("the cache of documents");
    let documents = &mut cache.documents;
    let document = documents.entry(name.to_owned()).or_insert_with(|| {
        let text = std::fs::read_to_string(path(name)).expect("a committed document");
        Arc::new(serde_json::from_str(&text).expect("JSON"))
    });
    Arc::clone(document)
}

/// The path of the committed document `name`.
pub(super) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../openapi/{name}.json"))
}

fn validator(place: &str, document: &Value, schema: &Value) -> Arc<Validator> {
    let key = format!("{} {place}", document["info"]["title"]);
    let mut cache = CACHE.lock().expect("the cache of validators");
    let validator = cache.validators.entry(key).or_insert_with(|| {
        let mut schema = schema.clone();
        schema["components"] = document["components"].clone();
        let options = jsonschema::options().with_draft(Draft::Draft202012);
        let validator = options.should_validate_formats(true).build(&schema);
        Arc::new(validator.unwrap_or_else(|error| panic!("{place}: {error}")))
    });
    Arc::clone(validator)
}
