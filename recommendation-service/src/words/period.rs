//! Periods in messages: years, decades, centuries and ranges of them. Pure.

use chrono::{Datelike, NaiveDate};

use super::{
    lexicon::Era,
    numbers::{eat, eat_any, number},
    text::{Gap, Text},
};

/// The first year of a classic's end: movies until the year before are classics.
const CLASSIC_UNTIL: i32 = 1979;
/// The last year of old movies.
const OLD_UNTIL: i32 = 1999;
/// The number of whole years before this one that are recent.
const RECENT_YEARS: i32 = 3;

const BEFORE: &[&str] = &["before", "priorto", "pre", "olderthan", "earlierthan"];
const UNTIL: &[&str] = &[
    "until",
    "till",
    "upto",
    "nolaterthan",
    "notafter",
    "through",
];
const AFTER: &[&str] = &[
    "after",
    "newerthan",
    "laterthan",
    "post",
    "morerecentthan",
    "youngerthan",
];
const SINCE: &[&str] = &[
    "since",
    "startingin",
    "startingfrom",
    "asof",
    "notbefore",
    "noearlierthan",
    "notolderthan",
];
const IN: &[&str] = &["from", "in", "of", "during"];

/// An inclusive range of release years; `None` is unbounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) from: Option<i32>,
    pub(super) to: Option<i32>,
}

impl Period {
    const fn new(from: i32, to: i32) -> Self {
        Self {
            from: Some(from),
            to: Some(to),
        }
    }

    /// The period that a word names.
    pub(super) fn of(era: Era, today: NaiveDate) -> Self {
        let year = today.year();
        match era {
            Era::Recent => Self {
                from: Some(year - RECENT_YEARS),
                to: None,
            },
            Era::New => Self {
                from: Some(year - 1),
                to: None,
            },
            Era::ThisYear => Self::new(year, year),
            Era::LastYear => Self::new(year - 1, year - 1),
            Era::Classic => Self {
                from: None,
                to: Some(CLASSIC_UNTIL),
            },
            Era::Old => Self {
                from: None,
                to: Some(OLD_UNTIL),
            },
        }
    }

    /// The years outside of this period, if they are one range.
    pub(super) fn complement(self) -> Option<Self> {
        match self {
            Self {
                from: None,
                to: Some(to),
            } => Some(Self {
                from: Some(to + 1),
                to: None,
            }),
            Self {
                from: Some(from),
                to: None,
            } => Some(Self {
                from: None,
                to: Some(from - 1),
            }),
            _ => None,
        }
    }

    /// The smallest period with both.
    pub(super) fn union(self, other: Self) -> Self {
        Self {
            from: self.from.zip(other.from).map(|(one, two)| one.min(two)),
            to: self.to.zip(other.to).map(|(one, two)| one.max(two)),
        }
    }

    /// The years in both.
    pub(super) fn intersection(self, other: Self) -> Self {
        Self {
            from: self.from.max(other.from),
            to: self.to.into_iter().chain(other.to).min(),
        }
    }
}

