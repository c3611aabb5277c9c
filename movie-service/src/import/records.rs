//! Rows of a file, whatever is in it: records of CSV, lines of text. A row that is too long is refused,
//! so that a quote which is never closed does not take the file into memory.

use std::io::{self, BufRead};

use csv_core::ReadRecordResult;

/// The longest row.
const LONGEST: usize = 1024 * 1024;
/// The most columns.
const MOST_COLUMNS: usize = 256;

/// Records of a CSV file.
pub(super) struct CsvRecords {
    input: Box<dyn BufRead + Send>,
    parser: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
}

/// A record, its fields one behind the other.
pub(super) struct Record<'a> {
    text: &'a [u8],
    ends: &'a [usize],
}

impl<'a> Record<'a> {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Field `place`, from 0; empty where there is none.
    pub(super) fn field(&self, place: usize) -> &'a [u8] {
        let Some(end) = self.ends.get(place) else {
            return b"";
        };
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..*end]
    }
}

impl CsvRecords {
    pub(super) fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self {
            input,
            parser: csv_core::Reader::new(),
            text: vec![0; LONGEST],
            ends: vec![0; MOST_COLUMNS],
        }
    }

    /// The next record, with the line on which it begins.
    ///
    /// # Errors
    /// The file's, or a record that is too long to go on from.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Record<'_>)>> {
        let (mut written, mut fields) = (0, 0);
        let mut line = self.parser.line();
        let mut begun = false;
        loop {
            let input = self.input.fill_buf()?;
            if !begun {
                // The parser passes over empty lines, and so must the count.
                let blank = input
                    .iter()
                    .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                    .count();
                line += input[..blank].iter().filter(|byte| **byte == b'\n').count() as u64;
                begun = blank < input.len() || input.is_empty();
            }
            let (result, read, output, ended) =
                self.parser
                    .read_record(input, &mut self.text[written..], &mut self.ends[fields..]);
            self.input.consume(read);
            written += output;
            fields += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record => {
                    let record = Record {
                        text: &self.text[..written],
                        ends: &self.ends[..fields],
                    };
                    return Ok(Some((line, record)));
                }
                ReadRecordResult::End => return Ok(None),
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    let message = format!(
                        "line {line}: the row is longer than {LONGEST} bytes or {MOST_COLUMNS} columns; is a quote not closed?"
                    );
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
            }
        }
    }
}

/// A line's number, and its text unless it is too long.
type Line<'a> = (u64, Option<&'a [u8]>);

/// Lines of a file.
pub(super) struct Lines {
    input: Box<dyn BufRead + Send>,
    line: u64,
    text: Vec<u8>,
}

impl Lines {
    pub(super) fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self {
            input,
            line: 0,
            text: Vec::new(),
        }
    }

    /// The next line that is not empty, with its number; `None` for one that is too long.
    ///
    /// # Errors
    /// The file's.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.text.clear();
            self.line += 1;
            if !self.fill()? {
                return Ok(None);
            }
            if !self.text.trim_ascii().is_empty() {
                break;
            }
        }
        let whole = (self.text.len() <= LONGEST).then(|| self.text.trim_ascii());
        Ok(Some((self.line, whole)))
    }

    /// Reads to the end of the line, but keeps no more than a little beyond the longest.
    fn fill(&mut self) -> io::Result<bool> {
        let mut any = false;
        loop {
            let input = self.input.fill_buf()?;
            if input.is_empty() {
                return Ok(any);
            }
            any = true;
            let end = input.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(input.len(), |end| end + 1);
            let room = (LONGEST + 1).saturating_sub(self.text.len());
            self.text.extend_from_slice(&input[..length.min(room)]);
            self.input.consume(length);
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    fn input(text: &str, buffer: usize) -> Box<dyn BufRead + Send> {
        Box::new(BufReader::with_capacity(
            buffer,
            Cursor::new(text.as_bytes().to_vec()),
        ))
    }

    #[test]
    fn records_are_found_with_their_lines_however_the_file_is_cut() {
        let text = "a,b\r\n\"x\ny\",2\n\n\n3,\"\"\"q\"\"\"\nlast";
        for buffer in [1, 2, 3, 7, 100] {
            let mut records = CsvRecords::new(input(text, buffer));
            let mut found = Vec::new();
            while let Some((line, record)) = records.next().expect("readable") {
                let fields = (0..record.len())
                    .map(|place| String::from_utf8_lossy(record.field(place)).into_owned());
                found.push((line, fields.collect::<Vec<_>>().join("|")));
            }
            let expected = [(1, "a|b"), (2, "x\ny|2"), (6, "3|\"q\""), (7, "last")];
            let expected = expected.map(|(line, text)| (line, text.to_owned()));
            assert_eq!(found, expected, "buffer of {buffer}");
        }
    }

    #[test]
    fn what_is_too_long_does_not_take_the_memory() {
        let endless = format!("id\n\"{}", "x".repeat(3 * LONGEST));
        let mut records = CsvRecords::new(input(&endless, 4096));
        assert!(records.next().is_ok());
        let error = records.next().err().expect("too long").to_string();
        assert!(error.starts_with("line 2"), "{error}");

        let mut lines = Lines::new(input(
            &format!("{}\n\n {{}} \nx", "y".repeat(3 * LONGEST)),
            4096,
        ));
        assert_eq!(lines.next().expect("readable"), Some((1, None)));
        assert!(lines.text.capacity() < 3 * LONGEST);
        assert_eq!(lines.next().expect("readable"), Some((3, Some(&b"{}"[..]))));
        assert_eq!(lines.next().expect("readable"), Some((4, Some(&b"x"[..]))));
        assert_eq!(lines.next().expect("readable"), None);
    }
}
