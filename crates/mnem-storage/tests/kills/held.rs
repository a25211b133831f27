//! Stops a writer for good: what it has not reported by then, it never reports.

use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process};

/// The point at which a writer was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Stopped,
    /// Inside a system call, such as a sync.
    InACall,
}

/// Stops a process. After this returns, it executes no further instruction.
///
/// A thread inside a system call sees the signal before it leaves the kernel. With `in_a_call`, this does not wait for
/// the end of the call, whose result is then never seen.
pub(super) fn hold(process: u32, in_a_call: bool) -> Held {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).expect("the number of a process");
    kill_process(pid, Signal::STOP).expect("stop the writer");
    loop {
        let states = states(process);
        let stopped = states.iter().filter(|state| b"TtZX".contains(state)).count();
        if stopped == states.len() {
            return Held::Stopped;
        }
        // If one of several threads is stopped, it has passed the signal on to all others.
        let passed_on = stopped > 0 || states.len() == 1;
        let waiting = states.iter().filter(|state| **state == b'D').count();
        if in_a_call && passed_on && stopped + waiting == states.len() {
            return Held::InACall;
        }
        thread::yield_now();
    }
}

/// The state of each thread, as one letter of the kernel. Empty if the process has ended.
fn states(process: u32) -> Vec<u8> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let stats = threads.filter_map(|thread| fs::read(thread.path().join("stat")).ok());
    // The name precedes it in parentheses, and may contain any character.
    stats.filter_map(|stat| stat.get(stat.iter().rposition(|byte| *byte == b')')? + 2).copied()).collect()
}
