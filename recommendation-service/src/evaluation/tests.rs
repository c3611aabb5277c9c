use std::path::Path;

use super::*;
use recommender::{Ease, EaseSettings};

fn arguments(line: &str) -> Result<Arguments, String> {
    parse(line.split_whitespace().map(str::to_owned))
}

#[test]
fn options_that_cannot_be_are_refused_by_name() {
    let refused = |line: &str| arguments(line).err().expect("refused");
    assert!(refused("").contains("--train"));
    assert!(refused("--train a").contains("--test"));
    assert!(refused("--data a --test b").contains("--data"));
    assert!(refused("--train a --test b --models ease,best").contains("--models"));
    assert!(refused("--train a --test b --at 10,0").contains("--at"));
    assert!(refused("--train a --test b --diversity 2").contains("--diversity"));
    assert!(refused("--train a --test b --set ease.size=3").contains("ease.size"));
    assert!(refused("--train a --test b --set ease.regularization=NaN").contains("NaN"));
    assert!(refused("--train a --test b --fast yes").contains("--fast"));
    assert!(arguments("--train a --test=b --set ease.regularization=3").is_ok());
}

/// EASE with λ = 292 on the split of MovieLens 1M that was published with SpectralCF has known figures,
/// to within one unit of the last digit. They check the arithmetic; the split is too skewed to tell
/// which model is good.
#[test]
#[ignore = "fits 3,700 films, for which an unoptimized build takes minutes; run it with --release"]
fn ease_conforms_to_published_figures() {
    let split =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/splits/spectralcf-ml-1m");
    if !split.is_dir() {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: there is no {}",
            split.display()
        );
        return;
    }
    let data = Dataset::read(&Source {
        files: Files::Parts {
            train: split.join("train_users.dat.gz"),
            valid: None,
            test: split.join("test_users.dat.gz"),
            mask: None,
        },
        min_rating: None,
    })
    .expect("readable");
    let ease = Ease::fit(&data.train, &EaseSettings::plain(292.0)).expect("fits");
    let lists = ranked(
        |history, scores| ease.score(history, scores),
        &data.train,
        &data.train,
        &data.test,
        |scores, hidden| {
            rank(scores, hidden, 100)
                .into_iter()
                .map(|(item, _)| item)
                .collect()
        },
    );
    let lengths = [20, 40, 60, 80, 100];
    let catalogue = Catalogue::new(&data.train);
    let figures = Figures::new(&lists, &data.train, &data.test, &catalogue, &lengths);
    let recalls = [0.0956, 0.1563, 0.1983, 0.2354, 0.2651];
    let precisions = [0.0212, 0.0243, 0.0259, 0.0270, 0.0278];
    for (at, (recall, precision)) in figures.at.iter().zip(recalls.iter().zip(precisions)) {
        assert!(
            (at.recall - recall).abs() < 1.5e-4,
            "{} {recall}",
            at.recall
        );
        let own = at.average_precision;
        assert!((own - precision).abs() < 1.5e-4, "{own} {precision}");
    }
}
