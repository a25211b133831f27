//! Other formats, recognised by their first bytes: files mistaken for an archive, or data after one.

use std::fmt;

/// Bytes examined to recognise a format. A tar archive has its signature at byte 257.
pub(crate) const LOOK_BYTES: usize = 512;

/// Offset of the signature of a tar archive.
const TAR_MAGIC_AT: usize = 257;

/// Shorter input is not called text or zeros, because an archive that is cut off within its first bytes may consist of
/// either.
const SHORTEST_RUN: usize = 2;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A format other than CAR, recognised by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForeignFormat {
    /// Its name, with an article if it needs one.
    pub name: &'static str,
    /// What to do with a file of this format, in the imperative.
    pub advice: &'static str,
}

impl fmt::Display for ForeignFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const fn format(name: &'static str, advice: &'static str) -> ForeignFormat {
    ForeignFormat { name, advice }
}

/// Formats with a signature that no other format begins with.
const BINARY: [(&[u8], ForeignFormat); 30] = [
    (b"\x1f\x8b\x08", format("gzip data", "decompress it first: `gzip -d`")),
    (b"\x28\xb5\x2f\xfd", format("zstd data", "decompress it first: `zstd -d`")),
    (b"\xfd7zXZ\0", format("xz data", "decompress it first: `xz -d`")),
    (b"BZh", format("bzip2 data", "decompress it first: `bzip2 -d`")),
    (b"\x04\x22\x4d\x18", format("lz4 data", "decompress it first: `lz4 -d`")),
    (b"\x02\x21\x4c\x18", format("lz4 data", "decompress it first: `lz4 -d`")),
    (b"LZIP", format("lzip data", "decompress it first: `lzip -d`")),
    (b"\x1f\x9d", format("compress data", "decompress it first: `uncompress`")),
    (b"\xff\x06\0\0sNaPpY", format("snappy data", "decompress it first: `snzip -d`")),
    (b"PK\x03\x04", format("a zip file", "unpack it first: `unzip`")),
    (b"PK\x05\x06", format("an empty zip file", "get the archive from its source again")),
    (b"7z\xbc\xaf\x27\x1c", format("a 7-Zip file", "unpack it first: `7z x`")),
    (b"Rar!\x1a\x07", format("a RAR file", "unpack it first: `unrar x`")),
    (b"!<arch>\n", format("an ar archive", "unpack it first: `ar x`")),
    (b"%PDF-", format("a PDF document", "check the URL or the path of the archive")),
    (b"PACK\0\0\0", format("a git pack", "check the path of the archive: this is a git file")),
    (b"# v2 git bundle\n", format("a git bundle", "check the path of the archive: this is a git file")),
    (b"# v3 git bundle\n", format("a git bundle", "check the path of the archive: this is a git file")),
    (b"version https://git-lfs.github.com/spec/", format("a Git LFS pointer", "fetch the real file: `git lfs pull`")),
    (b"redb\x1a\x0a\xa9\x0d\x0a", format("a redb file", "check the path: this may be a store, not an archive")),
    (b"SQLite format 3\0", format("a SQLite database", "check the path of the archive")),
    (b"\x7fELF", format("a program (ELF)", "check the URL or the path of the archive")),
    (b"\x89PNG\r\n\x1a\n", format("a PNG picture", "check the URL or the path of the archive")),
    (b"\xff\xd8\xff", format("a JPEG picture", "check the URL or the path of the archive")),
    (b"GIF8", format("a GIF picture", "check the URL or the path of the archive")),
    (b"\xd9\xd9\xf7", format("self-described CBOR", "check the URL or the path of the archive")),
    (b"HTTP/", format("an HTTP response with its headers", "save the body alone: `curl` without `-i`")),
    (b"-----BEGIN ", format("PEM text", "decode or decrypt it first")),
    (b"\xff\xfe", format("UTF-16 text", CHECK_TEXT)),
    (b"\xfe\xff", format("UTF-16 text", CHECK_TEXT)),
];

const INDEX: ForeignFormat =
    format("the index of a CARv2, without its archive", "use the archive that the index belongs to");
