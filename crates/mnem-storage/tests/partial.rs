//! Incomplete graphs: exported, copied and imported only on request, and never silently.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::ControlFlow,
};

use mnem_storage::{
    Blockstore as _, Bytes, Cid, CopyError, CopyReport, ErrorKind, MemoryStore, OpHeadsStore as _, ReachableOptions,
    Stage, Store, StoreError, WriteBatch,
    car::{self, ExportErrorKind, ExportOptions, ImportError, ImportErrorKind, ImportOptions},
    copy, copy_reachable, links, unwatched,
};
use proptest::prelude::*;

use crate::fixtures::{Block, animals, animals_root, car, family, json_node, node, pb_node, raw, stores};

fn skipping() -> ExportOptions {
    ExportOptions::new().skip_missing(true)
}

fn complete() -> ImportOptions {
    ImportOptions::new().complete(true)
}

fn import(store: &dyn Store, archive: &[u8], options: &ImportOptions) -> Result<car::ImportReport, ImportError> {
    car::import(store, archive, options, &mut unwatched)
}

/// A random graph in which each block links to some earlier ones.
fn graph() -> impl Strategy<Value = Vec<Block>> {
    let parents = prop::collection::vec((0..4_u8, prop::collection::vec(any::<prop::sample::Index>(), 0..5)), 1..24);
    parents.prop_map(|shapes| {
        let mut blocks: Vec<Block> = Vec::new();
        for (number, (codec, links)) in shapes.into_iter().enumerate() {
            let children: Vec<Cid> =
                if number == 0 { Vec::new() } else { links.iter().map(|link| link.get(&blocks).0).collect() };
            let label = number.to_string();
            blocks.push(match codec {
                _ if children.is_empty() => raw(label),
                0 => node(&[&children[..], &[raw(label).0]].concat()),
                1 => pb_node(&children, &label),
                _ => json_node(&children, &label),
            });
        }
        blocks
    })
}

