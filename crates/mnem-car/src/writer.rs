//! Writes a CARv1 section by section.

use std::io::{self, Write};

use cid::Cid;

use crate::{header, limits::ROOTS_MAX, offsets::SectionOffsets, varint};

/// Whether an archive can hold this CID. Multiformats limits the numbers of a codec and a hash function to 63 bits, and
/// no [`Reader`](crate::Reader) accepts a larger one, although the type [`Cid`] has room for it.
pub fn can_hold(cid: &Cid) -> bool {
    const MAX: u64 = i64::MAX as u64;
    cid.codec() <= MAX && cid.hash().code() <= MAX
}

fn check(cid: &Cid) -> io::Result<()> {
    if can_hold(cid) {
        return Ok(());
    }
    let what = format!("the codec or the hash function of {cid} has more than 63 bits");
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// A CARv1 being written. The same roots and blocks in the same order give the same bytes.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    offset: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the header. Sections follow in small writes, so pass a buffered output.
    ///
    /// # Errors
    /// Those of the output; [`io::ErrorKind::InvalidInput`] for more than [`ROOTS_MAX`] roots, or a root that no archive
    /// [can hold](can_hold). No [`Reader`](crate::Reader) accepts them. Then nothing was written.
    pub fn new(output: W, roots: &[Cid]) -> io::Result<Self> {
        if roots.len() > ROOTS_MAX {
            let what = format!("{} roots exceed the limit of {ROOTS_MAX} per archive", roots.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        roots.iter().try_for_each(check)?;
        let mut writer = Self { output, offset: 0 };
        let header = header::encode(roots);
        let mut length = Vec::new();
        varint::write(header.len() as u64, &mut length);
        writer.put(&length)?;
        writer.put(&header)?;
        Ok(writer)
    }

    /// Appends a block and returns its offsets. Does not check that the bytes match the CID.
    ///
    /// # Errors
    /// Those of the output; [`io::ErrorKind::InvalidInput`] for a CID that no archive [can hold](can_hold). Then nothing
    /// was written.
    pub fn write(&mut self, cid: &Cid, data: &[u8]) -> io::Result<SectionOffsets> {
        check(cid)?;
        let mut start = Vec::with_capacity(SectionOffsets::START_BYTES_MAX);
        let offsets = SectionOffsets::write_start(cid, data.len() as u64, self.offset, &mut start);
        self.put(&start)?;
        self.put(data)?;
        Ok(offsets)
    }

    /// Bytes written so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Flushes and returns the output.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.output.flush()?;
        Ok(self.output)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}
