//! Loads a whole index in format 2: one thread reads it, another compares it with its CID, which takes as long.

use std::{
    panic,
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

use mnem_store_traits::{Bytes, StoreError};

use crate::{
    KnnEdge, NodeId,
    limits::{CHUNKS_IN_ONE_THREAD, CHUNKS_WAITING},
    packed::Parts,
    reader::Judge,
};

/// All edges, verified against the CID.
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
    thread::scope(|scope| {
        let judge = thread::Builder::new().spawn_scoped(scope, move || verdict(parts, ids, receiver));
        // The system cannot start a thread.
        let Ok(judge) = judge else { return alone(parts, ids, edges) };
        let read = (0..parts.manifest.chunks.len()).try_for_each(|number| {
            let bytes = parts.chunk_bytes(number)?;
            // If the verifier has failed, the receiver is gone, and its error is returned at the end.
            let _ = sender.send((number, bytes.clone()));
            parts.each_edge(number, &bytes, ids, |edge| {
                edges.push(edge);
                Ok(())
            })
        });
        drop(sender);
        let judged = judge.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        // A read error comes first, since it is the cause of the verifier's error.
        read.and(judged)
    })
}

fn verdict(parts: Parts<'_>, ids: &[NodeId], chunks: Receiver<(usize, Bytes)>) -> Result<(), StoreError> {
    let header = &parts.manifest.header;
    let mut judge = Judge::new(header);
    for (number, bytes) in chunks {
        parts.each_edge(number, &bytes, ids, |edge| judge.edge(parts.cid, &edge))?;
    }
    judge.end(parts.cid, header)
}
