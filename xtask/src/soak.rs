//! Long runs of randomised tests, and of tests for what must never happen. Each is a test that every test run executes
//! at a bounded size.

use anyhow::{Context, Result, bail, ensure};
use xshell::{Shell, cmd};

/// One kind of soak run.
struct Kind {
    name: &'static str,
    does: &'static str,
    options: &'static [Opt],
    run: fn(&Shell) -> Result<()>,
}

/// An option with one value, which the tests read from the environment.
struct Opt {
    flag: &'static str,
    variable: &'static str,
    /// The default: the full size of a run. `None`: not set.
    full: Option<u64>,
    /// Whether the value is a number.
    number: bool,
}

const fn number(flag: &'static str, variable: &'static str, full: Option<u64>) -> Opt {
    Opt { flag, variable, full, number: true }
}

const ROUNDS: &str = "MNEM_SOAK_ROUNDS";
const ONLY: Opt = Opt { flag: "--only", variable: "MNEM_SOAK_ONLY", full: None, number: false };
const SEED: Opt = number("--seed", "MNEM_CRASH_SEED", None);

/// The only file system to use, for a run on several.
const ON: Opt = Opt { flag: "--on", variable: "MNEM_SOAK_ON", full: None, number: false };

/// The part of a run to do, such as 0/4.
const SHARD: Opt = Opt { flag: "--shard", variable: crate::mutants::SHARD, full: None, number: false };

/// The single image of a seed, as a failure names it.
const IMAGE: Opt = number("--image", "MNEM_CRASH_IMAGE", None);

// Dependencies of tools include older versions of packages with the same name.
const REDB: &str = concat!("mnem-backend-redb@", env!("CARGO_PKG_VERSION"));
const SIMPLE: &str = "mnem-backend-simple";

/// The share that every change must pass, besides the bounded sizes in the tests themselves.
const SHARE: &[&[&str]] =
    &[&["crash-redb", "--images", "200000"], &["crash-simple", "--states", "1000000"], &["kills", "--rounds", "100"]];

