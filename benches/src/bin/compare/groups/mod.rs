//! The workloads, by the names that the command line knows.

mod batches;
pub(crate) mod commits;
mod filled;
pub(crate) mod imports;
mod machine;
pub(crate) mod puts;
pub(crate) mod reads;
mod remote;
mod reopens;
mod sharing;
mod space;
mod syncs;
pub(crate) mod trace;
pub(crate) mod wordnet;

use anyhow::Result;

use crate::run::Run;

/// One workload, or several that share their stores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    /// Its heading in the document.
    pub(crate) title: &'static str,
    /// What it measures and how, for the document.
    pub(crate) about: &'static str,
    pub(crate) run: fn(&mut Run) -> Result<()>,
    /// Whether it runs only if it is named.
    pub(crate) opt_in: bool,
}

/// All groups, in the order of the document.
pub(crate) const GROUPS: [Group; 17] = [
    trace::GROUP,
    commits::GROUP,
    puts::GROUP,
    batches::GROUP,
    imports::GROUP,
    reads::GROUP,
    filled::GROUP,
    filled::LARGE,
    filled::HUGE,
    filled::VAST,
    wordnet::GROUP,
    reopens::GROUP,
    sharing::GROUP,
    space::GROUP,
    remote::GROUP,
    syncs::GROUP,
    machine::GROUP,
];

/// A number with separators of thousands.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
