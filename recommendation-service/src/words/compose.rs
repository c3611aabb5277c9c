//! Tokens as a reading: the scope of negations, alternatives, and conditions that narrow each other. Pure.

use chrono::NaiveDate;

use super::{
    lexicon::{Length, Votes},
    numbers::Runtime,
    period::Period,
    reading::{Filters, MessageLanguage, Order, Reading, put_in_order},
    text::{Gap, Text},
    token::{Content, Role, Token},
};

/// The most tokens without content between a negation and what it negates.
const MAX_DISTANCE: usize = 5;
/// The values of words that name no number.
const SHORT: u16 = 90;
const MEDIUM: u16 = 120;
const LONG: u16 = 150;
const GOOD_AVERAGE: f64 = 7.0;
const FEW_VOTES: u32 = 1000;
const MANY_VOTES: u32 = 5000;

/// A conjunction of alternatives, as the filter writes it.
#[derive(Debug, Default)]
struct All(Vec<Vec<String>>);

impl All {
    /// Adds `names`: to the last alternatives if `is_alternative`.
    fn add(&mut self, names: impl IntoIterator<Item = String>, is_alternative: bool) {
        let names: Vec<String> = names.into_iter().collect();
        if let (true, Some(last)) = (is_alternative, self.0.last_mut()) {
            for name in names {
                if !last.contains(&name) {
                    last.push(name);
                }
            }
            return;
        }
        let is_known = self
            .0
            .iter()
            .any(|any| any.iter().any(|name| names.contains(name)));
        if !is_known {
            self.0.push(names);
        }
    }

    /// Makes the last `count` conditions alternatives of one.
    fn merge_last(&mut self, count: usize) {
        let start = self.0.len().saturating_sub(count);
        let merged: Vec<String> = self.0.drain(start..).flatten().collect();
        self.add(merged, false);
    }

    fn into_text(self) -> Option<String> {
        let all: Vec<String> = self.0.iter().map(|any| any.join("|")).collect();
        (!all.is_empty()).then(|| all.join(","))
    }
}

/// The reading of `tokens`, which [`super::scan::scan`] made of `text`; `region` is that of providers.
pub(super) fn compose(
    text: &Text<'_>,
    tokens: &[Token],
    region: Option<&str>,
    today: NaiveDate,
    language: MessageLanguage,
) -> Reading {
    let negated = negated(tokens);
    let mut composer = Composer {
        today,
        ..Composer::default()
    };
    for (place, token) in tokens.iter().enumerate() {
        let Role::Content(content) = &token.role else {
            continue;
        };
        let is_taken = match negated[place] {
            true => composer.exclude(content),
            false => {
                composer.include(content, joined(tokens, &negated, place));
                true
            }
        };
        if !is_taken {
            composer.refused.push(place);
        }
    }
    composer.finish(text, tokens, region, language)
}

