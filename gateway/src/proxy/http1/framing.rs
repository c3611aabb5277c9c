//! The framing of bodies (RFC 9112, 6 and 7): by a length, in chunks, or by the end of the connection. Trailers are dropped.

use std::io::Write as _;

use bytes::Bytes;
use httparse::Status;

use crate::proxy::errors::Http1Error;

/// The most bytes of chunk sizes with their extensions that may be incomplete, and of one trailer.
const MAX_LINE_BYTES: usize = 16 * 1024;
/// The most bytes of all trailers.
const MAX_TRAILER_BYTES: usize = 64 * 1024;

/// The rest of a response's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    Chunked(Chunked),
    /// All until the end of the connection.
    UntilClose,
}

/// The position in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    Size,
    /// Bytes of the chunk that are left.
    Data(u64),
    /// The line end after a chunk.
    DataEnd,
    /// Bytes of trailers so far.
    Trailers(usize),
    End,
}

/// A part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Decoded {
    /// Not empty.
    Data(Bytes),
    /// More has to be received.
    Incomplete,
    End,
}

impl Framing {
    /// The beginning of a chunked body.
    pub(super) const CHUNKED: Self = Self::Chunked(Chunked::Size);

    /// True if the body has been decoded to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.remaining() == Some(0)
    }

    /// The bytes that are left, if their number is known.
    pub(super) fn remaining(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(Chunked::End) => Some(0),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// Ends the body because the connection has ended; true if that is its end.
    pub(super) fn end(&mut self) -> bool {
        let is_end = *self == Self::UntilClose;
        if is_end {
            *self = Self::Length(0);
        }
        is_end
    }

    /// Takes the next part of the body from `received`.
    pub(super) fn decode(&mut self, received: &mut Bytes) -> Result<Decoded, Http1Error> {
        match self {
            Self::Length(0) => Ok(Decoded::End),
            Self::Length(left) => Ok(take(received, left)),
            Self::Chunked(chunked) => chunked.decode(received),
            Self::UntilClose => Ok(take(received, &mut { u64::MAX })),
        }
    }
}

impl Chunked {
    fn decode(&mut self, received: &mut Bytes) -> Result<Decoded, Http1Error> {
        loop {
            match self {
                Self::Size => {
                    let is_digit = received.first().is_none_or(u8::is_ascii_hexdigit);
                    let parsed = httparse::parse_chunk_size(received);
                    match parsed {
                        Ok(Status::Complete((length, size))) if is_digit => {
                            let _ = received.split_to(length);
                            *self = match size {
                                0 => Self::Trailers(0),
                                _ => Self::Data(size),
                            };
                        }
                        Ok(Status::Partial) if is_digit && received.len() < MAX_LINE_BYTES => {
                            return Ok(Decoded::Incomplete);
                        }
                        _ => return Err(Http1Error::Malformed("invalid chunk size")),
                    }
                }
                Self::Data(left) => {
                    let data = take(received, left);
                    if *left == 0 {
                        *self = Self::DataEnd;
                    }
                    return Ok(data);
                }
                Self::DataEnd => match received.get(..2) {
                    Some(b"\r\n") => {
                        let _ = received.split_to(2);
                        *self = Self::Size;
                    }
                    None if matches!(**received, [] | [b'\r']) => return Ok(Decoded::Incomplete),
                    _ => return Err(Http1Error::Malformed("invalid end of a chunk")),
                },
                Self::Trailers(bytes) => {
                    let Some(end) = memchr::memchr(b'\n', received) else {
                        if received.len() > MAX_LINE_BYTES {
                            return Err(Http1Error::Malformed("a trailer is too long"));
                        }
                        return Ok(Decoded::Incomplete);
                    };
                    let line = received.split_to(end + 1);
                    *bytes += line.len();
                    if *bytes > MAX_TRAILER_BYTES {
                        return Err(Http1Error::Malformed("the trailers are too long"));
                    }
                    if matches!(*line, [b'\n'] | [b'\r', b'\n']) {
                        *self = Self::End;
                    }
                }
                Self::End => return Ok(Decoded::End),
            }
        }
    }
}

/// Takes at most `left` bytes.
fn take(received: &mut Bytes, left: &mut u64) -> Decoded {
    if received.is_empty() {
        return Decoded::Incomplete;
    }
    let count = usize::try_from(*left).map_or(received.len(), |left| left.min(received.len()));
    *left -= count as u64;
    Decoded::Data(received.split_to(count))
}

/// Writes `data` as a chunk. No data is no chunk, since an empty one would end the body.
pub(super) fn write_chunk(buffer: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    buffer.reserve(data.len() + 20);
    // A vector accepts all bytes.
    let _ = write!(buffer, "{:x}\r\n", data.len());
    buffer.extend_from_slice(data);
    buffer.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The body in `bytes`, which come in parts of `size`, and what follows it.
    fn decode(
        mut framing: Framing,
        bytes: &[u8],
        size: usize,
    ) -> Result<(Vec<u8>, Vec<u8>), Http1Error> {
        let (mut received, mut body) = (Bytes::new(), Vec::new());
        let mut parts = bytes.chunks(size);
        loop {
            match framing.decode(&mut received)? {
                Decoded::Data(data) => body.extend_from_slice(&data),
                Decoded::End => {
                    assert!(framing.is_complete());
                    let rest = parts.flatten().copied();
                    return Ok((body, received.iter().copied().chain(rest).collect()));
                }
                Decoded::Incomplete => match parts.next() {
                    Some(part) => received = [&received, part].concat().into(),
                    None => return Err(Http1Error::Ended),
                },
            }
        }
    }

    #[test]
    fn invalid_chunks_are_refused() {
        for bytes in [
            "x\r\n",
            "\r\n\r\n",
            "-1\r\n",
            "2\n{}\r\n0\r\n\r\n",
            "2\r\n{}0\r\n\r\n",
            "2\r\n{}\n0\r\n\r\n",
            "11111111111111111\r\n",
            &format!("1;{}", "x".repeat(MAX_LINE_BYTES)),
            &format!("0\r\nx: {}", "x".repeat(MAX_LINE_BYTES)),
            &format!("0\r\n{}", "x: y\r\n".repeat(MAX_TRAILER_BYTES)),
        ] {
            for size in [1, 2, 5, 1_000_000] {
                let decoded = decode(Framing::CHUNKED, bytes.as_bytes(), size);
                assert!(
                    matches!(decoded, Err(Http1Error::Malformed(_))),
                    "{bytes:.20} {size}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn a_body_is_decoded_however_it_arrives(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8),
            trailer in "(|[a-z]{1,5}: [a-z]{0,5}\r\n)",
            size in 1_usize..60,
        ) {
            let body = parts.concat();
            let mut chunked = Vec::new();
            parts.iter().for_each(|part| write_chunk(&mut chunked, part));
            chunked.extend_from_slice(format!("0;x=y\r\n{trailer}\r\nHTTP").as_bytes());
            prop_assert_eq!(decode(Framing::CHUNKED, &chunked, size).ok(), Some((body.clone(), b"HTTP".to_vec())));
            let plain = [body.as_slice(), b"HTTP"].concat();
            let length = Framing::Length(body.len() as u64);
            prop_assert_eq!(decode(length, &plain, size).ok(), Some((body, b"HTTP".to_vec())));
        }

        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes in "[0-9a-f;\r\n]{0,60}", size in 1_usize..60) {
            let _ = decode(Framing::CHUNKED, bytes.as_bytes(), size);
        }
    }
}
