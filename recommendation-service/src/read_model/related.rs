//! The collection of a movie and the movies that TMDB recommends beside it, as a string of bytes: most movies of a
//! large catalogue have neither. [`super::catalogue`] keeps one for each row.

use crate::read_model::Film;

/// The bytes of an id. TMDB's ids of today have seven digits.
const ID_BYTES: usize = 4;

/// The collection of a movie, then the movies that TMDB recommends beside it, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Related<'a>(&'a [[u8; ID_BYTES]]);

impl<'a> Related<'a> {
    /// Encodes the movies that `film` is related to, for [`Related::decode`]; empty if there is nothing. Ids that do not fit are left out.
    pub fn encode(film: &Film) -> Vec<u8> {
        let fitting = |id: i64| u32::try_from(id).ok().filter(|id| *id > 0);
        let collection = film.collection_id.and_then(fitting);
        let recommended = film.recommended.iter().copied().filter_map(fitting);
        let mut ids: Vec<u32> = vec![collection.unwrap_or_default()];
        ids.extend(recommended);
        if ids == [0] {
            return Vec::new();
        }
        ids.into_iter().flat_map(u32::to_le_bytes).collect()
    }

    /// Reads what [`Related::encode`] wrote.
    pub fn decode(bytes: &'a [u8]) -> Self {
        Self(bytes.as_chunks().0)
    }

    /// TMDB's id of the collection.
    pub fn collection(&self) -> Option<u32> {
        let first = self.0.first().copied().map(u32::from_le_bytes);
        first.filter(|id| *id > 0)
    }

    /// TMDB's ids of the movies that it recommends, the best first.
    pub fn recommended(&self) -> impl Iterator<Item = i64> {
        let ids = self.0.iter().skip(1).copied();
        ids.map(|bytes| i64::from(u32::from_le_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn related_movies_are_read_as_they_were_written() {
        let read = |collection_id, recommended: &[i64]| {
            let film = Film {
                collection_id,
                recommended: recommended.to_vec(),
                ..Film::default()
            };
            let bytes = Related::encode(&film);
            let related = Related::decode(&bytes);
            let recommended: Vec<i64> = related.recommended().collect();
            (bytes.len(), related.collection(), recommended)
        };
        assert_eq!(read(None, &[]), (0, None, vec![]));
        assert_eq!(read(Some(10), &[]), (4, Some(10), vec![]));
        assert_eq!(read(None, &[5, -1, 7]), (12, None, vec![5, 7]));
        assert_eq!(read(Some(1 << 40), &[5]), (8, None, vec![5]));
    }
}
