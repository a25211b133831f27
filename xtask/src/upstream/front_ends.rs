//! Every front end of the family at once on one repository: commands beside commands, and commands beside a server.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use xshell::Shell;

use super::{
    Row,
    programs::{Programs, answer, command, run as run_command, words},
    repositories::{Repositories, all_there},
    row,
    server::{Request, Server},
};

const PROCESSES: usize = 4;
const ADDS: usize = 25;

pub(super) const WAITING: &str = "4 processes, 25 adds each";
pub(super) const SHARED: &str = "4 processes, 25 adds each, multi-writer";
pub(super) const HTTP: &str = "25 adds beside mnem http and 25 by it, multi-writer";
pub(super) const MCP: &str = "25 adds beside mnem mcp and 25 by it, multi-writer";

const MULTI_WRITER: Variables<'_> = &[("MNEM_REDB_SHARING", "multi-writer")];

pub(super) fn run(sh: &Shell, programs: &Programs, repositories: &Repositories) -> Result<Vec<Row>> {
    let ways: [(&str, Variables<'_>, Way<'_>); 4] = [
        (WAITING, &[], Test::commands),
        (SHARED, MULTI_WRITER, Test::commands),
        (HTTP, MULTI_WRITER, Test::beside_http),
        (MCP, MULTI_WRITER, Test::beside_mcp),
    ];
    let mut rows = Vec::new();
    for (name, variables, way) in ways {
        let [published, ours] = programs.both().map(|(_, program)| {
            repositories.put(sh, &repositories.start)?;
            let tally = way(&Test { program, folder: &repositories.work, variables })?;
            Ok::<_, anyhow::Error>((tally.text(), tally.stored.to_string()))
        });
        let (published, ours) = (published?, ours?);
        rows.push(row(name, (published.0, &published.1), (ours.0, &ours.1)));
    }
    Ok(rows)
}

type Variables<'a> = &'a [(&'a str, &'a str)];
type Way<'a> = fn(&Test<'a>) -> Result<Tally>;

/// Nodes that were acknowledged, of those that were sent, and those that the repository has in the end.
#[derive(Clone, Copy)]
struct Tally {
    sent: usize,
    stored: usize,
    time: Duration,
}

impl Tally {
    fn text(&self) -> String {
        format!("{} of {}, {:.1} s", self.stored, self.sent, self.time.as_secs_f64())
    }
}

struct Test<'a> {
    program: &'a Path,
    folder: &'a Path,
    /// For each process; the published program knows none of them.
    variables: Variables<'a>,
}

impl Test<'_> {
    /// Some processes at a time, each of which adds one node.
    fn commands(&self) -> Result<Tally> {
        let start = Instant::now();
        let added = thread::scope(|scope| {
            let adders: Vec<_> = (0..PROCESSES).map(|number| scope.spawn(move || self.add(number))).collect();
            let added = adders.into_iter().map(|adder| adder.join().unwrap_or_else(|_| bail!("a panic")));
            added.collect::<Result<Vec<_>>>()
        })?;
        self.tally(PROCESSES * ADDS, &added.concat(), start.elapsed())
    }

    /// One process at a time, and a server that adds as many nodes.
    fn beside_http(&self) -> Result<Tally> {
        let server = Server::start(self.program, self.folder, self.variables)?;
        let (added, time) = self.beside(|name| {
            let body = format!(r#"{{"label":"N","summary":"{name}","props":{{"name":"{name}"}},"author":"t"}}"#);
            Ok(server.ask(&Request::new("add", "POST", "/v1/nodes").body(body))?.0 == 200)
        })?;
        server.stop()?;
        self.tally(2 * ADDS, &added, time)
    }

    fn beside_mcp(&self) -> Result<Tally> {
        let mut mcp = Mcp::start(self)?;
        let (added, time) = self.beside(|name| mcp.add(name))?;
        mcp.stop()?;
        self.tally(2 * ADDS, &added, time)
    }

    /// The names of the nodes that were acknowledged, of those that `add` has the server add and those of commands.
    fn beside(&self, mut add: impl FnMut(&str) -> Result<bool>) -> Result<(Vec<String>, Duration)> {
        let mut served = Vec::new();
        let mut serve = |turn| -> Result<()> {
            let name = format!("served{turn}");
            if add(&name)? {
                served.push(name);
            }
            Ok(())
        };
        let start = Instant::now();
        // A server opens the repository at its first call at the latest.
        serve(0)?;
        let added = thread::scope(|scope| {
            let adder = scope.spawn(|| self.add(0));
            (1..ADDS).try_for_each(&mut serve)?;
            adder.join().unwrap_or_else(|_| bail!("a panic"))
        })?;
        Ok(([served, added].concat(), start.elapsed()))
    }

    /// The names of the nodes that were acknowledged, each by a process of its own.
    fn add(&self, number: usize) -> Result<Vec<String>> {
        let mut added = Vec::new();
        for turn in 0..ADDS {
            let name = format!("node{number}x{turn}");
            let args = format!("add node --label N --summary {name} --prop name={name} --no-embed");
            let mut command = command(self.program, self.folder, &words(&args));
            command.envs(self.variables.iter().copied());
            if run_command(command)?.0 == Some(0) {
                added.push(name);
            }
        }
        Ok(added)
    }

    /// Everything that was acknowledged has to be there.
    fn tally(&self, sent: usize, added: &[String], time: Duration) -> Result<Tally> {
        all_there(self.program, self.folder, added)?;
        answer(self.program, self.folder, &["fsck"])?;
        Ok(Tally { sent, stored: added.len(), time })
    }
}

/// `mnem mcp` as a child.
struct Mcp {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Mcp {
    fn start(test: &Test<'_>) -> Result<Self> {
        let mut command = command(test.program, test.folder, &["mcp"]);
        command.envs(test.variables.iter().copied()).stdin(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let input = child.stdin.take().context("a child without an input")?;
        let output = BufReader::new(child.stdout.take().context("a child without an output")?);
        Ok(Self { child, input, output })
    }

    /// Whether it acknowledged the node.
    fn add(&mut self, name: &str) -> Result<bool> {
        let node = serde_json::json!({"ntype": "N", "summary": name, "props": {"name": name}});
        let arguments = serde_json::json!({"agent_id": "t", "nodes": [node]});
        let params = serde_json::json!({"name": "mnem_commit", "arguments": arguments});
        writeln!(
            self.input,
            "{}",
            serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        )?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let answer: serde_json::Value = serde_json::from_str(&line)?;
        Ok(answer["result"].is_object() && answer["result"]["isError"] != true)
    }

    fn stop(self) -> Result<()> {
        let Self { mut child, input, .. } = self;
        drop(input);
        ensure!(child.wait()?.success(), "mcp failed");
        Ok(())
    }
}
