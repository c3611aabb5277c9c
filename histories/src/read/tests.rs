mod limits;
mod sites;

use std::io::Write;

use chrono::DateTime;

use super::*;
use crate::When;

fn options() -> Options {
    Options {
        format: None,
        date_order: None,
        max_rows: 100_000,
        now: DateTime::from_timestamp(1_770_000_000, 0).expect("in range"),
    }
}

fn read_all(files: &[(&str, &[u8])]) -> History {
    let uploads: Vec<Upload<'_>> = files
        .iter()
        .map(|(name, content)| Upload { name, content })
        .collect();
    read(&uploads, &options()).expect("within the limits")
}

fn read_one(name: &str, text: &str) -> History {
    read_all(&[(name, text.as_bytes())])
}

fn stars(row: &Row) -> Option<f64> {
    row.rating.map(|rating| f64::from(rating.value.get()) / 2.0)
}

fn day(text: &str) -> When {
    When::Day(text.parse().expect("a day"))
}

/// A zip archive of files.
fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated);
    for (name, content) in files {
        writer.start_file(*name, options).expect("a file");
        writer.write_all(content).expect("written");
    }
    writer.finish().expect("finished").into_inner()
}

fn refusal(files: &[(&str, &[u8])]) -> String {
    let uploads: Vec<Upload<'_>> = files
        .iter()
        .map(|(name, content)| Upload { name, content })
        .collect();
    let refusal = read(&uploads, &options()).expect_err("refused");
    format!("{}: {}", refusal.file, refusal.message)
}

#[test]
fn formats_are_recognized_by_all_their_columns() {
    let format = |name: &str, heading: &str| {
        let history = read_one(name, &format!("{heading}\n"));
        history
            .files
            .first()
            .and_then(|file| file.format)
            .map(|format| format.to_string())
    };
    let list = "Date,Name,Year,Letterboxd URI";
    for (name, heading, expected) in [
        ("watched.csv", list, "letterboxd-watched"),
        ("My Watchlist.CSV", list, "letterboxd-watchlist"),
        ("likes/films.csv", list, "letterboxd-likes"),
        ("films (1).csv", list, "letterboxd-likes"),
        (
            "x",
            "Date,Name,Year,Letterboxd URI,Rating",
            "letterboxd-ratings",
        ),
        (
            "x",
            "Date;Name;Year;Letterboxd URI;Rating",
            "letterboxd-ratings",
        ),
        (
            "x",
            "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date",
            "letterboxd-diary",
        ),
        (
            "x",
            "Title,Year,Rating10,WatchedDate,tmdbID,imdbID",
            "letterboxd-import",
        ),
        (
            "films.csv",
            "tmdbID,imdbID,Title,Year,Rating10,WatchedDate,Rewatch,Review",
            "letterboxd-import",
        ),
        ("x", "LetterboxdURI,Rating", "letterboxd-import"),
        (
            "x",
            "Const,Your Rating,Date Rated,Title,Title Type,Year",
            "imdb-ratings",
        ),
        (
            "x",
            "Const,Your Rating,Date Added,Title,Title Type,Year",
            "imdb-ratings",
        ),
        (
            "x",
            "Position,Const,Created,Modified,Description,Title,Year,Your Rating,Date Rated",
            "imdb-watchlist",
        ),
        (
            "ratings.csv",
            "position,const,created,Title,Title type,You rated,Year",
            "imdb-ratings",
        ),
        (
            "WATCHLIST.csv",
            "position,const,created,Title,Title type,You rated,Year",
            "imdb-watchlist",
        ),
        (
            "x",
            "rated_at,type,title,year,trakt_id,imdb_id,tmdb_id,rating",
            "trakt-ratings",
        ),
        (
            "x",
            "watched_at,action,type,title,year,trakt_id,imdb_id,tmdb_id",
            "trakt-history",
        ),
        (
            "x",
            "rank,listed_at,type,title,year,trakt_id,imdb_id,tmdb_id",
            "trakt-watchlist",
        ),
        ("x", "userId,movieId,rating,timestamp", "movielens-ratings"),
        (
            "x",
            "movie_id,imdb_id,tmdb_id,rating,average_rating,title",
            "movielens-ratings",
        ),
        ("x", "movieId,imdbId,tmdbId", "movielens-links"),
        ("x", "movieId,title,genres", "movielens-movies"),
        (
            "x",
            "TMDb ID,IMDb ID,Type,Name,Release Date,Season Number,Episode Number,Rating,Your Rating,Date Rated",
            "tmdb-ratings",
        ),
        (
            "tmdb-watchlist.csv",
            "TMDb ID,IMDb ID,Type,Name,Release Date,Season Number,Episode Number,Rating,Your Rating,Date Rated",
            "tmdb-watchlist",
        ),
        (
            "x",
            "SIMKL_ID,Title,Type,Year,Watchlist,LastEpWatched,WatchedDate,Rating,Memo,TVDB,TMDB,IMDB",
            "simkl",
        ),
        (
            "x",
            "\"media_id\",\"source\",\"media_type\",\"title\",\"image\",\"season_number\",\"episode_number\",\"score\",\"progress\",\"status\",\"start_date\",\"end_date\",\"notes\",\"progressed_at\"",
            "yamtrack",
        ),
        (
            "x",
            "title,year,tmdbId,imdbId,watchedAt,comment",
            "movary-history",
        ),
        ("x", "title,year,tmdbId,imdbId,userRating", "movary-ratings"),
        ("x", "title,tmdbId,imdbId,addedAt", "movary-watchlist"),
    ] {
        assert_eq!(
            format(name, heading).as_deref(),
            Some(expected),
            "{heading}"
        );
    }
    for (heading, part) in [
        ("Date,Name,Year,Letterboxd URI", "format="),
        ("a,b", "not the header"),
        ("Const,Your Rating,Name,Letterboxd URI", "contradict"),
        ("Date,Name,Year,Letterboxd URI,Rating,Rating", "twice"),
        ("rated_at,rating,title,Letterboxd URI", "contradict"),
    ] {
        let history = read_one("x", &format!("{heading}\n"));
        let problem = history.problems.first().expect(heading);
        assert!(
            problem.reason == Reason::UnknownFormat && problem.message.contains(part),
            "{problem:?}"
        );
    }
}

