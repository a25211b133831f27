//! A compact list of CIDs.

use std::{
    io::{BufRead as _, BufReader, Read},
    path::Path,
};

use mnem_storage::Cid;

use crate::{
    cid_arg,
    error::{Failure, Result},
    file_arg,
    limits::CID_LINE_BYTES_MAX,
};

const LINE_HINT: &str = "give one full CID per line, as `mnem-store ls` prints them";

/// CIDs in insertion order, in binary form: 36 bytes for most.
#[derive(Debug, Default)]
pub(crate) struct CidList {
    bytes: Vec<u8>,
}

impl CidList {
    /// Reads one CID per line from standard input. Skips empty lines.
    pub(crate) fn from_standard_input(command: &str) -> Result<Self> {
        let file = Path::new("-");
        Self::from_lines(file_arg::open(file, "CIDs", command)?)
    }

    fn from_lines(input: impl Read) -> Result<Self> {
        let file = Path::new("-");
        let mut reader = BufReader::new(input);
        let mut list = Self::default();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = reader.by_ref().take(CID_LINE_BYTES_MAX).read_until(b'\n', &mut line);
            let read =
                read.map_err(|source| Failure::Io { what: format!("read {}", file_arg::named(file)), source })?;
            if read == 0 {
                break;
            }
            let text = String::from_utf8_lossy(line.trim_ascii());
            if text.is_empty() {
                continue;
            }
            let cid = cid_arg::parse(&text).map_err(|failure| Failure::Line {
                file: file.to_owned(),
                line: number,
                why: failure.to_string(),
                hint: LINE_HINT,
            })?;
            list.push(&cid);
        }
        Ok(list)
    }

    pub(crate) fn push(&mut self, cid: &Cid) {
        // Writing to a vector cannot fail.
        let _ = cid.write_bytes(&mut self.bytes);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Cid> + '_ {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || Cid::read_bytes(&mut rest).ok())
    }
}

impl FromIterator<Cid> for CidList {
    fn from_iter<T: IntoIterator<Item = Cid>>(cids: T) -> Self {
        let mut list = Self::default();
        cids.into_iter().for_each(|cid| list.push(&cid));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "bafyreic5uqrsiks2mgd2qtk2u37ewgr3w5egu2h2gd4cluffkn6ttytbpe";
    const V0: &str = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG";

    #[test]
    fn cids_come_back_in_their_order() {
        let list = CidList::from_lines(format!("{V1}\r\n\n  {V0}\n{V1}").as_bytes()).expect("CIDs");
        assert_eq!(list.iter().map(|cid| cid.to_string()).collect::<Vec<_>>(), [V1, V0, V1]);
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number() {
        for text in [format!("{V1}\n{}\n", &V1[..20]), format!("{V1}\n{}\n", "b".repeat(10_000))] {
            let failed = CidList::from_lines(text.as_bytes());
            assert!(matches!(failed, Err(Failure::Line { line: 2, .. })), "{failed:?}");
        }
    }
}
