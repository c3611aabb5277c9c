//! The languages that responses can be in, and the choice of one by what the client and the user prefer.

use chassis::{config::comma_separated, language::Language};
use serde::{Deserialize, Deserializer, de};

/// The number of languages that titles are kept in: each costs memory.
const MAX_LANGUAGES: usize = 8;

/// The languages that movies have titles and genres in.
#[derive(Debug, Clone)]
pub struct DisplayLanguages {
    /// The catalogue's own.
    own: Language,
    /// Those that are kept beside it.
    others: Vec<Language>,
}

impl DisplayLanguages {
    /// Chooses the first of `preferences` that is set; the catalogue's own if there is none, or nothing is kept in it.
    pub fn choose(&self, preferences: [Option<Language>; 3]) -> Language {
        let preferred = preferences.into_iter().flatten().next();
        let known = preferred.filter(|language| {
            let mut all = self.others.iter().chain([&self.own]);
            all.any(|known| known.matches(*language))
        });
        known.unwrap_or(self.own)
    }

    /// The languages that are kept beside the catalogue's own, ISO 639-1.
    pub fn others(&self) -> Vec<String> {
        let others = self.others.iter();
        others.map(|other| other.primary().to_owned()).collect()
    }
}

impl<'de> Deserialize<'de> for DisplayLanguages {
    /// Reads languages, separated by commas, the catalogue's own first.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut all: Vec<Language> = Vec::new();
        for tag in comma_separated(deserializer)? {
            let language: Language = tag.parse().map_err(de::Error::custom)?;
            if all.iter().any(|known| known.matches(language)) {
                return Err(de::Error::custom("must name each language once"));
            }
            all.push(language);
        }
        match all.split_first() {
            Some((own, others)) if others.len() <= MAX_LANGUAGES => Ok(Self {
                own: *own,
                others: others.to_vec(),
            }),
            _ => Err(de::Error::custom(format!(
                "must be the catalogue's language and at most {MAX_LANGUAGES} others"
            ))),
        }
    }
}
