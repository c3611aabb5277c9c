//! Typing errors between a query and names: insertions, deletions, substitutions and transpositions of neighbours, all
//! by bits. [`crate::rank`] compares names with it, [`crate::dictionary`] and [`crate::retrieve`] find terms.

use tantivy_fst::Automaton;

/// Letters of a query that are compared; a word has fewer.
const MAX_LETTERS: usize = 63;

/// A text as bits: for each character, the places where the text has it.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    ascii: [u64; 128],
    others: Vec<(char, u64)>,
    len: usize,
    /// The scripts of its characters, as [`scripts`] numbers them.
    scripts: u8,
}

/// The scripts that the first byte of a character may mean, roughly: a bit for each group.
fn scripts(first: u8) -> u8 {
    match first {
        // Latin letters and digits.
        0..0xC0 => 1,
        // European and Near Eastern; South Asian; letters of Hangul and Kana; Han; others.
        0xC0..0xE0 => 2,
        0xE0..0xE3 => 4,
        0xE3 => 8,
        0xE4..0xEA => 16,
        _ => 32,
    }
}

impl Pattern {
    /// The first letters of a text.
    pub(crate) fn new(letters: impl Iterator<Item = char>) -> Self {
        let mut pattern = Self {
            ascii: [0; 128],
            others: Vec::new(),
            len: 0,
            scripts: 0,
        };
        for letter in letters.take(MAX_LETTERS) {
            let bit = 1 << pattern.len;
            pattern.scripts |= scripts(letter.encode_utf8(&mut [0; 4]).as_bytes()[0]);
            pattern.len += 1;
            match pattern.ascii.get_mut(letter as usize) {
                Some(places) => *places |= bit,
                None => match pattern
                    .others
                    .iter_mut()
                    .find(|(other, _)| *other == letter)
                {
                    Some((_, places)) => *places |= bit,
                    None => pattern.others.push((letter, bit)),
                },
            }
        }
        pattern
    }

    fn places(&self, letter: char) -> u64 {
        match self.ascii.get(letter as usize) {
            Some(places) => *places,
            None => {
                let other = self.others.iter().find(|(other, _)| *other == letter);
                other.map_or(0, |(_, places)| *places)
            }
        }
    }

    /// The optimal string alignment distance of the pattern to `name`, and to the nearest prefix of `name` (Hyyrö, A
    /// bit-vector algorithm for computing Levenshtein and Damerau edit distances, Nordic Journal of Computing 10, 2003).
    pub(crate) fn distances(&self, name: impl Iterator<Item = char>) -> (usize, usize) {
        if self.len == 0 {
            return (name.take(MAX_LETTERS).count(), 0);
        }
        let last = 1 << (self.len - 1);
        let (mut up, mut down, mut diagonal, mut before) = (u64::MAX, 0_u64, 0_u64, 0_u64);
        let (mut distance, mut least) = (self.len, self.len);
        for letter in name.take(MAX_LETTERS) {
            let places = self.places(letter);
            let swapped = ((!diagonal & places) << 1) & before;
            diagonal = ((places & up).wrapping_add(up) ^ up) | places | down | swapped;
            let (right, left) = (down | !(diagonal | up), diagonal & up);
            distance += usize::from(right & last != 0);
            distance -= usize::from(left & last != 0);
            least = least.min(distance);
            let (right, left) = ((right << 1) | 1, left << 1);
            up = left | !(diagonal | right);
            down = right & diagonal;
            before = places;
        }
        (distance, least)
    }
}

/// The texts within one error of a pattern, or those that start so, as an automaton of bits (Wu and Manber, Fast text
/// searching allowing errors, CACM 35, 1992). Unlike a deterministic one it is not built before it is used. A wrong
/// letter is of a script of the pattern: there are thousands of others.
pub(crate) struct OneError<'a> {
    /// The bytes with which all texts start; only what follows the first `ignored` of them is compared.
    pub(crate) start: &'a [u8],
    pub(crate) ignored: usize,
    pub(crate) pattern: &'a Pattern,
    /// True if texts only start so.
    pub(crate) prefix: bool,
}

/// The letters of the pattern that are matched, as bits, and a character that is read in part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct State {
    /// Bytes of the start.
    at: u16,
    /// Bytes of the character that follow.
    missing: u8,
    /// Without an error, with one, and between two letters that are transposed.
    exact: u64,
    near: u64,
    swapping: u64,
    partial: u32,
    /// True if the whole pattern was matched by a prefix.
    is_begun: bool,
    is_dead: bool,
}

