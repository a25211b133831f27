//! A server that is killed right after its answer: the blocks that it acknowledged are there, and a head never lacks its block.

use std::path::Path;

use anyhow::Result;
use xshell::Shell;

use super::{
    Row,
    programs::{Programs, answer, command, run as run_command},
    repositories::{Repositories, status},
    requests::Archive,
    row,
    server::{Request, Server},
};

const KILLS: usize = 10;

pub(super) const HEAD: &str = "a head without its block";

pub(super) fn run(sh: &Shell, programs: &Programs, repositories: &Repositories) -> Result<Vec<Row>> {
    let test = Test { sh, repositories, archive: Archive::make(sh, programs, repositories)? };
    type Way = fn(&Archive) -> Request;
    let ways: [(&str, Way); 2] = [("push-blocks", Archive::push), ("import", Archive::import)];
    let mut rows = Vec::new();
    for (name, request) in ways {
        let [published, ours] = programs.both().map(|(_, program)| test.killed_after(program, request));
        let [published, ours] = [published?, ours?].map(|whole| format!("{whole} of {KILLS} whole"));
        rows.push(row(format!("killed after {name}"), (published.clone(), &published), (ours.clone(), &ours)));
    }
    let [published, ours] = programs.both().map(|(_, program)| test.head_without_block(program));
    let [published, ours] = [published?, ours?];
    rows.push(row(HEAD, (published.clone(), &published), (ours.clone(), &ours)));
    Ok(rows)
}

struct Test<'a> {
    sh: &'a Shell,
    repositories: &'a Repositories,
    archive: Archive,
}

impl Test<'_> {
    fn served(&self, program: &Path) -> Result<(Server, String)> {
        self.repositories.put(self.sh, &self.repositories.start)?;
        let head = status(program, &self.repositories.work, "op_id")?;
        Ok((Server::start(program, &self.repositories.work, &[])?, head))
    }

    /// After how many of the kills the client could go on as if nothing had been.
    fn killed_after(&self, program: &Path, request: fn(&Archive) -> Request) -> Result<usize> {
        let mut whole = 0;
        for _ in 0..KILLS {
            let (server, head) = self.served(program)?;
            server.get(&request(&self.archive))?;
            server.kill()?;
            let server = Server::start(program, &self.repositories.work, &[])?;
            let (moved, _) = server.ask(&self.archive.advance(&head))?;
            server.stop()?;
            let (checked, _) = run_command(command(program, &self.repositories.work, &["fsck"]))?;
            whole += usize::from(moved == 200 && checked == Some(0));
        }
        Ok(whole)
    }

    /// What becomes of a repository whose client moves the head to a block that it never sent.
    fn head_without_block(&self, program: &Path) -> Result<String> {
        let (server, head) = self.served(program)?;
        let (code, _) = server.ask(&self.archive.advance(&head))?;
        server.stop()?;
        let opens = answer(program, &self.repositories.work, &["status"]).is_ok();
        Ok(format!("answer {code}, the repository {}", if opens { "opens" } else { "never opens again" }))
    }
}