const KINDS: &[Kind] = &[
    Kind {
        name: "races",
        does: "real races: how often each is caught by its law, and by plain stress; 100 rounds take 5 minutes",
        options: &[number("--rounds", ROUNDS, Some(100))],
        run: |sh| tests(sh, "mnem-store-traits", &["saboteurs::races::soak::soak"]),
    },
    Kind {
        name: "slow",
        does: "the whole suite over a network with the given latency; with 20 ms, it takes less than ten minutes",
        options: &[number("--latency-ms", "MNEM_SOAK_LATENCY_MS", Some(20))],
        run: |sh| tests(sh, "mnem-store-traits", &["slow::soak"]),
    },
    Kind {
        name: "crash-redb",
        does: "redb stores after simulated power cuts, in the given number of images from a seed on",
        options: &[number("--images", "MNEM_CRASH_IMAGES", Some(20_000_000)), SEED, IMAGE],
        run: |sh| tests(sh, REDB, &["crash::soak"]),
    },
    Kind {
        name: "faults-redb",
        does: "failures of every call of a disk under redb, in every way, and power cuts after failed syncs; takes a minute",
        options: &[],
        run: |sh| tests(sh, REDB, &["crash::faults::soak"]),
    },
    Kind {
        name: "crash-simple",
        does: "simple stores after simulated crashes, in the given number of states",
        options: &[number("--states", "MNEM_CRASH_IMAGES", Some(60_000_000)), SEED, IMAGE],
        run: |sh| tests(sh, SIMPLE, &["crash_points::soak"]),
    },
    Kind {
        name: "crash-carlog",
        does: "carlog stores after simulated power cuts, in the given number of images",
        options: &[number("--images", "MNEM_CRASH_IMAGES", Some(20_000_000)), SEED, IMAGE],
        run: |sh| tests(sh, "mnem-backend-carlog", &["crash::soak"]),
    },
    Kind {
        name: "breaks-simple",
        does: "every planted break of the order in which a simple store is written, from the first seed on; takes a minute",
        options: &[],
        run: |sh| tests(sh, SIMPLE, &["crash_points::every_planted_break_shows_from_the_first_seed_on"]),
    },
    Kind {
        name: "kills",
        does: "processes that are killed at random moments while they write, the given number for each backend (--only redb or simple); 1,000 take 5 minutes",
        options: &[number("--rounds", ROUNDS, Some(10_000)), ONLY],
        run: |sh| tests(sh, "mnem-storage", &["kills::soak"]),
    },
    Kind {
        name: "copies",
        does: "copies of stores during writes and collections, the given number for each kind of source and driver; 100 take a quarter of an hour",
        options: &[number("--rounds", ROUNDS, Some(100))],
        run: copies,
    },
    Kind {
        name: "power-cuts",
        does: "power cuts of file systems on loop devices, the given number for each file system and backend; needs Linux, root, strace and XFS's programs",
        options: &[number("--rounds", ROUNDS, Some(500)), ONLY, ON],
        run: power_cuts,
    },
    Kind {
        name: "damage",
        does: "damaged files of stores, the given number for each backend (--only redb or simple); 2,000,000 of redb take an hour",
        options: &[number("--rounds", ROUNDS, Some(2_000_000)), ONLY],
        run: damage,
    },
    Kind {
        name: "salvage",
        does: "redb files and carlog stores that are truncated, zeroed and overwritten, the given number of each: the share of intact blocks that is salvaged; 1,000 take two minutes",
        options: &[number("--files", ROUNDS, Some(1_000)), number("--seed", "MNEM_DAMAGE_SEED", None)],
        run: salvage,
    },
    Kind {
        name: "mutants",
        does: "small changes of stores (--only memory, buffered, simple or redb), each of which a test must notice; needs cargo-mutants and cargo-nextest; takes hours, or less with --shard, such as 0/20",
        options: &[ONLY, SHARD],
        run: |sh| crate::mutants::run(sh, &sh.var(ONLY.variable).unwrap_or_default()),
    },
    Kind {
        name: "fuzz",
        does: "each fuzz target for the given number of minutes (--only NAME); needs nightly Rust and a C++ compiler",
        options: &[number("--minutes", crate::fuzz::MINUTES, Some(60)), ONLY],
        run: crate::fuzz::run,
    },
];

/// Runs the kind that the arguments name.
pub(crate) fn run(args: Vec<String>) -> Result<()> {
    let mut args = args.into_iter();
    let name = args.next().unwrap_or_default();
    let Some(kind) = KINDS.iter().find(|kind| kind.name == name) else { bail!("{}", usage()) };
    let sh = crate::shell()?;
    for (variable, value) in settings(kind, args)? {
        sh.set_var(variable, value);
    }
    (kind.run)(&sh)
}

/// Runs the share of every change.
pub(crate) fn share() -> Result<()> {
    SHARE.iter().try_for_each(|args| run(args.iter().map(|arg| (*arg).to_owned()).collect()))
}

/// The environment variables of a run.
fn settings(kind: &Kind, mut args: impl Iterator<Item = String>) -> Result<Vec<(&'static str, String)>> {
    let full = kind.options.iter().filter_map(|option| Some((option.variable, option.full?.to_string())));
    let mut settings: Vec<_> = full.collect();
    while let Some(flag) = args.next() {
        let Some(option) = kind.options.iter().find(|option| option.flag == flag) else { bail!("{}", usage()) };
        let value = args.next().with_context(|| format!("{flag} takes a value"))?;
        ensure!(!option.number || value.parse::<u64>().is_ok(), "{flag} takes a number, not {value:?}");
        settings.push((option.variable, value));
    }
    Ok(settings)
}

fn usage() -> String {
    let mut usage = String::from("usage: cargo xtask soak KIND\n");
    for kind in KINDS {
        let options: String = kind.options.iter().map(|option| format!(" {}", option.told())).collect();
        usage.push_str(&format!("\n  {}{options}\n            {}", kind.name, kind.does));
    }
    usage
}

impl Opt {
    fn told(&self) -> String {
        let value = if self.number { "N" } else { "NAME" };
        let full = self.full.map(|full| format!(", {full} unless given")).unwrap_or_default();
        format!("[{} {value}{full}]", self.flag)
    }
}

