//! Notes about blocks that a command left out on request: missing blocks, and blocks behind links it did not follow.

use mnem_storage::Absent;

use crate::{context::Context, limits::MISSING_NAMED_MAX, output::counted};

/// Reports how many blocks were not searched for links. JSON has it in `opaque`.
pub(crate) fn tell_opaque(context: &Context, opaque: u64, done: &str) {
    if opaque > 0 {
        let blocks = counted(opaque, "block");
        context.remark(format_args!(
            "links were not followed in {blocks} of other codecs; blocks that only these link to are not {done}"
        ));
    }
}

/// Names the first missing blocks, and what was `done` about them. JSON has them in `missing_count` and `missing`.
pub(crate) fn tell_missing(context: &Context, count: u64, missing: &[Absent], done: &str) {
    if count == 0 {
        return;
    }
    let named: Vec<String> = missing.iter().take(MISSING_NAMED_MAX).map(|absent| absent.cid.to_string()).collect();
    let more = if count > named.len() as u64 { ", ..." } else { "" };
    context.remark(format_args!("{done} {}: {}{more}", counted(count, "missing block"), named.join(", ")));
}
