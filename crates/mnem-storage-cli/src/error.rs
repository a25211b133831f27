//! The failures of a command, and their exit statuses.

use std::{io, path::PathBuf, process::ExitCode};

use mnem_storage::{
    Absent, Cause, Cid, CollectError, CopyError, Elsewhere, ErrorKind, StoreError,
    car::{ExportError, ExportErrorKind, ImportError, ImportErrorKind},
    driver::ServiceFault,
};

use crate::{file_arg, limits::MISSING_LISTED_MAX, output::counted, signal::Signal};

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// The exit status. The numbers are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    /// Two stores differ.
    Different,
    Usage,
    DamageFound,
    /// No such block, head, index or node.
    NoSuchBlock,
    NoStore,
    Locked,
    WrongFormat,
    NeedsRecovery,
    /// Killed by this signal; a shell reports 128 plus its number.
    Signal(Signal),
}

impl Exit {
    /// The exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed | Self::Different => 1,
            Self::Usage => 2,
            Self::DamageFound => 3,
            Self::NoSuchBlock => 4,
            Self::NoStore => 10,
            Self::Locked => 11,
            Self::WrongFormat => 12,
            Self::NeedsRecovery => 13,
            Self::Signal(signal) => signal.status(),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line is wrong.
    #[error("{message}")]
    Usage { message: String, hint: String },
    /// The command refuses to do this.
    #[error("{message}")]
    Refused { message: String, hint: String },
    /// The block is not in the store.
    #[error("no block {cid} in {}", store.display())]
    NoSuchBlock { cid: String, store: PathBuf },
    /// Some blocks are not in the store; `cids` holds the first of them.
    #[error("{} not in {}; removed {}", are(*count, "block"), store.display(), counted(*removed, "block"))]
    NoSuchBlocks { cids: Vec<Cid>, count: u64, removed: u64, store: PathBuf },
    /// The CID is not a head.
    #[error("{cid} is not a head of {}", store.display())]
    NoSuchHead { cid: String, store: PathBuf },
    /// Several CIDs begin with this prefix.
    #[error("{} in {} begin with {text}", counted(*count, "CID"), store.display())]
    Ambiguous { text: String, count: u64, cids: Vec<Cid>, store: PathBuf },
    /// The index is not in the store.
    #[error("no index {cid} in {}", store.display())]
    NoSuchIndex { cid: String, store: PathBuf },
    /// The index or the file of labels has no such node.
    #[error("no {what}")]
    NoSuchNode { what: String, hint: &'static str },
    /// A malformed line in a file.
    #[error("{}, line {line}: {why}", file_arg::named(file))]
    Line { file: PathBuf, line: u64, why: String, hint: &'static str },
    /// The input of `put --codec dag-cbor` is not DAG-CBOR.
    #[error("{from} is not valid DAG-CBOR")]
    NotDagCbor { from: String, source: Cause },
    /// The store failed or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// As `Store`, for a store that is an argument of the command.
    #[error("{}", of_store(&store.display().to_string(), source.to_string()))]
    OfStore { store: PathBuf, source: Box<StoreError> },
    /// The heads are not those that a swap expected.
    #[error("{error}, expected {}", if *.expected == 0 { "none".to_owned() } else { expected.to_string() })]
    HeadsMoved { expected: usize, error: Box<StoreError> },
    /// An import failed.
    #[error("{from}: {source}")]
    ///
    /// `typed`: the option that sets heads.
    Import { from: Box<str>, max_block: u64, typed: &'static str, source: ImportError },
    /// A copy failed.
    #[error("cannot copy {} to {}", from.display(), to.display())]
    ///
    /// `merges`, `salvages`: whether `--merge-heads` and `--salvage` are given.
    Copy { from: PathBuf, to: PathBuf, merges: bool, salvages: bool, source: CopyError },
    /// An export failed.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A garbage collection failed.
    #[error(transparent)]
    Collect(CollectError),
    /// Reading or writing a file or a standard stream failed.
    #[error("cannot {what}")]
    Io { what: String, source: io::Error },
    /// The store was moved, replaced or removed while the command wrote to it.
    #[error("{source}: {done}")]
    Elsewhere { done: String, source: Elsewhere },
    /// A signal stopped the command.
    #[error("interrupted: {kept}")]
    Interrupted { signal: Signal, kept: String, hint: String },
    /// The reader closed standard output. Not reported.
    #[error("standard output is closed")]
    OutputClosed,
}

impl Failure {
    /// A failure to write to standard output.
    pub(crate) fn output(source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::BrokenPipe {
            return Self::OutputClosed;
        }
        Self::Io { what: "write to standard output".into(), source }
    }

    /// Details to report before the sources, one per line.
    pub(crate) fn details(&self) -> Vec<String> {
        let (mut lines, count): (Vec<String>, _) = match self {
            Self::Import { source: ImportError::Incomplete { missing, missing_count, .. }, .. } => {
                // The message names the first block.
                let others = missing.iter().take(MISSING_LISTED_MAX).skip(1);
                let line = |Absent { cid, linked_from, .. }: &Absent| {
                    format!("block {cid} is missing; {linked_from} links to it")
                };
                (others.map(line).collect(), *missing_count)
            }
            Self::NoSuchBlocks { cids, count, .. } => {
                (cids.iter().map(|cid| format!("block {cid} is missing")).collect(), *count)
            }
            _ => return Vec::new(),
        };
        let more = count.saturating_sub(MISSING_LISTED_MAX as u64);
        if more > 0 {
            lines.push(format!("{} missing", are(more, "more block")));
        }
        lines
    }

    /// The error of the store, if a store failed.
    pub(crate) fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::OfStore { source, .. } => Some(source),
            Self::HeadsMoved { error, .. } => Some(error),
            Self::Copy { source, .. } => source.store_error(),
            Self::Import { source, .. } => source.store_error(),
            Self::Export(error) => error.store_error(),
            Self::Collect(error) => error.store_error(),
            _ => None,
        }
    }

    /// Removes the method's name from the text of an [`InvalidArgument`](StoreError::InvalidArgument): it means nothing
    /// to a user of the program.
    pub(crate) fn without_method(&self, text: String) -> String {
        match self.store_error() {
            Some(StoreError::InvalidArgument { operation, reason }) => {
                text.replace(&format!("{operation}: {reason}"), reason)
            }
            _ => text,
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. } | Self::Ambiguous { .. } => Exit::Usage,
            Self::NoSuchBlock { .. }
            | Self::NoSuchBlocks { .. }
            | Self::NoSuchHead { .. }
            | Self::NoSuchIndex { .. }
            | Self::NoSuchNode { .. } => Exit::NoSuchBlock,
            Self::OutputClosed => Exit::Done,
            Self::Import { source: ImportError::Incomplete { .. } | ImportError::MissingRoots { .. }, .. } => {
                exit_of(ErrorKind::MissingBlock)
            }
            Self::Interrupted { signal, .. } => Exit::Signal(*signal),
            _ => self.store_error().map_or(Exit::Failed, exit_of_error),
        }
    }

