//! Ctrl-C: the store stays intact, and the program reports what it kept.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    process::{Child, ChildStderr, ExitStatus, Stdio},
    thread,
};

use mnem_storage::{Bytes, Cid, DAG_CBOR, RAW, WriteBatch, cid_of};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Place, is_ignored};

/// The running program, and its messages so far.
struct Running {
    child: Child,
    err: BufReader<ChildStderr>,
}

impl Running {
    /// Starts the program with progress lines. The first line shows that the work has begun, and that signals are
    /// handled.
    fn start(place: &Place, args: &[&str]) -> Self {
        let args = [args, &["--progress", "always"]].concat();
        let mut command = place.command(&args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let err = BufReader::new(child.stderr.take().expect("a pipe"));
        Self { child, err }
    }

    /// Reads messages up to a line with this beginning, and returns the rest of that line.
    #[track_caller]
    fn says(&mut self, beginning: &str) -> String {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let read = self.err.read_line(&mut line).expect("text");
            assert_ne!(read, 0, "it ended without {beginning:?}: {said}");
            if let Some(rest) = line.trim_end().strip_prefix(beginning) {
                return rest.to_owned();
            }
            said.push_str(&line);
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("a process id");
        kill_process(pid, signal).expect("sent");
    }

    /// Waits for the end. Returns the exit status, the output, and the messages except progress.
    fn ended(mut self) -> (ExitStatus, String, String) {
        let mut stdout = self.child.stdout.take().expect("a pipe");
        // A program that fills the pipe waits for a reader.
        let reader = thread::spawn(move || {
            let mut out = String::new();
            stdout.read_to_string(&mut out).map(|_| out)
        });
        let mut said = String::new();
        self.err.read_to_string(&mut said).expect("text");
        let out = reader.join().expect("no panic").expect("text");
        let progress = [": counting: ", ": blocks: ", ": proof: "];
        let lines = said.lines().filter(|line| !progress.iter().any(|stage| line.contains(stage)));
        (self.child.wait().expect("it ends"), out, lines.map(|line| format!("{line}\n")).collect())
    }
}

/// An archive of 301 blocks that is larger than any pipe, and its root.
fn archive(place: &Place) -> (Vec<u8>, Cid) {
    let root = large_store(place, "archived.redb", 300, 2048);
    let exported = place.run(&["export", "-", "--store", "archived.redb"]).exits(0);
    (exported.out, root)
}

/// A store with a root that links to many blocks.
fn large_store(place: &Place, name: &str, blocks: u32, block_bytes: usize) -> Cid {
    let leaves = (0..blocks)
        .map(|n| Bytes::from(n.to_le_bytes().repeat(block_bytes / 4)))
        .map(|data| (cid_of(RAW, &data), data));
    let (store, mut batch) = (place.store(name), WriteBatch::new());
    let mut node = match u16::try_from(blocks) {
        Ok(blocks) => [&[0x99], &blocks.to_be_bytes()[..]].concat(),
        Err(_) => [&[0x9a], &blocks.to_be_bytes()[..]].concat(),
    };
    for (cid, data) in leaves {
        let bytes = cid.to_bytes();
        node.extend([0xd8, 0x2a, 0x58, u8::try_from(bytes.len() + 1).expect("short"), 0]);
        node.extend(bytes);
        batch.put(cid, data);
    }
    let root = cid_of(DAG_CBOR, &node);
    store.commit(batch.put(root, Bytes::from(node)).update(root, [])).expect("committed");
    store.close().expect("closed");
    root
}

/// SIGINT, as sent by Ctrl-C; or SIGTERM if this process ignores SIGINT.
fn interrupt() -> Signal {
    if is_ignored(Signal::INT.as_raw()) { Signal::TERM } else { Signal::INT }
}

/// Interrupts work on a store so large that the work takes long. If the work was done before the signal came, repeats
/// this on a larger store. If the machine is so busy that the program ended before it saw the signal, repeats too.
fn interrupted(place: &Place, args: &[&str], begun: &str) -> String {
    let mut doublings = 0;
    let mut ends = Vec::new();
    while ends.len() < 12 {
        large_store(place, "large.redb", 10_000 << doublings, 256);
        let mut running = Running::start(place, args);
        running.says(begun);
        running.signal(interrupt());
        let (status, out, said) = running.ended();
        // Work that was complete stays complete.
        let complete = status.success();
        assert_eq!(status.signal(), (!complete).then(|| interrupt().as_raw()), "{said}");
        assert_eq!(complete, !out.is_empty(), "{said}");
        match said.contains("reached no safe point in time") {
            false if !complete => return said,
            false => doublings = 5.min(doublings + 1),
            true => {}
        }
        ends.push(format!("{out}{said}"));
        for made in ["large.redb", "out.car", "copy.redb"] {
            let _ = std::fs::remove_file(place.path(made));
        }
    }
    panic!("{args:?} is always done before the signal comes, or stops too late: {ends:?}");
}

#[test]
fn an_import_keeps_what_was_verified_and_goes_on_when_run_again() {
    let place = Place::new();
    let (archive, root) = archive(&place);
    for (store, signal, json) in
        [("a.redb", interrupt(), false), ("a.simple", Signal::TERM, false), ("b.redb", interrupt(), true)]
    {
        let args = ["import", "-", "--heads", "--store", store, if json { "--json" } else { "--verbose" }];
        let mut running = Running::start(&place, &args);
        // The writer stops in the middle, so the program is waiting for input when the signal comes.
        let mut input = running.child.stdin.take().expect("a pipe");
        input.write_all(&archive[..archive.len() / 2]).expect("written");
        running.says("import: blocks: ");
        running.signal(signal);
        let (status, out, said) = running.ended();
        assert_eq!((status.signal(), &*out), (Some(signal.as_raw()), ""), "{said}");
        drop(input);
        let kept = place.run(&["ls", "--store", store]).ok().lines().count();
        assert!(kept > 0, "{said}");
        if json {
            let said: serde_json::Value = serde_json::from_str(&said).expect("one object");
            assert_eq!((&said["kind"], &said["exit"]), (&"interrupted".into(), &(128 + signal.as_raw()).into()));
        } else {
            let told = format!(
                "error: interrupted: {kept} verified blocks are in {store}, {kept} of them new; \
                 {kept} blocks in total; the heads are unchanged\nhint: run the same command again to resume: "
            );
            assert!(said.contains(&told), "{said}");
        }
        assert_eq!(place.run(&["heads", "--store", store, "-q"]).ok(), "");
        assert!(place.run(&["verify", "--store", store]).ok().starts_with("0 faults"));
        let again = place.run_with_input(&["import", "-", "--heads", "--store", store], &archive).ok();
        assert!(again.contains(&format!("present        {kept}\n")), "{again}");
        assert_eq!(place.run(&["heads", "--store", store]).ok(), format!("{root}\n"));
    }
}

/// As in the background of a script, or under `nohup`. Other signals are still handled.
#[test]
#[cfg(target_os = "linux")]
fn what_was_ignored_from_the_beginning_stays_ignored() {
    let place = Place::new();
    let (archive, root) = archive(&place);
    for (trapped, sent, ends) in
        [("INT", Signal::INT, false), ("INT TERM", Signal::TERM, false), ("INT", Signal::TERM, true)]
    {
        let script = format!("trap '' {trapped}; exec \"$@\"");
        let store = format!("{}-{}.redb", trapped.replace(' ', "-"), sent.as_raw());
        let program = place.command(&["import", "-", "--heads", "--store", &store, "--progress", "always"]);
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &script, "sh"]).arg(program.get_program()).args(program.get_args());
        command.current_dir(place.path(".")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the shell starts");
        let err = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut running = Running { child, err };
        let mut input = running.child.stdin.take().expect("a pipe");
        input.write_all(&archive[..archive.len() / 2]).expect("written");
        running.says("import: blocks: ");
        running.signal(sent);
        // A program that is to end does so without the rest. With it, the import might be complete before the signal
        // arrives.
        if !ends {
            input.write_all(&archive[archive.len() / 2..]).expect("written");
        }
        let input = ends.then_some(input);
        let (status, _, said) = running.ended();
        drop(input);
        assert_eq!(status.signal(), ends.then_some(sent.as_raw()), "{trapped}: {said}");
        if !ends {
            assert!(status.success(), "{trapped}: {said}");
            assert_eq!(place.run(&["heads", "--store", &store]).ok(), format!("{root}\n"));
        }
    }
}

