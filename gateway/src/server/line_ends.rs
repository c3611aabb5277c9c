//! Strict line ends of requests: a line of a head or of chunked framing ends with CR LF. The parser accepts LF alone,
//! which RFC 9112, section 2.2, permits and which a proxy in front may read otherwise.
//!
//! [`LineEnds`] follows the framing of a connection, so that it leaves bodies alone and knows if a head has begun. It
//! decides nothing else: what it cannot follow, the parser refuses.

/// The bytes that take the place of a bare LF and of all after it: no line may contain the first, and with the others the
/// parser waits for no more.
pub(super) const REFUSED: &[u8] = b"\0\r\n\r\n";
/// A longer line exceeds every limit of a head.
const MAX_LINE_BYTES: usize = 1 << 20;

/// The position in the framing of a connection's requests.
pub(super) struct LineEnds {
    state: State,
    /// The beginning of a line whose end has not been read.
    line: Vec<u8>,
    /// False: lines may end with LF alone.
    is_strict: bool,
}

/// The part of a request that comes next on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// The first byte of a head.
    Request,
    /// More of a head, of which some has been read.
    Head,
    /// More of a body.
    Body,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head(Head),
    /// Bytes of a body that are left.
    Body(u64),
    ChunkSize,
    /// Bytes of a chunk that are left.
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// The framing is invalid.
    Lost,
}

/// The lines of a head so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Head {
    has_request_line: bool,
    length: u64,
    is_chunked: bool,
}

impl LineEnds {
    /// The beginning of a connection, on which lines that end with LF alone are found if `is_strict`.
    pub(super) fn new(is_strict: bool) -> Self {
        Self {
            state: State::Head(Head::default()),
            line: Vec::new(),
            is_strict,
        }
    }

    /// The part of a request that comes next. Framing that cannot be followed counts as a head.
    pub(super) fn expected(&self) -> Expected {
        match self.state {
            State::Head(head) if head == Head::default() && self.line.is_empty() => {
                Expected::Request
            }
            State::Head(_) | State::Lost => Expected::Head,
            _ => Expected::Body,
        }
    }

    /// The position of the first bare LF in `bytes`, which come next on the connection; `None` unless strict.
    pub(super) fn find_bare(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self.state {
                State::Lost => return None,
                State::Body(left) | State::Chunk(left) => {
                    let count =
                        usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    let is_chunk = matches!(self.state, State::Chunk(_));
                    self.state = match (left - count as u64, is_chunk) {
                        (0, true) => State::ChunkEnd,
                        (0, false) => State::Head(Head::default()),
                        (left, true) => State::Chunk(left),
                        (left, false) => State::Body(left),
                    };
                    at += count;
                }
                _ => {
                    let Some(end) = memchr::memchr(b'\n', rest) else {
                        self.keep(rest);
                        return None;
                    };
                    let before = match end.checked_sub(1) {
                        Some(before) => rest.get(before),
                        None => self.line.last(),
                    };
                    if self.is_strict && before != Some(&b'\r') {
                        self.state = State::Lost;
                        return Some(at + end);
                    }
                    let line = &rest[..=end];
                    if self.line.is_empty() {
                        self.state = after(self.state, text(line));
                    } else {
                        self.keep(line);
                        self.state = after(self.state, text(&self.line));
                        self.line.clear();
                    }
                    at += line.len();
                }
            }
        }
        None
    }

    fn keep(&mut self, part: &[u8]) {
        if self.line.len() + part.len() > MAX_LINE_BYTES {
            self.state = State::Lost;
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(part);
        }
    }
}

