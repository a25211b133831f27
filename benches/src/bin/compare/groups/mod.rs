//! The workloads, by the names that the command line knows.

mod batches;
pub(crate) mod commits;
pub(crate) mod imports;
mod machine;
pub(crate) mod puts;
pub(crate) mod reads;
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
    /// Its heading on the page.
    pub(crate) title: &'static str,
    /// What is measured and how, for the page.
    pub(crate) about: &'static str,
    pub(crate) run: fn(&mut Run) -> Result<()>,
    /// Runs only when it is named.
    pub(crate) opt_in: bool,
}

/// All of them, in the order of the page.
pub(crate) const GROUPS: [Group; 12] = [
    trace::GROUP,
    commits::GROUP,
    puts::GROUP,
    batches::GROUP,
    imports::GROUP,
    reads::GROUP,
    wordnet::GROUP,
    reopens::GROUP,
    sharing::GROUP,
    space::GROUP,
    syncs::GROUP,
    machine::GROUP,
];

/// A number as people write it.
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
