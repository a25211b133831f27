//! Logging of `tracing` events to standard error.

use std::env;

use tracing_subscriber::EnvFilter;

use crate::{context::Context, streams::ErrorOutput};

/// Starts logging: the events that `RUST_LOG` selects, else those of our crates at the level of `-v`, else none.
pub(crate) fn begin(context: &Context) {
    let Some(filter) = chosen(context) else { return };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| ErrorOutput);
    // Fails if the caller of this library has installed a subscriber of its own; keep that one.
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
                context.warn(format_args!("invalid RUST_LOG, logging is off: {error}"));
                None
            }
        },
    }
}
