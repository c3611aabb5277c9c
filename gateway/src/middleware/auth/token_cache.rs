//! Tokens that one thread has verified, so that a signature is not verified again with each request.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use quick_cache::unsync::Cache;

use super::principal::Principal;

/// The most tokens that one thread keeps.
const MAX_TOKENS: usize = 4096;

/// Verified tokens with their principals. Emptied when the public keys change, since a token may have been
/// signed with a key that was withdrawn.
pub(super) struct TokenCache {
    tokens: RefCell<Cache<Box<[u8]>, Rc<Principal>>>,
    /// The generation of the public keys that the tokens were verified with.
    generation: Cell<u64>,
}

impl TokenCache {
    pub(super) fn new() -> Self {
        Self {
            tokens: RefCell::new(Cache::new(MAX_TOKENS)),
            generation: Cell::default(),
        }
    }

    /// The principal of `token`, which may have expired, if it was verified with the keys of `generation`.
    pub(super) fn find(&self, token: &[u8], generation: u64) -> Option<Rc<Principal>> {
        if self.generation.replace(generation) != generation {
            self.tokens.borrow_mut().clear();
        }
        self.tokens.borrow().get(token).cloned()
    }

    /// Keeps the principal of a verified token.
    pub(super) fn insert(&self, token: &[u8], principal: Rc<Principal>) {
        self.tokens.borrow_mut().insert(token.into(), principal);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::principal::Role, *};

    #[test]
    fn verified_tokens_are_bounded_and_forgotten_when_the_keys_change() {
        let cache = TokenCache::new();
        let principal = Principal::new("7".to_owned(), Role::User, None, 0);
        let principal = Rc::new(principal.expect("a header"));
        assert!(cache.find(b"used", 0).is_none());
        cache.insert(b"used", Rc::clone(&principal));
        for number in 0..10 * MAX_TOKENS {
            assert!(cache.find(b"used", 0).is_some());
            cache.insert(number.to_string().as_bytes(), Rc::clone(&principal));
        }
        assert!(cache.tokens.borrow().len() <= MAX_TOKENS);
        assert!(cache.find(b"used", 1).is_none());
        assert!(cache.tokens.borrow().is_empty());
    }
}
