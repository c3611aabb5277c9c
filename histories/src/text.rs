//! Text of files: encodings, and the delimiter of their fields.

use std::borrow::Cow;

use encoding_rs::{UTF_16BE, UTF_16LE, WINDOWS_1252};

/// The bytes from which an encoding without a mark and a delimiter are recognized.
const SAMPLE: usize = 4096;

/// Decodes a file: by its byte order mark, as UTF-16 if every other byte is zero, as UTF-8, else as Windows-1252. A few
/// broken bytes in a file of UTF-8 become U+FFFD, so that one row does not decide over the others.
///
/// # Errors
/// A sentence for the user if the bytes are no text.
pub(crate) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        return check(String::from_utf8_lossy(rest));
    }
    if bytes.starts_with(b"\xff\xfe") || looks_like_utf16(bytes, 1) {
        return check(UTF_16LE.decode(bytes).0);
    }
    if bytes.starts_with(b"\xfe\xff") || looks_like_utf16(bytes, 0) {
        return check(UTF_16BE.decode(bytes).0);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return check(Cow::Borrowed(text));
    }
    let (mut multibyte, mut broken) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        multibyte += chunk
            .valid()
            .chars()
            .filter(|letter| !letter.is_ascii())
            .count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    if multibyte > broken {
        return check(String::from_utf8_lossy(bytes));
    }
    check(WINDOWS_1252.decode_without_bom_handling(bytes).0)
}

/// True if the bytes at the odd (`zero` = 1) or even places of the sample are zero, as in UTF-16 text that is mostly ASCII.
fn looks_like_utf16(bytes: &[u8], zero: usize) -> bool {
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    let zeros = sample.iter().skip(zero).step_by(2);
    let letters = sample.iter().skip(1 - zero).step_by(2);
    sample.len() >= 8
        && zeros.filter(|byte| **byte == 0).count() * 10 >= sample.len() / 2 * 7
        && letters.filter(|byte| **byte == 0).count() * 10 <= sample.len() / 2
}

fn check(text: Cow<'_, str>) -> Result<Cow<'_, str>, &'static str> {
    let is_binary = |letter: char| {
        letter.is_control() && !matches!(letter, '\t' | '\n' | '\r' | '\u{c}' | '\u{1a}')
    };
    let binary = text
        .chars()
        .take(SAMPLE)
        .filter(|letter| is_binary(*letter))
        .count();
    if binary * 20 > text.len().min(SAMPLE) {
        return Err("is not text: send the file as it was exported");
    }
    Ok(text)
}

/// The text without control characters, for reports: of those, databases cannot store NUL.
pub(crate) fn without_controls(text: &str) -> String {
    let letters = text.chars();
    letters.filter(|letter| !letter.is_control()).collect()
}

/// True if the text is a document of XML or HTML.
pub(crate) fn is_markup(text: &str) -> bool {
    text.trim_start().starts_with('<')
}

/// True if the text is JSON.
pub(crate) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['[', '{'])
}

/// Skips Excel's line `sep=;` and returns the rest, the number of skipped lines and the delimiter: that one, else the
/// most frequent one of the first line outside of quotes.
pub(crate) fn delimiter(text: &str) -> (&str, u64, u8) {
    let first = text.split(['\r', '\n']).next().unwrap_or_default();
    if let Some(&[delimiter]) = first
        .trim_matches('"')
        .strip_prefix("sep=")
        .map(str::as_bytes)
    {
        let rest = &text[first.len()..];
        let rest = rest
            .strip_prefix("\r\n")
            .or_else(|| rest.strip_prefix(['\r', '\n']));
        return (rest.unwrap_or_default(), 1, delimiter);
    }
    let (mut counts, mut is_quoted) = ([0_usize; 3], false);
    for byte in first.bytes().take(SAMPLE) {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => counts[0] += 1,
            b';' if !is_quoted => counts[1] += 1,
            b'\t' if !is_quoted => counts[2] += 1,
            _ => {}
        }
    }
    let [commas, semicolons, tabs] = counts;
    let delimiter = match () {
        () if tabs > commas.max(semicolons) => b'\t',
        () if semicolons > commas => b';',
        () => b',',
    };
    (text, 0, delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_recognized_with_and_without_a_mark() {
        let text = "Date,Name\n2024-01-02,Amélie";
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf16_be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = [b"\xff\xfe".as_slice(), &utf16].concat();
        let latin: Vec<u8> = text
            .chars()
            .map(|letter| u8::try_from(u32::from(letter)).expect("latin"))
            .collect();
        let bytes = text.as_bytes();
        let marked_utf8 = [b"\xef\xbb\xbf".as_slice(), bytes].concat();
        for file in [bytes, &utf16, &utf16_be, &marked, &latin, &marked_utf8] {
            assert_eq!(decode(file).as_deref(), Ok(text), "{file:?}");
        }
        let mostly = decode("é,é\nü,".as_bytes()).map(|text| text.len());
        assert_eq!(mostly, Ok(9));
        assert_eq!(
            decode(b"\xc3\xa9,\xc3\xa9,\xff").as_deref(),
            Ok("é,é,\u{fffd}")
        );
        assert!(decode(&[0, 1, 2, 3, 255, 0, 9, 8, 7, 6, 5, 4]).is_err());
    }

    #[test]
    fn delimiters_are_recognized_outside_of_quotes() {
        assert_eq!(delimiter("a,b;c,d\n").2, b',');
        assert_eq!(delimiter("\"a,b,c\";d;e\n").2, b';');
        assert_eq!(delimiter("a\tb\n").2, b'\t');
        assert_eq!(delimiter("sep=;\r\na,b;c\n"), ("a,b;c\n", 1, b';'));
    }
}
