//! Stores in memory for the published client that write down every call made of them, and its answer.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard},
};

use mnem_store_traits::Bytes;
use published_core::{
    error::StoreError,
    id::Cid,
    store::{Blockstore, OpHeadsStore, blockstore::recompute_cid},
};

/// A block store and its heads, as the published `mnem-core` knows them, that record calls while told to.
///
/// Clones share one content. The format of the recording is described in `benches/traces/README.md`.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    blocks: HashMap<Cid, Bytes>,
    /// The blocks in the order in which they came.
    order: Vec<Cid>,
    heads: BTreeSet<Cid>,
    recording: Option<Recording>,
}

#[derive(Debug, Default)]
struct Recording {
    given: String,
    /// A number for each CID: first what was there, in the order in which it came, then in the order in which the calls name them.
    numbers: HashMap<Cid, usize>,
    /// What the calls were the first to name, with the size that a put or a get told.
    named: Vec<(Cid, usize)>,
    calls: String,
}

impl State {
    /// The number of `cid`; `size` is 0 for what is named without bytes and is corrected by a later put.
    fn number(&mut self, cid: &Cid, size: usize) -> usize {
        let Some(recording) = &mut self.recording else { return 0 };
        let next = recording.numbers.len();
        let number = *recording.numbers.entry(cid.clone()).or_insert(next);
        if number == next {
            recording.named.push((cid.clone(), size));
        } else if let Some((_, known)) = number
            .checked_sub(next - recording.named.len())
            .and_then(|at| recording.named.get_mut(at))
            .filter(|(_, known)| *known == 0)
        {
            *known = size;
        }
        number
    }

    fn call(&mut self, line: &str) {
        if let Some(recording) = &mut self.recording {
            recording.calls.push_str(line);
            recording.calls.push('\n');
        }
    }

    fn numbers(&mut self, cids: &[Cid]) -> String {
        let size = |state: &Self, cid: &Cid| state.blocks.get(cid).map_or(0, Bytes::len);
        let numbers = cids.iter().map(|cid| {
            let size = size(self, cid);
            format!(" {}", self.number(cid, size))
        });
        numbers.collect()
    }

    fn put(&mut self, letter: char, cid: Cid, data: Bytes) {
        let number = self.number(&cid, data.len());
        self.call(&format!("{letter} {number}"));
        self.insert(cid, data);
    }

    fn insert(&mut self, cid: Cid, data: Bytes) {
        if let Entry::Vacant(place) = self.blocks.entry(cid.clone()) {
            place.insert(data);
            self.order.push(cid);
        }
    }
}

impl Recorder {
    /// An empty store, not recording.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to record: what is there now is what the calls are given.
    pub fn begin(&self) {
        let mut state = self.lock();
        let mut recording = Recording::default();
        let heads: Vec<Cid> = state.heads.iter().cloned().collect();
        let _ = writeln!(recording.given, "given {}", state.order.len());
        for (number, cid) in state.order.iter().enumerate() {
            let _ = writeln!(recording.given, "{cid} {}", state.blocks.get(cid).map_or(0, Bytes::len));
            recording.numbers.insert(cid.clone(), number);
        }
        state.recording = Some(recording);
        let numbers = state.numbers(&heads);
        if let Some(recording) = &mut state.recording {
            let _ = writeln!(recording.given, "heads{numbers}");
        }
    }

    /// Ends the recording and returns its text; empty when nothing was being recorded.
    #[must_use]
    pub fn end(&self) -> String {
        let Some(recording) = self.lock().recording.take() else { return String::new() };
        let mut text = format!("mnem-trace 1\n{}named {}\n", recording.given, recording.named.len());
        for (cid, size) in &recording.named {
            let _ = writeln!(text, "{cid} {size}");
        }
        text + "calls\n" + &recording.calls
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// What the published backend checks of a put: the two hash functions that it knows.
fn mismatch(cid: &Cid, data: &Bytes) -> Option<StoreError> {
    let computed = recompute_cid(cid, data).filter(|computed| computed != cid)?;
    Some(StoreError::CidMismatch { claimed: cid.clone(), computed })
}

impl Blockstore for Recorder {
    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let size = state.blocks.get(cid).map(Bytes::len);
        let number = state.number(cid, size.unwrap_or_default());
        state.call(&format!("{} {number}", if size.is_some() { 'h' } else { 'i' }));
        Ok(size.is_some())
    }

    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let mut state = self.lock();
        let found = state.blocks.get(cid).cloned();
        let number = state.number(cid, found.as_ref().map_or(0, Bytes::len));
        state.call(&format!("{} {number}", if found.is_some() { 'g' } else { 'f' }));
        Ok(found)
    }

    fn put(&self, cid: Cid, data: Bytes) -> Result<(), StoreError> {
        match mismatch(&cid, &data) {
            Some(error) => Err(error),
            None => {
                self.lock().put('p', cid, data);
                Ok(())
            }
        }
    }

    fn put_trusted(&self, cid: Cid, data: Bytes) -> Result<(), StoreError> {
        self.lock().put('t', cid, data);
        Ok(())
    }

    fn batch_put(&self, blocks: &mut dyn Iterator<Item = (Cid, Bytes)>) -> Result<(), StoreError> {
        let blocks: Vec<_> = blocks.collect();
        if let Some(error) = blocks.iter().find_map(|(cid, data)| mismatch(cid, data)) {
            return Err(error);
        }
        let mut state = self.lock();
        let numbers: String = blocks.iter().map(|(cid, data)| format!(" {}", state.number(cid, data.len()))).collect();
        state.call(&format!("m{numbers}"));
        blocks.into_iter().for_each(|(cid, data)| state.insert(cid, data));
        Ok(())
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        let mut state = self.lock();
        let number = state.number(cid, 0);
        state.call(&format!("d {number}"));
        state.blocks.remove(cid);
        state.order.retain(|known| known != cid);
        Ok(())
    }

    fn all_cids(&self) -> Result<Option<Vec<Cid>>, StoreError> {
        let mut state = self.lock();
        let cids = state.order.clone();
        state.call(&format!("l {}", cids.len()));
        Ok(Some(cids))
    }
}

impl OpHeadsStore for Recorder {
    fn current(&self) -> Result<Vec<Cid>, StoreError> {
        let mut state = self.lock();
        let heads: Vec<Cid> = state.heads.iter().cloned().collect();
        let numbers = state.numbers(&heads);
        state.call(&format!("c{numbers}"));
        Ok(heads)
    }

    fn update(&self, new: Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let mut state = self.lock();
        let numbers = state.numbers(&[std::slice::from_ref(&new), supersedes].concat());
        state.call(&format!("u{numbers}"));
        state.heads.insert(new);
        for cid in supersedes {
            state.heads.remove(cid);
        }
        Ok(())
    }
}
