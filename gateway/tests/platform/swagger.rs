//! Swagger UI in a real browser: every document loads, a request can be tried out, no request leaves the machine and
//! the console has no errors.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{Browser, Page, Platform, PlatformOptions};

/// The documents, in the order of the page.
const DOCUMENTS: [&str; 4] = [
    "marquee",
    "movie-service",
    "preference-service",
    "recommendation-service",
];

/// Sets a field's value so that React notices it, as typing does.
const TYPING: &str = "
    window.type = (field, value) => {
        const kind = field.tagName === 'SELECT' ? HTMLSelectElement : HTMLInputElement;
        Object.getOwnPropertyDescriptor(kind.prototype, 'value').set.call(field, value);
        field.dispatchEvent(new Event('input', { bubbles: true }));
        field.dispatchEvent(new Event('change', { bubbles: true }));
        field.dispatchEvent(new FocusEvent('focusout', { bubbles: true }));
    };
    true";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swagger_ui_shows_every_document_and_can_try_a_request_out() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let platform = Platform::with_films(1, PlatformOptions::jwt()).await;
    let page = browser.page().await;
    let base = platform.gateways[0].url();
    let swagger = json!({"url": format!("{base}/swagger/")});
    page.call("Page.navigate", swagger).await;
    page.until(
        "the drop-down",
        "document.querySelectorAll('#select option').length > 0",
    )
    .await;
    page.evaluate(TYPING).await;
    every_document_loads(&platform, &page).await;
    a_request_is_tried_out(&platform, &page).await;
    if let Some(path) = std::env::var_os("PLATFORM_SCREENSHOT") {
        page.screenshot(&PathBuf::from(path)).await;
    }
    page.assert_no_request_left(&base);
    page.assert_no_errors();
    assert_eq!(platform.errors_logged(), [""; 0]);
}

async fn every_document_loads(platform: &Platform, page: &Page) {
    let options = page
        .evaluate(
            "[...document.querySelectorAll('#select option')].map(o => [o.textContent, o.value])",
        )
        .await;
    let options: Vec<(String, String)> = serde_json::from_value(options).unwrap();
    let names: Vec<&str> = options.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, DOCUMENTS);
    let stranger = platform.client().bare();
    for (name, url) in &options {
        let document = stranger.get(url).await.expect(200);
        let operations: usize = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .map(|path| {
                let methods = path.as_object().unwrap().keys();
                methods.filter(|method| *method != "parameters").count()
            })
            .sum();
        assert!(operations > 0, "{name}");
        choose(page, url, &document["info"]["title"]).await;
        let shown = format!("document.querySelectorAll('.opblock').length === {operations}");
        page.until(&format!("{operations} operations of {name}"), &shown)
            .await;
        let errors = page
            .evaluate("[...document.querySelectorAll('.errors-wrapper, .loading-container .failed-config')].map(e => e.textContent)")
            .await;
        assert_eq!(errors, json!([]), "{name}");
        println!("{name}: {operations} operations shown");
    }
}

/// Selects a document and waits until it is shown.
async fn choose(page: &Page, url: &str, title: &Value) {
    let script = format!(
        "type(document.querySelector('#select'), {}); true",
        json!(url)
    );
    page.evaluate(&script).await;
    // The title is followed by the version.
    let shown =
        format!("(document.querySelector('.info .title')?.textContent ?? '').startsWith({title})");
    page.until(&format!("the document {title}"), &shown).await;
}

