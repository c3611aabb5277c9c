//! Tests of [`super`].

use proptest::prelude::*;

use super::*;
use crate::query::Readings;

fn quality(query: &str, name: &str) -> f32 {
    let readings = Readings::new(query);
    let name = Text::new(name);
    let joined = Joined::new(&name);
    let all = readings
        .plain
        .iter()
        .chain(&readings.other)
        .chain(&readings.latin);
    all.map(|reading| {
        let comparison = Comparison::new(reading, true);
        comparison.match_name(&name, &joined, &[]).quality * (1.0 - reading.penalty)
    })
    .fold(0.0, f32::max)
}

#[test]
fn whole_names_beat_prefixes_and_prefixes_beat_errors() {
    let ordered = [("alien", "Alien"), ("alien", "Aliens"), ("alien", "Alein")];
    let qualities = ordered.map(|(query, name)| quality(query, name));
    assert!(
        qualities.is_sorted_by(|one, two| one > two),
        "{qualities:?}"
    );
    assert!(quality("matrix", "The Matrix") > quality("matrix", "Matrix Reloaded"));
}

#[test]
fn what_somebody_means_matches() {
    for (query, name) in [
        ("the apartmnet", "The Apartment"),
        ("kungfu panda", "Kung Fu Panda"),
        ("kill bill ii", "Kill Bill: Vol. 2"),
        ("exorcist, the", "The Exorcist"),
        ("m3gan 2", "M3GAN 2.0"),
        ("et", "E.T. the Extra-Terrestrial"),
        ("blue is the warmest colour", "Blue Is the Warmest Color"),
        ("batmanbegins", "Batman Begins"),
        ("ㅅㅋㅇㅍ", "스카이폴"),
        ("ㅇㄱㅎ", "반지의 제왕: 왕의 귀환"),
        ("스ㅋㅇ폴", "스카이폴"),
        ("라이온ㅋ", "라이온 킹"),
        ("올드볻", "올드보이"),
        ("whzj", "조커"),
        ("싸이코", "사이코"),
        ("대부를", "대부"),
        ("КАСАБЛАНКА", "Casablanca"),
    ] {
        assert!(
            quality(query, name) > 0.5,
            "{query} {name} {}",
            quality(query, name)
        );
    }
}

#[test]
fn numbers_are_never_corrected() {
    for (query, name) in [
        ("1918", "1917"),
        ("toy story 4", "Toy Story 3"),
        ("2002", "2001: A Space Odyssey"),
    ] {
        assert_eq!(quality(query, name), 0.0, "{query} {name}");
    }
}

proptest! {
    #[test]
    fn a_match_is_a_share_and_its_spans_lie_in_the_name(query in "\\PC{0,20}", name in "\\PC{0,30}") {
        let readings = Readings::new(&query);
        let name = Text::new(&name);
        let joined = Joined::new(&name);
        for reading in readings.plain.iter().chain(&readings.other) {
            let found = Comparison::new(reading, true).match_name(&name, &joined, &[]);
            prop_assert!((0.0..=1.0).contains(&found.quality));
            for span in found.spans {
                prop_assert!(name.source.get(span).is_some());
            }
        }
    }

    #[test]
    fn names_that_are_passed_over_do_not_match(
        query in "[a-cA-C1-3ㄱ-ㄷ가-깋& ]{1,8}",
        name in "[a-cA-C1-3ㄱ-ㄷ가-깋& iv]{0,12}",
        is_tolerant in any::<bool>(),
        support in proptest::collection::vec(prop_oneof![Just(0.0_f32), Just(0.65)], 8),
    ) {
        let readings = Readings::new(&query);
        let text = Text::new(&name);
        let joined = Joined::new(&text);
        for reading in readings.plain.iter().chain(&readings.other).chain(&readings.latin) {
            let comparison = Comparison::new(reading, is_tolerant);
            if !comparison.may_match(Letters::of_text(&name)) {
                let found = comparison.match_name(&text, &joined, &support);
                prop_assert_eq!(found, comparison.elsewhere(&support));
            }
        }
    }
}