/// Walks from the last block. Returns the present blocks, in order, and the absent ones.
fn reach(blocks: &BTreeMap<Cid, Bytes>, cid: Cid, there: &mut Vec<Cid>, absent: &mut Vec<Cid>) {
    if there.contains(&cid) || absent.contains(&cid) {
        return;
    }
    let Some(data) = blocks.get(&cid) else { return absent.push(cid) };
    there.push(cid);
    for link in links(&cid, data).expect("a valid block") {
        reach(blocks, link, there, absent);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_left_out_is_what_is_absent(blocks in graph(), gone in prop::collection::vec(any::<bool>(), 24)) {
        let root = blocks[blocks.len() - 1].0;
        let kept = blocks.iter().zip(&gone).filter(|((cid, _), gone)| *cid == root || !**gone).map(|(block, _)| block.clone());
        let kept: BTreeMap<Cid, Bytes> = kept.collect();
        let (mut there, mut absent) = (Vec::new(), Vec::new());
        reach(&kept, root, &mut there, &mut absent);
        let store = MemoryStore::new();
        for (cid, data) in &kept {
            store.put(cid, data.clone()).unwrap();
        }
        store.update(&root, &[]).unwrap();

        let mut archive = Vec::new();
        let report = car::export(&store, &mut archive, &skipping(), &mut unwatched).unwrap();
        let expected: Vec<Block> = there.iter().map(|cid| (*cid, kept[cid].clone())).collect();
        prop_assert_eq!(&archive, &car(&[root], &expected));
        let left_out: Vec<Cid> = report.missing.iter().map(|absent| absent.cid).collect();
        prop_assert_eq!((&left_out, report.missing_count), (&absent, absent.len() as u64));
        for left_out in &report.missing {
            let parent = &left_out.linked_from;
            prop_assert!(links(parent, &kept[parent]).unwrap().contains(&left_out.cid));
        }
        let strict = car::export(&store, io::sink(), &ExportOptions::new(), &mut unwatched);
        prop_assert_eq!(strict.is_ok(), absent.is_empty());

        let to = MemoryStore::new();
        let strict = copy_reachable(&store, &to, &ReachableOptions::new(), &mut unwatched);
        prop_assert_eq!(strict.is_ok(), absent.is_empty());
        let options = ReachableOptions::new().skip_missing(true);
        let copied = copy_reachable(&store, &to, &options, &mut unwatched).unwrap();
        prop_assert_eq!((&copied.missing, copied.missing_count), (&report.missing, report.missing_count));
        let cids: BTreeSet<Cid> = to.cids().unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(cids, there.iter().copied().collect::<BTreeSet<_>>());
        prop_assert_eq!(to.heads().unwrap(), [root]);

        let other = MemoryStore::new();
        match import(&other, &archive, &complete()) {
            Ok(read) => {
                prop_assert!(absent.is_empty());
                prop_assert_eq!((read.reached, other.heads().unwrap()), (Some(there.len() as u64), vec![root]));
            }
            Err(ImportError::Incomplete { missing, missing_count, kept }) => {
                prop_assert_eq!((missing, missing_count), (report.missing, report.missing_count));
                prop_assert_eq!((kept.blocks, other.heads().unwrap()), (there.len() as u64, vec![]));
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_root_is_never_left_out() {
    let (root, blocks) = family();
    let store = MemoryStore::new();
    import(&store, &car(&[root], &blocks), &ImportOptions::new().heads(true)).unwrap();
    store.delete(&blocks[2].0).unwrap();
    // Even if another root links to it.
    let options = skipping().roots([root, blocks[2].0]);
    let error = car::export(&store, io::sink(), &options, &mut unwatched).unwrap_err();
    assert_eq!(error.kind(), ExportErrorKind::MissingBlock);
    store.update(&blocks[2].0, &[]).unwrap();
    let copied =
        copy_reachable(&store, &MemoryStore::new(), &ReachableOptions::new().skip_missing(true), &mut unwatched);
    assert_eq!(copied.unwrap_err().kind(), Some(ErrorKind::MissingBlock));
}

#[test]
fn a_damaged_block_is_never_left_out() {
    let (root, blocks) = family();
    let archive = car(&[root], &blocks);
    let store = MemoryStore::new();
    import(&store, &archive, &ImportOptions::new().heads(true)).unwrap();
    store.delete(&blocks[2].0).unwrap();
    store.put_trusted(&blocks[2].0, Bytes::from_static(b"other bytes")).unwrap();
    let error = car::export(&store, io::sink(), &skipping(), &mut unwatched).unwrap_err();
    assert_eq!(error.kind(), ExportErrorKind::DamagedBlock);
    let options = ReachableOptions::new().skip_missing(true);
    let error = copy_reachable(&store, &MemoryStore::new(), &options, &mut unwatched).unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::Corrupt));
    // The import finds the block present and does not read it; only following links does.
    let heads = store.heads().unwrap();
    let error = import(&store, &archive, &complete()).unwrap_err();
    assert!(matches!(&error, ImportError::Unfollowed { kept, .. } if kept.blocks == 3), "{error:?}");
    assert_eq!(error.kind(), ImportErrorKind::Store(ErrorKind::Corrupt));
    assert_eq!(store.heads().unwrap(), heads);
}

#[test]
fn an_incomplete_graph_becomes_complete_with_what_the_store_holds() {
    let (root, blocks) = family();
    for subject in stores() {
        let (store, name) = (&*subject.store, subject.name);
        let error = import(store, &car(&[root], &blocks[..2]), &complete()).unwrap_err();
        let ImportError::Incomplete { missing, missing_count, kept } = &error else { panic!("{name}: {error:?}") };
        assert_eq!((missing[0].cid, missing[0].linked_from, *missing_count), (blocks[2].0, root, 1), "{name}");
        assert_eq!((kept.blocks, error.offset()), (2, None), "{name}");
        let told = error.to_string();
        assert!(told.contains(&blocks[2].0.to_string()) && told.contains("the heads are unchanged"), "{told}");
        assert_eq!(store.heads().unwrap(), [], "{name}");
        // The rest may come in another archive, but a root without its block is still refused.
        import(store, &car(&[], &blocks[2..]), &complete()).unwrap();
        let report = import(store, &car(&[root], &[]), &complete()).unwrap();
        assert_eq!((report.reached, report.heads_set), (Some(3), vec![root]), "{name}");
        let error = import(store, &car(&[raw("absent").0], &[]), &complete()).unwrap_err();
        assert_eq!(error.kind(), ImportErrorKind::MissingRoots, "{name}");
    }
}

#[test]
fn following_the_links_of_an_import_can_be_stopped() {
    let store = MemoryStore::new();
    let stopped = car::import(&store, &animals()[..], &complete(), &mut |progress| {
        if progress.stage == Stage::Links && progress.blocks == 5 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(stopped.unwrap_err().kind(), ImportErrorKind::Stopped);
    assert_eq!(store.heads().unwrap(), []);
    let report = import(&store, &animals(), &complete()).unwrap();
    assert_eq!((report.reached, report.heads_set), (Some(4077), vec![animals_root()]));
}

#[test]
fn a_reachable_copy_has_the_heads_tables_and_nothing_unreached() {
    let (root, blocks) = family();
    for (from, to) in stores().into_iter().zip(stores()) {
        let (from, to, name) = (&*from.store, &*to.store, from.name);
        import(from, &car(&[root], &[&blocks[..], &[raw("loose")]].concat()), &ImportOptions::new().heads(true))
            .unwrap();
        from.side_table("one").unwrap().write(&[("key".into(), "value".into())], &[]).unwrap();
        let mut stages = Vec::new();
        let report = copy_reachable(from, to, &ReachableOptions::new(), &mut |progress| {
            stages.push(progress.stage);
            ControlFlow::Continue(())
        });
        let report = report.unwrap();
        stages.dedup();
        assert_eq!(stages, [Stage::Blocks, Stage::Tables, Stage::Proof], "{name}");
        let CopyReport { blocks, new, tables, heads, .. } = report.copied;
        assert_eq!((blocks, new, tables.len(), heads), (3, 3, 1, vec![root]), "{name}");
        assert!(!to.has(&raw("loose").0).unwrap(), "{name}");
        assert_eq!(to.side_table("one").unwrap().get(b"key").unwrap(), Some("value".into()), "{name}");
        let again = copy_reachable(from, to, &ReachableOptions::new(), &mut unwatched).unwrap();
        assert_eq!((again.copied.new, again.copied.present), (0, 3), "{name}");
        // An earlier complete copy is no obstacle; it keeps its blocks.
        copy(from, to, &mut unwatched).unwrap();
        copy_reachable(from, to, &ReachableOptions::new(), &mut unwatched).unwrap();
        assert!(to.has(&raw("loose").0).unwrap(), "{name}");
    }
}

#[test]
fn a_reachable_copy_needs_heads_and_a_target_of_its_own() {
    let (root, blocks) = family();
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    import(&from, &car(&[root], &blocks), &ImportOptions::new()).unwrap();
    let error = copy_reachable(&from, &to, &ReachableOptions::new(), &mut unwatched).unwrap_err();
    assert!(matches!(&error, CopyError::Source(error) if error.kind() == ErrorKind::InvalidArgument), "{error:?}");
    from.update(&root, &[]).unwrap();
    let (other, data) = raw("of another store");
    to.commit(WriteBatch::new().put(other, data).update(other, [])).unwrap();
    let error = copy_reachable(&from, &to, &ReachableOptions::new(), &mut unwatched).unwrap_err();
    let CopyError::Target(error) = error else { panic!("{error:?}") };
    assert!(matches!(*error, StoreError::InvalidArgument { .. }), "{error:?}");
    assert_eq!((to.heads().unwrap(), to.has(&root).unwrap()), (vec![other], false));
    let report = copy_reachable(&from, &to, &ReachableOptions::new().merge_heads(true), &mut unwatched).unwrap();
    assert_eq!((report.copied.heads, report.copied.heads_merged), (vec![root], vec![other]));
    assert_eq!(to.heads().unwrap().len(), 2);
}
