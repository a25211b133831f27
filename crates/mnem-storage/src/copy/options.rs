//! How to copy.

/// What a copy does beyond the usual.
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until a call is made with them"]
pub struct CopyOptions {
    pub(super) merge_heads: bool,
    pub(super) compare: bool,
}

impl CopyOptions {
    /// Heads that the source does not know are refused; blocks that the target holds are taken on their name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the target keeps heads whose blocks the source does not hold, beside those of the source. Default: no, such a head ends the copy
    /// before anything is written, since the target may be another store's copy.
    pub fn merge_heads(mut self, yes: bool) -> Self {
        self.merge_heads = yes;
        self
    }

    /// Whether to read the blocks that the target holds already, in both stores. A damaged one is an error then, healed by deleting it in the
    /// target and copying again. Default: no; [`verify`](fn@crate::verify) checks a copy without its source.
    pub fn compare(mut self, yes: bool) -> Self {
        self.compare = yes;
        self
    }
}
