//! The headers of a response, as they are sent: lines of text. Most of them are a service's, which the gateway passes on, and a
//! table costs more to fill and to empty than a list costs to search. A service's are added by [`crate::proxy`], the gateway's
//! own by the layers of [`crate::pipeline`]; [`crate::server`] sends them.

use std::borrow::Borrow;

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};

/// The headers of a response in the order in which they were added, with names in lower case.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    /// The lines, each with its end, and perhaps some that were removed.
    text: Vec<u8>,
    lines: Vec<Line>,
}

/// The place of a line `name: value` in the text.
#[derive(Debug, Clone, Copy)]
struct Line {
    start: usize,
    name_length: usize,
    /// After CR LF.
    end: usize,
}

impl Line {
    fn name(self, text: &[u8]) -> &[u8] {
        &text[self.start..self.start + self.name_length]
    }

    fn value(self, text: &[u8]) -> Value<'_> {
        Value(&text[self.start + self.name_length + 2..self.end - 2])
    }
}

/// The value of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value<'a>(&'a [u8]);

impl<'a> Value<'a> {
    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The value as text; `None` if it has bytes beyond ASCII.
    pub(crate) fn to_str(self) -> Option<&'a str> {
        let text = std::str::from_utf8(self.0).ok();
        text.filter(|text| text.is_ascii())
    }

    pub(crate) fn to_header_value(self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(self.0).ok()
    }
}

impl Clone for Headers {
    /// Leaves removed lines behind: a stored response that is confirmed again and again would collect them.
    fn clone(&self) -> Self {
        let length = |line: &Line| line.end - line.start;
        let mut copy = Self::with_capacity(self.lines.len(), self.lines.iter().map(length).sum());
        copy.append_lines(self);
        copy
    }
}

impl Headers {
    /// No headers yet, with space for `lines` lines that have `bytes` bytes.
    pub(crate) fn with_capacity(lines: usize, bytes: usize) -> Self {
        Self {
            text: Vec::with_capacity(bytes),
            lines: Vec::with_capacity(lines),
        }
    }

    /// Adds a line, in addition to others of its name.
    pub(crate) fn append(
        &mut self,
        name: impl Borrow<HeaderName>,
        value: impl Borrow<HeaderValue>,
    ) {
        self.push(name.borrow().as_str(), value.borrow().as_bytes());
    }

    /// Adds a line whose `name`, in any case, and `value` are known to be valid.
    pub(crate) fn append_parsed(&mut self, name: &str, value: &[u8]) {
        debug_assert!(HeaderName::from_bytes(name.as_bytes()).is_ok());
        debug_assert!(HeaderValue::from_bytes(value).is_ok());
        let start = self.text.len();
        self.push(name, value);
        self.text[start..start + name.len()].make_ascii_lowercase();
    }

    fn push(&mut self, name: &str, value: &[u8]) {
        let start = self.text.len();
        write_line(&mut self.text, name, value);
        self.lines.push(Line {
            start,
            name_length: name.len(),
            end: self.text.len(),
        });
    }

    /// Adds a line in the place of all others of its name.
    pub(crate) fn insert(
        &mut self,
        name: impl Borrow<HeaderName>,
        value: impl Borrow<HeaderValue>,
    ) {
        self.remove(name.borrow());
        self.append(name.borrow(), value);
    }

    /// Adds a line with `value`, which is known to be valid, in the place of all others of its name.
    pub(crate) fn insert_parsed(&mut self, name: &HeaderName, value: &[u8]) {
        debug_assert!(HeaderValue::from_bytes(value).is_ok());
        self.remove(name);
        self.push(name.as_str(), value);
    }

    /// Adds all lines of `map`, in the place of others of their names.
    pub(crate) fn extend(&mut self, map: &HeaderMap) {
        map.keys().for_each(|name| self.remove(name));
        for (name, value) in map {
            self.append(name, value);
        }
    }

    /// Adds all lines of `others`, in the place of others of their names.
    pub(crate) fn replace(&mut self, others: &Self) {
        self.retain(|name| others.values(name).next().is_none());
        self.append_lines(others);
    }

    fn append_lines(&mut self, others: &Self) {
        let mut start = self.text.len();
        others.write(&mut self.text);
        for line in &others.lines {
            let end = start + (line.end - line.start);
            self.lines.push(Line {
                start,
                name_length: line.name_length,
                end,
            });
            start = end;
        }
    }

    /// Removes all lines of a name.
    pub(crate) fn remove(&mut self, name: impl Borrow<HeaderName>) {
        let name = name.borrow().as_str().as_bytes();
        self.retain(|known| known != name);
    }

