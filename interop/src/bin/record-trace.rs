//! Records the published client's store calls: `record-trace FOLDER` writes one file for each scene.

use std::{fs, path::PathBuf};

use mnem_interop::{graph::Result, scenes::SCENES};

fn main() -> Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).ok_or("usage: record-trace FOLDER")?.into();
    for scene in SCENES {
        let path = folder.join(scene.name()).with_extension("trace");
        fs::write(&path, scene.record()?)?;
        println!("{}", path.display());
    }
    Ok(())
}
