//! Every way to read sees the effect of every way to write, despite caches.

use std::time::Instant;

use bytes::Bytes;
use cid::Cid;

use super::every_fault::says_so;
use crate::conformance::{
    Failure, Fault, Profile,
    case::{Case, offered},
    data::{block, blocks, head},
    expect::{ensure, lacks, saw, update},
    failure::LawResult,
    outcomes::{Done, LARGE},
    show::Show,
    ways::{Extent, Eyes, Read, Scene, Subject, Write, reads_of, writes_of},
};

/// A read that accesses its medium usually needs no more accesses than this.
const READS_THAT_SUCCEED: u32 = 3;

pub(crate) fn every_read_follows_every_write(case: &mut Case) -> LawResult {
    let writes = writes_of("every_read_follows_every_write");
    let reads = reads_of("every_read_follows_every_write");
    let only = Eyes::new(case.handles())?;
    follow(case, &only, &only, &writes, &reads)?;
    Ok(())
}

pub(crate) fn every_read_follows_every_write_of_another_handle(case: &mut Case) -> LawResult {
    let writes = writes_of("every_read_follows_every_write_of_another_handle");
    let reads = reads_of("every_read_follows_every_write_of_another_handle");
    let (first, second) = (Eyes::new(case.handles())?, Eyes::new(&case.second()?)?);
    follow(case, &first, &second, &writes, &reads)?;
    Ok(())
}

pub(crate) fn every_read_follows_every_write_for_a_reader(case: &mut Case) -> LawResult {
    let writes = writes_of("every_read_follows_every_write_for_a_reader");
    let reads = reads_of("every_read_follows_every_write_for_a_reader");
    let (writer, reader) = (Eyes::new(case.handles())?, Eyes::new(&case.reader()?)?);
    turns(case, &writes, &reads, |turn| turn.take_beside(&writer, &reader))?;
    Ok(())
}

fn follow(case: &Case, first: &Eyes, second: &Eyes, writes: &[Write], reads: &[Read]) -> Result<(), Failure> {
    turns(case, writes, reads, |turn| turn.take(first, second))
}

fn turns(
    case: &Case,
    writes: &[Write],
    reads: &[Read],
    take: impl Fn(&Turn) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if case.has(Profile::Heads) {
        update(&*case.heads()?, &head("always there"), &[])?;
    }
    let removers: Vec<Write> = writes.iter().copied().filter(|way| way.deletes_blocks()).collect();
    for (i, way) in writes.iter().filter(|way| way.is_offered(case) && !way.deletes_blocks()).enumerate() {
        for (j, read) in reads.iter().filter(|read| case.has(read.needs())).enumerate() {
            for subject in subjects(*way, &format!("by {way}, seen by {read}")) {
                if read.looks_for(&subject) {
                    let remover = removers[(i + j) % removers.len()];
                    take(&Turn { way: *way, read: *read, remover, subject })?;
                }
            }
        }
    }
    Ok(())
}

/// A handle may cache what it read. While another handle writes and reads fail, the cache must not answer.
pub(crate) fn failed_read_is_no_old_answer(case: &mut Case) -> LawResult {
    let writes = writes_of("failed_read_is_no_old_answer");
    let reads = reads_of("failed_read_is_no_old_answer");
    let (writer, reader) = (Eyes::new(case.handles())?, Eyes::new(&case.second()?)?);
    turns(case, &writes, &reads, |turn| turn.take_while_reads_fail(case, &writer, &reader))?;
    Ok(())
}

/// A handle may learn of another handle's changes in one step or bit by bit.
pub(crate) fn large_write_of_another_handle_is_seen_whole(case: &mut Case) -> LawResult {
    for way in writes_of("large_write_of_another_handle_is_seen_whole") {
        if !way.is_offered(case) {
            continue;
        }
        for scene in [Scene::of_many_bytes(), Scene::new(case.in_short(LARGE))] {
            let case = case.fresh()?;
            scene.set(&case, way)?;
            let second = case.second()?;
            scene.rest_is_kept(way, &second, "before another handle wrote")?;
            let eyes = Eyes::new(&second)?;
            sees_first(&case, &scene, way, &eyes, way.deletes_blocks(), "before another handle wrote")?;
            saw(format_args!("{way}"), scene.act(way, case.handles(), 0)?).ok()?;
            let when = format!("after a large {way} of another handle");
            sees_first(&case, &scene, way, &eyes, !way.deletes_blocks(), &when)?;
            scene.rest_is_kept(way, &second, &format!("after a large {way} of another handle"))?;
            let seen = scene.extent(way, &second, 0, true, &format!("after a large {way} of another handle"))?;
            let did = format_args!("looked through another handle after a large {way}");
            ensure(seen == Extent::All, did, "all of it", format_args!("{seen:?} of it"))?;
        }
        if way.adds_blocks() {
            one_by_one(case, way)?;
        }
    }
    Ok(())
}

