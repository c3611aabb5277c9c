//! TMDB's images.

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderName, header},
    response::IntoResponse,
};
use chassis::extract::Path;

use super::error::{ApiError, ImageInvalid, ImageNotFound, ImagesUnavailable};
use crate::{models::ImageKey, service::images::ImageError, state::AppState};

/// An SVG that is opened by itself must not run scripts in this origin.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// Get an image
///
/// A poster or backdrop of a movie, or the logo of a watch provider, from this server: the last part of `poster_url` in one of
/// TMDB's sizes. Fetched when it is first requested and kept on disk within a bound. Images that no movie of the catalogue has are
/// not found. Needs no token and does not count against the rate limit.
#[utoipa::path(
    get,
    path = "/images/{size}/{name}",
    tag = "movies",
    security(()),
    params(
        ("size" = String, Path, description = "TMDB's name of a size", example = "w342",
            pattern = "^(w45|w92|w154|w185|w300|w342|w500|w780|w1280|h632|original)$"),
        ("name" = String, Path, description = "TMDB's name of the image", example = "f89U3ADr1oiB1s9GkdPOEpXUk5H.jpg",
            pattern = r"^[A-Za-z0-9]+\.(jpg|png|svg)$"),
    ),
    responses(
        (status = 200, description = "the image", content(
            (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/png"), (Vec<u8> = "image/svg+xml")), headers(
            ("ETag" = String, description = "the entity tag"))),
        (status = 304, description = "unchanged since `If-None-Match`"),
        ImageNotFound,
        ImageInvalid,
        ImagesUnavailable,
    )
)]
pub(super) async fn get_image(
    State(state): State<AppState>,
    Path((size, name)): Path<(String, String)>,
) -> Result<impl IntoResponse, ApiError> {
    let key = ImageKey::parse(&size, &name);
    let key = key.ok_or_else(|| ApiError::Image(ImageError::NotFound.into()))?;
    let body: Bytes = state.images.get(&key).await?;
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, key.format().media_type()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    Ok((headers, body))
}
