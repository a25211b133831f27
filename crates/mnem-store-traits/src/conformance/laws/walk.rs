//! Walks through graphs.

use std::collections::HashMap;

use bytes::Bytes;
use cid::Cid;

use crate::{
    Blockstore, BlockstoreExt, Capabilities, Cause, CidIter, DAG_CBOR, DAG_JSON, DAG_PB, ErrorKind, MissingLink,
    Outcome, RAW, StoreError, Walk,
    conformance::{
        Failure,
        case::Case,
        data::{
            Block, block, cbor_head, cbor_link, cbor_text, dag_cbor, dag_pb_bytes, identity_cid, node, raw, v0_cid,
        },
        expect::{put, put_many, same, saw},
        failure::LawResult,
        show::error_text,
    },
};

/// The length of the long chain, and how many of its blocks the store under test holds. The rest would only cost time.
const CHAIN: usize = 100_000;
const CHAIN_IN_STORE: usize = 200;

/// A graph whose blocks have names, so that an expected order can be written down.
#[derive(Default)]
struct Graph {
    blocks: HashMap<&'static str, Block>,
    names: HashMap<Cid, &'static str>,
}

impl Graph {
    fn add(&mut self, name: &'static str, block: Block) -> Cid {
        let cid = block.cid;
        self.names.insert(cid, name);
        self.blocks.insert(name, block);
        cid
    }

    fn leaf(&mut self, name: &'static str) -> Cid {
        self.add(name, block(name))
    }

    /// A block with links to these, in this order.
    fn node(&mut self, name: &'static str, links: &[&str]) -> Cid {
        let links: Vec<Cid> = links.iter().map(|link| self.cid(link)).collect();
        self.add(name, node(name, &links))
    }

    fn cid(&self, name: &str) -> Cid {
        self.blocks[name].cid
    }

    fn store(&self, store: &dyn Blockstore, but: &[&str]) -> Result<(), Failure> {
        let stored = self.blocks.iter().filter(|(name, _)| !but.contains(name));
        put_many(store, &stored.map(|(_, block)| block.clone()).collect::<Vec<_>>())
    }

    fn name(&self, cid: &Cid) -> String {
        self.names.get(cid).map_or_else(|| cid.to_string(), ToString::to_string)
    }

    fn step(&self, item: Result<(Cid, Bytes), StoreError>) -> String {
        match item {
            Ok((cid, data)) => {
                let right = self.names.get(&cid).is_some_and(|name| self.blocks[name].data == data);
                format!("{}{}", self.name(&cid), if right { "" } else { " with other bytes" })
            }
            Err(StoreError::MissingBlock { cid, linked_from: Some(parent) }) => {
                format!("{} missing, linked from {}", self.name(&cid), self.name(&parent))
            }
            Err(StoreError::MissingBlock { cid, linked_from: None }) => format!("{} missing", self.name(&cid)),
            Err(StoreError::Malformed { cid, .. }) => format!("{} malformed", self.name(&cid)),
            Err(error) => format!("{:?}: {}", error.kind(), error_text(&error)),
        }
    }

    /// Walks from `root` and compares, item by item.
    fn walks(&self, case: &Case, root: &'static str, expected: &[&str]) -> Result<(), Failure> {
        let store = case.blocks()?;
        let steps = case.walk(&*store, self.cid(root)).take(expected.len() + 8).map(|item| self.step(item));
        let did = format_args!("walk of {root}");
        same(did, steps.collect::<Vec<_>>().join(" → "), expected.join(" → "))
    }
}

pub(crate) fn walk_is_depth_first_in_encoded_order(case: &mut Case) -> LawResult {
    let mut graph = Graph::default();
    for leaf in ["a1", "a2", "b", "c1"] {
        graph.leaf(leaf);
    }
    graph.node("a", &["a2", "a1"]);
    graph.node("c", &["c1"]);
    graph.node("root", &["c", "a", "b"]);
    graph.store(&*case.blocks()?, &[])?;
    graph.walks(case, "root", &["root", "c", "c1", "a", "a2", "a1", "b"])?;
    graph.walks(case, "a", &["a", "a2", "a1"])?;
    graph.walks(case, "b", &["b"])?;
    Ok(())
}

