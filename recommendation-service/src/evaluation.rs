//! `recommendation-service evaluate`: how good the models are on interactions held out, without a
//! database or a network. Models are fitted on the training part; settings, and the weights of the
//! blend, are chosen on the validation part alone; the test part is only measured on.
//!
//! [`data`] reads files, [`search`] chooses settings, [`metrics`] measures, [`report`] prints.

pub mod data;
pub mod metrics;
mod report;
pub(crate) mod search;
mod settings;

use std::{
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use chassis::run::usage_error;

use data::{Dataset, Files, Source};
use metrics::{Catalogue, Figures, rank, ranked};
use recommender::{
    Blend, FitError, History, Interactions, Part, Popularity, Scorer, Spectral, SpectralSettings,
    rerank::diversity::mmr,
};
use search::TagScores;
pub(crate) use settings::{BlendSettings, Model, Settings};

const USAGE: &str = "recommendation-service evaluate --train FILE [--valid FILE] --test FILE [OPTION…]
recommendation-service evaluate --data FILE [OPTION…]

Files, plain or .gz, are recognised by how they begin: `user item item …` lines, u.data and ua.base of
MovieLens 100K, ratings.dat of 1M, ratings.csv of later sets, or CSV with user_id, position, movie_id.
--data is split by time: the last fifth of each user's films is test, the tenth before that valid.

  --mask FILE         its films are not listed either, where test is measured on
  --models A,B        popularity, ease, ials, spectral, blend; all of them unless given
  --set MODEL.KEY=N   a setting, which is then not searched for; may be repeated:
                        ease.regularization, ease.user_discount, ease.item_discount, ease.max_items
                        ials.dimensions, ials.epochs, ials.unobserved_weight, ials.regularization,
                        ials.frequency_exponent, ials.initial_deviation
                        spectral.dimensions, spectral.item_discount, spectral.user_discount
                        blend.ease, blend.ials, blend.spectral, blend.popularity, blend.familiarity
  --at 10,20,40       lengths of list to measure; 10,20,40,50,100 unless given
  --diversity D       measures the blend reordered for diversity too, 0 to 1; 0.1 unless given
  --min-rating R      ratings below R are passed over; every rating counts unless given
  --seed N            what random numbers come from; 1 unless given
  --write-top FILE    writes the best model's lists, `user item item …` with the ids of the files

Models are fitted on train; with valid, settings and blend are chosen on valid alone. Films of train are
not listed.";

/// Films in a list that is written or measured for coverage and novelty.
const SHOWN: usize = 50;
/// How many of the best films are reordered for diversity, at least.
const REORDERED: usize = 200;

struct Arguments {
    files: Files,
    min_rating: Option<f64>,
    models: Vec<Model>,
    settings: Settings,
    lengths: Vec<usize>,
    diversity: f32,
    write_top: Option<PathBuf>,
}

/// Runs the command; `arguments` are those behind `evaluate`.
pub fn command(arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(message) => return usage_error(&format!("{message}\n\n{USAGE}")),
    };
    match evaluate(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut train = None;
    let mut valid = None;
    let mut test = None;
    let mut whole = None;
    let mut mask = None;
    let mut parsed = Arguments {
        files: Files::Whole(PathBuf::new()),
        min_rating: None,
        models: Model::ALL.to_vec(),
        settings: Settings::default(),
        lengths: vec![10, 20, 40, 50, 100],
        diversity: 0.1,
        write_top: None,
    };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let (option, value) = match argument.split_once('=') {
            Some((option, value)) if option.starts_with("--") => {
                (option.to_owned(), Some(value.to_owned()))
            }
            _ => (argument, None),
        };
        if !option.starts_with("--") {
            return Err(format!("`{option}` is not an option"));
        }
        let value = value
            .or_else(|| arguments.next())
            .ok_or_else(|| format!("{option} needs a value"))?;
        let wrong = |must: &str| format!("{option} is `{value}`, but must be {must}");
        match option.as_str() {
            "--train" => train = Some(PathBuf::from(value)),
            "--valid" => valid = Some(PathBuf::from(value)),
            "--test" => test = Some(PathBuf::from(value)),
            "--mask" => mask = Some(PathBuf::from(value)),
            "--data" => whole = Some(PathBuf::from(value)),
            "--write-top" => parsed.write_top = Some(PathBuf::from(value)),
            "--set" => parsed.settings.set(&value)?,
            "--models" => {
                let find = |name: &str| Model::ALL.into_iter().find(|model| model.name() == name);
                parsed.models = value
                    .split(',')
                    .map(find)
                    .collect::<Option<_>>()
                    .ok_or_else(|| wrong("names of models, separated by commas"))?;
            }
            "--at" => {
                let lengths: Option<Vec<usize>> = value
                    .split(',')
                    .map(|length| length.parse().ok().filter(|n| (1..=1000).contains(n)))
                    .collect();
                parsed.lengths = lengths.ok_or_else(|| wrong("numbers from 1 to 1000"))?;
            }
            "--diversity" => {
                let number: Option<f32> = value.parse().ok();
                parsed.diversity = number
                    .filter(|number| (0.0..=1.0).contains(number))
                    .ok_or_else(|| wrong("a number from 0 to 1"))?;
            }
            "--min-rating" => {
                let number: Option<f64> = value.parse().ok();
                let number = number.filter(|number| number.is_finite());
                parsed.min_rating = Some(number.ok_or_else(|| wrong("a number"))?);
            }
            "--seed" => {
                let seed = value.parse().map_err(|_| wrong("a whole number"))?;
                parsed.settings.seed(seed);
            }
            _ => return Err(format!("unknown option `{option}`")),
        }
    }
    parsed.files = match (whole, train, test) {
        (Some(whole), None, None) if valid.is_none() && mask.is_none() => Files::Whole(whole),
        (None, Some(train), Some(test)) => Files::Parts {
            train,
            valid,
            test,
            mask,
        },
        (Some(_), ..) => {
            return Err("--data stands alone, without --train, --valid, --test, --mask".to_owned());
        }
        (None, None, _) => return Err("--train is missing".to_owned()),
        (None, _, None) => return Err("--test is missing".to_owned()),
    };
    Ok(parsed)
}

