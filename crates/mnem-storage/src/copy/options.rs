//! Options for a copy.

/// Options for a copy.
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until a call is made with them"]
pub struct CopyOptions {
    pub(super) merge_heads: bool,
    pub(super) compare: bool,
}

impl CopyOptions {
    /// The defaults: heads that the source does not know are refused, and blocks that the target holds are trusted by
    /// name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps heads of the target whose blocks the source does not hold, beside those of the source. Default: no, such a
    /// head ends the copy before anything is written, because the target may be a copy of another store.
    pub fn merge_heads(mut self, yes: bool) -> Self {
        self.merge_heads = yes;
        self
    }

    /// Reads the blocks that the target already holds, in both stores. A damaged one is then an error; to heal it,
    /// delete it in the target and copy again. Default: no; [`verify`](fn@crate::verify) checks a copy without its
    /// source.
    pub fn compare(mut self, yes: bool) -> Self {
        self.compare = yes;
        self
    }
}
