//! Records of delimited text (RFC 4180). A record with an unclosed quote costs its own line only: reading continues on the
//! next one.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// The longest record, in bytes.
const MAX_RECORD_BYTES: usize = 256 * 1024;
/// The most columns.
const MAX_COLUMNS: usize = 256;
/// The bytes that may be read again after broken records.
const MAX_REREAD_BYTES: usize = 64 * 1024 * 1024;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The line on which the record begins, from 1.
    pub(crate) line: u64,
    text: String,
    ends: Vec<usize>,
}

impl Record {
    /// The field `index`, `None` if the record is shorter.
    pub(crate) fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..end)
    }

    /// The fields.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).filter_map(|index| self.get(index))
    }

    /// The number of fields.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// A record, or a line that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A record with at least one field that is not empty.
    Record(Record),
    /// A line that is no record.
    Broken(u64),
    /// Too many lines are broken: the rest, from this line on, is not read.
    GivenUp(u64),
}

/// The records of a text.
pub(crate) struct Table<'a> {
    text: &'a str,
    delimiter: u8,
    reader: Reader,
    position: usize,
    line: u64,
    reread: usize,
    is_over: bool,
    out: Vec<u8>,
    ends: Vec<usize>,
}

impl<'a> Table<'a> {
    /// The records of `text`, whose first line has the number `line`.
    pub(crate) fn new(text: &'a str, line: u64, delimiter: u8) -> Self {
        Self {
            text,
            delimiter,
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            position: 0,
            line,
            reread: 0,
            is_over: false,
            out: vec![0; MAX_RECORD_BYTES],
            ends: vec![0; MAX_COLUMNS],
        }
    }

    /// Moves to `position` and counts the lines up to there.
    fn advance(&mut self, position: usize) {
        let passed = &self.text.as_bytes()[self.position..position];
        let feeds = passed.iter().filter(|byte| **byte == b'\n').count();
        let returns = passed.iter().enumerate().filter(|(place, byte)| {
            let next = self.text.as_bytes().get(self.position + place + 1);
            **byte == b'\r' && next != Some(&b'\n')
        });
        self.line += u64::try_from(feeds + returns.count()).unwrap_or_default();
        self.position = position;
    }

    fn skip_line_breaks(&mut self) {
        let rest = &self.text.as_bytes()[self.position..];
        let breaks = rest
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        self.advance(self.position + breaks);
    }

    /// Reads one record at the present position: its length in bytes and the number of fields. `None` if it exceeds a limit.
    fn read(&mut self) -> (usize, Option<(usize, usize)>) {
        self.reader.reset();
        let input = &self.text.as_bytes()[self.position..];
        let (mut read, mut written, mut fields) = (0, 0, 0);
        loop {
            let (result, bytes_read, bytes_written, ends) = self.reader.read_record(
                &input[read..],
                &mut self.out[written..],
                &mut self.ends[fields..],
            );
            read += bytes_read;
            written += bytes_written;
            fields += ends;
            match result {
                ReadRecordResult::InputEmpty if read >= input.len() && bytes_read == 0 => {
                    return (read, Some((written, fields)));
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    return (read, None);
                }
                ReadRecordResult::Record | ReadRecordResult::End => {
                    return (read, Some((written, fields)));
                }
            }
        }
    }

    fn broken(&mut self, read: usize) -> Entry {
        let line = self.line;
        self.reread += read;
        if self.reread > MAX_REREAD_BYTES {
            self.is_over = true;
            return Entry::GivenUp(line);
        }
        let rest = &self.text.as_bytes()[self.position..];
        let length = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        self.advance(self.position + length.unwrap_or(rest.len()));
        Entry::Broken(line)
    }
}

impl Iterator for Table<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            self.skip_line_breaks();
            if self.is_over || self.position >= self.text.len() {
                return None;
            }
            let (line, start) = (self.line, self.position);
            let (read, record) = self.read();
            let Some((written, fields)) = record else {
                return Some(self.broken(read));
            };
            let raw = self.text.as_bytes()[start..start + read].trim_ascii_end();
            let has_break = raw.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
            if has_break && !is_well_formed(raw, self.delimiter) {
                return Some(self.broken(read));
            }
            self.advance(start + read);
            let text = String::from_utf8_lossy(&self.out[..written]).into_owned();
            // The end marks of old DOS files.
            let is_empty = text.trim_matches(['\u{1a}', '\0']).trim().is_empty();
            if is_empty {
                continue;
            }
            let ends = self.ends[..fields].to_vec();
            return Some(Entry::Record(Record { line, text, ends }));
        }
    }
}

/// True if each quoted field of a record ends before a delimiter or the end of the record.
fn is_well_formed(raw: &[u8], delimiter: u8) -> bool {
    let mut bytes = raw.iter().copied().peekable();
    loop {
        if bytes.peek() == Some(&b'"') {
            bytes.next();
            loop {
                match bytes.next() {
                    None => return false,
                    Some(b'"') if bytes.peek() == Some(&b'"') => {
                        bytes.next();
                    }
                    Some(b'"') => break,
                    Some(_) => {}
                }
            }
            match bytes.next() {
                None => return true,
                Some(byte) if byte == delimiter => continue,
                Some(_) => return false,
            }
        }
        loop {
            match bytes.next() {
                None => return true,
                Some(byte) if byte == delimiter => break,
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(u64, Option<Vec<String>>)> {
        Table::new(text, 1, b',')
            .map(|entry| match entry {
                Entry::Record(record) => (
                    record.line,
                    Some(record.iter().map(str::to_owned).collect()),
                ),
                Entry::Broken(line) | Entry::GivenUp(line) => (line, None),
            })
            .collect()
    }

    #[test]
    fn lines_are_counted_with_all_line_ends() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["a,b", "", "\"c", "d\",e", ",", "f,"].join(end);
            let expected = [
                (1, Some(vec!["a".to_owned(), "b".to_owned()])),
                (3, Some(vec![format!("c{end}d"), "e".to_owned()])),
                (6, Some(vec!["f".to_owned(), String::new()])),
            ];
            assert_eq!(read(&text), expected, "{end:?}");
        }
    }

    #[test]
    fn an_unclosed_quote_costs_one_line() {
        let text = "a,\"b\n1,2\n3,\"4\"\n5,\"6";
        let lines: Vec<_> = read(text)
            .into_iter()
            .map(|(line, record)| (line, record.is_some()))
            .collect();
        assert_eq!(lines, [(1, false), (2, true), (3, true), (4, true)]);
    }

    #[test]
    fn records_beyond_the_limits_are_broken() {
        let commas = format!("{}\na,b\n", ",".repeat(100_000));
        assert_eq!(read(&commas).len(), 2);
        let open = format!("\"{}\na,b\n", "x\n".repeat(200_000));
        assert_eq!(read(&open)[0], (1, None));
    }
}
