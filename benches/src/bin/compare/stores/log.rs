//! The physical limit of a durable store: an append-only file with an index in memory, and one `fdatasync` for all
//! waiting callers.
//!
//! It lacks what a database is for: opening reads the whole file, the index must fit into memory, and space is never
//! reclaimed.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read},
    ops::Bound,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Mutex, RwLock},
};

use mnem_store_traits::{Bytes, StoreError};

use super::kv::{Kv, failed};

#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    content: RwLock<Content>,
    /// The length up to which the file is durable. The holder syncs for all who wrote before.
    synced: Mutex<u64>,
}

#[derive(Debug, Default)]
struct Content {
    /// Maps a key to the offset and length of its value.
    index: BTreeMap<Vec<u8>, (u64, usize)>,
    heads: Vec<u8>,
    end: u64,
}

impl Content {
    fn add(&mut self, key: Vec<u8>, value: &[u8]) {
        let at = self.end + HEADER as u64 + key.len() as u64;
        self.end = at + value.len() as u64;
        if key.is_empty() {
            self.heads = value.to_vec();
        } else {
            self.index.insert(key, (at, value.len()));
        }
    }
}

/// The lengths of key and value, 4 bytes each. The empty key is that of the heads.
const HEADER: usize = 8;

fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    out.extend_from_slice(&(key.len() as u32).to_le_bytes());
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

impl Log {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).append(true).create(true).open(path)?;
        let mut content = Content::default();
        let mut reader = BufReader::new(&file);
        let mut header = [0; HEADER];
        // A record that was cut off by the end of its process ends the log.
        while reader.read_exact(&mut header).is_ok() {
            let [a, b, c, d, e, f, g, h] = header;
            let mut key = vec![0; u32::from_le_bytes([a, b, c, d]) as usize];
            let mut value = vec![0; u32::from_le_bytes([e, f, g, h]) as usize];
            if reader.read_exact(&mut key).and_then(|()| reader.read_exact(&mut value)).is_err() {
                break;
            }
            content.add(key, &value);
        }
        file.set_len(content.end)?;
        let synced = Mutex::new(0);
        Ok(Self { file, content: RwLock::new(content), synced })
    }

    fn append(&self, puts: &[(Vec<u8>, Bytes)], heads: Option<&[u8]>) -> io::Result<u64> {
        let mut bytes = Vec::new();
        puts.iter().for_each(|(key, value)| record(&mut bytes, key, value));
        heads.iter().for_each(|heads| record(&mut bytes, &[], heads));
        let mut content = self.content.write().unwrap_or_else(|e| e.into_inner());
        io::Write::write_all(&mut &self.file, &bytes)?;
        puts.iter().for_each(|(key, value)| content.add(key.clone(), value));
        heads.iter().for_each(|heads| content.add(Vec::new(), heads));
        Ok(content.end)
    }

    fn sync(&self, end: u64) -> io::Result<()> {
        let mut synced = self.synced.lock().unwrap_or_else(|e| e.into_inner());
        if *synced < end {
            let written = self.content.read().unwrap_or_else(|e| e.into_inner()).end;
            self.file.sync_data()?;
            *synced = written;
        }
        Ok(())
    }
}

impl Kv for Log {
    const NAME: &'static str = "log";

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let place = self.content.read().unwrap_or_else(|e| e.into_inner()).index.get(key).copied();
        let Some((at, length)) = place else { return Ok(None) };
        let mut value = vec![0; length];
        self.file.read_exact_at(&mut value, at).map_err(failed(Self::NAME, "read"))?;
        Ok(Some(value.into()))
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.content.read().unwrap_or_else(|e| e.into_inner()).index.contains_key(key))
    }

    fn write(&self, puts: &[(Vec<u8>, Bytes)], heads: Option<&[u8]>) -> Result<(), StoreError> {
        self.append(puts, heads).and_then(|end| self.sync(end)).map_err(failed(Self::NAME, "append"))
    }

    fn delete(&self, key: &[u8]) -> Result<(), StoreError> {
        // Until it is reopened.
        self.content.write().unwrap_or_else(|e| e.into_inner()).index.remove(key);
        Ok(())
    }

    fn heads(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self.content.read().unwrap_or_else(|e| e.into_inner()).heads.clone())
    }

    fn keys(&self, after: Option<&[u8]>, count: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let content = self.content.read().unwrap_or_else(|e| e.into_inner());
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = content.index.range::<[u8], _>((start, Bound::Unbounded));
        Ok(range.map(|(key, _)| key.clone()).take(count).collect())
    }
}
