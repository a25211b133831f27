//! The HTTP server of both programs, each on a copy of one repository: the same requests, the same answers.

use anyhow::Result;
use xshell::Shell;

use super::{
    Row,
    normal::normalise,
    programs::{Programs, answer},
    repositories::{ADA, BOB, EVE, Repositories, status},
    row,
    server::{Request, Server},
};

const ABSENT: &str = "bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
const NDJSON: &str = "application/x-ndjson";
const CAR: &str = "application/vnd.ipld.car";

/// The name of a request, its status, and its answer.
type Answers = Vec<(String, u16, String)>;

pub(super) fn run(sh: &Shell, programs: &Programs, repositories: &Repositories) -> Result<Vec<Row>> {
    let archive = Archive::make(sh, programs, repositories)?;
    let [published, ours] = programs.both().map(|(_, program)| -> Result<Answers> {
        let mut answers = Vec::new();
        repositories.put(sh, &repositories.start)?;
        let op = status(program, &repositories.work, "op_id")?;
        let commit = status(program, &repositories.work, "commit")?;
        let server = Server::start(program, &repositories.work, &[])?;
        ask(&server, &reads(&op, &commit), str::to_owned, &mut answers)?;
        ask(&server, &writes(&commit), normalise, &mut answers)?;
        server.stop()?;
        // The same blocks and heads go in on both sides, so everything is the same to the byte.
        repositories.put(sh, &repositories.start)?;
        let server = Server::start(program, &repositories.work, &[])?;
        ask(&server, &archive.transfer(&op), str::to_owned, &mut answers)?;
        server.stop()?;
        for args in [["log", "--format", "json"].as_slice(), &["status"], &["fsck"]] {
            answers.push((args.join(" "), 0, answer(program, &repositories.work, args)?));
        }
        Ok(answers)
    });
    Ok(published?.into_iter().zip(ours?).map(|(published, ours)| compare(&published, &ours)).collect())
}

fn ask(server: &Server, requests: &[Request], text: impl Fn(&str) -> String, answers: &mut Answers) -> Result<()> {
    for request in requests {
        let (status, body) = server.ask(request)?;
        let body = String::from_utf8(body).unwrap_or_else(|error| error.into_bytes().escape_ascii().to_string());
        answers.push((request.name.to_owned(), status, text(&body)));
    }
    Ok(())
}

fn compare((name, code, text): &(String, u16, String), ours: &(String, u16, String)) -> Row {
    let [published, ours] =
        [(code, text), (&ours.1, &ours.2)].map(|(code, text)| (code.to_string(), format!("{code} {text}")));
    row(format!("http: {name}"), (published.0, &published.1), (ours.0, &ours.1))
}

fn get(name: &'static str, path: impl Into<String>) -> Request {
    Request::new(name, "GET", path)
}

fn post(name: &'static str, path: impl Into<String>, body: impl Into<Vec<u8>>) -> Request {
    Request::new(name, "POST", path).body(body)
}

