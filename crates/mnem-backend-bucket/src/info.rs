//! Counts and sizes.

use mnem_store_traits::{
    StoreError,
    driver::{StoreInfo, TableInfo},
};

use crate::handle::Handle;

pub(crate) fn info(handle: &Handle) -> Result<StoreInfo, StoreError> {
    let format_bytes = handle.format.encode().len() as u64;
    let state = handle.current("count")?;
    let mut info = StoreInfo::default();
    info.blocks = state.blocks.len() as u64;
    info.block_bytes = state.blocks.bytes();
    info.heads = state.heads.len() as u64;
    info.tables = state
        .tables
        .iter()
        .map(|(name, rows)| {
            let bytes = rows.iter().map(|(key, value)| key.len() as u64 + value.place.bytes).sum();
            TableInfo { name: name.clone(), keys: rows.len() as u64, bytes }
        })
        .collect();
    info.file_bytes = state.bytes + format_bytes;
    info.allocated_bytes = info.file_bytes;
    Ok(info)
}