const TAR: ForeignFormat = format("a tar archive", "unpack it first: `tar -xf`");
const ZEROS: ForeignFormat = format("zeros", "get the archive again: the file was allocated but never written");
const HTML: ForeignFormat =
    format("a web page (HTML)", "check the URL or the path: open it in a browser to read the page");
const XML: ForeignFormat = format("XML", "check the URL or the path: the file may hold a server's error");
const JSON: ForeignFormat = format("JSON", "check the URL or the path: the file may hold a server's error");
const TEXT: ForeignFormat = format("text", CHECK_TEXT);
const MARKED: ForeignFormat =
    format("a CAR archive after a byte order mark", "remove the mark: `tail -c +4 FILE`; a CAR archive is binary");
const NEWLINE: ForeignFormat = format("a newline", "remove it: a CAR archive is binary and ends with its last section");
const NEWLINES: ForeignFormat =
    format("newlines", "remove them: a CAR archive is binary and ends with its last section");

/// Bytes of no known format after an archive.
pub(crate) const UNKNOWN: ForeignFormat =
    format("bytes that are not a section", "get the archive from its source again");

const CHECK_TEXT: &str = "check the URL or the path: a CAR archive is binary";

/// The format of input that begins with these bytes and has no CAR header.
pub(crate) fn at_start(look: &[u8]) -> Option<ForeignFormat> {
    if look.len() >= SHORTEST_RUN && look.iter().all(|byte| *byte == 0) {
        return Some(ZEROS);
    }
    if is_index(look) {
        return Some(INDEX);
    }
    if let Some([_, rest @ ..]) = look.strip_prefix(BYTE_ORDER_MARK)
        && (rest.starts_with(b"\xa2\x65roots") || rest.starts_with(b"\xa1\x67version"))
    {
        return Some(MARKED);
    }
    known(look)
}

/// The format of the bytes after the last section. `look` is all of them if there are fewer than [`LOOK_BYTES`].
pub(crate) fn after_sections(look: &[u8]) -> Option<ForeignFormat> {
    let newlines = look.iter().all(|byte| matches!(byte, b'\r' | b'\n')) && look.len() < LOOK_BYTES;
    match look {
        [] => None,
        b"\n" | b"\r" | b"\r\n" => Some(NEWLINE),
        _ if newlines => Some(NEWLINES),
        _ => known(look),
    }
}

fn known(look: &[u8]) -> Option<ForeignFormat> {
    let binary = BINARY.iter().find(|(magic, _)| look.starts_with(magic)).map(|(_, format)| *format);
    binary.or_else(|| is_tar(look).then_some(TAR)).or_else(|| text(look))
}

/// Some tools write the index of a CARv2 to a separate file: its format number and a small number of tables.
fn is_index(look: &[u8]) -> bool {
    matches!(look, [0x80 | 0x81, 0x08, _, _, 0, 0, ..])
}

fn is_tar(look: &[u8]) -> bool {
    look.get(TAR_MAGIC_AT..).is_some_and(|rest| rest.starts_with(b"ustar"))
}

fn text(look: &[u8]) -> Option<ForeignFormat> {
    if look.len() < SHORTEST_RUN || !is_text(look) {
        return None;
    }
    let begins = look.strip_prefix(BYTE_ORDER_MARK).unwrap_or(look).trim_ascii_start();
    let has = |start: &str| begins.get(..start.len()).is_some_and(|b| b.eq_ignore_ascii_case(start.as_bytes()));
    Some(match begins.first() {
        Some(b'<') if ["<!doctype html", "<html", "<head", "<body"].into_iter().any(has) => HTML,
        Some(b'<') => XML,
        Some(b'{' | b'[') => JSON,
        _ => TEXT,
    })
}

/// Whether this is UTF-8 without control characters other than those that lay out text. The last character may be cut
/// off.
fn is_text(look: &[u8]) -> bool {
    let text = match std::str::from_utf8(look) {
        Ok(text) => text,
        Err(error) if error.error_len().is_some() => return false,
        Err(error) => match look.get(..error.valid_up_to()).map(std::str::from_utf8) {
            Some(Ok(text)) => text,
            _ => return false,
        },
    };
    !text.is_empty() && text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\x0c'))
}
