//! `recommendation-service evaluate`: the quality of the learned models on held-out interactions, without a database or a
//! network. [`recommender::evaluation`] fits and measures; here are the files and the output.

use std::{
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use recommender::{
    History, Interactions,
    evaluation::{
        self, Fitted,
        metrics::{Figures, ItemPopularity, SHOWN, lists},
        report,
        settings::{Model, Settings},
        split::{Dataset, Event, Split},
    },
    rank::top_k_unseen,
    rerank::diversity::mmr,
};

use super::{files, finite, print, setting};

/// The smallest number of best items that are reranked for diversity.
const MIN_RERANKED: usize = 200;

/// Files, plain or .gz, are recognised by their first line: `user item item …` lines, u.data and ua.base of MovieLens 100K,
/// ratings.dat of 1M, ratings.csv of later sets, or CSV with user_id, position, movie_id.
///
/// Models are fitted on the training part; with a validation part, settings and the blend are chosen on that alone. Items of
/// the training part are not listed.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The training part
    #[arg(long, value_name = "FILE", required_unless_present = "data")]
    train: Option<PathBuf>,
    /// The validation part
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    valid: Option<PathBuf>,
    /// The test part
    #[arg(long, value_name = "FILE", required_unless_present = "data")]
    test: Option<PathBuf>,
    /// A file whose items are not listed either when the test part is measured on
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    mask: Option<PathBuf>,
    /// A file that is split by time: of each user the last fifth is the test part, the tenth before it the validation part
    #[arg(long, value_name = "FILE", conflicts_with_all = ["train", "test"])]
    data: Option<PathBuf>,
    /// The models: popularity, ease, ials, spectral, blend
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = model, default_value = "popularity,ease,ials,spectral,blend")]
    models: Vec<Model>,
    /// A setting, which is then not searched for; may be repeated:
    /// ease.{regularization, user_discount, item_discount, dropout, max_items, neighbors},
    /// ials.{dimensions, epochs, unobserved_weight, regularization, frequency_exponent, initial_deviation},
    /// spectral.{dimensions, item_discount, user_discount},
    /// blend.{ease, ials, spectral, popularity, familiarity}
    #[arg(long, value_name = "MODEL.KEY=N", value_parser = setting)]
    set: Vec<String>,
    /// The lengths of lists that are measured, 1 to 1000
    #[arg(long, value_name = "10,20", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1000), default_value = "10,20,40,50,100")]
    at: Vec<u16>,
    /// The weight of diversity, 0 to 1, that the blend is reranked with and measured again
    #[arg(long, value_name = "D", value_parser = diversity, default_value = "0.1")]
    diversity: f32,
    /// The smallest rating that counts
    #[arg(long, value_name = "R", value_parser = finite)]
    min_rating: Option<f64>,
    /// The seed of random numbers
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A file that the lists of the last model are written to, as `user item item …` lines
    #[arg(long, value_name = "FILE")]
    write_top: Option<PathBuf>,
}

fn model(text: &str) -> Result<Model, String> {
    let mut all = Model::ALL.into_iter();
    all.find(|model| model.name() == text)
        .ok_or_else(|| "there is no such model".to_owned())
}

fn diversity(text: &str) -> Result<f32, String> {
    let number: Option<f32> = text.parse().ok();
    number
        .filter(|number| (0.0..=1.0).contains(number))
        .ok_or_else(|| "must be a number from 0 to 1".to_owned())
}

impl Arguments {
    /// Reads the dataset.
    fn dataset(&self) -> anyhow::Result<Dataset> {
        let read = |path: &PathBuf| -> anyhow::Result<Vec<Event>> {
            let mut events = files::read(path)?;
            if let Some(min) = self.min_rating {
                events.retain(|event| event.rating.is_none_or(|rating| rating >= min));
            }
            Ok(events)
        };
        if let Some(path) = &self.data {
            let split = Dataset::by_time(read(path)?, Split::default());
            return split.with_context(|| format!("{}: use --train and --test", path.display()));
        }
        let part = |path: &Option<PathBuf>| path.as_ref().map(read).transpose();
        let train = part(&self.train)?.context("--train is missing")?;
        let test = part(&self.test)?.context("--test is missing")?;
        let (valid, mask) = (part(&self.valid)?, part(&self.mask)?);
        Ok(Dataset::new(
            &train,
            valid.as_deref(),
            &test,
            mask.as_deref(),
        )?)
    }
}

