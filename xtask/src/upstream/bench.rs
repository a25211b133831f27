//! What each command costs on either backend: time and syncs, on repositories of three sizes, the programs in turn. A
//! repository has as many edges as nodes.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::json;
use xshell::{Shell, cmd};

use super::{
    programs::{Programs, answer, command, words},
    repositories::copy,
    server::{Request, Server},
    tools,
};

const NODES: [u32; 3] = [10, 100, 1_000];
/// Rounds of which the median counts.
const ROUNDS: usize = 15;

/// `FIRST` and `LAST` stand for ids of nodes. `init` and `clone` begin in a folder that has the archive only, `import` in
/// an empty repository.
const COMMANDS: &[(&str, &str)] = &[
    ("init", "init"),
    ("status", "status"),
    ("query", "query --where name=node1"),
    ("add node", "add node --label N --summary new --prop name=new --no-embed"),
    ("add edge", "add edge --from FIRST --to LAST --label knows"),
    ("tombstone", "tombstone LAST --reason asked"),
    ("branch", "branch create side"),
    ("fsck", "fsck"),
    ("export", "export out.car"),
    ("import", "import given.car"),
    ("clone", "clone given.car clone"),
];

/// The median time, and the syncs where `strace` can count them.
struct Cost {
    time: Duration,
    syncs: Option<usize>,
}

/// Prints the table.
pub(super) fn run(sh: &Shell, programs: &Programs) -> Result<()> {
    println!("| command | nodes | published, ms | ours, ms | ratio | published, syncs | ours, syncs |");
    println!("|---|---|---|---|---|---|---|");
    for nodes in NODES {
        let bench = Bench::new(sh, programs, nodes)?;
        for (name, args) in COMMANDS {
            let [published, ours] = bench.compare(name, args, programs)?;
            let ms = |cost: &Cost| cost.time.as_secs_f64() * 1e3;
            let syncs = |cost: &Cost| cost.syncs.map_or_else(|| "unknown".into(), |syncs| syncs.to_string());
            let (theirs, own) = (ms(&published), ms(&ours));
            let ratio = own / theirs;
            let counts = [&published, &ours].map(syncs).join(" | ");
            println!("| {name} | {nodes} | {theirs:.1} | {own:.1} | {ratio:.2} | {counts} |");
        }
    }
    Ok(())
}

fn id(node: u32) -> String {
    format!("00000000-0000-7000-8000-{node:012}")
}

/// Adds so many nodes, and an edge from each to the next, in two commits.
fn fill(program: &Path, folder: &Path, nodes: u32) -> Result<()> {
    let node = |number| {
        let name = format!("node{number}");
        json!({"id": id(number), "summary": name, "props": {"name": name}})
    };
    let all: Vec<_> = (0..nodes).map(node).collect();
    let server = Server::start(program, folder, &[])?;
    let body = json!({"author": "bench", "nodes": all}).to_string();
    server.get(&Request::new("add nodes", "POST", "/v1/nodes/bulk").body(body))?;
    server.stop()?;
    let edge = |number| json!({"etype": "knows", "src": id(number), "dst": id((number + 1) % nodes)});
    let edges: Vec<_> = (0..nodes).map(edge).collect();
    tools::commit(program, folder, &json!({"agent_id": "bench", "edges": edges}))
}

struct Bench<'a> {
    sh: &'a Shell,
    /// Where every command runs.
    work: PathBuf,
    /// A repository with its archive `given.car`.
    full: PathBuf,
    /// A folder with the archive only.
    bare: PathBuf,
    /// A repository without nodes, with the archive.
    empty: PathBuf,
    last: String,
}

impl<'a> Bench<'a> {
    fn new(sh: &'a Shell, programs: &Programs, nodes: u32) -> Result<Self> {
        let [work, full, bare, empty] =
            ["work", "full", "bare", "empty"].map(|name| programs.folder.join("bench").join(name));
        let bench = Self { sh, work, full, bare, empty, last: id(nodes - 1) };
        for folder in [&bench.full, &bench.bare, &bench.empty] {
            sh.remove_path(folder)?;
            sh.create_dir(folder)?;
        }
        // Both take the file of either.
        let mnem = |folder: &Path, args: &str| answer(&programs.ours, folder, &words(args)).map(drop);
        mnem(&bench.full, "init")?;
        fill(&programs.ours, &bench.full, nodes)?;
        mnem(&bench.full, "export given.car")?;
        mnem(&bench.empty, "init")?;
        for folder in [&bench.bare, &bench.empty] {
            sh.copy_file(bench.full.join("given.car"), folder)?;
        }
        Ok(bench)
    }

    /// The costs of a command on either backend.
    fn compare(&self, name: &str, args: &str, programs: &Programs) -> Result<[Cost; 2]> {
        let state = match name {
            "init" | "clone" => &self.bare,
            "import" => &self.empty,
            _ => &self.full,
        };
        let args = args.replace("FIRST", &id(0)).replace("LAST", &self.last);
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            // Each is first as often as the other.
            for which in [round % 2, (round + 1) % 2] {
                let (_, program) = programs.both()[which];
                copy(self.sh, state, &self.work)?;
                self.settle()?;
                let start = Instant::now();
                answer(program, &self.work, &words(&args))?;
                times[which].push(start.elapsed());
            }
        }
        let mut costs = Vec::new();
        for ((_, program), mut times) in programs.both().into_iter().zip(times) {
            times.sort_unstable();
            copy(self.sh, state, &self.work)?;
            costs.push(Cost { time: times[ROUNDS / 2], syncs: self.syncs(program, &args)? });
        }
        costs.try_into().ok().context("two programs have two costs")
    }

    /// What the copy left for the disk to do is not the command's.
    fn settle(&self) -> Result<()> {
        let file = self.work.join(".mnem/repo.redb");
        if file.exists() {
            File::open(file)?.sync_all()?;
        }
        Ok(())
    }

    /// Syncs of one run, if `strace` is there.
    fn syncs(&self, program: &Path, args: &str) -> Result<Option<usize>> {
        if cmd!(self.sh, "strace --version").quiet().ignore_stdout().ignore_stderr().run().is_err() {
            return Ok(None);
        }
        let log = self.work.join("strace.log");
        let mut words = words(args);
        let program = program.display().to_string();
        let log_name = log.display().to_string();
        let mut traced = vec!["-f", "-o", &log_name, "-e", "trace=fsync,fdatasync,syncfs,sync", &program];
        traced.append(&mut words);
        // A traced program may end with the status of a killed one; only its calls count.
        let _ = command(Path::new("strace"), &self.work, &traced).output()?;
        let log = self.sh.read_file(log)?;
        Ok(Some(log.lines().filter(|line| line.contains("sync(") || line.contains("syncfs(")).count()))
    }
}
