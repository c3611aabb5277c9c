//! The display language of a response.

use chassis::language::{ContentLanguage, Language};

use crate::state::AppState;

/// The `requested` language; `None` if it is the catalogue's own, so that both share cached responses.
pub(super) fn display(state: &AppState, requested: Option<Language>) -> Option<Language> {
    let own = state.language;
    requested.filter(|language| {
        let is_own = language.matches(own) && language.region().is_none();
        !is_own && *language != own
    })
}

/// The language of texts, of which some are in `used`: it, else the catalogue's own.
pub(super) fn content(state: &AppState, used: Option<Language>) -> Language {
    used.unwrap_or(state.language)
}

/// The header fields of a response of which some texts are in `used`.
pub(super) fn headers(state: &AppState, used: Option<Language>) -> ContentLanguage {
    ContentLanguage(content(state, used))
}
