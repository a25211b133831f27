//! The files that a package of `mnem-store` ships besides the program: manual pages and completion scripts, generated
//! by the program itself.

use anyhow::Result;
use xshell::cmd;

/// Shells, and the names under which they look for a script.
const SCRIPTS: [(&str, &str); 5] = [
    ("bash", "mnem-store"),
    ("zsh", "_mnem-store"),
    ("fish", "mnem-store.fish"),
    ("elvish", "mnem-store.elv"),
    ("powershell", "_mnem-store.ps1"),
];

/// Writes a page per command into `target/man`.
pub(crate) fn man() -> Result<()> {
    let sh = crate::shell()?;
    sh.remove_path("target/man")?;
    cmd!(sh, "cargo run --locked --quiet -p mnem-storage-cli -- man --out target/man").run()?;
    Ok(())
}

/// Writes a script per shell into `target/completions`.
pub(crate) fn completions() -> Result<()> {
    let sh = crate::shell()?;
    for (shell, name) in SCRIPTS {
        let script = cmd!(sh, "cargo run --locked --quiet -p mnem-storage-cli -- completions {shell}").read()?;
        sh.write_file(format!("target/completions/{shell}/{name}"), script + "\n")?;
    }
    Ok(())
}
