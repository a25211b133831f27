//! System call filters, as in container runtimes. For a filter, calls that it does not know do not exist or are not
//! permitted.

use std::process::Command;

use crate::support::{BACKENDS, Place, Ran, ran};

/// Calls newer than some filters in use, which the program, the standard library or the C library may make.
const YOUNG: [&str; 5] = [
    "statx",
    "renameat2",
    "renameat2,linkat",
    "syncfs",
    "faccessat2,close_range,copy_file_range,openat2,membarrier,rseq",
];

const ANSWERS: [&str; 2] = ["EPERM", "ENOSYS"];

/// Every writing command, with its output. The redb crate tests the creation of redb files itself.
const COOKBOOK: &str = r#"set -e
p="$1" s="$2"
case "$s" in *.simple) "$p" init --store "new.$s"; "$p" copy "$s" "copy.$s"; "$p" verify --store "copy.$s";; esac
"$p" import archive --heads --store "$s"
c=$("$p" put block --store "$s")
"$p" get "$c" --store "$s" | cmp - block
"$p" export out.car --store "$s"
cmp out.car archive
"$p" export out.car --force --store "$s"
"$p" export other.car --root "$c" --store "$s"
! "$p" export other.car --root "$c" --store "$s" 2> said
grep -q 'other.car exists' said
"$p" rm "$c" --store "$s"
"$p" compact --store "$s"
"$p" verify --store "$s"
"$p" heads --store "$s"
"#;

/// Runs the script under a filter. Returns `None` if filters are not available here.
fn filtered(place: &Place, calls: &str, answer: &str, script: &str, store: &str) -> Option<Ran> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-q", "-o", "trace", "-e", &format!("trace={calls}")]);
    strace.args(["-e", &format!("inject={calls}:error={answer}"), "sh", "-c", script, "sh"]);
    strace.arg(place.command(&[]).get_program()).arg(store).current_dir(place.path(""));
    strace.env_remove("MNEM_STORE").env_remove("RUST_BACKTRACE");
    let can = Command::new("strace").args(["-q", "-o", "/dev/null", "true"]).output();
    can.is_ok_and(|output| output.status.success()).then(|| ran(&mut strace))
}

/// A place with a store, an archive of it, and a block.
fn prepared(store: &str) -> Place {
    let place = Place::new();
    place.small_store(store);
    let archive = place.run(&["export", "-", "--store", store]).exits(0).out;
    place.write("archive", &archive);
    place.write("block", b"a block");
    place
}

#[test]
fn calls_that_a_filter_denies_are_done_without() {
    for calls in YOUNG {
        for answer in ANSWERS {
            for backend in BACKENDS {
                let store = format!("s.{backend}");
                let place = prepared(&store);
                let Some(ran) = filtered(&place, calls, answer, COOKBOOK, &store) else {
                    return println!("skipped: there is no strace here, or it may not trace");
                };
                assert_eq!(ran.exit, Some(0), "{calls} {answer} {backend}: {ran:?}");
            }
        }
    }
}

#[test]
fn where_no_thread_can_be_started_the_error_names_the_call() {
    for backend in BACKENDS {
        let store = format!("s.{backend}");
        let place = prepared(&store);
        // If the new call does not exist, the C library uses an older one.
        let Some(ran) = filtered(&place, "clone3", "ENOSYS", COOKBOOK, &store) else {
            return println!("skipped: there is no strace here, or it may not trace");
        };
        assert_eq!(ran.exit, Some(0), "{backend}: {ran:?}");
        for command in ["import archive --heads", "export third.car", "verify", "copy"] {
            let to = if command == "copy" { format!("{store} third.{backend}") } else { format!("--store {store}") };
            let script = format!("exec \"$1\" {command} {to}");
            let said = filtered(&place, "clone3", "EPERM", &script, &store).expect("as before").fails(1);
            assert!(said.contains("clone3") && said.contains("seccomp"), "{said}");
            assert!(!place.path("third.car").exists());
        }
    }
}
