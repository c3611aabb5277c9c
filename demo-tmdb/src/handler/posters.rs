//! The posters of the image host: a PNG of two colours that follow from the movie's id.

use std::io::{self, Write as _};

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::{Compression, Crc, write::ZlibEncoder};

use crate::catalogue::stable_number;
use crate::state::SharedState;

/// Larger widths are drawn in this one.
const MAX_WIDTH: u32 = 500;

/// A poster in a size such as `w342`; a 404 in plain text, as the image host sends it, for any other path.
pub(super) async fn get_poster(
    State(state): SharedState,
    Path((size, name)): Path<(String, String)>,
) -> Response {
    let id = name.strip_prefix("poster");
    let id = id.and_then(|rest| rest.strip_suffix(".png")?.parse().ok());
    let is_there = id.is_some_and(|id| {
        let catalogue = state.catalogue();
        let film = catalogue.find(id);
        film.is_some_and(|film| catalogue.poster_path(film).is_some())
    });
    let (Some(id), true) = (id, is_there) else {
        return (StatusCode::NOT_FOUND, "File Not Found").into_response();
    };
    let width = size.strip_prefix('w').and_then(|width| width.parse().ok());
    let width = width.unwrap_or(MAX_WIDTH).clamp(1, MAX_WIDTH);
    match draw(id, width) {
        Ok(png) => ([(header::CONTENT_TYPE, "image/png")], png).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Draws a gradient, three by two.
fn draw(id: i64, width: u32) -> io::Result<Vec<u8>> {
    let height = width * 3 / 2;
    let hue = |salt: u64| -> [u8; 3] {
        std::array::from_fn(|channel| (stable_number(id, salt + channel as u64) % 200) as u8)
    };
    let (top, bottom) = (hue(100), hue(200));
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::fast());
    for y in 0..height {
        let mix = |channel: usize| {
            let (from, to) = (u32::from(top[channel]), u32::from(bottom[channel]));
            ((from * (height - y) + to * y) / height) as u8
        };
        let pixel = [mix(0), mix(1), mix(2)];
        // Each line opens with its filter: none.
        pixels.write_all(&[0])?;
        pixels.write_all(&pixel.repeat(width as usize))?;
    }
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    // Eight bits a channel, red, green and blue, not interlaced.
    let header = [
        &width.to_be_bytes()[..],
        &height.to_be_bytes(),
        &[8, 2, 0, 0, 0],
    ]
    .concat();
    chunk(&mut png, *b"IHDR", &header);
    chunk(&mut png, *b"IDAT", &pixels.finish()?);
    chunk(&mut png, *b"IEND", &[]);
    Ok(png)
}

fn chunk(png: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    let mut crc = Crc::new();
    crc.update(&kind);
    crc.update(data);
    png.extend((data.len() as u32).to_be_bytes());
    png.extend(kind);
    png.extend(data);
    png.extend(crc.sum().to_be_bytes());
}
