//! Decompression of dumps: plain, gzip or Zstandard, recognized by the first bytes rather than the name.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// Bytes per read.
const BUFFER: usize = 256 * 1024;

/// Opens `file` for reading its decompressed content.
pub(super) fn open(file: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let mut packed = BufReader::with_capacity(BUFFER, File::open(file)?);
    let first = packed.fill_buf()?;
    Ok(if first.starts_with(&[0x1f, 0x8b]) {
        Box::new(BufReader::with_capacity(
            BUFFER,
            MultiGzDecoder::new(packed),
        ))
    } else if is_zstandard(first) {
        Box::new(BufReader::with_capacity(BUFFER, Frames::new(packed)))
    } else {
        Box::new(packed)
    })
}

/// True at the start of a frame, or of a skippable frame, which `pzstd` writes first.
fn is_zstandard(first: &[u8]) -> bool {
    first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
        || matches!(first, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Concatenated frames of Zstandard, as `pzstd` and `cat` make them; the decoder handles a single one, with a window of
/// at most 128 MiB.
struct Frames<R> {
    packed: R,
    decoder: FrameDecoder,
    /// True from the start of a frame until its checksum is verified.
    is_within: bool,
}

impl<R: BufRead> Frames<R> {
    fn new(packed: R) -> Self {
        Self {
            packed,
            decoder: FrameDecoder::new(),
            is_within: false,
        }
    }

    /// False at the end of the file.
    fn begin_frame(&mut self) -> io::Result<bool> {
        while !self.packed.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.packed) {
                Ok(()) => {
                    self.is_within = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = (&mut self.packed).take(length.into());
                    io::copy(&mut skipped, &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
        Ok(false)
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.is_within = false;
        let expected = self.decoder.get_checksum_from_data();
        if expected.is_some() && expected != self.decoder.get_calculated_checksum() {
            let message = "the file is damaged: a checksum does not match";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_within && self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if self.is_within && self.decoder.is_finished() {
                self.end_frame()?;
            }
            if !self.is_within && !self.begin_frame()? {
                return Ok(0);
            }
            self.decoder
                .decode_blocks(&mut self.packed, BlockDecodingStrategy::UptoBlocks(1))
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}
