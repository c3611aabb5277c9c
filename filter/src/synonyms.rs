//! Other names of TMDB's genres, beside those that the catalogue has: synonyms, and translations into common languages.
//! [`crate::GenreNames`] looks a name up here after those of the catalogue. The table is by TMDB's id, so that a genre is
//! shown by the catalogue's name wherever that is known.

use std::{collections::HashMap, sync::LazyLock};

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

/// TMDB's id of a genre, its English name, and its other names: English, Korean, Japanese, Chinese, German, French,
/// Spanish, Italian, Portuguese, Russian.
type Entry = (i64, &'static str, &'static [&'static str]);

#[rustfmt::skip]
const GENRES: &[Entry] = &[
    (28, "Action", &["actioner", "액션", "アクション", "动作", "動作", "acción", "azione", "ação", "боевик"]),
    (12, "Adventure", &[
        "adventurous", "모험", "어드벤처", "アドベンチャー", "冒険", "冒险", "冒險", "abenteuer", "aventure", "aventura",
        "avventura", "приключения",
    ]),
    (16, "Animation", &[
        "animated", "anime", "cartoon", "애니메이션", "애니", "만화", "만화영화", "アニメーション", "アニメ", "动画", "動畫",
        "zeichentrick", "animación", "animazione", "animação", "мультфильм", "анимация",
    ]),
    (35, "Comedy", &[
        "comedic", "funny", "humor", "humour", "코미디", "코메디", "コメディ", "コメディー", "喜剧", "喜劇", "komödie",
        "comédie", "comedia", "commedia", "комедия",
    ]),
    (80, "Crime", &[
        "criminal", "gangster", "범죄", "크라임", "느와르", "犯罪", "krimi", "crimen", "policier", "criminale", "криминал",
    ]),
    (99, "Documentary", &[
        "docu", "doc", "다큐멘터리", "다큐", "ドキュメンタリー", "纪录", "紀錄", "纪录片", "紀錄片", "dokumentarfilm", "doku",
        "documentaire", "documental", "documentario", "документальный",
    ]),
    (18, "Drama", &["dramatic", "드라마", "ドラマ", "剧情", "劇情", "drame", "драма"]),
    (10751, "Family", &[
        "kids", "children", "children's", "familial", "가족", "패밀리", "어린이", "ファミリー", "家庭", "familie", "familia",
        "famiglia", "семейный",
    ]),
    (14, "Fantasy", &[
        "판타지", "환타지", "ファンタジー", "奇幻", "fantastique", "fantasia", "фэнтези",
    ]),
    (36, "History", &[
        "historical", "historic", "역사", "역사극", "사극", "시대극", "歴史", "历史", "歷史", "historie", "histoire",
        "historique", "historia", "storia", "storico", "история", "исторический",
    ]),
    (27, "Horror", &[
        "scary", "공포", "호러", "ホラー", "恐怖", "horreur", "épouvante", "terror", "orrore", "ужасы",
    ]),
    (10402, "Music", &[
        "musical", "음악", "뮤지컬", "音楽", "ミュージカル", "音乐", "音樂", "musik", "musique", "musica", "музыка",
        "мюзикл",
    ]),
    (9648, "Mystery", &[
        "detective", "whodunit", "미스터리", "미스테리", "추리", "ミステリー", "謎", "悬疑", "懸疑", "mystère", "misterio",
        "mistero", "детектив",
    ]),
    (10749, "Romance", &[
        "romantic", "love", "love story", "로맨스", "로맨틱", "멜로", "연애", "사랑", "ロマンス", "恋愛", "爱情", "愛情",
        "liebesfilm", "liebe", "romántica", "romantico", "мелодрама",
    ]),
    (878, "Science Fiction", &[
        "sf", "sci-fi", "syfy", "공상과학", "에스에프", "사이언스 픽션", "サイエンスフィクション", "科幻", "ciencia ficción",
        "fantascienza", "ficção científica", "фантастика", "научная фантастика",
    ]),
    (10770, "TV Movie", &[
        "tv", "tv film", "television movie", "made for tv", "TV 영화", "티비 영화", "テレビ映画", "电视电影",
        "電視電影", "fernsehfilm", "téléfilm", "película de tv", "film per la tv", "cinema tv", "телевизионный фильм",
    ]),
    (53, "Thriller", &[
        "suspense", "suspenseful", "스릴러", "쓰릴러", "スリラー", "サスペンス", "惊悚", "驚悚", "триллер",
    ]),
    (10752, "War", &[
        "military", "전쟁", "戦争", "战争", "戰爭", "kriegsfilm", "krieg", "guerre", "bélica", "guerra", "военный",
    ]),
    (37, "Western", &[
        "cowboy", "서부", "서부극", "웨스턴", "西部劇", "西部", "faroeste", "вестерн",
    ]),
];

/// Names of two genres together.
#[rustfmt::skip]
const COMPOUNDS: &[(&[i64], &[&str])] = &[
    (&[10749, 35], &[
        "romcom", "romantic comedy", "로맨틱 코미디", "로코", "ラブコメ", "ラブコメディ", "comédie romantique",
        "comedia romántica", "commedia romantica", "романтическая комедия",
    ]),
    (&[18, 35], &["dramedy", "tragicomedy", "희비극"]),
];

/// Words for a movie or a genre, which say nothing beside the name of one.
const NOUNS: [&str; 8] = [
    "movie", "movies", "film", "films", "genre", "영화", "장르", "물",
];

/// The ids by [`key`].
static BY_KEY: LazyLock<HashMap<String, Vec<i64>>> = LazyLock::new(|| {
    let mut ids = HashMap::new();
    for (id, name, others) in GENRES {
        for name in std::iter::once(name).chain(*others) {
            ids.insert(key(name), vec![*id]);
        }
    }
    for (both, names) in COMPOUNDS {
        ids.extend(names.iter().map(|name| (key(name), both.to_vec())));
    }
    ids
});

/// The letters and digits of `name`, by which names of genres are compared: in lower case and without accents, blanks
/// and punctuation, so that `Sci-Fi`, `SciFi` and `sci fi` are one.
pub(crate) fn key(name: &str) -> String {
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(name);
    let plain: String = decomposed
        .chars()
        .filter(|letter| !('\u{300}'..='\u{36f}').contains(letter))
        .collect();
    ComposingNormalizerBorrowed::new_nfc()
        .normalize(&plain)
        .to_lowercase()
        .chars()
        .filter(|letter| letter.is_alphanumeric())
        .collect()
}

/// The keys by which `key` may be known: itself, without a noun such as `movies`, and in the singular.
pub(crate) fn variants(key: &str) -> impl Iterator<Item = String> {
    let bare = NOUNS.iter().filter_map(|noun| key.strip_suffix(noun));
    let mut all: Vec<String> = std::iter::once(key)
        .chain(bare)
        .map(str::to_owned)
        .collect();
    for number in 0..all.len() {
        if let Some(stem) = all[number].strip_suffix("ies") {
            all.push(format!("{stem}y"));
        }
        if let Some(stem) = all[number].strip_suffix('s') {
            all.push(stem.to_owned());
        }
    }
    all.into_iter().filter(|key| !key.is_empty())
}

/// The genres of the table with this [`key`], all of which are meant.
pub(crate) fn find(key: &str) -> Option<&'static [i64]> {
    BY_KEY.get(key).map(Vec::as_slice)
}

/// The English name of genre `id`.
pub(crate) fn name(id: i64) -> Option<&'static str> {
    let genre = GENRES.iter().find(|(known, ..)| *known == id);
    genre.map(|(_, name, _)| *name)
}

/// The keys of all names, with the genre of each; compounds are left out.
pub(crate) fn keys<'a>() -> impl Iterator<Item = (&'a str, i64)> {
    BY_KEY.iter().filter_map(|(key, ids)| match ids[..] {
        [id] => Some((key.as_str(), id)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_means_two_things() {
        let mut seen: HashMap<String, &str> = HashMap::new();
        let names = GENRES
            .iter()
            .flat_map(|(_, own, others)| others.iter().chain([own]));
        for name in names.chain(COMPOUNDS.iter().flat_map(|(_, names)| *names)) {
            let before = seen.insert(key(name), name);
            assert!(before.is_none(), "{name} and {before:?}");
            assert!(!key(name).is_empty(), "{name}");
        }
    }
}
