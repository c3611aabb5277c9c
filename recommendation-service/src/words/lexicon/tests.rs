use super::*;

fn first(message: &str) -> Option<(&str, Meaning)> {
    let text = Text::new(message);
    let (end, meaning) = LEXICON.longest(&text, 0, |_| true)?;
    // Fragments of `text` borrow from the message.
    Some((text.fragment(0..end), meaning.clone()))
}

#[test]
fn every_line_has_a_meaning() {
    for line in concat!(include_str!("en.tsv"), include_str!("ko.tsv")).lines() {
        let mut lexicon = Lexicon::default();
        assert!(
            line.starts_with('#') || lexicon.add(line).is_some(),
            "{line}"
        );
    }
}

#[test]
fn the_longest_entry_that_ends_with_its_word_is_found() {
    let genre = |name| Meaning::Genres(vec![name]);
    for (message, fragment, meaning) in [
        ("thrillers please", "thrillers", genre("Thriller")),
        ("sci-fi comedies", "sci-fi", genre("Science Fiction")),
        ("comedies", "comedies", genre("Comedy")),
        ("전쟁영화로", "전쟁", genre("War")),
        ("스릴러로", "스릴러", genre("Thriller")),
        ("무섭지 않은", "무섭", genre("Horror")),
        ("무섭지않은", "무섭", genre("Horror")),
        ("무서운데", "무서운데", genre("Horror")),
        ("한국스릴러", "한국", Meaning::Languages(vec!["ko"])),
        (
            "시간 여행물",
            "시간 여행",
            Meaning::Keywords(vec!["time travel", "time warp", "time loop"]),
        ),
    ] {
        assert_eq!(first(message), Some((fragment, meaning)), "{message}");
    }
    for message in ["warning", "전쟁이니까요랄라", "comedyville", "우주베키스탄"] {
        assert_eq!(first(message), None, "{message}");
    }
}
