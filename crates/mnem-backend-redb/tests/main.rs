//! Behaviour of the redb backend outside the conformance suite: files, layouts, locks, damage, failures of the medium.

mod batches;
mod checks;
mod close;
mod compact;
mod conformance_faults;
mod crash;
mod creation;
mod damage;
mod edges;
mod faults;
mod freshness;
mod groups;
mod growth;
mod interleavings;
mod layouts;
mod lengths;
mod locking;
mod no_locks;
mod open;
mod opening;
mod ordered_reads;
mod paths;
mod power_cut;
mod processes;
mod raw_pages;
mod read_only;

mod side_tables;
mod support;
mod writes;