pub(crate) fn walk_yields_a_shared_block_once(case: &mut Case) -> LawResult {
    let mut graph = Graph::default();
    graph.leaf("shared");
    graph.node("left", &["shared"]);
    graph.node("right", &["shared"]);
    graph.node("root", &["left", "right", "left"]);
    graph.node("top", &["root", "shared", "root"]);
    graph.store(&*case.blocks()?, &[])?;
    graph.walks(case, "root", &["root", "left", "shared", "right"])?;
    graph.walks(case, "top", &["top", "root", "left", "shared", "right"])?;
    walk_of_many_links_to_the_same(case)?;
    Ok(())
}

/// Two blocks with the same thousands of links, so that a block is reached again long after it was yielded.
fn walk_of_many_links_to_the_same(case: &Case) -> Result<(), Failure> {
    const LINKS: usize = 12_000;
    let (store, leaves) = (case.blocks()?, crate::conformance::data::blocks("leaf", LINKS));
    let cids: Vec<Cid> = leaves.iter().map(|leaf| leaf.cid).collect();
    let [left, right] = ["left", "right"].map(|name| node(name, &cids));
    let root = node("root of many", &[left.cid, right.cid]);
    put(&*store, &root)?;
    let extra = leaves.iter().chain([&left, &right]).map(|block| (block.cid, block.data.clone())).collect();
    let extended = Extended { store: &*store, extra };
    let expected: Vec<Cid> = [root.cid, left.cid].into_iter().chain(cids).chain([right.cid]).collect();
    let did = format!("walk of two blocks with the same {LINKS} links");
    let walked = case.walk(&extended, root.cid).take(2 * LINKS).map(|item| item.map(|(cid, _)| cid));
    let walked = saw(&did, walked.collect::<Result<Vec<_>, _>>()).ok()?;
    same(format_args!("{did}: how many blocks"), walked.len(), expected.len())?;
    same(format_args!("{did}: the order"), walked == expected, true)
}

pub(crate) fn walk_moves_pending_links_to_the_front(case: &mut Case) -> LawResult {
    let mut graph = Graph::default();
    graph.leaf("wanted");
    graph.leaf("other");
    graph.node("first", &["wanted"]);
    graph.node("root", &["first", "other", "wanted"]);
    graph.store(&*case.blocks()?, &[])?;
    graph.walks(case, "root", &["root", "first", "wanted", "other"])?;
    Ok(())
}

pub(crate) fn walk_of_many_shared_links_is_in_order(case: &mut Case) -> LawResult {
    // Each level links to all levels below it, the farthest first, so that nearly every pending link is moved
    // repeatedly.
    const LEVELS: [&str; 24] = [
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19",
        "20", "21", "22", "23",
    ];
    let mut graph = Graph::default();
    for (depth, level) in LEVELS.iter().enumerate().rev() {
        let mut below: Vec<&'static str> = LEVELS[depth + 1..].to_vec();
        // The next level comes first at even depths and last at odd ones.
        if depth % 2 == 1 {
            below.reverse();
        }
        graph.node(level, &below);
    }
    graph.store(&*case.blocks()?, &[])?;
    let mut expected = Vec::new();
    visit(&graph, "0", &mut expected);
    graph.walks(case, "0", &expected)?;
    Ok(())
}

/// The order by definition: a block, then each of its links not visited yet.
fn visit(graph: &Graph, name: &'static str, visited: &mut Vec<&'static str>) {
    if visited.contains(&name) {
        return;
    }
    visited.push(name);
    let block = &graph.blocks[name];
    for link in crate::links(&block.cid, &block.data).unwrap_or_default() {
        visit(graph, graph.names[&link], visited);
    }
}

pub(crate) fn walk_reports_a_missing_child_with_its_parent(case: &mut Case) -> LawResult {
    let mut graph = Graph::default();
    for leaf in ["gone", "b1", "last"] {
        graph.leaf(leaf);
    }
    graph.node("a", &["gone"]);
    graph.node("b", &["b1", "gone"]);
    graph.node("root", &["a", "b", "last"]);
    graph.store(&*case.blocks()?, &["gone"])?;
    graph.walks(case, "root", &["root", "a", "gone missing, linked from a", "b", "b1", "last"])?;
    graph.walks(case, "b", &["b", "b1", "gone missing, linked from b"])?;
    Ok(())
}

pub(crate) fn walk_reports_a_missing_root(case: &mut Case) -> LawResult {
    let mut graph = Graph::default();
    graph.leaf("root");
    graph.walks(case, "root", &["root missing"])?;
    Ok(())
}

