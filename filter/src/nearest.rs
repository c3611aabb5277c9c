//! The names nearest to one that does not exist, for messages about it. Pure.

/// Names of lower similarity are not near.
const MIN_SIMILARITY: f64 = 0.55;
/// The names that are shown.
const MAX_SHOWN: usize = 3;
/// A name is shown beside the best if it is nearly as similar.
const MAX_DISTANCE: f64 = 0.1;
/// The similarity of a name that contains all words of the other, such as a surname.
const CONTAINED: f64 = 0.9;
/// The names that are compared: a bound on the work for a request.
const MAX_COMPARED: usize = 300_000;

/// A search for the names nearest to one.
pub(crate) struct Nearest<'a> {
    name: &'a str,
    /// The number of letters.
    length: usize,
}

impl<'a> Nearest<'a> {
    /// A search for the names nearest to `name`. Both must be folded alike.
    pub(crate) fn new(name: &'a str) -> Self {
        let length = name.chars().count();
        Self { name, length }
    }

    /// The values of the most similar `names`, best first, each once; of equally similar names the first comes first.
    pub(crate) fn of<'b, T: PartialEq + Copy>(
        &self,
        names: impl Iterator<Item = (&'b str, T)>,
    ) -> Vec<T> {
        let similar = names.take(MAX_COMPARED).filter_map(|(name, value)| {
            let similarity = self.similarity(name);
            (similarity >= MIN_SIMILARITY).then_some((similarity, value))
        });
        let mut similar: Vec<(f64, T)> = similar.collect();
        similar.sort_by(|(one, _), (two, _)| two.total_cmp(one));
        let best = similar.first().map_or(0.0, |(best, _)| *best);
        let mut near: Vec<T> = Vec::new();
        for (similarity, value) in similar {
            if similarity + MAX_DISTANCE >= best && near.len() < MAX_SHOWN && !near.contains(&value)
            {
                near.push(value);
            }
        }
        near
    }

    /// The similarity of `name`, 0 to 1: that of Damerau and Levenshtein, or [`CONTAINED`].
    fn similarity(&self, name: &str) -> f64 {
        if self.length > 3
            && self
                .name
                .split(' ')
                .all(|word| name.split(' ').any(|other| other == word))
        {
            return CONTAINED;
        }
        let length = name.chars().count();
        let (short, long) = (length.min(self.length), length.max(self.length));
        // No more letters than the shorter name has can be alike.
        if (short as f64) < MIN_SIMILARITY * long as f64 {
            return 0.0;
        }
        strsim::normalized_damerau_levenshtein(self.name, name)
    }
}

/// The question at the end of a message, such as `did you mean `Action` or `Animation`?`
pub(crate) fn did_you_mean(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let names = match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    };
    format!("did you mean {names}?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_names_are_found_each_once() {
        let names = [
            "netflix",
            "netflix kids",
            "wavve",
            "watcha",
            "christopher nolan",
        ];
        let near = |name| Nearest::new(name).of(names.into_iter().zip(0..));
        assert_eq!(near("netflx"), [0]);
        assert_eq!(near("nolan"), [4]);
        assert_eq!(near("wave"), [2]);
        assert!(near("disney").is_empty());
        assert!(near("").is_empty());
        assert_eq!(
            did_you_mean(&["a", "b", "c"]),
            "did you mean `a`, `b` or `c`?"
        );
    }
}
