//! Every command of `mnem-store` works over a third-party backend.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

/// The example program, and the commands that were run.
struct Program {
    binary: PathBuf,
    folder: TempDir,
    ran: BTreeSet<String>,
}

impl Program {
    fn new() -> Self {
        let test = std::env::current_exe().expect("this binary has a path");
        let profile = test.parent().and_then(Path::parent).expect("a folder of builds");
        let binary = profile.join("examples").join("mnem-store").with_extension(std::env::consts::EXE_EXTENSION);
        assert!(
            binary.is_file(),
            "`cargo test -p mnem-example-sqlite` builds the example; with --test it is `cargo build --examples`"
        );
        Self { binary, folder: TempDir::new().expect("a folder"), ran: BTreeSet::new() }
    }

    fn run(&mut self, args: &[&str]) -> Output {
        self.ran.insert(args[0].to_owned());
        let mut command = Command::new(&self.binary);
        command.args(args).current_dir(self.folder.path()).env_remove("MNEM_STORE");
        command.output().expect("the program starts")
    }

    /// Runs a command that must succeed, and returns its standard output.
    #[track_caller]
    fn ok(&mut self, args: &[&str]) -> String {
        self.exits(args, 0)
    }

    #[track_caller]
    fn exits(&mut self, args: &[&str], status: i32) -> String {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
        let out = if status == 0 { &output.stdout } else { &output.stderr };
        String::from_utf8_lossy(out).into_owned()
    }

    #[track_caller]
    fn json(&mut self, args: &[&str]) -> Value {
        let said = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{args:?}: {error}: {said}"))
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).expect("written");
    }
}