#[test]
fn a_broken_row_is_reported_and_the_others_are_taken() {
    let text = "Date,Name,Year,Letterboxd URI,Rating\n2024-03-01,Up,2009,u,4.5\n2024-03-02,Heat,1995,u,0\n\
        2024-03-03,\"Dune,2021,u,4\n2024-03-03,Alien,1979,u,4\n2024-03-04,Good, Bad,1966,u,4\n2024-13-01,Jaws,1975,u,4\n2024-03-05,Alie";
    let history = read_one("ratings.csv", text);
    let titles: Vec<_> = history
        .rows
        .iter()
        .map(|row| row.film.title.as_deref().expect("one"))
        .collect();
    assert_eq!(titles, ["Alien", "Up"]);
    let problems: Vec<_> = history
        .problems
        .iter()
        .map(|problem| {
            (
                problem.line,
                problem.field.as_deref(),
                problem.reason,
                problem.title.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        problems,
        [
            (Some(3), Some("Rating"), Reason::InvalidField, Some("Heat")),
            (Some(4), None, Reason::BrokenRow, None),
            (Some(6), None, Reason::BrokenRow, Some("Good")),
            (Some(7), Some("Date"), Reason::InvalidField, Some("Jaws")),
            (Some(8), None, Reason::BrokenRow, Some("Alie")),
        ]
    );
    assert_eq!(history.files[0].rows, 7);
}

#[test]
fn a_problem_of_a_movie_is_reported_once() {
    let row = "2024-03-01,Up,2009,u,9\n";
    let history = read_one(
        "ratings.csv",
        &format!("Date,Name,Year,Letterboxd URI,Rating\n{}", row.repeat(1200)),
    );
    assert_eq!(history.problems.len(), 1);
    assert_eq!(
        (history.problems[0].line, history.problems[0].rows),
        (Some(2), 1200)
    );
}

#[test]
fn a_letterboxd_archive_is_taken_whole_and_the_rest_is_named() {
    let list = b"Date,Name,Year,Letterboxd URI\n2024-01-05,Up,2009,u\n".as_slice();
    let diary = b"Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n2024-01-05,Up,2009,u,4.5,,,2024-01-04\n".as_slice();
    let files: Vec<(&str, &[u8])> = vec![
        ("watched.csv", list),
        ("watchlist.csv", list),
        ("likes/films.csv", list),
        ("diary.csv", diary),
        ("profile.csv", b"Date Joined,Username\n"),
        ("comments.csv", b"Date,Content,Comment\n"),
        ("likes/reviews.csv", b"Date,Content\n"),
        ("lists/a.csv", b"Letterboxd list export v7\n"),
        ("deleted/diary.csv", diary),
        ("orphaned/diary.csv", diary),
        ("__MACOSX/._diary.csv", b"x"),
    ];
    let archive = zipped(&files);
    let folder: Vec<(String, &[u8])> = files
        .iter()
        .map(|(name, content)| (format!("letterboxd-someone/{name}"), *content))
        .collect();
    let folder: Vec<(&str, &[u8])> = folder
        .iter()
        .map(|(name, content)| (name.as_str(), *content))
        .collect();
    let whole = read_all(&[("letterboxd.zip", &archive)]);
    for history in [&whole, &read_all(&folder)] {
        assert_eq!(history.rows.len(), 4);
        assert!(history.problems.is_empty());
        let skipped: Vec<_> = history
            .skipped_files
            .iter()
            .map(|file| file.reason)
            .collect();
        use SkipReason as S;
        assert_eq!(
            skipped,
            [
                S::Profile,
                S::Comments,
                S::OtherLikes,
                S::List,
                S::Deleted,
                S::Orphaned,
                S::NoData
            ]
        );
    }
    assert_eq!(whole.skipped_files[4].name, "deleted/diary.csv");
}

#[test]
fn rows_come_in_an_order_that_does_not_depend_on_files_and_rows() {
    let diary = |days: [&str; 3]| {
        let rows = days
            .map(|day| format!("{day},Alien,1979,u,,,,{day}\n"))
            .concat();
        format!("Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n{rows}")
    };
    let ratings = "Date,Name,Year,Letterboxd URI,Rating\n2022-01-02,Alien,1979,u,5\n";
    let (one, two) = (
        diary(["2020-01-01", "2021-01-01", "2022-01-01"]),
        diary(["2022-01-01", "2020-01-01", "2021-01-01"]),
    );
    let neutral = |history: History| {
        history
            .rows
            .into_iter()
            .map(|row| Row {
                file: 0,
                line: 0,
                ..row
            })
            .collect::<Vec<_>>()
    };
    let first = neutral(read_all(&[
        ("diary.csv", one.as_bytes()),
        ("ratings.csv", ratings.as_bytes()),
    ]));
    let second = neutral(read_all(&[
        ("ratings.csv", ratings.as_bytes()),
        ("diary.csv", two.as_bytes()),
    ]));
    assert_eq!(first, second);
    assert_eq!(first.len(), 4);
}

#[test]
fn dates_of_spreadsheets_are_decided_over_the_whole_upload() {
    let file = |rows: &str| format!("Date;Name;Year;Letterboxd URI;Rating\r\n{rows}");
    let ambiguous = file("3/1/2024;Up;2009;u;4,5\r\n");
    let history = read_one("ratings.csv", &ambiguous);
    assert_eq!((history.rows.len(), history.problems.len()), (0, 1));
    assert_eq!(history.problems[0].reason, Reason::AmbiguousDates);
    let history = read_one(
        "ratings.csv",
        &format!("{ambiguous}3/13/2024;Dune;2021;u;4\r\n"),
    );
    assert_eq!(
        history.rows[1].rating.map(|rating| rating.when),
        Some(day("2024-03-01"))
    );
    assert_eq!(stars(&history.rows[1]), Some(4.5));
    let other = file("13/3/2024;Dune;2021;u;4\r\n");
    let history = read_all(&[
        ("ratings.csv", ambiguous.as_bytes()),
        ("other.csv", other.as_bytes()),
    ]);
    let up = history
        .rows
        .iter()
        .find(|row| row.film.title.as_deref() == Some("Up"))
        .expect("Up");
    assert_eq!(up.rating.map(|rating| rating.when), Some(day("2024-01-03")));
}

#[test]
fn ratings_of_ten_in_a_column_of_five_are_not_halved_silently() {
    let history = read_one("x.csv", "Title,Year,Rating\nUp,2009,4\nAlien,1979,8\n");
    assert_eq!((history.rows.len(), history.problems.len()), (0, 1));
    assert!(history.problems[0].message.contains("Rating10"));
}
