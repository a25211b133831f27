//! A disk that logs every call, and fails or lies on demand.

use std::{
    fmt, io,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mnem_crash_tests::{Medium, Process};
use redb::{BackendError, StorageBackend};

use super::{image::Image, survivors::Cuts};

/// An entry of a disk's log.
#[derive(Clone)]
pub(super) enum Entry {
    Write(usize, Arc<[u8]>),
    SetLen(usize),
    Sync,
    /// A failed sync: its pages count as clean from now on, so no later sync writes them, and reads find them in
    /// memory.
    SyncFailed,
}

/// The kinds of calls to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Len,
    Read,
    Write,
    SetLen,
    Sync,
}

pub(super) const CALLS: [Call; 5] = [Call::Len, Call::Read, Call::Write, Call::SetLen, Call::Sync];

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    InputOutput,
    NoSpace,
    Interrupted,
    /// Half of the bytes, then an error.
    Short,
}

pub(super) const HOW: [How; 4] = [How::InputOutput, How::NoSpace, How::Interrupted, How::Short];

impl How {
    fn error(self) -> io::Error {
        match self {
            Self::InputOutput => io::Error::other("planted input/output error"),
            Self::NoSpace => io::ErrorKind::StorageFull.into(),
            Self::Interrupted => io::ErrorKind::Interrupted.into(),
            Self::Short => io::ErrorKind::WriteZero.into(),
        }
    }
}

/// The `n`-th call of a kind, from 0, fails: only that one, or also all later ones until the disk is plugged in again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) call: Call,
    pub(super) n: usize,
    pub(super) how: How,
    pub(super) lasting: bool,
}

/// What a disk reports as done without doing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    /// Any sync.
    EverySync,
    /// One sync, from 0.
    OneSync(usize),
    /// Every sync leaves out the last write before it.
    LastWrite,
}

/// Clones share everything.
#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    start: Image,
    now: Image,
    log: Vec<Entry>,
    counts: [usize; CALLS.len()],
    fault: Option<Fault>,
    fired: bool,
    lie: Option<Lie>,
    /// Whether it lies by now.
    lying: bool,
    /// An event that runs elsewhere during every sync.
    at_sync: Option<Arc<dyn Fn() + Send + Sync>>,
    /// How often it was plugged in. Calls through an earlier plug fail: its holder was killed.
    plugged_in: usize,
}

impl Disk {
    pub(super) fn of(image: Image) -> Self {
        Self(Arc::new(Mutex::new(State { start: image.clone(), now: image, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lies from now on, or from the first acknowledgement on.
    pub(super) fn lie(&self, lie: Option<Lie>, at_once: bool) {
        let mut state = self.state();
        (state.lie, state.lying) = (lie, at_once);
    }

    pub(super) fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// Runs an event elsewhere during every sync from now on.
    pub(super) fn at_sync(&self, event: impl Fn() + Send + Sync + 'static) {
        self.state().at_sync = Some(Arc::new(event));
    }

    /// Whether the call that should fail has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.state().fired
    }

    /// The disk as a medium. The previous holder is cut off, as by a kill.
    pub(super) fn plug_in(&self) -> Plug {
        let mut state = self.state();
        state.plugged_in += 1;
        if state.fired {
            state.fault = None;
        }
        Plug { disk: self.clone(), number: state.plugged_in }
    }

    pub(super) fn log(&self) -> Vec<Entry> {
        self.state().log.clone()
    }

    pub(super) fn count(&self, call: Call) -> usize {
        self.state().counts[call as usize]
    }
}

impl Medium for Disk {
    type Image = Image;
    type Process = Plug;
    type Cuts = Cuts;

    fn entries(&self) -> usize {
        self.state().log.len()
    }

    fn process(&self) -> Plug {
        self.plug_in()
    }

    fn cuts(&self) -> Cuts {
        let state = self.state();
        Cuts::of(state.start.clone(), state.log.clone())
    }
}

impl State {
    /// Counts a call. Returns how it fails, if it should.
    fn failing(&mut self, call: Call) -> Option<How> {
        let n = self.counts[call as usize];
        self.counts[call as usize] += 1;
        let fault = self.fault.filter(|fault| fault.call == call)?;
        if n == fault.n || (fault.lasting && n > fault.n) {
            self.fired = true;
            return Some(fault.how);
        }
        None
    }

    fn write(&mut self, offset: usize, data: &[u8]) {
        self.now.write(offset, data);
        self.log.push(Entry::Write(offset, data.into()));
    }

    fn sync(&mut self) {
        let nth = self.counts[Call::Sync as usize] - 1;
        match self.lie.filter(|_| self.lying) {
            Some(Lie::EverySync) => {}
            Some(Lie::OneSync(n)) if n == nth => {}
            Some(Lie::LastWrite) if matches!(self.log.last(), Some(Entry::Write(..))) => {
                self.log.insert(self.log.len() - 1, Entry::Sync);
            }
            _ => self.log.push(Entry::Sync),
        }
    }
}

/// A connection to the disk, as one holder has it.
#[derive(Clone)]
pub(super) struct Plug {
    disk: Disk,
    number: usize,
}

impl Plug {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.plugged_in == self.number { Ok(state) } else { Err(io::Error::other("whoever had this was killed")) }
    }

    fn call(&self, call: Call) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state()?;
        match state.failing(call) {
            Some(how) => Err(how.error()),
            None => Ok(state),
        }
    }
}

impl Process for Plug {
    fn kill(&self) {
        self.disk.state().plugged_in += 1;
    }

    fn acknowledged(&self) {
        self.disk.state().lying = true;
    }
}

impl fmt::Debug for Plug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plug({})", self.number)
    }
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("a disk in memory")
}

impl StorageBackend for Plug {
    fn len(&self) -> io::Result<u64> {
        Ok(self.call(Call::Len)?.now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.call(Call::Read)?;
        if state.now.read(small(offset), out) { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.call(Call::SetLen)?;
        state.now.set_len(small(len));
        state.log.push(Entry::SetLen(small(len)));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let event = self.state()?.at_sync.clone();
        if let Some(event) = event {
            event();
        }
        let mut state = self.state()?;
        if let Some(how) = state.failing(Call::Sync) {
            state.log.push(Entry::SyncFailed);
            return Err(how.error());
        }
        state.sync();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state()?;
        match state.failing(Call::Write) {
            None => state.write(small(offset), data),
            Some(how) => {
                if how == How::Short {
                    state.write(small(offset), &data[..data.len() / 2]);
                }
                return Err(how.error());
            }
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}
