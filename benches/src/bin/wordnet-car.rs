//! `wordnet-car DICT CAR`: writes the whole of WordNet as a CAR, in the shape of `docs/data/wordnet-animals.car`.
//!
//! The archive has one node block per synset, one edge block per synset with pointers, pages of links to both, and one
//! root. `benches/wordnet.sh` runs this program. WordNet's `wndb(5)` describes the lines that are read.

use std::{collections::BTreeMap, fs, io::BufWriter, path::Path, process::ExitCode};

use anyhow::{Context, Result, bail, ensure};
use ipld_core::{ipld, ipld::Ipld};
use mnem_storage::{Cid, DAG_CBOR, MemoryStore, OpHeadsStore, car, cid_of, unwatched};
use mnem_store_traits::{Blockstore, Bytes};

const PARTS: [&str; 4] = ["noun", "verb", "adj", "adv"];
const PAGE_LINKS: usize = 256;

/// Part of speech as one letter, and offset in its file: the target of a pointer.
type Id = (char, String);

struct Synset {
    id: Id,
    lemmas: Vec<String>,
    gloss: String,
    pointers: Vec<(String, Id)>,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [dict, car] = arguments.as_slice() else {
        eprintln!("usage: wordnet-car DICT CAR");
        return ExitCode::from(2);
    };
    match make(Path::new(dict), Path::new(car)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn make(dict: &Path, car: &Path) -> Result<()> {
    let synsets = read(dict)?;
    let store = MemoryStore::new();
    let mut nodes = BTreeMap::new();
    let mut links = Vec::new();
    for synset in &synsets {
        let cid = put(&store, &node(synset))?;
        nodes.insert(&synset.id, cid);
        links.push(cid);
    }
    for synset in synsets.iter().filter(|synset| !synset.pointers.is_empty()) {
        links.push(put(&store, &edges(synset, &nodes)?)?);
    }
    let pages = links.chunks(PAGE_LINKS).map(|page| {
        let page: Vec<Ipld> = page.iter().copied().map(Ipld::Link).collect();
        Ok(Ipld::Link(put(&store, &ipld!({ "_kind": "page", "links": page }))?))
    });
    let pages = pages.collect::<Result<Vec<_>>>()?;
    let root = put(&store, &ipld!({ "_kind": "commit", "pages": pages }))?;
    store.update(&root, &[])?;
    let file = BufWriter::new(fs::File::create(car).with_context(|| format!("cannot create {}", car.display()))?);
    let report = car::export(&store, file, &car::ExportOptions::default(), &mut unwatched)?;
    eprintln!("{} synsets, {} blocks, {} bytes of blocks", synsets.len(), report.blocks, report.bytes);
    Ok(())
}

fn put(store: &MemoryStore, block: &Ipld) -> Result<Cid> {
    let data = Bytes::from(serde_ipld_dagcbor::to_vec(block)?);
    let cid = cid_of(DAG_CBOR, &data);
    store.put(&cid, data)?;
    Ok(cid)
}

/// The first 16 bytes of a hash of WordNet's name for the synset.
fn id_bytes((part, offset): &Id) -> Vec<u8> {
    cid_of(DAG_CBOR, format!("{part}{offset}").as_bytes()).hash().digest().iter().copied().take(16).collect()
}

fn node(synset: &Synset) -> Ipld {
    let (part, offset) = &synset.id;
    let lemmas: Vec<Ipld> = synset.lemmas.iter().cloned().map(Ipld::String).collect();
    ipld!({
        "_kind": "node",
        "id": Ipld::Bytes(id_bytes(&synset.id)),
        "ntype": "Synset",
        "props": {
            "synset": format!("{offset}-{part}"),
            "lemmas": lemmas,
            "gloss": synset.gloss.clone(),
        },
    })
}

fn edges(synset: &Synset, nodes: &BTreeMap<&Id, Cid>) -> Result<Ipld> {
    let node = |id: &Id| nodes.get(id).copied().map(Ipld::Link).with_context(|| format!("no synset {id:?}"));
    let out = synset.pointers.iter().map(|(rel, id)| Ok(ipld!({ "rel": rel.clone(), "dst": node(id)? })));
    let out = out.collect::<Result<Vec<Ipld>>>()?;
    Ok(ipld!({ "_kind": "edges", "src": node(&synset.id)?, "out": out }))
}

fn read(dict: &Path) -> Result<Vec<Synset>> {
    let mut synsets = Vec::new();
    for part in PARTS {
        let path = dict.join(format!("data.{part}"));
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // The licence is at the start of each file, in lines that begin with blanks.
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with("  ")) {
            synsets.push(parse(line).with_context(|| format!("{}, line {}", path.display(), number + 1))?);
        }
    }
    ensure!(!synsets.is_empty(), "no synsets in {}", dict.display());
    Ok(synsets)
}

fn parse(line: &str) -> Result<Synset> {
    let (data, gloss) = line.split_once('|').context("no gloss")?;
    let mut words = data.split_whitespace();
    let mut next = || words.next().context("the line is cut off");
    let offset = next()?.to_owned();
    next()?;
    let part = part_of(next()?)?;
    let lemmas = usize::from_str_radix(next()?, 16)?;
    let lemmas = (0..lemmas).map(|_| {
        let lemma = next()?.replace('_', " ");
        next()?;
        Ok(lemma)
    });
    let lemmas = lemmas.collect::<Result<Vec<_>>>()?;
    let pointers: usize = next()?.parse()?;
    let pointers = (0..pointers).map(|_| {
        let (symbol, offset, part) = (next()?.to_owned(), next()?.to_owned(), part_of(next()?)?);
        next()?;
        Ok((symbol, (part, offset)))
    });
    let pointers = pointers.collect::<Result<Vec<_>>>()?;
    Ok(Synset { id: (part, offset), lemmas, gloss: gloss.trim().to_owned(), pointers })
}

/// Adjective satellites are in the adjectives' file.
fn part_of(word: &str) -> Result<char> {
    match word {
        "n" => Ok('n'),
        "v" => Ok('v'),
        "a" | "s" => Ok('a'),
        "r" => Ok('r'),
        other => bail!("{other} is no part of speech"),
    }
}
