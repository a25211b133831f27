//! `man`: manual pages, generated from `--help`.

use std::{fs, io, path::PathBuf};

use clap::{CommandFactory as _, ValueHint};
use clap_mangen::Man;
use serde_json::json;

use crate::{
    cli::Cli,
    context::Context,
    error::{Exit, Failure, Result},
    output::counted,
};

const EXAMPLES: &str = "\
Without COMMAND, prints the page of mnem-store itself. --out writes one file for each
command, such as mnem-store-knn-build.1.

Examples:
  mnem-store man | man -l -
  mnem-store man knn build > mnem-store-knn-build.1
  mnem-store man --out ~/.local/share/man/man1";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The command, such as knn build
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write the pages of all commands into this folder; create it if needed
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, conflicts_with = "command")]
    out: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut out = context.out();
    match &args.out {
        None => out.bytes(&page(named(&root, &args.command)?).map_err(Failure::output)?)?,
        Some(folder) => {
            let pages = write_all(&root, folder).map_err(|source| Failure::Io {
                what: format!("write manual pages into {}", folder.display()),
                source,
            })?;
            let text = format!("wrote {} into {}", counted(pages, "manual page"), folder.display());
            out.summary(text, json!({ "folder": folder.display().to_string(), "pages": pages }))?;
        }
    }
    out.finish()?;
    Ok(Exit::Done)
}

/// The command that these words name.
fn named<'a>(root: &'a clap::Command, words: &[String]) -> Result<&'a clap::Command> {
    let mut command = root;
    for word in words {
        command = command.find_subcommand(word).ok_or_else(|| Failure::Usage {
            message: format!("{} has no command {word:?}", command.get_bin_name().unwrap_or("mnem-store")),
            hint: "run `mnem-store --help` to list the commands".into(),
        })?;
    }
    Ok(command)
}

/// Writes the pages of a command and its subcommands, and returns their number.
fn write_all(command: &clap::Command, folder: &std::path::Path) -> io::Result<u64> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(Man::new(command.clone()).get_filename()), page(command)?)?;
    command.get_subcommands().try_fold(1, |pages, command| Ok(pages + write_all(command, folder)?))
}

/// The preamble that clap_mangen writes before each section. A page needs it once.
const QUOTES: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let source = format!("mnem-store {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(source).manual("mnem-store manual");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (sections, prose) = parts(&help);
    for block in prose {
        page.extend(format!(".PP\n{}\n", escaped(block)).into_bytes());
    }
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    for (title, body) in sections {
        page.extend(format!(".SH \"{}\"\n.nf\n{}\n.fi\n", title.to_uppercase(), escaped(&body)).into_bytes());
    }
    let page = String::from_utf8_lossy(&page).replace(QUOTES, "");
    Ok([QUOTES, &page].concat().into_bytes())
}

/// Splits a help text into sections, which have a title and keep their lines, and paragraphs of prose.
fn parts(help: &str) -> (Vec<(&str, String)>, Vec<&str>) {
    let (mut sections, mut prose): (Vec<(&str, String)>, Vec<&str>) = Default::default();
    for block in help.split("\n\n").filter(|block| !block.is_empty()) {
        match (block.split_once(":\n  "), sections.last_mut()) {
            (Some((title, body)), _) if !title.contains('\n') => sections.push((title, format!("  {body}"))),
            // An indented paragraph continues the section before it.
            (_, Some((_, body))) if block.starts_with("  ") => body.push_str(&format!("\n\n{block}")),
            _ => prose.push(block),
        }
    }
    (sections, prose)
}

/// Escapes a text for roff.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines =
        text.lines().map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roff_sees_text_alone() {
        assert_eq!(escaped(".hidden\n'quoted' \\240\n--help"), "\\&.hidden\n\\&'quoted' \\e240\n\\-\\-help");
    }

    #[test]
    fn blocks_with_a_title_are_sections() {
        let (sections, prose) =
            parts("Which: --backend\nor else.\n\nExamples:\n  ls\n\n  get\n\nExit status:\n  0 done");
        assert_eq!(sections, [("Examples", "  ls\n\n  get".into()), ("Exit status", "  0 done".into())]);
        assert_eq!(prose, ["Which: --backend\nor else."]);
        assert_eq!(parts(""), (Vec::new(), Vec::new()));
    }
}
