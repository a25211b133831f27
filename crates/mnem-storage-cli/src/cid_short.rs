//! CID prefixes on the command line: a prefix stands for the only CID of the store that begins with it.
//!
//! A store cannot look up a CID by prefix, so resolving one scans all CIDs. Full CIDs need no scan. Prefixes of heads
//! and indexes are resolved among the heads and indexes only.

use mnem_storage::{Cid, Store};

use crate::{
    cid_arg, cid_text,
    context::Context,
    error::{Failure, Result},
    limits::{CANDIDATES_LISTED_MAX, SHORT_CID_CHARS_MIN},
};

/// A CID argument.
#[derive(Clone, Debug)]
pub(crate) enum Typed {
    Whole(Cid),
    Beginning(String),
}

impl Typed {
    fn is_whole(&self) -> bool {
        matches!(self, Self::Whole(_))
    }
}

/// Parses a CID or a prefix of one.
pub(crate) fn parse(text: &str) -> Result<Typed> {
    if is_beginning(text) { Ok(Typed::Beginning(text.to_owned())) } else { cid_arg::parse(text).map(Typed::Whole) }
}

/// Parses several arguments.
pub(crate) fn parse_all(texts: &[String]) -> Result<Vec<Typed>> {
    texts.iter().map(|text| parse(text)).collect()
}

/// Whether the text is a prefix: long enough to be useful, and shorter than any CID with a 32-byte digest.
pub(crate) fn is_beginning(text: &str) -> bool {
    let base32 = |c: char| matches!(c, 'a'..='z' | '2'..='7');
    let (whole, chars) = if text.starts_with("Qm") {
        (46, text.chars().all(|c| c.is_ascii_alphanumeric()))
    } else {
        (59, text.starts_with('b') && text.chars().all(base32))
    };
    chars && (SHORT_CID_CHARS_MIN..whole).contains(&text.len()) && cid_text::plain(text).is_none()
}

/// Resolves the arguments, in order. One scan serves all prefixes.
pub(crate) fn find_all(context: &Context, store: &dyn Store, typed: &[Typed]) -> Result<Vec<Cid>> {
    let mut found: Vec<Found<'_>> = typed.iter().map(Found::of).collect();
    list(context, store, &mut found)?;
    found.into_iter().map(|one| one.only(context)).collect()
}

/// Resolves one argument.
pub(crate) fn find(context: &Context, store: &dyn Store, typed: &Typed) -> Result<Cid> {
    let mut found = Found::of(typed);
    list(context, store, std::slice::from_mut(&mut found))?;
    found.only(context)
}

/// Resolves the arguments among the heads. A full CID is returned unchanged, even if it is not a head.
pub(crate) fn find_heads(context: &Context, store: &dyn Store, typed: &[Typed]) -> Result<Vec<Cid>> {
    let heads = if typed.iter().all(Typed::is_whole) { Vec::new() } else { store.heads()? };
    let no_head = |text| Ok(Failure::NoSuchHead { cid: text, store: context.path()? });
    typed.iter().map(|typed| among(context, typed, heads.iter().map(|head| Ok(*head)), no_head)).collect()
}

/// Resolves the argument among these CIDs; `none` makes the error for a prefix that matches none of them. A full CID is
/// returned unchanged.
pub(crate) fn among(
    context: &Context,
    typed: &Typed,
    cids: impl IntoIterator<Item = Result<Cid>>,
    none: impl FnOnce(String) -> Result<Failure>,
) -> Result<Cid> {
    let mut found = Found::of(typed);
    if !typed.is_whole() {
        for cid in cids {
            let cid = cid?;
            found.look_at(cid, &cid.to_string());
        }
    }
    match (found.count, found.beginning) {
        (0, Some(text)) => Err(none(format!("{text}..."))?),
        _ => found.only(context),
    }
}

fn list(context: &Context, store: &dyn Store, found: &mut [Found<'_>]) -> Result<()> {
    if found.iter().all(|one| one.beginning.is_none()) {
        return Ok(());
    }
    let mut bar = context.bar("CIDs");
    for (number, cid) in (1..).zip(store.cids()?) {
        let cid = cid?;
        bar.count("blocks", "block", number, None);
        let text = cid.to_string();
        found.iter_mut().for_each(|one| one.look_at(cid, &text));
    }
    Ok(())
}

/// The candidates for one argument.
struct Found<'a> {
    beginning: Option<&'a str>,
    /// The first candidates.
    cids: Vec<Cid>,
    count: u64,
}

impl<'a> Found<'a> {
    fn of(typed: &'a Typed) -> Self {
        match typed {
            Typed::Whole(cid) => Self { beginning: None, cids: vec![*cid], count: 1 },
            Typed::Beginning(text) => Self { beginning: Some(text), cids: Vec::new(), count: 0 },
        }
    }

    fn look_at(&mut self, cid: Cid, text: &str) {
        if self.beginning.is_some_and(|beginning| text.starts_with(beginning)) {
            self.count += 1;
            if self.cids.len() < CANDIDATES_LISTED_MAX {
                self.cids.push(cid);
            }
        }
    }

    fn only(self, context: &Context) -> Result<Cid> {
        let Self { beginning, cids, count } = self;
        match (&*cids, beginning) {
            ([cid], _) => Ok(*cid),
            ([], text) => {
                Err(Failure::NoSuchBlock { cid: format!("{}...", text.unwrap_or_default()), store: context.path()? })
            }
            (_, text) => Err(Failure::Ambiguous {
                text: text.unwrap_or_default().to_owned(),
                count,
                cids,
                store: context.path()?,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "bafyreic5uqrsiks2mgd2qtk2u37ewgr3w5egu2h2gd4cluffkn6ttytbpe";

    #[test]
    fn a_beginning_is_long_enough_and_plain() {
        for text in [&V1[..8], &V1[..58], "QmYwAPJz", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbd"] {
            assert!(matches!(parse(text), Ok(Typed::Beginning(beginning)) if beginning == text), "{text}");
        }
        assert!(matches!(parse(V1), Ok(Typed::Whole(cid)) if cid.to_string() == V1));
        let longer = format!("{V1}a");
        for text in [&V1[..7], &V1[1..9], "BAFYREIC", "bafyrei1", "bafyreic ", "animals.redb", "", &longer] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_short_cid_is_whole() {
        // The identity CID of no bytes.
        assert!(matches!(parse("bafkqaaa"), Ok(Typed::Whole(_))));
    }
}