pub(crate) fn walk_reports_malformed_dag_cbor(case: &mut Case) -> LawResult {
    let mut graph = Graph::default();
    graph.leaf("last");
    // Three malformed blocks: a list of two with only one item; two items instead of one; an integer in a longer
    // encoding than needed.
    graph.add("cut off", dag_cbor(vec![0x82, 0x01]));
    graph.add("trailing", dag_cbor(vec![0x01, 0x02]));
    graph.add("not canonical", dag_cbor(vec![0x18, 0x01]));
    graph.add("empty", dag_cbor(Vec::new()));
    graph.node("root", &["cut off", "trailing", "not canonical", "empty", "last"]);
    graph.store(&*case.blocks()?, &[])?;
    let expected =
        ["root", "cut off malformed", "trailing malformed", "not canonical malformed", "empty malformed", "last"];
    graph.walks(case, "root", &expected)?;
    Ok(())
}

pub(crate) fn walk_takes_other_codecs_as_leaves(case: &mut Case) -> LawResult {
    let mut graph = Graph::default();
    graph.leaf("below");
    let links_below = node("links", &[graph.cid("below")]).data;
    const LEAVES: [(&str, u64); 8] = [
        ("as raw", RAW),
        ("as cbor", 0x51),
        ("as json", 0x0200),
        ("as libp2p-key", 0x72),
        ("as git-raw", 0x78),
        ("as dag-jose", 0x85),
        ("as car", 0x0202),
        ("of an unknown codec", 0x3f_ffff),
    ];
    for (name, codec) in LEAVES {
        graph.add(name, Block { cid: crate::cid_of(codec, &links_below), data: links_below.clone() });
    }
    graph.add("not cbor", raw(vec![0xff; 40]));
    let names: Vec<&str> = LEAVES.iter().map(|(name, _)| *name).chain(["not cbor"]).collect();
    graph.node("root", &names);
    graph.store(&*case.blocks()?, &[])?;
    graph.walks(case, "root", &[&["root"], &names[..]].concat())?;
    Ok(())
}

pub(crate) fn walk_follows_dag_pb(case: &mut Case) -> LawResult {
    let mut graph = Graph::default();
    let [a, b, c] = ["a", "b", "c"].map(|leaf| graph.leaf(leaf));
    let of = |codec, data: Vec<u8>| Block { cid: crate::cid_of(codec, &data), data: data.into() };
    let v0 = of(DAG_PB, dag_pb_bytes(&[c, a, c], b"version 0", false));
    let v0 = graph.add("version 0", Block { cid: v0_cid(&v0.data), ..v0 });
    graph.add("data first", of(DAG_PB, dag_pb_bytes(&[b, v0, a], b"data first", true)));
    graph.add("no links", of(DAG_PB, dag_pb_bytes(&[], &a.to_bytes(), true)));
    graph.add("empty", of(DAG_PB, Vec::new()));
    graph.node("root", &["data first", "no links", "empty"]);
    graph.store(&*case.blocks()?, &["a"])?;
    let expected =
        ["root", "data first", "b", "version 0", "c", "a missing, linked from version 0", "no links", "empty"];
    graph.walks(case, "root", &expected)?;
    Ok(())
}

