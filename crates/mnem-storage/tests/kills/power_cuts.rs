//! Power cuts under writers on real file systems: everything acknowledged is on the disk.
//!
//! The writers and the checks are those of the kills. A kill leaves all data in the kernel; here the kernel forgets
//! what is not on the device. Unsynced data get there only by chance: through random syncs of single files.

use std::{env, panic};

use super::{
    Random, Tally, Work, asked_for,
    disk::{Disk, FileSystem, missing},
    kill_and_tell, rounds,
    scene::{Ground, Scene},
    seed, stream,
};

/// A tracer in the background, so that the writer is still a child of this process.
const TRACER: [&str; 7] = ["strace", "-D", "-f", "-qqq", "-o", "/dev/null", "-e"];

/// Makes syncs return at once without doing anything.
const NO_SYNC: &str = "inject=fsync,fdatasync,syncfs,sync,sync_file_range,msync:retval=0";

/// Which syncs of a writer do nothing.
const BREAKS: [(&str, &str); 3] =
    [("no sync", ""), ("every other sync left out", ":when=2+2"), ("every tenth sync left out", ":when=10+10")];

/// The number of stores in which a break must show. It takes longest with journalled data, where any later sync makes
/// up for a missing one.
const LIVES: u32 = 300;

/// The file systems of the run. Fails with the reason if the run is not possible.
fn systems(programs: &[&str]) -> Vec<FileSystem> {
    let only = env::var("MNEM_SOAK_ON").ok().filter(|name| !name.is_empty());
    let named = |system: &FileSystem| only.as_deref().is_none_or(|name| name == system.name);
    let systems: Vec<_> = FileSystem::ALL.into_iter().filter(named).collect();
    let names = FileSystem::ALL.map(|system| system.name);
    assert!(!systems.is_empty(), "of {names:?} none is called {}", only.unwrap_or_default());
    let missing = missing(&systems, programs);
    assert!(missing.is_empty(), "power cuts need what is missing here: {}", missing.join(", "));
    systems
}

#[test]
#[ignore = "needs root and loop devices; `cargo xtask soak power-cuts`"]
fn soak() {
    for system in systems(&[]) {
        for backend in asked_for() {
            let ground = || -> Box<dyn Ground> { Box::new(Disk::new(system, &[])) };
            kill_and_tell(&format!("{}, ", system.name), backend, rounds(300), &ground);
        }
    }
}

#[test]
#[ignore = "needs root, loop devices and strace; `cargo xtask soak power-cuts`"]
fn a_sync_that_does_nothing_is_found() {
    for system in systems(&["strace"]) {
        for backend in asked_for() {
            let found = cuts_until_found(system, backend, "trace=none", 3);
            assert_eq!(found, None, "{}, {backend}: found without a break", system.name);
            for (name, which) in BREAKS {
                let found = cuts_until_found(system, backend, &format!("{NO_SYNC}{which}"), LIVES);
                let Some(cuts) = found else { panic!("{}, {backend}: {name} was not found", system.name) };
                eprintln!("{}, {backend}: {name}: found at cut {cuts}", system.name);
            }
        }
    }
}

/// The number of cuts until a fault was found, with writers that are traced in this way.
fn cuts_until_found(system: FileSystem, backend: &'static str, trace: &str, lives: u32) -> Option<u32> {
    let mut random = Random(seed());
    let mut tally = Tally::default();
    let through = [&TRACER[..], &[trace]].concat();
    let found = (0..lives).any(|_| {
        let mut scene = Scene::new(Box::new(Disk::new(system, &through)), "a writer whose syncs do nothing".to_owned());
        scene.kept = false;
        let live = || stream::live(&scene, backend, Work::Stream, &mut random, &mut tally);
        panic::catch_unwind(panic::AssertUnwindSafe(live)).is_err()
    });
    found.then_some(tally.kills)
}
