//! Reading an archive section by section.

use std::io::Read;

use mnem_store_traits::{Bytes, Cid};

use super::{
    HEADER_BYTES_MAX,
    fault::{CarError, CarFault, ReadError},
    header::{self, Header},
    section::{self, CID_BYTES_MAX},
    source::Source,
    v2::{self, V2_HEADER_BYTES},
    varint::Varint,
};

/// A CAR archive, read as a stream: the header on construction, then one section at a time.
///
/// Framing and CIDs are checked, the bytes of the blocks are not: that is for who takes them ([`import`](super::import()) does, and so does every
/// store). Memory: one section.
///
/// ```
/// use mnem_storage::{Bytes, RAW, car, cid_of};
///
/// let block = Bytes::from_static(b"a block");
/// let mut writer = car::Writer::new(Vec::new(), &[cid_of(RAW, &block)])?;
/// writer.write(&cid_of(RAW, &block), &block)?;
/// let archive = writer.finish()?;
///
/// let mut reader = car::Reader::new(&archive[..], car::BLOCK_BYTES_MAX)?;
/// assert_eq!(reader.roots(), [cid_of(RAW, &block)]);
/// while let Some(section) = reader.next_section()? {
///     assert_eq!(section.data, block); // its hash is for you to check
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    source: Source<R>,
    version: u64,
    roots: Vec<Cid>,
    block_bytes_max: u64,
    ended: bool,
}

/// One block of an archive, and where it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section {
    /// Where the section begins: the offset of its length, in bytes from the start of the input.
    pub offset: u64,
    /// Where the block's CID begins.
    pub cid_offset: u64,
    /// Where the block's bytes begin.
    pub data_offset: u64,
    /// The block's CID.
    pub cid: Cid,
    /// The block's bytes, not hashed.
    pub data: Bytes,
}

impl<R: Read> Reader<R> {
    /// Reads the header. Blocks larger than `block_bytes_max` will be refused.
    ///
    /// # Errors
    /// [`ReadError::Archive`] when the input does not begin as a CARv1 or CARv2 does; [`ReadError::Io`].
    pub fn new(input: R, block_bytes_max: u64) -> Result<Self, ReadError> {
        let mut reader =
            Self { source: Source::new(input), version: 1, roots: Vec::new(), block_bytes_max, ended: false };
        match reader.read_header()? {
            Header::V1 { roots } => reader.roots = roots,
            Header::V2 => reader.enter_v2()?,
        }
        Ok(reader)
    }

    /// The version of the archive: 1 or 2.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The roots named in the header, in its order. Nothing says that their blocks are in the archive.
    pub fn roots(&self) -> &[Cid] {
        &self.roots
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// The next section; `None` at the end. After an error there are no more.
    ///
    /// # Errors
    /// [`ReadError::Archive`], [`ReadError::Io`].
    pub fn next_section(&mut self) -> Result<Option<Section>, ReadError> {
        if self.ended {
            return Ok(None);
        }
        self.ended = true;
        let section = self.read_section()?;
        self.ended = section.is_none();
        Ok(section)
    }

    /// Reads and discards what follows the payload (the index of a CARv2), so that who feeds a pipe is not cut off.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub fn drain(&mut self) -> Result<(), ReadError> {
        self.source.drain().map_err(|source| ReadError::Io { offset: self.source.offset(), source })
    }

    fn read_header(&mut self) -> Result<Header, ReadError> {
        let start = self.offset();
        let length = self.read_length(start).map_err(|error| if start == 0 { as_not_car(error) } else { error });
        let Some(header_bytes) = length? else { return Err(fault(CarFault::Empty, start, start)) };
        if header_bytes > HEADER_BYTES_MAX {
            let too_large = CarFault::HeaderTooLarge { header_bytes, header_bytes_max: HEADER_BYTES_MAX };
            return Err(fault(too_large, start, start));
        }
        let content = self.offset();
        let bytes = self.take(header_bytes)?;
        let missing = header_bytes - bytes.len() as u64;
        // What begins as a header and is cut off is that; what begins as something else is something else.
        if missing > 0 && matches!(bytes.first(), None | Some(0xa1 | 0xa2)) {
            return Err(self.cut_off(missing, start));
        }
        header::decode(&bytes).map_err(|what| fault(what, start, content))
    }

