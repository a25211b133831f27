//! `cargo xtask soak crash-redb`: what power cuts leave of a redb store, and each call of its disk failing, in numbers that take hours.

use anyhow::{Context, Result, bail};
use xshell::cmd;

pub(crate) const NAME: &str = "crash-redb";

pub(crate) const USAGE: &str =
    "  crash-redb [--images N] [--seed S] [--image I]
            what power cuts leave of redb stores: 20,000,000 images, or N, of lives from seed S on; or the one image I of seed S alone;
            and every call of a disk failing in every way, one life for each million of images";

const IMAGES: u64 = 20_000_000;

/// Runs it as the arguments say.
pub(crate) fn run(mut args: impl Iterator<Item = String>) -> Result<()> {
    let sh = crate::shell()?;
    sh.set_var("MNEM_CRASH_IMAGES", IMAGES.to_string());
    let mut tests = vec!["crash::soak", "crash::faults::soak"];
    while let Some(option) = args.next() {
        let variable = match option.as_str() {
            "--images" => "MNEM_CRASH_IMAGES",
            "--seed" => "MNEM_CRASH_SEED",
            "--image" => "MNEM_CRASH_IMAGE",
            _ => bail!("usage: cargo xtask soak\n{USAGE}"),
        };
        let number = args.next().unwrap_or_default();
        number.parse::<u64>().with_context(|| format!("{option} takes a number, not {number:?}"))?;
        if option == "--image" {
            tests.truncate(1);
        }
        sh.set_var(variable, number);
    }
    let to_the_tests = ["--exact", "--ignored", "--nocapture", "--test-threads", "1"];
    cmd!(sh, "cargo test --release --locked --quiet -p mnem-backend-redb --test main -- {tests...} {to_the_tests...}")
        .run()?;
    Ok(())
}
