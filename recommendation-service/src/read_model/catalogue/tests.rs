use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Upsert(i64, i64),
    Remove(i64, i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (any::<bool>(), 1..6_i64, 1..9_i64).prop_map(|(upsert, id, version)| {
        // A version has one state: odd versions are present, even ones removed.
        match upsert {
            true => Step::Upsert(id, version * 2 - 1),
            false => Step::Remove(id, version * 2),
        }
    });
    prop::collection::vec(step, 0..60)
}

fn replay(steps: &[Step]) -> Vec<(i64, i64, String)> {
    let mut catalogue = Catalogue::default();
    for step in steps {
        match *step {
            Step::Upsert(id, version) => catalogue.upsert(&Film {
                id,
                version,
                title: format!("Film {id}"),
                ..Film::default()
            }),
            Step::Remove(id, version) => catalogue.remove(id, version),
        }
    }
    let mut films: Vec<_> = (0..catalogue.len())
        .map(|row| {
            assert_eq!(catalogue.row(catalogue.id(row)), Some(row));
            (
                catalogue.id(row),
                catalogue.versions[row],
                catalogue.title(row).to_owned(),
            )
        })
        .collect();
    films.sort_unstable();
    films
}

proptest! {
    #[test]
    fn changes_in_any_order_and_number_give_the_same_catalogue(steps in steps()) {
        let mut shuffled = steps.clone();
        shuffled.extend(steps.iter().cloned());
        shuffled.reverse();
        prop_assert_eq!(replay(&steps), replay(&shuffled));
    }
}