/// A model that was fitted, with what that took.
#[derive(Clone)]
pub(crate) struct Fitted {
    pub(crate) model: Model,
    settings: String,
    pub(crate) scorer: Arc<dyn Scorer>,
    took: Duration,
    /// The most memory that the process had while fitting, MiB, where the system tells.
    peak: Option<u64>,
}

impl Fitted {
    pub(crate) fn fit<S: Scorer + 'static>(
        model: Model,
        settings: String,
        fit: impl FnOnce() -> Result<S, FitError>,
    ) -> anyhow::Result<Self> {
        reset_peak();
        let start = Instant::now();
        let scorer = fit().with_context(|| format!("{} cannot be fitted", model.name()))?;
        Ok(Self {
            model,
            settings,
            scorer: Arc::new(scorer),
            took: start.elapsed(),
            peak: peak(),
        })
    }
}

fn evaluate(arguments: &Arguments) -> anyhow::Result<()> {
    let source = Source {
        files: arguments.files.clone(),
        min_rating: arguments.min_rating,
    };
    let data = Dataset::read(&source)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    report::dataset(&mut out, &data)?;
    out.flush()?;

    let mut settings = arguments.settings.clone();
    let fitted = fit(&data, &arguments.models, None, &mut settings)?;
    report::fits(&mut out, &fitted)?;
    out.flush()?;

    let catalogue = Catalogue::new(&data.train);
    let mut longest = arguments.lengths.iter().copied().max().unwrap_or(SHOWN);
    longest = longest.max(SHOWN);
    if let Some(valid) = &data.valid {
        let parts = Measured {
            train: &data.train,
            hidden: &data.train,
            held_out: valid,
        };
        let rows = measure(&parts, &catalogue, &fitted, arguments, longest).1;
        report::figures(
            &mut out,
            "valid, on which settings were chosen",
            &arguments.lengths,
            &rows,
        )?;
        out.flush()?;
    }
    let parts = Measured {
        train: &data.train,
        hidden: data.hidden.as_ref().unwrap_or(&data.train),
        held_out: &data.test,
    };
    let (lists, rows) = measure(&parts, &catalogue, &fitted, arguments, longest);
    report::figures(&mut out, "test", &arguments.lengths, &rows)?;
    out.flush()?;
    if let Some(file) = &arguments.write_top {
        write_lists(file, &data, &lists).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// Fits `models`, in the order of [`Model::ALL`], with settings that are given or, where there is a part
/// to choose them on, found to be best; a blend of them, beside what `tags` tells, if it is among them.
pub(crate) fn fit(
    data: &Dataset,
    models: &[Model],
    tags: Option<TagScores<'_>>,
    settings: &mut Settings,
) -> anyhow::Result<Vec<Fitted>> {
    let wanted = |model: Model| models.contains(&model) || models.contains(&Model::Blend);
    let mut bench = data
        .valid
        .as_ref()
        .map(|valid| search::Bench::new(&data.train, valid));
    let mut fitted = Vec::new();
    for model in Model::ALL {
        if !wanted(model) {
            continue;
        }
        // What is given is not searched for.
        let bench = bench.as_mut().filter(|_| !settings.is_given(model));
        fitted.push(match model {
            Model::Popularity => {
                Fitted::fit(model, String::new(), || Ok(Popularity::fit(&data.train)))?
            }
            Model::Ease => search::ease(&data.train, &mut settings.ease, bench)?,
            Model::Ials => search::ials(&data.train, &mut settings.ials, bench)?,
            Model::Spectral => spectral(&data.train, &settings.spectral)?,
            Model::Content | Model::Taste => continue,
            Model::Blend => {
                if let Some(bench) = bench {
                    search::blend(&fitted, tags, &mut settings.blend, bench)?;
                }
                blend(&fitted, &settings.blend)?
            }
        });
    }
    fitted.retain(|one| models.contains(&one.model));
    Ok(fitted)
}

/// The low-pass filter with the settings of its paper: by itself it is no good model, and what makes
/// it better by itself is not what a blend lacks.
fn spectral(train: &Interactions, settings: &SpectralSettings) -> anyhow::Result<Fitted> {
    let told = format!(
        "dimensions={} user_discount={:.3} item_discount={:.3}",
        settings.dimensions, settings.user_discount, settings.item_discount
    );
    Fitted::fit(Model::Spectral, told, || Spectral::fit(train, settings))
}

fn blend(fitted: &[Fitted], settings: &BlendSettings) -> anyhow::Result<Fitted> {
    let parts = fitted.iter().map(|one| Part {
        scorer: Arc::clone(&one.scorer),
        weight: settings.weight(one.model) as f32,
        personal: one.model != Model::Popularity,
    });
    let BlendSettings {
        ease,
        ials,
        spectral,
        popularity,
        familiarity,
        content: _,
        taste: _,
    } = settings;
    let told = format!(
        "ease={ease:.3} ials={ials:.3} spectral={spectral:.3} popularity={popularity:.3} \
         familiarity={familiarity:.3}"
    );
    let mut blend = Fitted::fit(Model::Blend, told, || {
        Blend::new(parts.collect(), *familiarity as f32)
    })?;
    // It has cost what its parts have cost.
    blend.took += fitted.iter().map(|one| one.took).sum();
    blend.peak = fitted.iter().map(|one| one.peak).max().flatten();
    Ok(blend)
}

/// A list of columns for each user, best first.
type Lists = Vec<Vec<u32>>;

/// What is measured on.
struct Measured<'a> {
    train: &'a Interactions,
    /// What is in no list.
    hidden: &'a Interactions,
    held_out: &'a Interactions,
}

/// The last model's lists, as many as there are users, and everybody's figures.
fn measure(
    parts: &Measured<'_>,
    catalogue: &Catalogue,
    fitted: &[Fitted],
    arguments: &Arguments,
    longest: usize,
) -> (Lists, Vec<(String, Figures)>) {
    let Measured {
        train,
        hidden,
        held_out,
    } = *parts;
    let mut rows = Vec::new();
    let mut lists = Vec::new();
    for one in fitted {
        let score = |history: History<'_>, scores: &mut [f32]| one.scorer.score(history, scores);
        lists = ranked(score, train, hidden, held_out, |scores, hidden| {
            rank(scores, hidden, longest)
                .into_iter()
                .map(|(item, _)| item)
                .collect()
        });
        let figures = Figures::new(&lists, train, held_out, catalogue, &arguments.lengths);
        rows.push((one.model.name().to_owned(), figures));
    }
    let last = fitted.last().filter(|one| one.model == Model::Blend);
    if let Some(blend) = last
        && arguments.diversity > 0.0
    {
        let score = |history: History<'_>, scores: &mut [f32]| blend.scorer.score(history, scores);
        let diverse = ranked(score, train, hidden, held_out, |scores, hidden| {
            let best = rank(scores, hidden, longest.max(REORDERED));
            mmr(&best, arguments.diversity, longest, |a, b| {
                blend.scorer.similarity(a, b).unwrap_or_default()
            })
        });
        let figures = Figures::new(&diverse, train, held_out, catalogue, &arguments.lengths);
        rows.push((format!("diversity {}", arguments.diversity), figures));
    }
    (lists, rows)
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

/// Has the system forget the greatest size of this process, so that the next one is of what comes.
fn reset_peak() {
    // Only a figure is lost where this is not allowed.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The greatest size of this process, MiB.
fn peak() -> Option<u64> {
    size("VmHWM:")
}

/// The size of this process, MiB.
pub(crate) fn resident() -> Option<u64> {
    size("VmRSS:")
}

fn size(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.div_ceil(1024))
}

#[cfg(test)]
mod tests;
