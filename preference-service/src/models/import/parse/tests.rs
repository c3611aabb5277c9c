use proptest::prelude::*;

use super::{header::Header, *};
use crate::models::Rating;
use csv::ByteRecord;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_000_000, 0).expect("in range")
}

fn read(name: &str, text: &str) -> Result<Parsed, Vec<FieldError>> {
    let content = text.as_bytes();
    parse(&[ImportSource { name, content }], None, 1000, now())
}

fn entries(name: &str, text: &str) -> Vec<ImportEntry> {
    read(name, text).expect(text).entries
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

#[test]
fn formats_are_detected_by_their_columns_and_then_by_the_file_name() {
    let format = |name: &str, heading: &str| {
        let header = Header::new(&ByteRecord::from(heading.split(',').collect::<Vec<_>>()));
        header.format(None, name).map(|format| format.to_string())
    };
    let list = "Date,Name,Year,Letterboxd URI";
    assert_eq!(
        format("watched.csv", list).as_deref(),
        Ok("letterboxd-watched")
    );
    assert_eq!(
        format("My Watchlist.CSV", list).as_deref(),
        Ok("letterboxd-watchlist")
    );
    assert_eq!(
        format("likes/films.csv", list).as_deref(),
        Ok("letterboxd-likes")
    );
    assert!(format("export.csv", list).is_err_and(|error| error.contains("format=")));
    assert!(format("x", "a,b").is_err());
    for (heading, wanted) in [
        ("Date,Name,Year,Letterboxd URI,Rating", "letterboxd-ratings"),
        (
            "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date",
            "letterboxd-diary",
        ),
        (
            "Const,Your Rating,Date Rated,Title,Title Type,Year",
            "imdb-ratings",
        ),
        (
            "Position,Const,Created,Modified,Description,Title,Year,Your Rating,Date Rated",
            "imdb-watchlist",
        ),
        (
            "rated_at,type,title,year,trakt_id,imdb_id,tmdb_id,rating",
            "trakt-ratings",
        ),
        (
            "watched_at,action,type,title,year,trakt_id,imdb_id,tmdb_id",
            "trakt-history",
        ),
        (
            "rank,listed_at,type,title,year,trakt_id,imdb_id,tmdb_id",
            "trakt-watchlist",
        ),
        ("userId,movieId,rating,timestamp", "movielens-ratings"),
        (
            "movie_id,imdb_id,tmdb_id,rating,average_rating,title",
            "movielens-ratings",
        ),
        ("movieId,imdbId,tmdbId", "movielens-links"),
        ("movieId,title,genres", "movielens-movies"),
    ] {
        assert_eq!(format("x.csv", heading).as_deref(), Ok(wanted), "{heading}");
    }
}

#[test]
fn quotes_line_ends_and_a_byte_order_mark_are_parsed_and_lines_counted() {
    let text = "\u{feff}Date,Name,Year,Letterboxd URI,Rating\r\n\
        2024-01-02,\"Said, \"\"so\"\"\r\nthey\",1990,u,0.5\r\n\r\n2024-01-03,달의 길,,u,5\r\n";
    let read = entries("ratings.csv", text);
    let seen: Vec<_> = read
        .iter()
        .map(|entry| (entry.line, entry.title.as_deref().expect("one"), entry.year))
        .collect();
    assert_eq!(
        seen,
        [
            (2, "Said, \"so\"\r\nthey", Some(1990)),
            (5, "달의 길", None)
        ]
    );
    let rated: Vec<_> = read
        .iter()
        .map(|entry| entry.rating.zip(entry.rated_at).expect("one"))
        .collect();
    assert_eq!(rated[0].0.stars(), 0.5);
    assert_eq!(
        rated[1],
        (
            Rating::from_half_stars(10).expect("one"),
            at("2024-01-03T00:00:00Z")
        )
    );
}

#[test]
fn movielens_rows_get_their_ids_and_titles_from_links_and_movies() {
    let file = |name, content: &'static str| ImportSource {
        name,
        content: content.as_bytes(),
    };
    let ratings = file(
        "ratings.csv",
        "userId,movieId,rating,timestamp\n3,7,4.5,1000000000\n3,8,1,\n3,9,2,1\n",
    );
    let links = file(
        "links.csv",
        "movieId,imdbId,tmdbId\n7,0000042,603\n8,12345678,\n",
    );
    let movies = file(
        "movies.csv",
        "movieId,title,genres\n8,\"Long Way, The (1987)\",Drama\n9,Short Way,Drama\n",
    );
    let read = parse(&[ratings, links, movies], None, 10, now())
        .expect("right")
        .entries;
    assert_eq!(read[0].tmdb_id, MovieId::new(603));
    assert_eq!(read[0].imdb_id.as_deref(), Some("tt0000042"));
    assert_eq!(read[0].rated_at, Some(at("2001-09-09T01:46:40Z")));
    assert_eq!(
        (read[1].imdb_id.as_deref(), read[1].year),
        (Some("tt12345678"), Some(1987))
    );
    assert_eq!(read[1].title.as_deref(), Some("The Long Way"));
    assert_eq!(read[1].rated_at, Some(now()));
    assert_eq!(read[2].title.as_deref(), Some("Short Way"));
    let alone = parse(&[ratings], None, 10, now()).expect_err("no links");
    assert_eq!(alone[0].field, "ratings.csv line 2, movieId");
}