fn thousands(count: usize) -> String {
    if count < 1000 { count.to_string() } else { format!("{},{:03}", count / 1000, count % 1000) }
}

#[test]
fn an_export_leaves_no_file() {
    let place = Place::new();
    let args = ["export", "out.car", "--store", "large.redb"];
    let said = interrupted(&place, &args, "export: blocks: ");
    let error =
        "error: interrupted: out.car is not written, and no temporary file is left\nhint: run the same command again";
    assert!(said.contains(error), "{said}");
    let left: Vec<_> =
        std::fs::read_dir(place.path(".")).expect("a folder").map(|e| e.expect("").file_name()).collect();
    assert_eq!(left, ["large.redb"]);
    place.run(&args).ok();
}

#[test]
fn a_copy_goes_on_when_run_again() {
    let place = Place::new();
    let args = ["copy", "large.redb", "copy.redb"];
    let said = interrupted(&place, &args, "copy: blocks: ");
    let kept = place.run(&["ls", "--store", "copy.redb"]).ok().lines().count();
    let new = thousands(kept);
    let blocks = if kept == 1 { "block" } else { "blocks" };
    let told = format!("error: interrupted: copied {new} {blocks} ({new} new) to copy.redb; it holds ");
    assert!(said.contains(&told), "{said}");
    assert!(said.contains(" in total, and the copy is incomplete\n"), "{said}");
    assert!(said.contains("hint: run `mnem-store copy large.redb copy.redb` to resume\n"), "{said}");
    assert_eq!(place.run(&["heads", "--store", "copy.redb", "-q"]).ok(), "", "heads come last");
    let again = place.run(&args).ok();
    assert!(again.contains(&format!("present  {new}\n")), "{again}");
    assert_eq!(place.run(&["heads", "--store", "copy.redb"]).ok(), place.run(&["heads", "--store", "large.redb"]).ok());
}

