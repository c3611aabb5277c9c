//! Reasons in Korean: clauses joined by connective endings (-고, -며), of which the last one ends the sentence.

use super::{Action, Names, Reason, particle::Particle};

/// A clause: its predicate has a form before another clause, and one at the end.
struct Clause {
    subject: String,
    connective: &'static str,
    ending: &'static str,
}

/// The sentence about `reasons`; see [`Reason::text`].
pub(super) fn text(reasons: &[Reason], names: &impl Names) -> String {
    let clauses: Vec<Clause> = reasons
        .iter()
        .filter_map(|reason| Clause::new(*reason, names))
        .collect();
    let Some((last, others)) = clauses.split_last() else {
        return "회원님께 추천합니다".to_owned();
    };
    let mut text = String::new();
    for clause in others {
        text.push_str(&clause.subject);
        text.push_str(clause.connective);
        text.push_str(", ");
    }
    text.push_str(&last.subject);
    text.push_str(last.ending);
    text
}

impl Clause {
    /// The clause about `reason`; `None` if it needs none beside others.
    fn new(reason: Reason, names: &impl Names) -> Option<Self> {
        let (subject, connective, ending) = match reason {
            Reason::Because { action, movie } => {
                let title = names.title(movie)?;
                let object = Particle::Object.after(title);
                (action.korean(title, "", object), "추천하며", "추천합니다")
            }
            Reason::AmongOthers { action, movie } => (
                action.korean(names.title(movie)?, " 등", "을"),
                "추천하며",
                "추천합니다",
            ),
            Reason::SameGenre(genre) => {
                let name = names.genre(genre)?;
                let by = Particle::By.after(name);
                (format!("장르가 {name}{by} "), "같고", "같습니다")
            }
            Reason::SameDirector(person) => {
                let name = names.person(person)?;
                (format!("같은 {name} 감독의 작품"), "이고", "입니다")
            }
            Reason::SameActor(person) => {
                let name = names.person(person)?;
                (format!("{name}도 "), "출연하고", "출연합니다")
            }
            Reason::SameKeywords { first, second } => {
                let mut topics = names.keyword(first)?.to_owned();
                let mut object = Particle::Object.after(&topics);
                topics = format!("‘{topics}’");
                if let Some(second) = second.and_then(|second| names.keyword(second)) {
                    let with = Particle::With.after(&topics);
                    object = Particle::Object.after(second);
                    topics = format!("{topics}{with} ‘{second}’");
                }
                (format!("똑같이 {topics}{object} "), "다루고", "다룹니다")
            }
            Reason::Recommended => return None,
            _ => {
                let (subject, connective, ending) = fixed(reason);
                (subject.to_owned(), connective, ending)
            }
        };
        Some(Self {
            subject,
            connective,
            ending,
        })
    }
}

/// The clause about a reason without names.
fn fixed(reason: Reason) -> (&'static str, &'static str, &'static str) {
    match reason {
        Reason::StatedTaste => ("직접 알려 주신 취향에 ", "맞고", "맞습니다"),
        Reason::OnWatchlist => ("보고 싶은 영화로 ", "담아 두셨고", "담아 두셨습니다"),
        Reason::PopularNow => ("요즘 인기가 ", "많고", "많습니다"),
        Reason::LikeLiked => ("좋아하시는 영화와 ", "비슷하고", "비슷합니다"),
        Reason::HighlyPopular => ("인기가 매우 ", "높고", "높습니다"),
        Reason::RecentlyReleased => ("최근에 ", "개봉했고", "개봉했습니다"),
        Reason::PreferredGenres => ("선호하는 장르와 ", "일치하고", "일치합니다"),
        Reason::SameAudience => (
            "한쪽을 좋아하는 사람이 다른 쪽도 ",
            "좋아하고",
            "좋아합니다",
        ),
        Reason::SameLanguage => ("언어가 ", "같고", "같습니다"),
        Reason::Similar => ("이 영화와 ", "비슷하고", "비슷합니다"),
        Reason::ForAll => ("모두가 ", "좋아할 만하고", "좋아할 만합니다"),
        Reason::Compromise => ("모두에게 ", "무난하고", "무난합니다"),
        Reason::Recommended
        | Reason::Because { .. }
        | Reason::AmongOthers { .. }
        | Reason::SameDirector(_)
        | Reason::SameActor(_)
        | Reason::SameKeywords { .. }
        | Reason::SameGenre(_) => ("회원님께 ", "추천하며", "추천합니다"),
    }
}

impl Action {
    /// The cause, about `title` with the words `more` after it, and the particle of the object.
    fn korean(self, title: &str, more: &str, object: &str) -> String {
        match self {
            Self::Loved => format!("〈{title}〉{more}{object} 무척 좋아하셔서 "),
            Self::Liked => format!("〈{title}〉{more}{object} 좋아하셔서 "),
            Self::Rated => format!("〈{title}〉{more}에 높은 점수를 주셔서 "),
            Self::Watched => format!("〈{title}〉{more}{object} 보셔서 "),
            Self::Bookmarked => format!("〈{title}〉{more}{object} 보고 싶어 하셔서 "),
            Self::Begun => format!("〈{title}〉{more}{object} 일부 보셔서 "),
        }
    }
}