    /// The kind of failure, for scripts: `kind` in JSON.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Usage { .. } => "usage",
            Self::Refused { .. } => "refused",
            Self::NoSuchBlock { .. } | Self::NoSuchBlocks { .. } => "no_such_block",
            Self::NoSuchHead { .. } => "no_such_head",
            Self::Ambiguous { .. } => "ambiguous_cid",
            Self::NoSuchIndex { .. } => "no_such_index",
            Self::NoSuchNode { .. } => "no_such_node",
            Self::Line { .. } => "malformed_line",
            Self::NotDagCbor { .. } => ErrorKind::Malformed.as_str(),
            Self::Interrupted { .. } => "interrupted",
            Self::Elsewhere { .. } => "elsewhere",
            Self::Store(error) => error.kind().as_str(),
            Self::OfStore { source, .. } => source.kind().as_str(),
            Self::HeadsMoved { error, .. } => error.kind().as_str(),
            Self::Copy { source: CopyError::Opaque { .. }, .. } => "opaque_block",
            Self::Copy { source: CopyError::Differs { .. }, .. } => ErrorKind::Backend.as_str(),
            Self::Copy { source, .. } => source.kind().map_or("interrupted", ErrorKind::as_str),
            Self::Collect(CollectError::Opaque { .. }) => "opaque_block",
            Self::Collect(error) => error.kind().map_or("interrupted", ErrorKind::as_str),
            Self::Import { source, .. } => match source.kind() {
                ImportErrorKind::NotCar => "not_car",
                ImportErrorKind::UnsupportedVersion => "unsupported_car_version",
                ImportErrorKind::Malformed => "malformed_car",
                ImportErrorKind::CutOff => "cut_off_car",
                ImportErrorKind::BlockTooLarge => "block_too_large",
                ImportErrorKind::WrongBytes => "cid_mismatch",
                ImportErrorKind::UnsupportedHash => "unsupported_hash",
                ImportErrorKind::MissingRoots => "missing_roots",
                ImportErrorKind::Incomplete => ErrorKind::MissingBlock.as_str(),
                ImportErrorKind::Stopped => "interrupted",
                ImportErrorKind::Thread => ErrorKind::Backend.as_str(),
                ImportErrorKind::Store(kind) => kind.as_str(),
                _ => "io",
            },
            Self::Export(error) => match error.kind() {
                ExportErrorKind::MissingBlock => ErrorKind::MissingBlock.as_str(),
                ExportErrorKind::DamagedBlock => ErrorKind::Corrupt.as_str(),
                ExportErrorKind::OpaqueBlock => "opaque_block",
                ExportErrorKind::InvalidCid => "invalid_cid",
                ExportErrorKind::Store(kind) => kind.as_str(),
                ExportErrorKind::Stopped => "interrupted",
                ExportErrorKind::TooManyRoots => "too_many_roots",
                _ => "io",
            },
            Self::Io { .. } | Self::OutputClosed => "io",
        }
    }
}

