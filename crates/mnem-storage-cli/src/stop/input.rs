//! Input that may be waited for without end, and fails with [`Asked`] once somebody asked for the end.

use std::{
    fs::File,
    io::{self, BufReader, Read},
};

use super::{Asked, Stop};

/// An input that is waited for, but not longer than until somebody asks for the end.
pub(crate) struct Input<'a> {
    pub(crate) input: BufReader<File>,
    pub(crate) stop: &'a Stop,
}

impl Read for Input<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.input.buffer().is_empty() {
            self.stop.wait_for(self.input.get_ref())?;
        }
        self.stop.check().map_err(io::Error::other)?;
        self.input.read(buf)
    }
}

/// Whether an input failed because somebody asked for the end.
pub(crate) fn was_asked(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Asked>())
}
