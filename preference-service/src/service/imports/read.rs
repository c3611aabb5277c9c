//! The reading of uploaded files into the contents of an import.

use chassis::problem::FieldError;
use histories::{History, Options, Problem, Upload};

use crate::{
    models::{ImportEntry, ImportFailure, ImportFile},
    repository::imports::ImportContents,
};

/// The maximum number of errors of a refused request.
const MAX_ERRORS: usize = 20;

/// Reads `files`.
///
/// # Errors
/// The reasons for which nothing can be taken, named like `ratings.csv line 17, Rating`.
pub(super) fn read(
    files: &[(String, impl AsRef<[u8]>)],
    options: &Options,
) -> Result<ImportContents, Vec<FieldError>> {
    let uploads: Vec<Upload<'_>> = files
        .iter()
        .map(|(name, content)| Upload {
            name,
            content: content.as_ref(),
        })
        .collect();
    let history = histories::read(&uploads, options)
        .map_err(|refusal| vec![FieldError::new(refusal.file, refusal.message)])?;
    if history.rows.is_empty() && history.skipped_kinds.is_empty() {
        refuse_empty(&history)?;
    }
    Ok(contents(history))
}

/// Refuses an upload without a row if something is wrong with it, or if it is a single file. An archive of a user without
/// a history is none of these.
fn refuse_empty(history: &History) -> Result<(), Vec<FieldError>> {
    let name = |index: usize| {
        let file = history.files.get(index);
        file.map_or("body", |file| file.name.as_str())
    };
    if !history.problems.is_empty() {
        let errors = history.problems.iter().take(MAX_ERRORS).map(|problem| {
            let mut field = name(problem.file).to_owned();
            if let Some(line) = problem.line.filter(|_| problem.rows > 0) {
                field += &format!(" line {line}");
            }
            if let Some(column) = &problem.field {
                field += &format!(", {column}");
            }
            FieldError::new(field, problem.message.clone())
        });
        return Err(errors.collect());
    }
    if let ([], [skipped, ..]) = (&*history.files, &*history.skipped_files) {
        let message = "is not about a history of movies: send the files of ratings, viewings or the watchlist";
        return Err(vec![FieldError::new(skipped.name.clone(), message)]);
    }
    if history.files.len() + history.skipped_files.len() == 1 {
        let message = "there must be a row besides the header";
        return Err(vec![FieldError::new(name(0), message)]);
    }
    Ok(())
}

fn contents(history: History) -> ImportContents {
    let rows = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let failures = history.problems.iter().map(|problem| {
        let file = history.files.get(problem.file);
        ImportFailure {
            file: file.map(|file| file.name.clone()),
            ..failure(problem)
        }
    });
    let failures = failures.collect();
    // Files that were not recognized have no rows; the others are numbered anew.
    let mut files = Vec::new();
    let mut places = Vec::new();
    for file in history.files {
        places.push(files.len());
        if let Some(format) = file.format {
            files.push(ImportFile {
                name: file.name,
                format,
                rows: file.rows,
            });
        }
    }
    let entries = history.rows.iter().map(|row| {
        let file = places.get(row.file).copied().unwrap_or_default();
        ImportEntry {
            file: i16::try_from(file).unwrap_or(i16::MAX),
            ..ImportEntry::from(row)
        }
    });
    ImportContents {
        entries: entries.collect(),
        files,
        failed: rows(history.problems.iter().map(|problem| problem.rows).sum()),
        failures,
        skipped: rows(history.skipped_kinds.values().sum()),
        skipped_kinds: history.skipped_kinds,
        skipped_files: history.skipped_files,
    }
}

fn failure(problem: &Problem) -> ImportFailure {
    ImportFailure {
        file: None,
        line: problem.line.and_then(|line| i32::try_from(line).ok()),
        field: problem.field.clone(),
        reason: problem.message.clone(),
        title: problem.title.clone(),
        rows: i32::try_from(problem.rows).ok().filter(|rows| *rows > 0),
    }
}
