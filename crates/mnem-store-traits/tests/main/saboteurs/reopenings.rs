//! Defects that show after reopening: a sound store on a disk, and a fault while it is reopened.

use std::{
    fmt::Debug,
    marker::PhantomData,
    sync::{Arc, Mutex},
};

use mnem_store_traits::{
    Bytes, Cid, OpHeadsStore, RAW, SideTable, Store, StoreError, WriteBatch, cid_of,
    conformance::{Fixture, FixtureError, Handles, Profile},
};

use super::{
    disk::{Disk, DiskStore, Flaw, OnDisk},
    lock, saboteurs,
};

saboteurs! { by kills:
    reopening_forgets_blocks: ForgetsBlocks => acknowledged_blocks_survive_reopen "after reopening";
    reopening_forgets_what_was_not_closed: ForgetsWhatWasNotClosed => blocks_survive_a_drop_without_close "dropped without close()";
    reopening_forgets_committed_blocks: ForgetsBlocks => commit_survives_reopen "after a commit of it and reopening";
    reopening_reads_names_as_cidv1: KeepsVersionOneOnly => every_kind_of_block_survives_reopen "get(Qm";
    reopening_lists_its_own_files: StoresItsFormat => empty_store_reopens_empty "never put";
    reopening_forgets_what_came_back: ForgetsBlocks => what_came_back_survives_reopen "after reopening";
    reopening_forgets_what_came_back_late: ForgetsWhatCameBackLate => what_came_back_survives_reopen "other writes";
    reopening_forgets_long_keys_without_a_value: ForgetsLongKeysWithoutAValue => side_tables_survive_reopen "after reopening";
    reopening_keeps_one_head: KeepsOneHead => heads_survive_reopen "heads() after reopening";
    reopening_keeps_a_thousand_heads: KeepsAThousandHeads => sets_of_heads_survive_reopen "2500 heads, ascending";
    reopening_makes_a_first_head: MakesAFirstHead => no_heads_survive_reopen_as_none "of a store without heads";
    reopening_forgets_rows: ForgetsRows => side_tables_survive_reopen "side_tables() after reopening";
    reopening_forgets_at_random: ForgetsBlocks => random_operations_survive_reopening "reopen";
}

/// The fault, applied through a separate handle before a store is reopened.
trait Reopening: Debug + Default + Send + Sync + 'static {
    fn reopen(&self, store: &dyn Store, was_closed: bool) -> Result<(), StoreError>;
}

#[derive(Debug, Default)]
struct Reopened<R>(PhantomData<R>);

struct Place<R> {
    disk: Arc<Disk>,
    last: Mutex<Option<DiskStore>>,
    defect: R,
}

impl<R: Reopening> Fixture for Reopened<R> {
    type Place = Place<R>;

    fn name(&self) -> &str {
        std::any::type_name::<R>()
    }
    fn create(&self) -> Result<Place<R>, FixtureError> {
        Ok(Place { disk: OnDisk(Flaw::None).create()?, last: Mutex::default(), defect: R::default() })
    }
    fn open(&self, place: &Place<R>) -> Result<Handles, FixtureError> {
        let mut last = lock(&place.last);
        if let Some(last) = &*last {
            place.defect.reopen(&OnDisk::handle(&place.disk)?, last.heads().is_err())?;
        }
        let store = OnDisk::handle(&place.disk)?;
        *last = Some(store.clone());
        Ok(Handles::from(Arc::new(store)))
    }
    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence]
    }
}

fn kills<R: Reopening>(law: &str, text: &str) {
    super::kills_with(law, text, OnDisk(Flaw::None), Reopened::<R>::default());
}

fn delete_where(store: &dyn Store, lost: impl Fn(&Cid) -> bool) -> Result<(), StoreError> {
    let cids: Vec<Cid> = store.cids()?.collect::<Result<_, _>>()?;
    cids.iter().filter(|cid| lost(cid)).try_for_each(|cid| store.delete(cid))
}

