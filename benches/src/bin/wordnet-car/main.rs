//! `wordnet-car DICT CAR`: makes an archive of the four `data` files of WordNet's dictionary.
//!
//! The shape is that of `docs/data/wordnet-animals.car`: a node for each synset with links to what it is a kind of, a block of edges for all
//! its other relations, pages of nodes, pages of edges, and a commit over them, which is the root.

mod synset;

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use ipld_core::{ipld, ipld::Ipld};
use mnem_storage::car::Writer;
use mnem_store_traits::{Cid, DAG_CBOR, RAW, cid_of};

use crate::synset::{Key, Synset, parse};

const PAGE: usize = 256;

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [dictionary, archive] = arguments.as_slice() else { anyhow::bail!("usage: wordnet-car DICT CAR") };
    let graph = Graph::read(dictionary)?;
    let mut made = Made::default();
    for key in graph.synsets.keys() {
        made.node(&graph, *key)?;
    }
    for synset in graph.synsets.values() {
        made.edges(synset)?;
    }
    let pages: Result<Vec<Ipld>> = [made.nodes.clone(), made.edges.clone()]
        .iter()
        .flat_map(|cids| cids.chunks(PAGE))
        .map(|page| made.page(page))
        .collect();
    let root = made.add(&ipld!({ "_kind": "commit", "pages": pages? }))?;
    let mut writer = Writer::new(BufWriter::new(File::create(archive)?), &[root])?;
    for (cid, data) in &made.blocks {
        writer.write(cid, data)?;
    }
    writer.finish()?.into_inner()?.sync_all()?;
    println!("{}: {} blocks, root {root}", archive.display(), made.blocks.len());
    Ok(())
}

struct Graph {
    synsets: BTreeMap<Key, Synset>,
}

impl Graph {
    fn read(dictionary: &Path) -> Result<Self> {
        let mut synsets = BTreeMap::new();
        for file in ["data.noun", "data.verb", "data.adj", "data.adv"] {
            let path = dictionary.join(file);
            // A few glosses are Latin-1; what is not UTF-8 is replaced.
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            // The licence stands before the data, indented.
            for line in String::from_utf8_lossy(&bytes).lines().filter(|line| !line.starts_with(' ')) {
                let synset = parse(line).with_context(|| format!("{file}: not a synset: {line}"))?;
                synsets.insert(synset.key, synset);
            }
        }
        ensure!(!synsets.is_empty(), "no synsets");
        Ok(Self { synsets })
    }
}

/// The blocks so far, parents after their children.
#[derive(Default)]
struct Made {
    blocks: Vec<(Cid, Vec<u8>)>,
    nodes: Vec<Ipld>,
    edges: Vec<Ipld>,
    /// The node of each synset; `None` while its hypernyms are being made.
    of_synset: HashMap<Key, Option<Cid>>,
}

impl Made {
    fn add(&mut self, value: &Ipld) -> Result<Cid> {
        let data = serde_ipld_dagcbor::to_vec(value)?;
        let cid = cid_of(DAG_CBOR, &data);
        self.blocks.push((cid, data));
        Ok(cid)
    }

    fn page(&mut self, items: &[Ipld]) -> Result<Ipld> {
        Ok(Ipld::Link(self.add(&ipld!({ "_kind": "page", "items": items.to_vec() }))?))
    }

    /// Makes the node and, before it, those of its hypernyms. A few verbs are their own ancestors: there the link is left out.
    fn node(&mut self, graph: &Graph, key: Key) -> Result<Option<Cid>> {
        if let Some(known) = self.of_synset.get(&key) {
            return Ok(*known);
        }
        let Some(synset) = graph.synsets.get(&key) else { return Ok(None) };
        self.of_synset.insert(key, None);
        let mut hypernyms = Vec::new();
        for hypernym in &synset.hypernyms {
            hypernyms.extend(self.node(graph, *hypernym)?.map(Ipld::Link));
        }
        let name = synset.name();
        let id = cid_of(RAW, name.as_bytes()).hash().digest().get(..16).unwrap_or_default().to_vec();
        let lemmas: Vec<Ipld> = synset.lemmas.iter().cloned().map(Ipld::String).collect();
        let props = ipld!({ "synset": name, "lemmas": lemmas, "gloss": synset.gloss.clone() });
        let node = ipld!({ "_kind": "node", "id": Ipld::Bytes(id), "ntype": "Synset", "props": props, "hypernyms": hypernyms });
        let cid = self.add(&node)?;
        self.nodes.push(Ipld::Link(cid));
        self.of_synset.insert(key, Some(cid));
        Ok(Some(cid))
    }

    fn edges(&mut self, synset: &Synset) -> Result<()> {
        let Some(Some(source)) = self.of_synset.get(&synset.key).copied() else { return Ok(()) };
        let target = |(relation, key): &(String, Key)| {
            let cid = self.of_synset.get(key).copied().flatten()?;
            Some(ipld!({ "rel": relation.clone(), "dst": Ipld::Link(cid) }))
        };
        let out: Vec<Ipld> = synset.others.iter().filter_map(target).collect();
        if !out.is_empty() {
            let cid = self.add(&ipld!({ "_kind": "edges", "src": Ipld::Link(source), "out": out }))?;
            self.edges.push(Ipld::Link(cid));
        }
        Ok(())
    }
}