/// A year or decade at `place`; `is_alone` is false if a word before it shows that it is one.
fn point(
    text: &Text<'_>,
    place: usize,
    is_alone: bool,
    today: NaiveDate,
) -> Option<(Period, usize)> {
    const DECADES: &[(&str, i32)] = &[
        ("twenties", 1920),
        ("thirties", 1930),
        ("forties", 1940),
        ("fifties", 1950),
        ("sixties", 1960),
        ("seventies", 1970),
        ("eighties", 1980),
        ("nineties", 1990),
        ("noughties", 2000),
        ("aughts", 2000),
        ("twothousands", 2000),
        ("팔십년대", 1980),
        ("구십년대", 1990),
        ("칠십년대", 1970),
        ("육십년대", 1960),
    ];
    let place = eat(text, place, "the").unwrap_or(place);
    let (part, place) = [
        ("early", 0),
        ("mid", 1),
        ("late", 2),
        ("theearly", 0),
        ("themid", 1),
        ("thelate", 2),
    ]
    .into_iter()
    .find_map(|(word, part)| Some((Some(part), eat(text, place, word)?)))
    .unwrap_or((None, place));
    let place = eat(text, place, "the").unwrap_or(place);
    let decade = |first: i32, end: usize| {
        let (after, end) = [("초반", 0), ("초", 0), ("중반", 1), ("후반", 2), ("말", 2)]
            .into_iter()
            .find_map(|(word, part)| Some((Some(part), eat(text, end, word)?)))
            .unwrap_or((None, end));
        let (from, to) = match part.or(after) {
            Some(0) => (0, 3),
            Some(1) => (4, 6),
            Some(_) => (6, 9),
            None => (0, 9),
        };
        (Period::new(first + from, first + to), end)
    };
    let century = |number: f64, end: usize| {
        #[expect(clippy::cast_possible_truncation, reason = "19 to 21")]
        let first = (number as i32 - 1) * 100;
        (19.0..=21.0)
            .contains(&number)
            .then(|| (Period::new(first, first + 99), end))
    };
    for (word, first) in DECADES {
        if let Some(end) = eat(text, place, word) {
            return Some(decade(*first, end));
        }
    }
    if !text.char(place)?.is_ascii_digit() {
        return None;
    }
    let (value, end) = number(text, place)?;
    if let Some(end) = eat_any(text, end, &["stcentury", "thcentury", "세기"]) {
        return century(value, end);
    }
    if value.fract() != 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 100,000")]
    let value = value as i32;
    let digits = end - place;
    let full = match (digits, value) {
        (4, 1880..=2099) => value,
        (2, 0..=29) => value + 2000,
        (2, 30..=99) => value + 1900,
        _ => return None,
    };
    let is_decade = eat_any(text, end, &["년대", "s", "ies"]).filter(|_| full % 10 == 0);
    if let Some(end) = is_decade {
        return Some(decade(full, end));
    }
    let year = eat_any(text, end, &["년도", "년"]);
    let is_year =
        digits == 4 && (year.is_some() || !is_alone || (1900..=today.year() + 2).contains(&full));
    is_year.then(|| (Period::new(full, full), year.unwrap_or(end)))
}

/// The last years that the words at `place` count, such as the last five years.
fn last_years(text: &Text<'_>, place: usize, today: NaiveDate) -> Option<(Period, usize)> {
    let place = eat(text, place, "in").unwrap_or(place);
    let place = eat(text, place, "the").unwrap_or(place);
    let start = eat_any(text, place, &["last", "past", "최근", "지난"])?;
    if let Some(end) = eat(text, start, "decade") {
        return Some((
            Period {
                from: Some(today.year() - 10),
                to: None,
            },
            end,
        ));
    }
    let start =
        eat_any(text, start, &["fewyears", "coupleofyears", "몇년"]).map_or_else(|| Err(start), Ok);
    let (years, end) = match start {
        Ok(end) => (3.0, end),
        Err(start) => {
            let (years, end) = number(text, start)?;
            (
                years,
                eat_any(
                    text,
                    end,
                    &["years", "year", "년간", "년이내", "년안에", "년"],
                )?,
            )
        }
    };
    #[expect(clippy::cast_possible_truncation, reason = "at most 200")]
    let years = years.min(200.0) as i32;
    let end = eat_any(text, end, &["사이에", "사이", "동안", "내", "이내", "간"]).unwrap_or(end);
    Some((
        Period {
            from: Some(today.year() - years),
            to: None,
        },
        end,
    ))
}

/// The period that the words at `place` name.
pub(super) fn period(text: &Text<'_>, place: usize, today: NaiveDate) -> Option<(Period, usize)> {
    if let Some(found) = last_years(text, place, today) {
        return Some(found);
    }
    let open = |from, to| Period { from, to };
    let is_between = eat(text, place, "between");
    for (words, from_first, to_first) in [
        (BEFORE, None, Some(-1)),
        (UNTIL, None, Some(0)),
        (AFTER, Some(1), None),
        (SINCE, Some(0), None),
    ] {
        let Some(start) = eat_any(text, place, words) else {
            continue;
        };
        let (point, end) = point(text, start, false, today)?;
        // Before and until count from the first and the last year of a decade; after, from its last.
        return Some(match (from_first, to_first) {
            (None, Some(-1)) => (open(None, point.from.map(|year| year - 1)), end),
            (None, _) => (open(None, point.to), end),
            (Some(1), _) => (open(point.to.map(|year| year + 1), None), end),
            _ => (open(point.from, None), end),
        });
    }
    let start = is_between
        .or_else(|| eat_any(text, place, IN))
        .unwrap_or(place);
    let start = eat_any(text, start, &["theyear", "year"]).unwrap_or(start);
    let (first, end) = point(text, start, start == place, today)?;
    // A second end: from 1990 to 1999, 2015년부터 2020년 사이, 80, 90년대.
    let joined = eat_any(
        text,
        end,
        &[
            "and", "to", "until", "through", "till", "or", "부터", "에서", "이나", "나", "와",
            "과", "또는",
        ],
    );
    let is_list = matches!(text.gap(end), Gap::Range | Gap::Comma)
        && text.char(end).is_some_and(|char| char.is_ascii_digit());
    if let Some(middle) = joined.or(is_list.then_some(end))
        && let Some((second, end)) = point(text, middle, false, today)
        && second.from >= first.from
    {
        let end = eat_any(text, end, &["사이에", "사이의", "사이", "까지", "대"]).unwrap_or(end);
        return Some((first.union(second), end));
    }
    // 80~90년대: the first end is in the decades of the second.
    for (words, make) in [
        (
            &[
                "이후로",
                "이후에",
                "이후",
                "부터",
                "후에",
                "후",
                "onwards",
                "onward",
                "orlater",
                "andlater",
                "orafter",
                "andafter",
                "orafter",
                "ornewer",
                "andup",
                "andnewer",
                "forward",
                "+",
            ][..],
            open(first.from, None),
        ),
        (
            &["이전에", "이전", "전에", "전"][..],
            open(None, first.from.map(|year| year - 1)),
        ),
        (
            &[
                "까지",
                "orearlier",
                "andearlier",
                "orolder",
                "andolder",
                "orbefore",
                "andbefore",
            ][..],
            open(None, first.to),
        ),
    ] {
        if let Some(end) = eat_any(text, end, words) {
            return Some((make, end));
        }
    }
    let end = eat_any(text, end, &["에나온", "에개봉한", "에", "작"]).unwrap_or(end);
    Some((first, end))
}

