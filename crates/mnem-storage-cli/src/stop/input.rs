//! Input that a signal interrupts: a blocked read fails with [`Asked`].

use std::{
    fs::File,
    io::{self, BufReader, Read},
};

use super::{Asked, Stop};
use crate::streams;

/// The source of an input.
#[derive(Debug)]
pub(crate) enum Source {
    File(File),
    Standard(streams::Input),
}

/// An input whose reads fail once a signal asks the command to stop.
pub(crate) struct Input<'a> {
    pub(crate) input: BufReader<Source>,
    pub(crate) stop: &'a Stop,
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buf),
            Self::Standard(input) => input.read(buf),
        }
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Source {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::File(file) => file.as_fd(),
            Self::Standard(input) => input.as_fd(),
        }
    }
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

/// Whether a read failed because a signal asked the command to stop.
pub(crate) fn was_asked(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Asked>())
}
