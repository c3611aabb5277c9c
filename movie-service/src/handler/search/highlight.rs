//! The highlighted name of a search result.

use search::Hit;
use serde::Serialize;
use utoipa::ToSchema;

/// A name with its matched parts.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::handler) struct Highlight {
    /// The name, as HTML: escaped, with the matched parts in `<em>`. Without any, the movie was found by its cast, crew
    /// or keywords.
    #[schema(example = "<em>Oldboy</em>")]
    html: String,
    /// The language of the name, ISO 639-1; null if unknown.
    #[schema(example = "ko")]
    language: Option<String>,
}

impl Highlight {
    /// The name by which `hit` was found.
    pub(super) fn new(hit: &Hit) -> Self {
        let Some(name) = hit.names.get(hit.matched) else {
            return Self {
                html: String::new(),
                language: None,
            };
        };
        let text = search::text::Text::new(&name.text).source;
        let mut spans = hit.spans.clone();
        spans.sort_by_key(|span| span.start);
        let mut html = String::with_capacity(text.len() + 9 * spans.len());
        let mut at = 0;
        for span in spans {
            let (Some(before), Some(matched)) = (text.get(at..span.start), text.get(span.clone()))
            else {
                continue;
            };
            escape(before, &mut html);
            html.push_str("<em>");
            escape(matched, &mut html);
            html.push_str("</em>");
            at = span.end;
        }
        escape(text.get(at..).unwrap_or_default(), &mut html);
        Self {
            html,
            language: name.language.clone(),
        }
    }
}

fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
}