#[test]
fn errors_name_the_line_and_the_column() {
    let fields = |text: &str| {
        let errors = read("f.csv", text).expect_err(text);
        errors
            .into_iter()
            .map(|error| error.field)
            .collect::<Vec<_>>()
    };
    let ratings = "Date,Name,Year,Letterboxd URI,Rating\n";
    for (rows, field) in [
        ("2024-13-01,A,1990,u,5", "f.csv line 2, Date"),
        ("2024-01-01,,1990,u,5", "f.csv line 2, Name"),
        ("2024-01-01,A,MCM,u,5", "f.csv line 2, Year"),
        ("2024-01-01,A,1990,u,5.5", "f.csv line 2, Rating"),
        ("2024-01-01,A,1990,u", "f.csv line 2"),
        ("", "f.csv"),
    ] {
        assert_eq!(fields(&format!("{ratings}{rows}")), [field], "{rows}");
    }
    let imdb = "Const,Your Rating,Date Rated,Title,Year\n";
    for (rows, field) in [
        ("nm0000001,5,2024-01-01,A,1990", "f.csv line 2, Const"),
        (",5,2024-01-01,A,1990", "f.csv line 2, Const"),
        ("tt0000001,0,2024-01-01,A,1990", "f.csv line 2, Your Rating"),
    ] {
        assert_eq!(fields(&format!("{imdb}{rows}")), [field], "{rows}");
    }
    let movielens = "userId,movieId,rating,timestamp,tmdbId\n";
    let two = format!("{movielens}1,7,5,0,603\n2,7,5,0,603");
    assert_eq!(fields(&two), ["f.csv line 3, userId"]);
    assert_eq!(fields(""), ["f.csv"]);
    let content = b"Date,Name,Year,Letterboxd URI,Rating\n2024-01-01,\xff,1990,u,5";
    let errors = parse(&[ImportSource { name: "", content }], None, 9, now()).expect_err("bytes");
    assert_eq!(
        errors[0],
        FieldError::new("body line 2, Name", "must be text in UTF-8")
    );
    let many = format!("{ratings}{}", "2024-01-01,A,1990,u,9\n".repeat(50));
    assert_eq!(fields(&many).len(), MAX_ERRORS);
}

#[test]
fn series_are_skipped_and_the_number_of_rows_is_limited() {
    let text = "rated_at,type,title,year,imdb_id,tmdb_id,rating\n\
        2024-01-01T00:00:00Z,show,A,1990,,1,5\n2024-01-01T00:00:00Z,movie,A,1990,,1,5\n";
    let parsed = read("t.csv", text).expect("right");
    assert_eq!((parsed.entries.len(), parsed.skipped), (1, 1));
    let content = text.as_bytes();
    let source = ImportSource {
        name: "t.csv",
        content,
    };
    let errors = parse(&[source], None, 1, now()).expect_err("too many");
    assert_eq!(errors[0].field, "t.csv line 3");
}

proptest! {
    #[test]
    fn parsing_arbitrary_bytes_does_not_panic(content in prop::collection::vec(any::<u8>(), 0..300), place in 0..13_usize) {
        let headings = [
            "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n",
            "movieId,imdbId,tmdbId\n",
            "userId,movieId,rating,timestamp\n",
            "",
        ];
        let mut bytes = headings[place % headings.len()].as_bytes().to_vec();
        bytes.extend(content);
        let source = ImportSource { name: "x", content: &bytes };
        let _ = parse(&[source], ImportFormat::ALL.get(place).copied(), 100, now());
        let _ = parse(&[source], None, 100, now());
    }
}