pub(crate) fn walk_follows_dag_json(case: &mut Case) -> LawResult {
    let mut graph = Graph::default();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|leaf| graph.leaf(leaf));
    let v0 = v0_cid(b"");
    graph.add("version 0", Block { cid: v0, data: Bytes::new() });
    let of = |text: String| Block { cid: crate::cid_of(DAG_JSON, text.as_bytes()), data: text.into() };
    let links = format!(r#"{{"z":[{{"/":"{c}"}},{{"k":{{"/":"{v0}"}}}}],"a": {{"/":"{a}"}},"m":1e999}}"#);
    graph.add("links", of(links));
    let no_links = format!(r#"["{b}",{{"/":{{"bytes":"AQID"}}}},{{"a":1,"/":"{b}"}},{{"/":["{b}"]}}]"#);
    graph.add("no links", of(no_links));
    graph.add(
        "root",
        of(format!(r#"[{{"/":"{}"}},{{"/":"{}"}},{{"/":"{d}"}}]"#, graph.cid("links"), graph.cid("no links"))),
    );
    graph.store(&*case.blocks()?, &["d"])?;
    let expected = ["root", "links", "c", "version 0", "a", "no links", "d missing, linked from root"];
    graph.walks(case, "root", &expected)?;
    Ok(())
}

pub(crate) fn walk_reports_malformed_dag_pb_and_dag_json(case: &mut Case) -> LawResult {
    let mut graph = Graph::default();
    let last = graph.leaf("last");
    let whole = dag_pb_bytes(&[last], b"data", false);
    let (link, _) = whole.split_at(whole.len() - 6);
    let text = |text: String| text.into_bytes();
    let wrong = [
        ("cut off", DAG_PB, link[..link.len() - 1].to_vec()),
        ("data between links", DAG_PB, [&whole, link].concat()),
        ("an unknown field", DAG_PB, [&whole[..], &[0x1a, 0]].concat()),
        ("a link without a CID", DAG_PB, vec![0x12, 0]),
        ("no value", DAG_JSON, Vec::new()),
        ("two values", DAG_JSON, text("1 2".into())),
        ("a link that is no CID", DAG_JSON, text(r#"{"/":"last"}"#.into())),
        ("a link with more", DAG_JSON, text(format!(r#"{{"/":"{last}","a":1}}"#))),
        ("a key twice", DAG_JSON, text(format!(r#"{{"b":1,"a":{{"/":"{last}"}},"b":2}}"#))),
    ];
    for (name, codec, data) in &wrong {
        graph.add(name, Block { cid: crate::cid_of(*codec, data), data: data.clone().into() });
    }
    let names: Vec<&str> = wrong.iter().map(|(name, ..)| *name).chain(["last"]).collect();
    graph.node("root", &names);
    graph.store(&*case.blocks()?, &[])?;
    let malformed: Vec<String> = wrong.iter().map(|(name, ..)| format!("{name} malformed")).collect();
    let steps: Vec<&str> = ["root"].into_iter().chain(malformed.iter().map(|step| &**step)).chain(["last"]).collect();
    graph.walks(case, "root", &steps)?;
    Ok(())
}

pub(crate) fn walk_finds_links_in_lists_and_maps(case: &mut Case) -> LawResult {
    let mut graph = Graph::default();
    let links = ["in a list", "in a map", "named by itself"];
    graph.leaf("in a list");
    graph.leaf("in a map");
    let tiny = Bytes::from_static(b"\x01");
    graph.add("named by itself", Block { cid: identity_cid(DAG_CBOR, &tiny), data: tiny });
    let [listed, mapped, itself] = links.map(|name| graph.cid(name));
    // {"a": [[link]], "b": {"c": link}, "d": link}
    let mut data = Vec::new();
    cbor_head(&mut data, 5, 3);
    cbor_text(&mut data, "a");
    cbor_head(&mut data, 4, 1);
    cbor_head(&mut data, 4, 1);
    cbor_link(&mut data, &listed);
    cbor_text(&mut data, "b");
    cbor_head(&mut data, 5, 1);
    cbor_text(&mut data, "c");
    cbor_link(&mut data, &mapped);
    cbor_text(&mut data, "d");
    cbor_link(&mut data, &itself);
    graph.add("root", dag_cbor(data));
    graph.store(&*case.blocks()?, &[])?;
    graph.walks(case, "root", &["root", "in a list", "in a map", "named by itself"])?;
    Ok(())
}

/// A store that holds the blocks under test, and supplies further ones at no cost.
#[derive(Debug)]
struct Extended<'a> {
    store: &'a dyn Blockstore,
    extra: HashMap<Cid, Bytes>,
}

impl Blockstore for Extended<'_> {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.extra.get(cid).map_or_else(|| self.store.get(cid), |data| Ok(Some(data.clone())))
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.store.put(cid, data)
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.store.delete(cid)
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.store.cids()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }
}

/// A store that fails once the stack has grown more than any correct walk needs. A recursive walk would overflow the
/// stack and abort the process before a law could report it.
#[derive(Debug)]
struct Shallow<'a> {
    store: &'a dyn Blockstore,
    outermost: usize,
}

/// A small part of a thread's stack, in bytes.
const STACK_BYTES: usize = 512 * 1024;

#[inline(never)]
fn address_of_a_local() -> usize {
    let local = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&local)).addr()
}

impl Shallow<'_> {
    fn check(&self) -> Result<(), StoreError> {
        let grown = self.outermost.abs_diff(address_of_a_local());
        if grown < STACK_BYTES {
            return Ok(());
        }
        let source = Cause::new("the walk calls itself for each block: of a deeper chain it would overflow the stack");
        Err(StoreError::Backend { backend: "law", operation: "go deeper".into(), outcome: Outcome::NotApplied, source })
    }
}

impl Blockstore for Shallow<'_> {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.check()?;
        self.store.get(cid)
    }
    fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.check()?;
        self.store.with_block(cid, f)
    }
    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.store.put(cid, data)
    }
    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.store.delete(cid)
    }
    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.store.cids()
    }
}

