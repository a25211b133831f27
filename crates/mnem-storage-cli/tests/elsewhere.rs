//! A store is moved, removed or replaced while a command has it open: the command reports it, and where the data are.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, ChildStderr, Stdio},
};

use crate::{
    stuck::{full_pipe, is_stuck},
    support::{BACKENDS, Place, animals},
};

/// A command that has the store open and waits for input.
struct Waiting {
    child: Child,
    err: BufReader<ChildStderr>,
}

impl Waiting {
    /// Starts an import from standard input, and writes `beginning` to it.
    fn start(place: &Place, store: &str, beginning: &[u8]) -> Self {
        let args = ["import", "-", "--heads", "--store", store, "--progress", "always"];
        let mut command = place.command(&args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        // More than a pipe holds: once it is written, the import has begun, and its store is open.
        child.stdin.as_mut().expect("a pipe").write_all(beginning).expect("written");
        let err = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut waiting = Self { child, err };
        waiting.says("import: blocks: ");
        waiting
    }

    #[track_caller]
    fn says(&mut self, beginning: &str) {
        let (mut said, mut line) = (String::new(), String::new());
        while !line.starts_with(beginning) {
            line.clear();
            assert_ne!(self.err.read_line(&mut line).expect("text"), 0, "it ended without {beginning:?}: {said}");
            said.push_str(&line);
        }
    }

    /// Exit status, standard output, and standard error without progress.
    fn ended(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut said) = (String::new(), String::new());
        self.err.read_to_string(&mut said).expect("text");
        self.child.stdout.take().expect("a pipe").read_to_string(&mut out).expect("text");
        let said = said.lines().filter(|line| !line.contains(": blocks: ")).map(|line| format!("{line}\n")).collect();
        (self.child.wait().expect("it ends").code(), out, said)
    }
}

/// Imports from standard input, and calls `meanwhile` in the middle.
fn import_meanwhile(place: &Place, store: &str, meanwhile: impl FnOnce()) -> (Option<i32>, String, String) {
    let archive = fs::read(animals()).expect("the archive");
    let mut waiting = Waiting::start(place, store, &archive[..archive.len() / 2]);
    meanwhile();
    let mut input = waiting.child.stdin.take().expect("a pipe");
    // A program that gives up does not read everything.
    let _ = input.write_all(&archive[archive.len() / 2..]);
    drop(input);
    waiting.ended()
}

fn now(place: &Place, name: &str) -> String {
    let now = place.path(name).canonicalize().expect("there");
    now.to_str().expect("text").to_owned()
}

#[test]
fn one_that_is_moved_is_named() {
    for backend in BACKENDS {
        let place = Place::new();
        let (store, moved) = (format!("s.{backend}"), format!("t.{backend}"));
        place.run(&["init", "--store", &store]).ok();
        let (exit, out, said) = import_meanwhile(&place, &store, || {
            fs::rename(place.path(&store), place.path(&moved)).expect("moved");
        });
        assert_eq!((exit, &*out), (Some(1), ""), "{said}");
        let now = now(&place, &moved);
        let error = format!("error: {store} was moved to {now} while it was open: ");
        assert!(said.starts_with(&error), "{said}");
        assert!(said.contains(&format!("\nhint: the data is in {now}: move it back, or give --store {now}\n")));
        assert!(!place.path(&store).exists(), "nothing is made in its place");
        if backend == "redb" {
            assert!(said.contains("while it was open: imported 4,077 blocks\n"), "{said}");
            assert!(place.run(&["verify", "--store", &moved]).ok().starts_with("0 faults in 4,077 blocks"));
        }
        // However far the import came, nothing is broken, and repeating it succeeds.
        let archive = fs::read(animals()).expect("the archive");
        place.run_with_input(&["import", "-", "--heads", "--store", &moved], &archive).exits(0);
        assert!(place.run(&["verify", "--store", &moved]).ok().starts_with("0 faults in 4,077 blocks"));
    }
}

