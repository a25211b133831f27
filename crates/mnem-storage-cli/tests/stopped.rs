//! Every fatal signal ends every command, even as the first process of a container, and leaves nothing over.

use std::{
    fs,
    io::{PipeReader, PipeWriter, Read as _, pipe},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use crate::{
    stuck::{full_pipe, is_stuck},
    support::{ABSENT, Place, is_ignored},
};

/// Nothing here takes this long, so a program that does hangs.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// Every signal that ends a process, can be handled, and is not raised by a fault or a write of the process itself; and
/// some real-time signals.
const SIGNALS: [i32; 17] = [1, 2, 3, 6, 10, 12, 14, 15, 16, 24, 26, 27, 29, 30, 34, 50, 64];

/// For these signals, a program that handles them exits with a status.
const WITHOUT_A_NAME: [i32; 6] = [16, 29, 30, 34, 50, 64];

/// A command, and the point where it is stuck when the signal comes.
struct Stuck {
    args: &'static [&'static str],
    at: At,
}

#[derive(Clone, Copy, PartialEq)]
enum At {
    /// Reading standard input that never comes.
    Input,
    /// Writing to standard output that nobody reads.
    Output,
    /// Printing progress that nobody reads.
    Progress,
}

const COMMANDS: [Stuck; 17] = [
    Stuck { args: &["import", "-", "--store", "new.redb"], at: At::Input },
    Stuck { args: &["import", "small.car", "--store", "new.redb"], at: At::Progress },
    Stuck { args: &["import", "small.car", "--store", "new.simple"], at: At::Progress },
    Stuck { args: &["put", "-", "--store", "a.redb"], at: At::Input },
    Stuck { args: &["export", "out.car", "--store", "a.redb"], at: At::Progress },
    Stuck { args: &["export", "-", "--store", "a.redb"], at: At::Output },
    Stuck { args: &["copy", "a.redb", "new.redb"], at: At::Progress },
    Stuck { args: &["copy", "a.redb", "new.simple"], at: At::Progress },
    Stuck { args: &["copy", "--salvage", "a.redb", "new.redb"], at: At::Progress },
    Stuck { args: &["verify", "--store", "a.redb"], at: At::Progress },
    Stuck { args: &["compact", "--store", "a.redb"], at: At::Progress },
    Stuck { args: &["knn", "build", "--vectors", "vectors", "--store", "a.redb"], at: At::Progress },
    Stuck { args: &["conformance", "--verbose"], at: At::Progress },
    Stuck { args: &["ls", "--store", "a.redb"], at: At::Output },
    Stuck { args: &["heads", "--store", "a.redb"], at: At::Output },
    Stuck { args: &["init", "--store", "new.redb"], at: At::Output },
    Stuck { args: &["has", ABSENT, "--store", "a.redb"], at: At::Output },
];

/// What the folder may contain at the end.
const KEPT: [&str; 6] = ["a.redb", "new.redb", "new.simple", "small.car", "vectors", "tmp"];

fn prepared() -> Place {
    let place = Place::new();
    place.small_store("a.redb");
    place.run(&["export", "small.car", "--store", "a.redb"]).ok();
    place.write("vectors", b"{\"id\": \"00000000000000000000000000000001\", \"vector\": [1]}\n");
    place
}

/// A running program, and the other ends of its streams.
struct AtWork {
    child: Child,
    _input: PipeWriter,
    _output: PipeReader,
    err: PipeReader,
}

impl AtWork {
    fn start(place: &Place, stuck: &Stuck, as_first_process: bool) -> Self {
        let args = [stuck.args, &["--progress", "always"]].concat();
        let plain = place.command(&args);
        let mut command = Command::new(if as_first_process { "unshare" } else { "env" });
        if as_first_process {
            command.args(["--pid", "--fork", "--mount-proc"]);
        }
        command.arg(plain.get_program()).args(&args).current_dir(place.path("")).env_remove("MNEM_STORE");
        command.env("TMPDIR", place.path("tmp"));
        let (stdin, input) = pipe().expect("a pipe");
        let stream = |at| match at == stuck.at {
            true => {
                let (reader, writer, _) = full_pipe();
                (reader, writer)
            }
            false => pipe().expect("a pipe"),
        };
        let ((output, stdout), (err, stderr)) = (stream(At::Output), stream(At::Progress));
        let child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().expect("it starts");
        Self { child, _input: input, _output: output, err }
    }