/// Runs tests that are otherwise ignored, one by one, in a release build.
fn tests(sh: &Shell, package: &str, names: &[&str]) -> Result<()> {
    tests_by(sh, &["cargo"], package, names)
}

/// As [`tests`], with another program that runs cargo.
fn tests_by(sh: &Shell, cargo: &[&str], package: &str, names: &[&str]) -> Result<()> {
    let target = ["--all-features", "-p", package, "--test", "main"];
    let how = ["--exact", "--ignored", "--nocapture", "--test-threads", "1"];
    let (program, first) = cargo.split_first().context("a program")?;
    Ok(cmd!(sh, "{program} {first...} test --release --locked --quiet {target...} -- {names...} {how...}").run()?)
}

/// Runs tests of every test run at another size.
fn copies(sh: &Shell) -> Result<()> {
    let of_facade = &["-p", "mnem-storage", "--all-features", "--test", "main"][..];
    let of_example = &["-p", "mnem-example-sqlite", "--test", "copies"];
    for target in [of_facade, of_example] {
        cmd!(sh, "cargo test --release --locked --quiet {target...} -- copy_live").run()?;
    }
    Ok(())
}

fn power_cuts(sh: &Shell) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), "power can be cut under a file system on Linux only");
    // Use a mount namespace of its own: that of another program would inherit these mounts and keep them after they are
    // unmounted here.
    let allowed = cmd!(sh, "unshare --mount true").quiet().ignore_stderr().run().is_ok();
    ensure!(
        allowed,
        "power cuts need root: file systems are mounted where no other program sees them (unshare --mount)"
    );
    // Planted breaks are caught as panics.
    let _quiet = sh.push_env("RUST_BACKTRACE", "0");
    let planted = "kills::power_cuts::a_sync_that_does_nothing_is_found";
    tests_by(sh, &["unshare", "--mount", "cargo"], "mnem-storage", &[planted, "kills::power_cuts::soak"])
}

/// Simple stores take a few milliseconds each.
const SIMPLE_STORES_MAX: u64 = 100_000;

fn damage(sh: &Shell) -> Result<()> {
    // redb's panics are contained and numerous, so suppress their backtraces.
    let _quiet = sh.push_env("RUST_BACKTRACE", "0");
    let only = sh.var(ONLY.variable).unwrap_or_default();
    if only != "simple" {
        tests(sh, "mnem-storage", &["damaged::redb_file::soak"])?;
    }
    if only != "redb" {
        let rounds: u64 = sh.var(ROUNDS)?.parse()?;
        let _rounds = sh.push_env(ROUNDS, rounds.min(SIMPLE_STORES_MAX).to_string());
        tests(sh, "mnem-storage", &["damaged::simple_files::soak"])?;
    }
    Ok(())
}

fn salvage(sh: &Shell) -> Result<()> {
    // As in `damage`.
    let _quiet = sh.push_env("RUST_BACKTRACE", "0");
    tests(sh, "mnem-storage", &["salvage::raw_pages::soak"])?;
    tests(sh, "mnem-storage", &["salvage::segments::soak"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, args: &[&str]) -> Result<Vec<(&'static str, String)>> {
        let kind = KINDS.iter().find(|kind| kind.name == name).expect("a kind");
        settings(kind, args.iter().map(|arg| (*arg).to_owned()))
    }

    #[test]
    fn a_run_has_its_full_size_unless_told_otherwise() {
        assert_eq!(told("kills", &[]).unwrap(), [(ROUNDS, "10000".to_owned())]);
        let given = told("kills", &["--rounds", "50", "--only", "redb"]).unwrap();
        assert_eq!(given[1..], [(ROUNDS, "50".to_owned()), ("MNEM_SOAK_ONLY", "redb".to_owned())]);
    }

    #[test]
    fn options_that_a_kind_does_not_have_are_refused() {
        for args in [&["--images", "1"][..], &["--rounds", "many"], &["--rounds"], &["5"]] {
            assert!(told("kills", args).is_err(), "{args:?}");
        }
        assert!(run(vec!["tea".to_owned()]).is_err());
    }
}
