//! The conformance suite over three media: memory with planted faults, memory that is hostile all the time, and a
//! folder, which a second process opens too.

use std::{
    process::Command,
    sync::{Arc, LazyLock},
    time::Duration,
};

use mnem_car::Reader;
use mnem_store_traits::{
    Cid,
    conformance::{Fault, Fixture, FixtureError, Handles, Profile, as_second_process, in_second_process},
};
use tempfile::TempDir;

use crate::medium::{Medium, quick};

struct Memory;

impl Fixture for Memory {
    type Place = Medium;

    fn name(&self) -> &str {
        "bucket in memory"
    }

    fn create(&self) -> Result<Medium, FixtureError> {
        Ok(Medium::default())
    }

    fn open(&self, place: &Medium) -> Result<Handles, FixtureError> {
        Ok(Handles::from(Arc::new(quick().open_in(place.connect(), "team/memory")?)))
    }

    fn profiles(&self) -> &[Profile] {
        &[
            Profile::Persistence,
            Profile::SecondHandle,
            Profile::Damage,
            Profile::Faults,
            Profile::Crash,
            Profile::Network,
        ]
    }

    /// Overwrites the bytes of the block in its entry.
    fn damage(&self, place: &Medium, cid: &Cid, data: &[u8]) -> Result<(), FixtureError> {
        for name in place.names().into_iter().filter(|name| name.ends_with(".car")) {
            let mut entry = place.read(&name).ok_or("the entry is gone")?.to_vec();
            let mut reader = Reader::new(&entry[..], u64::MAX)?;
            let mut found = None;
            while let Some(section) = reader.next_offsets()? {
                if section.cid == *cid {
                    found = Some(section.data_offset as usize..section.end() as usize);
                }
            }
            let Some(block) = found.and_then(|range| entry.get_mut(range)) else { continue };
            // A block keeps its length in the entry: what is missing becomes zeros, what is too much is left out, and
            // another length is told by another first byte.
            let is_resized = data.len() != block.len();
            for (at, byte) in block.iter_mut().enumerate() {
                *byte = data.get(at).copied().unwrap_or(0) ^ u8::from(is_resized && at == 0);
            }
            place.write(&name, entry);
        }
        Ok(())
    }

    fn set_fault(&self, place: &Medium, fault: Option<Fault>) -> Result<(), FixtureError> {
        place.set_fault(fault);
        Ok(())
    }

    fn cut_power_after(&self, place: &Medium, operations: u64) -> Result<(), FixtureError> {
        place.cut_power_after(operations);
        Ok(())
    }

    fn cut_power_while_opening(&self, place: &Medium, operations: u64) -> Result<(), FixtureError> {
        place.cut_power_while_opening(operations);
        Ok(())
    }
}

struct Hostile;

impl Fixture for Hostile {
    type Place = Medium;

    fn name(&self) -> &str {
        "bucket on a hostile medium"
    }

    fn create(&self) -> Result<Medium, FixtureError> {
        Ok(Medium::hostile())
    }

    fn open(&self, place: &Medium) -> Result<Handles, FixtureError> {
        let options = quick().give_up(Duration::from_secs(20));
        Ok(Handles::from(Arc::new(options.open_in(place.connect(), "")?)))
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence, Profile::SecondHandle]
    }

    /// Half of the requests are made again, after a pause.
    fn latency_hint(&self) -> Duration {
        Duration::from_millis(5)
    }
}

struct Folder;

/// A file system in memory, on which syncs take no time. Waiting for a disk would be most of the time of these laws,
/// and none of them cuts the power.
const IN_MEMORY: &str = "/dev/shm";

/// KiB that it must have free: laws that run at the same time write batches of 64 MiB. In a container it may have 64 MiB
/// in all.
const FREE_MIN: u64 = 2 << 20;

fn folder() -> std::io::Result<TempDir> {
    static IS_LARGE: LazyLock<bool> = LazyLock::new(|| free(IN_MEMORY).is_some_and(|free| free >= FREE_MIN));
    if *IS_LARGE { TempDir::new_in(IN_MEMORY) } else { TempDir::new() }
}

/// KiB that are free in a file system, if `df` says how many.
fn free(folder: &str) -> Option<u64> {
    let output = Command::new("df").args(["-Pk", folder]).output().ok().filter(|output| output.status.success())?;
    free_in(str::from_utf8(&output.stdout).ok()?)
}

/// The fourth column of the second line.
fn free_in(output: &str) -> Option<u64> {
    output.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}

#[test]
fn free_space_is_the_fourth_column() {
    let output = "Filesystem 1024-blocks Used Available Capacity Mounted on\nshm 65536 1024 64512 2% /dev/shm\n";
    assert_eq!(free_in(output), Some(64_512));
    assert_eq!(free_in("df: /dev/shm: No such file or directory\n"), None);
}

fn open_folder(folder: &std::path::Path) -> Result<Handles, FixtureError> {
    Ok(Handles::from(Arc::new(quick().give_up(Duration::from_secs(20)).open(folder.join("store"))?)))
}

impl Fixture for Folder {
    type Place = TempDir;

    fn name(&self) -> &str {
        "bucket in a folder"
    }

    fn create(&self) -> Result<TempDir, FixtureError> {
        Ok(folder()?)
    }

    fn open(&self, place: &TempDir) -> Result<Handles, FixtureError> {
        open_folder(place.path())
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence, Profile::SecondHandle, Profile::SecondProcess]
    }

    /// Each write is synced, and each opening reads the whole log.
    fn latency_hint(&self) -> Duration {
        Duration::from_millis(5)
    }

    fn obey_in_second_process(&self, place: &TempDir, script: &str) -> Result<String, FixtureError> {
        in_second_process("laws::second_process", place.path(), script)
    }
}

#[test]
fn second_process() {
    as_second_process(|place| open_folder(place.as_ref()));
}

mnem_store_traits::conformance_tests!(
    memory,
    Memory,
    has: [
        Blocks, Heads, Store, Limits, SideTables, Persistence, SecondHandle, Damage, Faults, Crash, Network,
        PutsSurvivePower, AtomicPutMany, AtomicCommit, AtomicSideTableWrites, HeadsSurvivePower, AtomicHeads,
    ],
);

mnem_store_traits::conformance_tests!(
    hostile,
    Hostile,
    has: [
        Blocks, Heads, Store, Limits, SideTables, Persistence, SecondHandle,
        PutsSurvivePower, AtomicPutMany, AtomicCommit, AtomicSideTableWrites, HeadsSurvivePower, AtomicHeads,
    ],
);

mnem_store_traits::conformance_tests!(
    folder,
    Folder,
    has: [
        Blocks, Heads, Store, Limits, SideTables, Persistence, SecondHandle, SecondProcess,
        PutsSurvivePower, AtomicPutMany, AtomicCommit, AtomicSideTableWrites, HeadsSurvivePower, AtomicHeads,
    ],
);
