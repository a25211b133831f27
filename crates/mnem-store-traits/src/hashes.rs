//! The hash functions that this build computes. Nothing else hashes blocks.

use std::fmt;

use cid::{Cid, multihash::Multihash};
use sha2::Digest as _;

const IDENTITY: u64 = 0x00;
const SHA2_256: u64 = 0x12;
const SHA2_512: u64 = 0x13;
const BLAKE3: u64 = 0x1e;
const BLAKE2B_256: u64 = 0xb220;

/// A hash function that this build computes: blocks under it are checked when they are written and when they are read.
#[derive(Clone, Copy)]
pub struct HashFunction {
    code: u64,
    name: &'static str,
    digest_bytes: Option<u8>,
    always: bool,
    multihash: fn(&[u8]) -> Option<Multihash<64>>,
}

const SUPPORTED: &[HashFunction] = &[
    HashFunction {
        code: SHA2_256,
        name: "sha2-256",
        digest_bytes: Some(32),
        always: true,
        multihash: |data| Some(sha2_256(data)),
    },
    HashFunction {
        code: BLAKE3,
        name: "blake3",
        digest_bytes: Some(32),
        always: true,
        multihash: |data| wrap(BLAKE3, blake3::hash(data).as_bytes()),
    },
    HashFunction {
        code: IDENTITY,
        name: "identity",
        digest_bytes: None,
        always: true,
        multihash: |data| wrap(IDENTITY, data),
    },
    HashFunction {
        code: SHA2_512,
        name: "sha2-512",
        digest_bytes: Some(64),
        always: false,
        multihash: |data| wrap(SHA2_512, &sha2::Sha512::digest(data)),
    },
    #[cfg(feature = "blake2b")]
    HashFunction {
        code: BLAKE2B_256,
        name: "blake2b-256",
        digest_bytes: Some(32),
        always: false,
        multihash: |data| wrap(BLAKE2B_256, blake2b_simd::Params::new().hash_length(32).hash(data).as_bytes()),
    },
];

/// The hash functions that this build computes, those of every build first.
///
/// Every build has sha2-256 and blake3 with 32 bytes, and identity. This one may have more: sha2-512 and, with the
/// feature `blake2b`, blake2b-256. Later versions may add further functions.
pub fn supported_hashes() -> &'static [HashFunction] {
    SUPPORTED
}

impl HashFunction {
    /// Its multihash code.
    pub fn code(&self) -> u64 {
        self.code
    }

    /// Its name in the multicodec table.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The length of its digest in bytes. A CID with a shorter or longer digest is not checked. `None`: any length.
    pub fn digest_bytes(&self) -> Option<u8> {
        self.digest_bytes
    }

    /// Whether every build of this crate has it, and every store accepts blocks under it.
    pub fn is_in_every_build(&self) -> bool {
        self.always
    }

    /// The multihash of `data`. `None` for more than 64 bytes under identity: no CID can hold them.
    pub fn multihash(&self, data: &[u8]) -> Option<Multihash<64>> {
        (self.multihash)(data)
    }
}

impl fmt::Debug for HashFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashFunction").field("code", &self.code).field("name", &self.name).finish_non_exhaustive()
    }
}

/// The function that `cid` names, if this build computes it and the digest is whole.
pub(crate) fn function_of(cid: &Cid) -> Option<&'static HashFunction> {
    let hash = cid.hash();
    let is_whole = |function: &HashFunction| function.digest_bytes.is_none_or(|bytes| bytes == hash.size());
    SUPPORTED.iter().find(|function| function.code == hash.code() && is_whole(function))
}

pub(crate) fn sha2_256(data: &[u8]) -> Multihash<64> {
    match wrap(SHA2_256, &sha2::Sha256::digest(data)) {
        Some(hash) => hash,
        None => unreachable!("32 bytes fit into the 64 of a multihash"),
    }
}

fn wrap(code: u64, digest: &[u8]) -> Option<Multihash<64>> {
    Multihash::wrap(code, digest).ok()
}

/// Prints which part of a multihash is not supported, and what is.
pub(crate) struct Unsupported {
    pub(crate) code: u64,
    pub(crate) digest_bytes: u8,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, digest_bytes } = self;
        write!(f, "hash function 0x{code:x} with a digest of {digest_bytes} bytes is not supported (")?;
        for (n, function) in SUPPORTED.iter().enumerate() {
            let separator = if n == 0 { "" } else { ", " };
            match function.digest_bytes {
                Some(bytes) => write!(f, "{separator}{} with {bytes} bytes", function.name)?,
                None => write!(f, "{separator}{}", function.name)?,
            }
        }
        f.write_str(" are")?;
        if *code == BLAKE2B_256 && cfg!(not(feature = "blake2b")) {
            f.write_str("; feature `blake2b` adds blake2b-256")?;
        }
        f.write_str(")")
    }
}
