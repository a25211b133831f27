//! Behaviour of the simple backend, through its public interface.

mod commits;
mod conformance_faults;
mod copied;
mod crash_points;
mod damage;
mod edges;
mod faults;
mod foreign;
mod handles;
mod heads;
mod io_errors;
mod links;
mod listings;
mod looks;
mod names;
mod open;
mod order_of_calls;
mod permissions;
mod places;
mod power_cut;
mod processes;
mod read_only;
mod required;
mod side_tables;
mod support;
mod two_steps;
