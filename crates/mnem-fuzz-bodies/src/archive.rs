//! Archives, without a store.

use mnem_car::{CarError, CarFault, Reader, Section, SectionOffsets, Writer};

/// Small, so that a fuzzer's inputs reach this limit.
const BLOCK_BYTES_MAX: u64 = 64 * 1024;

/// The items read, and the fault with its offset.
type Read<T> = (Vec<T>, Option<(CarFault, u64)>);

/// Reading blocks and reading offsets finds the same sections at the same places, with the same fault. A CARv1 that is
/// accepted is the only encoding of its content.
pub fn car_read(data: &[u8]) {
    for allow_padding in [false, true] {
        let (blocks, fault): Read<Section> = read(data, allow_padding, Reader::next_section);
        let (places, again): Read<SectionOffsets> = read(data, allow_padding, Reader::next_offsets);
        assert_eq!(fault, again, "two readings, two faults");
        assert!(blocks.iter().map(Section::offsets).eq(places), "two readings, two lists of sections");
        for block in &blocks {
            let (start, end) = (block.data_offset as usize, block.offsets().end() as usize);
            assert_eq!(data.get(start..end), Some(&block.data[..]), "other bytes than at its place");
        }
        write_again(data, &blocks);
    }
}

fn read<'a, T>(
    data: &'a [u8],
    allow_padding: bool,
    next: impl Fn(&mut Reader<&'a [u8]>) -> Result<Option<T>, CarError>,
) -> Read<T> {
    let mut found = Vec::new();
    let result = Reader::new(data, BLOCK_BYTES_MAX).and_then(|reader| {
        let mut reader = reader.allow_padding(allow_padding);
        while let Some(section) = next(&mut reader)? {
            found.push(section);
        }
        Ok(())
    });
    match result {
        Ok(()) => (found, None),
        Err(CarError::Fault { fault, section_offset, offset, .. }) => {
            assert!(section_offset <= offset && offset <= data.len() as u64, "an offset past the end");
            (found, Some((fault, offset)))
        }
        Err(other) => panic!("memory does not fail: {other}"),
    }
}

fn write_again(data: &[u8], blocks: &[Section]) {
    let Ok(reader) = Reader::new(data, BLOCK_BYTES_MAX) else { return };
    let mut writer = Writer::new(Vec::new(), reader.roots()).expect("roots that were read");
    for block in blocks {
        writer.write(&block.cid, &block.data).expect("a block that was read");
    }
    let written = writer.finish().expect("an archive");
    if reader.version() == 1 {
        assert!(data.starts_with(&written), "another encoding was taken");
    }
    assert_eq!(read(&written, false, Reader::next_offsets).0.len(), blocks.len());
}
