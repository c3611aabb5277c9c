//! Questions to other services. Following their feeds is `chassis`'s; what an answer means for a
//! request is decided in [`crate::service`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::http::{Method, StatusCode};
use chassis::{
    client::{CallError, Client},
    problem::FieldError,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::models::MovieId;

/// movie-service, asked about films.
#[derive(Clone)]
pub struct MovieService {
    client: Client,
    limit: Duration,
}

impl MovieService {
    /// The service behind `client`, which must answer within `limit`.
    #[must_use]
    pub fn new(client: Client, limit: Duration) -> Self {
        Self { client, limit }
    }

    /// Whether it knows the film.
    ///
    /// # Errors
    /// It cannot be reached in time, or answers neither yes nor no.
    pub async fn has_movie(&self, id: MovieId) -> Result<bool, CallError> {
        let response = self
            .client
            .get(&format!("/api/v1/movies/{id}"), self.limit)
            .send()
            .await
            .map_err(|error| self.client.unreachable(error))?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            status => Err(CallError::Status {
                service: self.client.service(),
                status: status.as_u16(),
            }),
        }
    }

    /// The first `limit` films of `ids`, in their order, that are in the catalogue and pass `filter`,
    /// each with its id.
    ///
    /// # Errors
    /// It cannot be reached in time, or answers something else.
    pub async fn select(
        &self,
        ids: &[i64],
        limit: usize,
        filter: &[(&'static str, String)],
    ) -> Result<Selected, CallError> {
        let question = SelectRequest {
            ids,
            limit,
            filter: filter
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect(),
        };
        let response = self
            .client
            .request(Method::POST, "/internal/v1/movies/select", self.limit)
            .json(&question)
            .send()
            .await
            .map_err(|error| self.client.unreachable(error))?;
        let status = response.status();
        let body = response
            .bytes()
            .await
            .map_err(|error| self.client.unreachable(error))?;
        let unreadable = |error: serde_json::Error| CallError::Unreadable {
            service: self.client.service(),
            reason: error.to_string(),
        };
        match status {
            StatusCode::OK => {
                let films: Films = serde_json::from_slice(&body).map_err(unreadable)?;
                let films = films.data.into_iter().map(|film| {
                    let id: FilmId = serde_json::from_str(film.get()).map_err(unreadable)?;
                    Ok((id.id, Arc::from(film)))
                });
                films.collect::<Result<_, _>>().map(Selected::Movies)
            }
            StatusCode::BAD_REQUEST => {
                let refused: Refused = serde_json::from_slice(&body).map_err(unreadable)?;
                let errors = refused.errors.into_iter();
                Ok(Selected::Invalid(
                    errors
                        .map(|wrong| FieldError::new(wrong.field, wrong.message))
                        .collect(),
                ))
            }
            status => Err(CallError::Status {
                service: self.client.service(),
                status: status.as_u16(),
            }),
        }
    }

    /// Which films of the catalogue `films` are; at most `fetch` that it does not have yet are looked for
    /// at TMDB.
    ///
    /// # Errors
    /// It cannot be reached in time, or answers something else.
    pub async fn match_films(
        &self,
        films: &[WantedFilm<'_>],
        fetch: usize,
    ) -> Result<FilmMatches, CallError> {
        let response = self
            .client
            .request(Method::POST, "/internal/v1/movies/match", MATCH_LIMIT)
            .json(&MatchRequest {
                movies: films,
                fetch,
            })
            .send()
            .await
            .map_err(|error| self.client.unreachable(error))?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(CallError::Status {
                service: self.client.service(),
                status: status.as_u16(),
            });
        }
        let body = response
            .bytes()
            .await
            .map_err(|error| self.client.unreachable(error))?;
        let unreadable = |reason| CallError::Unreadable {
            service: self.client.service(),
            reason,
        };
        let found: FilmMatches =
            serde_json::from_slice(&body).map_err(|error| unreadable(error.to_string()))?;
        if found.matches.len() != films.len() {
            return Err(unreadable("it is not one answer for each film".to_owned()));
        }
        Ok(found)
    }
}

/// How long movie-service may take to find films, and to fetch some of them.
const MATCH_LIMIT: Duration = Duration::from_secs(10);

/// What is known of a film that is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WantedFilm<'a> {
    /// TMDB's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmdb_id: Option<MovieId>,
    /// IMDb's id, `tt…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imdb_id: Option<&'a str>,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    /// The year of its release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub year: Option<i32>,
}

/// Which film is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilmMatch {
    /// This one.
    Id(MovieId),
    /// None of the catalogue.
    Unmatched(Unmatched),
}

/// Why no film is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmatched {
    /// There is none.
    Unknown,
    /// There are several.
    Ambiguous,
    /// TMDB was not asked for it yet.
    Deferred,
}

/// Which films are meant.
#[derive(Debug, Deserialize)]
pub struct FilmMatches {
    /// In the order of the question.
    pub matches: Vec<FilmMatch>,
    /// How many were looked for at TMDB.
    pub fetched: usize,
}

#[derive(Serialize)]
struct MatchRequest<'a> {
    movies: &'a [WantedFilm<'a>],
    fetch: usize,
}

/// What movie-service said of a selection.
#[derive(Debug)]
pub enum Selected {
    /// The films, each with its id.
    Movies(Vec<(i64, Arc<RawValue>)>),
    /// The filter is wrong.
    Invalid(Vec<FieldError>),
}

#[derive(Serialize)]
struct SelectRequest<'a> {
    ids: &'a [i64],
    limit: usize,
    filter: BTreeMap<&'static str, &'a str>,
}

#[derive(Deserialize)]
struct Films {
    data: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct FilmId {
    id: i64,
}

#[derive(Deserialize)]
struct Refused {
    errors: Vec<Wrong>,
}

#[derive(Deserialize)]
struct Wrong {
    field: String,
    message: String,
}