/// True at the places of content that a negation excludes.
fn negated(tokens: &[Token]) -> Vec<bool> {
    let mut negated = vec![false; tokens.len()];
    let is_content = |place: usize| matches!(tokens[place].role, Role::Content(_));
    let ends_scope = |role: &Role| matches!(role, Role::But | Role::Break(_));
    for (place, token) in tokens.iter().enumerate() {
        match token.role {
            Role::Negate => {
                let mut found = None;
                for (distance, next) in (place + 1..tokens.len()).enumerate() {
                    let role = &tokens[next].role;
                    if is_content(next) {
                        found = Some(next);
                        break;
                    }
                    if ends_scope(role) || distance > MAX_DISTANCE || matches!(role, Role::Negate) {
                        break;
                    }
                }
                // Further content that is joined: no horror or gore.
                let mut last = found;
                while let Some(content) = last {
                    negated[content] = true;
                    let mut next = content + 1;
                    while next < tokens.len()
                        && matches!(tokens[next].role, Role::Filler | Role::Film)
                    {
                        next += 1;
                    }
                    let is_joined = tokens
                        .get(next)
                        .is_some_and(|token| matches!(token.role, Role::Or | Role::And));
                    let after =
                        (next + 1..tokens.len().min(next + 4)).find(|next| is_content(*next));
                    let is_near = after.is_some_and(|after| {
                        (next + 1..after).all(|at| matches!(tokens[at].role, Role::Filler))
                    });
                    let is_same = after
                        .is_some_and(|after| same_kind(&tokens[content].role, &tokens[after].role));
                    last = after.filter(|_| is_joined && is_near && is_same);
                }
            }
            Role::NegateAfter => {
                let mut last = None;
                for (distance, before) in (0..place).rev().enumerate() {
                    if is_content(before) {
                        last = Some(before);
                        break;
                    }
                    if matches!(
                        tokens[before].role,
                        Role::Break(_) | Role::But | Role::NegateAfter | Role::Unknown
                    ) || distance > MAX_DISTANCE
                    {
                        break;
                    }
                }
                while let Some(content) = last {
                    negated[content] = true;
                    let mut before = content;
                    let mut is_joined = false;
                    while let Some(at) = before.checked_sub(1)
                        && matches!(
                            tokens[at].role,
                            Role::Or | Role::And | Role::Filler | Role::Film
                        )
                    {
                        is_joined |= matches!(tokens[at].role, Role::Or | Role::And);
                        before = at;
                    }
                    let at = before
                        .checked_sub(1)
                        .filter(|at| is_content(*at) && is_joined);
                    last = at.filter(|at| {
                        same_kind(&tokens[content].role, &tokens[*at].role) && !negated[*at]
                    });
                }
            }
            _ => {}
        }
    }
    negated
}

fn same_kind(one: &Role, two: &Role) -> bool {
    match (one, two) {
        (
            Role::Content(Content::Genres(_) | Content::Keywords(_)),
            Role::Content(Content::Genres(_) | Content::Keywords(_)),
        ) => true,
        (Role::Content(one), Role::Content(two)) => {
            std::mem::discriminant(one) == std::mem::discriminant(two)
        }
        _ => false,
    }
}

/// The relation of content to that of its kind before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joined {
    /// Another condition.
    Apart,
    /// An alternative to this number of conditions before.
    Alternative(usize),
}

/// The relation of the content at `place` to the content before it.
fn joined(tokens: &[Token], negated: &[bool], place: usize) -> Joined {
    let previous = |place: usize| {
        let at = (0..place).rev().find(|at| {
            !matches!(
                tokens[*at].role,
                Role::Filler | Role::Film | Role::Or | Role::And | Role::Break(Gap::Comma)
            )
        })?;
        let is_same = !negated[at]
            && matches!((&tokens[at].role, &tokens[place].role), (Role::Content(one), Role::Content(two))
                if std::mem::discriminant(one) == std::mem::discriminant(two));
        let between = &tokens[at + 1..place];
        let has_or = between.iter().any(|token| token.role == Role::Or);
        let has_comma = between
            .iter()
            .any(|token| matches!(token.role, Role::Break(_)));
        let has_and = between.iter().any(|token| token.role == Role::And);
        is_same.then_some((at, has_or, has_comma && !has_and))
    };
    let Some((mut at, true, _)) = previous(place) else {
        return Joined::Apart;
    };
    // Action, comedy or drama.
    let mut count = 1;
    while let Some((before, _, true)) = previous(at) {
        count += 1;
        at = before;
    }
    Joined::Alternative(count)
}

#[derive(Debug, Default)]
struct Composer {
    today: NaiveDate,
    genres: All,
    without: All,
    keywords: All,
    people: All,
    languages: All,
    countries: All,
    providers: All,
    period: Option<Period>,
    runtime: Runtime,
    average: Option<f64>,
    votes_min: Option<u32>,
    votes_max: Option<u32>,
    sort: Option<Order>,
    limit: Option<i64>,
    like: Vec<i64>,
    /// Places of excluded content that the filter cannot exclude.
    refused: Vec<usize>,
}

