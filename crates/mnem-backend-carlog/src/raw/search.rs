//! The search for the start of a section: a CID, and a length before it.

use mnem_car::SectionOffsets;
use mnem_store_traits::is_checkable;

/// Longest length of a section that is searched for, in bytes: enough for 32 GiB.
pub(super) const LENGTH_BYTES_MAX: u64 = 5;

/// The code of the identity function in multihashes.
const IDENTITY: u64 = 0;

/// A place where the CID of a section may begin, and the sections that it may belong to.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The offset of the CID in the searched bytes.
    pub(super) cid: usize,
    /// The offset of each section, and the section as if the searched bytes were at offset 0.
    sections: [Option<SectionOffsets>; LENGTH_BYTES_MAX as usize],
}

impl Candidate {
    /// The possible sections; the searched bytes are at `start`. The bytes before a CID may be the end of another block
    /// or belong to the length, so there may be several.
    pub(super) fn sections(&self, start: u64) -> [Option<SectionOffsets>; LENGTH_BYTES_MAX as usize] {
        self.sections.map(|section| {
            section.map(|mut section| {
                section.offset += start;
                section.cid_offset += start;
                section.data_offset += start;
                section
            })
        })
    }
}

/// The next candidate whose CID begins at `from` or later.
///
/// Only CIDs count whose hash function can be computed. Those that contain their block do not: a few zeros look like
/// one, and nothing is lost with it.
pub(super) fn next(bytes: &[u8], from: usize) -> Option<Candidate> {
    let rest = bytes.get(from..)?;
    let is_cid = |at: &usize| match rest.get(*at..) {
        // Version 1, a codec, and a hash function that is not `identity`.
        Some([1, codec, hash, ..]) => *codec > 0x7f || *hash != 0,
        Some([0x12, 0x20, ..]) => true,
        _ => false,
    };
    let cids = (0..rest.len()).filter(is_cid);
    cids.filter_map(|at| candidate(bytes, from + at)).next()
}

fn candidate(bytes: &[u8], cid: usize) -> Option<Candidate> {
    let mut sections = [None; LENGTH_BYTES_MAX as usize];
    for (length, found) in (1..).zip(&mut sections) {
        let Some(start) = cid.checked_sub(length) else { break };
        let [first, ..] = bytes.get(start..)? else { break };
        // Every byte of a length has the highest bit, except its last one.
        if (*first > 0x7f) == (length == 1) {
            break;
        }
        let section = SectionOffsets::parse(bytes.get(start..)?, start as u64).ok();
        let is_right = |section: &SectionOffsets| {
            section.cid_offset == cid as u64 && section.cid.hash().code() != IDENTITY && is_checkable(&section.cid)
        };
        *found = section.filter(is_right);
    }
    sections.iter().any(Option::is_some).then_some(Candidate { cid, sections })
}
