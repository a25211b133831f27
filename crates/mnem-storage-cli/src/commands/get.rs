//! `get`: the bytes of a block.

use std::io::{self, IsTerminal as _};

use mnem_storage::Blockstore as _;

use crate::{
    cid_short,
    context::Context,
    error::{Exit, Failure, Result},
};

const EXAMPLES: &str = "\
Checks the bytes against the CID, then writes them unchanged. Binary data is not written
to a terminal. Resolving a CID prefix scans all CIDs. Exit status 4: no such block.

Examples:
  mnem-store get CID --store memory.redb > block.bin
  mnem-store get CID | xxd | head
  mnem-store get bafyreic5uqrs > block.bin";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// CID of the block, or a prefix of 8 or more characters
    cid: String,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let typed = cid_short::parse(&args.cid)?;
    let store = context.open_read_only()?;
    let cid = cid_short::find(context, &*store, &typed)?;
    let data = store.get(&cid)?;
    let Some(data) = data else { return Err(Failure::NoSuchBlock { cid: cid.to_string(), store: context.path()? }) };
    if io::stdout().is_terminal() && !is_text(&data) {
        return Err(Failure::Usage {
            message: format!("block {cid} is binary and cannot be written to a terminal"),
            hint: format!("run `mnem-store get {cid} | xxd` or `mnem-store get {cid} > FILE`"),
        });
    }
    let mut out = context.out();
    out.bytes(&data)?;
    out.finish()?;
    Ok(Exit::Done)
}

/// Whether the bytes are text without control characters, other than white space.
fn is_text(data: &[u8]) -> bool {
    str::from_utf8(data).is_ok_and(|text| !text.chars().any(|c| c.is_control() && !"\n\r\t".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::is_text;

    #[test]
    fn text_has_no_control_characters_but_those_between_lines() {
        assert!(["", "a\tb\r\n", "é"].iter().all(|text| is_text(text.as_bytes())));
        assert!([&b"\x1b[2J"[..], b"\xa0", b"\0", "\u{9b}".as_bytes()].iter().all(|data| !is_text(data)));
    }
}
