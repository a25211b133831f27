//! A file system on an image file, whose power can be cut.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::geteuid;
use tempfile::TempDir;

use super::{
    Random, Tally,
    held::{Held, hold},
    process::{Heard, Writer},
    scene::Ground,
    write_back,
};

/// The smallest size on which each of the file systems can be made. The image is sparse.
const IMAGE_BYTES: u64 = 320 << 20;

/// The ioctl with which ext4 and XFS shut down, without writing their journal first: nothing more reaches the device.
const CUT: &str = r#"
    open(my $folder, "<", $ARGV[0]) or die $!;
    my $no_log_flush = pack("L", 2);
    defined ioctl($folder, 0x8004587d, $no_log_flush) or die $!;
"#;

/// A kind of file system.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileSystem {
    pub(super) name: &'static str,
    make: &'static [&'static str],
    mount: &'static str,
}

const EXT4: &[&str] = &["mkfs.ext4", "-q", "-F"];

impl FileSystem {
    pub(super) const ALL: [Self; 5] = [
        Self { name: "ext4", make: EXT4, mount: "loop" },
        Self { name: "ext4-writeback", make: EXT4, mount: "loop,data=writeback,noauto_da_alloc" },
        // Blocks are allocated before their bytes are written, so a cut may leave old data of the device in them.
        Self { name: "ext4-nodelalloc", make: EXT4, mount: "loop,data=writeback,nodelalloc,noauto_da_alloc" },
        Self { name: "ext4-journal", make: EXT4, mount: "loop,data=journal" },
        Self { name: "xfs", make: &["mkfs.xfs", "-q", "-f"], mount: "loop" },
    ];
}

/// An image, which is unmounted and removed when this is dropped.
pub(super) struct Disk {
    folder: TempDir,
    mount_point: PathBuf,
    system: FileSystem,
    /// The program with its arguments that runs the writers, if any.
    through: Vec<String>,
}

impl Disk {
    pub(super) fn new(system: FileSystem, through: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let through = through.iter().map(|&argument| argument.to_owned()).collect();
        let disk = Self { mount_point: folder.path().join("mounted"), folder, system, through };
        fs::create_dir(disk.folder()).expect("a mount point");
        let image = fs::File::create(disk.image()).expect("an image");
        image.set_len(IMAGE_BYTES).expect("an image");
        run(Command::new(system.make[0]).args(&system.make[1..]).arg(disk.image()));
        disk.mount();
        disk
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn mount(&self) {
        run(Command::new("mount").args(["-o", self.system.mount]).arg(self.image()).arg(self.folder()));
        // If a mount namespace that was created meanwhile keeps it busy, a file system that was shut down is mounted
        // again in that state.
        let alive = fs::File::open(self.folder()).and_then(|folder| folder.sync_all());
        assert!(alive.is_ok(), "the file system that was shut down is in use elsewhere: {alive:?}");
    }

    /// Makes the file system forget what is not on the device, and mounts the rest.
    fn cut(&self, writer: Writer) -> Heard {
        run(Command::new("perl").args(["-e", CUT]).arg(self.folder()));
        let heard = writer.kill();
        run(Command::new("umount").arg(self.folder()));
        self.mount();
        heard
    }
}

/// Stops writers, and cuts the power under them.
impl Ground for Disk {
    fn folder(&self) -> &Path {
        &self.mount_point
    }

    fn binary(&self) -> Command {
        let binary = env::current_exe().expect("this binary");
        match self.through.split_first() {
            None => Command::new(binary),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(binary);
                command
            }
        }
    }

    /// The writer is stopped first. Otherwise a sync after the cut could return `Ok` for data that are not on the
    /// device.
    fn end(&self, writer: Writer, microseconds: u64, random: &mut Random, tally: &mut Tally) -> Heard {
        let moment = Instant::now() + Duration::from_micros(random.below(microseconds));
        // Half of the cuts leave only synced data on the disk.
        if random.below(2) == 0 {
            tally.written_back += write_back::until(moment, self.folder(), random);
        }
        thread::sleep(moment.saturating_duration_since(Instant::now()));
        let held = hold(writer.id(), random.below(2) == 0);
        tally.in_a_call += u32::from(held == Held::InACall);
        self.cut(writer)
    }

    fn keep(&mut self) -> Option<PathBuf> {
        let kept = tempfile::tempdir().ok()?.keep();
        attempt(Command::new("cp").arg("-a").arg(self.folder().join("store")).arg(&kept)).ok()?;
        Some(kept)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The mount point and the image are removed with the folder. If mounting failed, there is nothing to unmount.
        let _ = attempt(Command::new("umount").arg("--lazy").arg(self.folder()));
    }
}

/// Runs a program that must succeed.
fn run(command: &mut Command) {
    if let Err(reason) = attempt(command) {
        panic!("{reason}");
    }
}

fn attempt(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| format!("{command:?}: {}: {}", output.status, said.trim()))
}

/// The requirements of power cuts that this machine or user lacks.
pub(super) fn missing(systems: &[FileSystem], programs: &[&str]) -> Vec<String> {
    let mut missing = Vec::new();
    if !geteuid().is_root() {
        missing.push("the rights of root, to mount".to_owned());
    }
    if !Path::new("/dev/loop-control").exists() {
        missing.push("loop devices (/dev/loop-control)".to_owned());
    }
    let mut needed = vec!["mount", "umount", "perl", "cp"];
    needed.extend(programs);
    needed.extend(systems.iter().map(|system| system.make[0]));
    needed.dedup();
    let lacks = |program: &&str| Command::new(program).arg("-V").output().is_err();
    missing.extend(needed.into_iter().filter(lacks).map(|program| format!("the program {program}")));
    missing
}
