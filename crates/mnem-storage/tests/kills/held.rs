//! A writer that is stopped for good: whatever it has not said by now it never says.

use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process};

/// Where a stopped writer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Stopped,
    /// In a call of the operating system that is not done, such as a sync.
    InACall,
}

/// Stops a process. Once this has returned, it carries out no instruction of its own any more.
///
/// A thread inside a call meets the signal before it leaves the kernel. So whoever lets it be `in_a_call` does not wait for the end of the call, and
/// its result, whatever it is, is never seen.
pub(super) fn hold(process: u32, in_a_call: bool) -> Held {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).expect("the number of a process");
    kill_process(pid, Signal::STOP).expect("stop the writer");
    loop {
        let states = states(process);
        let stopped = states.iter().filter(|state| b"TtZX".contains(state)).count();
        if stopped == states.len() {
            return Held::Stopped;
        }
        // Of several threads one that is stopped has passed the signal on to all the others.
        let passed_on = stopped > 0 || states.len() == 1;
        let waiting = states.iter().filter(|state| **state == b'D').count();
        if in_a_call && passed_on && stopped + waiting == states.len() {
            return Held::InACall;
        }
        thread::yield_now();
    }
}

/// The state of each thread, as the kernel abbreviates it. Of a process that has ended: none.
fn states(process: u32) -> Vec<u8> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let stats = threads.filter_map(|thread| fs::read(thread.path().join("stat")).ok());
    // The name stands in parentheses before it, and may hold any character.
    stats.filter_map(|stat| stat.get(stat.iter().rposition(|byte| *byte == b')')? + 2).copied()).collect()
}
