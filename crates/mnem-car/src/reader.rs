//! Reads an archive section by section.

use std::io::Read;

use bytes::Bytes;
use cid::Cid;

use crate::{
    error::{CarError, CarFault},
    foreign,
    header::{self, Header},
    limits::HEADER_BYTES_MAX,
    offsets::{Section, SectionOffsets},
    section_cid::{self, CID_BYTES_MAX},
    source::Source,
    tail::{self, TailError},
    v2::{self, Payload, V2_HEADER_BYTES},
    varint::Varint,
    warning::CarWarning,
};

/// A CAR archive, read as a stream: the header on construction, then one section at a time.
///
/// The reader checks the framing and the CIDs, but not the bytes of the blocks: compare each with its CID. Memory: one
/// section, or less than a kilobyte of it if you ask for [offsets](Self::next_offsets).
///
/// The input is read to its end. The data after the sections decides whether the archive is complete:
///
/// | after the sections | CARv1 | CARv2, whose header says where its data ends |
/// |---|---|---|
/// | nothing | fine | fine; a warning if the header names an index |
/// | an index (`0x0400`, `0x0401`) | – | fine where the header names it, zeros before it included; else a warning |
/// | an index that ends too early | – | a warning |
/// | an index that names sections past the data | – | [`IndexPastData`](CarFault::IndexPastData) |
/// | zeros to the end | [`Padding`](CarFault::Padding), unless [allowed](Self::allow_padding) | a warning |
/// | a section | read | [`Uncovered`](CarFault::Uncovered) |
/// | another archive | [`SecondArchive`](CarFault::SecondArchive) | [`SecondArchive`](CarFault::SecondArchive) |
/// | another format, text, newlines | [`Trailing`](CarFault::Trailing) | [`Trailing`](CarFault::Trailing) |
/// | other bytes | the fault of a section that cannot be read | [`Trailing`](CarFault::Trailing) |
///
/// Inside the data of a CARv2 the column of CARv1 applies. If the input ends before this data does, that is
/// [`CutOff`](CarFault::CutOff), even within zeros. Between the header of a CARv2 and its data all bytes must be zeros.
///
/// ```
/// use mnem_car::{BLOCK_BYTES_MAX, CarFault, Reader};
///
/// let archive = b"\x11\xa2\x65roots\x80\x67version\x01\x0e\x01\x55\0\x05hellohello";
/// let mut reader = Reader::new(&archive[..archive.len() - 1], BLOCK_BYTES_MAX)?;
/// let error = reader.next_section().expect_err("a section that is cut off");
/// assert_eq!(error.fault(), Some(&CarFault::CutOff { missing_bytes: 1 }));
/// assert_eq!(error.to_string(), "truncated: bytes missing: 1 or more, at byte 32 in the section at byte 18");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    source: Source<R>,
    version: u64,
    roots: Vec<Cid>,
    block_bytes_max: u64,
    allow_padding: bool,
    /// The payload of a CARv2.
    payload: Option<Payload>,
    padding_bytes: u64,
    warnings: Vec<CarWarning>,
    ended: bool,
}

/// The length of a section, which was read, and its offset.
struct Frame {
    offset: u64,
    section_bytes: u64,
    cid_offset: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the header. The reader will refuse blocks larger than `block_bytes_max`.
    ///
    /// # Errors
    /// [`CarError::Fault`] if the input does not begin like a CARv1 or CARv2; [`CarError::Io`].
    pub fn new(input: R, block_bytes_max: u64) -> Result<Self, CarError> {
        let mut reader = Self {
            source: Source::new(input),
            version: 1,
            roots: Vec::new(),
            block_bytes_max,
            allow_padding: false,
            payload: None,
            padding_bytes: 0,
            warnings: Vec::new(),
            ended: false,
        };
        match reader.read_first_header()? {
            Header::V1 { roots } => reader.roots = roots,
            Header::V2 => reader.enter_v2()?,
        }
        Ok(reader)
    }

