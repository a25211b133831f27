//! Inputs and outputs that fail with [`Asked`] once somebody asked for the end: so long calls of the library end between two blocks.

use std::{
    fs::File,
    io::{self, BufReader, Read, Write},
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

/// An output that takes no more once somebody asked for the end.
pub(crate) struct Output<'a, W> {
    pub(crate) output: W,
    pub(crate) stop: &'a Stop,
}

impl<W: Write> Write for Output<'_, W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stop.check().map_err(io::Error::other)?;
        self.output.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Whether an input or output failed because somebody asked for the end.
pub(crate) fn was_asked(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Asked>())
}
