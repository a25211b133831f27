//! `diff`: the differences between two stores.

use std::{
    cmp::Ordering,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::ValueHint;
use mnem_storage::{Cid, SideTable, Store, StoreError, is_same_place};
use serde::Serialize;

use crate::{
    context::Context,
    error::{Exit, Failure, Result},
    output::{Out, counted, unless_closed},
    progress::Bar,
};

const EXAMPLES: &str = "\
Compares the heads, the CIDs of all blocks, and the rows of side tables. Prints a line
for each difference: `<` only in A, `>` only in B, `!` a row with different values. The
bytes of blocks are not read: a CID identifies them, and `verify` checks them. Memory
does not grow with the stores. If the stores list their CIDs in different orders, as two
backends do, each CID is looked up in the other store.
Exit status 0: equal; 1: different, or an error.

Examples:
  mnem-store diff animals.redb backup.redb
  mnem-store diff -q animals.redb backup.redb && echo equal
  mnem-store diff old.redb new.redb | sed -n 's/^> block //p'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The first store
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) a: PathBuf,
    /// The second store
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) b: PathBuf,
}

/// The store that a difference is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    A,
    B,
    /// Both, with different values.
    Both,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Head { cid: String, r#in: Side },
    Block { cid: String, r#in: Side },
    Row { table: &'a str, key: &'a str, r#in: Side },
}

/// The counts of one kind of thing: in each store, and of each kind of difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    a: u64,
    b: u64,
    only_a: u64,
    only_b: u64,
    other: u64,
}

#[derive(Serialize)]
struct Summary {
    r#type: &'static str,
    a: String,
    b: String,
    equal: bool,
    blocks_a: u64,
    blocks_b: u64,
    blocks_only_a: u64,
    blocks_only_b: u64,
    heads_only_a: u64,
    heads_only_b: u64,
    rows_only_a: u64,
    rows_only_b: u64,
    rows_other: u64,
}

/// One of the two stores.
struct Opened<'a> {
    path: &'a Path,
    store: Arc<dyn Store>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    if context.typed_store().is_some() {
        return Err(Failure::Usage {
            message: "diff does not take --store".into(),
            hint: "run `mnem-store diff A B`".into(),
        });
    }
    if is_same_place(&args.a, &args.b) {
        return Err(Failure::Usage {
            message: format!("{} and {} are the same store", args.a.display(), args.b.display()),
            hint: "give two stores: `mnem-store diff A B`".into(),
        });
    }
    let (a, b) = (Opened::new(context, &args.a)?, Opened::new(context, &args.b)?);
    let mut out = context.out();
    let heads = heads(&a, &b, &mut out)?;
    let mut bar = context.bar_beside_output("diff");
    let blocks = blocks(&a, &b, &mut out, &mut bar)?;
    let rows = tables(&a, &b, &mut out, &mut bar)?;
    drop(bar);
    let equal = [heads, blocks, rows].iter().all(Counts::is_equal);
    let summary = Summary {
        r#type: "summary",
        a: args.a.display().to_string(),
        b: args.b.display().to_string(),
        equal,
        blocks_a: blocks.a,
        blocks_b: blocks.b,
        blocks_only_a: blocks.only_a,
        blocks_only_b: blocks.only_b,
        heads_only_a: heads.only_a,
        heads_only_b: heads.only_b,
        rows_only_a: rows.only_a,
        rows_only_b: rows.only_b,
        rows_other: rows.other,
    };
    unless_closed(out.summary(text(&blocks, &heads, &rows), summary).and_then(|()| out.finish()))?;
    Ok(if equal { Exit::Done } else { Exit::Different })
}

impl<'a> Opened<'a> {
    fn new(context: &Context, path: &'a Path) -> Result<Self> {
        match context.open_read_only_at(path) {
            Ok(store) => Ok(Self { path, store }),
            Err(source) => Err(of(path, source)),
        }
    }

    fn failed(&self, source: StoreError) -> Failure {
        of(self.path, source)
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>> {
        if cids.is_empty() {
            return Ok(Vec::new());
        }
        self.store.has_many(cids).map_err(|error| self.failed(error))
    }

    fn table_names(&self) -> Result<Vec<String>> {
        let mut names = self.store.side_tables().map_err(|error| self.failed(error))?;
        names.sort_unstable();
        Ok(names)
    }

    /// The side table, if it has rows.
    fn table(&self, names: &[String], name: &str) -> Result<Option<Arc<dyn SideTable>>> {
        if !names.iter().any(|known| known == name) {
            return Ok(None);
        }
        self.store.side_table(name).map(Some).map_err(|error| self.failed(error))
    }
}

/// An error of one of the two stores.
fn of(path: &Path, source: StoreError) -> Failure {
    Failure::OfStore { store: path.to_owned(), source: source.into() }
}

impl Counts {
    fn is_equal(&self) -> bool {
        self.only_a == 0 && self.only_b == 0 && self.other == 0
    }