    /// Whether zeros may follow the last section. Default: no.
    #[must_use]
    pub fn allow_padding(mut self, yes: bool) -> Self {
        self.allow_padding = yes;
        self
    }

    /// The version of the archive: 1 or 2.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The roots in the header, in its order. Their blocks need not be in the archive.
    pub fn roots(&self) -> &[Cid] {
        &self.roots
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// Number of zeros after the last section, if they were allowed. Known once there are no more sections.
    pub fn padding_bytes(&self) -> u64 {
        self.padding_bytes
    }

    /// The warnings about the archive. Complete once there are no more sections.
    pub fn warnings(&self) -> &[CarWarning] {
        &self.warnings
    }

    /// Returns the next section with its block, or `None` at the end, after the input was read to its end. After an
    /// error there are no more sections.
    ///
    /// # Errors
    /// [`CarError::Fault`], [`CarError::Io`].
    pub fn next_section(&mut self) -> Result<Option<Section>, CarError> {
        self.advance(Self::read_section)
    }

    /// Returns the offsets of the next section, without its block, for an index of the archive. Checks the same as
    /// [`next_section`](Self::next_section), finds the same faults, and may be mixed with it. The bytes of the block
    /// are read and discarded.
    ///
    /// # Errors
    /// [`CarError::Fault`], [`CarError::Io`].
    pub fn next_offsets(&mut self) -> Result<Option<SectionOffsets>, CarError> {
        self.advance(Self::pass_section)
    }

    /// Returns what `read` finds. If there is no section, classifies the bytes there; at the end, reads the rest of the
    /// input.
    fn advance<T>(&mut self, read: fn(&mut Self) -> Result<Option<T>, CarError>) -> Result<Option<T>, CarError> {
        if self.ended {
            return Ok(None);
        }
        self.ended = true;
        self.source.mark();
        let section = match read(self) {
            Err(CarError::Fault { fault: what, section_offset, offset }) => {
                self.no_section(what, section_offset, offset)?;
                None
            }
            section => section?,
        };
        self.ended = section.is_none();
        if self.ended {
            self.read_tail()?;
        }
        Ok(section)
    }

    /// Reads the header at the start of the input. If there is none, the error names the format of the input.
    fn read_first_header(&mut self) -> Result<Header, CarError> {
        self.read_header().map_err(|error| match error {
            CarError::Fault { fault: what, section_offset, offset } if may_be_foreign(&what) => {
                let what = match foreign::at_start(self.source.look()) {
                    Some(format) => CarFault::OtherFormat { format },
                    // An invalid length at the start means that this is not an archive.
                    None if matches!(what, CarFault::Varint { .. }) => {
                        header::not_car("the input does not start with a CAR header")
                    }
                    None => what,
                };
                fault(what, section_offset, offset)
            }
            other => other,
        })
    }

    /// Classifies the bytes where a section cannot be read. Zeros may be allowed there.
    fn no_section(&mut self, what: CarFault, section_offset: u64, offset: u64) -> Result<(), CarError> {
        let what = match what {
            CarFault::EmptySection => {
                let padding_bytes = 1 + self.source.zeros(u64::MAX).map_err(|e| self.io(e))?;
                let missing = self.source.remaining().unwrap_or(0);
                match self.source.is_at_end().map_err(|e| self.io(e))? {
                    // The header of a CARv2 says that more follows, perhaps not only zeros.
                    true if missing > 0 => return Err(self.cut_off(missing, section_offset)),
                    true if self.allow_padding => {
                        self.padding_bytes = padding_bytes;
                        return Ok(());
                    }
                    true => CarFault::Padding { padding_bytes },
                    false => CarFault::EmptySection,
                }
            }
            what if may_be_foreign(&what) => match foreign::after_sections(self.source.look()) {
                Some(format) => CarFault::Trailing { format },
                None => self.cut_off_by_header(what)?,
            },
            what => what,
        };
        let offset = if matches!(what, CarFault::Trailing { .. }) { section_offset } else { offset };
        Err(fault(what, section_offset, offset))
    }

    /// If a section is cut off where the payload of a CARv2 ends, but not the file, the file is complete and the header
    /// is wrong.
    fn cut_off_by_header(&mut self, what: CarFault) -> Result<CarFault, CarError> {
        match (&what, self.payload) {
            (CarFault::CutOff { .. }, Some(Payload { end, .. })) if self.offset() == end => {
                self.source.end_at(None);
                let is_cut_off = self.source.is_at_end().map_err(|e| self.io(e))?;
                Ok(if is_cut_off { what } else { v2::ends_inside_a_section(end) })
            }
            _ => Ok(what),
        }
    }

    /// Reads the data after the payload of a CARv2.
    fn read_tail(&mut self) -> Result<(), CarError> {
        let Some(payload) = self.payload else { return Ok(()) };
        self.source.end_at(None);
        self.warnings = tail::read(&mut self.source, payload).map_err(|error| match error {
            TailError::Fault { fault: what, offset } => fault(what, offset, offset),
            TailError::Io(source) => self.io(source),
        })?;
        Ok(())
    }

    fn read_header(&mut self) -> Result<Header, CarError> {
        let start = self.offset();
        let Some(header_bytes) = self.read_length(start)? else { return Err(fault(CarFault::Empty, start, start)) };
        if header_bytes > HEADER_BYTES_MAX {
            let too_large = CarFault::HeaderTooLarge { header_bytes, header_bytes_max: HEADER_BYTES_MAX };
            return Err(fault(too_large, start, start));
        }
        let content = self.offset();
        let bytes = self.take(header_bytes)?;
        let missing = header_bytes - bytes.len() as u64;
        // If the bytes begin like a header, it is cut off. If they begin like something else, they are something else.
        if missing > 0 && matches!(bytes.first(), None | Some(0xa1 | 0xa2)) {
            return Err(self.cut_off(missing, start));
        }
        header::decode(&bytes).map_err(|what| fault(what, start, content))
    }

    /// Skips to the payload of a CARv2 and reads the header there.
    fn enter_v2(&mut self) -> Result<(), CarError> {
        let section_offset = self.offset();
        let mut fixed = [0; V2_HEADER_BYTES];
        let filled = self.source.fill(&mut fixed).map_err(|e| self.io(e))?;
        if filled < V2_HEADER_BYTES {
            return Err(self.cut_off((V2_HEADER_BYTES - filled) as u64, section_offset));
        }
        let payload = v2::decode(&fixed).map_err(|(what, at)| fault(what, section_offset, at))?;
        let padding = payload.start - self.offset();
        let zeros = self.source.zeros(padding).map_err(|e| self.io(e))?;
        if zeros < padding {
            return Err(match self.source.is_at_end().map_err(|e| self.io(e))? {
                true => self.cut_off(padding - zeros, section_offset),
                false => fault(v2::no_padding(payload.start), section_offset, self.offset()),
            });
        }
        self.source.end_at(Some(payload.end));
        self.payload = Some(payload);
        self.version = 2;
        let inner = match self.read_header() {
            Err(CarError::Fault { fault: what, section_offset, offset }) => {
                return Err(fault(self.cut_off_by_header(what)?, section_offset, offset));
            }
            inner => inner?,
        };
        match inner {
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

    fn read_section(&mut self) -> Result<Option<Section>, CarError> {
        let Some(frame) = self.read_frame()? else { return Ok(None) };
        let bytes = self.take(frame.section_bytes)?;
        self.refuse_cut_off(&frame, bytes.len() as u64)?;
        let SectionOffsets { cid, offset, cid_offset, data_offset, data_bytes } = self.offsets(&frame, &bytes)?;
        let data = Bytes::from(bytes);
        let data = data.slice(data.len() - data_bytes as usize..);
        Ok(Some(Section { offset, cid_offset, data_offset, cid, data }))
    }

    fn pass_section(&mut self) -> Result<Option<SectionOffsets>, CarError> {
        let Some(frame) = self.read_frame()? else { return Ok(None) };
        let start = self.take(frame.section_bytes.min(CID_BYTES_MAX))?;
        let start_bytes = start.len() as u64;
        let passed = self.source.skip(frame.section_bytes - start_bytes).map_err(|e| self.io(e))?;
        self.refuse_cut_off(&frame, start_bytes + passed)?;
        self.offsets(&frame, &start).map(Some)
    }

    /// Reads the length of a section, and checks that it is allowed.
    fn read_frame(&mut self) -> Result<Option<Frame>, CarError> {
        let offset = self.offset();
        let Some(section_bytes) = self.read_length(offset)? else { return Ok(None) };
        if section_bytes == 0 {
            return Err(fault(CarFault::EmptySection, offset, offset));
        }
        if section_bytes > self.block_bytes_max.saturating_add(CID_BYTES_MAX) {
            // Only needed to name the size of the block in a fault that was already found.
            let start = self.take(CID_BYTES_MAX).unwrap_or_default();
            let cid_bytes = section_cid::read_cid(&start).map_or(0, |(_, cid_bytes)| cid_bytes as u64);
            return Err(fault(self.too_large(section_bytes - cid_bytes), offset, offset));
        }
        Ok(Some(Frame { offset, section_bytes, cid_offset: self.offset() }))
    }

    fn refuse_cut_off(&self, frame: &Frame, bytes: u64) -> Result<(), CarError> {
        if bytes < frame.section_bytes {
            return Err(self.cut_off(frame.section_bytes - bytes, frame.offset));
        }
        Ok(())
    }

    /// The offsets of a complete section. `start` is all of it, or at least as long as the longest CID.
    fn offsets(&self, frame: &Frame, start: &[u8]) -> Result<SectionOffsets, CarError> {
        let Frame { offset, section_bytes, cid_offset } = *frame;
        if section_cid::is_header(start) {
            return Err(fault(CarFault::SecondArchive, offset, offset));
        }
        let (cid, cid_bytes) =
            section_cid::read_cid(start).map_err(|(what, at)| fault(what, offset, cid_offset + at as u64))?;
        let data_offset = cid_offset + cid_bytes as u64;
        let data_bytes = section_bytes - cid_bytes as u64;
        if data_bytes > self.block_bytes_max {
            return Err(fault(self.too_large(data_bytes), offset, data_offset));
        }
        Ok(SectionOffsets { cid, offset, cid_offset, data_offset, data_bytes })
    }

    /// Reads the length of a header or section. Returns `None` if the input ends there, as it may.
    fn read_length(&mut self, section_offset: u64) -> Result<Option<u64>, CarError> {
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

    fn take(&mut self, len: u64) -> Result<Vec<u8>, CarError> {
        let taken = usize::try_from(len).map_err(std::io::Error::other).and_then(|len| self.source.take(len));
        taken.map_err(|e| self.io(e))
    }

    fn io(&self, source: std::io::Error) -> CarError {
        CarError::Io { offset: self.offset(), source }
    }

    fn too_large(&self, block_bytes: u64) -> CarFault {
        CarFault::BlockTooLarge { block_bytes, block_bytes_max: self.block_bytes_max }
    }

    fn cut_off(&self, missing_bytes: u64, section_offset: u64) -> CarError {
        fault(CarFault::CutOff { missing_bytes }, section_offset, self.offset())
    }
}

/// Whether this may be the fault of bytes that are neither a header nor a section.
fn may_be_foreign(fault: &CarFault) -> bool {
    matches!(
        fault,
        CarFault::NotCar { .. }
            | CarFault::HeaderTooLarge { .. }
            | CarFault::CutOff { .. }
            | CarFault::Varint { .. }
            | CarFault::EmptySection
            | CarFault::BlockTooLarge { .. }
            | CarFault::BadCid { .. }
            | CarFault::ShorterThanCid { .. }
    )
}

fn fault(fault: CarFault, section_offset: u64, offset: u64) -> CarError {
    CarError::Fault { fault, section_offset, offset }
}