#[test]
fn a_collection_says_what_is_left() {
    let place = Place::new();
    let said = interrupted(&place, &["gc", "--store", "large.redb"], "gc: counting: ");
    assert!(said.contains("error: interrupted: removed 0 blocks; "), "{said}");
    assert!(said.contains(" in total, and no live block is lost\nhint: run the same command"), "{said}");
}

/// The output of a removal of 3,000 blocks does not fit into a pipe, so the program waits until it is read, and cannot
/// end before the signal.
#[test]
fn a_removal_ends_between_two_batches_and_says_what_is_gone() {
    const BLOCKS: usize = 3000;
    let place = Place::new();
    let data = (0..BLOCKS).map(|n| Bytes::from(n.to_string()));
    let blocks: Vec<(Cid, Bytes)> = data.map(|data| (cid_of(RAW, &data), data)).collect();
    let cids: Vec<String> = blocks.iter().map(|(cid, _)| cid.to_string()).collect();
    for store in ["a.redb", "a.simple", "a.carlog"] {
        let left = || place.run(&["ls", "--store", store]).ok().lines().count();
        let args: Vec<&str> = ["rm", "--store", store].into_iter().chain(cids.iter().map(String::as_str)).collect();
        // A busy machine may take longer than the program waits for the end of a batch.
        let found = (0..12).find_map(|_| {
            let opened = place.store(store);
            opened.put_many(&mut blocks.iter().cloned().map(Ok)).expect("stored");
            opened.close().expect("closed");
            let mut running = Running::start(&place, &args);
            running.says("rm: blocks: ");
            running.signal(interrupt());
            let (status, out, said) = running.ended();
            assert_eq!(status.signal(), Some(interrupt().as_raw()), "{store}: {said}");
            (!said.contains("reached no safe point in time")).then(|| (out.lines().count(), left(), said))
        });
        let (removed, left, said) = found.expect("a machine that is not always busy");
        assert!(removed > 0 && left > 0 && removed + left == BLOCKS, "{store}: {removed} and {left}");
        let told = format!("error: interrupted: removed {} blocks; ", thousands(removed));
        assert!(
            said.contains(&told) && said.contains(" in total\nhint: run the same command again"),
            "{store}: {said}"
        );
    }
}

#[test]
fn an_index_that_is_being_made_leaves_the_store_as_it_was() {
    let place = Place::new();
    place.small_store("a.redb");
    rustix::fs::mkfifoat(rustix::fs::CWD, place.path("vectors"), rustix::fs::Mode::RWXU).expect("a pipe");
    let running = Running::start(&place, &["knn", "build", "--vectors", "vectors", "--store", "a.redb"]);
    // Opening this blocks until the program has opened the file; by then signals are handled.
    let vectors = File::options().write(true).open(place.path("vectors")).expect("opened");
    running.signal(interrupt());
    let (status, out, said) = running.ended();
    drop(vectors);
    assert_eq!((status.signal(), &*out), (Some(interrupt().as_raw()), ""));
    assert_eq!(
        said,
        "error: interrupted: no index was built; the store is unchanged\nhint: run the same command again\n"
    );
    assert_eq!(place.run(&["knn", "list", "--store", "a.redb"]).ok(), "");
}

