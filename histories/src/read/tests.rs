use std::io::Write;

use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use crate::{HalfStars, Source, When};

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
fn the_generations_of_imdb_are_read_with_their_dates() {
    let old = "\"position\",\"const\",\"created\",\"modified\",\"description\",\"Title\",\"Title type\",\"Directors\",\"You rated\",\"IMDb Rating\",\"Year\"\n\
        \"1\",\"tt0114369\",\"Thu Mar 12 00:00:00 2015\",\"\",\"\",\"Se7en\",\"Feature Film\",\"D\",\"9\",\"8.6\",\"1995\"\n";
    let history = read_one("", old);
    assert_eq!(stars(&history.rows[0]), Some(4.5));
    assert_eq!(
        history.rows[0].rating.map(|rating| rating.when),
        Some(day("2015-03-12"))
    );
    let list = read_one("list.csv", &old.replace("\"9\"", "\"\""));
    assert_eq!(
        (list.rows[0].rating, list.rows[0].watchlist),
        (None, Some(day("2015-03-12")))
    );
    let middle = read_one(
        "ratings.csv",
        "Const,Your Rating,Date Added,Title,Title Type\ntt0133093,8,2016-05-04,The Matrix,movie\n",
    );
    assert_eq!(
        middle.rows[0].rating.map(|rating| rating.when),
        Some(day("2016-05-04"))
    );
    let new = "Const,Your Rating,Date Rated,Title,Title Type,Year\ntt1234567,2,2021-01-01,Mother,TV Episode,2009\ntt1234569,2,2021-01-01,Hero,Serie de TV,2002\n\
        tt0000001,7,2021-01-01,Film,Película,2002\n";
    let history = read_one("x.csv", new);
    assert_eq!(
        (history.rows.len(), history.skipped_kinds.get("Serie de TV")),
        (1, Some(&1))
    );
}

#[test]
fn trakt_json_is_read_alone_and_in_its_archive() {
    let history = br#"[{"id": 1, "watched_at": "2014-04-05T15:27:00.000Z", "action": "scrobble", "type": "movie", "movie": {"title": "The Dark Knight", "year": 2008, "ids": {"imdb": "tt0468569", "tmdb": 155}}},
        {"id": 2, "watched_at": "2015-01-05T15:27:00.000Z", "type": "episode", "episode": {"title": "Up"}, "show": {"title": "Some Show"}},
        {"id": 3, "watched_at": null, "type": "movie", "movie": {"title": "Alien", "year": 1979, "ids": {"tmdb": "348"}}}]"#.as_slice();
    let ratings = br#"[{"rated_at": "2014-04-06T00:00:00.000Z", "rating": 9, "type": "movie", "movie": {"title": "The Dark Knight", "year": 2008, "ids": {"tmdb": 155}}},
        {"rated_at": "2014-04-06T00:00:00.000Z", "rating": 0, "type": "movie", "movie": {"title": "Heat", "ids": {}}}]"#.as_slice();
    let watchlist = br#"[{"rank": 1, "listed_at": "2014-09-01T09:10:11.000Z", "type": "movie", "movie": {"title": "Alien", "ids": {"tmdb": 348}}}]"#.as_slice();
    let files = [
        ("watched/watched-history-1.json", history),
        ("ratings/ratings-movies.json", ratings),
        ("lists/lists-watchlist.json", watchlist),
        ("lists/list-1-best.json", watchlist),
        ("ratings/ratings-episodes.json", b"[]"),
        ("user/user-profile.json", b"{\"username\":\"someone\"}"),
        (
            "collection/collection-movies.json",
            br#"[{"collected_at": "2014-09-01T09:10:11.000Z", "movie": {"title": "Alien"}}]"#,
        ),
    ];
    for history in [
        read_all(&[("someone.zip", &zipped(&files))]),
        read_all(&files),
    ] {
        assert_eq!(history.rows.len(), 4, "{history:?}");
        assert_eq!(history.rows[0].film.tmdb_id, Some(155));
        assert_eq!(history.skipped_kinds.get("episode"), Some(&1));
        let unknown = history
            .rows
            .iter()
            .find(|row| row.viewing == Some(When::Unknown))
            .expect("a viewing without a date");
        assert_eq!(unknown.film.tmdb_id, Some(348));
        assert_eq!(history.problems.len(), 1);
        assert_eq!(
            (
                history.problems[0].line,
                history.problems[0].field.as_deref()
            ),
            (Some(2), Some("rating"))
        );
        assert_eq!(history.skipped_files.len(), 4);
    }
}

