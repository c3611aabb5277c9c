//! TMDB's query parameters. Unknown ones are ignored, as TMDB does.

use std::convert::Infallible;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;

use super::error::TmdbError;
use crate::catalogue::{Language, Query, parse};

/// TMDB's last page, however many results there are.
pub(super) const LAST_PAGE: usize = 500;

/// The query of a request, decoded.
#[derive(Debug)]
pub(super) struct Params(pub(super) Query);

impl Params {
    pub(super) fn of(uri: &Uri) -> Self {
        let query = url::form_urlencoded::parse(uri.query().unwrap_or("").as_bytes());
        Self(query.into_owned().collect())
    }

    /// The value of a parameter; the last one if it is repeated.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// `page`, 1 to 500.
    ///
    /// # Errors
    /// TMDB's code 22 for anything else.
    pub(super) fn page(&self) -> Result<usize, TmdbError> {
        match self.get("page").map_or(Ok(1), str::parse) {
            Ok(page @ 1..=LAST_PAGE) => Ok(page),
            _ => Err(TmdbError::InvalidPage),
        }
    }

    /// `language`.
    pub(super) fn language(&self) -> Language<'_> {
        Language::parse(self.get("language"))
    }

    /// A parameter that is a number or the like.
    ///
    /// # Errors
    /// TMDB's code 5 if it does not parse.
    pub(super) fn parse<T: FromStr>(&self, name: &str) -> Result<Option<T>, TmdbError> {
        Ok(parse(&self.0, name)?)
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.uri))
    }
}
