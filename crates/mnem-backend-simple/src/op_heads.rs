//! Heads: one text file, replaced as a whole under the store's lock.

use std::{collections::BTreeSet, fmt::Write as _, sync::MutexGuard};

use mnem_store_traits::{Cid, HeadChange, HeadsCapabilities, OpHeadsStore, Outcome, RAW, StoreError, cid_of};

use crate::{
    SimpleStore,
    engine::{
        medium::{Contents, Lock, LockMode},
        unfinished::Unfinished,
    },
    error::{damaged, may_be_applied},
    handle::{Handle, hold},
    limits::HEADS_BYTES_MAX,
    tables,
};

/// The beginning of the last line, before the sha2-256, in hexadecimal, of all bytes before that line.
const CHECKSUM: &str = "sha256 ";

impl SimpleStore {
    fn change_heads(&self, operation: &'static str, change: &HeadChange) -> Result<(), StoreError> {
        let _writing = self.handle.begin_write(operation)?;
        HeadsLock::take(&self.handle)?.change(change, || Ok(()))
    }
}

impl OpHeadsStore for SimpleStore {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.handle.gate.check_open("read heads")?;
        Ok(read(&self.handle)?.into_iter().collect())
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.change_heads("update heads", &HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() })
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.change_heads("swap heads", &HeadChange::Swap { expected: expected.to_vec(), new: vec![*new] })
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST.with_durability(self.handle.durability).with_atomic_heads(true)
    }
}

/// The exclusive right to change the heads, across threads, handles and processes.
pub(crate) struct HeadsLock<'a> {
    handle: &'a Handle,
    // Dropped in this order: the lock file first, so that the next thread of this handle finds it free.
    _file: Box<dyn Lock>,
    _thread: MutexGuard<'a, ()>,
}

impl<'a> HeadsLock<'a> {
    pub(crate) fn take(handle: &'a Handle) -> Result<Self, StoreError> {
        let thread = hold(&handle.heads);
        // The previous thread may have failed to sync the heads.
        handle.gate.check_poison()?;
        let file = handle.lock(&handle.paths.lock(), LockMode::Exclusive)?;
        Ok(Self { handle, _file: file, _thread: thread })
    }

    /// Changes the heads if `before_deciding` succeeds, which runs before they are read. Releases the lock before it
    /// waits for a sync of another thread.
    pub(crate) fn change(
        self,
        change: &HeadChange,
        before_deciding: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.change_held(change, before_deciding)?;
        let handle = self.handle;
        drop(self);
        handle.after_whole_sync(Outcome::Unknown)
    }

    fn change_held(
        &self,
        change: &HeadChange,
        before_deciding: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        before_deciding()?;
        let heads = change.apply(&read(self.handle)?)?;
        let text = encode(&heads);
        if text.len() as u64 > HEADS_BYTES_MAX {
            let reason = format!("{} heads exceed the limit of the heads file", heads.len());
            return Err(StoreError::InvalidArgument { operation: "change heads", reason });
        }
        // Durable regardless of the options, because the file also holds the heads of other handles.
        let file = Unfinished::write_durably(self.handle, text.as_bytes())?;
        // A rename that failed may have been carried out, if only its reply was lost.
        file.publish(&self.handle.paths.op_heads()).map_err(may_be_applied)?;
        self.handle.sync_folder(self.handle.paths.root(), Outcome::Unknown)
    }
}

/// Reads the heads from disk. Needs no lock, because the file is replaced as a whole.
pub(crate) fn read(handle: &Handle) -> Result<BTreeSet<Cid>, StoreError> {
    let path = handle.paths.op_heads();
    let bytes = match handle.read_required(&path, HEADS_BYTES_MAX)? {
        Contents::Bytes(bytes) => bytes,
        // Every store has the file from its creation on, so without it the heads are lost, not empty.
        Contents::Absent => return Err(damaged(&path, "the heads file is missing")),
        Contents::NotAFile => return Err(damaged(&path, "the heads file is not a regular file")),
        Contents::TooLong(bytes) => return Err(damaged(&path, format!("the heads file has {bytes} bytes"))),
    };
    decode_any_line_ends(&bytes).map_err(|why| damaged(&path, why))
}

/// Decodes the heads of a text whose line ends are unchanged, or were all changed to CR LF by a tool that copied the
/// store. The checksum covers the original line ends, so it detects any other change.
fn decode_any_line_ends(bytes: &[u8]) -> Result<BTreeSet<Cid>, String> {
    decode(bytes).or_else(|why| {
        let text = str::from_utf8(bytes).ok().filter(|text| text.contains("\r\n")).ok_or_else(|| why.clone())?;
        decode(text.replace("\r\n", "\n").as_bytes()).map_err(|_| why)
    })
}

/// The text of the file: one CID per line, ascending, then the checksum.
pub(crate) fn encode(heads: &BTreeSet<Cid>) -> String {
    let mut text = String::new();
    for head in heads {
        text.push_str(&tables::cid_name(head));
        text.push('\n');
    }
    let checksum = checksum(&text);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{CHECKSUM}{checksum}");
    text
}

fn decode(bytes: &[u8]) -> Result<BTreeSet<Cid>, String> {
    let text = str::from_utf8(bytes).map_err(|error| format!("not text: {error}"))?;
    let (lines, checksum_line) = match text.rfind(CHECKSUM) {
        Some(start) => text.split_at(start),
        None => return Err("the checksum line is missing".to_owned()),
    };
    if checksum_line != format!("{CHECKSUM}{}\n", checksum(lines)) {
        return Err("the checksum does not match".to_owned());
    }
    let mut heads = BTreeSet::new();
    for (number, line) in lines.split_terminator('\n').enumerate() {
        let head = tables::cid_of_name(line).ok_or_else(|| format!("line {} is not a CID in base32", number + 1))?;
        if heads.last().is_some_and(|last| *last >= head) {
            return Err(format!("line {} is out of order", number + 1));
        }
        heads.insert(head);
    }
    // The text must be exactly what would be written, so an empty line or a missing line end is an error.
    if encode(&heads).as_bytes() == bytes { Ok(heads) } else { Err("a line has an invalid end".to_owned()) }
}

fn checksum(text: &str) -> String {
    tables::hex(cid_of(RAW, text.as_bytes()).hash().digest())
}
