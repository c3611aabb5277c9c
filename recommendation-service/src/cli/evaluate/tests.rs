use std::{io::Write as _, path::Path};

use clap::Parser;
use recommender::{Ease, EaseSettings, Scorer as _};

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    _arguments: Arguments,
}

#[test]
fn invalid_options_are_rejected_by_name() {
    let parse = |line: &str| {
        Line::try_parse_from(std::iter::once("evaluate").chain(line.split_whitespace()))
    };
    let rejected = |line: &str| parse(line).expect_err("rejected").to_string();
    assert!(rejected("").contains("--train"));
    assert!(rejected("--train a").contains("--test"));
    assert!(rejected("--data a --test b").contains("--data"));
    assert!(rejected("--train a --test b --models ease,best").contains("--models"));
    assert!(rejected("--train a --test b --at 10,0").contains("--at"));
    assert!(rejected("--train a --test b --diversity 2").contains("--diversity"));
    assert!(rejected("--train a --test b --set ease.size=3").contains("ease.size"));
    assert!(rejected("--train a --test b --set ease.regularization=NaN").contains("NaN"));
    assert!(rejected("--train a --test b --fast yes").contains("--fast"));
    assert!(parse("--train a --test=b --set ease.regularization=3").is_ok());
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
    let read = |name: &str| files::read(&split.join(name)).expect("readable");
    let (train, test) = (read("train_users.dat.gz"), read("test_users.dat.gz"));
    let data = Dataset::new(&train, None, &test, None).expect("sound");
    let ease = Ease::fit(&data.train, &EaseSettings::plain(292.0)).expect("fits");
    let top = lists(
        |history, scores| ease.score(history, scores),
        &data.train,
        &data.train,
        &data.test,
        |scores, hidden| {
            top_k_unseen(scores, hidden, 100)
                .into_iter()
                .map(|(item, _)| item)
                .collect()
        },
    );
    let lengths = [20, 40, 60, 80, 100];
    let popularity = ItemPopularity::new(&data.train);
    let figures = Figures::new(&top, &data.train, &data.test, &popularity, &lengths);
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
