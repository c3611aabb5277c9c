//! The reasons for recommending a movie: kinds with parameters, which are put into words in the language of a response.
//! Made by ranking and the rules, put into words by handlers.

mod korean;
pub mod particle;

use serde::{Deserialize, Serialize};

/// A reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The user's action on a movie that adds much to the score.
    Because {
        /// The action.
        action: Action,
        /// TMDB's id of the movie.
        movie: i64,
    },
    /// The user's action on the movie that adds the most, but little, to the score.
    AmongOthers {
        /// The action.
        action: Action,
        /// TMDB's id of the movie.
        movie: i64,
    },
    /// The tastes that the user edited.
    StatedTaste,
    /// The movie is on the user's watchlist.
    OnWatchlist,
    /// Popular among all users.
    PopularNow,
    /// Similar to movies that the user likes.
    LikeLiked,
    /// The rule of popularity.
    HighlyPopular,
    /// The rule of recency.
    RecentlyReleased,
    /// The rule of genre match.
    PreferredGenres,
    /// Common users of two movies.
    SameAudience,
    /// A common director of two movies, by TMDB's id.
    SameDirector(i64),
    /// A common leading actor of two movies, by TMDB's id.
    SameActor(i64),
    /// Common keywords of two movies, by TMDB's ids.
    SameKeywords {
        /// The rarest.
        first: i64,
        /// Another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        second: Option<i64>,
    },
    /// A common genre of two movies, by TMDB's id.
    SameGenre(i64),
    /// The common language of two movies.
    SameLanguage,
    /// None that has words of its own.
    Similar,
    /// Of a list for a group: all members like it.
    ForAll,
    /// Of a list for a group: some members like it less.
    Compromise,
    /// None that has words of its own.
    Recommended,
}

/// An action of the user on a movie of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Superliked it.
    Loved,
    /// Liked it.
    Liked,
    /// Rated it highly.
    Rated,
    /// Watched it to the end.
    Watched,
    /// Bookmarked it.
    Bookmarked,
    /// Watched a part of it.
    Begun,
}

/// The names that reasons contain, in the language of a response.
pub trait Names {
    /// The title of movie `id`; `None` if it is unknown.
    fn title(&self, id: i64) -> Option<&str>;
    /// The name of genre `id`; `None` if it is unknown.
    fn genre(&self, id: i64) -> Option<&str>;
    /// The name of person `id`; `None` if it is unknown.
    fn person(&self, id: i64) -> Option<&str>;
    /// The name of keyword `id`; `None` if it is unknown.
    fn keyword(&self, id: i64) -> Option<&str>;
}

impl Reason {
    /// `reasons` in the words of `language`, ISO 639-1; reasons about unknown movies, people and keywords are left out, and
    /// so is the placeholder beside any other.
    pub fn text(reasons: &[Self], language: &str, names: &impl Names) -> String {
        match language {
            "ko" => korean::text(reasons, names),
            _ => english(reasons, names),
        }
    }
}

impl Action {
    fn english(self) -> &'static str {
        match self {
            Self::Loved => "because you love ",
            Self::Liked => "because you liked ",
            Self::Rated => "because you rated highly ",
            Self::Watched => "because you watched ",
            Self::Bookmarked => "because you want to watch ",
            Self::Begun => "because you watched some of ",
        }
    }
}

fn english(reasons: &[Reason], names: &impl Names) -> String {
    // Most texts fit, without a second allocation.
    let mut text = String::with_capacity(64);
    for reason in reasons {
        let start = text.len();
        if start > 0 {
            text.push_str(", ");
        }
        if write_english(&mut text, *reason, names).is_none() {
            text.truncate(start);
        }
    }
    if text.is_empty() {
        text.push_str("recommended for you");
    }
    text
}

/// Appends the words about `reason`; `None` if there are none.
fn write_english(text: &mut String, reason: Reason, names: &impl Names) -> Option<()> {
    let mut push = |parts: &[&str]| {
        parts.iter().for_each(|part| text.push_str(part));
        Some(())
    };
    let words = match reason {
        Reason::Because { action, movie } => {
            return push(&[action.english(), names.title(movie)?]);
        }
        Reason::AmongOthers { action, movie } => {
            return push(&[action.english(), names.title(movie)?, ", among others"]);
        }
        Reason::SameDirector(person) => {
            return push(&["also directed by ", names.person(person)?]);
        }
        Reason::SameActor(person) => return push(&["also with ", names.person(person)?]),
        Reason::SameKeywords { first, second } => {
            push(&["also about ", names.keyword(first)?]);
            if let Some(second) = second.and_then(|second| names.keyword(second)) {
                push(&[" and ", second]);
            }
            return Some(());
        }
        Reason::SameGenre(genre) => {
            let name = names.genre(genre)?;
            return push(&["also ", english_genre(name).unwrap_or(name)]);
        }
        Reason::StatedTaste => "fits the taste you described",
        Reason::OnWatchlist => "on your watchlist",
        Reason::PopularNow => "popular now",
        Reason::LikeLiked => "like films you like",
        Reason::HighlyPopular => "highly popular",
        Reason::RecentlyReleased => "recently released",
        Reason::PreferredGenres => "matches your preferred genres",
        Reason::SameAudience => "who likes one likes the other",
        Reason::SameLanguage => "in the same language",
        Reason::Similar => "like it",
        Reason::ForAll => "something for all of you",
        Reason::Compromise => "a good compromise",
        // The placeholder, which is written where there is no other reason.
        Reason::Recommended => return None,
    };
    push(&[words])
}

