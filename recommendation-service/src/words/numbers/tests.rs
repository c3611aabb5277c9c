use super::*;

#[test]
fn runtimes_are_read_with_their_bounds() {
    for (message, min, max) in [
        ("2시간 안 되는", None, Some(120)),
        ("90분 이하", None, Some(90)),
        ("두 시간 이내", None, Some(120)),
        ("1시간 30분 이내로", None, Some(90)),
        ("2시간 반 넘는", Some(150), None),
        ("2시간 넘지 않는", None, Some(120)),
        ("under two hours", None, Some(120)),
        ("no longer than two and a half hours", None, Some(150)),
        ("over 150 minutes", Some(150), None),
        ("about an hour and a half", Some(75), Some(105)),
        ("2 hours or more", Some(120), None),
        ("at least 2h30", Some(150), None),
        ("90분짜리", Some(75), Some(105)),
        ("90~120분", None, None),
    ] {
        let read = runtime(&Text::new(message), 0).map(|(runtime, _)| runtime);
        let expected = Runtime { min, max };
        assert_eq!(
            read,
            (min.is_some() || max.is_some()).then_some(expected),
            "{message}"
        );
    }
}

#[test]
fn ratings_and_counts_are_read() {
    for (message, expected) in [
        ("7점 이상", Some(7.0)),
        ("평점 8점 넘는", Some(8.0)),
        ("rated above 8", Some(8.0)),
        ("with a rating of 7.5 or higher", Some(7.5)),
        ("8+", Some(8.0)),
        ("imdb 7", Some(7.0)),
        ("8 people", None),
        ("7점 이하", None),
    ] {
        assert_eq!(
            rating(&Text::new(message), 0).map(|(value, _)| value),
            expected,
            "{message}"
        );
    }
    for (message, expected) in [
        ("5편만", Some(5)),
        ("세 편", Some(3)),
        ("three funny movies", Some(3)),
        ("top 10", Some(10)),
        ("a couple of", Some(2)),
        ("12 monkeys", None),
        ("90분", None),
        ("10개", Some(10)),
        ("2개월", None),
    ] {
        assert_eq!(
            count(&Text::new(message), 0).map(|(value, _)| value),
            expected,
            "{message}"
        );
    }
}
