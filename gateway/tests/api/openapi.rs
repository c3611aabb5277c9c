//! The public OpenAPI document, which is merged from the services' documents.

use gateway::{
    openapi::{NAME, document},
    routes::{Access, Handler, Limits, ROUTES, Route},
};
use serde_json::{Value, json};

#[test]
fn openapi_is_committed() {
    chassis::testing::assert_openapi_is_committed(NAME, &document());
}

fn committed(name: &str) -> Value {
    let path = format!("{}/../openapi/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The routes of the API, with their operations in the public document.
fn operations() -> impl Iterator<Item = (&'static Route, Value)> {
    let document = committed(NAME);
    let is_api = |route: &&Route| {
        !matches!(
            route.handler,
            Handler::Swagger | Handler::SwaggerRedirect | Handler::Page | Handler::PageSession
        )
    };
    ROUTES.iter().filter(is_api).map(move |route| {
        let method = route.method.as_str().to_lowercase();
        (route, document["paths"][route.path][method].clone())
    })
}

#[test]
fn every_route_is_an_operation_with_a_success_and_its_problems() {
    let mut ids = std::collections::HashSet::new();
    for (route, operation) in operations() {
        let place = format!("{} {}", route.method, route.path);
        for text in ["summary", "description", "operationId"] {
            assert!(operation[text].is_string(), "{text} of {place}");
        }
        assert!(ids.insert(operation["operationId"].to_string()), "{place}");
        let responses = operation["responses"].as_object().unwrap();
        let successes = responses
            .iter()
            .filter(|(status, _)| status.starts_with('2'));
        let mut count = 0;
        for (status, success) in successes {
            let content = success["content"].as_object();
            let schemas = content
                .into_iter()
                .flatten()
                .map(|(_, media)| &media["schema"]);
            assert_eq!(
                status != "204",
                schemas.clone().count() > 0,
                "{status} of {place}"
            );
            assert!(
                schemas.into_iter().all(Value::is_object),
                "{status} of {place}"
            );
            count += 1;
        }
        assert!(count > 0, "{place}");
        let mut expected = vec!["500"];
        if matches!(route.handler, Handler::Upstream(_)) {
            expected.extend([
                "400", "404", "408", "413", "414", "429", "502", "503", "504",
            ]);
        }
        if !matches!(route.access, Access::Public | Access::SignUp) {
            expected.extend(["401", "403"]);
        }
        for status in expected {
            assert!(responses.contains_key(status), "{status} of {place}");
        }
    }
}

#[test]
fn security_is_that_of_the_route() {
    for (route, operation) in operations() {
        let bearer = json!({"bearer": []});
        let expected = match route.access {
            Access::Public => json!([]),
            Access::SignUp | Access::Operator => json!([{}, bearer]),
            Access::AnyUser | Access::ThatUser | Access::Moderator | Access::Admin => {
                json!([bearer])
            }
        };
        assert_eq!(operation["security"], expected, "{}", route.path);
    }
}

#[test]
fn parameters_have_an_example_and_those_that_must_be_sent_are_required() {
    let mut count = 0;
    for (route, operation) in operations() {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let mut in_path = 0;
        for parameter in parameters {
            let place = format!("{} of {}", parameter["name"], route.path);
            let schema = &parameter["schema"];
            assert!(schema.get("$ref").is_none(), "{place}");
            let is_in_path = parameter["in"] == "path";
            // The text of a search, the token of a link, and the header against forgery.
            let is_admin = route.path.starts_with("/api/v1/admin/");
            let is_needed = parameter["name"] == "token"
                || parameter["name"] == "X-Marquee"
                || (parameter["name"] == "q" && !is_admin);
            let is_required = is_in_path || is_needed;
            // Swagger UI sends `example`, so only parameters that must be sent have it.
            let example = match is_required {
                true => parameter.get("example").or(schema.get("example")),
                false => schema["examples"].get(0),
            };
            assert!(example.is_some(), "{place}");
            assert_eq!(parameter["required"], is_required, "{place}");
            in_path += usize::from(is_in_path);
            count += 1;
        }
        assert_eq!(in_path, route.path.matches('{').count(), "{}", route.path);
    }
    assert!(count > 150, "{count}");
}

#[test]
fn operations_and_components_are_those_of_the_services() {
    let document = committed(NAME);
    for (route, operation) in operations() {
        let Handler::Upstream(service) = route.handler else {
            continue;
        };
        let theirs = committed(service.name());
        let method = route.method.as_str().to_lowercase();
        let their_operation = &theirs["paths"][route.path][method];
        for part in [
            "operationId",
            "parameters",
            "requestBody",
            "summary",
            "tags",
        ] {
            assert_eq!(
                operation[part], their_operation[part],
                "{part} of {}",
                route.path
            );
        }
        for (name, schema) in theirs["components"]["schemas"].as_object().unwrap() {
            assert_eq!(&document["components"]["schemas"][name], schema, "{name}");
        }
    }
}

#[test]
fn body_limits_in_the_document_are_the_defaults() {
    let settings = crate::stage::settings(([127, 0, 0, 1], 1).into(), &[]);
    let own = gateway::config::Config::read(&settings).unwrap();
    let process: chassis::ProcessConfig = settings.read().unwrap();
    let document = committed(NAME);
    for (route, operation) in operations() {
        let Handler::Upstream(_) = route.handler else {
            continue;
        };
        let limit = match route.limits {
            Limits::Ordinary | Limits::Sync => process.body_limit_bytes,
            Limits::Import => own.import_body_limit_bytes,
        };
        let response = operation["responses"]["413"]["$ref"].as_str().unwrap();
        let response = document.pointer(&response[1..]).unwrap();
        let expected = format!("{} MiB", limit >> 20);
        let description = response["description"].as_str().unwrap();
        assert!(
            description.ends_with(&expected),
            "{}: {description}",
            route.path
        );
    }
}
