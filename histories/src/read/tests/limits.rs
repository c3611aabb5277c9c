//! Limits, dangerous archives and foreign files.

use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::HalfStars;

#[test]
fn dangerous_archives_are_refused() {
    let row = b"Title,Year,Rating\nUp,2009,4\n".as_slice();
    let bomb = zipped(&[("a.csv", &vec![b','; MAX_FILE_BYTES + 1])]);
    assert!(bomb.len() < 100_000);
    assert!(refusal(&[("x.zip", &bomb)]).contains("32 MiB"));
    let many: Vec<(String, Vec<u8>)> = (0..4)
        .map(|n| (format!("{n}.csv"), vec![b','; MAX_FILE_BYTES - 9]))
        .collect();
    let many: Vec<(&str, &[u8])> = many
        .iter()
        .map(|(name, content)| (name.as_str(), content.as_slice()))
        .collect();
    assert!(refusal(&[("x.zip", &zipped(&many))]).contains("96 MiB"));
    assert!(refusal(&[("x.zip", &zipped(&[("../a.csv", row)]))]).contains("leaves its folder"));
    assert!(
        refusal(&[("x.zip", &zipped(&[("b.zip", &zipped(&[("a.csv", row)]))]))])
            .contains("archive within an archive")
    );
    let names: Vec<String> = (0..=MAX_FILES).map(|n| format!("{n}.csv")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), row)).collect();
    assert!(refusal(&[("x.zip", &zipped(&files))]).contains("2000 files"));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&vec![b','; MAX_FILE_BYTES + 1])
        .expect("written");
    assert!(refusal(&[("x.gz", &gzip.finish().expect("finished"))]).contains("32 MiB"));
    let mut encrypted = zipped(&[("a.csv", row)]);
    // The flag of encryption, in the header of the file and in the directory.
    encrypted[6] |= 1;
    let directory = encrypted
        .windows(4)
        .position(|bytes| bytes == b"PK\x01\x02")
        .expect("a directory");
    encrypted[directory + 8] |= 1;
    assert!(refusal(&[("x.zip", &encrypted)]).contains("encrypted"));
    assert!(refusal(&[("x.zip", b"PK\x03\x04 and nothing more")]).contains("not a valid zip"));
    assert!(refusal(&[("x.7z", b"7z\xbc\xaf\x27\x1c and more")]).contains("another kind"));
    assert!(refusal(&[("../x.csv", row)]).contains("leaves its folder"));
}

#[test]
fn the_entries_of_an_archive_are_counted_before_they_are_read() {
    let archive = zipped(&[("a.csv", b"Title,Year,Rating\nUp,2009,4\n")]);
    let place = |signature: &[u8]| {
        let places = archive.windows(4).position(|bytes| bytes == signature);
        places.expect("a record")
    };
    let (directory, end) = (place(b"PK\x01\x02"), place(b"PK\x05\x06"));
    let with_entries = |count: usize, stated: u16| {
        let entries = archive[directory..end].repeat(count);
        let mut record = archive[end..].to_vec();
        for place in [8, 10] {
            record[place..place + 2].copy_from_slice(&stated.to_le_bytes());
        }
        let size = u32::try_from(entries.len()).expect("a size");
        record[12..16].copy_from_slice(&size.to_le_bytes());
        [&archive[..directory], &entries, &record].concat()
    };
    // The reader would take those of one path together.
    let refused = refusal(&[("x.zip", &with_entries(MAX_FILES, 2000))]);
    assert!(refused.contains("the same path"), "{refused}");
    for stated in [1, 2001, u16::MAX] {
        let refused = refusal(&[("x.zip", &with_entries(MAX_FILES + 1, stated))]);
        assert!(refused.contains("2000 files"), "{stated}: {refused}");
    }
}

#[test]
fn huge_and_foreign_files_are_refused_within_bounds() {
    let commas = ",".repeat(16 * 1024 * 1024);
    let history = read_one("x.csv", &commas);
    assert_eq!((history.rows.len(), history.problems.len()), (0, 1));
    let xml = read_one("ratings.csv", "<?xml version=\"1.0\"?>\n<a>,</a>\n");
    assert!(xml.problems[0].message.contains("XML"));
    let million = format!("Title,Year,Rating\n{}", "Up,2009,4\n".repeat(1_000_000));
    assert!(refusal(&[("x.csv", million.as_bytes())]).contains("at most 100000 rows"));
}

#[test]
fn a_gzipped_body_is_read() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"Title,Year,Rating\nUp,2009,4.5\n")
        .expect("written");
    let content = gzip.finish().expect("finished");
    let history = read_all(&[("", &content)]);
    assert_eq!(
        history.rows[0].rating.map(|rating| rating.value),
        HalfStars::new(9)
    );
}

proptest! {
    #[test]
    fn reading_arbitrary_bytes_does_not_panic(content in prop::collection::vec(any::<u8>(), 0..300), place in 0..22_usize) {
        let headings = [
            "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n",
            "movieId,imdbId,tmdbId\n",
            "userId,movieId,rating,timestamp\n",
            "[{\"rated_at\":",
            "PK\u{3}\u{4}",
            "",
        ];
        let mut bytes = headings[place % headings.len()].as_bytes().to_vec();
        bytes.extend(content);
        let format = Format::ALL.get(place).copied();
        for format in [None, format] {
            let _ = read(&[Upload { name: "x", content: &bytes }], &Options { format, ..options() });
        }
    }

    #[test]
    fn every_row_of_plain_text_is_taken_or_reported(lines in prop::collection::vec("[ -~]{0,40}", 0..30)) {
        let text = format!("Title,Year,Rating\n{}\n", lines.join("\n"));
        let history = read_one("x.csv", &text);
        let rows = history.files.first().map_or(0, |file| file.rows);
        let told: usize = history.problems.iter().map(|problem| problem.rows).sum();
        let is_refused = history.problems.iter().any(|problem| problem.rows == 0);
        prop_assert!(is_refused || history.rows.len() + told == rows, "{history:?}");
    }
}
