//! Exports of single sites.

use super::*;
use crate::Source;

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
