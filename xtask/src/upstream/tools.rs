//! `mnem mcp` of both programs, each on a copy of one repository: one session over standard input and output.

use std::{io::Write as _, path::Path, process::Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use xshell::Shell;

use super::{
    Row,
    normal::normalise,
    programs::{Programs, command},
    repositories::{ADA, BOB, EVE, Repositories},
    row,
};

pub(super) fn run(sh: &Shell, programs: &Programs, repositories: &Repositories) -> Result<Vec<Row>> {
    let (reads, writes) = (reads(), writes());
    let calls: Vec<&Value> = reads.iter().chain(&writes).collect();
    let [published, ours] = programs.both().map(|(_, program)| {
        repositories.put(sh, &repositories.start)?;
        session(program, &repositories.work, &calls)
    });
    let rows = calls.iter().zip(published?).zip(ours?).enumerate();
    Ok(rows
        .map(|(number, ((call, published), ours))| {
            // From the first commit on, names follow from the time.
            let text = |answer: &str| if number < reads.len() { answer.to_owned() } else { normalise(answer) };
            let shown = |answer: &Value| outcome(answer).to_owned();
            row(
                format!("mcp: {}", name(call)),
                (shown(&published), &text(&published.to_string())),
                (shown(&ours), &text(&ours.to_string())),
            )
        })
        .collect())
}

fn name(call: &Value) -> String {
    let method = call["method"].as_str().unwrap_or("no method");
    let tool = call["params"]["name"].as_str();
    tool.map_or_else(|| method.to_owned(), |tool| format!("{tool} {}", call["id"]))
}

fn outcome(answer: &Value) -> &'static str {
    if answer["error"].is_object() || answer["result"]["isError"] == true { "error" } else { "result" }
}

/// The answers of one process, without how long each took.
fn session(program: &Path, folder: &Path, calls: &[&Value]) -> Result<Vec<Value>> {
    let mut child = command(program, folder, &["mcp"]).stdin(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("a child without an input")?;
    for call in calls {
        writeln!(input, "{call}")?;
    }
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "mcp: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout)?;
    let answers = lines.lines().map(|line| {
        let mut answer: Value = serde_json::from_str(line)?;
        if let Some(meta) = answer.pointer_mut("/result/_meta").and_then(Value::as_object_mut) {
            meta.remove("latency_micros");
        }
        Ok(answer)
    });
    let answers = answers.collect::<Result<Vec<_>>>()?;
    ensure!(answers.len() == calls.len(), "{} answers to {} calls", answers.len(), calls.len());
    Ok(answers)
}

/// One call of `mnem_commit`.
pub(super) fn commit(program: &Path, folder: &Path, arguments: &Value) -> Result<()> {
    let answers = session(program, folder, &[&call((0, ("mnem_commit", arguments.clone())))])?;
    ensure!(answers.iter().all(|answer| outcome(answer) == "result"), "mnem_commit: {answers:?}");
    Ok(())
}

fn method(id: usize, method: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method})
}

fn call((id, (tool, arguments)): (usize, (&str, Value))) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

fn reads() -> Vec<Value> {
    let methods = ["initialize", "ping", "tools/list", "no/such/method"].into_iter().enumerate();
    let calls = [
        ("mnem_stats", json!({})),
        ("mnem_schema", json!({})),
        ("mnem_get_node", json!({"id": ADA})),
        ("mnem_get_node", json!({"id": EVE})),
        ("mnem_list_nodes", json!({"label": "Person"})),
        ("mnem_search", json!({"label": "Person", "where": {"name": "Ada"}, "with_outgoing": true})),
        ("mnem_traverse", json!({"start": ADA, "edge_labels": ["knows"]})),
        ("mnem_incoming_edges", json!({"node": BOB})),
        ("mnem_list_tags", json!({})),
        ("mnem_recent", json!({"limit": 5})),
        ("mnem_nothing", json!({})),
    ];
    methods.map(|(id, name)| method(id, name)).chain(calls.into_iter().enumerate().map(call)).collect()
}

fn writes() -> Vec<Value> {
    let agent = "tester";
    let calls = [
        (
            "mnem_commit",
            json!({"agent_id": agent, "nodes": [{"ntype": "Person", "summary": "Joe", "props": {"name": "Joe"}}],
                "edges": [{"etype": "knows", "src": BOB, "dst": ADA}]}),
        ),
        ("mnem_commit", json!({"nodes": []})),
        ("mnem_commit_relation", json!({"subject": "Ada", "predicate": "met", "object": "Sue", "agent_id": agent})),
        ("mnem_resolve_or_create", json!({"name": "Kim", "kind": "Person", "agent_id": agent})),
        ("mnem_resolve_or_create", json!({"name": "Kim", "kind": "Person", "agent_id": agent})),
        ("mnem_tombstone_node", json!({"id": BOB, "reason": "asked", "agent_id": agent})),
        ("mnem_delete_node", json!({"id": ADA, "agent_id": agent})),
        ("mnem_ingest", json!({"text": "Ada wrote it. Bob read it.", "agent_id": agent})),
        ("mnem_list_nodes", json!({})),
        ("mnem_stats", json!({})),
        ("mnem_recent", json!({"limit": 50})),
    ];
    calls.into_iter().enumerate().map(call).collect()
}
