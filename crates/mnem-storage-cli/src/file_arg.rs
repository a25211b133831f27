//! An argument that names a file to read: `-` is standard input.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read},
    path::Path,
};

use crate::{
    error::{Failure, Result},
    streams,
};

/// Whether standard input is meant.
pub(crate) fn is_standard_input(file: &Path) -> bool {
    file == Path::new("-")
}

/// The file as messages name it.
pub(crate) fn named(file: &Path) -> String {
    if is_standard_input(file) { "standard input".to_owned() } else { file.display().to_string() }
}

/// Opens it for reading. `what` is in it, and `command` is what was typed before it: a terminal gets the usage.
pub(crate) fn open(file: &Path, what: &str, command: &str) -> Result<Box<dyn Read>> {
    if !is_standard_input(file) {
        return match File::open(file) {
            Ok(file) => Ok(Box::new(file)),
            Err(source) => Err(Failure::Io { what: format!("open {}", file.display()), source }),
        };
    }
    if io::stdin().is_terminal() {
        return Err(Failure::Usage {
            message: format!("{what} not read from a terminal"),
            hint: format!("`{command} FILE`, or `{command} - < FILE`"),
        });
    }
    Ok(Box::new(streams::Input))
}