/// The names in the list of commands.
fn commands(help: &str) -> BTreeSet<String> {
    let list = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list of commands");
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_works() {
    let mut program = Program::new();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/data/wordnet-animals.car");
    let archive = archive.to_str().expect("a path of text");
    let store = &["--store", "animals.sqlite"];
    let with = |args: &[&'static str]| [args, store].concat();

    assert!(program.ok(&with(&["init"])).contains("created an empty sqlite store at animals.sqlite"));
    assert!(program.exits(&with(&["init"]), 1).contains("animals.sqlite is already a sqlite store"));
    program.ok(&["import", archive, "--heads", "--store", "animals.sqlite"]);
    let refused = program.exits(&["import", archive, "--adopt", "--store", "animals.sqlite"], 1);
    assert!(refused.contains("a sqlite store does not keep the order of an archive"), "{refused}");
    let head = program.ok(&with(&["heads"])).trim().to_owned();
    let listed = program.ok(&with(&["ls"]));
    assert_eq!(listed.lines().count(), 4077);
    assert_eq!(program.ok(&["walk", &head, "--store", "animals.sqlite"]).lines().count(), 4077);

    let refused = program.exits(&with(&["log"]), 2);
    assert!(refused.contains("animals.sqlite is a sqlite store, which has no log to list"), "{refused}");

    let stat = program.json(&with(&["stat"]));
    assert_eq!((&stat["backend"], &stat["format"]), (&"sqlite".into(), &"mnem-example-sqlite 1".into()));
    assert_eq!((&stat["blocks"], &stat["heads"]), (&4077.into(), &1.into()));

    program.write("note.txt", "a note");
    let note = program.ok(&with(&["put", "note.txt"])).trim().to_owned();
    assert_eq!(program.ok(&["get", &note, "--store", "animals.sqlite"]), "a note");
    program.ok(&["has", &note, "--store", "animals.sqlite"]);
    assert_eq!(program.ok(&["size", &note, "--store", "animals.sqlite"]).trim(), "6");
    program.ok(&["rm", &note, "--store", "animals.sqlite"]);
    program.exits(&["has", &note, "--store", "animals.sqlite"], 4);
    assert!(program.ok(&with(&["verify"])).starts_with("0 faults in 4,077 blocks"));

    program.write("vectors.jsonl", "{\"id\":\"00000000000000000000000000000001\",\"vector\":[1,0]}\n{\"id\":\"00000000000000000000000000000002\",\"vector\":[0,1]}\n");
    program.ok(&with(&["knn", "build", "--vectors", "vectors.jsonl", "--k", "1"]));
    assert_eq!(program.ok(&with(&["knn", "list"])).lines().count(), 1);
    assert_eq!(program.json(&with(&["stat"]))["tables"][0]["name"], "knn_edges");

    // Copy to every backend of the build and back, with a check each time.
    for (from, to) in [("animals.sqlite", "a.redb"), ("a.redb", "a.simple"), ("a.simple", "back.sqlite")] {
        assert_eq!(program.json(&["copy", from, to])["equal_cids"], true, "{from} to {to}");
    }
    program.ok(&["copy", "--reachable", "animals.sqlite", "reached.sqlite"]);
    program.ok(&["copy", "--salvage", "animals.sqlite", "saved.sqlite"]);
    for copy in ["back.sqlite", "reached.sqlite", "saved.sqlite"] {
        assert_eq!(program.ok(&["ls", "--store", copy]), listed, "{copy}");
        assert_eq!(program.ok(&["heads", "--store", copy]).trim(), head, "{copy}");
        assert_eq!(program.json(&["stat", "--store", copy])["backend"], "sqlite", "{copy}");
    }
    // An unreachable block makes a difference until it is collected.
    assert!(program.ok(&["show", &head, "--store", "animals.sqlite"]).starts_with('{'));
    program.ok(&["diff", "animals.sqlite", "back.sqlite"]);
    program.ok(&with(&["put", "note.txt"]));
    program.exits(&["diff", "animals.sqlite", "back.sqlite"], 1);
    assert_eq!(program.json(&with(&["gc"]))["removed"], 1);
    program.ok(&["diff", "animals.sqlite", "back.sqlite"]);
    let compacted = program.json(&with(&["compact"]));
    assert_eq!(compacted["backend"], "sqlite");
    assert!(compacted["after_bytes"].as_u64() <= compacted["before_bytes"].as_u64(), "{compacted}");
    program.ok(&with(&["export", "out.car"]));
    program.ok(&["import", "out.car", "--heads", "--store", "again.sqlite"]);
    assert_eq!(program.ok(&["ls", "--store", "again.sqlite"]), listed);

    let laws = program.json(&["conformance", "--backend", "sqlite", "--only", "driver::"]);
    assert_eq!(
        (&laws["backend"], &laws["failed"], &laws["conforms_to"][0]),
        (&"sqlite".into(), &0.into(), &"driver".into())
    );
    assert!(program.ok(&["completions", "bash"]).contains("sqlite"), "a value of --backend");
    program.ok(&["man", "init"]);
    assert!(program.ok(&["init", "--help"]).contains("sqlite  an SQLite database (.sqlite)"), "which backend");

    let help = program.ok(&["--help"]);
    assert!(program.ok(&["--version"]).contains("sqlite formats: mnem-example-sqlite 1"));
    let (known, ran) = (commands(&help), program.ran);
    assert!(known.is_subset(&ran) && known.len() > 15, "not run: {:?}", known.difference(&ran));
}

/// A damaged database is reported like any other damaged store, with advice for the same next step.
#[test]
fn what_is_damaged_or_foreign_is_named() {
    let mut program = Program::new();
    program.ok(&["init", "--store", "a.sqlite"]);
    program.write("note.txt", &"a note ".repeat(20_000));
    program.ok(&["put", "note.txt", "--store", "a.sqlite"]);
    let path = program.folder.path().join("a.sqlite");
    let whole = std::fs::read(&path).expect("read");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    let said = program.exits(&["verify", "--store", "a.sqlite"], 3);
    assert!(said.contains("copy --salvage"), "{said}");
    assert_eq!(std::fs::read(&path).expect("read").len(), whole.len() / 2, "left as it was");
    std::fs::write(&path, "Dear diary").expect("written");
    let said = program.exits(&["stat", "--store", "a.sqlite"], 10);
    assert!(said.contains("sqlite: the file is not an SQLite database"), "{said}");
}