/// Prefixes a message with the path of the store, unless the message contains it.
fn of_store(store: &str, said: String) -> String {
    if said.contains(store) { said } else { format!("{store}: {said}") }
}

/// A count with its verb: `1 block is`, `2 blocks are`.
fn are(count: u64, one: &str) -> String {
    format!("{} {}", counted(count, one), if count == 1 { "is" } else { "are" })
}

fn exit_of_error(error: &StoreError) -> Exit {
    match error {
        StoreError::Backend { source, .. } if matches!(source.downcast_ref(), Some(ServiceFault::NoCreateIfAbsent)) => {
            Exit::WrongFormat
        }
        error => exit_of(error.kind()),
    }
}

fn exit_of(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::MissingBlock => Exit::NoSuchBlock,
        ErrorKind::NotAStore => Exit::NoStore,
        ErrorKind::Locked => Exit::Locked,
        ErrorKind::UnsupportedFormat => Exit::WrongFormat,
        ErrorKind::NeedsRecovery => Exit::NeedsRecovery,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_tells_the_cause() {
        for (kind, status) in [
            (ErrorKind::Backend, 1),
            (ErrorKind::Corrupt, 1),
            (ErrorKind::Damaged, 1),
            (ErrorKind::HeadsMoved, 1),
            (ErrorKind::MissingBlock, 4),
            (ErrorKind::NotAStore, 10),
            (ErrorKind::Locked, 11),
            (ErrorKind::UnsupportedFormat, 12),
            (ErrorKind::NeedsRecovery, 13),
        ] {
            assert_eq!(exit_of(kind).code(), status, "{kind:?}");
        }
        let unfit = StoreError::Backend {
            backend: "bucket",
            operation: "create".into(),
            outcome: mnem_storage::Outcome::NotApplied,
            source: Cause::new(ServiceFault::NoCreateIfAbsent),
        };
        assert_eq!(exit_of_error(&unfit).code(), 12);
        assert_eq!(Exit::Usage.code(), 2);
        assert_eq!(Exit::DamageFound.code(), 3);
    }
}
