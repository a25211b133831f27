//! An in-memory object store behind a network that can lose answers.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::super::Fault;

/// An in-memory object store behind a network, for backends on a network. It implements all hooks of the profiles
/// faults and network.
///
/// To use it, let the backend make all its requests through a [`Connection`], one for each opening. In the
/// [`Fixture`](crate::conformance::Fixture), use the network as the place and return it from
/// [`network`](crate::conformance::Fixture::network). Clones are the same object store.
///
/// ```
/// use mnem_store_traits::conformance::{Fault, MemoryNetwork, Precondition};
///
/// let network = MemoryNetwork::new(); // in `create`
/// let connection = network.connect(); // in `open`
/// let version = connection.put("heads", b"one", Precondition::Absent)?;
/// network.set_fault(Some(Fault::AnswerLost(0)));
/// assert!(connection.put("heads", b"two", Precondition::Version(version)).is_err());
/// let (data, _) = connection.get("heads")?.unwrap_or_default();
/// assert_eq!(data, b"two"); // the write was applied although its answer was lost
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Every answered write is durable; there is no sync.
#[derive(Clone, Default)]
pub struct MemoryNetwork(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    latency: Duration,
    requests: AtomicU64,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, (Vec<u8>, u64)>,
    versions: u64,
    fault: Option<Fault>,
}

/// The condition for writing an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precondition {
    /// No condition.
    None,
    /// The object does not exist yet.
    Absent,
    /// The object has this version.
    Version(u64),
}

/// A [`MemoryNetwork`] as one opening sees it. Each call is one request.
#[derive(Clone, Debug)]
pub struct Connection(MemoryNetwork);

/// The fate of a request that arrives.
enum Fate {
    Answered,
    AnswerLost,
    FalseConflict,
}

impl MemoryNetwork {
    /// An empty object store.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty object store with this latency for each request.
    pub fn with_latency(latency: Duration) -> Self {
        Self(Arc::new(Shared { latency, ..Shared::default() }))
    }

    /// Opens the object store.
    pub fn connect(&self) -> Connection {
        Connection(self.clone())
    }

    /// Makes the network fail in this way from now on; `None` repairs it.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// The number of requests so far.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    // Nothing panics under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl fmt::Debug for MemoryNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("MemoryNetwork")
            .field("objects", &state.objects.len())
            .field("fault", &state.fault)
            .finish_non_exhaustive()
    }
}

impl State {
    /// The fate of the next request. An error means that the request does not arrive.
    fn fate(&mut self, writes: bool) -> io::Result<Fate> {
        let (left, once) = match &mut self.fault {
            Some(Fault::Reads) if !writes => return Err(io::Error::other("planted: no answer to reads")),
            Some(Fault::ReadsAfter(left)) if !writes => (left, None),
            Some(Fault::WritesAfter(left)) if writes => (left, None),
            Some(Fault::RequestRefused(left)) => {
                (left, Some(Err(io::Error::other("planted: the service is busy, try again"))))
            }
            Some(Fault::AnswerLost(left)) => (left, Some(Ok(Fate::AnswerLost))),
            Some(Fault::FalseConflict(left)) if writes => (left, Some(Ok(Fate::FalseConflict))),
            _ => return Ok(Fate::Answered),
        };
        if let Some(less) = left.checked_sub(1) {
            *left = less;
            return Ok(Fate::Answered);
        }
        let Some(fate) = once else { return Err(io::Error::other("planted: no answer")) };
        self.fault = None;
        fate
    }

    fn put(&mut self, name: &str, data: &[u8], precondition: Precondition) -> io::Result<u64> {
        let found = self.objects.get(name).map(|(_, version)| *version);
        let holds = match precondition {
            Precondition::None => true,
            Precondition::Absent => found.is_none(),
            Precondition::Version(version) => found == Some(version),
        };
        if !holds {
            return Err(conflict());
        }
        self.versions += 1;
        self.objects.insert(name.to_owned(), (data.to_vec(), self.versions));
        Ok(self.versions)
    }
}

fn conflict() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "conflict: the object is not as was expected")
}

impl Connection {
    fn request<T>(&self, writes: bool, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let network = &self.0.0;
        network.requests.fetch_add(1, Ordering::Relaxed);
        if !network.latency.is_zero() {
            thread::sleep(network.latency);
        }
        let mut state = self.0.state();
        match state.fate(writes)? {
            Fate::Answered => act(&mut state),
            Fate::FalseConflict => Err(conflict()),
            Fate::AnswerLost => {
                // The request arrived and was carried out, but its result is lost.
                let _ = act(&mut state);
                Err(io::Error::new(io::ErrorKind::ConnectionReset, "planted: the answer was lost"))
            }
        }
    }

    /// The bytes of an object and its version, or `None` if it does not exist.
    ///
    /// # Errors
    /// There was no answer.
    pub fn get(&self, name: &str) -> io::Result<Option<(Vec<u8>, u64)>> {
        self.request(false, |state| Ok(state.objects.get(name).cloned()))
    }

    /// The names of up to `most` objects that begin with `prefix` and sort after `after`, in ascending order.
    ///
    /// # Errors
    /// There was no answer.
    pub fn list(&self, prefix: &str, after: &str, most: usize) -> io::Result<Vec<String>> {
        self.request(false, |state| {
            let begin = after.max(prefix).to_owned();
            let names = state.objects.range(begin..).map(|(name, _)| name);
            let wanted = names.take_while(|name| name.starts_with(prefix)).filter(|name| name.as_str() > after);
            Ok(wanted.take(most).cloned().collect())
        })
    }

    /// Writes an object, and returns its new version.
    ///
    /// # Errors
    /// - [`AlreadyExists`](io::ErrorKind::AlreadyExists): the precondition does not hold, or the service claims so.
    ///   Nothing was written.
    /// - [`ConnectionReset`](io::ErrorKind::ConnectionReset): the answer was lost. The object may have been written.
    /// - Any other error: nothing was written.
    pub fn put(&self, name: &str, data: &[u8], precondition: Precondition) -> io::Result<u64> {
        self.request(true, |state| state.put(name, data, precondition))
    }

    /// Removes an object if it exists.
    ///
    /// # Errors
    /// The same as for [`put`](Self::put).
    pub fn delete(&self, name: &str) -> io::Result<()> {
        self.request(true, |state| {
            state.objects.remove(name);
            Ok(())
        })
    }
}
