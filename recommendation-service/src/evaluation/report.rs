//! What the command prints.

use std::io::{Result, Write};

use crate::evaluation::{
    Fitted,
    data::Dataset,
    metrics::{AtLength, Cohort, Figures},
};

pub(super) fn dataset(out: &mut impl Write, data: &Dataset) -> Result<()> {
    write!(
        out,
        "{} users, {} films; train {}",
        data.user_ids.len(),
        data.item_ids.len(),
        data.train.len()
    )?;
    if let Some(valid) = &data.valid {
        write!(out, ", valid {}", valid.len())?;
    }
    writeln!(out, ", test {} interactions", data.test.len())
}

pub(super) fn fits(out: &mut impl Write, fitted: &[Fitted]) -> Result<()> {
    writeln!(
        out,
        "\n{:14} {:>7} {:>9}  settings",
        "model", "fit s", "peak MiB"
    )?;
    for one in fitted {
        let peak = one
            .peak
            .map_or_else(|| "?".to_owned(), |peak| peak.to_string());
        writeln!(
            out,
            "{:14} {:7.2} {peak:>9}  {}",
            one.model.name(),
            one.took.as_secs_f64(),
            one.settings
        )?;
    }
    Ok(())
}

/// A table of figures at each of `lengths`.
pub(super) fn figures(
    out: &mut impl Write,
    part: &str,
    lengths: &[usize],
    rows: &[(String, Figures)],
) -> Result<()> {
    type Figure = fn(&AtLength) -> f64;
    let kinds: [(&str, Figure); 4] = [
        ("Recall = hits / held out", |at| at.recall),
        ("Recall = hits / min(length, held out)", |at| {
            at.capped_recall
        }),
        ("NDCG", |at| at.ndcg),
        ("MAP", |at| at.average_precision),
    ];
    for (title, figure) in kinds {
        writeln!(out, "\n{part}: {title}")?;
        heading(out, lengths.iter().map(|length| format!("@{length}")))?;
        for (name, figures) in rows {
            row(out, name, figures.at.iter().map(figure))?;
        }
    }

    writeln!(out, "\n{part}: first 50 places")?;
    heading(out, ["coverage".to_owned(), "novelty".to_owned()])?;
    for (name, figures) in rows {
        row(out, name, [figures.coverage, figures.novelty])?;
    }

    let Some((_, first)) = rows.first() else {
        return Ok(());
    };
    write!(
        out,
        "\n{part}: Recall = hits / held out, and NDCG, by films in train:"
    )?;
    let told = ["new, up to 20", "light, 21 to 100", "heavy, over 100"];
    for (told, (users, _)) in told.iter().zip(&first.cohorts) {
        write!(out, " {told} ({users} users);")?;
    }
    writeln!(out)?;
    let names = Cohort::ALL.map(|cohort| match cohort {
        Cohort::New => "new",
        Cohort::Light => "light",
        Cohort::Heavy => "heavy",
    });
    let Some(longer) = lengths.len().checked_sub(1).map(|last| last.min(2)) else {
        return Ok(());
    };
    let shown: &[usize] = if longer == 0 { &[0] } else { &[0, longer] };
    heading(
        out,
        names.iter().flat_map(|name| {
            shown.iter().flat_map(move |place| {
                let length = lengths[*place];
                [format!("{name} R@{length}"), format!("N@{length}")]
            })
        }),
    )?;
    for (name, figures) in rows {
        let values = figures.cohorts.iter().flat_map(|(_, at)| {
            shown
                .iter()
                .flat_map(|place| [at[*place].recall, at[*place].ndcg])
        });
        row(out, name, values)?;
    }
    Ok(())
}

const WIDTH: usize = 11;

fn heading(out: &mut impl Write, names: impl IntoIterator<Item = String>) -> Result<()> {
    write!(out, "{:14}", "")?;
    for name in names {
        write!(out, " {name:>WIDTH$}")?;
    }
    writeln!(out)
}

fn row(out: &mut impl Write, name: &str, values: impl IntoIterator<Item = f64>) -> Result<()> {
    write!(out, "{name:14}")?;
    for value in values {
        write!(out, " {value:WIDTH$.4}")?;
    }
    writeln!(out)
}
