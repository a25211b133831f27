//! The published backend over redb 4.1, for the tests of the package above: `mnem-interop-redb41 first|second|check FILE`.

use std::env;

#[path = "../../src/flow.rs"]
mod flow;
#[path = "../../src/graph.rs"]
#[expect(dead_code, reason = "what other programs use of it")]
mod graph;

fn main() -> graph::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [command, file] = &args[..] else { return Err("a command and a file".into()) };
    let (blocks, heads, _) = published_redb::open_or_init(file)?;
    let stores = (blocks, heads);
    match command.as_str() {
        "first" => drop(flow::first_half(&stores)?),
        "second" => drop(flow::second_half(&stores)?),
        "check" => flow::check(&stores)?,
        other => return Err(format!("no such command: {other}").into()),
    }
    // Everything is read, so that a block which cannot be is an error.
    let contents = flow::Contents::of(&stores)?;
    println!("{} blocks, {} reached, heads {:?}", contents.blocks.len(), contents.walk.len(), contents.heads);
    Ok(())
}
