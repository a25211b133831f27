//! Writes that were refused, and what follows them.

use bytes::Bytes;

use crate::{
    Cause, ErrorKind, Outcome, StoreError, WriteBatch,
    conformance::{
        Failure, Profile,
        case::{Case, offered},
        data::{Block, block, blocks, head},
        expect::{delete_many, heads_are, holds, lists, saw, update},
        failure::LawResult,
        outcomes::{Done, LARGE},
        ways::{Write, batch_of, writes_of},
    },
};

/// Why a write of good blocks is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The batch ends with wrong bytes.
    WrongBytes(Write),
    /// The iterator of a `put_many` fails at its end.
    IteratorFails,
    /// A commit requires an absent block.
    MissingBlock,
    /// A commit swaps other heads.
    HeadsMoved,
}

impl Refusal {
    fn name(self) -> String {
        match self {
            Self::WrongBytes(way) => format!("{way} that ends with wrong bytes"),
            Self::IteratorFails => "put_many whose iterator fails".into(),
            Self::MissingBlock => "commit that requires an absent block".into(),
            Self::HeadsMoved => "commit that swaps other heads".into(),
        }
    }

    fn of(self, case: &Case, good: &[Block]) -> Result<(), Failure> {
        let commit = |batch: &WriteBatch| -> Result<Done, Failure> {
            Ok(offered(case.handles().as_store(), Profile::Store)?.commit(batch))
        };
        let (refused, kind) = match self {
            Self::WrongBytes(way) => {
                let wrong = Block { cid: block("good").cid, data: Bytes::from_static(b"other bytes") };
                (way.put(case.handles(), &[good, &[wrong]].concat())?, ErrorKind::CidMismatch)
            }
            Self::IteratorFails => {
                let source = Cause::new("the law's own iterator");
                let outcome = Outcome::NotApplied;
                let own = StoreError::Backend { backend: "law", operation: "go on".into(), outcome, source };
                let items = good.iter().map(|block| Ok((block.cid, block.data.clone())));
                (case.blocks()?.put_many(&mut items.chain([Err(own)])), ErrorKind::Backend)
            }
            Self::MissingBlock => (commit(batch_of(good).require(block("absent").cid))?, ErrorKind::MissingBlock),
            Self::HeadsMoved => (commit(batch_of(good).swap([head("other")], head("new")))?, ErrorKind::HeadsMoved),
        };
        saw(self.name(), refused).refused(kind).map(drop)
    }
}

/// A store that notes which blocks it has must not note those of a write that it refuses.
pub(crate) fn refused_write_is_forgotten(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    if case.has(Profile::Heads) {
        update(&*case.heads()?, &head("old"), &[])?;
    }
    let ways: Vec<Write> =
        writes_of("refused_write_is_forgotten").into_iter().filter(|way| way.is_offered(case)).collect();
    let batches = ways.iter().filter(|way| way.is_batch() && !matches!(way, Write::CommitTrusted | Write::Buffered));
    let commits = [Refusal::MissingBlock, Refusal::HeadsMoved].into_iter().filter(|_| case.has(Profile::Store));
    let refusals = batches.map(|way| Refusal::WrongBytes(*way)).chain([Refusal::IteratorFails]).chain(commits);
    let sizes = [1, 3, case.in_short(LARGE)];
    for refusal in refusals {
        for way in &ways {
            // Many blocks take long in as many calls, and where each is synced by itself.
            for n in &sizes[..if matches!(way, Write::PutMany | Write::Commit) { 3 } else { 2 }] {
                let good = blocks(&format!("{} before {way}", refusal.name()), *n);
                refusal.of(case, &good)?;
                let when = format!("{way} of {n} blocks after a refused {} of them", refusal.name());
                saw(&when, way.put(case.handles(), &good)?).ok()?;
                good.iter().step_by(37).try_for_each(|block| holds(&*store, block, &format!("after a {when}")))?;
                let cids: Vec<_> = good.iter().map(|block| block.cid).collect();
                lists(&*store, &cids, &format!("after a {when}"))?;
                delete_many(&*store, &cids)?;
                if way.changes_heads() {
                    heads_are(&*case.heads()?, &[head("old"), cids[0]], format_args!("after a {when}"))?;
                    update(&*case.heads()?, &head("old"), &[cids[0]])?;
                }
            }
        }
    }
    Ok(())
}
