use super::*;

fn parse(params: &FilterParams) -> (Filter, Vec<(String, String)>) {
    let mut errors = Vec::<FieldError>::new();
    let filter = Filter::parse(params, &mut errors);
    let errors = errors
        .into_iter()
        .map(|error| (error.field, error.message))
        .collect();
    (filter, errors)
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

fn name(value: &str) -> Term {
    Term::Name(value.to_owned())
}

#[test]
fn or_binds_tighter_than_and() {
    let (filter, errors) = parse(&FilterParams {
        genres: text("Drama, 35|Science Fiction"),
        country: text("kr|us"),
        ..FilterParams::default()
    });
    assert!(errors.is_empty());
    assert_eq!(
        filter.genres,
        [
            vec![name("Drama")],
            vec![Term::Id(35), name("Science Fiction")]
        ]
    );
    assert_eq!(filter.country, [[name("KR"), name("US")]]);
}

#[test]
fn a_language_filters_unless_it_can_only_be_the_display_language() {
    for (language, original, filter, display) in [
        (Some("KO"), None, "ko", Some("ko")),
        (Some("ko|ja"), None, "ko|ja", None),
        (Some("ko,ja"), None, "ko,ja", None),
        (Some("ko_kr"), None, "", Some("ko-KR")),
        (Some("zh-Hant"), None, "", Some("zh")),
        (Some("ko"), Some("fr|it"), "fr|it", Some("ko")),
        (Some("ko-KR"), Some("fr"), "fr", Some("ko-KR")),
        (None, Some("fr"), "fr", None),
    ] {
        let params = FilterParams {
            language: language.map(str::to_owned),
            original_language: original.map(str::to_owned),
            ..FilterParams::default()
        };
        let (parsed, errors) = parse(&params);
        assert_eq!(errors, [], "{params:?}");
        let expected = parse(&FilterParams {
            original_language: (!filter.is_empty()).then(|| filter.to_owned()),
            ..FilterParams::default()
        });
        assert_eq!(parsed.language, expected.0.language, "{params:?}");
        let parameter = match (filter, original) {
            ("", _) => "",
            (_, None) => "language",
            (_, Some(_)) => "original_language",
        };
        assert_eq!(parsed.language_parameter, parameter, "{params:?}");
        let shown = params
            .display_language()
            .map(|language| language.to_string());
        assert_eq!(shown.as_deref(), display, "{params:?}");
    }
    for (language, original, field) in [
        ("korean", None, "language"),
        ("ko-KR|ja", None, "language"),
        ("ko|ja", Some("fr"), "language"),
        ("ko", Some("fr-FR"), "original_language"),
    ] {
        let (_, errors) = parse(&FilterParams {
            language: text(language),
            original_language: original.and_then(text),
            ..FilterParams::default()
        });
        let fields: Vec<&str> = errors.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, [field], "{language}");
    }
}

#[test]
fn a_range_that_contains_nothing_is_an_error() {
    for (params, field) in [
        (
            FilterParams {
                release_date_from: text("2001-01-01"),
                release_date_to: text("2000-01-01"),
                ..FilterParams::default()
            },
            "release_date_from",
        ),
        (
            FilterParams {
                year: text("1999"),
                release_date_from: text("2000-01-01"),
                ..FilterParams::default()
            },
            "release_date_from",
        ),
        (
            FilterParams {
                year: text("1999"),
                release_date_to: text("1998-12-31"),
                ..FilterParams::default()
            },
            "release_date_to",
        ),
        (
            FilterParams {
                runtime_min: text("100"),
                runtime_max: text("99"),
                ..FilterParams::default()
            },
            "runtime_min",
        ),
        (
            FilterParams {
                vote_count_min: text("2"),
                vote_count_max: text("1"),
                ..FilterParams::default()
            },
            "vote_count_min",
        ),
    ] {
        let (_, errors) = parse(&params);
        let fields: Vec<&str> = errors.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, [field], "{params:?}");
    }
    let (_, errors) = parse(&FilterParams {
        year: text("1999"),
        release_date_from: text("1999-12-31"),
        release_date_to: text("1999-12-31"),
        runtime_min: text("90"),
        runtime_max: text("90"),
        ..FilterParams::default()
    });
    assert_eq!(errors, []);
}

#[test]
fn all_errors_are_reported_at_once() {
    let (_, errors) = parse(&FilterParams {
        genres: text("Drama,,Comedy"),
        keywords: text("99999999999999999999"),
        people: text(&"1,".repeat(60)),
        language: text("korean"),
        country: text("K1"),
        year: text("99"),
        release_date_from: text("2024-02-30"),
        release_date_to: text("+12024-01-01"),
        runtime_min: text("-1"),
        vote_average_min: text("NaN"),
        vote_count_min: text("1e3"),
        vote_count_max: text("-1"),
        providers: text("8"),
        ..FilterParams::default()
    });
    let mut fields: Vec<&str> = errors.iter().map(|(field, _)| field.as_str()).collect();
    fields.sort_unstable();
    let expected = "country genres keywords language people region release_date_from \
                    release_date_to runtime_min vote_average_min vote_count_max vote_count_min year";
    assert_eq!(fields.join(" "), expected);
}
