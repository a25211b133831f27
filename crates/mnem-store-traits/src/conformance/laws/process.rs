//! What a second process sees, and what it must not lose.

use crate::conformance::{
    Failure,
    case::Case,
    data::{block, head},
    expect::{heads_are, holds, lacks, lists, put, same, update},
    failure::LawResult,
    show::Show,
    threads::together,
};

/// Checks the answer of the second process.
fn says(case: &Case, script: &str, expected: &str) -> Result<(), Failure> {
    let did = format_args!("in a second process: {}", script.replace('\n', "; "));
    same(did, case.obey_in_second_process(script)?.trim_end().to_owned(), expected.to_owned())
}

pub(crate) fn blocks_are_visible_to_a_second_process(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    put(&*store, &block("ours"))?;
    says(case, "holds ours\nlacks theirs\nput theirs\nholds theirs\nput ours", "ok\nok\nok\nok\nok")?;
    holds(&*store, &block("theirs"), "after a second process put it")?;
    lists(&*store, &[block("ours").cid, block("theirs").cid], "after a second process put a block")?;
    says(case, "delete ours", "ok")?;
    lacks(&*store, &block("ours").cid, "after a second process deleted it")?;
    Ok(())
}

pub(crate) fn heads_are_visible_to_a_second_process(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    update(&*store, &head("ours"), &[])?;
    let (before, after) = (vec![head("ours")].show(), vec![head("theirs")].show());
    says(case, "heads\nupdate theirs ours\nheads", &format!("{before}\nok\n{after}"))?;
    heads_are(&*store, &[head("theirs")], "after a second process replaced it")?;
    Ok(())
}

pub(crate) fn two_processes_lose_no_head(case: &mut Case) -> LawResult {
    const ROUNDS: usize = 12;
    let store = case.heads()?;
    let script: Vec<_> = (1..=ROUNDS).map(|i| format!("update theirs-{i} theirs-{}", i - 1)).collect();
    let case = &*case;
    together(2, |lane| {
        if lane == 0 {
            return says(case, &script.join("\n"), &["ok"; ROUNDS].join("\n"));
        }
        (1..=ROUNDS).try_for_each(|i| update(&*store, &head(&format!("ours-{i}")), &[head(&format!("ours-{}", i - 1))]))
    })?;
    let last = [head(&format!("ours-{ROUNDS}")), head(&format!("theirs-{ROUNDS}"))];
    heads_are(&*store, &last, "after two processes each replaced their own head")?;
    Ok(())
}
