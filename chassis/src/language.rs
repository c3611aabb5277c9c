//! Languages of texts: language tags (BCP 47), the client's preference (`Accept-Language`), and the header fields of a
//! response whose texts depend on it. Handlers read and write them here; the texts are elsewhere.
//!
//! A handler takes its query parameter `language` as `Option<Language>`, which refuses an invalid tag with an error of
//! that field, and [`AcceptLanguage`] as the fallback: `query.language.or(accepted.0)`. It responds with the language
//! that it used: `(ContentLanguage(language), Json(body))`.

use std::{convert::Infallible, fmt, str::FromStr};

use axum::{
    extract::FromRequestParts,
    http::{
        HeaderMap, HeaderValue,
        header::{ACCEPT_LANGUAGE, CONTENT_LANGUAGE, VARY},
        request::Parts,
    },
    response::{IntoResponseParts, ResponseParts},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::validate::Validator;

/// The form of a tag, as a regular expression of a schema.
pub(crate) const TAG_PATTERN: &str = "^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$";
/// The longest tag that is read, in bytes; RFC 5646 recommends support for this length.
pub(crate) const MAX_TAG_BYTES: usize = 35;
/// The language ranges of `Accept-Language` that are read; further ones do not count.
const MAX_RANGES: usize = 32;

/// The value of `Vary` of a response whose texts depend on the client's language.
pub const VARY_BY_LANGUAGE: HeaderValue = HeaderValue::from_static("Accept-Language");

/// A language, perhaps of one region: `ko`, `ko-KR`. Script, variants and extensions of a tag are ignored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language {
    primary: Subtag,
    region: Option<Subtag>,
}

/// Two or three ASCII letters or digits; the third byte of two is NUL.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Subtag([u8; 3]);

impl Subtag {
    /// Reads two or three bytes.
    fn new(text: &str) -> Option<Self> {
        match *text.as_bytes() {
            [first, second] => Some(Self([first, second, 0])),
            [first, second, third] => Some(Self([first, second, third])),
            _ => None,
        }
    }

    fn as_str(&self) -> &str {
        let length = if self.0[2] == 0 { 2 } else { 3 };
        str::from_utf8(&self.0[..length]).unwrap_or_default()
    }
}

impl Language {
    /// Reads a tag in any case, with `-` or `_` between its subtags: `KO`, `ko-KR`, `ko_kr`, `zh-Hans-CN`. `None` if it
    /// is not a language of two or three letters followed by well-formed subtags.
    pub fn parse(tag: &str) -> Option<Self> {
        if tag.len() > MAX_TAG_BYTES {
            return None;
        }
        let mut subtags = tag.split(['-', '_']);
        let primary = subtags.next().filter(|text| is_alphabetic(text))?;
        let primary = Subtag::new(&primary.to_ascii_lowercase())?;
        let (mut region, mut is_extension) = (None, false);
        for subtag in subtags {
            let is_alphanumeric = subtag.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !is_alphanumeric || !(1..=8).contains(&subtag.len()) {
                return None;
            }
            // Subtags after a single letter belong to an extension.
            is_extension |= subtag.len() == 1;
            let is_region = match subtag.len() {
                2 => is_alphabetic(subtag),
                3 => subtag.bytes().all(|byte| byte.is_ascii_digit()),
                _ => false,
            };
            if is_region && !is_extension && region.is_none() {
                region = Subtag::new(&subtag.to_ascii_uppercase());
            }
        }
        Some(Self { primary, region })
    }

    /// Reads the request parameter `language`; reports one that is not a tag.
    pub fn parse_parameter(check: &mut Validator, text: Option<&str>) -> Option<Self> {
        let message = InvalidLanguage.to_string();
        check.parse("language", text, Self::parse, message)
    }

    /// The language that the client prefers by `Accept-Language`: of the ranges with the highest weight above 0, the
    /// first. `*` and invalid ranges do not count.
    pub fn accepted(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(ACCEPT_LANGUAGE).iter();
        let values = values.filter_map(|value| value.to_str().ok());
        let ranges = values.flat_map(|value| value.split(',')).take(MAX_RANGES);
        let mut best = None;
        for (weight, language) in ranges.filter_map(weighted) {
            if best.is_none_or(|(highest, _)| weight > highest) {
                best = Some((weight, language));
            }
        }
        best.map(|(_, language)| language)
    }

    /// The language without its region, in lower case: `ko`.
    pub fn primary(&self) -> &str {
        self.primary.as_str()
    }

    /// The region, in upper case: `KR`, or three digits (UN M.49).
    pub fn region(&self) -> Option<&str> {
        self.region.as_ref().map(Subtag::as_str)
    }

    /// True if both are the same language, of whatever regions: texts for one serve readers of the other.
    pub fn matches(self, other: Self) -> bool {
        self.primary == other.primary
    }
}