    /// Removes the lines whose names `keep` does not want.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&[u8]) -> bool) {
        let text = &self.text;
        self.lines.retain(|line| keep(line.name(text)));
    }

    /// The first value of a name.
    pub(crate) fn get(&self, name: impl Borrow<HeaderName>) -> Option<Value<'_>> {
        let name = name.borrow().as_str().as_bytes();
        let line = self.lines.iter().find(|line| line.name(&self.text) == name);
        line.map(|line| line.value(&self.text))
    }

    /// All values of a name.
    pub(crate) fn get_all<'h>(&'h self, name: &'h HeaderName) -> impl Iterator<Item = Value<'h>> {
        self.values(name.as_str().as_bytes())
    }

    fn values<'h>(&'h self, name: &'h [u8]) -> impl Iterator<Item = Value<'h>> {
        let of_name = move |line: &&Line| line.name(&self.text) == name;
        let lines = self.lines.iter().filter(of_name);
        lines.map(|line| line.value(&self.text))
    }

    pub(crate) fn contains(&self, name: impl Borrow<HeaderName>) -> bool {
        self.get(name).is_some()
    }

    /// True if a header `name`, a list, has the element `word`, in any case.
    pub(crate) fn list_contains(&self, name: &HeaderName, word: &str) -> bool {
        has_element(self.get_all(name).map(Value::as_bytes), word)
    }

    /// The number in decimal digits that is the value of a name.
    pub(crate) fn number(&self, name: &HeaderName) -> Option<u64> {
        self.get(name)?.to_str()?.parse().ok()
    }

    /// The names and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], Value<'_>)> {
        let parts = |line: &Line| (line.name(&self.text), line.value(&self.text));
        self.lines.iter().map(parts)
    }

    /// The memory of all lines.
    pub(crate) fn bytes(&self) -> usize {
        self.text.capacity() + self.lines.capacity() * size_of::<Line>()
    }

    /// Writes all lines to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        // Lines that follow each other in the text, too, are copied together.
        let (mut start, mut end) = (0, 0);
        for line in &self.lines {
            if line.start != end {
                out.extend_from_slice(&self.text[start..end]);
                start = line.start;
            }
            end = line.end;
        }
        out.extend_from_slice(&self.text[start..end]);
    }

    /// The headers as a table.
    pub(crate) fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.lines.len());
        for (name, value) in self.iter() {
            // All are valid.
            let parsed = HeaderName::from_bytes(name)
                .ok()
                .zip(value.to_header_value());
            if let Some((name, value)) = parsed {
                map.append(name, value);
            }
        }
        map
    }
}

/// Writes a header whose `value` has no line end.
pub(crate) fn write_line(text: &mut Vec<u8>, name: &str, value: &[u8]) {
    text.reserve(name.len() + value.len() + 4);
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

/// True if a list separated by commas (RFC 9110, 5.6.1), in one or several lines, has the element `word`, in any case.
pub(crate) fn has_element<'a>(mut lines: impl Iterator<Item = &'a [u8]>, word: &str) -> bool {
    lines.any(|line| {
        let mut elements = line.split(|byte| *byte == b',');
        elements.any(|element| element.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::{AGE, ETAG, VARY};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_found_and_replaced_by_name() {
        let mut headers = Headers::default();
        headers.append_parsed("Vary", b"Accept, Origin");
        headers.append(ETAG, HeaderValue::from_static("\"1\""));
        headers.append(VARY, HeaderValue::from_static("cookie"));
        headers.insert(ETAG, HeaderValue::from_static("\"2\""));
        assert_eq!(headers.get(ETAG), Some(Value(b"\"2\"")));
        assert!(
            headers
                .get_all(&VARY)
                .eq([Value(b"Accept, Origin"), Value(b"cookie")])
        );
        assert!(headers.list_contains(&VARY, "origin") && headers.list_contains(&VARY, "COOKIE"));
        assert!(!headers.list_contains(&VARY, "acc") && !headers.contains(AGE));
        let mut text = Vec::new();
        headers.write(&mut text);
        assert_eq!(
            text,
            b"vary: Accept, Origin\r\nvary: cookie\r\netag: \"2\"\r\n"
        );
    }

    proptest! {
        /// The same operations on a list and on a table give the same headers.
        #[test]
        fn a_list_has_what_a_table_has(steps in proptest::collection::vec((0_u8..3, 0_usize..4, "[a-z]{0,3}"), 0..30)) {
            let names = ["Age", "etag", "x-a", "x-b"].map(|name| HeaderName::from_bytes(name.as_bytes()).expect("a name"));
            let (mut list, mut table) = (Headers::default(), HeaderMap::new());
            for (step, name, value) in steps {
                let (name, value) = (&names[name], HeaderValue::try_from(value).expect("a value"));
                match step {
                    0 => {
                        list.append(name, &value);
                        table.append(name, value);
                    }
                    1 => {
                        list.insert(name, &value);
                        table.insert(name, value);
                    }
                    _ => {
                        list.remove(name);
                        table.remove(name);
                    }
                }
            }
            prop_assert_eq!(list.to_map(), table);
            let mut text = Vec::new();
            list.write(&mut text);
            let lines = list.iter().flat_map(|(name, value)| [name, b": ", value.as_bytes(), b"\r\n"].concat());
            prop_assert!(lines.eq(text.iter().copied()));
            let copy = list.clone();
            prop_assert_eq!(copy.to_map(), list.to_map());
            prop_assert_eq!(copy.text, text);
        }
    }
}
