//! The content codings of responses (RFC 9110, section 8.4.1): compressors that take and give bytes piece by piece.

use std::io::{self, Write};

use bytes::Bytes;
use hyper::header::HeaderValue;
use serde::Deserialize;
use zstd::zstd_safe::CParameter;

/// The binary logarithm of the window of brotli and zstd: larger ones gain little on responses of this size, and cost
/// megabytes for each of them.
const WINDOW_LOG: u32 = 18;
const BROTLI_BUFFER_BYTES: usize = 4096;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Coding {
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Br,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// All codings, in the order of their declaration.
    pub(crate) const ALL: [Self; 3] = [Self::Zstd, Self::Br, Self::Gzip];

    /// Its name in `Content-Encoding` and in the settings.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Br => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The value of `Content-Encoding`.
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }

    /// Compresses `bytes` with the quality `level`, 1 to 9.
    ///
    /// # Errors
    /// Returns those of the compressor.
    pub(crate) fn encode(self, bytes: &[u8], level: u32) -> io::Result<Bytes> {
        let mut encoder = Encoder::new(self, level)?;
        encoder.write(bytes)?;
        encoder.finish()
    }
}

/// A compressor.
pub(super) enum Encoder {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Br(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
}

impl Encoder {
    /// A compressor of the quality `level`, 1 to 9.
    ///
    /// # Errors
    /// Returns those of the compressor.
    pub(super) fn new(coding: Coding, level: u32) -> io::Result<Self> {
        let output = Vec::new();
        Ok(match coding {
            Coding::Zstd => {
                let level = i32::try_from(level).unwrap_or(0);
                let mut encoder = zstd::stream::write::Encoder::new(output, level)?;
                encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
                Self::Zstd(encoder)
            }
            Coding::Br => {
                let buffer = BROTLI_BUFFER_BYTES;
                let writer = brotli::CompressorWriter::new(output, buffer, level, WINDOW_LOG);
                Self::Br(Box::new(writer))
            }
            Coding::Gzip => {
                let level = flate2::Compression::new(level);
                Self::Gzip(flate2::write::GzEncoder::new(output, level))
            }
        })
    }

    /// Takes `bytes`, some of which may stay in the compressor.
    ///
    /// # Errors
    /// Returns those of the compressor.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer().write_all(bytes)
    }

    /// Makes all that was written readable for the client.
    ///
    /// # Errors
    /// Returns those of the compressor.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Zstd(encoder) => encoder,
            Self::Br(encoder) => encoder,
            Self::Gzip(encoder) => encoder,
        }
    }

    /// The output so far.
    pub(super) fn take(&mut self) -> Bytes {
        let output = match self {
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Br(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        };
        Bytes::from(std::mem::take(output))
    }

    /// The rest of the output.
    ///
    /// # Errors
    /// Returns those of the compressor.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        let output = match self {
            Self::Zstd(encoder) => encoder.finish()?,
            Self::Br(encoder) => encoder.into_inner(),
            Self::Gzip(encoder) => encoder.finish()?,
        };
        Ok(Bytes::from(output))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut reader: Box<dyn Read> = match coding {
            Coding::Zstd => Box::new(zstd::stream::read::Decoder::new(bytes).expect("zstd")),
            Coding::Br => Box::new(brotli::Decompressor::new(bytes, 4096)),
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
        };
        // The stream may have no end yet.
        let mut buffer = [0; 64];
        while let Ok(count) = reader.read(&mut buffer) {
            if count == 0 {
                break;
            }
            text.extend_from_slice(&buffer[..count]);
        }
        text
    }

    #[test]
    fn all_that_was_written_before_a_flush_can_be_decoded() {
        for coding in Coding::ALL {
            for level in [1, 4, 9] {
                let mut encoder = Encoder::new(coding, level).expect("an encoder");
                let mut output = Vec::new();
                let mut text = Vec::new();
                for part in [&b"data: 1\n\n"[..], &[b'x'; 100_000], b"data: 2\n\n"] {
                    encoder.write(part).expect("no error");
                    encoder.flush().expect("no error");
                    output.extend_from_slice(&encoder.take());
                    text.extend_from_slice(part);
                    assert_eq!(decode(coding, &output), text, "{coding:?}");
                }
                output.extend_from_slice(&encoder.finish().expect("an end"));
                assert_eq!(decode(coding, &output), text, "{coding:?}");
                assert!(output.len() < 1000, "{coding:?}: {}", output.len());
            }
        }
    }
}