    /// Goes to the payload of a CARv2, and reads the header there.
    fn enter_v2(&mut self) -> Result<(), ReadError> {
        let section_offset = self.offset();
        let mut fixed = [0; V2_HEADER_BYTES];
        let filled = self.source.fill(&mut fixed).map_err(|e| self.io(e))?;
        if filled < V2_HEADER_BYTES {
            return Err(self.cut_off((V2_HEADER_BYTES - filled) as u64, section_offset));
        }
        let payload = v2::decode(&fixed).map_err(|(what, at)| fault(what, section_offset, at))?;
        let padding = payload.start - self.offset();
        let skipped = self.source.skip(padding).map_err(|e| self.io(e))?;
        if skipped < padding {
            return Err(self.cut_off(padding - skipped, section_offset));
        }
        self.source.end_at(payload.end);
        self.version = 2;
        match self.read_header()? {
            Header::V1 { roots } => {
                self.roots = roots;
                Ok(())
            }
            Header::V2 => {
                let inside = CarFault::UnsupportedVersion { version: 2, inside: true };
                Err(fault(inside, payload.start, payload.start + 1))
            }
        }
    }

    fn read_section(&mut self) -> Result<Option<Section>, ReadError> {
        let offset = self.offset();
        let Some(section_bytes) = self.read_length(offset)? else { return Ok(None) };
        if section_bytes == 0 {
            return Err(fault(CarFault::EmptySection, offset, offset));
        }
        if section_bytes > self.block_bytes_max.saturating_add(CID_BYTES_MAX) {
            return Err(fault(self.too_large(section_bytes), offset, offset));
        }
        let cid_offset = self.offset();
        let bytes = self.take(section_bytes)?;
        if (bytes.len() as u64) < section_bytes {
            return Err(self.cut_off(section_bytes - bytes.len() as u64, offset));
        }
        if section::is_header(&bytes) {
            return Err(fault(CarFault::SecondArchive, offset, offset));
        }
        let (cid, cid_bytes) =
            section::read_cid(&bytes).map_err(|(what, at)| fault(what, offset, cid_offset + at as u64))?;
        let data_offset = cid_offset + cid_bytes as u64;
        let data = Bytes::from(bytes).slice(cid_bytes..);
        if data.len() as u64 > self.block_bytes_max {
            return Err(fault(self.too_large(data.len() as u64), offset, data_offset));
        }
        Ok(Some(Section { offset, cid_offset, data_offset, cid, data }))
    }

    /// The length that begins a header or section; `None` where the input ends instead, as it may.
    fn read_length(&mut self, section_offset: u64) -> Result<Option<u64>, ReadError> {
        let mut varint = Varint::default();
        loop {
            let at = self.offset();
            let Some(byte) = self.source.byte().map_err(|e| self.io(e))? else {
                let payload_missing = self.source.remaining().unwrap_or(0);
                if at == section_offset && payload_missing == 0 {
                    return Ok(None);
                }
                return Err(self.cut_off(payload_missing.max(1), section_offset));
            };
            match varint.push(byte) {
                Ok(None) => {}
                Ok(length) => return Ok(length),
                Err(what) => return Err(fault(CarFault::Varint { what }, section_offset, at)),
            }
        }
    }

    fn take(&mut self, len: u64) -> Result<Vec<u8>, ReadError> {
        let taken = usize::try_from(len).map_err(std::io::Error::other).and_then(|len| self.source.take(len));
        taken.map_err(|e| self.io(e))
    }

    fn io(&self, source: std::io::Error) -> ReadError {
        ReadError::Io { offset: self.offset(), source }
    }

    fn too_large(&self, block_bytes: u64) -> CarFault {
        CarFault::BlockTooLarge { block_bytes, block_bytes_max: self.block_bytes_max }
    }

    fn cut_off(&self, missing_bytes: u64, section_offset: u64) -> ReadError {
        fault(CarFault::CutOff { missing_bytes }, section_offset, self.offset())
    }
}

/// What breaks the rules of a length in the first bytes of the input is something else than an archive.
fn as_not_car(error: ReadError) -> ReadError {
    match error {
        ReadError::Archive(CarError { fault: CarFault::Varint { .. }, section_offset, offset }) => {
            fault(header::not_car("its first bytes are no CAR header"), section_offset, offset)
        }
        other => other,
    }
}

fn fault(fault: CarFault, section_offset: u64, offset: u64) -> ReadError {
    ReadError::Archive(CarError { fault, section_offset, offset })
}
