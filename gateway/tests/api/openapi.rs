//! The gateway's OpenAPI document.

use gateway::routes::{Limits, ROUTES, Service, Target};
use serde_json::Value;

#[test]
fn openapi_is_committed() {
    chassis::testing::assert_openapi_is_committed(gateway::NAME, &gateway::openapi::document());
}

#[test]
fn every_route_is_in_the_document() {
    let document = serde_json::to_value(gateway::openapi::document()).unwrap();
    let mut ids = std::collections::HashSet::new();
    for route in ROUTES {
        if matches!(route.target, Target::Swagger | Target::SwaggerRedirect) {
            continue;
        }
        let method = route.method.as_str().to_lowercase();
        let operation = &document["paths"][route.path][&method];
        assert_eq!(operation["summary"], route.summary, "{}", route.path);
        assert!(
            ids.insert(operation["operationId"].to_string()),
            "{}",
            route.path
        );
        let parameters = operation["parameters"].as_array().map_or(0, Vec::len);
        assert_eq!(
            parameters,
            route.path.matches('{').count(),
            "{}",
            route.path
        );
        if let Target::Upstream(service) = route.target {
            assert_eq!(operation["tags"][0], service.name());
            for status in [
                "400", "401", "403", "404", "413", "414", "429", "502", "503", "504",
            ] {
                assert!(
                    operation["responses"][status].is_object(),
                    "{status} of {}",
                    route.path
                );
            }
        }
    }
}

fn document_of(service: Service) -> Value {
    let path = format!(
        "{}/../openapi/{}.json",
        env!("CARGO_MANIFEST_DIR"),
        service.name()
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn path_parameters_are_those_of_the_services() {
    let document = serde_json::to_value(gateway::openapi::document()).unwrap();
    let mut compared = 0;
    for route in ROUTES {
        let Target::Upstream(service) = route.target else {
            continue;
        };
        let service = document_of(service);
        let method = route.method.as_str().to_lowercase();
        let own = &document["paths"][route.path][&method]["parameters"];
        for parameter in own.as_array().into_iter().flatten() {
            let parameters = &service["paths"][route.path][&method]["parameters"];
            let theirs = parameters.as_array().unwrap().iter();
            let theirs: Vec<&Value> = theirs
                .filter(|theirs| theirs["in"] == "path" && theirs["name"] == parameter["name"])
                .collect();
            assert_eq!(theirs.len(), 1, "{}", route.path);
            let schema = match theirs[0]["schema"]["$ref"].as_str() {
                Some(reference) => service.pointer(&reference[1..]).unwrap(),
                None => &theirs[0]["schema"],
            };
            assert_eq!(&parameter["schema"], schema, "{}", route.path);
            assert_eq!(parameter["description"], theirs[0]["description"]);
            assert_eq!(parameter["required"], true, "{}", route.path);
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}

#[test]
fn body_limits_in_the_document_are_the_defaults() {
    let settings = crate::stage::settings(([127, 0, 0, 1], 1).into(), &[]);
    let own = gateway::config::Config::read(&settings).unwrap();
    let process: chassis::ProcessConfig = settings.read().unwrap();
    let document = serde_json::to_value(gateway::openapi::document()).unwrap();
    for route in ROUTES {
        let Target::Upstream(_) = route.target else {
            continue;
        };
        let limit = match route.limits {
            Limits::Ordinary | Limits::Sync => process.body_limit_bytes,
            Limits::Import => own.import_body_limit_bytes,
        };
        let method = route.method.as_str().to_lowercase();
        let response = &document["paths"][route.path][&method]["responses"]["413"];
        let expected = format!("{} MiB", limit >> 20);
        let description = response["description"].as_str().unwrap();
        assert!(
            description.ends_with(&expected),
            "{}: {description}",
            route.path
        );
    }
}
