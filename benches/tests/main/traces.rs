//! Replays the recorded traces.

use std::sync::Arc;

use mnem_benches::{Counting, RECORDED, Trace, TraceError};
use mnem_store_traits::{Buffered, MemoryStore, OpHeadsStore};

fn traces() -> impl Iterator<Item = (&'static str, Trace)> {
    RECORDED.into_iter().map(|(name, text)| (name, text.parse().unwrap()))
}

fn prepared(trace: &Trace) -> Arc<Counting<MemoryStore>> {
    let store = MemoryStore::new();
    trace.prepare(&store).unwrap();
    Arc::new(Counting::new(store))
}

#[test]
fn every_answer_is_the_one_that_the_client_was_given() {
    for (name, trace) in traces() {
        let store = prepared(&trace);
        let replayed = trace.replay(&store).unwrap();
        assert!(replayed.writes > 1 && replayed.calls > replayed.writes, "{name}: {replayed:?}");
        assert_eq!(store.writes(), replayed.writes as u64, "{name}");
    }
}

#[test]
fn through_a_buffer_each_is_one_commit() {
    for (name, trace) in traces() {
        let store = prepared(&trace);
        let buffered = Buffered::new(Arc::clone(&store));
        trace.replay(&buffered).unwrap();
        buffered.flush().unwrap();
        assert_eq!(store.writes(), 1, "{name}");
        assert_eq!(store.heads().unwrap(), buffered.heads().unwrap(), "{name}");
    }
}

#[test]
fn a_store_that_was_not_prepared_gives_other_answers() {
    for (name, trace) in traces() {
        let error = trace.replay(&MemoryStore::new()).unwrap_err();
        assert!(error.to_string().starts_with("wrong answer: call 0"), "{name}: {error}");
    }
}

#[test]
fn what_is_no_trace_is_refused_with_its_line() {
    let [(_, text), ..] = RECORDED;
    let at = |line| TraceError { line, expected: "" };
    let cases = [
        (String::new(), 1),
        (text.replace("mnem-trace 1", "mnem-trace 2"), 1),
        (text.replacen("given 2", "given two", 1), 2),
        (text.replacen("given 2", "given 3", 1), 5),
        (text.replacen("heads 1", "heads 2", 1), 5),
        (text.replacen(" 25\n", " 15\n", 1), 3),
        (text.replace("calls\n", "calls\nx 1\n"), 16),
        (text.replace("calls\n", "calls\ng 10\n"), 16),
        (text.replace("calls\n", "calls\ng 1 2\n"), 16),
        (text.replace("calls\n", "calls\n\n"), 16),
    ];
    for (text, line) in cases {
        let error = text.parse::<Trace>().unwrap_err();
        assert_eq!(error.line, at(line).line, "{error}: {}", text.chars().take(40).collect::<String>());
    }
}