#[test]
fn what_compacts_ends_where_it_is() {
    let place = Place::new();
    place.small_store("a.redb");
    let held = place.store("a.redb");
    let mut running = Running::start(&place, &["compact", "--store", "a.redb", "--lock-wait", "600"]);
    running.says("compact: pages: ");
    running.signal(Signal::TERM);
    let (status, out, said) = running.ended();
    assert_eq!((status.signal(), &*out), (Some(15), ""));
    assert!(said.starts_with("error: interrupted: the store is intact"), "{said}");
    drop(held);
    assert!(place.run(&["verify", "--store", "a.redb"]).ok().starts_with("0 faults"));
}

/// The message for a store that takes long to open. Here the program waits for the lock, as it would during a check.
#[test]
fn what_opens_a_store_says_that_nothing_was_done() {
    let place = Place::new();
    place.small_store("a.redb");
    let held = place.store("a.redb");
    for (args, kept) in [
        (&["copy", "a.redb", "b.redb"][..], "nothing was copied"),
        (&["copy", "--reachable", "a.redb", "b.redb"], "nothing was copied"),
        (&["export", "a.car", "--store", "a.redb"], "no archive was written"),
        (&["gc", "--store", "a.redb"], "no block was removed"),
        (&["gc", "--dry-run", "--store", "a.redb"], "no block was removed"),
    ] {
        let mut running = Running::start(&place, &[args, &["--lock-wait", "600", "-v"]].concat());
        running.says("note: opening a.redb");
        running.signal(Signal::TERM);
        let (status, out, said) = running.ended();
        assert_eq!((status.signal(), &*out), (Some(15), ""), "{args:?}: {said}");
        assert!(said.contains(&format!("error: interrupted: {kept}: ")), "{args:?}: {said}");
        assert!(said.contains("\nhint: run the same command again"), "{args:?}: {said}");
        assert!(!place.path("b.redb").exists() && !place.path("a.car").exists(), "{args:?}");
    }
    drop(held);
    assert!(place.run(&["verify", "--store", "a.redb"]).ok().starts_with("0 faults"));
}

#[test]
fn a_verification_says_what_it_has_found_by_then() {
    let place = Place::new();
    let said = interrupted(&place, &["verify", "--store", "large.redb"], "verify: blocks: ");
    let told = "error: interrupted: 0 faults in ";
    let rest = said.lines().find_map(|line| line.strip_prefix(told)).unwrap_or_else(|| panic!("{said}"));
    assert!(rest.ends_with("; the rest was not checked, and nothing was changed"), "{said}");
    assert!(place.run(&["verify", "--store", "large.redb"]).ok().starts_with("0 faults"));
}

#[test]
fn asked_twice_it_ends_at_once() {
    let place = Place::new();
    place.run(&["init", "--store", "a.simple"]).ok();
    // The heads are locked. The import waits for the lock at a point where it cannot be stopped.
    let lock = File::options().write(true).open(place.path("a.simple/lock")).expect("the lock");
    lock.lock().expect("locked");
    let (archive, root) = archive(&place);
    let args = ["import", "-", "--heads", "--store", "a.simple", "--lock-wait", "600"];
    let mut running = Running::start(&place, &args);
    running.child.stdin.take().expect("a pipe").write_all(&archive).expect("written");
    running.says("import: blocks: ");
    while place.run(&["ls", "--store", "a.simple"]).ok().lines().count() < 301 {}
    running.signal(interrupt());
    running.says("note: stopping");
    running.signal(Signal::TERM);
    let (status, out, said) = running.ended();
    assert_eq!((status.signal(), &*out, &*said), (Some(15), "", ""));
    lock.unlock().expect("unlocked");
    place.run(&["verify", "--store", "a.simple"]).ok();
    let again = place.run_with_input(&["import", "-", "--heads", "--store", "a.simple"], &archive).ok();
    assert!(again.contains("new            0\n"), "every block had landed: {again}");
    assert_eq!(place.run(&["heads", "--store", "a.simple"]).ok(), format!("{root}\n"));
}

#[test]
fn laws_leave_no_stores_behind() {
    let mut running = Running::start(&Place::new(), &["conformance", "--verbose"]);
    let folder = running.says("note: running the laws on stores in ");
    assert!(std::path::Path::new(&folder).is_dir(), "{folder}");
    running.signal(interrupt());
    let (status, out, said) = running.ended();
    assert_eq!((status.signal(), &*out), (Some(interrupt().as_raw()), ""));
    assert!(said.starts_with("error: interrupted: not every law ran"), "{said}");
    assert!(!std::path::Path::new(&folder).exists(), "{folder}");
}