impl Composer {
    fn include(&mut self, content: &Content, joined: Joined) {
        let owned = |names: &[&'static str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let (is_alternative, count) = match joined {
            Joined::Apart => (false, 0),
            Joined::Alternative(count) => (true, count),
        };
        match content {
            Content::Genres(names) if is_alternative => {
                self.genres.merge_last(count);
                self.genres.add(owned(names), true);
            }
            Content::Genres(names) => {
                for name in names {
                    self.genres.add([(*name).to_owned()], false);
                }
            }
            Content::Keywords(names) => {
                if is_alternative {
                    self.keywords.merge_last(count);
                }
                self.keywords.add(names.clone(), is_alternative);
            }
            Content::Person(name) => {
                let name = name.replace([',', '|'], " ");
                if is_alternative {
                    self.people.merge_last(count);
                }
                self.people.add([name], is_alternative);
            }
            // A movie has one language, and is on one of several providers.
            Content::Languages(codes) => self.languages.add(owned(codes), true),
            Content::Country(code) => self.countries.add([(*code).to_owned()], true),
            Content::Provider(name) => self.providers.add([name.clone()], true),
            Content::Era(era) => self.narrow(Period::of(*era, self.today), false),
            Content::Period(period) => self.narrow(*period, is_alternative),
            Content::Length(length) => self.bound(match length {
                Length::Short => Runtime {
                    min: None,
                    max: Some(SHORT),
                },
                Length::Medium => Runtime {
                    min: None,
                    max: Some(MEDIUM),
                },
                Length::Long => Runtime {
                    min: Some(LONG),
                    max: None,
                },
                Length::Some => Runtime {
                    min: Some(SHORT),
                    max: None,
                },
            }),
            Content::Runtime(runtime) => self.bound(*runtime),
            Content::Rating(average) => self.rate(*average),
            Content::Votes(Votes::Good) => self.rate(GOOD_AVERAGE),
            Content::Votes(Votes::Gem) => {
                self.rate(GOOD_AVERAGE);
                self.votes_max = Some(FEW_VOTES);
            }
            Content::Votes(Votes::Famous) => self.votes_min = Some(MANY_VOTES),
            Content::Sort(name) => self.sort = Order::parse(name).or(self.sort),
            Content::Count(count) => self.limit = self.limit.or(Some(*count)),
            Content::Like(film) => {
                if !self.like.contains(film) {
                    self.like.push(*film);
                }
            }
        }
    }

    /// Excludes `content`; false if the filter cannot.
    fn exclude(&mut self, content: &Content) -> bool {
        match content {
            Content::Genres(names) => {
                for name in names {
                    self.without.add([(*name).to_owned()], false);
                }
            }
            Content::Era(era) => match Period::of(*era, self.today).complement() {
                Some(period) => self.narrow(period, false),
                None => return false,
            },
            Content::Period(period) => match period.complement() {
                Some(period) => self.narrow(period, false),
                None => return false,
            },
            Content::Length(Length::Long | Length::Some) => self.bound(Runtime {
                min: None,
                max: Some(MEDIUM),
            }),
            Content::Length(_) => self.bound(Runtime {
                min: Some(SHORT),
                max: None,
            }),
            Content::Runtime(Runtime {
                min: Some(min),
                max: None,
            }) => self.bound(Runtime {
                min: None,
                max: Some(*min),
            }),
            Content::Runtime(Runtime {
                min: None,
                max: Some(max),
            }) => self.bound(Runtime {
                min: Some(*max),
                max: None,
            }),
            Content::Votes(Votes::Famous) | Content::Sort("popularity.desc") => {
                self.votes_max = Some(FEW_VOTES)
            }
            Content::Votes(Votes::Gem) => self.votes_min = Some(FEW_VOTES),
            _ => return false,
        }
        true
    }

    fn narrow(&mut self, period: Period, is_alternative: bool) {
        self.period = Some(match self.period {
            None => period,
            Some(known) if is_alternative => known.union(period),
            Some(known) => {
                let both = known.intersection(period);
                // Two periods without a common year are alternatives.
                let is_empty = both.from.zip(both.to).is_some_and(|(from, to)| from > to);
                if is_empty { known.union(period) } else { both }
            }
        });
    }

