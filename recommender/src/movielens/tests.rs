use proptest::prelude::*;

use super::*;

fn read(text: &str, layout: Layout) -> Result<Likes, SetError> {
    likes("ratings", text.as_bytes(), layout, 4.0, 10, |_| {})
}

#[test]
fn likes_of_both_layouts_are_in_the_order_of_time() {
    let csv = "userId,movieId,rating,timestamp\r\n2,5,4.0,70\r\n1,7,5.0,90\r\n1,8,3.5,10\r\n1,9,4.5,80\r\n";
    let of = |likes: &Likes| {
        let likes = likes.likes.iter();
        likes
            .map(|like| (like.user, like.movie, like.time))
            .collect::<Vec<_>>()
    };
    let all = read(csv, Layout::Csv).expect("sound");
    assert_eq!(of(&all), [(1, 9, 80), (1, 7, 90), (2, 5, 70)]);
    assert_eq!(all.ratings, 4);
    let dat = "2::5::4::70\n1::7::5::90\n1::8::3::10\n1::9::4::80\n1::9::5::85\n";
    let all = read(dat, Layout::Dat).expect("sound");
    assert_eq!(of(&all), [(1, 9, 80), (1, 7, 90), (2, 5, 70)]);
}

#[test]
fn a_damaged_file_is_named_with_line_and_column() {
    let error = |text: &str| read(text, Layout::Csv).expect_err("damaged").to_string();
    let header = "userId,movieId,rating,timestamp\n";
    assert_eq!(
        error(&format!("{header}1,2,4.0,5\n1,x,4.0,5\n")),
        "ratings, line 3, column movieId: `x` is not valid"
    );
    assert_eq!(
        error(&format!("{header}1,2,9.0,5\n")),
        "ratings, line 2, column rating: 9 is not from 0.5 to 5"
    );
    assert_eq!(
        error(&format!("{header}1,2,4.0\n")),
        "ratings, line 2, column timestamp: it is missing"
    );
    assert_eq!(
        error("userId,movieId,stars,timestamp\n"),
        "ratings, line 1, column rating: the header does not have it"
    );
    assert_eq!(error(header), "ratings: it is empty");
    let many: String = (0..11).map(|movie| format!("1,{movie},5,1\n")).collect();
    assert_eq!(
        error(&format!("{header}{many}")),
        "ratings, line 12: there are more than 10 likes"
    );
    let latin = b"movieId,title\n1,Am\xe9lie (2001)\n";
    let error = titles("movies.csv", &latin[..], Layout::Csv).expect_err("not UTF-8");
    assert_eq!(
        error.to_string(),
        "movies.csv, line 2, column title: it is not UTF-8"
    );
    let line = format!("movieId,title\n1,{}\n", "x".repeat(20_000));
    let error = titles("movies.csv", line.as_bytes(), Layout::Csv).expect_err("too long");
    assert_eq!(
        error.to_string(),
        "movies.csv, line 2, column movieId: the line is too long"
    );
}

#[test]
fn titles_are_matched_by_name_and_year() {
    let text = "1::Matrix, The (1999)::Action\n2::City of Lost Children, The (Cit\u{e9} des enfants perdus, La) (1995)::Drama\n\
                3::Heat (1995)::Action\n4::Solaris (2002)::Drama\n5::Nobody (2020)::Drama\n";
    let latin: Vec<u8> = text.chars().map(|one| one as u8).collect();
    let set = titles("movies.dat", &latin[..], Layout::Dat).expect("sound");
    assert_eq!(
        set[1].titles,
        ["The City of Lost Children", "La Cité des enfants perdus"]
    );
    let movie = |id, title: &str, year| CatalogueTitle {
        id,
        title: title.to_owned(),
        year: Some(year),
    };
    let catalogue = [
        movie(603, "The Matrix", 1999),
        movie(902, "La cité des enfants perdus", 1995),
        movie(949, "Heat", 1995),
        movie(950, "Heat", 1996),
        movie(593, "Solaris", 1972),
        movie(2103, "Solaris", 2003),
    ];
    let mut matched: Vec<_> = match_titles(&set, &catalogue).into_iter().collect();
    matched.sort_unstable();
    assert_eq!(matched, [(1, 603), (2, 902), (3, 949), (4, 2103)]);
}

#[test]
fn links_without_an_id_are_left_out() {
    let text = "movieId,imdbId,tmdbId\n1,01,862\n2,02,\n3,03,31.0\n";
    let mut all: Vec<_> = links("links.csv", text.as_bytes())
        .expect("sound")
        .into_iter()
        .collect();
    all.sort_unstable();
    assert_eq!(all, [(1, 862), (3, 31)]);
    assert!(links("links.csv", "movieId,imdbId,tmdbId\n1,01,-4\n".as_bytes()).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for layout in Layout::ALL {
            let _ = likes("ratings", &bytes[..], layout, 4.0, 10, |_| {});
            let _ = titles("movies", &bytes[..], layout);
        }
        let _ = links("links", &bytes[..]);
    }

    #[test]
    fn quoted_fields_are_read_as_they_were_written(fields in prop::collection::vec("[a-z,\" ]{0,8}", 1..5)) {
        let quoted: Vec<String> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
        prop_assert_eq!(split_csv(&quoted.join(",")), Some(fields));
    }
}