async fn a_request_is_tried_out(platform: &Platform, page: &Page) {
    let url = "/swagger/docs/movie-service.json";
    let document = platform.client().bare().get(url).await.expect(200);
    choose(page, url, &document["info"]["title"]).await;
    let token = platform.token(&["--role", "user", "--subject", "1"]);
    click(page, ".auth-wrapper .authorize").await;
    page.until(
        "the field for a token",
        "!!document.querySelector('.auth-container input')",
    )
    .await;
    let script = format!(
        "type(document.querySelector('.auth-container input'), {}); true",
        json!(token)
    );
    page.evaluate(&script).await;
    click(page, ".auth-btn-wrapper .authorize").await;
    page.until(
        "authorized",
        "!!document.querySelector('.auth-btn-wrapper .btn-done')",
    )
    .await;
    click(page, ".auth-btn-wrapper .btn-done").await;

    let block = "[...document.querySelectorAll('.opblock-get')].find(b => b.querySelector('[data-path=\"/api/v1/movies\"]'))";
    page.evaluate(&format!(
        "{block}.querySelector('.opblock-summary-control').click(); true"
    ))
    .await;
    let button =
        format!("!!({block}.querySelector('.execute') || {block}.querySelector('.try-out__btn'))");
    page.until("the operation is open", &button).await;
    page.evaluate(&format!("if (!{block}.querySelector('.execute')) {block}.querySelector('.try-out__btn').click(); true"))
        .await;
    // The button appears before the parameters of the operation.
    let ready = format!(
        "!!{block}.querySelector('.execute') && !!{block}.querySelector('tr[data-param-name=page] input')"
    );
    page.until("it can be executed", &ready).await;
    // The values from the examples are tested below.
    page.evaluate(&format!(
        "{block}.querySelectorAll('tr[data-param-name] input').forEach(field => type(field, '')); true"
    ))
    .await;
    let status = format!(
        "{block}.querySelector('.live-responses-table tr.response td.response-col_status')?.textContent ?? ''"
    );
    page.evaluate(&format!("{block}.querySelector('.execute').click(); true"))
        .await;
    page.until("a response", &format!("({status}) !== ''"))
        .await;
    let shown = page
        .evaluate(&format!(
            "{block}.querySelector('.live-responses-table')?.textContent"
        ))
        .await;
    let status = page.evaluate(&status).await;
    assert!(status.as_str().unwrap().starts_with("200"), "{shown}");
    assert!(
        shown.as_str().unwrap().contains("\"total_results\""),
        "{shown}"
    );
    println!(
        "GET /api/v1/movies tried out: {}",
        status.as_str().unwrap().trim()
    );
}

async fn click(page: &Page, selector: &str) {
    let there = format!("!!document.querySelector('{selector}')");
    page.until(selector, &there).await;
    page.evaluate(&format!(
        "document.querySelector('{selector}').click(); true"
    ))
    .await;
}

/// Swagger UI fills in the `example` of a parameter, else its `default`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_made_of_the_examples_are_accepted() {
    let platform = Platform::with_films(5, PlatformOptions::default()).await;
    let client = platform.client();
    let mut wrong = Vec::new();
    for name in &DOCUMENTS {
        let url = format!("/swagger/docs/{name}.json");
        let document = client.get(&url).await.expect(200);
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                let (target, body) = filled_in(&document, path, operation);
                let response = client
                    .try_send(method.clone(), &target, body)
                    .await
                    .unwrap();
                let status = response.status.as_u16();
                println!("{method} {target}: {status}");
                if status == 400 || status >= 500 {
                    wrong.push(format!(
                        "{method} {target}: {status} {}",
                        response.body["error"]
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The target and the body of a request made of the examples of `operation`.
fn filled_in(document: &Value, path: &str, operation: &Value) -> (String, Option<String>) {
    let mut target = path.to_owned();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        let schema = &parameter["schema"];
        let examples = [
            &parameter["example"],
            &schema["example"],
            &schema["default"],
        ];
        let Some(example) = examples.into_iter().find(|example| !example.is_null()) else {
            continue;
        };
        let text = example
            .as_str()
            .map_or_else(|| example.to_string(), str::to_owned);
        match parameter["in"].as_str() {
            Some("path") => target = target.replace(&format!("{{{name}}}"), &text),
            Some("query") => {
                query.append_pair(name, &text);
            }
            _ => {}
        }
    }
    let query = query.finish();
    if !query.is_empty() {
        target = format!("{target}?{query}");
    }
    let content = &operation["requestBody"]["content"];
    if let Some(csv) = content["text/csv"]["example"].as_str() {
        return (target, Some(csv.to_owned()));
    }
    let form = &content["application/x-www-form-urlencoded"]["schema"];
    let json = &content["application/json"]["schema"];
    let is_form = json.is_null() && !form.is_null();
    let schema = if is_form { form } else { json };
    let schema = match schema["$ref"].as_str() {
        Some(pointer) => document.pointer(pointer.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    let body = &schema["example"];
    if is_form {
        let mut fields = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in body.as_object().into_iter().flatten() {
            fields.append_pair(name, value.as_str().unwrap());
        }
        return (target, Some(fields.finish()));
    }
    (target, (!body.is_null()).then(|| body.to_string()))
}
