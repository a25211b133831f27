//! Behaviour of the codec through its public API: every archive is read with its blocks and for their offsets alone.

mod bad;
mod fixtures;
mod foreign;
mod good;
mod headers;
mod mutated;
mod tail;
