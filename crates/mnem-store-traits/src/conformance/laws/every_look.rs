//! Every way to read follows every way to write, whatever a handle remembers.

use bytes::Bytes;
use cid::Cid;

use crate::conformance::{
    Failure, Profile,
    case::{Case, offered},
    data::{block, head},
    expect::{saw, update},
    failure::LawResult,
    outcomes::Done,
    ways::{Eyes, Read, Subject, Write, reads_of, writes_of},
};

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

fn follow(case: &Case, first: &Eyes, second: &Eyes, writes: &[Write], reads: &[Read]) -> Result<(), Failure> {
    if case.has(Profile::Heads) {
        update(&*case.heads()?, &head("always there"), &[])?;
    }
    let removers: Vec<Write> = writes.iter().copied().filter(|way| way.deletes_blocks()).collect();
    for (i, way) in writes.iter().filter(|way| case.has(way.needs()) && !way.deletes_blocks()).enumerate() {
        for (j, read) in reads.iter().filter(|read| case.has(read.needs())).enumerate() {
            for subject in subjects(*way, &format!("by {way}, seen by {read}")) {
                if read.looks_for(&subject) {
                    let remover = removers[(i + j) % removers.len()];
                    Turn { way: *way, read: *read, remover, subject }.take(first, second)?;
                }
            }
        }
    }
    Ok(())
}

/// What a write by this way makes, apart from that of any other label.
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

/// One thing that comes and goes, through one handle and the other.
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
