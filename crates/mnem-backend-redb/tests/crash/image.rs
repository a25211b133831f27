//! The bytes of a disk, in pages that copies share: a copy costs one pointer per page.

use std::sync::{Arc, LazyLock};

const PAGE_BYTES: usize = 4096;

type Page = [u8; PAGE_BYTES];

static ZEROS: LazyLock<Arc<Page>> = LazyLock::new(|| Arc::new([0; PAGE_BYTES]));

/// The content of a disk. Bytes that were never written, or truncated, read as zeros.
#[derive(Clone, Default)]
pub(super) struct Image {
    pages: Vec<Arc<Page>>,
    len: usize,
}

impl Image {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Reads bytes. Returns whether all of them exist.
    pub(super) fn read(&self, offset: usize, out: &mut [u8]) -> bool {
        if offset.checked_add(out.len()).is_none_or(|end| end > self.len) {
            return false;
        }
        let mut read = 0;
        while read < out.len() {
            let within = (offset + read) % PAGE_BYTES;
            let bytes = (PAGE_BYTES - within).min(out.len() - read);
            let page = &self.pages[(offset + read) / PAGE_BYTES];
            out[read..read + bytes].copy_from_slice(&page[within..within + bytes]);
            read += bytes;
        }
        true
    }

    /// Writes bytes. A write past the end extends the disk.
    pub(super) fn write(&mut self, offset: usize, data: &[u8]) {
        self.set_len(self.len.max(offset + data.len()));
        let mut written = 0;
        while written < data.len() {
            let within = (offset + written) % PAGE_BYTES;
            let bytes = (PAGE_BYTES - within).min(data.len() - written);
            let page = &mut self.pages[(offset + written) / PAGE_BYTES];
            Arc::make_mut(page)[within..within + bytes].copy_from_slice(&data[written..written + bytes]);
            written += bytes;
        }
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.pages.resize(len.div_ceil(PAGE_BYTES), Arc::clone(&ZEROS));
        if len < self.len && !len.is_multiple_of(PAGE_BYTES) {
            let last = self.pages.last_mut().expect("the page that the end is in");
            Arc::make_mut(last)[len % PAGE_BYTES..].fill(0);
        }
        self.len = len;
    }
}

#[test]
fn an_image_reads_as_what_was_written_to_it() {
    let mut image = Image::default();
    let mut bytes = Vec::new();
    let mut state = 7;
    for _ in 0..2_000 {
        let at = crate::support::next(&mut state) as usize % 30_000;
        if crate::support::next(&mut state).is_multiple_of(8) {
            image.set_len(at);
            bytes.resize(at, 0);
            continue;
        }
        let data = vec![state as u8; crate::support::next(&mut state) as usize % 9_000];
        let copy = image.clone();
        image.write(at, &data);
        assert_eq!(copy.len(), bytes.len(), "a copy does not change");
        bytes.resize(bytes.len().max(at + data.len()), 0);
        bytes[at..at + data.len()].copy_from_slice(&data);
        let mut read = vec![1; bytes.len()];
        assert!(image.len() == bytes.len() && image.read(0, &mut read) && read == bytes);
        assert!(!image.read(1, &mut read), "one byte too many");
    }
}