    /// The process id of the program.
    fn program(&self, as_first_process: bool) -> Option<u32> {
        let own = self.child.id();
        if !as_first_process {
            return Some(own);
        }
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// Waits until the program is stuck. Returns `None` if it has ended before.
    fn until_it_is_stuck(&mut self, as_first_process: bool) -> Option<u32> {
        loop {
            if self.child.try_wait().expect("known").is_some() {
                return None;
            }
            if let Some(program) = self.program(as_first_process)
                && is_stuck(program)
            {
                return Some(program);
            }
            thread::yield_now();
        }
    }
}

/// Ends the program with the signal, and checks its exit status and what it left.
fn ends_by(stuck: &Stuck, number: i32, as_first_process: bool) {
    let place = prepared();
    fs::create_dir(place.path("tmp")).expect("a folder");
    let mut at_work = AtWork::start(&place, stuck, as_first_process);
    let case = format!("{:?}, signal {number}, as the first process: {as_first_process}", stuck.args);
    let Some(program) = at_work.until_it_is_stuck(as_first_process) else {
        let mut said = String::new();
        at_work.err.read_to_string(&mut said).expect("text");
        panic!("{case}: it ended before: {said}");
    };
    send(number, program);
    let status = ended(&mut at_work.child, program, &case);
    let status = (status.signal(), status.code());
    let (died, exited) = ((Some(number), None), (None, Some(128 + number)));
    match as_first_process {
        true => assert_eq!(status, exited, "{case}"),
        // The program cannot raise a signal without a name itself.
        false if WITHOUT_A_NAME.contains(&number) => assert!(status == died || status == exited, "{case}: {status:?}"),
        false => assert_eq!(status, died, "{case}"),
    }
    nothing_is_left(&place, &case);
}

fn send(number: i32, program: u32) {
    let mut kill = Command::new("sh");
    let sent = kill.args(["-c", "kill -\"$1\" \"$2\"", "sh", &number.to_string(), &program.to_string()]);
    assert!(sent.status().expect("a shell").success(), "signal {number}");
}

/// Waits for the end, and kills a program that hangs.
fn ended(child: &mut Child, program: u32, case: &str) -> ExitStatus {
    let (done, watched) = channel::<()>();
    thread::scope(|scope| {
        let watch = scope.spawn(move || {
            let hangs = watched.recv_timeout(HANGS_AFTER) == Err(RecvTimeoutError::Timeout);
            if hangs {
                send(9, program);
            }
            hangs
        });
        let status = child.wait().expect("it ends");
        drop(done);
        assert!(!watch.join().expect("watched"), "{case}: it hangs");
        status
    })
}

fn nothing_is_left(place: &Place, case: &str) {
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(place.path(folder)).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
    };
    let left: Vec<String> = names(".").into_iter().filter(|name| !KEPT.contains(&&**name)).collect();
    assert_eq!(left, [""; 0], "{case}");
    assert_eq!(names("tmp"), [""; 0], "{case}: in the folder for temporary files");
    for store in ["a.redb", "new.redb", "new.simple"].into_iter().filter(|store| place.path(store).exists()) {
        // The next writer removes leftovers, if there are any.
        place.run_with_input(&["put", "-", "--store", store], b"more").exits(0);
        let verified = place.run(&["verify", "--store", store]).exits(0);
        assert_eq!(verified.err, "", "{case}: {store}");
    }
}

/// Runs all cases, several at a time.
fn all(cases: impl Iterator<Item = (&'static Stuck, i32)>, as_first_process: bool) {
    let cases: Vec<_> = cases.collect();
    for some in cases.chunks(12) {
        thread::scope(|scope| {
            for (stuck, number) in some {
                scope.spawn(|| ends_by(stuck, *number, as_first_process));
            }
        });
    }
}

fn every_command_and_signal() -> impl Iterator<Item = (&'static Stuck, i32)> {
    // Each signal for one command of each kind, and some signals for each command.
    let kinds = [&["import", "-"][..], &["export", "out.car"], &["compact"], &["ls"]];
    COMMANDS.iter().flat_map(move |stuck| {
        let every = kinds.iter().any(|kind| stuck.args.starts_with(kind));
        SIGNALS
            .into_iter()
            .filter(move |number| (every || [1, 15, 24].contains(number)) && !is_ignored(*number))
            .map(move |number| (stuck, number))
    })
}

#[test]
fn every_signal_ends_every_command() {
    all(every_command_and_signal(), false);
}

#[test]
fn every_signal_ends_the_first_process_of_a_container() {
    let allowed = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        return println!("skipped: there is no `unshare` here, or it is not permitted");
    }
    all(every_command_and_signal(), true);
}
