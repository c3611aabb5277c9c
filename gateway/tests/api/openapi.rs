//! The document that the gateway publishes.

use gateway::routes::{ROUTES, Target};

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