/// A movie of the genre with this English name, as a noun.
fn english_genre(name: &str) -> Option<&'static str> {
    Some(match name {
        "Action" => "an action film",
        "Adventure" => "an adventure",
        "Animation" => "an animated film",
        "Comedy" => "a comedy",
        "Crime" => "a crime film",
        "Documentary" => "a documentary",
        "Drama" => "a drama",
        "Family" => "a family film",
        "Fantasy" => "a fantasy",
        "History" => "a historical film",
        "Horror" => "a horror film",
        "Music" => "a film about music",
        "Mystery" => "a mystery",
        "Romance" => "a romance",
        "Science Fiction" => "science fiction",
        "TV Movie" => "made for television",
        "Thriller" => "a thriller",
        "War" => "a war film",
        "Western" => "a western",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Korean;

    impl Names for Korean {
        fn title(&self, id: i64) -> Option<&str> {
            [(1, "기생충"), (2, "올드보이"), (3, "Jaws")]
                .into_iter()
                .find_map(|(known, title)| (known == id).then_some(title))
        }

        fn genre(&self, id: i64) -> Option<&str> {
            [(53, "스릴러"), (878, "SF"), (10402, "뮤지컬")]
                .into_iter()
                .find_map(|(known, name)| (known == id).then_some(name))
        }

        fn person(&self, id: i64) -> Option<&str> {
            ["봉준호", "Tom Hanks"]
                .get(usize::try_from(id - 1).ok()?)
                .copied()
        }

        fn keyword(&self, id: i64) -> Option<&str> {
            ["dream", "꿈"].get(usize::try_from(id - 1).ok()?).copied()
        }
    }

    #[test]
    fn reasons_have_words_in_english_and_korean() {
        use Reason::*;
        let because = |action, movie| Because { action, movie };
        let among = |action, movie| AmongOthers { action, movie };
        for (reasons, english, korean) in [
            (
                vec![HighlyPopular, PreferredGenres],
                "highly popular, matches your preferred genres",
                "인기가 매우 높고, 선호하는 장르와 일치합니다",
            ),
            (
                vec![HighlyPopular, RecentlyReleased, PreferredGenres],
                "highly popular, recently released, matches your preferred genres",
                "인기가 매우 높고, 최근에 개봉했고, 선호하는 장르와 일치합니다",
            ),
            (
                vec![because(Action::Liked, 1), PopularNow],
                "because you liked 기생충, popular now",
                "〈기생충〉을 좋아하셔서 추천하며, 요즘 인기가 많습니다",
            ),
            (
                vec![because(Action::Loved, 2), StatedTaste, Recommended],
                "because you love 올드보이, fits the taste you described",
                "〈올드보이〉를 무척 좋아하셔서 추천하며, 직접 알려 주신 취향에 맞습니다",
            ),
            (
                vec![among(Action::Watched, 3)],
                "because you watched Jaws, among others",
                "〈Jaws〉 등을 보셔서 추천합니다",
            ),
            (
                vec![among(Action::Rated, 1)],
                "because you rated highly 기생충, among others",
                "〈기생충〉 등에 높은 점수를 주셔서 추천합니다",
            ),
            (
                vec![because(Action::Bookmarked, 3)],
                "because you want to watch Jaws",
                "〈Jaws〉를 보고 싶어 하셔서 추천합니다",
            ),
            (
                vec![because(Action::Begun, 1)],
                "because you watched some of 기생충",
                "〈기생충〉을 일부 보셔서 추천합니다",
            ),
            (
                vec![
                    SameAudience,
                    SameKeywords {
                        first: 1,
                        second: Some(2),
                    },
                ],
                "who likes one likes the other, also about dream and 꿈",
                "한쪽을 좋아하는 사람이 다른 쪽도 좋아하고, 똑같이 ‘dream’과 ‘꿈’을 다룹니다",
            ),
            (
                vec![
                    SameDirector(1),
                    SameActor(2),
                    SameKeywords {
                        first: 2,
                        second: None,
                    },
                ],
                "also directed by 봉준호, also with Tom Hanks, also about 꿈",
                "같은 봉준호 감독의 작품이고, Tom Hanks도 출연하고, 똑같이 ‘꿈’을 다룹니다",
            ),
            (
                vec![because(Action::Liked, 1), SameDirector(1)],
                "because you liked 기생충, also directed by 봉준호",
                "〈기생충〉을 좋아하셔서 추천하며, 같은 봉준호 감독의 작품입니다",
            ),
            // Of people and keywords that are gone.
            (
                vec![
                    SameDirector(9),
                    SameActor(9),
                    SameKeywords {
                        first: 9,
                        second: None,
                    },
                    PopularNow,
                ],
                "popular now",
                "요즘 인기가 많습니다",
            ),
            (
                vec![SameGenre(53)],
                "also 스릴러",
                "장르가 스릴러로 같습니다",
            ),
            (
                vec![SameGenre(10402)],
                "also 뮤지컬",
                "장르가 뮤지컬로 같습니다",
            ),
            (
                vec![LikeLiked],
                "like films you like",
                "좋아하시는 영화와 비슷합니다",
            ),
            (
                vec![Recommended],
                "recommended for you",
                "회원님께 추천합니다",
            ),
            // Of a movie that is gone.
            (
                vec![because(Action::Liked, 9)],
                "recommended for you",
                "회원님께 추천합니다",
            ),
            (vec![], "recommended for you", "회원님께 추천합니다"),
        ] {
            assert_eq!(Reason::text(&reasons, "en", &Korean), english);
            assert_eq!(Reason::text(&reasons, "fr", &Korean), english);
            assert_eq!(Reason::text(&reasons, "ko", &Korean), korean);
        }
    }
}
