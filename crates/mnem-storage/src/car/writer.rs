//! Writing a CARv1 section by section.

use std::io::{self, Write};

use mnem_store_traits::Cid;

use super::{header, varint};

/// A CARv1 being written. The same roots and blocks in the same order give the same bytes.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    offset: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the header. Section follows section in small writes: hand in an output with a buffer.
    ///
    /// # Errors
    /// The output's.
    pub fn new(output: W, roots: &[Cid]) -> io::Result<Self> {
        let mut writer = Self { output, offset: 0 };
        let header = header::encode(roots)?;
        let mut length = Vec::new();
        varint::write(header.len() as u64, &mut length);
        writer.put(&length)?;
        writer.put(&header)?;
        Ok(writer)
    }

    /// Appends a block.
    ///
    /// # Errors
    /// The output's.
    pub fn write(&mut self, cid: &Cid, data: &[u8]) -> io::Result<()> {
        let cid = cid.to_bytes();
        let mut start = Vec::with_capacity(varint::VARINT_BYTES_MAX + cid.len());
        varint::write(cid.len() as u64 + data.len() as u64, &mut start);
        start.extend_from_slice(&cid);
        self.put(&start)?;
        self.put(data)
    }

    /// Bytes written so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Flushes, and gives the output back.
    ///
    /// # Errors
    /// The output's.
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