    fn bound(&mut self, runtime: Runtime) {
        self.runtime.min = self.runtime.min.max(runtime.min);
        self.runtime.max = self.runtime.max.into_iter().chain(runtime.max).min();
        if self.runtime.min > self.runtime.max && self.runtime.max.is_some() {
            self.runtime = runtime;
        }
    }

    fn rate(&mut self, average: f64) {
        self.average = Some(self.average.map_or(average, |known| known.max(average)));
    }

    fn finish(
        mut self,
        text: &Text<'_>,
        tokens: &[Token],
        region: Option<&str>,
        language: MessageLanguage,
    ) -> Reading {
        let not_understood = self.not_understood(text, tokens);
        let confidence = confidence(text, tokens, &self.refused);
        // What is excluded is not required: a family comedy without families.
        let excluded: Vec<String> = self.without.0.iter().flatten().cloned().collect();
        self.genres
            .0
            .retain(|any| !any.iter().any(|name| excluded.contains(name)));
        let mut period = self.period.unwrap_or(Period {
            from: None,
            to: None,
        });
        // Ends that are written in reverse mean the same range.
        put_in_order(&mut period.from, &mut period.to);
        put_in_order(&mut self.runtime.min, &mut self.runtime.max);
        let is_year = period.from == period.to;
        let day = |year: Option<i32>, month, day| {
            year.filter(|_| !is_year)
                .and_then(|year| NaiveDate::from_ymd_opt(year, month, day))
        };
        let providers = self.providers.into_text();
        let region = region.unwrap_or(language.region());
        let filters = Filters {
            genres: self.genres.into_text(),
            without_genres: self.without.into_text(),
            keywords: self.keywords.into_text(),
            people: self.people.into_text(),
            language: self.languages.into_text(),
            country: self.countries.into_text(),
            year: period.from.filter(|_| is_year),
            release_date_from: day(period.from, 1, 1),
            release_date_to: day(period.to, 12, 31),
            runtime_min: self.runtime.min,
            runtime_max: self.runtime.max,
            vote_average_min: self.average,
            vote_count_min: self.votes_min,
            vote_count_max: self.votes_max,
            region: providers.is_some().then(|| region.to_owned()),
            providers,
        };
        Reading {
            filters,
            like: self.like,
            sort: self.sort,
            limit: self.limit,
            not_understood,
            confidence,
            language,
        }
    }

    /// The fragments without a meaning, in their order.
    fn not_understood(&self, text: &Text<'_>, tokens: &[Token]) -> Vec<String> {
        let is_missed =
            |place: &usize| tokens[*place].role == Role::Unknown || self.refused.contains(place);
        let places = (0..tokens.len()).filter(is_missed);
        // A language beside another needs no exclusion: not Korean but Japanese.
        let places = places.filter(|place| {
            !matches!(tokens[*place].role, Role::Content(Content::Languages(_)))
                || self.languages.0.is_empty()
        });
        places
            .map(|place| text.fragment(tokens[place].range.clone()).trim().to_owned())
            .filter(|fragment| !fragment.is_empty())
            .collect()
    }
}

/// The share of letters of words with a meaning among those of all words but fillers, to two decimals.
fn confidence(text: &Text<'_>, tokens: &[Token], refused: &[usize]) -> f64 {
    let (mut understood, mut missed) = (0, 0);
    for (place, token) in tokens.iter().enumerate() {
        let letters = text.chars()[token.range.clone()].len();
        match token.role {
            Role::Unknown => missed += letters,
            Role::Content(_) if refused.contains(&place) => missed += letters,
            Role::Content(_) => understood += letters,
            _ => {}
        }
    }
    if understood == 0 {
        return 0.0;
    }
    let share = f64::from(u32::try_from(understood).unwrap_or(u32::MAX))
        / f64::from(u32::try_from(understood + missed).unwrap_or(u32::MAX));
    (share * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests;
