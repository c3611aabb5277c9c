//! Requests to movie-service; called by services only, which decide what a response means for the
//! user's request. Its feed is followed by `chassis::feed`.

pub mod oidc;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    http::{Method, StatusCode},
};
use chassis::{
    client::{CallError, Client},
    language::Language,
    problem::FieldError,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    error::Error,
    models::{MovieCandidate, MovieId, UnmatchedReason},
};

/// The time limit of matching, which includes requests to TMDB.
const MATCH_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of movie-service.
#[derive(Clone)]
pub struct MovieService {
    client: Client,
    timeout: Duration,
}

impl MovieService {
    /// The service behind `client`, with the time limit of a request.
    pub fn new(client: Client, timeout: Duration) -> Self {
        Self { client, timeout }
    }

    /// Returns true if the catalogue has the movie.
    #[tracing::instrument(name = "client.movies.has", level = "debug", skip_all, fields(movie_id = %id))]
    pub async fn has_movie(&self, id: MovieId) -> Result<bool, CallError> {
        let path = format!("/api/v1/movies/{id}");
        let response = self.client.get(&path, self.timeout).send().await;
        let response = response.map_err(|error| self.client.unreachable(error))?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            status => Err(self.unexpected(status)),
        }
    }

    /// Selects the first `limit` movies of `ids`, in that order, that exist and pass `filter`, with texts in `language`
    /// where they are known.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the filter is invalid, [`Error::Catalogue`] if the call fails.
    #[tracing::instrument(name = "client.movies.select", level = "debug", skip_all)]
    pub async fn select(
        &self,
        ids: &[i64],
        limit: usize,
        filter: &[(&'static str, String)],
        language: Option<Language>,
    ) -> Result<Selection, Error> {
        #[derive(Serialize)]
        struct SelectRequest<'a> {
            ids: &'a [i64],
            limit: usize,
            filter: BTreeMap<&'static str, &'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            language: Option<Language>,
        }
        #[derive(Deserialize)]
        struct SelectResponse {
            data: Vec<Box<RawValue>>,
            language: Option<Language>,
        }
        #[derive(Deserialize)]
        struct Id {
            id: i64,
        }
        #[derive(Deserialize)]
        struct Refusal {
            errors: Vec<FieldError>,
        }
        let filter = filter.iter().map(|(name, value)| (*name, value.as_str()));
        let request = SelectRequest {
            ids,
            limit,
            filter: filter.collect(),
            language,
        };
        let path = "/internal/v1/movies/select";
        let (status, body) = self.post(path, &request, self.timeout).await?;
        match status {
            StatusCode::OK => {
                let response: SelectResponse = self.parse(&body)?;
                let movies = response.data.into_iter().map(|movie| {
                    let Id { id } = self.parse(movie.get().as_bytes())?;
                    Ok::<_, CallError>((id, Arc::from(movie)))
                });
                Ok(Selection {
                    movies: movies.collect::<Result<_, _>>()?,
                    language: response.language,
                })
            }
            StatusCode::BAD_REQUEST => {
                let refusal: Refusal = self.parse(&body)?;
                Err(Error::Invalid(refusal.errors))
            }
            status => Err(self.unexpected(status).into()),
        }
    }

    /// Matches `films` with movies of the catalogue; at most `fetch` that it does not have are requested
    /// from TMDB.
    #[tracing::instrument(name = "client.movies.match", level = "debug", skip_all)]
    pub async fn match_films(
        &self,
        films: &[WantedFilm<'_>],
        fetch: usize,
    ) -> Result<FilmMatches, CallError> {
        #[derive(Serialize)]
        struct MatchRequest<'a> {
            movies: &'a [WantedFilm<'a>],
            fetch: usize,
        }
        let request = MatchRequest {
            movies: films,
            fetch,
        };
        let path = "/internal/v1/movies/match";
        let (status, body) = self.post(path, &request, MATCH_TIMEOUT).await?;
        if status != StatusCode::OK {
            return Err(self.unexpected(status));
        }
        let response: FilmMatches = self.parse(&body)?;
        if response.matches.len() != films.len() {
            return Err(CallError::Unreadable {
                service: self.client.service(),
                reason: "the number of matches differs from the request".to_owned(),
            });
        }
        Ok(response)
    }

    async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        timeout: Duration,
    ) -> Result<(StatusCode, Bytes), CallError> {
        let request = self.client.request(Method::POST, path, timeout).json(body);
        let response = async {
            let response = request.send().await?;
            Ok((response.status(), response.bytes().await?))
        };
        response
            .await
            .map_err(|error| self.client.unreachable(error))
    }

    fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, CallError> {
        serde_json::from_slice(body).map_err(|error| CallError::Unreadable {
            service: self.client.service(),
            reason: error.to_string(),
        })
    }

    fn unexpected(&self, status: StatusCode) -> CallError {
        CallError::Status {
            service: self.client.service(),
            status: status.as_u16(),
        }
    }
}

/// Selected movies.
#[derive(Debug, Default)]
pub struct Selection {
    /// Each as JSON, with its id.
    pub movies: Vec<(i64, Arc<RawValue>)>,
    /// The language of their texts, if movie-service states it.
    pub language: Option<Language>,
}

/// A movie to be matched, with what is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WantedFilm<'a> {
    /// The TMDB id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmdb_id: Option<MovieId>,
    /// The IMDb id, `tt…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imdb_id: Option<&'a str>,
    /// The title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    /// The year of its release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub year: Option<i32>,
}

/// The result of matching one movie.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum FilmMatch {
    /// A movie.
    Found {
        /// Its id.
        id: MovieId,
    },
    /// No movie, or not exactly one.
    Missing {
        /// The reason.
        unmatched: UnmatchedReason,
        /// The movies that it may be.
        #[serde(default)]
        candidates: Vec<MovieCandidate>,
    },
}

/// The result of matching.
#[derive(Debug, Deserialize)]
pub struct FilmMatches {
    /// One match per requested movie, in order.
    pub matches: Vec<FilmMatch>,
    /// The number of requests to TMDB.
    pub fetched: usize,
}
