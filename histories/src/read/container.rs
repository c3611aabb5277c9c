//! Containers of files: zip archives, gzip streams and single files. Archives are opened in memory, one file at a time, and
//! refused if they exceed a limit.

use std::io::{Cursor, Read};

use flate2::read::MultiGzDecoder;
use zip::{ZipArchive, result::ZipError};

use super::{
    Refusal, Upload,
    path::{path_problem, skip_reason},
};

/// The most files of an upload, those in archives included.
pub const MAX_FILES: usize = 2000;
/// The largest file after decompression, in bytes.
pub const MAX_FILE_BYTES: usize = 32 * 1024 * 1024;
/// The largest sum of all files after decompression, in bytes.
pub const MAX_EXPANDED_BYTES: usize = 96 * 1024 * 1024;

/// The beginnings of archives.
const ARCHIVES: [&[u8]; 8] = [
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"7z\xbc\xaf",
    b"Rar!",
    b"BZh",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
];

fn is_zip(content: &[u8]) -> bool {
    content.starts_with(b"PK\x03\x04") || content.starts_with(b"PK\x05\x06")
}

fn is_archive(content: &[u8]) -> bool {
    ARCHIVES.iter().any(|magic| content.starts_with(magic))
        || content.get(257..262) == Some(b"ustar")
}

/// Calls `take` with the path and the content of each file; without content for those that are skipped by their path.
pub(super) fn for_each(
    uploads: &[Upload<'_>],
    mut take: impl FnMut(&str, Option<&[u8]>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut limits = Limits { files: 0, bytes: 0 };
    for upload in uploads {
        let name = if upload.name.is_empty() {
            "body"
        } else {
            upload.name
        };
        if let Some(message) = path_problem(upload.name) {
            return refuse(name, message);
        }
        if upload.content.starts_with(b"\x1f\x8b") {
            let content = limits.read(name, MultiGzDecoder::new(upload.content), MAX_FILE_BYTES)?;
            let inner = upload.name.strip_suffix(".gz").unwrap_or(upload.name);
            if is_zip(&content) {
                unzip(inner, &content, uploads.len(), &mut limits, &mut take)?;
            } else if is_archive(&content) {
                return refuse(name, NESTED);
            } else {
                limits.count(name)?;
                take(inner, Some(&content))?;
            }
        } else if is_zip(upload.content) {
            unzip(
                upload.name,
                upload.content,
                uploads.len(),
                &mut limits,
                &mut take,
            )?;
        } else if is_archive(upload.content) {
            return refuse(
                name,
                "is an archive of another kind: send a zip file, or the files themselves",
            );
        } else {
            limits.count(name)?;
            take(upload.name, Some(upload.content))?;
        }
    }
    Ok(())
}

const NESTED: &str = "is an archive within an archive: send its files, or the inner archive alone";

struct Limits {
    files: usize,
    bytes: usize,
}

impl Limits {
    fn count(&mut self, name: &str) -> Result<(), Refusal> {
        self.files += 1;
        match self.files > MAX_FILES {
            true => refuse(name, &format!("there must be at most {MAX_FILES} files")),
            false => Ok(()),
        }
    }

    /// Decompresses a file within the limits.
    fn read(&mut self, name: &str, reader: impl Read, expected: usize) -> Result<Vec<u8>, Refusal> {
        let left = MAX_EXPANDED_BYTES.saturating_sub(self.bytes);
        let limit = MAX_FILE_BYTES.min(left);
        let mut content = Vec::with_capacity(expected.min(limit).min(1024 * 1024));
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        if reader.take(most).read_to_end(&mut content).is_err() {
            return refuse(name, "is damaged: it cannot be decompressed");
        }
        if content.len() > limit {
            return refuse(name, &too_large());
        }
        self.bytes += content.len();
        Ok(content)
    }
}

fn too_large() -> String {
    const MIB: usize = 1024 * 1024;
    format!(
        "is too large: a file must have at most {} MiB after decompression, all together {} MiB",
        MAX_FILE_BYTES / MIB,
        MAX_EXPANDED_BYTES / MIB
    )
}

fn refuse<T>(file: &str, message: &str) -> Result<T, Refusal> {
    let file = super::path::display_name(file, 0);
    Err(Refusal {
        file,
        message: message.to_owned(),
    })
}

/// Counts the entries of a zip archive's directory by their signatures, to [`MAX_FILES`] and one. The number that the archive
/// states does not bound what is read: it has a second place in Zip64, and the record with it may be there several times.
fn directory_entries(content: &[u8]) -> usize {
    let signatures = content.windows(4).filter(|bytes| bytes == b"PK\x01\x02");
    signatures.take(MAX_FILES + 1).count()
}

fn unzip(
    name: &str,
    content: &[u8],
    uploads: usize,
    limits: &mut Limits,
    take: &mut impl FnMut(&str, Option<&[u8]>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let shown = if name.is_empty() { "body" } else { name };
    // An entry takes more memory than its bytes in the archive, so that their number is limited before they are read.
    if directory_entries(content) > MAX_FILES {
        return refuse(shown, &format!("there must be at most {MAX_FILES} files"));
    }
    let Ok(mut archive) = ZipArchive::new(Cursor::new(content)) else {
        return refuse(shown, "is not a valid zip archive");
    };
    if archive.has_duplicate_names() || archive.has_overlapping_entries().unwrap_or(true) {
        return refuse(shown, "has files that overlap or have the same path");
    }
    if archive
        .file_names_raw()
        .any(|name| name == b"[Content_Types].xml")
    {
        return refuse(shown, "is a spreadsheet: save it as CSV");
    }
    for index in 0..archive.len() {
        let (path, size) = {
            let Ok(file) = archive.by_index_raw(index) else {
                return refuse(shown, "is not a valid zip archive");
            };
            let path = String::from_utf8_lossy(file.name_raw()).into_owned();
            if let Some(message) =
                path_problem(&path).or_else(|| file.is_symlink().then_some("is a symbolic link"))
            {
                return refuse(&path, message);
            }
            if file.is_dir() {
                continue;
            }
            if file.encrypted() {
                return refuse(&path, "is encrypted: send the archive without a password");
            }
            (path, usize::try_from(file.size()).unwrap_or(usize::MAX))
        };
        limits.count(&path)?;
        let full = if uploads > 1 && !name.is_empty() {
            format!("{name}/{path}")
        } else {
            path.clone()
        };
        if skip_reason(&path).is_some() {
            take(&full, None)?;
            continue;
        }
        if size > MAX_FILE_BYTES {
            return refuse(&path, &too_large());
        }
        let file = match archive.by_index(index) {
            Ok(file) => file,
            Err(ZipError::UnsupportedArchive(_)) => {
                return refuse(
                    &path,
                    "is compressed in a way that is not supported: use deflate",
                );
            }
            Err(_) => return refuse(&path, "is damaged: it cannot be decompressed"),
        };
        let content = limits.read(&path, file, size)?;
        if is_archive(&content) {
            return refuse(&path, NESTED);
        }
        take(&full, Some(&content))?;
    }
    Ok(())
}
