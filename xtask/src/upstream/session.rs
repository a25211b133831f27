//! One session, step by step. Both programs begin each step with the same files at the same path; the next step
//! continues with the result of one of them, in turn.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use xshell::Shell;

use super::{
    Row,
    normal::normalise,
    programs::{Programs, command, run as run_command},
    repositories::{ADA, BOB, EVE, copy, status},
};

/// One step: the arguments of `mnem`.
struct Step {
    name: &'static str,
    args: &'static str,
    does: Does,
}

#[derive(Clone, Copy)]
enum Does {
    /// Answers are equal to the byte, and so is the archive `out.car`.
    Read,
    /// Answers are equal except for names derived from the time; the content has the same CID.
    Write,
    /// As `Write`, with random ids of the program, so the content differs.
    Make,
    /// As `Make`, but the next step begins with the same files as this one.
    Try,
    /// The file of the repository is replaced by this before, or removed, and put back after.
    Spoil(fn(Vec<u8>) -> Option<Vec<u8>>),
}

use Does::{Make, Read, Spoil, Try, Write};

const fn step(name: &'static str, args: &'static str, does: Does) -> Step {
    Step { name, args, does }
}

/// `ADA`, `BOB` and `EVE` stand for their ids, `OP` for the current operation, `COMMIT` for the head commit.
const STEPS: &[Step] = &[
    step("init", "init", Write),
    step("init again", "init", Write),
    step("config", "config set user.name tester", Write),
    step("first node", "add node --id ADA --label Person --summary Ada --prop name=Ada --no-embed", Write),
    step("second node", "add node --id BOB --label Person --summary Bob --prop name=Bob --no-embed", Write),
    step("edge", "add edge --from ADA --to BOB --label knows", Make),
    step("edge to nowhere", "add edge --from ADA --to EVE --label knows", Write),
    step("status", "status", Read),
    step("stats", "stats", Read),
    step("schema", "schema", Read),
    step("log", "log", Read),
    step("log as JSON", "log --format json", Read),
    step("show", "show OP", Read),
    step("query", "query --where name=Ada", Read),
    step("get", "get ADA", Read),
    step("get nothing", "get EVE", Read),
    step("blame", "blame BOB", Read),
    step("traverse", "traverse ADA", Read),
    step("cat-file", "cat-file --json COMMIT", Read),
    step("fsck", "fsck", Read),
    step("fsck as JSON", "fsck --json", Read),
    step("gc, only counted", "gc", Read),
    step("export", "export out.car", Read),
    step("doctor", "doctor", Read),
    step("branch", "branch create side", Write),
    step("branches", "branch list", Read),
    step("switch", "switch side", Write),
    step("third node", "add node --id EVE --label Person --summary Eve --prop name=Eve --no-embed", Write),
    step("switch back", "switch main", Write),
    step("tombstone", "tombstone BOB --reason asked", Write),
    step("merge, dry", "merge side --dry-run", Read),
    step("merge", "merge side", Write),
    step("tag", "tag create first", Write),
    step("revert", "revert OP", Write),
    step("ingest", "ingest --text one.two.three --no-embed", Make),
    step("ingest a file", "ingest notes.md", Make),
    step("delete", "delete EVE", Write),
    step("gc", "gc --force", Write),
    step("export of all", "export out.car", Read),
    step("scrubbed export", "export --scrub out.car", Read),
    step("import", "import given.car", Try),
    step("clone", "clone given.car clone", Try),
    step("import of nothing", "import missing.car", Write),
    step("fsck at the end", "fsck", Read),
    step("log at the end", "log -n 100", Read),
    step(
        "truncated file",
        "status",
        Spoil(|mut bytes| {
            bytes.pop();
            Some(bytes)
        }),
    ),
    step("text file", "status", Spoil(|_| Some(b"this is no database".to_vec()))),
    step("empty file", "log", Spoil(|_| Some(Vec::new()))),
    step(
        "later format",
        "status",
        Spoil(|mut bytes| {
            // The version of redb's file format, in both commit slots.
            for slot in [64, 192] {
                bytes[slot] = 9;
            }
            Some(bytes)
        }),
    ),
    step("no file", "status", Spoil(|_| None)),
    step("the file that was spoilt", "status", Read),
];

/// The output of a program and the files that it left.
#[derive(PartialEq, Eq)]
struct Answer {
    code: Option<i32>,
    text: String,
    archive: Option<Vec<u8>>,
}