/// Looks for the first block or row of a large write in every way, despite what the handle remembers.
fn sees_first(case: &Case, scene: &Scene, way: Write, eyes: &Eyes, there: bool, when: &str) -> Result<(), Failure> {
    for subject in scene.subjects(way) {
        // The table has other rows.
        let reads = Read::ALL.into_iter().filter(|read| *read != Read::SideTables && case.has(read.needs()));
        for read in reads.filter(|read| read.looks_for(&subject)) {
            saw(format_args!("{read}: {subject} {when}"), read.sees(eyes, &subject, when)?).is(there)?;
        }
    }
    Ok(())
}

/// A number of changes after which a one-byte counter has its old value again.
const CHANGES: usize = 256;

/// The number of ways to read that are tried, each after [`CHANGES`] durable writes.
const READS_MAX: usize = 4;

/// A handle must notice that something changed even after exactly [`CHANGES`] changes.
pub(crate) fn a_round_number_of_changes_is_no_standstill(case: &mut Case) -> LawResult {
    if case.is_slow() {
        return Ok(());
    }
    let (writer, reader) = (Eyes::new(case.handles())?, Eyes::new(&case.second()?)?);
    for way in [Write::Update, Write::Put, Write::Row].into_iter().filter(|way| way.is_offered(case)) {
        let subject_of = |i: usize| subjects(way, &format!("{way}, change {i}")).remove(0);
        let reads = Read::ALL.into_iter().filter(|read| case.has(read.needs()) && read.looks_for(&subject_of(0)));
        // Each round takes [`CHANGES`] durable writes.
        for (round, read) in reads.take(READS_MAX).enumerate() {
            let (first, last) = (round * CHANGES, (round + 1) * CHANGES - 1);
            // Any row makes the table show up in `side_tables`.
            let there = read == Read::SideTables && round > 0;
            let turn = |i| Turn { way, read, remover: Write::Delete, subject: subject_of(i) };
            turn(last).look(&reader, there, "before another handle changed anything")?;
            (first..=last).try_for_each(|i| turn(i).write(&writer))?;
            turn(last).look(&reader, true, &format!("after {CHANGES} changes of another handle"))?;
        }
    }
    Ok(())
}

/// Many calls, with no read by the other handle in between.
fn one_by_one(case: &Case, way: Write) -> Result<(), Failure> {
    let case = case.fresh()?;
    let second = case.second()?;
    let reader = offered(second.as_blocks(), Profile::Blocks)?;
    let large = Scene::of_many_bytes().blocks(Write::PutMany, 0);
    let small = blocks("one of many calls", LARGE);
    for all in [large, small] {
        lacks(&*reader, &all[0].cid, "before another handle wrote")?;
        let (begin, mut written) = (Instant::now(), 0);
        while written < all.len() && begin.elapsed() < case.spare() / 30 {
            saw(format_args!("{way}"), way.put(case.handles(), std::slice::from_ref(&all[written]))?).ok()?;
            written += 1;
        }
        for block in all[..written].iter().rev() {
            let did = format_args!("get({}) after {written} calls of {way} of another handle", block.cid);
            saw(did, reader.get(&block.cid)).is(Some(block.data.clone()))?;
        }
    }
    Ok(())
}

/// The subjects that this way writes, different for each label.
fn subjects(way: Write, label: &str) -> Vec<Subject> {
    let mut subjects = Vec::new();
    if way.adds_blocks() {
        subjects.push(Subject::Block(block(label)));
    }
    match way {
        Write::CommitHead => subjects.push(Subject::Head(block(&format!("head {label}")).cid)),
        Write::Update | Write::Swap => subjects.push(Subject::Head(head(label))),
        Write::Row => subjects.push(Subject::Row((Bytes::from(label.to_owned()), Bytes::from_static(b"value")))),
        _ => {}
    }
    subjects
}

/// A subject that appears and disappears, as seen by the writing handle and another.
struct Turn {
    way: Write,
    read: Read,
    remover: Write,
    subject: Subject,
}

