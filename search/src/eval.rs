//! Evaluation of a search by a set of queries with the documents that they mean: success at 1 and 5, and the mean
//! reciprocal rank (Voorhees, The TREC-8 question answering track report, 1999), by group. Pure; a command of a
//! service runs the searches.

use std::collections::BTreeMap;

/// Results per query that are looked at.
pub const DEPTH: usize = 10;

/// A query of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The query.
    pub query: String,
    /// The ids that are right; empty if nothing may be found.
    pub expected: Vec<i64>,
    /// The group.
    pub group: String,
}

/// A line that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct InvalidLine {
    line: usize,
    problem: &'static str,
}

/// Parses a set: `query<TAB>id[,id…]<TAB>group` a line. Empty lines and lines that start with `#` are skipped.
///
/// # Errors
/// Names the first line that has another form.
pub fn parse(text: &str) -> Result<Vec<Case>, InvalidLine> {
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let case = |(place, line): (usize, &str)| {
        let invalid = |problem| InvalidLine {
            line: place + 1,
            problem,
        };
        let mut parts = line.trim_end_matches('\r').split('\t');
        let (Some(query), Some(ids), group, None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid(
                "must be a query, ids and a group, separated by tabs",
            ));
        };
        let ids = ids.split(',').map(str::trim).filter(|id| !id.is_empty());
        let expected: Result<Vec<i64>, _> = ids.map(str::parse).collect();
        Ok(Case {
            query: query.to_owned(),
            expected: expected.map_err(|_| invalid("ids must be numbers, separated by commas"))?,
            group: group
                .map(str::trim)
                .filter(|group| !group.is_empty())
                .unwrap_or("all")
                .to_owned(),
        })
    };
    lines.map(case).collect()
}

/// The measures of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measures {
    /// Queries.
    pub queries: usize,
    first: usize,
    first_five: usize,
    reciprocal: f64,
}

#[expect(clippy::cast_precision_loss, reason = "numbers of queries")]
fn share(part: f64, whole: usize) -> f64 {
    part / whole.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "numbers of queries")]
impl Measures {
    /// The share of queries whose first result is right.
    pub fn success_at_1(&self) -> f64 {
        share(self.first as f64, self.queries)
    }

    /// The share of queries with a right result among the first five.
    pub fn success_at_5(&self) -> f64 {
        share(self.first_five as f64, self.queries)
    }

    /// The mean of one by the rank of the first right result, 0 beyond [`DEPTH`].
    pub fn mean_reciprocal_rank(&self) -> f64 {
        share(self.reciprocal, self.queries)
    }

    fn add(&mut self, rank: Option<usize>) {
        self.queries += 1;
        if let Some(rank) = rank {
            self.first += usize::from(rank == 1);
            self.first_five += usize::from(rank <= 5);
            self.reciprocal += 1.0 / rank as f64;
        }
    }
}

/// The measures of all groups.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluation {
    /// By group.
    pub groups: BTreeMap<String, Measures>,
    /// Over all queries.
    pub all: Measures,
}

impl Evaluation {
    /// Adds the results of a case, best first. Where nothing is expected, an empty list has rank 1.
    pub fn add(&mut self, case: &Case, results: &[i64]) {
        let rank = rank(case, results);
        self.groups.entry(case.group.clone()).or_default().add(rank);
        self.all.add(rank);
    }
}

/// The rank of the first right result.
pub fn rank(case: &Case, results: &[i64]) -> Option<usize> {
    if case.expected.is_empty() {
        return results.is_empty().then_some(1);
    }
    results
        .iter()
        .take(DEPTH)
        .position(|id| case.expected.contains(id))
        .map(|place| place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_count_the_rank_of_the_first_right_result() {
        let cases = parse("# a set\njaws\t578\texact\nalien\t348,679\texact\n\nqqq\t\tnonsense\n")
            .expect("a set");
        let mut evaluation = Evaluation::default();
        evaluation.add(&cases[0], &[578]);
        evaluation.add(&cases[1], &[1, 679]);
        evaluation.add(&cases[2], &[]);
        let exact = evaluation.groups["exact"];
        assert_eq!((exact.success_at_1(), exact.success_at_5()), (0.5, 1.0));
        assert_eq!(exact.mean_reciprocal_rank(), 0.75);
        assert_eq!(evaluation.all.queries, 3);
        assert!(parse("jaws\tx\texact").is_err());
    }
}
