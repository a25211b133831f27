//! The workloads on the in-tree backends, and the physical limit of a durable write.

use std::{fs::File, io::Write, sync::Arc, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mnem_benches::{Blocks, commit, enumerate, get_all, has_all, single_puts};
use mnem_storage::{OpenOptions, Store};
use mnem_store_traits::{MemoryStore, StoreError};
use tempfile::TempDir;

const BLOCK_BYTES: usize = 300;
const WARM_BLOCKS: usize = 10_000;

struct Subject {
    name: &'static str,
    store: Arc<dyn Store>,
    _folder: Option<TempDir>,
}

fn on_disk(name: &'static str, backend: &'static str) -> Result<Subject, StoreError> {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("store");
    let store = OpenOptions::new().create(true).backend(backend).open(&path)?;
    Ok(Subject { name, store, _folder: Some(folder) })
}

fn subjects() -> Result<Vec<Subject>, StoreError> {
    let memory = Subject { name: "memory", store: Arc::new(MemoryStore::new()), _folder: None };
    Ok(vec![memory, on_disk("redb", "redb")?, on_disk("simple", "simple")?])
}

/// The cost of a durable write without a store: append and `fdatasync`.
fn raw_append(c: &mut Criterion) {
    let folder = TempDir::new().expect("a temporary folder");
    let mut file = File::create(folder.path().join("log")).expect("a file");
    let mut blocks = Blocks::new(1, BLOCK_BYTES);
    c.benchmark_group("durable put").bench_function("limit: append + fdatasync", |b| {
        b.iter(|| {
            let (_, data) = blocks.next().expect("endless");
            file.write_all(&data).expect("append");
            file.sync_data().expect("sync");
        });
    });
}

fn writes(c: &mut Criterion) {
    raw_append(c);
    for subject in subjects().expect("stores open") {
        let mut blocks = Blocks::new(2, BLOCK_BYTES);
        c.benchmark_group("durable put").bench_function(subject.name, |b| {
            b.iter_custom(|count| {
                let times = single_puts(&*subject.store, &mut blocks, count as usize).expect("puts that read back");
                times.total()
            });
        });
        let mut group = c.benchmark_group("commit");
        for count in [5, 50, 500] {
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::new(subject.name, count), |b| {
                b.iter_custom(|times| {
                    (0..times).map(|_| commit(&*subject.store, &mut blocks, count).expect("a commit that lands")).sum()
                });
            });
        }
    }
}

fn reads(c: &mut Criterion) {
    let known: Vec<_> = Blocks::new(3, BLOCK_BYTES).take(WARM_BLOCKS).collect();
    let absent: Vec<_> = Blocks::new(4, BLOCK_BYTES).take(WARM_BLOCKS).collect();
    for subject in subjects().expect("stores open") {
        subject.store.put_many(&mut known.iter().cloned().map(Ok)).expect("a full store");
        let mut group = c.benchmark_group("reads, warm");
        group.throughput(Throughput::Elements(WARM_BLOCKS as u64)).sample_size(20);
        group.bench_function(BenchmarkId::new(subject.name, "get"), |b| {
            b.iter(|| get_all(&*subject.store, &known).expect("every block"));
        });
        group.bench_function(BenchmarkId::new(subject.name, "has, present"), |b| {
            b.iter(|| has_all(&*subject.store, &known, true).expect("every block present"));
        });
        group.bench_function(BenchmarkId::new(subject.name, "has, absent"), |b| {
            b.iter(|| has_all(&*subject.store, &absent, false).expect("every block absent"));
        });
        group.bench_function(BenchmarkId::new(subject.name, "cids"), |b| {
            b.iter(|| enumerate(&*subject.store, WARM_BLOCKS as u64).expect("a whole listing"));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    targets = writes, reads
}
criterion_main!(benches);
