//! `mnem http` as a child, and requests to it.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::programs::command;

const TOKEN: &str = "token";

/// A request; names and bodies are filled in before.
pub(super) struct Request {
    pub(super) name: &'static str,
    method: &'static str,
    path: String,
    kind: &'static str,
    token: bool,
    body: Vec<u8>,
}

impl Request {
    pub(super) fn new(name: &'static str, method: &'static str, path: impl Into<String>) -> Self {
        Self { name, method, path: path.into(), kind: "application/json", token: true, body: Vec::new() }
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The type of the body, where it is not JSON.
    pub(super) fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    pub(super) fn without_token(mut self) -> Self {
        self.token = false;
        self
    }
}

/// A server that is killed when it is dropped.
pub(super) struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Serves the repository in `folder`, with these environment variables.
    pub(super) fn start(program: &Path, folder: &Path, variables: &[(&str, &str)]) -> Result<Self> {
        // The port was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = command(program, folder, &["http", "--bind", &address.to_string()]);
        command.env("MNEM_HTTP_PUSH_TOKEN", TOKEN).envs(variables.iter().copied());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Self { child: command.spawn()?, address };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{} http ended at once: {status}", program.display());
            }
            ensure!(Instant::now() < deadline, "{} http does not listen", program.display());
            thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// The status and the body of the answer.
    pub(super) fn ask(&self, request: &Request) -> Result<(u16, Vec<u8>)> {
        let Request { method, path, kind, body, .. } = request;
        let length = body.len();
        let token = if request.token { format!("Authorization: Bearer {TOKEN}\r\n") } else { String::new() };
        // Version 1.0: the body comes in one piece, and the connection ends with it.
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\n{token}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        );
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end =
            answer.windows(4).position(|four| four == b"\r\n\r\n").context("an answer without an end of its head")?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("an answer without a status")?;
        Ok((status, answer.split_off(end + 4)))
    }

    /// The body of an answer with status 200.
    pub(super) fn get(&self, request: &Request) -> Result<Vec<u8>> {
        let (status, body) = self.ask(request)?;
        ensure!(status == 200, "{}: {status} {}", request.name, body.escape_ascii());
        Ok(body)
    }

    /// Ends it as a service manager does.
    pub(super) fn stop(mut self) -> Result<()> {
        Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    pub(super) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
