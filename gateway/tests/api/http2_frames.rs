//! A client of HTTP/2 that sends whatever frames a test wants.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::stage::MAX_WAIT;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// Codes of errors (RFC 9113, 7).
pub const NO_ERROR: u32 = 0;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error of RST_STREAM or GOAWAY.
    pub fn error(&self) -> Option<u32> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        let code = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(code.try_into().unwrap()))
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header as a literal without indexing (RFC 7541, 6.2.2), both parts as they are.
pub fn header(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    for part in [name, value] {
        integer(&mut bytes, part.len());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// An integer with a prefix of seven bits (RFC 7541, 5.1).
fn integer(bytes: &mut Vec<u8>, mut value: usize) {
    if value < 127 {
        bytes.push(u8::try_from(value).unwrap());
        return;
    }
    bytes.push(127);
    value -= 127;
    while value >= 128 {
        bytes.push(u8::try_from(value % 128 + 128).unwrap());
        value /= 128;
    }
    bytes.push(u8::try_from(value).unwrap());
}

/// The headers of a GET of `path` with `token`.
pub fn get(path: &str, token: &str) -> Vec<u8> {
    [
        header(b":method", b"GET"),
        header(b":scheme", b"http"),
        header(b":authority", b"localhost"),
        header(b":path", path.as_bytes()),
        header(b"authorization", format!("Bearer {token}").as_bytes()),
    ]
    .concat()
}

/// A connection.
pub struct FrameClient(pub TcpStream);

impl FrameClient {
    /// Connects and sends the preface with `settings`, pairs of an identifier and a value.
    pub fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
        stream.set_write_timeout(Some(MAX_WAIT)).unwrap();
        let mut payload = Vec::new();
        for (identifier, value) in settings {
            payload.extend_from_slice(&identifier.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        let mut client = Self(stream);
        client.send(PREFACE);
        client.send(&frame(SETTINGS, 0, 0, &payload));
        client
    }

    /// Sends `bytes`; false if the gateway has closed the connection.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// The next frame; `None` at the end of the connection.
    ///
    /// # Panics
    /// If nothing comes in time.
    pub fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.read(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.read(&mut payload)?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(head[5..].try_into().unwrap()),
            payload,
        })
    }

    fn read(&mut self, buffer: &mut [u8]) -> Option<()> {
        use std::io::ErrorKind::{TimedOut, WouldBlock};
        match self.0.read_exact(buffer) {
            Ok(()) => Some(()),
            Err(error) if matches!(error.kind(), TimedOut | WouldBlock) => {
                panic!("no frame in time")
            }
            Err(_) => None,
        }
    }

    /// Reads until a frame satisfies `condition`, and acknowledges settings and pings; `None` at the end.
    pub fn find(&mut self, condition: impl Fn(&Frame) -> bool) -> Option<Frame> {
        loop {
            let next = self.next()?;
            if matches!(next.kind, SETTINGS | PING) && next.flags & ACK == 0 {
                let payload = if next.kind == PING {
                    &next.payload[..]
                } else {
                    &[]
                };
                self.send(&frame(next.kind, ACK, 0, payload));
            }
            if condition(&next) {
                return Some(next);
            }
        }
    }

    /// The error of the first GOAWAY; `None` if the connection ends without.
    pub fn goaway(&mut self) -> Option<u32> {
        self.find(|frame| frame.kind == GOAWAY)?.error()
    }

    /// The response on `stream`, if it is not compressed: the block of headers and the body; the error if it is reset.
    pub fn response(&mut self, stream: u32) -> Result<(Vec<u8>, Vec<u8>), Option<u32>> {
        let (mut head, mut body) = (Vec::new(), Vec::new());
        loop {
            let Some(next) = self.find(|frame| frame.stream == stream) else {
                return Err(None);
            };
            match next.kind {
                HEADERS | CONTINUATION => head.extend_from_slice(&next.payload),
                DATA => body.extend_from_slice(&next.payload),
                RST_STREAM => return Err(next.error()),
                _ => continue,
            }
            if next.flags & END_STREAM != 0 && matches!(next.kind, HEADERS | DATA) {
                return Ok((head, body));
            }
        }
    }
}
