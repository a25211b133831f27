//! Counts and sizes.

use std::collections::{BTreeMap, HashSet};

use mnem_store_traits::{
    StoreError,
    driver::{StoreInfo, TableInfo},
};

use crate::{
    engine::{place::Place, sections::Sections},
    error::at,
    handle::Handle,
    view::Segment,
};

pub(crate) fn info(handle: &Handle) -> Result<StoreInfo, StoreError> {
    handle.begin_read("count")?;
    let segments = handle.view().segments_to_end();
    let mut info = StoreInfo::default();
    for Segment { number, file, .. } in &segments {
        info.file_bytes += file.file_bytes().map_err(at("look at", &handle.layout.segment(*number)))?;
    }
    let values: HashSet<Place> = {
        let view = handle.view();
        view.tables.values().flat_map(BTreeMap::values).map(|value| value.place.to_mark()).collect()
    };
    let mut sections = Sections::new(&handle.keys, segments);
    while let Some((segment, sections)) = sections.next_page(&handle.keys, &handle.layout)? {
        for (section, is_block) in sections.iter().zip(handle.are_blocks(segment, &sections)?) {
            if is_block {
                info.blocks += 1;
                info.block_bytes += section.data_bytes;
            } else if !values.contains(&Place::new(segment, section).to_mark()) {
                info.free_bytes += section.end() - section.offset;
            }
        }
    }
    let view = handle.view();
    info.file_bytes += view.index.runs.iter().map(|run| run.file_bytes()).sum::<u64>();
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
