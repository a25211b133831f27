//! Read-only media, folders of other users, and umasks.

#![cfg(unix)]

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
};

use crate::support::{BACKENDS, Place, ran};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Runs on a file system that is mounted read-only. Exits with 77 if mounting is not permitted.
const ON_A_READ_ONLY_MEDIUM: &str = r#"
program="$1" store="$2"
mount -t tmpfs -o mode=0700 none disk 2>/dev/null || exit 77
cd disk
"$program" --store "$store" init >/dev/null || exit 2
kept=$("$program" --store "$store" put ../small) || exit 3
"$program" --store "$store" heads update "$kept" >/dev/null || exit 4
mount -o remount,ro . || exit 77
"$program" --store "$store" get "$kept" | cmp - ../small || exit 5
[ "$("$program" --store "$store" heads)" = "$kept" ] || exit 6
for command in ls stat verify; do "$program" --store "$store" $command >/dev/null || exit 7; done
"$program" --store "$store" put ../other >/dev/null 2>../said && exit 8
grep -q '^error: ' ../said || exit 9
grep -qi 'read-only' ../said || exit 10
"#;

#[test]
fn a_store_on_a_read_only_medium_is_read_and_not_written() {
    for backend in BACKENDS {
        let place = Place::new();
        fs::create_dir(place.path("disk")).unwrap();
        place.write("small", b"small");
        place.write("other", b"other");
        let mut shell = Command::new("unshare");
        shell.args(["--mount", "sh", "-c", ON_A_READ_ONLY_MEDIUM, "sh"]).arg(place.command(&[]).get_program());
        shell.arg(format!("s.{backend}")).current_dir(place.path(""));
        let Ok(output) = shell.output() else { return println!("skipped: there is no `unshare` here") };
        match output.status.code() {
            Some(0) => {}
            Some(1 | 77) => return println!("skipped: nothing may be mounted here"),
            _ => panic!("{backend}: {output:?}, {}", String::from_utf8_lossy(&place.read("said"))),
        }
    }
}

#[test]
fn a_store_of_somebody_else_is_refused_with_its_path_and_the_reason() {
    const NOBODY: u32 = 65_534;
    for backend in BACKENDS {
        let place = Place::new();
        let store = format!("s.{backend}");
        let (root, _) = place.small_store(&store);
        fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        // The program itself may be in a folder that other users cannot enter.
        let program = place.path("program");
        fs::copy(place.command(&[]).get_program(), &program).unwrap();
        for args in [vec!["get", &root.to_string()], vec!["heads"], vec!["ls"], vec!["put", "file"], vec!["verify"]] {
            place.write("file", b"file");
            let mut command = Command::new(&program);
            command.args(["--store", &store]).args(&args).current_dir(place.path("")).uid(NOBODY).gid(NOBODY);
            match command.output() {
                Err(error) => return println!("skipped: nobody else can be impersonated here: {error}"),
                Ok(output) => {
                    let said = String::from_utf8_lossy(&output.stderr);
                    assert_eq!(output.status.code(), Some(1), "{backend} {args:?}: {said}");
                    assert!(said.contains(&store) && said.contains("Permission denied"), "{backend} {args:?}: {said}");
                }
            }
        }
    }
}

#[test]
fn a_store_is_its_owners_alone_and_the_mask_may_only_take_away() {
    for (mask, folders, files) in [("000", 0o700, 0o600), ("022", 0o700, 0o600), ("0277", 0o500, 0o400)] {
        let place = Place::new();
        let program = place.command(&[]);
        let mut shell = Command::new("sh");
        shell.args(["-c", "umask \"$1\" && shift && exec \"$@\"", "sh", mask]).arg(program.get_program());
        shell.args(["--store", "s.simple", "init"]).current_dir(place.path(""));
        let made = ran(&mut shell);
        // Without write permission nobody can create a store there, except the superuser.
        if made.exit == Some(0) {
            assert_eq!(mode(&place.path("s.simple")), folders, "{mask}");
            assert_eq!(mode(&place.path("s.simple/objects")), folders, "{mask}");
            assert_eq!(mode(&place.path("s.simple/op_heads")), files, "{mask}");
        } else {
            assert_eq!(mask, "0277", "{}", made.err);
            assert!(made.err.contains("Permission denied"), "{}", made.err);
        }
    }
}

#[test]
fn what_may_not_be_read_is_no_damage() {
    const NOBODY: u32 = 65_534;
    let place = Place::new();
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    // The program itself may be in a folder that other users cannot enter.
    let program = place.path("program");
    fs::copy(place.command(&[]).get_program(), &program).unwrap();
    let verify = |store: &str| {
        let mut command = Command::new(&program);
        ran(command.args(["verify", "--store", store]).current_dir(place.path("")).uid(NOBODY).gid(NOBODY))
    };
    for backend in BACKENDS {
        let store = format!("a.{backend}");
        let (root, _) = place.small_store(&store);
        let root = root.to_string();
        let shard = format!("{store}/objects/{}", &root[root.len() - 3..root.len() - 1]);
        let block = format!("{shard}/{root}");
        let forbidden =
            if backend == "redb" { vec![store.clone()] } else { vec![format!("{store}/objects"), shard, block] };
        let own = Command::new("chown").args(["-R", &NOBODY.to_string()]).arg(place.path(&store)).status();
        if !own.is_ok_and(|status| status.success()) {
            return println!("skipped: only root gives files to others");
        }
        for path in forbidden {
            let was = place.path(&path).metadata().unwrap().permissions();
            fs::set_permissions(place.path(&path), fs::Permissions::from_mode(0o000)).unwrap();
            let said = verify(&store).fails(1);
            assert!(said.contains("Permission denied") && said.contains(&path), "{path}: {said}");
            assert!(!said.contains("salvage") && said.contains("`ls -ld`"), "{path}: {said}");
            fs::set_permissions(place.path(&path), was).unwrap();
        }
        let said = verify(&store).ok();
        assert!(said.starts_with("0 faults"), "{said}");
    }
}