fn is_alphabetic(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Reads a range of `Accept-Language` with its weight: `ko`, `ko-KR;q=0.8`.
fn weighted(range: &str) -> Option<(f32, Language)> {
    let (tag, parameters) = range.split_once(';').unwrap_or((range, "q=1"));
    let (name, weight) = parameters.split_once('=')?;
    let weight = weight.trim().parse().ok();
    let weight = weight.filter(|weight| *weight > 0.0 && *weight <= 1.0)?;
    let language = Language::parse(tag.trim())?;
    name.trim()
        .eq_ignore_ascii_case("q")
        .then_some((weight, language))
}

impl fmt::Display for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.primary())?;
        match self.region() {
            Some(region) => write!(formatter, "-{region}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A text that is not a language tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a language (BCP 47), such as ko or ko-KR")]
pub struct InvalidLanguage;

impl FromStr for Language {
    type Err = InvalidLanguage;

    fn from_str(tag: &str) -> Result<Self, InvalidLanguage> {
        Self::parse(tag).ok_or(InvalidLanguage)
    }
}

impl Serialize for Language {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Language {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tag = String::deserialize(deserializer)?;
        tag.parse().map_err(de::Error::custom)
    }
}

impl From<Language> for HeaderValue {
    fn from(language: Language) -> Self {
        // A tag is ASCII, so the alternative (undetermined) is never used.
        Self::try_from(language.to_string()).unwrap_or(Self::from_static("und"))
    }
}

/// The language that the client prefers by `Accept-Language`, see [`Language::accepted`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptLanguage(pub Option<Language>);

impl<S: Send + Sync> FromRequestParts<S> for AcceptLanguage {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(Language::accepted(&parts.headers)))
    }
}

/// The language of a response that depends on the client's language: sets `Content-Language` and extends `Vary`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentLanguage(pub Language);

impl IntoResponseParts for ContentLanguage {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        let headers = response.headers_mut();
        headers.insert(CONTENT_LANGUAGE, self.0.into());
        headers.append(VARY, VARY_BY_LANGUAGE);
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tag_is_read_in_any_case_without_script_and_extensions() {
        for (tag, read) in [
            ("ko", "ko"),
            ("KO", "ko"),
            ("ko-KR", "ko-KR"),
            ("ko_kr", "ko-KR"),
            ("zh-Hans-CN", "zh-CN"),
            ("zh-Hant", "zh"),
            ("es-419", "es-419"),
            ("yue-HK", "yue-HK"),
            ("zh-yue-HK", "zh-HK"),
            ("de-u-co-phonebk", "de"),
            ("sl-rozaj-biske", "sl"),
        ] {
            let language = Language::parse(tag).map(|language| language.to_string());
            assert_eq!(language.as_deref(), Some(read), "{tag}");
        }
        for tag in [
            "",
            "k",
            "korean",
            "*",
            "ko-",
            "-KR",
            "ko KR",
            "ko|ja",
            "k0",
            "i-klingon",
            "ko-한국",
        ] {
            assert_eq!(Language::parse(tag), None, "{tag}");
        }
        let languages = ["ko", "ko-KR", "ja"].map(|tag| Language::parse(tag).expect(tag));
        assert!(languages[0].matches(languages[1]) && !languages[0].matches(languages[2]));
    }

    #[test]
    fn the_first_language_of_the_highest_weight_is_preferred() {
        for (value, preferred) in [
            ("ko", Some("ko")),
            ("ko-KR,ko;q=0.9,en-US;q=0.8", Some("ko-KR")),
            ("en;q=0.5, ja ;Q=0.7,ko;q=0.7", Some("ja")),
            ("*, ko;q=0.1", Some("ko")),
            ("ko;q=0, *", None),
            ("ko;q=2, fr;q=NaN, de;q=x, it;level=1", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(value));
            let language = Language::accepted(&headers).map(|language| language.to_string());
            assert_eq!(language.as_deref(), preferred, "{value}");
        }
        let many = format!("{}ko", "x,".repeat(100_000));
        let headers = [(ACCEPT_LANGUAGE, HeaderValue::try_from(many).expect("ASCII"))];
        assert_eq!(Language::accepted(&headers.into_iter().collect()), None);
    }

    #[test]
    fn a_response_names_its_language_and_varies_by_the_clients() {
        let language = ContentLanguage(Language::parse("ko_KR").expect("a tag"));
        let response = ([(VARY, "Origin")], language, "").into_response();
        assert_eq!(response.headers()[CONTENT_LANGUAGE], "ko-KR");
        let vary: Vec<_> = response.headers().get_all(VARY).iter().collect();
        assert_eq!(vary, ["Origin", "Accept-Language"]);
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_read_the_same_again(tag in "[a-zA-Z0-9_-]{0,40}|\\PC{0,40}") {
            if let Some(language) = Language::parse(&tag) {
                prop_assert_eq!(Language::parse(&language.to_string()), Some(language));
                let _: HeaderValue = language.into();
            }
        }
    }
}
