//! Usernames that cannot be mistaken for those of others, after Unicode Technical Standard 39, *Unicode Security Mechanisms*.

use unicode_normalization::UnicodeNormalization;
use unicode_script::{Script, UnicodeScript};
use unicode_security::{mixed_script::AugmentedScriptSet, skeleton};

use super::text::fold;

/// Names that look official, or that programs treat specially; for administrators only. Compared by their skeletons.
const RESERVED: &[&str] = &[
    "abuse",
    "admin",
    "administrator",
    "anonymous",
    "api",
    "help",
    "helpdesk",
    "hostmaster",
    "info",
    "marquee",
    "me",
    "mod",
    "moderator",
    "no-reply",
    "noreply",
    "null",
    "official",
    "operator",
    "owner",
    "postmaster",
    "root",
    "security",
    "service",
    "staff",
    "superuser",
    "support",
    "sysadmin",
    "system",
    "undefined",
    "webmaster",
];

/// The confusable skeleton (UTS 39) of a name, ignoring case: names that look alike have the same, such as `paypal` and
/// `раураl`, or `Alice` and `AIice`.
pub fn skeleton_of(name: &str) -> String {
    let normal: String = name.nfkc().collect();
    let first: String = skeleton(&normal).collect();
    // Case is ignored, and lower case may look like something else.
    let folded = fold(&first);
    let second: String = skeleton(&folded).collect();
    // The letters i and l are as alike in lower case as I and l are.
    second.replace('i', "l")
}

/// True if `name` looks like a reserved one.
pub(super) fn is_reserved(name: &str) -> bool {
    let own = skeleton_of(name);
    let plain: String = own.chars().filter(|c| c.is_alphanumeric()).collect();
    RESERVED
        .iter()
        .any(|reserved| [&own, &plain].contains(&&skeleton_of(reserved)))
}

/// True if `name` has letters of several scripts beyond what UTS 39 calls highly restrictive: one script, or Latin with the
/// scripts of Chinese, Japanese or Korean.
pub(super) fn mixes_scripts(name: &str) -> bool {
    if !AugmentedScriptSet::for_str(name).is_empty() {
        return false;
    }
    let others: String = name
        .chars()
        .filter(|c| c.script() != Script::Latin)
        .collect();
    let scripts = AugmentedScriptSet::for_str(&others);
    !(scripts.hanb || scripts.jpan || scripts.kore)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_have_the_same_looks() {
        for (one, other) in [
            ("anna", "ANNA"),
            ("anna", "аnnа"),
            ("Alice", "AIice"),
            ("alice", "a1ice"),
            ("modern", "rnodern"),
            ("ｂｏｂ", "bob"),
            ("scope", "ѕсоре"),
        ] {
            assert_eq!(skeleton_of(one), skeleton_of(other), "{one} and {other}");
        }
        for (one, other) in [("anna", "hanna"), ("김민수", "김민서"), ("user1", "user2")] {
            assert_ne!(skeleton_of(one), skeleton_of(other), "{one} and {other}");
        }
    }

    #[test]
    fn scripts_that_are_written_together_may_be_mixed_and_others_not() {
        for name in [
            "anna",
            "Çağrı 3",
            "김민수",
            "Anna 김",
            "東京tower",
            "すしスシ寿司",
            "Анна",
            "Ελένη",
            "O'Neil-7",
        ] {
            assert!(!mixes_scripts(name), "{name}");
        }
        for name in ["аnna", "pаypal", "αlpha", "김Анна", "abcא"] {
            assert!(mixes_scripts(name), "{name}");
        }
    }

    #[test]
    fn reserved_names_are_recognised_by_their_looks() {
        for name in [
            "admin",
            "ADMIN",
            "аdmіn",
            "a.d-m_i n",
            "adm1n",
            "rnoderator",
            "Support",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["anna", "administrators' cat", "rooted"] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
