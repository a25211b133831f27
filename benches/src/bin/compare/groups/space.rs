//! Bytes on disk.

use std::fs::File;

use anyhow::{Context, Result};
use mnem_benches::{Block, Blocks, delete_every_second, usage};
use mnem_storage::car::{BLOCK_BYTES_MAX, Reader};
use mnem_store_traits::WriteBatch;

use super::Group;
use crate::{
    results::Unit,
    run::{Run, SMALL},
};

pub(super) const GROUP: Group = Group {
    name: "space",
    title: "Space",
    about: "Bytes on disk per byte of payload, after commits of 100 blocks and a close, and then after a compaction, \
            if the store has one. *WordNet animals* are the blocks of `docs/data/wordnet-animals.car`. In *half \
            deleted*, every second block was deleted, and the payload is what remains. One round.",
    run,
    opt_in: false,
};

const COMMIT: usize = 100;
/// CIDs of one `delete_many`.
const DELETED: usize = 10_000;

fn run(run: &mut Run) -> Result<()> {
    let small: Vec<_> = Blocks::new(50, SMALL).take(run.size(100_000)).collect();
    space(run, "300 B", &small, false)?;
    let large: Vec<_> = Blocks::new(51, 64 << 10).take(run.size(2_000)).collect();
    space(run, "64 KiB", &large, false)?;
    space(run, "WordNet animals", &animals()?, false)?;
    space(run, "300 B, half deleted", &small, true)
}

fn animals() -> Result<Vec<Block>> {
    let path = crate::workspace().join("docs/data/wordnet-animals.car");
    let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut reader = Reader::new(file, BLOCK_BYTES_MAX)?;
    let mut blocks = Vec::new();
    while let Some(section) = reader.next_section()? {
        blocks.push((section.cid, section.data));
    }
    Ok(blocks)
}

fn space(run: &mut Run, name: &str, blocks: &[Block], delete: bool) -> Result<()> {
    let left = blocks.iter().skip(usize::from(delete)).step_by(1 + usize::from(delete));
    let payload: usize = left.map(|(_, data)| data.len()).sum();
    let subjects = run.subjects(blocks.len(), &[]);
    let mut contenders = run.fresh(&subjects)?;
    run.each(&mut contenders, "space", |contender| {
        for part in blocks.chunks(COMMIT) {
            let mut batch = WriteBatch::new();
            batch.extend(part.iter().cloned());
            contender.store.commit(&batch)?;
        }
        if delete {
            delete_every_second(&*contender.store, blocks, DELETED)?;
        }
        Ok(contender.store.close()?)
    });
    contenders.retain(|contender| !contender.out);
    for contender in contenders {
        let (subject, path) = (contender.subject, contender.path);
        drop(contender.store);
        let ratio = usage::disk_bytes(&path) as f64 / payload as f64;
        run.results.record("space", &format!("{name}: on disk per byte"), Unit::Count, subject.name, ratio);
        if let Some(compact) = subject.compact {
            match compact(&path) {
                Ok(()) => {
                    let ratio = usage::disk_bytes(&path) as f64 / payload as f64;
                    let row = format!("{name}: on disk per byte, compacted");
                    run.results.record("space", &row, Unit::Count, subject.name, ratio);
                }
                Err(error) => run.failed("compact", subject.name, &*error),
            }
        }
        run.unfill(&path);
    }
    Ok(())
}
