//! The names of images at TMDB's image host.

/// The sizes that TMDB serves for posters, backdrops, profiles, logos and stills.
const SIZES: [&str; 11] = [
    "w45", "w92", "w154", "w185", "w300", "w342", "w500", "w780", "w1280", "h632", "original",
];
/// TMDB's names have 27 letters and digits.
const MAX_NAME: usize = 64;

/// The format of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageFormat {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// SVG, for logos.
    Svg,
}

impl ImageFormat {
    fn of_extension(extension: &str) -> Option<Self> {
        match extension {
            "jpg" => Some(Self::Jpeg),
            "png" => Some(Self::Png),
            "svg" => Some(Self::Svg),
            _ => None,
        }
    }

    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Svg => "image/svg+xml",
        }
    }

    /// True if `body` starts as a file of this format does.
    #[must_use]
    pub fn matches(self, body: &[u8]) -> bool {
        match self {
            Self::Jpeg => body.starts_with(&[0xff, 0xd8, 0xff]),
            Self::Png => body.starts_with(b"\x89PNG\r\n\x1a\n"),
            Self::Svg => {
                let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
                let body = body.trim_ascii_start();
                body.starts_with(b"<?xml") || body.starts_with(b"<svg") || body.starts_with(b"<!--")
            }
        }
    }
}

/// An image in one of TMDB's sizes. Both parts are safe in a path and in a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageKey {
    size: &'static str,
    name: String,
    format: ImageFormat,
}

impl ImageKey {
    /// Reads a size such as `w342` and a name of letters and digits with the ending `jpg`, `png` or `svg`; `None` if
    /// one is something else.
    #[must_use]
    pub fn parse(size: &str, name: &str) -> Option<Self> {
        let size = SIZES.into_iter().find(|known| *known == size)?;
        let (stem, extension) = name.split_once('.')?;
        let is_plain = !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let format = ImageFormat::of_extension(extension)?;
        (is_plain && name.len() <= MAX_NAME).then(|| Self {
            size,
            name: name.to_owned(),
            format,
        })
    }

    /// The size.
    #[must_use]
    pub fn size(&self) -> &'static str {
        self.size
    }

    /// The name with its ending.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The format, by the ending.
    #[must_use]
    pub fn format(&self) -> ImageFormat {
        self.format
    }

    /// All sizes.
    #[must_use]
    pub fn sizes() -> [&'static str; 11] {
        SIZES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_in_known_sizes_are_images() {
        for (size, name, is_image) in [
            ("w342", "f89U3ADr1oiB1s9GkdPOEpXUk5H.jpg", true),
            ("original", "a.svg", true),
            ("h632", "0.png", true),
            ("w341", "a.jpg", false),
            ("..", "a.jpg", false),
            ("w342", "../a.jpg", false),
            ("w342", "..", false),
            ("w342", ".jpg", false),
            ("w342", "a.jpg.png", false),
            ("w342", "a.gif", false),
            ("w342", "a.jpg\0", false),
            ("w342", "a/b.jpg", false),
            ("w342", "ä.jpg", false),
        ] {
            assert_eq!(
                ImageKey::parse(size, name).is_some(),
                is_image,
                "{size}/{name}"
            );
        }
    }
}
