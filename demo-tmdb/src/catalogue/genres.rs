//! TMDB's nineteen film genres, with TMDB's own ids, in English and in Korean.

/// Id, English name, Korean name, in the order in which TMDB lists them.
pub(crate) const GENRES: [(u32, &str, &str); 19] = [
    (28, "Action", "액션"),
    (12, "Adventure", "모험"),
    (16, "Animation", "애니메이션"),
    (35, "Comedy", "코미디"),
    (80, "Crime", "범죄"),
    (99, "Documentary", "다큐멘터리"),
    (18, "Drama", "드라마"),
    (10751, "Family", "가족"),
    (14, "Fantasy", "판타지"),
    (36, "History", "역사"),
    (27, "Horror", "공포"),
    (10402, "Music", "음악"),
    (9648, "Mystery", "미스터리"),
    (10749, "Romance", "로맨스"),
    (878, "Science Fiction", "SF"),
    (10770, "TV Movie", "TV 영화"),
    (53, "Thriller", "스릴러"),
    (10752, "War", "전쟁"),
    (37, "Western", "서부"),
];

/// The name of a genre, empty for an unknown id.
pub(crate) fn genre_name(id: u32, korean: bool) -> &'static str {
    GENRES
        .iter()
        .find(|genre| genre.0 == id)
        .map_or("", |genre| if korean { genre.2 } else { genre.1 })
}

pub(crate) fn is_genre(id: u32) -> bool {
    GENRES.iter().any(|genre| genre.0 == id)
}
