//! The workloads and the compare tool at a tiny size, so that code which otherwise runs only for numbers keeps working.

#[cfg(feature = "compare")]
#[path = "main/kill.rs"]
mod kill;
#[cfg(feature = "compare")]
#[path = "main/tool.rs"]
mod tool;
#[path = "main/traces.rs"]
mod traces;
#[cfg(feature = "compare")]
#[path = "main/wordnet.rs"]
mod wordnet;
#[path = "main/workloads.rs"]
mod workloads;
#[path = "main/wrong.rs"]
mod wrong;
