//! Builds `mnem-store` with one backend, and with none. A missing backend must be an error at run time that names the
//! feature.

use anyhow::{Result, ensure};
use xshell::cmd;

/// The features of a build, and the backends that it lacks.
const BUILDS: [(&str, &[&str]); 5] = [
    ("redb", &["simple", "carlog", "bucket"]),
    ("simple", &["redb", "carlog", "bucket"]),
    ("carlog", &["redb", "simple", "bucket"]),
    ("bucket", &["redb", "simple", "carlog"]),
    ("", &["redb", "simple", "carlog", "bucket"]),
];

/// Creates a store of each backend with each build. A build that lacks the backend must say so.
pub(crate) fn run() -> Result<()> {
    let sh = crate::shell()?;
    for (features, lacks) in BUILDS {
        let build = ["--locked", "--quiet", "-p", "mnem-storage-cli", "--no-default-features", "--features", features];
        let folder = sh.create_temp_dir()?;
        for backend in ["redb", "simple", "carlog", "bucket"] {
            let store = folder.path().join(backend);
            let init = cmd!(sh, "cargo run {build...} -- init --backend {backend} --store {store}");
            let output = init.ignore_status().output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            let missing = lacks.contains(&backend);
            ensure!(output.status.success() != missing, "features {features:?}: init of {backend}: {said}");
            let feature = format!("feature `{backend}`");
            ensure!(!missing || said.contains(&feature), "the error does not name the {feature}: {said}");
        }
        let version = cmd!(sh, "cargo run {build...} -- --version").read()?;
        for backend in lacks {
            ensure!(version.contains(&format!("{backend}: not in this build")), "--version hides it: {version}");
        }
    }
    Ok(())
}