/// Runs the command.
///
/// # Errors
/// Fails if a file cannot be read or written, or a model cannot be fitted.
pub fn evaluate(arguments: &Arguments) -> anyhow::Result<()> {
    let data = arguments.dataset()?;
    let mut settings = Settings::default();
    settings.seed(arguments.seed);
    for one in &arguments.set {
        settings.set(one)?;
    }
    let lengths: Vec<usize> = arguments.at.iter().map(|at| usize::from(*at)).collect();
    let mut out = BufWriter::new(std::io::stdout().lock());
    report::dataset(&mut out, &data)?;
    out.flush()?;

    let fitted = evaluation::fit(&data, &arguments.models, None, &mut settings, print)?;
    report::fits(&mut out, &fitted)?;
    out.flush()?;

    let measure = |hidden: &Interactions, held_out: &Interactions| {
        measure(
            &data,
            hidden,
            held_out,
            &fitted,
            &lengths,
            arguments.diversity,
        )
    };
    if let Some(valid) = &data.valid {
        let (_, rows) = measure(&data.train, valid);
        let part = "valid, on which settings were chosen";
        report::figures(&mut out, part, &lengths, &rows)?;
        out.flush()?;
    }
    let hidden = data.hidden.as_ref().unwrap_or(&data.train);
    let (lists, rows) = measure(hidden, &data.test);
    report::figures(&mut out, "test", &lengths, &rows)?;
    out.flush()?;
    if let Some(file) = &arguments.write_top {
        write_lists(file, &data, &lists).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// A list of columns for each user, best first.
type Lists = Vec<Vec<u32>>;

/// The lists of the last model, one per user, without items of `hidden`, and the metrics of every model on `held_out`, at
/// these `lengths`, and of the blend reranked with `diversity`.
fn measure(
    data: &Dataset,
    hidden: &Interactions,
    held_out: &Interactions,
    fitted: &[Fitted],
    lengths: &[usize],
    diversity: f32,
) -> (Lists, Vec<(String, Figures)>) {
    let train = &data.train;
    let popularity = &ItemPopularity::new(train);
    let longest = lengths.iter().copied().fold(SHOWN, usize::max);
    let list = |one: &Fitted, rank: &(dyn Fn(&[f32], History<'_>) -> Vec<u32> + Sync)| {
        let score = |history: History<'_>, scores: &mut [f32]| one.scorer.score(history, scores);
        let lists = lists(score, train, hidden, held_out, rank);
        let figures = Figures::new(&lists, train, held_out, popularity, lengths);
        (lists, figures)
    };
    let mut rows = Vec::new();
    let mut top = Vec::new();
    for one in fitted {
        let (lists, figures) = list(one, &|scores, hidden| {
            let best = top_k_unseen(scores, hidden, longest);
            best.into_iter().map(|(item, _)| item).collect()
        });
        top = lists;
        rows.push((one.model.name().to_owned(), figures));
    }
    let last = fitted.last().filter(|one| one.model == Model::Blend);
    if let Some(blend) = last
        && diversity > 0.0
    {
        let (_, figures) = list(blend, &|scores, hidden| {
            let best = top_k_unseen(scores, hidden, longest.max(MIN_RERANKED));
            mmr(&best, diversity, longest, |a, b| {
                blend.scorer.similarity(a, b).unwrap_or_default()
            })
        });
        rows.push((format!("diversity {diversity}"), figures));
    }
    (top, rows)
}

fn write_lists(file: &Path, data: &Dataset, lists: &[Vec<u32>]) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    for (user, list) in lists.iter().enumerate() {
        if list.is_empty() {
            continue;
        }
        write!(out, "{}", data.user_ids[user])?;
        for item in list {
            write!(out, " {}", data.item_ids[*item as usize])?;
        }
        writeln!(out)?;
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests;