/// The period of a first end in two digits before a decade, such as `80~90년대` and `80s and 90s` without the first `s`.
pub(super) fn short_range(
    text: &Text<'_>,
    place: usize,
    today: NaiveDate,
) -> Option<(Period, usize)> {
    let (value, middle) = number(text, place)?;
    let is_joined = matches!(text.gap(middle), Gap::Range | Gap::Comma);
    if middle - place != 2 && middle - place != 4 || !is_joined || value.fract() != 0.0 {
        return None;
    }
    let (second, end) = point(text, middle, false, today)?;
    let decade = second.from?;
    #[expect(clippy::cast_possible_truncation, reason = "at most four digits")]
    let first = match value as i32 {
        year @ 1880.. => year,
        short => decade / 100 * 100 + short,
    };
    let is_decade = second.to != second.from;
    (first < decade && is_decade && first % 10 == 0).then_some((
        Period {
            from: Some(first),
            to: second.to,
        },
        end,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read() {
        let today = NaiveDate::from_ymd_opt(2026, 1, 1).expect("a day");
        for (message, from, to) in [
            ("90년대", Some(1990), Some(1999)),
            ("1990s", Some(1990), Some(1999)),
            ("'90s", Some(1990), Some(1999)),
            ("the eighties", Some(1980), Some(1989)),
            ("2010년 이후", Some(2010), None),
            ("2010년 이후에 나온", Some(2010), None),
            ("2000년 이전", None, Some(1999)),
            ("before 2000", None, Some(1999)),
            ("before the 80s", None, Some(1979)),
            ("after 1998", Some(1999), None),
            ("since 2018", Some(2018), None),
            ("2000 onwards", Some(2000), None),
            ("newer than 2010", Some(2011), None),
            ("between 1995 and 2005", Some(1995), Some(2005)),
            ("from 1995 to 2005", Some(1995), Some(2005)),
            ("1995-2005", Some(1995), Some(2005)),
            ("2015년부터 2020년 사이에", Some(2015), Some(2020)),
            ("1980년대나 90년대", Some(1980), Some(1999)),
            ("early 2000s", Some(2000), Some(2003)),
            ("late 90s", Some(1996), Some(1999)),
            ("2000년대 초반", Some(2000), Some(2003)),
            ("in 1994", Some(1994), Some(1994)),
            ("1994년에 나온", Some(1994), Some(1994)),
            ("the last 5 years", Some(2021), None),
            ("최근 5년", Some(2021), None),
            ("20세기", Some(1900), Some(1999)),
            ("2010년대 이후", Some(2010), None),
        ] {
            let read = period(&Text::new(message), 0, today).map(|(period, _)| period);
            assert_eq!(read, Some(Period { from, to }), "{message}");
        }
        for message in [
            "90 minutes",
            "90분",
            "7.5",
            "12 monkeys",
            "1234 reasons",
            "from France",
        ] {
            assert_eq!(
                period(&Text::new(message), 0, today).map(|found| found.0),
                None,
                "{message}"
            );
        }
        let short = short_range(&Text::new("80~90년대"), 0, today).map(|found| found.0);
        assert_eq!(short, Some(Period::new(1980, 1999)));
    }
}