#[test]
fn one_that_is_replaced_is_not_taken_for_the_new_one() {
    for backend in BACKENDS {
        for kept in [true, false] {
            let place = Place::new();
            let (store, moved) = (format!("s.{backend}"), format!("t.{backend}"));
            place.run(&["init", "--store", &store]).ok();
            place.small_store(&format!("other.{backend}"));
            let (exit, out, said) = import_meanwhile(&place, &store, || {
                fs::rename(place.path(&store), place.path(&moved)).expect("moved");
                fs::rename(place.path(&format!("other.{backend}")), place.path(&store)).expect("replaced");
                if !kept {
                    remove(&place.path(&moved));
                }
            });
            assert_eq!((exit, &*out), (Some(1), ""), "{said}");
            let error = match kept {
                true => {
                    format!("moved to {} and replaced while it was open", now(&place, &moved))
                }
                false => "replaced while it was open".to_owned(),
            };
            assert!(said.starts_with(&format!("error: {store} was {error}: imported 4,077 blocks\n")), "{said}");
            place.run(&["verify", "--store", &store]).ok();
        }
    }
}

#[test]
fn one_that_is_removed_is_no_success() {
    for backend in BACKENDS {
        let place = Place::new();
        let store = format!("s.{backend}");
        place.run(&["init", "--store", &store]).ok();
        let (exit, out, said) = import_meanwhile(&place, &store, || remove(&place.path(&store)));
        assert_eq!((exit, &*out), (Some(1), ""), "{said}");
        assert!(said.starts_with(&format!("error: {store} was removed while it was open: ")), "{said}");
        assert!(said.contains("\nhint: the written data is lost: run the same command again"), "{said}");
    }
}

#[test]
fn paths_that_lead_there_count_and_not_their_spelling() {
    for backend in BACKENDS {
        let place = Place::new();
        place.below("folder");
        let store = format!("folder/s.{backend}");
        place.run(&["init", "--store", &store]).ok();
        // Through a link, which is changed meanwhile to another link to the same store.
        let link = format!("link.{backend}");
        std::os::unix::fs::symlink(&store, place.path(&link)).expect("linked");
        let (exit, _, said) = import_meanwhile(&place, &link, || {
            fs::remove_file(place.path(&link)).expect("removed");
            std::os::unix::fs::symlink(now(&place, &store), place.path(&link)).expect("linked");
        });
        assert_eq!(exit, Some(0), "{said}");
        // The folder that contains the store is renamed.
        let (exit, _, said) = import_meanwhile(&place, &store, || {
            fs::rename(place.path("folder"), place.path("renamed")).expect("moved");
        });
        let now = now(&place, &format!("renamed/s.{backend}"));
        assert_eq!(exit, Some(1), "{said}");
        assert!(said.starts_with(&format!("error: {store} was moved to {now} while it was open: ")), "{said}");
    }
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("removed");
}

#[test]
fn a_copy_looks_for_its_target_too() {
    for how in [&[][..], &["--reachable"], &["--salvage"]] {
        let place = Place::new();
        let car = animals();
        place.run(&["import", car.to_str().expect("text"), "--heads", "--store", "a.redb"]).ok();
        let (reader, writer, _) = full_pipe();
        let args = [&["copy", "a.redb", "b.redb", "--progress", "always"], how].concat();
        let mut child = place.command(&args).stdout(Stdio::piped()).stderr(writer).spawn().expect("the program starts");
        while !is_stuck(child.id()) && child.try_wait().expect("known").is_none() {
            std::thread::yield_now();
        }
        fs::rename(place.path("b.redb"), place.path("c.redb")).expect("moved");
        let mut said = String::new();
        BufReader::new(reader).read_to_string(&mut said).expect("text");
        assert_eq!(child.wait().expect("it ends").code(), Some(1), "{how:?}: {said}");
        let moved = format!("error: b.redb was moved to {} while it was open: ", now(&place, "c.redb"));
        assert!(said.contains(&moved) && said.contains(" 4,077 blocks\n"), "{how:?}: {said}");
    }
}
