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
    /// Common people of two movies.
    SamePeople,
    /// Common keywords of two movies.
    SameKeywords,
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
}

impl Reason {
    /// `reasons` in the words of `language`, ISO 639-1; reasons about unknown movies are left out.
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
        let Some((before, name, after)) = english_words(*reason, names) else {
            continue;
        };
        if !text.is_empty() {
            text.push_str(", ");
        }
        for part in [before, name, after] {
            text.push_str(part);
        }
    }
    if text.is_empty() {
        text.push_str("recommended for you");
    }
    text
}

/// The words before a name, the name, and those after it.
fn english_words(reason: Reason, names: &impl Names) -> Option<(&'static str, &str, &'static str)> {
    let words = match reason {
        Reason::Because { action, movie } => {
            return Some((action.english(), names.title(movie)?, ""));
        }
        Reason::AmongOthers { action, movie } => {
            return Some((action.english(), names.title(movie)?, ", among others"));
        }
        Reason::SameGenre(genre) => return Some(("also ", names.genre(genre)?, "")),
        Reason::StatedTaste => "fits the taste you described",
        Reason::PopularNow => "popular now",
        Reason::LikeLiked => "like films you like",
        Reason::HighlyPopular => "highly popular",
        Reason::RecentlyReleased => "recently released",
        Reason::PreferredGenres => "matches your preferred genres",
        Reason::SameAudience => "who likes one likes the other",
        Reason::SamePeople => "made by the same people",
        Reason::SameKeywords => "about the same things",
        Reason::SameLanguage => "in the same language",
        Reason::Similar => "like it",
        Reason::ForAll => "something for all of you",
        Reason::Compromise => "a good compromise",
        Reason::Recommended => "recommended for you",
    };
    Some((words, "", ""))
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
                "because you love 올드보이, fits the taste you described, recommended for you",
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
                vec![SameAudience, SameKeywords],
                "who likes one likes the other, about the same things",
                "한쪽을 좋아하는 사람이 다른 쪽도 좋아하고, 비슷한 소재를 다룹니다",
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