#[test]
fn simkl_yamtrack_tmdb_and_movary_are_read() {
    let history = read_one(
        "SimklBackup.csv",
        "SIMKL_ID,Title,Type,Year,Watchlist,LastEpWatched,WatchedDate,Rating,Memo,TVDB,TMDB,IMDB\n\
         1,Up,movie,2009,completed,,2024-01-02,8,,,14160,tt1049413\n2,Show,tv,2009,watching,s1e2,,,,,1,\n3,Alien,movie,1979,plantowatch,,,,,,348,\n",
    );
    assert_eq!(history.rows.len(), 2);
    let up = history
        .rows
        .iter()
        .find(|row| row.film.tmdb_id == Some(14160))
        .expect("Up");
    assert_eq!(
        (up.viewing, stars(up)),
        (Some(day("2024-01-02")), Some(4.0))
    );
    let history = read_one(
        "yamtrack.csv",
        "\"media_id\",\"source\",\"media_type\",\"title\",\"score\",\"status\",\"end_date\",\"created_at\"\n\
         \"603\",\"tmdb\",\"movie\",\"The Matrix\",\"8\",\"Completed\",\"2024-01-15 22:00:00+00:00\",\"2024-01-16 22:00:00+00:00\"\n\
         \"348\",\"tmdb\",\"movie\",\"Alien\",\"\",\"Planning\",\"\",\"2024-01-16 22:00:00+00:00\"\n\"1399\",\"tmdb\",\"tv\",\"GoT\",\"9\",\"Completed\",\"\",\"\"\n",
    );
    assert_eq!(
        (history.rows.len(), history.skipped_kinds.get("tv")),
        (2, Some(&1))
    );
    let history = read_one(
        "ratings.csv",
        "TMDb ID,IMDb ID,Type,Name,Release Date,Season Number,Episode Number,Rating,Your Rating,Date Rated\n\
         453395,tt9419884,movie,Doctor Strange in the Multiverse of Madness,2022-05-04T00:00:00Z,,,7.229,7.0,2022-09-20T00:00:00Z\n\
         92749,tt10234724,tv,Moon Knight,2022-03-30T00:00:00Z,,,7.647,6.0,2022-09-20T00:00:00Z\n",
    );
    assert_eq!(
        (
            history.rows.len(),
            stars(&history.rows[0]),
            history.rows[0].film.year
        ),
        (1, Some(3.5), Some(2022))
    );
    let history = read_one(
        "history.csv",
        "title,year,tmdbId,imdbId,watchedAt,comment\nUp,2009,14160,tt1049413,2024-01-02,\n",
    );
    assert_eq!(
        (history.rows[0].source, history.rows[0].viewing),
        (Source::Movary, Some(day("2024-01-02")))
    );
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
fn movielens_rows_get_their_ids_and_titles_from_links_and_movies() {
    let ratings =
        b"userId,movieId,rating,timestamp\n3,7,4.5,1000000000\n3,8,1,\n3,9,2,1\n".as_slice();
    let links = b"movieId,imdbId,tmdbId\n7,0000042,603\n8,12345678,\n".as_slice();
    let movies =
        b"movieId,title,genres\n8,\"Long Way, The (1987)\",Drama\n9,Short Way,Drama\n".as_slice();
    let history = read_all(&[
        ("ratings.csv", ratings),
        ("links.csv", links),
        ("movies.csv", movies),
    ]);
    let films: Vec<_> = history
        .rows
        .iter()
        .map(|row| {
            (
                row.film.tmdb_id,
                row.film.imdb_id.as_deref(),
                row.film.title.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        films,
        [
            (Some(603), Some("tt0000042"), None),
            (None, Some("tt12345678"), Some("The Long Way")),
            (None, None, Some("Short Way"))
        ]
    );
    assert_eq!(
        history.rows[1].rating.map(|rating| rating.when),
        Some(When::Unknown)
    );
    let alone = read_all(&[("ratings.csv", ratings)]);
    assert_eq!(
        (
            alone.rows.len(),
            alone.problems.len(),
            alone.problems[0].reason
        ),
        (0, 1, Reason::NoMovie)
    );
    let two = read_one(
        "x",
        "userId,movieId,rating,timestamp,tmdbId\n1,7,5,0,603\n2,7,5,0,603\n",
    );
    assert_eq!(
        (two.rows.len(), two.problems[0].reason),
        (0, Reason::SeveralUsers)
    );
}

#[test]
fn ratings_of_ten_in_a_column_of_five_are_not_halved_silently() {
    let history = read_one("x.csv", "Title,Year,Rating\nUp,2009,4\nAlien,1979,8\n");
    assert_eq!((history.rows.len(), history.problems.len()), (0, 1));
    assert!(history.problems[0].message.contains("Rating10"));
}

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
