//! The files of a MovieLens set as the operator fetched it: a directory or the zip archive itself. Bounded: no file is
//! read beyond [`MAX_FILE_BYTES`], whatever the archive claims.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, IsTerminal as _, Read, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use recommender::movielens::{self, CatalogueTitle, LINKS_FILE, Layout, Likes};
use zip::ZipArchive;

use crate::cli::{files, print};

/// The largest size of an unpacked file, about four times that of the largest published one.
const MAX_FILE_BYTES: u64 = 4 << 30;
/// The largest number of lines of a licence that are shown.
const MAX_LICENCE_LINES: usize = 60;
/// The names of files with the licence.
const READMES: [&str; 2] = ["README.txt", "README"];
/// The terms in short, for sets without their readme.
const TERMS: &str = "MovieLens sets are published by GroupLens, University of Minnesota, for research. They must be \
    acknowledged (Harper and Konstan, The MovieLens Datasets: History and Context, 2015), and may neither be used \
    commercially nor redistributed without permission: https://grouplens.org/datasets/movielens/. Marquee sends no row \
    of them anywhere; models that are fitted to them are yours to answer for.";

/// The files of a set.
pub(in crate::cli) struct SetFiles {
    path: PathBuf,
    layout: Layout,
    archive: Option<Archive>,
}

/// An archive with the index of each file by its name without directories.
struct Archive {
    zip: ZipArchive<BufReader<File>>,
    files: HashMap<String, usize>,
}

impl SetFiles {
    /// The set in the directory or zip archive at `path`.
    ///
    /// # Errors
    /// Fails if it can be read as neither, or has no file of ratings.
    pub(in crate::cli) fn open(path: &Path) -> anyhow::Result<Self> {
        let is_directory = std::fs::metadata(path)
            .with_context(|| path.display().to_string())?
            .is_dir();
        let archive = match is_directory {
            true => None,
            false => {
                let archive = open_archive(path);
                Some(archive.with_context(|| {
                    format!(
                        "{}: it is neither a directory nor a zip archive",
                        path.display()
                    )
                })?)
            }
        };
        let mut own = Self {
            path: path.to_owned(),
            layout: Layout::Csv,
            archive,
        };
        let layouts = Layout::ALL.into_iter();
        let mut found = layouts.filter(|layout| own.has(layout.ratings_file()));
        own.layout = found.next().with_context(|| {
            format!(
                "{}: there is neither ratings.csv nor ratings.dat in it",
                path.display()
            )
        })?;
        Ok(own)
    }

    fn has(&self, name: &str) -> bool {
        match &self.archive {
            Some(archive) => archive.files.contains_key(name),
            None => files::find(&self.path, name).is_some(),
        }
    }

