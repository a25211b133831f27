//! Few file descriptors: every command does its work or names what it lacks, and loses nothing.

use std::{fs, process::Command, thread};

use crate::support::{BACKENDS, Place, Ran, animals, ran};

/// Enough for every command, according to the documents.
const ENOUGH: u32 = 16;

/// `STORE` is a store of the backend, `NEW` the path of a new one; the others are files and CIDs.
const COMMANDS: [&[&str]; 20] = [
    &["init", "--store", "NEW"],
    &["import", "small.car", "--heads", "--store", "STORE"],
    &["import", "small.car", "--heads", "--store", "NEW"],
    &["export", "out.car", "--force", "--store", "STORE"],
    &["export", "-", "--store", "STORE"],
    &["put", "block", "--store", "STORE"],
    &["get", "ROOT", "--store", "STORE"],
    &["has", "ROOT", "--store", "STORE"],
    &["size", "ROOT", "--store", "STORE"],
    &["rm", "ALONE", "--store", "STORE"],
    &["ls", "--store", "STORE"],
    &["walk", "ROOT", "--store", "STORE"],
    &["heads", "update", "ROOT", "--store", "STORE"],
    &["stat", "--store", "STORE"],
    &["verify", "--store", "STORE"],
    &["copy", "STORE", "NEW"],
    &["compact", "--store", "STORE"],
    &["knn", "build", "--vectors", "vectors", "--store", "STORE"],
    &["knn", "list", "--store", "STORE"],
    &["man", "--out", "pages"],
];

/// Runs the program with a limit on open files. Returns `None` if not even its libraries can be loaded.
fn limited(place: &Place, files: u32, args: &[&str]) -> Option<Ran> {
    let program = place.command(args);
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n \"$1\" && shift && exec \"$@\"", "sh", &files.to_string()]);
    shell.arg(program.get_program()).args(args).current_dir(place.path(""));
    Some(ran(&mut shell)).filter(|ran| ran.exit != Some(127))
}

/// A folder with a store of a backend and everything that the commands need.
struct Template {
    backend: &'static str,
    place: Place,
    root: String,
    /// A block that nothing reaches.
    alone: String,
}

impl Template {
    fn new(backend: &'static str) -> Self {
        let place = Place::new();
        let store = format!("s.{backend}");
        let (root, _) = place.small_store(&store);
        place.write("block", b"a block");
        place.write("vectors", b"{\"id\": \"00000000000000000000000000000001\", \"vector\": [1]}\n");
        place.run(&["export", "small.car", "--store", &store]).ok();
        let alone = place.run_with_input(&["put", "-", "--store", &store], b"alone").ok();
        Self { backend, place, root: root.to_string(), alone: alone.trim().to_owned() }
    }

    /// A copy of this folder.
    fn copied(&self) -> Place {
        let place = Place::new();
        let copied = Command::new("cp").arg("-R").arg(self.place.path(".")).arg(place.path(".")).status();
        assert!(copied.expect("it starts").success());
        place
    }
}

/// Returns whether the command did its work. If not, it must give the reason and leave everything intact.
fn does_it_or_says_why(template: &Template, command: &[&str], files: u32) -> bool {
    let (Template { backend, root, alone, .. }, place) = (template, template.copied());
    let (store, new) = (format!("s.{backend}"), format!("new.{backend}"));
    let in_place = |arg: &&str| match *arg {
        "STORE" => store.clone(),
        "NEW" => new.clone(),
        "ROOT" => root.clone(),
        "ALONE" => alone.clone(),
        other => other.to_owned(),
    };
    let args: Vec<String> = command.iter().map(in_place).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let Some(ran) = limited(&place, files, &args) else { return false };
    let case = format!("{args:?}, {files} files: {}", ran.err);
    let done = ran.exit == Some(0);
    if !done {
        assert_eq!(ran.exit, Some(1), "{case}");
        assert!(ran.err.starts_with("error: ") && ran.err.contains("Too many open files"), "{case}");
        assert!(ran.err.contains("\nhint: raise the limit on open files"), "{case}");
    }
    // Whatever was created is complete, or the same command completes it.
    let verified = place.run(&["verify", "--store", &store]).exits(0);
    assert_eq!(verified.err, "", "{case}");
    assert!(place.run(&["ls", "--store", &store]).ok().lines().count() >= 3, "{case}");
    let names = fs::read_dir(place.path("")).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let made = ["out.car", "pages", &*new, &*store, "block", "vectors", "small.car"];
    let left: Vec<_> = names.filter(|name| made.iter().all(|made| name != made)).collect();
    assert!(left.is_empty(), "{case}: {left:?}");
    if !done && command.contains(&"NEW") {
        place.run(&args).exits(0);
        place.run(&["verify", "--store", &new]).exits(0);
    }
    done
}

#[test]
fn few_descriptors_lose_nothing() {
    thread::scope(|scope| {
        for backend in BACKENDS {
            scope.spawn(move || {
                let (template, mut refused) = (Template::new(backend), 0);
                for command in COMMANDS {
                    // What succeeds with two successive limits succeeds with all higher ones.
                    let mut done = 0;
                    for files in 3..ENOUGH {
                        if done == 2 {
                            break;
                        }
                        done = if does_it_or_says_why(&template, command, files) { done + 1 } else { 0 };
                        refused += u32::from(done == 0);
                    }
                    assert!(does_it_or_says_why(&template, command, ENOUGH), "{command:?}");
                }
                assert!(refused > 20, "{backend}: {refused}");
            });
        }
    });
}

#[test]
fn enough_are_enough_for_many_blocks() {
    let place = Place::new();
    let archive = animals();
    for backend in BACKENDS {
        let (store, copy) = (format!("s.{backend}"), format!("t.{backend}"));
        let enough = |args: &[&str]| limited(&place, ENOUGH, args).expect("it starts").exits(0);
        enough(&["import", archive.to_str().expect("text"), "--heads", "--store", &store]);
        enough(&["copy", &store, &copy]);
        enough(&["verify", "--store", &copy]);
        enough(&["export", "-", "--store", &copy]);
        enough(&["compact", "--store", &copy]);
    }
}
