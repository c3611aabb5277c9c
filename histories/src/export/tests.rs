use chrono::{DateTime, NaiveDate, Utc};
use proptest::prelude::*;

use super::*;
use crate::{Film, Given, HalfStars, Options, Source, Upload, read};

fn day() -> impl Strategy<Value = NaiveDate> {
    // Later than 1970, which stands for an unknown day.
    (1_000..20_000_i32).prop_map(|days| NaiveDate::from_epoch_days(days).expect("in range"))
}

fn known() -> impl Strategy<Value = When> {
    prop_oneof![
        day().prop_map(When::Day),
        (day(), 1..86_400_u32).prop_map(|(day, second)| {
            let time = chrono::NaiveTime::from_num_seconds_from_midnight_opt(second, 0);
            When::At(day.and_time(time.expect("of a day")).and_utc())
        }),
    ]
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![4 => known(), 1 => Just(When::Unknown)]
}

fn stars() -> impl Strategy<Value = HalfStars> {
    (1..=10_u8).prop_map(|halves| HalfStars::new(halves).expect("in range"))
}

fn film() -> impl Strategy<Value = Film> {
    let title = "[A-Za-z0-9\"',;:=+ 달길é-]{0,20}[A-Za-z0-9!]";
    (1..50_i64, title, prop::option::of(1900..2030_i32)).prop_map(|(id, title, year)| Film {
        tmdb_id: Some(id),
        title: Some(title.trim().to_owned()),
        year,
        ..Film::default()
    })
}

fn rows() -> impl Strategy<Value = Vec<(Part, Row)>> {
    let row = (
        film(),
        stars(),
        prop::option::of(stars()),
        known(),
        when(),
        0..5_usize,
    );
    let row = row.prop_map(|(film, stars, viewed_stars, known, when, part)| {
        let mut row = Row {
            film,
            ..Row::default()
        };
        let part = Part::ALL[part];
        match part {
            Part::Diary => {
                row.viewing = Some(known);
                row.rating = viewed_stars.map(|value| Given { value, when: known });
            }
            Part::Watched => row.viewing = Some(When::Unknown),
            Part::Ratings => row.rating = Some(Given { value: stars, when }),
            Part::Watchlist => row.watchlist = Some(when),
            Part::Likes => row.reaction = Some(Given::like(when)),
        }
        (part, row)
    });
    prop::collection::vec(row, 0..40)
}

fn written(layout: Layout, rows: &[(Part, Row)]) -> Vec<u8> {
    let mut archive = Archive::new(layout);
    let mut bytes = Vec::new();
    for part in Part::ALL {
        archive.begin(part).expect("written");
        for (_, row) in rows.iter().filter(|(of, _)| *of == part) {
            archive.push(row).expect("written");
            bytes.extend(archive.take());
        }
    }
    bytes.extend(archive.finish().expect("finished"));
    bytes
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(4_000_000_000, 0).expect("in range")
}

/// The rows that a reader finds, without their places, in an order of their own.
fn read_back(bytes: &[u8]) -> Vec<String> {
    let uploads = [Upload {
        name: "export.zip",
        content: bytes,
    }];
    let options = Options {
        format: None,
        date_order: None,
        max_rows: 1000,
        now: now(),
    };
    let history = read(&uploads, &options).expect("read");
    assert_eq!(history.problems, []);
    compared(history.rows)
}

fn compared(rows: Vec<Row>) -> Vec<String> {
    let mut rows: Vec<String> = rows
        .into_iter()
        .map(|row| {
            let film = Film {
                letterboxd_uri: None,
                ..row.film
            };
            let row = Row {
                file: 0,
                line: 0,
                source: Source::Marquee,
                film,
                ..row
            };
            format!("{row:?}")
        })
        .collect();
    rows.sort_unstable();
    rows
}

/// The day of a time, for layouts without hours.
fn days(when: When) -> When {
    when.day().map_or(When::Unknown, When::Day)
}

/// The instant of a time, for layouts without days.
fn instants(when: When) -> When {
    when.instant().map_or(When::Unknown, When::At)
}

#[test]
fn the_diary_tells_which_viewings_are_rewatches() {
    let viewing = |id, day| {
        let day = NaiveDate::from_epoch_days(day).expect("in range");
        let film = Film {
            tmdb_id: Some(id),
            title: Some(format!("Movie {id}")),
            year: Some(1999),
            ..Film::default()
        };
        Row {
            film,
            viewing: Some(When::Day(day)),
            ..Row::default()
        }
    };
    let line = |id, day, is_again| letterboxd(Part::Diary, &viewing(id, day), is_again);
    assert_eq!(
        line(7, 20_000, true),
        "2024-10-04,Movie 7,1999,https://letterboxd.com/tmdb/7,,Yes,,2024-10-04,7\n"
    );
    let rows = [viewing(7, 19_000), viewing(7, 20_000), viewing(8, 20_000)];
    let rows: Vec<_> = rows.into_iter().map(|row| (Part::Diary, row)).collect();
    let bytes = written(Layout::Letterboxd, &rows);
    let mut archive = zip::ZipArchive::new(io::Cursor::new(bytes)).expect("an archive");
    let mut diary = archive.by_name("diary.csv").expect("a diary");
    let diary = io::read_to_string(&mut diary).expect("text");
    let lines = [
        line(7, 19_000, false),
        line(7, 20_000, true),
        line(8, 20_000, false),
    ];
    assert!(diary.ends_with(&lines.concat()), "{diary}");
}

proptest! {
    #[test]
    fn letterboxds_layout_restores_days_ratings_likes_and_the_watchlist(rows in rows()) {
        let is_of = |part, row: &Row| rows.iter().any(|(of, other)| *of == part && other.film.tmdb_id == row.film.tmdb_id);
        let held = rows.iter().map(|(part, row)| {
            // The ratings of a diary are of viewings alone where the archive has the present ones.
            let is_past = *part == Part::Diary && is_of(Part::Ratings, row);
            let rating = row.rating.map(|rating| Given { when: days(rating.when), ..rating });
            Row {
            viewing: row.viewing.map(days),
            viewing_rating: rating.filter(|_| is_past).map(|rating| rating.value),
            rating: rating.filter(|_| !is_past),
            watchlist: row.watchlist.map(days),
            reaction: row.reaction.map(|given| Given { when: days(given.when), ..given }),
            ..row.clone()
        }});
        let expected = compared(held.collect());
        prop_assert_eq!(read_back(&written(Layout::Letterboxd, &rows)), expected);
    }

    #[test]
    fn trakts_layout_restores_times_ratings_and_the_watchlist(rows in rows()) {
        let held = rows.iter().filter(|(part, _)| *part != Part::Likes).map(|(part, row)| Row {
            viewing: row.viewing.map(instants),
            rating: row.rating.filter(|_| *part != Part::Diary)
                .map(|rating| Given { when: instants(rating.when), ..rating }),
            watchlist: row.watchlist.map(instants),
            ..row.clone()
        });
        let expected = compared(held.collect());
        prop_assert_eq!(read_back(&written(Layout::Trakt, &rows)), expected);
    }
}