impl Turn {
    fn take(&self, first: &Eyes, second: &Eyes) -> Result<(), Failure> {
        let Self { way, remover, .. } = self;
        let both = |there, when: &str| [second, first].into_iter().try_for_each(|eyes| self.look(eyes, there, when));
        both(false, "before it was written")?;
        self.write(first)?;
        both(true, &format!("after {way} of it"))?;
        self.remove(second)?;
        both(false, &format!("after {remover} of it through the other handle"))?;
        self.write(first)?;
        both(true, &format!("after {way} of it once more, through the handle that wrote it first"))?;
        self.remove(first)?;
        both(false, &format!("after {remover} of it"))?;
        self.write(second)?;
        [first, second]
            .into_iter()
            .try_for_each(|eyes| self.look(eyes, true, &format!("after {way} through the other handle")))?;
        self.remove(second)?;
        both(false, "at the end")
    }

    /// [`take`](Self::take) with only the first handle writing.
    fn take_beside(&self, writer: &Eyes, reader: &Eyes) -> Result<(), Failure> {
        let Self { way, remover, .. } = self;
        for time in ["once", "twice"] {
            self.look(reader, false, &format!("before {way} of it {time}"))?;
            self.write(writer)?;
            self.look(reader, true, &format!("after {way} of it {time}"))?;
            self.remove(writer)?;
            self.look(reader, false, &format!("after {remover} of it {time}"))?;
        }
        Ok(())
    }

    /// The reader has seen the subject before the writer changes it and reads begin to fail.
    fn take_while_reads_fail(&self, case: &Case, writer: &Eyes, reader: &Eyes) -> Result<(), Failure> {
        let Self { way, read, remover, subject } = self;
        for there in [true, false] {
            self.look(reader, !there, "before it was changed")?;
            if there {
                self.write(writer)?
            } else {
                self.remove(writer)?
            }
            let change = if there { way } else { remover };
            for n in 0..READS_THAT_SUCCEED {
                case.set_fault(Some(Fault::ReadsAfter(n)))?;
                let seen = read.sees(reader, subject, "while reads fail");
                case.set_fault(None)?;
                let seen = seen?;
                let fine = seen.as_ref().map_or_else(says_so, |seen| *seen == there);
                let did =
                    format_args!("{read}: {subject} after {change} by another handle, while reads fail after {n}");
                ensure(fine, did, format_args!("Ok({there}), or Err(Backend)"), seen.show())?;
            }
            self.look(reader, there, &format!("after {change} by another handle, once reads succeed again"))?;
        }
        Ok(())
    }

    fn look(&self, eyes: &Eyes, there: bool, when: &str) -> Result<(), Failure> {
        let Self { read, subject, .. } = self;
        let seen = read.sees(eyes, subject, when)?;
        saw(format_args!("{read}: {subject} {when}"), seen).is(there)
    }

    fn write(&self, eyes: &Eyes) -> Result<(), Failure> {
        let handles = eyes.handles();
        let done: Done = match &self.subject {
            Subject::Block(block) => self.way.put(handles, std::slice::from_ref(block))?,
            Subject::Head(new) => match self.way {
                Write::Swap => {
                    let heads = offered(handles.as_heads(), Profile::Heads)?;
                    let mut expected: Vec<Cid> = saw("heads()", heads.heads()).ok()?;
                    expected.retain(|cid| cid != new);
                    heads.swap(&expected, new)
                }
                Write::Update => offered(handles.as_heads(), Profile::Heads)?.update(new, &[]),
                _ => offered(handles.as_store(), Profile::Store)?.commit(crate::WriteBatch::new().update(*new, [])),
            },
            Subject::Row(row) => eyes.table()?.write(std::slice::from_ref(row), &[]),
        };
        saw(format_args!("{} of {}", self.way, self.subject), done).ok()
    }

    fn remove(&self, eyes: &Eyes) -> Result<(), Failure> {
        let handles = eyes.handles();
        let done: Done = match &self.subject {
            Subject::Block(block) => self.remover.remove(handles, &[block.cid])?,
            Subject::Head(cid) => offered(handles.as_heads(), Profile::Heads)?.update(&head("always there"), &[*cid]),
            Subject::Row((key, _)) => eyes.table()?.write(&[], std::slice::from_ref(key)),
        };
        saw(format_args!("{} of {}", self.remover, self.subject), done).ok()
    }
}
