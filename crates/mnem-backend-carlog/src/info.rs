//! Counts and sizes.

use mnem_store_traits::{
    StoreError,
    driver::{StoreInfo, TableInfo},
};

use crate::{
    engine::{place::Place, walk::Window},
    error::at,
    handle::{Handle, Segment},
};

pub(crate) fn info(handle: &Handle) -> Result<StoreInfo, StoreError> {
    handle.begin_read("count")?;
    let segments = handle.view().segments.clone();
    let mut info = StoreInfo::default();
    for Segment { number, file, end } in segments {
        let path = handle.layout.segment(number);
        info.file_bytes += file.file_bytes().map_err(at("look at", &path))?;
        let mut window = Window::new(&*file, end);
        let first = window.read(0, 1).map_err(at("read", &path))?.first().copied();
        let mut offset = first.map_or(end, |bytes| u64::from(bytes) + 1);
        while offset < end {
            let Some(section) = window.section(offset).map_err(at("read", &path))? else { break };
            let is_block =
                handle.view().index.contains(handle.keys.fingerprint(&section.cid), Place::new(number, &section));
            if is_block {
                info.blocks += 1;
                info.block_bytes += section.data_bytes;
            } else {
                info.free_bytes += section.end() - section.offset;
            }
            offset = section.end();
        }
    }
    let view = handle.view();
    info.heads = view.heads.len() as u64;
    let tables = view.tables.iter().map(|(name, rows)| {
        let keys = rows.keys().map(|key| key.len() as u64).sum::<u64>();
        let values = rows.values().map(|value| value.bytes).sum::<u64>();
        TableInfo { name: name.clone(), keys: rows.len() as u64, bytes: keys + values }
    });
    info.tables = tables.collect();
    info.allocated_bytes = info.file_bytes;
    Ok(info)
}
