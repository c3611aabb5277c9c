//! Splits a file into rows: records of CSV, or lines. An overlong row is refused, so that an unclosed quote does not
//! read the whole file into memory.

use std::io::{self, BufRead, Read};

use csv_core::ReadRecordResult;

/// Bytes of a row.
const MAX_ROW: usize = 1024 * 1024;
const MAX_COLUMNS: usize = 256;

/// Records of a CSV file.
pub(super) struct CsvRecords {
    input: Box<dyn BufRead + Send>,
    parser: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
}

/// A record with its concatenated fields.
pub(super) struct Record<'a> {
    text: &'a [u8],
    ends: &'a [usize],
}

impl<'a> Record<'a> {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Field `place`, from 0; empty if the record is shorter.
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
            text: vec![0; MAX_ROW],
            ends: vec![0; MAX_COLUMNS],
        }
    }

    /// Reads the next record, with the line on which it begins.
    ///
    /// # Errors
    /// Fails if the file cannot be read or the record is too long.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Record<'_>)>> {
        let (mut written, mut fields) = (0, 0);
        let mut line = self.parser.line();
        let mut begun = false;
        loop {
            let input = self.input.fill_buf()?;
            if !begun {
                // The parser skips empty lines.
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
                        "line {line}: the row is longer than {MAX_ROW} bytes or {MAX_COLUMNS} columns; is a quote not closed?"
                    );
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
            }
        }
    }
}

/// A line's number and its text, `None` if it is too long.
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

    /// Reads the next line that is not blank.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.text.clear();
            self.line += 1;
            let limit = MAX_ROW as u64 + 1;
            if (&mut self.input)
                .take(limit)
                .read_until(b'\n', &mut self.text)?
                == 0
            {
                return Ok(None);
            }
            if self.text.len() > MAX_ROW && !self.text.ends_with(b"\n") {
                self.input.skip_until(b'\n')?;
                return Ok(Some((self.line, None)));
            }
            if !self.text.trim_ascii().is_empty() {
                return Ok(Some((self.line, Some(self.text.trim_ascii()))));
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
    fn records_and_their_lines_do_not_depend_on_the_buffer_size() {
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
    fn overlong_rows_are_not_kept_in_memory() {
        let endless = format!("id\n\"{}", "x".repeat(3 * MAX_ROW));
        let mut records = CsvRecords::new(input(&endless, 4096));
        assert!(records.next().is_ok());
        let error = records.next().err().expect("too long").to_string();
        assert!(error.starts_with("line 2"), "{error}");

        let mut lines = Lines::new(input(
            &format!("{}\n\n {{}} \nx", "y".repeat(3 * MAX_ROW)),
            4096,
        ));
        assert_eq!(lines.next().expect("readable"), Some((1, None)));
        assert!(lines.text.capacity() < 3 * MAX_ROW);
        assert_eq!(lines.next().expect("readable"), Some((3, Some(&b"{}"[..]))));
        assert_eq!(lines.next().expect("readable"), Some((4, Some(&b"x"[..]))));
        assert_eq!(lines.next().expect("readable"), None);
    }
}
