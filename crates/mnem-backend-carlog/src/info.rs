//! Counts and sizes.

use std::collections::{BTreeMap, HashSet};

use mnem_store_traits::{
    StoreError,
    driver::{StoreInfo, TableInfo},
};

use crate::{
    engine::{descriptor, place::Place, sections::Sections},
    error::at,
    handle::Handle,
    view::Segment,
};

/// Counts from a pass over the log.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) info: StoreInfo,
    /// The number of commits, and the bytes of their records.
    pub(crate) commits: u64,
    pub(crate) record_bytes: u64,
    pub(crate) log_bytes: u64,
}

pub(crate) fn info(handle: &Handle) -> Result<StoreInfo, StoreError> {
    handle.begin_read("count")?;
    Ok(survey(handle)?.info)
}

pub(crate) fn survey(handle: &Handle) -> Result<Survey, StoreError> {
    let mut tried = None;
    loop {
        match survey_log(handle) {
            Ok(survey) => return Ok(survey),
            Err(error) => handle.find_other_log(&mut tried, error)?,
        }
    }
}

fn survey_log(handle: &Handle) -> Result<Survey, StoreError> {
    let mut info = StoreInfo::default();
    info.file_bytes = file_bytes(handle)?;
    info.allocated_bytes = info.file_bytes;
    let (segments, epoch, values) = {
        let view = handle.view();
        info.heads = view.heads.len() as u64;
        info.tables = view
            .tables
            .iter()
            .map(|(name, rows)| {
                let keys = rows.keys().map(|key| key.len() as u64).sum::<u64>();
                let values = rows.values().map(|value| value.bytes).sum::<u64>();
                TableInfo { name: name.clone(), keys: rows.len() as u64, bytes: keys + values }
            })
            .collect();
        let values = view.tables.values().flat_map(BTreeMap::values).map(|value| value.place.to_mark());
        let values: HashSet<Place> = values.collect();
        (view.segments_to_end(), view.epoch.clone(), values)
    };
    let log_bytes = segments.iter().map(|segment| segment.end).sum::<u64>();
    let begins =
        segments.iter().filter(|segment| segment.end > 0).count() as u64 * descriptor::begin_bytes(&handle.keys);
    let mut section_bytes = 0;
    let mut sections = Sections::new(&handle.keys, segments);
    while let Some((segment, sections)) = sections.next_page(&handle.keys, &handle.layout)? {
        for (section, is_block) in sections.iter().zip(handle.are_blocks(&epoch, segment, &sections)?) {
            let bytes = section.end() - section.offset;
            section_bytes += bytes;
            if is_block {
                info.blocks += 1;
                info.block_bytes += section.data_bytes;
            } else if !values.contains(&Place::new(segment, section).to_mark()) {
                info.free_bytes += bytes;
            }
        }
    }
    let (commits, record_bytes) = (sections.commits(), log_bytes.saturating_sub(begins + section_bytes));
    Ok(Survey { info, commits, record_bytes, log_bytes })
}

/// The length of the log and of its index as the writer knows them, without looking at the files.
pub(crate) fn written_bytes(handle: &Handle) -> u64 {
    let view = handle.view();
    let log = view.segments_to_end().iter().map(|segment| segment.end).sum::<u64>();
    log + view.index.runs.iter().map(|run| run.file_bytes()).sum::<u64>()
}

/// The length of the log and of its index.
pub(crate) fn file_bytes(handle: &Handle) -> Result<u64, StoreError> {
    let (segments, runs) = {
        let view = handle.view();
        (view.segments.clone(), view.index.runs.clone())
    };
    let log = segments
        .iter()
        .map(|Segment { number, file, .. }| file.file_bytes().map_err(at("look at", &handle.layout.segment(*number))));
    let log = log.sum::<Result<u64, StoreError>>()?;
    Ok(log + runs.iter().map(|run| run.file_bytes()).sum::<u64>())
}