impl OneError<'_> {
    fn end(&self) -> u64 {
        1 << self.pattern.len
    }

    fn step(&self, state: State, letter: char) -> State {
        let places = self.pattern.places(letter);
        let all = self.end() | (self.end() - 1);
        let exact = ((state.exact & places) << 1) & all;
        let near = ((state.near & places) << 1)
            | state.exact
            | (state.exact << 1)
            | (exact << 1)
            | ((state.swapping & places) << 2);
        State {
            exact,
            near: near & all,
            swapping: state.exact & (places >> 1),
            ..state
        }
    }
}

impl Automaton for OneError<'_> {
    type State = State;

    fn start(&self) -> State {
        State {
            at: 0,
            missing: 0,
            exact: 1,
            near: 0b10,
            swapping: 0,
            partial: 0,
            is_begun: false,
            is_dead: false,
        }
    }

    fn is_match(&self, state: &State) -> bool {
        let is_whole = (state.exact | state.near) & self.end() != 0;
        usize::from(state.at) >= self.start.len()
            && state.missing == 0
            && (is_whole || state.is_begun)
    }

    fn can_match(&self, state: &State) -> bool {
        !state.is_dead && (state.is_begun || state.exact | state.near | state.swapping != 0)
    }

    fn accept(&self, state: &State, byte: u8) -> State {
        let at = usize::from(state.at);
        let mut next = *state;
        if let Some(expected) = self.start.get(at) {
            if *expected != byte {
                next.is_dead = true;
                return next;
            }
            next.at += 1;
            if at < self.ignored {
                return next;
            }
        }
        if next.is_begun {
            return next;
        }
        if byte & 0xC0 != 0x80 && scripts(byte) & self.pattern.scripts == 0 {
            next.is_dead = true;
            return next;
        }
        let letter = match byte {
            0x80..=0xBF => {
                next.partial = (next.partial << 6) | u32::from(byte & 0x3F);
                next.missing = next.missing.saturating_sub(1);
                next.partial
            }
            0xC0.. => {
                let missing = byte.leading_ones().min(4) - 1;
                next.missing = u8::try_from(missing).unwrap_or(3);
                next.partial = u32::from(byte & (0x3F >> missing));
                return next;
            }
            _ => u32::from(byte),
        };
        if next.missing > 0 {
            return next;
        }
        let letter = char::from_u32(letter).unwrap_or(char::REPLACEMENT_CHARACTER);
        let mut next = self.step(next, letter);
        next.is_begun = self.prefix && (next.exact | next.near) & self.end() != 0;
        next
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by a table (Boytsov, Indexing methods for approximate dictionary searching, ACM JEA 16, 2011).
    fn by_table(query: &str, name: &str) -> (usize, usize) {
        let letters = |text: &str| text.chars().collect::<Vec<char>>();
        let (query, name) = (letters(query), letters(name));
        let mut rows = vec![(0..=name.len()).collect::<Vec<usize>>()];
        for (at, letter) in query.iter().enumerate() {
            let mut row = vec![at + 1];
            for place in 1..=name.len() {
                let mut least = (rows[at][place - 1] + usize::from(name[place - 1] != *letter))
                    .min(rows[at][place] + 1)
                    .min(row[place - 1] + 1);
                if at > 0
                    && place > 1
                    && name[place - 1] == query[at - 1]
                    && name[place - 2] == *letter
                {
                    least = least.min(rows[at - 1][place - 2] + 1);
                }
                row.push(least);
            }
            rows.push(row);
        }
        let last = &rows[query.len()];
        (last[name.len()], last.iter().copied().min().unwrap_or(0))
    }

    proptest! {
        #[test]
        fn distances_are_those_of_the_table(query in "[abㄱß]{0,9}", name in "[abㄱß]{0,9}") {
            let pattern = Pattern::new(query.chars());
            prop_assert_eq!(pattern.distances(name.chars()), by_table(&query, &name));
        }

        #[test]
        fn the_automaton_accepts_texts_with_one_error(query in "[abㄱㄴ]{1,7}", name in "[abㄱㄴ]{0,8}") {
            prop_assume!(name.chars().all(|letter| letter.is_ascii() == query.is_ascii()
                || query.chars().any(|other| other.is_ascii() == letter.is_ascii())));
            let pattern = Pattern::new(query.chars());
            let (whole, begun) = by_table(&query, &name);
            for (prefix, distance) in [(false, whole), (true, begun)] {
                let automaton = OneError { start: b"", ignored: 0, pattern: &pattern, prefix };
                let mut state = automaton.start();
                let mut is_dead = false;
                for byte in name.bytes() {
                    is_dead |= !automaton.can_match(&state);
                    state = automaton.accept(&state, byte);
                }
                prop_assert_eq!(automaton.is_match(&state), distance <= 1);
                prop_assert!(!(automaton.is_match(&state) && is_dead));
            }
        }
    }
}
