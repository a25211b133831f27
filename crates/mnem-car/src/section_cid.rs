//! The CID at the beginning of a section. It is parsed by hand, because every fault needs its offset and its name.

use cid::{Cid, Version, multihash::Multihash};

use crate::{
    error::CarFault,
    varint::{VARINT_BYTES_MAX, Varint},
};

/// Longest digest that a CID may have here, in bytes.
const DIGEST_BYTES_MAX: u64 = 64;

/// Longest CID: version, codec, hash function, digest length and digest.
pub(crate) const CID_BYTES_MAX: u64 = 1 + 2 * VARINT_BYTES_MAX as u64 + 1 + DIGEST_BYTES_MAX;

const IDENTITY: u64 = 0x00;
const SHA2_256: u64 = 0x12;
const DAG_PB: u64 = 0x70;
const V0_PREFIX: [u8; 2] = [0x12, 0x20];
const V0_DIGEST_BYTES: usize = 32;

/// The first bytes of the header of a CARv1 and of the pragma of a CARv2. Read as a CID, their version would be neither
/// 0 nor 1.
const HEADER_STARTS: [&[u8]; 2] = [b"\xa2\x65roots", b"\xa1\x67version"];

/// A cursor over one section.
struct Parts<'a> {
    section: &'a [u8],
    at: usize,
}

/// Whether this is the header of another archive, not a section.
pub(crate) fn is_header(section: &[u8]) -> bool {
    HEADER_STARTS.iter().any(|start| section.starts_with(start))
}

/// Parses the CID. Returns it and its length in bytes. An error comes with its offset in the section.
pub(crate) fn read_cid(section: &[u8]) -> Result<(Cid, usize), (CarFault, usize)> {
    let mut parts = Parts { section, at: 0 };
    let cid = if section.starts_with(&V0_PREFIX) { parts.v0() } else { parts.v1() };
    cid.map(|cid| (cid, parts.at)).map_err(|fault| (fault, parts.at))
}

/// Bytes with a length prefix.
pub(crate) enum Framed {
    Header,
    /// With its total length.
    Section(u64),
}

/// Whether these bytes begin like an archive or a section.
pub(crate) fn framed(look: &[u8]) -> Option<Framed> {
    let mut varint = Varint::default();
    for (at, byte) in look.iter().enumerate() {
        let Some(section_bytes) = varint.push(*byte).ok()? else { continue };
        let content = look.get(at + 1..)?;
        if is_header(content) {
            return Some(Framed::Header);
        }
        let (cid, cid_bytes) = read_cid(content).ok()?;
        let data_bytes = section_bytes.checked_sub(cid_bytes as u64)?;
        let digest_bytes = u64::from(cid.hash().size());
        // An index with one table reads as an identity CID of zero bytes, which only an empty block has.
        let fits = if cid.hash().code() == IDENTITY { digest_bytes == data_bytes } else { digest_bytes > 0 };
        return fits.then_some(Framed::Section(section_bytes + at as u64 + 1));
    }
    None
}

/// The length of the complete section at the start of these bytes, if there is one.
pub(crate) fn whole_at(bytes: &[u8]) -> Option<usize> {
    match framed(bytes)? {
        Framed::Section(len) => usize::try_from(len).ok().filter(|len| *len <= bytes.len()),
        Framed::Header => None,
    }
}

impl<'a> Parts<'a> {
    fn v0(&mut self) -> Result<Cid, CarFault> {
        self.at = V0_PREFIX.len();
        let digest = self.digest(V0_DIGEST_BYTES)?;
        let hash = Multihash::wrap(SHA2_256, digest).map_err(|e| bad(format!("its multihash: {e}")))?;
        Cid::new(Version::V0, DAG_PB, hash).map_err(|e| bad(e.to_string()))
    }

    fn v1(&mut self) -> Result<Cid, CarFault> {
        let start = self.at;
        let version = self.varint("its version")?;
        if version != 1 {
            self.at = start;
            return Err(bad(format!("its version is {version}, not 0 (a bare sha2-256 multihash) or 1")));
        }
        let codec = self.varint("its codec")?;
        let code = self.varint("its hash function")?;
        let start = self.at;
        let digest_bytes = self.varint("its digest length")?;
        let len = match usize::try_from(digest_bytes) {
            Ok(len) if digest_bytes <= DIGEST_BYTES_MAX => len,
            _ => {
                self.at = start;
                return Err(bad(format!("its digest has {digest_bytes} bytes, more than {DIGEST_BYTES_MAX}")));
            }
        };
        let digest = self.digest(len)?;
        let hash = Multihash::wrap(code, digest).map_err(|e| bad(format!("its multihash: {e}")))?;
        Ok(Cid::new_v1(codec, hash))
    }

    fn varint(&mut self, part: &str) -> Result<u64, CarFault> {
        let mut varint = Varint::default();
        loop {
            let Some(byte) = self.section.get(self.at) else { return Err(self.too_short()) };
            match varint.push(*byte) {
                Ok(None) => self.at += 1,
                Ok(Some(value)) => {
                    self.at += 1;
                    return Ok(value);
                }
                Err(what) => return Err(bad(format!("{part} is not a valid varint: {what}"))),
            }
        }
    }

    fn digest(&mut self, len: usize) -> Result<&'a [u8], CarFault> {
        let Some(digest) = self.section.get(self.at..).and_then(|rest| rest.get(..len)) else {
            self.at = self.section.len();
            return Err(self.too_short());
        };
        self.at += len;
        Ok(digest)
    }

    fn too_short(&self) -> CarFault {
        CarFault::ShorterThanCid { section_bytes: self.section.len() as u64 }
    }
}

fn bad(what: String) -> CarFault {
    CarFault::BadCid { what }
}
