//! Standard streams that work if the parent process left them non-blocking: a call that would fail with `EAGAIN` waits.
//!
//! All processes that share a stream share its non-blocking flag, so this module does not change it. The streams are
//! unbuffered.

use std::io::{self, Read, Write};
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};

#[cfg(unix)]
use rustix::event::PollFlags;

/// Standard input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input;

/// Standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output;

/// Standard error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorOutput;

#[cfg(unix)]
impl AsFd for Input {
    fn as_fd(&self) -> BorrowedFd<'_> {
        rustix::stdio::stdin()
    }
}

#[cfg(unix)]
impl Read for Input {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let stream = rustix::stdio::stdin();
        patiently(stream, PollFlags::IN, || rustix::io::read(stream, &mut *buf))
    }
}

#[cfg(unix)]
impl Write for Output {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let stream = rustix::stdio::stdout();
        patiently(stream, PollFlags::OUT, || rustix::io::write(stream, buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
impl Write for ErrorOutput {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let stream = rustix::stdio::stderr();
        patiently(stream, PollFlags::OUT, || rustix::io::write(stream, buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Repeats a call until it does not fail with `EAGAIN`. Sleeps until the stream is ready.
#[cfg(unix)]
fn patiently(
    stream: BorrowedFd<'_>,
    ready: PollFlags,
    mut call: impl FnMut() -> rustix::io::Result<usize>,
) -> io::Result<usize> {
    use rustix::{
        event::{PollFd, poll},
        io::Errno,
    };
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match poll(&mut [PollFd::new(&stream, ready)], None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            done => return Ok(done?),
        }
    }
}

#[cfg(not(unix))]
impl Read for Input {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        io::stdin().read(buf)
    }
}

#[cfg(not(unix))]
impl Write for Output {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        io::stdout().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

#[cfg(not(unix))]
impl Write for ErrorOutput {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        io::stderr().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