    fn add(&mut self, side: Side) {
        match side {
            Side::A => self.only_a += 1,
            Side::B => self.only_b += 1,
            Side::Both => self.other += 1,
        }
    }
}

impl Side {
    fn mark(self) -> char {
        match self {
            Self::A => '<',
            Self::B => '>',
            Self::Both => '!',
        }
    }
}

fn heads(a: &Opened<'_>, b: &Opened<'_>, out: &mut Out) -> Result<Counts> {
    let [of_a, of_b] = [a, b].map(|one| one.store.heads().map_err(|error| one.failed(error)));
    let (of_a, of_b) = (of_a?, of_b?);
    let mut counts = Counts { a: of_a.len() as u64, b: of_b.len() as u64, ..Counts::default() };
    for (heads, others, side) in [(&of_a, &of_b, Side::A), (&of_b, &of_a, Side::B)] {
        for cid in heads.iter().filter(|head| !others.contains(head)) {
            counts.add(side);
            let line = || Line::Head { cid: cid.to_string(), r#in: side };
            unless_closed(out.summary_with(format_args!("{} head {cid}", side.mark()), line))?;
        }
    }
    Ok(counts)
}

/// Blocks that are looked up in the other store at once: over a network, a question takes a request.
const LOOKED_UP_TOGETHER: usize = 4096;

/// Merges the two listings. A listing has no guaranteed order, so a CID that seems to be in one store only is looked up
/// in the other.
fn blocks(a: &Opened<'_>, b: &Opened<'_>, out: &mut Out, bar: &mut Bar) -> Result<Counts> {
    let mut counts = Counts::default();
    let [of_a, of_b] = [a, b].map(|one| one.store.cids().map_err(|error| one.failed(error)));
    let mut of_a = of_a?.map(|cid| cid.map_err(|error| a.failed(error)));
    let mut of_b = of_b?.map(|cid| cid.map_err(|error| b.failed(error)));
    let (mut next_a, mut next_b) = (of_a.next().transpose()?, of_b.next().transpose()?);
    let mut unsure: Vec<(Cid, Side)> = Vec::new();
    loop {
        let order = match (&next_a, &next_b) {
            (None, None) => {
                look_up(&mut unsure, a, b, &mut counts, out)?;
                return Ok(counts);
            }
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
        };
        match (&next_a, &next_b) {
            (Some(cid), _) if order.is_lt() => unsure.push((*cid, Side::A)),
            (_, Some(cid)) if order.is_gt() => unsure.push((*cid, Side::B)),
            _ => {}
        }
        if unsure.len() >= LOOKED_UP_TOGETHER {
            look_up(&mut unsure, a, b, &mut counts, out)?;
        }
        if order.is_le() {
            counts.a += 1;
            next_a = of_a.next().transpose()?;
        }
        if order.is_ge() {
            counts.b += 1;
            next_b = of_b.next().transpose()?;
        }
        bar.count("blocks", "block", counts.a + counts.b, None);
    }
}

/// Reports those of the blocks, each of which one listing has shown, that the other store does not hold.
fn look_up(
    unsure: &mut Vec<(Cid, Side)>,
    a: &Opened<'_>,
    b: &Opened<'_>,
    counts: &mut Counts,
    out: &mut Out,
) -> Result<()> {
    let of = |side| unsure.iter().filter(|(_, of)| *of == side).map(|(cid, _)| *cid).collect::<Vec<_>>();
    let (mut in_b, mut in_a) = (b.has_many(&of(Side::A))?.into_iter(), a.has_many(&of(Side::B))?.into_iter());
    for (cid, side) in unsure.drain(..) {
        let is_in_the_other = if side == Side::A { in_b.next() } else { in_a.next() };
        if is_in_the_other == Some(false) {
            counts.add(side);
            let line = || Line::Block { cid: cid.to_string(), r#in: side };
            unless_closed(out.summary_with(format_args!("{} block {cid}", side.mark()), line))?;
        }
    }
    Ok(())
}

fn tables(a: &Opened<'_>, b: &Opened<'_>, out: &mut Out, bar: &mut Bar) -> Result<Counts> {
    let (of_a, of_b) = (a.table_names()?, b.table_names()?);
    let mut names: Vec<&String> = of_a.iter().chain(&of_b).collect();
    names.sort_unstable();
    names.dedup();
    let mut counts = Counts::default();
    for name in names {
        let (table_a, table_b) = (a.table(&of_a, name)?, b.table(&of_b, name)?);
        for (one, own, other, others, side) in
            [(a, &table_a, b, &table_b, Side::A), (b, &table_b, a, &table_a, Side::B)]
        {
            let Some(own) = own else { continue };
            for key in own.keys(&[]).map_err(|error| one.failed(error))? {
                let key = key.map_err(|error| one.failed(error))?;
                let value = own.get(&key).map_err(|error| one.failed(error))?;
                let there =
                    others.as_ref().map(|table| table.get(&key)).transpose().map_err(|error| other.failed(error))?;
                let differs = match there.flatten() {
                    None => Some(side),
                    // Reported once, when reading A.
                    Some(there) if side == Side::A && Some(&there) != value.as_ref() => Some(Side::Both),
                    Some(_) => None,
                };
                if let Some(side) = differs {
                    counts.add(side);
                    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
                    let line = || Line::Row { table: name, key: &hex, r#in: side };
                    unless_closed(out.summary_with(format_args!("{} row {name} {hex}", side.mark()), line))?;
                }
                if side == Side::A {
                    counts.a += 1
                } else {
                    counts.b += 1
                }
                bar.count("tables", "row", counts.a + counts.b, None);
            }
        }
    }
    Ok(counts)
}

fn text(blocks: &Counts, heads: &Counts, rows: &Counts) -> String {
    if [blocks, heads, rows].iter().all(|counts| counts.is_equal()) {
        let mut text = format!("equal: {}, {}", counted(blocks.a, "block"), counted(heads.a, "head"));
        if rows.a > 0 {
            text.push_str(&format!(", {} in side tables", counted(rows.a, "row")));
        }
        return text;
    }
    let mut lines = Vec::new();
    for (name, counts) in [("head", heads), ("block", blocks), ("row", rows)] {
        for (count, what) in
            [(counts.only_a, "only in A"), (counts.only_b, "only in B"), (counts.other, "with different values")]
        {
            if count > 0 {
                lines.push(format!("{} {what}", counted(count, name)));
            }
        }
    }
    format!("different: {}", lines.join(", "))
}
