//! Passwords that are refused because attackers try them first (NIST SP 800-63B, 3.1.1.2): common ones, and those made of the
//! username or address. Composition is not checked, since rules of composition make passwords no safer.

use zxcvbn::{Score, zxcvbn};

use super::text::fold;

/// In characters; longer passwords are not common ones, and the estimate takes time.
const MAX_CHECKED_LENGTH: usize = 64;

/// The reason for which `password` is too easy to guess for a user with these names (username, address); `None` if it is not.
pub fn weakness(password: &str, names: &[&str]) -> Option<&'static str> {
    let folded = fold(password);
    let parts = names
        .iter()
        .flat_map(|name| [Some(*name), name.split_once('@').map(|(local, _)| local)]);
    let names: Vec<String> = parts.flatten().map(fold).collect();
    if names.contains(&folded) {
        return Some("must not be the username or the e-mail address");
    }
    if password.chars().count() > MAX_CHECKED_LENGTH {
        return None;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // Below a million guesses (Wheeler, *zxcvbn: Low-Budget Password Strength Estimation*, USENIX Security 2016).
    (zxcvbn(password, &names).score() <= Score::One)
        .then_some("is among those that attackers try first; choose one that is less common")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_passwords_and_names_are_refused_and_others_are_not() {
        let names = ["Wilhelmina", "willi.w@example.org"];
        for password in [
            "password",
            "password1",
            "P@ssw0rd",
            "12345678",
            "qwertyui",
            "iloveyou",
            "11111111",
            "abcdefgh",
            "trustno1",
            "letmein1",
            "football",
            "baseball",
            "superman",
            "wilhelmina",
            "WILHELMINA",
            "willi.w@example.org",
            "willi.w",
            "wilhelmina1",
            "qwerty123",
            "1q2w3e4r",
        ] {
            assert!(weakness(password, &names).is_some(), "{password}");
        }
        for password in [
            "correct horse battery staple",
            "a password that is hard to guess",
            "another password of mine",
            "kvz-41-Qw",
            "비밀번호는 안전하게",
        ] {
            assert_eq!(weakness(password, &names), None, "{password}");
        }
        assert!(weakness(&"a".repeat(128), &names).is_none());
    }
}
