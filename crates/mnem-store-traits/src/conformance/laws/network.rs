//! Networks that lose answers, refuse requests and report false conflicts.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::every_fault::{fail_and_judge, says_so, surviving};
use crate::conformance::{
    Failure, Fault, Profile,
    case::Case,
    data::{block, blocks, head},
    expect::{ensure, put, put_many, saw, update},
    failure::LawResult,
    show::Show,
    ways::{Eyes, Read, Scene, Subject, Write, reads_of, writes_of},
};

const FAULTS: [fn(u32) -> Fault; 3] = [Fault::AnswerLost, Fault::RequestRefused, Fault::FalseConflict];

/// A store may retry a request itself, so a call does not show which request met the fault. The law therefore tries the
/// fault at each of this many requests.
fn requests(case: &Case) -> std::ops::Range<u32> {
    0..if case.is_slow() { 5 } else { 12 }
}

pub(crate) fn every_write_over_a_network_is_as_it_says(case: &mut Case) -> LawResult {
    let ways: Vec<Write> = surviving(case, writes_of("every_write_over_a_network_is_as_it_says")).collect();
    let scene = Scene::new(3);
    for fault in FAULTS {
        for way in &ways {
            requests(case).try_for_each(|n| fail_and_judge(case, &scene, *way, fault(n)).map(drop))?;
        }
    }
    Ok(())
}

pub(crate) fn every_read_over_a_network_is_right_or_an_error(case: &mut Case) -> LawResult {
    let (present, row) = (block("present"), (Bytes::from_static(b"key"), Bytes::from_static(b"value")));
    put(&*case.blocks()?, &present)?;
    if case.has(Profile::Heads) {
        update(&*case.heads()?, &head("present"), &[])?;
    }
    if case.has(Profile::SideTables) {
        let table = saw("side_table", case.store()?.side_table("table")).ok()?;
        saw("write", table.write(std::slice::from_ref(&row), &[])).ok()?;
    }
    let subjects = [
        (Subject::Block(present), true),
        (Subject::Head(head("present")), true),
        (Subject::Row(row), true),
        (Subject::Block(block("absent")), false),
        (Subject::Head(head("absent")), false),
    ];
    for read in reads_of("every_read_over_a_network_is_right_or_an_error") {
        for (subject, there) in subjects.iter().filter(|(subject, _)| read.looks_for(subject)) {
            if case.has(read.needs()) {
                requests(case).try_for_each(|n| read_over_a_network(case, read, subject, *there, n))?;
            }
        }
    }
    if case.is_slow() { Ok(()) } else { Ok(listings_over_a_network(case)?) }
}

/// A listing that requests several pages yields each item once, or ends with an error.
fn listings_over_a_network(case: &mut Case) -> Result<(), Failure> {
    /// More than a page of object storage.
    const LISTED: usize = 1100;
    let (listed, expected) = (blocks("listed", LISTED), LISTED + 1);
    put_many(&*case.blocks()?, &listed)?;
    for fault in requests(case).flat_map(|n| [Fault::AnswerLost(n), Fault::RequestRefused(n)]) {
        case.drop_and_open()?;
        let store = case.blocks()?;
        case.set_fault(Some(fault))?;
        let listed = store.cids().and_then(|cids| cids.take(2 * LISTED).collect::<Result<Vec<_>, _>>());
        case.set_fault(None)?;
        let distinct = listed.map(|listed| (listed.len(), listed.into_iter().collect::<BTreeSet<_>>().len()));
        let fine = distinct.as_ref().map_or_else(says_so, |counts| *counts == (expected, expected));
        let did = format_args!("cids() that met {fault:?}");
        let expected = format_args!("{expected} blocks, each once, or Err(Backend)");
        let saw = distinct.map(|(all, distinct)| format!("{all} items, {distinct} of them distinct"));
        ensure(fine, did, expected, saw.unwrap_or_else(|error| error.to_string()))?;
    }
    Ok(())
}

fn read_over_a_network(case: &mut Case, read: Read, subject: &Subject, there: bool, n: u32) -> Result<(), Failure> {
    for fault in [Fault::AnswerLost(n), Fault::RequestRefused(n)] {
        case.drop_and_open()?;
        let eyes = Eyes::new(case.handles())?;
        let when = format!("that met {fault:?}");
        case.set_fault(Some(fault))?;
        let seen = read.sees(&eyes, subject, &when)?;
        case.set_fault(None)?;
        let fine = seen.as_ref().map_or_else(says_so, |seen| *seen == there);
        let expected = format_args!("Ok({there}), or Err(Backend)");
        ensure(fine, format_args!("{read}: {subject} {when}"), expected, seen.show())?;
    }
    Ok(())
}
