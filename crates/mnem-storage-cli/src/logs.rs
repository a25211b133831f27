//! Logs: the events of the libraries, on standard error.

use std::env;

use tracing_subscriber::EnvFilter;

use crate::{context::Context, streams::ErrorOutput};

/// Writes events from here on: those that `RUST_LOG` chooses, else those of our crates at the level that `-v` sets. None without either.
pub(crate) fn begin(context: &Context) {
    let Some(filter) = chosen(context) else { return };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| ErrorOutput);
    // Whoever calls this program as a library may have its own.
    let _ = logs.try_init();
}

fn chosen(context: &Context) -> Option<EnvFilter> {
    let typed = env::var("RUST_LOG").ok().filter(|typed| !typed.is_empty());
    let of_flags = match context.verbosity() {
        0 => None,
        1 => Some("mnem=info"),
        2 => Some("mnem=debug"),
        _ => Some("trace"),
    };
    match (typed, of_flags) {
        (None, None) => None,
        (None, Some(filter)) => Some(EnvFilter::new(filter)),
        (Some(typed), _) => match EnvFilter::builder().parse(typed) {
            Ok(filter) => Some(filter),
            Err(error) => {
                context.warn(format_args!("RUST_LOG is not understood, and there are no logs: {error}"));
                None
            }
        },
    }
}