pub(crate) fn walk_of_a_deep_chain_ends(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let mut chain = vec![block("the end of the chain")];
    while chain.len() < CHAIN {
        let below = chain[chain.len() - 1].cid;
        chain.push(node("link", &[below]));
    }
    put_many(&*store, &chain[..CHAIN_IN_STORE])?;
    let extra = chain[CHAIN_IN_STORE..].iter().map(|block| (block.cid, block.data.clone())).collect();
    let extended = Extended { store: &*store, extra };
    let extended = Shallow { store: &extended, outermost: address_of_a_local() };
    let mut expected = chain.iter().rev();
    let mut walked = 0;
    for item in case.walk(&extended, chain[CHAIN - 1].cid).take(CHAIN + 1) {
        let (cid, _) = saw(format_args!("step {walked} of a walk of a chain of {CHAIN} blocks"), item).ok()?;
        let did = format_args!("step {walked} of a walk of a chain of {CHAIN} blocks");
        same(did, Some(cid), expected.next().map(|block| block.cid))?;
        walked += 1;
    }
    same(format_args!("blocks walked in a chain of {CHAIN}"), walked, CHAIN)?;
    Ok(())
}

pub(crate) fn walk_works_through_every_pointer(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let mut graph = Graph::default();
    graph.leaf("a");
    let root = graph.node("root", &["a"]);
    graph.store(&*store, &[])?;
    let through = |how: &str, items: &mut dyn Iterator<Item = Result<(Cid, Bytes), StoreError>>| {
        let steps: Vec<_> = items.take(9).map(|item| graph.step(item)).collect();
        same(format_args!("walk through {how}"), steps.join(" → "), "root → a".into())
    };
    through("&dyn Blockstore", &mut Walk::new(&*store, root))?;
    through("Arc<dyn Blockstore>", &mut Walk::new(store.clone(), root))?;
    let boxed: Box<dyn Blockstore> = Box::new(store.clone());
    through("Box<dyn Blockstore>", &mut Walk::new(boxed, root))?;
    through("BlockstoreExt", &mut store.walk(&root))?;
    through("two roots", &mut Walk::from_roots(&*store, [root, graph.cid("a"), root]))?;
    Ok(())
}

pub(crate) fn missing_links_names_each_absent_block_once(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let mut graph = Graph::default();
    let (x, y) = (graph.leaf("x"), graph.leaf("y"));
    let a = graph.node("a", &["x", "y"]);
    let root = graph.node("root", &["a", "y"]);
    saw("missing_links of an absent root", store.missing_links(&root))
        .is(vec![MissingLink { cid: root, linked_from: None }])?;
    graph.store(&*store, &["x", "y"])?;
    let expected = [x, y].map(|cid| MissingLink { cid, linked_from: Some(a) });
    saw("missing_links of a graph without two leaves", store.missing_links(&root)).is(expected.to_vec())?;
    graph.store(&*store, &[])?;
    saw("missing_links of a complete graph", store.missing_links(&root)).is(Vec::new())?;
    let malformed = dag_cbor(vec![0x82, 0x01]);
    put(&*store, &malformed)?;
    saw("missing_links of a block that hides its links", store.missing_links(&malformed.cid))
        .refused(ErrorKind::Malformed)?;
    Ok(())
}

pub(crate) fn get_required_names_the_missing_block(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let block = block("required");
    let error =
        saw("get_required of an absent block", store.get_required(&block.cid)).refused(ErrorKind::MissingBlock)?;
    let named = matches!(&error, StoreError::MissingBlock { cid, linked_from: None } if *cid == block.cid);
    crate::conformance::expect::ensure(
        named,
        "get_required",
        format_args!("an error that names {}", block.cid),
        error,
    )?;
    saw("put_as(RAW, …)", store.put_as(RAW, block.data.clone())).is(block.cid)?;
    saw("get_required of a present block", store.get_required(&block.cid)).is(block.data)?;
    Ok(())
}
