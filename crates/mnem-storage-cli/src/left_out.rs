//! What a command passed over because it was told to: blocks that are missing, and links that are not followed.

use mnem_storage::Absent;

use crate::{context::Context, limits::MISSING_NAMED_MAX, output::counted};

/// Says how many blocks were not searched for links. In JSON, `opaque` says it.
pub(crate) fn tell_opaque(context: &Context, opaque: u64, done: &str) {
    if opaque > 0 {
        let blocks = counted(opaque, "block");
        context.remark(format_args!(
            "links were not followed in {blocks} of other codecs: what only these link to is not {done}"
        ));
    }
}

/// Names the first blocks that are missing, and what was `done` about them. In JSON, `missing_count` and `missing` say it.
pub(crate) fn tell_missing(context: &Context, count: u64, missing: &[Absent], done: &str) {
    if count == 0 {
        return;
    }
    let named: Vec<String> = missing.iter().take(MISSING_NAMED_MAX).map(|absent| absent.cid.to_string()).collect();
    let more = if count > named.len() as u64 { ", ..." } else { "" };
    context.remark(format_args!("{done} {}: {}{more}", counted(count, "missing block"), named.join(", ")));
}