/// Requests that change nothing: the answers are the same to the byte.
fn reads(op: &str, commit: &str) -> Vec<Request> {
    vec![
        get("healthz", "/v1/healthz"),
        get("stats", "/v1/stats"),
        get("log", "/v1/log?limit=10"),
        get("log, one line each", "/v1/log?format=oneline"),
        get("export", "/v1/export"),
        get("limited export", "/v1/export?limit=1"),
        get("block", format!("/v1/blocks/{op}")),
        get("raw block", format!("/v1/blocks/{commit}?format=raw")),
        get("absent block", format!("/v1/blocks/{ABSENT}")),
        get("no CID", "/v1/blocks/nonsense"),
        get("node", format!("/v1/nodes/{ADA}")),
        get("absent node", format!("/v1/nodes/{EVE}")),
        get("embedding", format!("/v1/nodes/{ADA}/embedding?model=none")),
        get("branches", "/v1/branches"),
        get("tags", "/v1/tags"),
        get("no such route", "/v1/nowhere"),
        post("diff", "/v1/diff", format!(r#"{{"from":"{op}","to":"{commit}"}}"#)),
        post("diff with nothing", "/v1/diff", format!(r#"{{"from":"{ABSENT}","to":"{commit}"}}"#)),
        post("merge with itself", "/v1/merge", format!(r#"{{"left":"{commit}","right":"{commit}"}}"#)),
        post("explain", "/v1/explain", format!(r#"{{"node_id":"{ADA}","depth":2}}"#)),
        post("multihop", "/v1/traverse_answer", r#"{"query":"Ada","text":"Ada"}"#),
        get("refs", "/remote/v1/refs"),
        post("fetch-blocks", "/remote/v1/fetch-blocks", format!(r#"{{"wants":["{op}"],"have_set":[]}}"#)),
        post("fetch of nothing", "/remote/v1/fetch-blocks", format!(r#"{{"wants":["{ABSENT}"]}}"#)),
    ]
}

/// Requests of which each makes a commit or fails, and some that look at the result.
fn writes(commit: &str) -> Vec<Request> {
    let node = |id: &str, name: &str| {
        format!(r#"{{"id":"{id}","label":"Person","summary":"{name}","props":{{"name":"{name}"}},"author":"tester"}}"#)
    };
    let edge = |to: &str| format!(r#"{{"src":"{ADA}","dst":"{to}","etype":"knows","author":"tester"}}"#);
    let [third, fourth] = ["00000000-0000-7000-8000-000000000004", "00000000-0000-7000-8000-000000000005"];
    vec![
        post("add a node", "/v1/nodes", node(EVE, "Eve")),
        post("add it again", "/v1/nodes", node(EVE, "Eve")),
        post("a node of nobody", "/v1/nodes", r#"{"summary":"Nobody"}"#),
        post(
            "add two nodes",
            "/v1/nodes/bulk",
            format!(r#"{{"nodes":[{},{}],"author":"tester"}}"#, node(third, "Joe"), node(fourth, "Sue")),
        ),
        post("add an edge", "/v1/edges", edge(EVE)),
        post("add an edge without a token", "/v1/edges", edge(BOB)).without_token(),
        post("add an edge to nowhere", "/v1/edges", edge("00000000-0000-7000-8000-00000000000f")),
        post("tombstone", format!("/v1/nodes/{BOB}/tombstone"), r#"{"reason":"asked","author":"tester"}"#),
        Request::new("delete", "DELETE", format!("/v1/nodes/{third}?author=tester")),
        post("branch", "/v1/branches", r#"{"name":"side","author":"tester"}"#),
        post("branch at a commit", "/v1/branches", format!(r#"{{"name":"old","at":"{commit}","author":"tester"}}"#)),
        post("tag", "/v1/tags", r#"{"name":"first","author":"tester"}"#),
        get("branches then", "/v1/branches"),
        Request::new("delete a branch", "DELETE", "/v1/branches/old?author=tester"),
        Request::new("delete a tag", "DELETE", "/v1/tags/first?author=tester"),
        post("ingest", "/v1/ingest", r#"{"text":"Ada wrote it. Bob read it.","author":"tester"}"#),
        get("stats then", "/v1/stats"),
        get("node then", format!("/v1/nodes/{EVE}")),
        get("log then", "/v1/log?limit=50"),
    ]
}

/// What takes `start` to `ahead`: its blocks in both forms, and its head.
pub(super) struct Archive {
    pub(super) ndjson: Vec<u8>,
    pub(super) car: Vec<u8>,
    pub(super) head: String,
}

impl Archive {
    pub(super) fn make(sh: &Shell, programs: &Programs, repositories: &Repositories) -> Result<Self> {
        repositories.put(sh, &repositories.ahead)?;
        let head = status(&programs.published, &repositories.work, "op_id")?;
        let server = Server::start(&programs.published, &repositories.work, &[])?;
        let wants = format!(r#"{{"wants":["{head}"]}}"#);
        let car = server.get(&post("fetch-blocks", "/remote/v1/fetch-blocks", wants))?;
        let ndjson = server.get(&get("export", "/v1/export"))?;
        server.stop()?;
        Ok(Self { ndjson, car, head })
    }

    pub(super) fn push(&self) -> Request {
        post("push-blocks", "/remote/v1/push-blocks", self.car.clone()).kind(CAR)
    }

    pub(super) fn import(&self) -> Request {
        post("import", "/v1/import", self.ndjson.clone()).kind(NDJSON)
    }

    pub(super) fn advance(&self, from: &str) -> Request {
        let heads = format!(r#"{{"old":"{from}","new":"{}","ref":"main"}}"#, self.head);
        post("advance-head", "/remote/v1/advance-head", heads)
    }

    /// The whole way, with the wrong turns.
    fn transfer(&self, op: &str) -> Vec<Request> {
        let mut cut = self.car.clone();
        cut.truncate(cut.len() - 1);
        let wrong = r#"{"cid":"nonsense","hex":"00"}"#;
        let other_bytes = format!(r#"{{"cid":"{ABSENT}","hex":"00"}}"#);
        vec![
            self.push().without_token(),
            post("push of a cut archive", "/remote/v1/push-blocks", cut).kind(CAR),
            post("push of nothing", "/remote/v1/push-blocks", "").kind(CAR),
            post("import of another type", "/v1/import", "").kind("text/html"),
            post("import of wrong lines", "/v1/import", format!("{wrong}\n{other_bytes}\nnonsense\n")).kind(NDJSON),
            self.import(),
            self.push(),
            self.push(),
            self.advance(ABSENT),
            self.advance(op),
            self.advance(op),
            get("refs then", "/remote/v1/refs"),
            get("block of the new head", format!("/v1/blocks/{}", self.head)),
        ]
    }
}
