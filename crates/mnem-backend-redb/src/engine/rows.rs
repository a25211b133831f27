//! Rows of the table of blocks: how a batch is sorted, and how a write transaction inserts and removes rows.

use std::ops::Bound;

use mnem_store_traits::{Bytes, Cid, StoreError};
use redb::{CursorError, ReadableTable as _, StorageError, Table};

use crate::{
    engine::keys::Key,
    error::At,
    limits::{
        CURSOR_ROWS_MIN, REMOVE_LOOKS_SKIPPED_MAX, REMOVE_SCAN_BYTES_MAX, REMOVE_SCAN_KEYS_MIN, REMOVE_SCAN_ROWS,
    },
};

/// The table of blocks in a write transaction.
pub(crate) type ObjectsMut<'a> = Table<'a, &'static [u8], &'static [u8]>;

/// A block to store.
pub(crate) type Row = (Key, Bytes);

/// Sorts rows by key and removes duplicates. Sorted keys fill the pages of the tree better: the file takes 1.17 bytes
/// per byte stored, instead of 1.8.
pub(crate) fn sorted_rows(blocks: impl Iterator<Item = (Cid, Bytes)>) -> Vec<Row> {
    let mut rows: Vec<Row> = blocks.map(|(cid, data)| (Key::of(&cid), data)).collect();
    rows.sort_by_key(|(key, _)| *key);
    rows.dedup_by(|(key, _), (before, _)| key == before);
    rows
}

/// Inserts the absent ones of these rows, which must be sorted, each key once. Returns whether any were absent.
pub(crate) fn insert_absent(at: At<'_>, objects: &mut ObjectsMut<'_>, rows: &[Row]) -> Result<bool, StoreError> {
    let mut inserted = false;
    let mut rest = rows;
    while !rest.is_empty() {
        let run = absent_run(at, objects, rest)?;
        // If the first row is present, skip that one only.
        let (absent, after) = rest.split_at(run.max(1));
        rest = after;
        if run > 0 {
            insert_run(at, objects, absent)?;
            inserted = true;
        }
    }
    Ok(inserted)
}

/// How many of the first rows are absent and lie in one gap of the table.
fn absent_run(at: At<'_>, objects: &ObjectsMut<'_>, rows: &[Row]) -> Result<usize, StoreError> {
    let Some((first, _)) = rows.first() else { return Ok(0) };
    let mut cursor = objects.lower_bound(Bound::Included(&**first)).map_err(|error| at.redb(error))?;
    Ok(match cursor.next().map_err(|error| at.redb(error))? {
        Some((next, _)) => rows.partition_point(|(key, _)| &**key < next.value()),
        None => rows.len(),
    })
}

/// Inserts rows that lie in one gap of the table.
fn insert_run(at: At<'_>, objects: &mut ObjectsMut<'_>, rows: &[Row]) -> Result<(), StoreError> {
    let [(first, _), ..] = rows else { return Ok(()) };
    if rows.len() < CURSOR_ROWS_MIN {
        for (key, data) in rows {
            objects.insert(&**key, data.as_ref()).map_err(|error| at.redb(error))?;
        }
        return Ok(());
    }
    let mut cursor = objects.lower_bound_mut(Bound::Included(&**first)).map_err(|error| at.redb(error))?;
    for (key, data) in rows {
        match cursor.insert_before(&**key, data.as_ref()) {
            Ok(()) => {}
            Err(CursorError::Storage(error)) => return Err(at.redb(error)),
            // The gap was found a moment ago, so only a tree whose own keys are out of order can disagree.
            Err(error) => return Err(at.damaged(error)),
        }
    }
    cursor.close().map_err(|error| at.redb(error))
}

/// Removes the rows of these keys, which must ascend. Returns whether there were any.
///
/// Where many neighbouring rows go, a scan rewrites each page once and merges pages that are nearly empty. Elsewhere
/// each row is looked up.
pub(crate) fn remove_present(at: At<'_>, objects: &mut ObjectsMut<'_>, keys: &[Key]) -> Result<bool, StoreError> {
    let (mut removed, mut rest, mut skipped) = (false, keys, 1);
    while rest.len() >= REMOVE_SCAN_KEYS_MIN {
        let near = keys_near(at, objects, rest)?;
        let (together, after) = rest.split_at(near);
        if near >= REMOVE_SCAN_KEYS_MIN {
            removed |= remove_scanning(at, objects, together)?;
            (rest, skipped) = (after, 1);
        } else {
            // Reading ahead and finding few keys costs as much as several removals, so wait longer before the next
            // attempt.
            let (alone, after) = rest.split_at(rest.len().min(skipped));
            removed |= remove_each(at, objects, alone)?;
            (rest, skipped) = (after, REMOVE_LOOKS_SKIPPED_MAX.min(skipped * 2));
        }
    }
    Ok(remove_each(at, objects, rest)? || removed)
}

/// How many of the first keys belong to the next rows of the table, or lie between them.
///
/// All the rows that it reads may stay, so it stops after a bounded number of bytes, and at a page that cannot be read.
fn keys_near(at: At<'_>, objects: &ObjectsMut<'_>, keys: &[Key]) -> Result<usize, StoreError> {
    let Some(first) = keys.first() else { return Ok(0) };
    let mut rows = objects.range::<&[u8]>(&**first..).map_err(|error| at.redb(error))?;
    let (mut looked, mut bytes) = (0, 0);
    loop {
        let (row, value) = match rows.next() {
            None => return Ok(keys.len()),
            Some(Err(StorageError::Corrupted(_))) => return Ok(1),
            Some(row) => row.map_err(|error| at.redb(error))?,
        };
        (looked, bytes) = (looked + 1, bytes + value.value().len());
        if looked == REMOVE_SCAN_ROWS || bytes > REMOVE_SCAN_BYTES_MAX {
            return Ok(keys.partition_point(|key| &**key <= row.value()));
        }
    }
}

fn remove_scanning(at: At<'_>, objects: &mut ObjectsMut<'_>, keys: &[Key]) -> Result<bool, StoreError> {
    let [first, .., last] = keys else { return remove_each(at, objects, keys) };
    let (mut removed, mut rest) = (false, keys);
    let scanned = objects.retain_in::<&[u8], _>(&**first..=&**last, |row, _| {
        while rest.split_first().is_some_and(|(key, _)| &**key < row) {
            rest = rest.get(1..).unwrap_or_default();
        }
        let stays = rest.first().is_none_or(|key| &**key != row);
        removed |= !stays;
        stays
    });
    scanned.map_err(|error| at.redb(error))?;
    Ok(removed)
}

fn remove_each(at: At<'_>, objects: &mut ObjectsMut<'_>, keys: &[Key]) -> Result<bool, StoreError> {
    let mut removed = false;
    for key in keys {
        removed |= objects.remove(&**key).map_err(|error| at.redb(error))?.is_some();
    }
    Ok(removed)
}