struct Session<'a> {
    sh: &'a Shell,
    /// The working folder of the programs, always at the same path.
    work: std::path::PathBuf,
    /// The files with which the step begins.
    state: std::path::PathBuf,
}

pub(super) fn run(sh: &Shell, programs: &Programs) -> Result<Vec<Row>> {
    let session = Session { sh, work: programs.folder.join("work"), state: programs.folder.join("state") };
    for folder in [&session.work, &session.state] {
        sh.remove_path(folder)?;
        sh.create_dir(folder)?;
    }
    sh.write_file(session.state.join("notes.md"), "# Notes\n\nAda wrote the first program.\n")?;
    let mut rows = Vec::new();
    for (number, step) in STEPS.iter().enumerate() {
        // The next step continues with the result of the last program, which is in place.
        let mut order = programs.both();
        order.rotate_left(number % 2);
        let args = session.args(step, &programs.published)?;
        let mut answers = Vec::new();
        for (name, program) in order {
            answers.push((name, session.take(step, &args, program)?));
        }
        answers.sort_by_key(|(name, _)| *name != "published");
        session.keep(step)?;
        rows.push(compare(step, &answers[0].1, &answers[1].1));
        if step.name == "export" {
            let archive = answers.remove(0).1.archive.context("the export made no archive")?;
            sh.write_file(session.state.join("given.car"), archive)?;
        }
    }
    Ok(rows)
}

impl Session<'_> {
    /// The arguments of the step, with the names substituted.
    fn args(&self, step: &Step, program: &Path) -> Result<Vec<String>> {
        let mut args = step.args.replace("ADA", ADA).replace("BOB", BOB).replace("EVE", EVE);
        for (word, field) in [("OP", "op_id"), ("COMMIT", "commit")] {
            if args.split(' ').any(|arg| arg == word) {
                self.reset()?;
                args = args.replace(word, &status(program, &self.work, field)?);
            }
        }
        Ok(args.split(' ').map(str::to_owned).collect())
    }

    fn reset(&self) -> Result<()> {
        copy(self.sh, &self.state, &self.work)
    }

    fn take(&self, step: &Step, args: &[String], program: &Path) -> Result<Answer> {
        self.reset()?;
        let file = self.work.join(".mnem/repo.redb");
        if let Spoil(spoil) = step.does {
            match spoil(self.sh.read_binary_file(&file)?) {
                Some(bytes) => self.sh.write_file(&file, bytes)?,
                None => self.sh.remove_path(&file)?,
            }
        }
        let mut answer = self.mnem(program, args)?;
        if matches!(step.does, Make | Try) {
            answer.text = normalise(&answer.text);
        }
        if matches!(step.does, Write) {
            let content = self.mnem(program, &["stats".into()])?.text;
            let content = content.split(' ').find(|word| word.starts_with("content=")).unwrap_or_default().to_owned();
            answer.text = format!("{}\n{content}", normalise(&answer.text));
        }
        answer.archive = self.sh.read_binary_file(self.work.join("out.car")).ok();
        Ok(answer)
    }

    /// Keeps the files of the last program as the start of the next step.
    fn keep(&self, step: &Step) -> Result<()> {
        if !matches!(step.does, Write | Make) {
            return Ok(());
        }
        copy(self.sh, &self.work, &self.state)
    }

    fn mnem(&self, program: &Path, args: &[String]) -> Result<Answer> {
        let (code, text) = run_command(command(program, &self.work, args))?;
        ensure!(code.is_some(), "a signal ended {} {args:?}: {text:?}", program.display());
        Ok(Answer { code, text, archive: None })
    }
}

fn compare(step: &Step, published: &Answer, ours: &Answer) -> Row {
    let shown = |answer: &Answer| answer.code.map_or_else(String::new, |code| format!("exit {code}"));
    let mut difference = String::new();
    if published.archive != ours.archive {
        difference.push_str("  the archives are not the same\n");
    }
    if (published.code, &published.text) != (ours.code, &ours.text) {
        difference.push_str(&format!(
            "--- published, {}\n{}\n--- ours, {}\n{}",
            shown(published),
            published.text,
            shown(ours),
            ours.text
        ));
    }
    Row {
        step: step.name.into(),
        published: shown(published),
        ours: shown(ours),
        difference: Some(difference).filter(|difference| !difference.is_empty()),
    }
}
