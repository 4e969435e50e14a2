//! Names that could not be sent as they are, as people hear of them: a few, then how many more.

/// Names that are told one by one.
const SHOWN: u64 = 5;

/// How many names were replaced, once an attempt counts them.
#[derive(Debug, Default)]
pub(super) struct ReplacedNames(Option<u64>);

impl ReplacedNames {
    /// Whether no attempt has counted them: each would find the same.
    pub(super) fn is_uncounted(&self) -> bool {
        self.0.is_none()
    }

    /// One more; what to say of it.
    pub(super) fn add(&mut self, from: &str, to: &str) -> Option<String> {
        let count = self.0.get_or_insert(0);
        *count += 1;
        (*count <= SHOWN).then(|| format!("{from} is sent as {to}"))
    }

    /// That was all; what to say of those of which nothing was said.
    pub(super) fn finish(&mut self) -> Option<String> {
        let more = self.0.get_or_insert(0).saturating_sub(SHOWN);
        (more > 0).then(|| format!("{more} more names are sent with %XX for what cannot be shown"))
    }
}
