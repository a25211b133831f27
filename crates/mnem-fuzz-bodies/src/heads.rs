//! The heads file of a simple store.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use mnem_backend_simple::{OpenOptions, SimpleStore};
use mnem_storage::{
    Bytes, Cid, ErrorKind, OpHeadsStore as _, RAW, Store as _, WriteBatch,
    cid::multibase::{Base, encode},
    cid_of,
};

/// A store whose heads file is overwritten repeatedly.
struct Place {
    store: SimpleStore,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

thread_local! {
    static PLACE: Place = {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("store");
        let store = OpenOptions::new().create(true).open(&path).expect("create");
        let data = Bytes::from_static(b"a head");
        let head = cid_of(RAW, &data);
        store.commit(WriteBatch::new().put(head, data).update(head, [])).expect("commit");
        store.close().expect("close");
        let store = OpenOptions::new().read_only(true).open(&path).expect("open");
        Place { store, file: path.join("op_heads"), _folder: folder }
    };
}

/// The last line of a file that begins with these lines.
fn checksum_line(lines: &[u8]) -> String {
    let hex: String = cid_of(RAW, lines).hash().digest().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256 {hex}\n")
}

/// If the input begins with a `+`, the rest gets a matching checksum. An accepted file is one that a writer would have
/// written.
pub fn op_heads_file(data: &[u8]) {
    let text = match data.split_first() {
        Some((b'+', lines)) => [lines, checksum_line(lines).as_bytes()].concat(),
        _ => data.to_vec(),
    };
    PLACE.with(|place| {
        overwrite(&place.file, &text);
        match place.store.heads() {
            Ok(heads) => {
                let lines: String = heads.iter().map(|head| format!("{}\n", text_of(head))).collect();
                assert_eq!([lines.as_bytes(), checksum_line(lines.as_bytes()).as_bytes()].concat(), text);
                assert!(heads.is_sorted_by(|a, b| a < b), "heads out of order");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Damaged, "{error}"),
        }
    });
}

/// Writes without truncating the file first, because some file systems then wait for the medium.
fn overwrite(path: &Path, bytes: &[u8]) {
    let mut file = File::options().write(true).open(path).expect("open the file of the heads");
    file.write_all(bytes).expect("write");
    file.set_len(bytes.len() as u64).expect("cut off");
}

/// A head as the file spells it: like the name of a block's file.
fn text_of(cid: &Cid) -> String {
    encode(Base::Base32Lower, cid.to_bytes())
}
