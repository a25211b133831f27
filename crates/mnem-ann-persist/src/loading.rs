//! A whole index in format 2: read by one thread, and compared with its CID by another, which takes as long.

use std::{
    panic,
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

use mnem_store_traits::{Cid, StoreError};

use crate::{
    IndexHeader, KnnEdge, NodeId,
    limits::{CHUNKS_IN_ONE_THREAD, CHUNKS_WAITING},
    packed::Parts,
    reader::Judge,
};

/// All edges, which are those of the CID.
pub(crate) fn edges(parts: Parts<'_>) -> Result<Vec<KnnEdge>, StoreError> {
    let ids = parts.ids()?;
    let mut edges = Vec::with_capacity(parts.edges_max());
    if parts.manifest.chunks.len() <= CHUNKS_IN_ONE_THREAD {
        alone(parts, &ids, &mut edges)?;
    } else {
        with_a_judge(parts, &ids, &mut edges)?;
    }
    Ok(edges)
}

fn alone(parts: Parts<'_>, ids: &[NodeId], edges: &mut Vec<KnnEdge>) -> Result<(), StoreError> {
    let header = &parts.manifest.header;
    let mut judge = Judge::new(header);
    for number in 0..parts.manifest.chunks.len() {
        let before = edges.len();
        parts.edges_of(number, ids, edges)?;
        edges.iter().skip(before).try_for_each(|edge| judge.edge(parts.cid, edge))?;
    }
    judge.end(parts.cid, header)
}

fn with_a_judge(parts: Parts<'_>, ids: &[NodeId], edges: &mut Vec<KnnEdge>) -> Result<(), StoreError> {
    let (sender, receiver) = sync_channel(CHUNKS_WAITING);
    let (cid, header) = (parts.cid, &parts.manifest.header);
    thread::scope(|scope| {
        let judge = thread::Builder::new().spawn_scoped(scope, move || verdict(cid, header, receiver));
        // A system that has no thread to give.
        let Ok(judge) = judge else { return alone(parts, ids, edges) };
        let read = (0..parts.manifest.chunks.len()).try_for_each(|number| {
            let mut chunk = Vec::new();
            parts.edges_of(number, ids, &mut chunk)?;
            edges.extend_from_slice(&chunk);
            // A judge who has seen enough is no longer there, and says so at the end.
            let _ = sender.send(chunk);
            Ok(())
        });
        drop(sender);
        let judged = judge.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        // What could not be read is why the verdict is bad.
        read.and(judged)
    })
}

fn verdict(cid: &Cid, header: &IndexHeader, chunks: Receiver<Vec<KnnEdge>>) -> Result<(), StoreError> {
    let mut judge = Judge::new(header);
    for chunk in chunks {
        chunk.iter().try_for_each(|edge| judge.edge(cid, edge))?;
    }
    judge.end(cid, header)
}