#[derive(Debug, Default)]
struct ForgetsBlocks;

impl Reopening for ForgetsBlocks {
    fn reopen(&self, store: &dyn Store, _: bool) -> Result<(), StoreError> {
        delete_where(store, |_| true)
    }
}

/// Reads many records in another way, and loses a block that was deleted and put again.
#[derive(Debug, Default)]
struct ForgetsWhatCameBackLate;

impl Reopening for ForgetsWhatCameBackLate {
    fn reopen(&self, store: &dyn Store, _: bool) -> Result<(), StoreError> {
        let has_many = store.cids()?.count() > 300;
        let back = cid_of(RAW, b"back");
        if has_many { store.delete(&back) } else { Ok(()) }
    }
}

#[derive(Debug, Default)]
struct ForgetsLongKeysWithoutAValue;

impl Reopening for ForgetsLongKeysWithoutAValue {
    fn reopen(&self, store: &dyn Store, _: bool) -> Result<(), StoreError> {
        for name in store.side_tables()? {
            let table = store.side_table(&name)?;
            let keys: Vec<Bytes> = table.keys(b"")?.collect::<Result<_, _>>()?;
            for key in keys.into_iter().filter(|key| key.len() > 32) {
                if table.get(&key)?.is_some_and(|value| value.is_empty()) {
                    table.write(&[], &[key])?;
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct ForgetsWhatWasNotClosed;

impl Reopening for ForgetsWhatWasNotClosed {
    fn reopen(&self, store: &dyn Store, was_closed: bool) -> Result<(), StoreError> {
        delete_where(store, |_| !was_closed)
    }
}

#[derive(Debug, Default)]
struct KeepsVersionOneOnly;

impl Reopening for KeepsVersionOneOnly {
    fn reopen(&self, store: &dyn Store, _: bool) -> Result<(), StoreError> {
        delete_where(store, |cid| cid.version() == mnem_store_traits::cid::Version::V0)
    }
}

#[derive(Debug, Default)]
struct StoresItsFormat;

impl Reopening for StoresItsFormat {
    fn reopen(&self, store: &dyn Store, _: bool) -> Result<(), StoreError> {
        let format = Bytes::from_static(b"format 1");
        store.put(&cid_of(RAW, &format), format)
    }
}

#[derive(Debug, Default)]
struct KeepsOneHead;

impl Reopening for KeepsOneHead {
    fn reopen(&self, store: &dyn Store, _: bool) -> Result<(), StoreError> {
        let heads = store.heads()?;
        heads.first().map_or(Ok(()), |first| store.swap(&heads, first))
    }
}

#[derive(Debug, Default)]
struct KeepsAThousandHeads;

impl Reopening for KeepsAThousandHeads {
    fn reopen(&self, store: &dyn Store, _: bool) -> Result<(), StoreError> {
        let heads = store.heads()?;
        let kept: Vec<Cid> = heads.iter().take(1000).copied().collect();
        if kept.len() < heads.len() { store.commit(WriteBatch::new().swap_all(heads, kept)) } else { Ok(()) }
    }
}

#[derive(Debug, Default)]
struct MakesAFirstHead;

impl Reopening for MakesAFirstHead {
    fn reopen(&self, store: &dyn Store, _: bool) -> Result<(), StoreError> {
        if store.heads()?.is_empty() { store.update(&cid_of(RAW, b"root"), &[]) } else { Ok(()) }
    }
}

#[derive(Debug, Default)]
struct ForgetsRows;

impl Reopening for ForgetsRows {
    fn reopen(&self, store: &dyn Store, _: bool) -> Result<(), StoreError> {
        for name in store.side_tables()? {
            let table = store.side_table(&name)?;
            let keys: Vec<Bytes> = table.keys(b"")?.collect::<Result<_, _>>()?;
            table.write(&[], &keys)?;
        }
        Ok(())
    }
}
