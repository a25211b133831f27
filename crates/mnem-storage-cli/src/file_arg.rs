//! An argument that names an input file; `-` is standard input.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read},
    path::Path,
};

use crate::{
    error::{Failure, Result},
    streams,
};

/// Whether the argument is `-`.
pub(crate) fn is_standard_input(file: &Path) -> bool {
    file == Path::new("-")
}

/// The name of the file in messages.
pub(crate) fn named(file: &Path) -> String {
    if is_standard_input(file) { "standard input".to_owned() } else { file.display().to_string() }
}

/// Opens the file for reading. `what` and `command` go into the usage error if standard input is a terminal.
pub(crate) fn open(file: &Path, what: &str, command: &str) -> Result<Box<dyn Read>> {
    if !is_standard_input(file) {
        return match File::open(file) {
            Ok(file) => Ok(Box::new(file)),
            Err(source) => Err(Failure::Io { what: format!("open {}", file.display()), source }),
        };
    }
    if io::stdin().is_terminal() {
        return Err(Failure::Usage {
            message: format!("cannot read {what} from a terminal"),
            hint: format!("run `{command} FILE` or `{command} - < FILE`"),
        });
    }
    Ok(Box::new(streams::Input))
}