/// A line without its end.
fn text(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The state after `line`.
fn after(state: State, line: &[u8]) -> State {
    match state {
        State::Head(head) if line.is_empty() => match head {
            // Empty lines before a request are ignored.
            Head {
                has_request_line: false,
                ..
            } => State::Head(head),
            Head {
                is_chunked: true, ..
            } => State::ChunkSize,
            Head { length: 0, .. } => State::Head(Head::default()),
            Head { length, .. } => State::Body(length),
        },
        State::Head(head) => after_head_line(head, line),
        State::ChunkSize => {
            let digits = line
                .iter()
                .take_while(|byte| byte.is_ascii_hexdigit())
                .count();
            let digits = std::str::from_utf8(&line[..digits]).unwrap_or_default();
            match u64::from_str_radix(digits, 16) {
                Ok(0) => State::Trailers,
                Ok(size) => State::Chunk(size),
                Err(_) => State::Lost,
            }
        }
        State::ChunkEnd if line.is_empty() => State::ChunkSize,
        State::Trailers if line.is_empty() => State::Head(Head::default()),
        State::Trailers => State::Trailers,
        _ => State::Lost,
    }
}

fn after_head_line(mut head: Head, line: &[u8]) -> State {
    if !head.has_request_line {
        head.has_request_line = true;
        return State::Head(head);
    }
    // Most headers have nothing to do with framing.
    if !matches!(line[0].to_ascii_lowercase(), b'c' | b't') {
        return State::Head(head);
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return State::Lost;
    };
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.eq_ignore_ascii_case(b"transfer-encoding") {
        let last = value
            .rsplit(|byte| *byte == b',')
            .next()
            .unwrap_or_default();
        head.is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
    } else if name.eq_ignore_ascii_case(b"content-length") {
        let length = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok());
        match length {
            Some(length) => head.length = length,
            None => return State::Lost,
        }
    }
    State::Head(head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The position of the first bare LF in `bytes`, which come in parts of `size`.
    fn find(bytes: &[u8], size: usize) -> Option<usize> {
        let mut line_ends = LineEnds::new(true);
        let mut parts = bytes.chunks(size).enumerate();
        parts.find_map(|(number, part)| Some(number * size + line_ends.find_bare(part)?))
    }

    const VALID: &str = "\r\nPOST /a HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 5\r\n\r\n\n\na\n\n\
        POST /b HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n2;x=y\r\n\n\n\r\nA\r\n\n12345678\n\r\n0\r\nX: y\r\n\r\n\
        GET /c HTTP/1.1\r\nCookie: a\r\nTE: trailers\r\n\r\nGET /d HTTP/1.1\r\n\r\n";

    #[test]
    fn valid_requests_are_followed_however_they_arrive() {
        for size in 1..VALID.len() {
            assert_eq!(find(VALID.as_bytes(), size), None, "{size}");
        }
    }

    #[test]
    fn a_bare_line_feed_is_found_wherever_a_line_ends() {
        for end in [
            "/a HTTP/1.1\r\n",
            "Host: x\r\n",
            "5\r\n\r\n",
            "chunked\r\n",
            "x=y\r\n",
            "0\r\n",
            "X: y\r\n",
        ] {
            let at = VALID.to_lowercase().find(&end.to_lowercase()).expect(end) + end.len() - 2;
            let bare = format!("{}{}", &VALID[..at], &VALID[at + 1..]);
            for size in [1, 2, 7, 1000] {
                assert_eq!(find(bare.as_bytes(), size), Some(at), "{end:?} {size}");
            }
        }
    }

    #[test]
    fn lines_that_end_with_lf_alone_are_followed_unless_strict() {
        let mut line_ends = LineEnds::new(false);
        for (bytes, expected) in [
            ("", Expected::Request),
            ("\r\n", Expected::Request),
            ("P", Expected::Head),
            ("UT / HTTP/1.1\nContent-Length: 2\n", Expected::Head),
            ("\n", Expected::Body),
            ("{", Expected::Body),
            ("}", Expected::Request),
            ("GET / HTTP/1.1\r\n\r\nG", Expected::Head),
        ] {
            assert_eq!(line_ends.find_bare(bytes.as_bytes()), None);
            assert_eq!(line_ends.expected(), expected, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_followed_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), size in 1_usize..50) {
            find(&bytes, size);
        }

        #[test]
        fn bodies_are_never_lines(body in "[\\n\\ra-c]{0,200}", size in 1_usize..50) {
            let text = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}GET / HTTP/1.1\r\n\r\n", body.len());
            prop_assert_eq!(find(text.as_bytes(), size), None);
        }
    }
}
