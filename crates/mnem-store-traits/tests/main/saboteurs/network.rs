//! A store on a network, sound or with one flaw in how it handles lost answers.

use std::{collections::BTreeSet, io, time::Duration};

use mnem_store_traits::{
    Blockstore, Bytes, Capabilities, Cause, Cid, CidIter, Durability, HeadChange, HeadsCapabilities, OpHeadsStore,
    Outcome, Store, StoreError, WriteBatch,
    backend::{check_block, check_read, check_size, pages},
    conformance::{Connection, Fixture, FixtureError, Handles, MemoryNetwork, Precondition, Profile},
    limits::BLOCK_BYTES_EVERY_BACKEND,
};

/// The flaw of a store, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// After a lost answer, writes the heads again, and takes its own first write for another writer's.
    RetriesBlindly,
    /// Takes a lost answer to mean that the write was not applied.
    LostIsNotApplied,
    /// Takes every conflict for the work of another writer, without looking.
    ConflictIsAnothersDoing,
    /// Reports an object as absent if the request fails.
    RefusedIsAbsence,
    /// A listing whose request fails begins anew.
    RefusedListingBeginsAnew,
}

#[derive(Debug)]
struct Objects {
    connection: Connection,
    flaw: Flaw,
}

fn name(cid: &Cid) -> String {
    format!("blocks/{cid}")
}

impl Objects {
    fn failed(&self, operation: &str, error: io::Error) -> StoreError {
        let lost = error.kind() == io::ErrorKind::ConnectionReset && self.flaw != Flaw::LostIsNotApplied;
        let outcome = if lost { Outcome::Unknown } else { Outcome::NotApplied };
        StoreError::Backend { backend: "objects", operation: operation.to_owned(), outcome, source: Cause::new(error) }
    }

    fn object(&self, name: &str) -> Result<Option<(Vec<u8>, u64)>, StoreError> {
        match self.connection.get(name) {
            Err(_) if self.flaw == Flaw::RefusedIsAbsence => Ok(None),
            answer => answer.map_err(|error| self.failed("get", error)),
        }
    }

    /// The heads, and the precondition for writing them.
    fn read_heads(&self) -> Result<(BTreeSet<Cid>, Precondition), StoreError> {
        let Some((text, version)) = self.object("heads")? else { return Ok((BTreeSet::new(), Precondition::Absent)) };
        let text = String::from_utf8(text).expect("text");
        let heads = text.split_whitespace().map(|cid| cid.parse().expect("a CID")).collect();
        Ok((heads, Precondition::Version(version)))
    }

    /// Reads the heads, computes the new ones, and writes them if no other writer came first; otherwise tries again.
    fn change(&self, change: &HeadChange) -> Result<(), StoreError> {
        loop {
            let (found, precondition) = self.read_heads()?;
            let heads: Vec<String> = change.apply(&found)?.iter().map(Cid::to_string).collect();
            match self.connection.put("heads", heads.join(" ").as_bytes(), precondition) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if self.flaw == Flaw::ConflictIsAnothersDoing {
                        return Err(StoreError::HeadsMoved { actual: found.into_iter().collect() });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset && self.flaw == Flaw::RetriesBlindly => {}
                Err(error) => return Err(self.failed("write the heads", error)),
            }
        }
    }
}

impl Blockstore for Objects {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let Some((data, _)) = self.object(&name(cid))? else { return Ok(None) };
        check_read("objects", cid, &data)?;
        Ok(Some(data.into()))
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, BLOCK_BYTES_EVERY_BACKEND)?;
        check_block(cid, &data)?;
        if self.object(&name(cid))?.is_some() {
            return Ok(());
        }
        let put = self.connection.put(&name(cid), &data, Precondition::None);
        put.map(drop).map_err(|error| self.failed("put", error))
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.connection.delete(&name(cid)).map_err(|error| self.failed("delete", error))
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        Ok(pages(|after: Option<Cid>| {
            let after = after.as_ref().map(name).unwrap_or_default();
            let mut names = self.connection.list("blocks/", &after, 1000);
            if names.is_err() && self.flaw == Flaw::RefusedListingBeginsAnew {
                names = self.connection.list("blocks/", "", 1000);
            }
            let names = names.map_err(|error| self.failed("list", error))?;
            Ok(names.iter().map(|name| name["blocks/".len()..].parse().expect("a CID")).collect())
        }))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::WEAKEST.with_put_durability(Durability::Power)
    }
}

impl OpHeadsStore for Objects {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        Ok(self.read_heads()?.0.into_iter().collect())
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.change(&HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() })
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.change(&HeadChange::Swap { expected: expected.to_vec(), new: vec![*new] })
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST.with_durability(Durability::Power)
    }
}

/// Writes the blocks first, then all heads in one step.
impl Store for Objects {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.check(BLOCK_BYTES_EVERY_BACKEND)?;
        batch.puts().iter().try_for_each(|put| self.put_trusted(&put.cid, put.data.clone()))?;
        for cid in batch.required() {
            if !self.has(cid)? {
                return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
            }
        }
        batch.head().map_or(Ok(()), |head| self.change(head))
    }
}

/// Stores with this flaw, each in an object store of its own with this latency.
pub(crate) struct OverNetwork {
    pub(crate) flaw: Flaw,
    pub(crate) latency: Duration,
}

impl OverNetwork {
    const fn new(flaw: Flaw) -> Self {
        Self { flaw, latency: Duration::ZERO }
    }
}

impl Fixture for OverNetwork {
    type Place = MemoryNetwork;

    fn name(&self) -> &str {
        "a network in memory"
    }

    fn create(&self) -> Result<MemoryNetwork, FixtureError> {
        Ok(MemoryNetwork::with_latency(self.latency))
    }

    fn open(&self, network: &MemoryNetwork) -> Result<Handles, FixtureError> {
        Ok(Handles::from(std::sync::Arc::new(Objects { connection: network.connect(), flaw: self.flaw })))
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence, Profile::SecondHandle, Profile::Faults, Profile::Network]
    }

    fn network<'a>(&self, place: &'a MemoryNetwork) -> Option<&'a MemoryNetwork> {
        Some(place)
    }

    fn has_syncs(&self) -> bool {
        false
    }

    fn latency_hint(&self) -> Duration {
        self.latency
    }

    fn parallel(&self) -> usize {
        if self.latency.is_zero() { 1 } else { 64 }
    }
}

macro_rules! flaws {
    ($($name:ident: $flaw:ident => $law:ident $text:literal;)*) => {
        pub(super) const KILLED: &[&str] = &[$(stringify!($law)),*];

        $(#[test]
        fn $name() {
            super::kills_with(stringify!($law), $text, OverNetwork::new(Flaw::None), OverNetwork::new(Flaw::$flaw));
        })*
    };
}

flaws! {
    meets_its_own_heads: RetriesBlindly => every_write_over_a_network_is_as_it_says "saw       heads changed";
    says_not_applied_and_it_was: LostIsNotApplied => every_write_over_a_network_is_as_it_says "after Err(HeadsMoved";
    passes_on_a_false_conflict: ConflictIsAnothersDoing => every_write_over_a_network_is_as_it_says "FalseConflict";
    listing_begins_anew: RefusedListingBeginsAnew => every_read_over_a_network_is_right_or_an_error "each once";
    takes_what_was_refused_for_absent: RefusedIsAbsence => every_read_over_a_network_is_right_or_an_error "Ok(false)";
}