    /// The result of `read` on the file `name`, given with its name for messages.
    fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str, &mut dyn BufRead) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let label = |name: &str| format!("{}/{name}", self.path.display());
        let Some(archive) = &mut self.archive else {
            let file = files::find(&self.path, name);
            let file = file.with_context(|| format!("{}: it is missing", label(name)))?;
            let label = file.display().to_string();
            let text = files::open(&file).with_context(|| label.clone())?;
            return read(&label, &mut BufReader::new(Bounded::new(text)));
        };
        let label = label(name);
        let index = archive.files.get(name);
        let index = *index.with_context(|| format!("{label}: it is missing"))?;
        let entry = archive.zip.by_index(index).with_context(|| label.clone())?;
        ensure!(
            entry.size() <= MAX_FILE_BYTES,
            "{label}: it has {} bytes, more than {MAX_FILE_BYTES}",
            entry.size()
        );
        read(&label, &mut BufReader::new(Bounded::new(entry)))
    }

    /// The licence in the set's own words, or in short.
    fn licence(&mut self) -> String {
        let readme = READMES.into_iter().find(|name| self.has(name));
        let section = readme.and_then(|name| {
            let read = |_: &str, text: &mut dyn BufRead| {
                let mut all = Vec::new();
                text.take(1 << 20).read_to_end(&mut all)?;
                Ok(licence_of(&String::from_utf8_lossy(&all)))
            };
            self.read(name, read).ok().flatten()
        });
        section.unwrap_or_else(|| TERMS.to_owned())
    }

    /// Shows the licence of the set, and fails unless it is accepted, by a flag or on the terminal.
    ///
    /// # Errors
    /// Fails if it is not accepted.
    pub(in crate::cli) fn accept_licence(&mut self, is_accepted: bool) -> anyhow::Result<()> {
        print(&format!("The licence of this set:\n\n{}\n", self.licence()));
        if is_accepted {
            return Ok(());
        }
        let stdin = std::io::stdin();
        ensure!(
            stdin.is_terminal(),
            "the licence must be accepted: give --accept-licence"
        );
        write!(std::io::stderr(), "Do you accept it? Type yes: ")?;
        let mut response = String::new();
        stdin.lock().read_line(&mut response)?;
        ensure!(
            response.trim().eq_ignore_ascii_case("yes"),
            "the licence was not accepted; nothing was done"
        );
        Ok(())
    }

    /// The ratings that count as likes, at most `max`.
    ///
    /// # Errors
    /// Fails with the file, the line and the column if the file is damaged.
    pub(in crate::cli) fn likes(&mut self, min_rating: f32, max: usize) -> anyhow::Result<Likes> {
        let layout = self.layout;
        self.read(layout.ratings_file(), |label, text| {
            let report = |count: usize| print(&format!("{count} ratings read"));
            Ok(movielens::likes(
                label, text, layout, min_rating, max, report,
            )?)
        })
    }

    /// TMDB's ids by the ids of the set: of the file `links`, of the set's own, or by title and year of the movies that
    /// `catalogue` returns. Also the number of movies that the set has.
    ///
    /// # Errors
    /// Fails if a file is damaged, or nothing relates the set to TMDB's ids.
    pub(in crate::cli) fn ids(
        &mut self,
        links: Option<&Path>,
        catalogue: impl FnOnce() -> Vec<CatalogueTitle>,
    ) -> anyhow::Result<(HashMap<u32, i64>, usize)> {
        let layout = self.layout;
        let titles = self.read(layout.movies_file(), |label, text| {
            Ok(movielens::titles(label, text, layout)?)
        })?;
        if let Some(file) = links {
            let label = file.display().to_string();
            let text = files::open(file).with_context(|| label.clone())?;
            let text = BufReader::new(Bounded::new(text));
            return Ok((movielens::links(&label, text)?, titles.len()));
        }
        if self.has(LINKS_FILE) {
            let links = self.read(LINKS_FILE, |label, text| Ok(movielens::links(label, text)?))?;
            return Ok((links, titles.len()));
        }
        let catalogue = catalogue();
        ensure!(
            !catalogue.is_empty(),
            "{}: it has no {LINKS_FILE}, and there is no catalogue to match titles with; give --links the {LINKS_FILE} of \
             another MovieLens set, whose movies have the same ids",
            self.path.display()
        );
        print(
            "there are no links to TMDB: movies are matched by title and year with the catalogue",
        );
        Ok((movielens::match_titles(&titles, &catalogue), titles.len()))
    }
}

fn open_archive(path: &Path) -> anyhow::Result<Archive> {
    let zip = ZipArchive::new(BufReader::new(File::open(path)?))?;
    let mut files = HashMap::new();
    for index in 0..zip.len() {
        if let Some(Ok(name)) = zip.name_for_index(index)
            && let Some(name) = name.rsplit('/').next().filter(|name| !name.is_empty())
        {
            files.entry(name.to_owned()).or_insert(index);
        }
    }
    Ok(Archive { zip, files })
}

/// The section on the licence in a readme.
fn licence_of(readme: &str) -> Option<String> {
    let is_rule = |line: &str| line.len() > 3 && line.chars().all(|one| one == '=' || one == '-');
    let lines: Vec<&str> = readme.lines().map(str::trim_end).collect();
    let start = lines
        .iter()
        .position(|line| line.to_uppercase().contains("USAGE LICENSE"))?;
    let rest = &lines[start + 1..];
    let body = rest
        .iter()
        .skip_while(|line| is_rule(line) || line.is_empty());
    let body: Vec<&str> = body.copied().take(MAX_LICENCE_LINES).collect();
    // The heading of the next section is the line above its rule.
    let end = body.iter().position(|line| is_rule(line));
    let end = end.map_or(body.len(), |end| end.saturating_sub(1));
    Some(body[..end].join("\n").trim().to_owned())
}

/// A reader that fails after [`MAX_FILE_BYTES`].
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Bounded<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            left: MAX_FILE_BYTES,
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            std::io::Error::other(format!("it has more than {MAX_FILE_BYTES} bytes"))
        })?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_licence_is_the_section_of_the_readme() {
        let readme = "Summary\n=======\n\nStars.\n\nUsage License\n=============\n\nNeither sell\nnor share.\n\n\
                      Citation\n========\n\nCite.\n";
        assert_eq!(
            licence_of(readme).as_deref(),
            Some("Neither sell\nnor share.")
        );
        assert_eq!(licence_of("Summary\n"), None);
    }
}
