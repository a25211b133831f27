//! `&S`, `Box<S>` and `Arc<S>` forward each call to the store, and never use a default method instead.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cid, CidIter, Cids, HeadsCapabilities, IsDead, KeyIter, OnBlock,
    OpHeadsStore, RAW, SideTable, Store, StoreError, Swept, WriteBatch, cid_of,
};

/// Overrides every method, and records which one was called.
#[derive(Debug, Default)]
struct Spy(Mutex<Vec<&'static str>>);

impl Spy {
    fn note(&self, method: &'static str) {
        self.0.lock().expect("no test panics while it holds this").push(method);
    }
}

impl Blockstore for Spy {
    fn get(&self, _: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.note("get");
        Ok(None)
    }
    fn put(&self, _: &Cid, _: Bytes) -> Result<(), StoreError> {
        self.note("put");
        Ok(())
    }
    fn delete(&self, _: &Cid) -> Result<(), StoreError> {
        self.note("delete");
        Ok(())
    }
    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.note("cids");
        Ok(Box::new(std::iter::empty()))
    }
    fn has(&self, _: &Cid) -> Result<bool, StoreError> {
        self.note("has");
        Ok(false)
    }
    fn size(&self, _: &Cid) -> Result<Option<u64>, StoreError> {
        self.note("size");
        Ok(None)
    }
    fn with_block(&self, _: &Cid, _: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.note("with_block");
        Ok(false)
    }
    fn put_trusted(&self, _: &Cid, _: Bytes) -> Result<(), StoreError> {
        self.note("put_trusted");
        Ok(())
    }
    fn put_many(&self, _: &mut Blocks<'_>) -> Result<(), StoreError> {
        self.note("put_many");
        Ok(())
    }
    fn get_many(&self, _: &[Cid], _: &mut OnBlock<'_>) -> Result<(), StoreError> {
        self.note("get_many");
        Ok(())
    }
    fn has_many(&self, _: &[Cid]) -> Result<Vec<bool>, StoreError> {
        self.note("has_many");
        Ok(Vec::new())
    }
    fn delete_many(&self, _: &mut Cids<'_>) -> Result<(), StoreError> {
        self.note("delete_many");
        Ok(())
    }
    fn sweep(&self, _: Option<&Cid>, _: Option<&Cid>, _: &mut IsDead<'_>) -> Result<Option<Swept>, StoreError> {
        self.note("sweep");
        Ok(None)
    }
    fn capabilities(&self) -> Capabilities {
        self.note("capabilities");
        Capabilities::WEAKEST
    }
}

impl OpHeadsStore for Spy {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.note("heads");
        Ok(Vec::new())
    }
    fn update(&self, _: &Cid, _: &[Cid]) -> Result<(), StoreError> {
        self.note("update");
        Ok(())
    }
    fn swap(&self, _: &[Cid], _: &Cid) -> Result<(), StoreError> {
        self.note("swap");
        Ok(())
    }
    fn heads_capabilities(&self) -> HeadsCapabilities {
        self.note("heads_capabilities");
        HeadsCapabilities::WEAKEST
    }
}

impl Store for Spy {
    fn commit(&self, _: &WriteBatch) -> Result<(), StoreError> {
        self.note("commit");
        Ok(())
    }
    fn side_table(&self, _: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        self.note("side_table");
        Ok(Arc::new(Spy::default()))
    }
    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        self.note("side_tables");
        Ok(Vec::new())
    }
    fn close(&self) -> Result<(), StoreError> {
        self.note("close");
        Ok(())
    }
}

impl SideTable for Spy {
    fn get(&self, _: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.note("table.get");
        Ok(None)
    }
    fn write(&self, _: &[(Bytes, Bytes)], _: &[Bytes]) -> Result<(), StoreError> {
        self.note("table.write");
        Ok(())
    }
    fn keys(&self, _: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        self.note("table.keys");
        Ok(Box::new(std::iter::empty()))
    }
}

const STORE_METHODS: [&str; 22] = [
    "get",
    "put",
    "delete",
    "cids",
    "has",
    "size",
    "with_block",
    "put_trusted",
    "put_many",
    "get_many",
    "has_many",
    "delete_many",
    "sweep",
    "capabilities",
    "heads",
    "update",
    "swap",
    "heads_capabilities",
    "commit",
    "side_table",
    "side_tables",
    "close",
];

fn call_everything<S: Store>(store: S) {
    let cid = cid_of(RAW, b"any");
    let done = || -> Result<(), StoreError> {
        Blockstore::get(&store, &cid)?;
        store.put(&cid, Bytes::new())?;
        store.delete(&cid)?;
        drop(store.cids()?);
        store.has(&cid)?;
        store.size(&cid)?;
        store.with_block(&cid, &mut |_| ())?;
        store.put_trusted(&cid, Bytes::new())?;
        store.put_many(&mut std::iter::empty())?;
        store.get_many(&[cid], &mut |_, _| ControlFlow::Continue(()))?;
        store.has_many(&[cid])?;
        store.delete_many(&mut std::iter::empty())?;
        store.sweep(None, None, &mut |_| false)?;
        store.capabilities();
        store.heads()?;
        store.update(&cid, &[])?;
        store.swap(&[], &cid)?;
        store.heads_capabilities();
        store.commit(&WriteBatch::new())?;
        store.side_table("any")?;
        store.side_tables()?;
        store.close()
    };
    done().expect("the spy never fails");
}

fn call_the_table<T: SideTable>(table: T) {
    SideTable::get(&table, b"k").expect("the spy never fails");
    table.write(&[], &[]).expect("the spy never fails");
    drop(table.keys(b"").expect("the spy never fails"));
}

fn called(spy: &Spy) -> Vec<&'static str> {
    std::mem::take(&mut spy.0.lock().expect("no test panics while it holds this"))
}

#[test]
fn every_method_is_forwarded_by_every_pointer() {
    let spy = Arc::new(Spy::default());
    call_everything(&*spy);
    assert_eq!(called(&spy), STORE_METHODS);
    call_everything(Arc::clone(&spy));
    assert_eq!(called(&spy), STORE_METHODS);
    call_everything(Box::new(Arc::clone(&spy)));
    assert_eq!(called(&spy), STORE_METHODS);
    call_everything(Arc::clone(&spy) as Arc<dyn Store>);
    assert_eq!(called(&spy), STORE_METHODS);
    call_everything(Box::new(&*spy) as Box<dyn Store + '_>);
    assert_eq!(called(&spy), STORE_METHODS);
    let through_two: &Arc<Spy> = &spy;
    call_everything(through_two);
    assert_eq!(called(&spy), STORE_METHODS);
}

#[test]
fn every_method_of_a_side_table_is_forwarded() {
    let spy = Arc::new(Spy::default());
    call_the_table(&*spy);
    call_the_table(Arc::clone(&spy) as Arc<dyn SideTable>);
    call_the_table(Box::new(&*spy) as Box<dyn SideTable + '_>);
    assert_eq!(called(&spy), ["table.get", "table.write", "table.keys"].repeat(3));
}
