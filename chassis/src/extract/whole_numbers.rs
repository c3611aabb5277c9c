//! Whole numbers that are written with a fraction or an exponent. Used by [`super::parse_json`] if a body cannot be read as
//! it is.

/// `body` with whole numbers that have a fraction or an exponent (`276.0`, `1e3`), which are integers to JSON Schema and
/// floating point to serde, written as integers; `None` if there is none.
pub(super) fn as_integers(body: &[u8]) -> Option<Vec<u8>> {
    /// Larger ones are not exact.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    let is_of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let mut written = Vec::with_capacity(body.len());
    let (mut rest, mut is_changed) = (body, false);
    while let Some((&first, more)) = rest.split_first() {
        let length = match first {
            b'"' => {
                let mut is_escaped = false;
                let end = more.iter().position(|byte| {
                    let is_end = *byte == b'"' && !is_escaped;
                    is_escaped = *byte == b'\\' && !is_escaped;
                    is_end
                });
                end.map_or(rest.len(), |end| end + 2)
            }
            b'-' | b'0'..=b'9' => rest.iter().take_while(|byte| is_of_number(byte)).count(),
            _ => 1,
        };
        let (token, after) = rest.split_at(length);
        let number = Some(token).filter(|token| token.iter().any(|byte| b".eE".contains(byte)));
        let number = number.filter(|_| first != b'"').and_then(|token| {
            // By the grammar of JSON, which excludes such as `7.`.
            let number: f64 = serde_json::from_slice(token).ok()?;
            (number.fract() == 0.0 && number.abs() <= MAX_EXACT).then_some(number)
        });
        match number {
            Some(number) => {
                is_changed = true;
                // Exact, see above.
                written.extend_from_slice((number as i64).to_string().as_bytes());
            }
            None => written.extend_from_slice(token),
        }
        rest = after;
    }
    is_changed.then_some(written)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use crate::extract::parse_json;

    #[test]
    fn whole_numbers_with_a_fraction_are_integers() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Body {
            count: i64,
            share: f64,
            text: String,
        }
        let parse = |count: &str| {
            let body = format!(r#"{{"count": {count}, "share": 0.5, "text": "1.0 \\\" 2.0"}}"#);
            parse_json::<Body>(body.as_bytes())
        };
        for (text, count) in [
            ("7", 7),
            ("7.0", 7),
            ("-7.00", -7),
            ("7e2", 700),
            ("0.07E2", 7),
            ("-0.0", 0),
        ] {
            let body = parse(text).expect(text);
            assert_eq!((body.count, body.share), (count, 0.5), "{text}");
            assert_eq!(body.text, "1.0 \\\" 2.0");
        }
        for text in [
            "7.5",
            "1e99",
            "7.",
            ".5",
            "1e",
            "--1",
            "\"7.0\"",
            "7.0, \"count\": 7",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
