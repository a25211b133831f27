//! The performance of the machine itself, for scale.

use std::{fs::File, hint::black_box, io::Write, time::Instant};

use anyhow::Result;
use mnem_benches::{Blocks, Times};
use mnem_store_traits::backend::check_block;

use super::Group;
use crate::{results::Unit, run::Run};

pub(super) const GROUP: Group = Group {
    name: "machine",
    title: "The machine",
    about: "Lower bounds for every store: an append with `fdatasync`, hashing, copying.",
    run,
    opt_in: false,
};

const NAME: &str = "this machine";

fn run(run: &mut Run) -> Result<()> {
    let folder = run.folder()?;
    let mut file = File::create(folder.join("appended"))?;
    for _ in 0..run.options.rounds {
        let mut times = Times::default();
        for (_, data) in Blocks::new(60, 300).take(run.size(200)) {
            times.time(|| file.write_all(&data).and_then(|()| file.sync_data()))?;
        }
        let median = times.quantile(0.5).as_secs_f64();
        run.results.record("machine", "append 300 B + fdatasync", Unit::Seconds, NAME, median);
        for (block_bytes, name) in [(300, "300 B"), (64 << 10, "64 KiB")] {
            let blocks: Vec<_> = Blocks::new(61, block_bytes).take(1000).collect();
            let start = Instant::now();
            for (cid, data) in &blocks {
                check_block(cid, data)?;
            }
            let seconds = start.elapsed().as_secs_f64() / blocks.len() as f64;
            run.results.record("machine", &format!("SHA-256 of {name}"), Unit::Seconds, NAME, seconds);
            let start = Instant::now();
            for (_, data) in &blocks {
                black_box(data.to_vec());
            }
            let seconds = start.elapsed().as_secs_f64() / blocks.len() as f64;
            run.results.record("machine", &format!("copy of {name}"), Unit::Seconds, NAME, seconds);
        }
    }
    Ok(())
}
