//! Input that is not an archive, and data that follows one by mistake: recognised by the first bytes, with advice.

use mnem_car::{CarFault, ForeignFormat};

use crate::fixtures::{car, car_v2, family, index_of, read};

fn fault(archive: &[u8]) -> (CarFault, u64, u64) {
    read(archive).fault.expect("no archive")
}

/// The beginnings of real files, and the words that must name them and give advice.
fn samples() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let mut tar = vec![0; 1024];
    tar[..5].copy_from_slice(b"a.car");
    tar[257..262].copy_from_slice(b"ustar");
    let texts: [(&str, &str, &str); 12] = [
        ("<!DOCTYPE html>\n<html lang=\"en\"><head>", "HTML", "check the URL"),
        ("\n  <!doctype HTML><title>404</title>", "HTML", "check the URL"),
        ("<html><body>Sign in</body></html>", "HTML", "check the URL"),
        ("<HTML>\r\n<HEAD>", "HTML", "check the URL"),
        ("\u{feff}<!DOCTYPE html><p>\u{fc}</p>", "HTML", "check the URL"),
        ("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "XML", "check the URL"),
        ("{\"error\": \"not found\"}", "JSON", "check the URL"),
        ("  [1, 2]", "JSON", "check the URL"),
        ("HTTP/1.1 404 Not Found\r\n\r\n", "HTTP response", "`curl` without `-i`"),
        ("hello, world\n", "text", "check the URL"),
        ("ipfs resolve -r /ipfs/bafy: context deadline exceeded", "text", "check the URL"),
        ("\u{feff}hello", "text", "check the URL"),
    ];
    let binary: [(&[u8], &str, &str); 22] = [
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "gzip", "gzip -d"),
        (b"\x28\xb5\x2f\xfd\x04\x58\x29\x00", "zstd", "zstd -d"),
        (b"\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46", "xz", "xz -d"),
        (b"BZh91AY&SY", "bzip2", "bzip2 -d"),
        (b"\x04\x22\x4d\x18\x64\x40\xa7", "lz4", "lz4 -d"),
        (b"PK\x03\x04\x14\x00\x00\x00", "zip", "unzip"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "7-Zip", "7z x"),
        (b"Rar!\x1a\x07\x01\x00", "RAR", "unrar"),
        (&tar, "tar", "tar -xf"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF", "check"),
        (b"PACK\x00\x00\x00\x02\x00\x00\x00\x03", "git pack", "git"),
        (b"# v2 git bundle\n", "git bundle", "git"),
        (b"redb\x1a\x0a\xa9\x0d\x0a\x00", "redb", "check the path"),
        (b"SQLite format 3\x00\x10\x00", "SQLite", "check"),
        (b"\x7fELF\x02\x01\x01", "ELF", "check"),
        (b"\x89PNG\r\n\x1a\n", "PNG", "check"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "JPEG", "check"),
        (b"\xff\xfe<\x00h\x00", "UTF-16", "check"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "Git LFS", "git lfs pull"),
        (b"LZIP\x01\x0c", "lzip", "lzip -d"),
        (b"-----BEGIN PGP MESSAGE-----\n", "PEM", "decrypt"),
        (b"\x1f\x9d\x90", "compress", "uncompress"),
    ];
    let text = texts.iter().map(|(text, name, advice)| (text.as_bytes().to_vec(), *name, *advice));
    text.chain(binary.iter().map(|(bytes, name, advice)| (bytes.to_vec(), *name, *advice))).collect()
}

fn check(format: ForeignFormat, name: &str, advice: &str) {
    assert!(format.name.contains(name), "{format:?} is {name}");
    assert!(format.advice.contains(advice), "{format:?}: {advice}");
}

#[test]
fn input_of_another_format_is_named() {
    for (bytes, name, advice) in samples() {
        // As short as allowed, and with more data after it.
        for bytes in [bytes.clone(), [&bytes[..], &bytes, &[b' '; 3000]].concat()] {
            let (fault, ..) = fault(&bytes);
            let CarFault::OtherFormat { format } = fault else { panic!("{name}: {fault:?}") };
            check(format, name, advice);
        }
    }
}

#[test]
fn what_is_only_taken_for_an_archive_at_its_start_is_named() {
    let (root, blocks) = family();
    let marked = [&b"\xef\xbb\xbf"[..], &car(&[root], &blocks)].concat();
    let index = index_of(0x0401, &[root], &blocks);
    for (bytes, name) in [(marked, "byte order mark"), (vec![0; 4096], "zeros"), (index, "index")] {
        let CarFault::OtherFormat { format } = fault(&bytes).0 else { panic!("{name}") };
        assert!(format.name.contains(name), "{format:?}");
    }
}

#[test]
fn what_follows_an_archive_is_named() {
    let (root, blocks) = family();
    let archive = car(&[root], &blocks);
    for (bytes, name, _) in samples() {
        for bytes in [bytes.clone(), [&bytes[..], &[b' '; 3000]].concat()] {
            let (fault, section_offset, offset) = fault(&[&archive[..], &bytes].concat());
            let CarFault::Trailing { format } = fault else { panic!("{name}: {fault:?}") };
            assert!(format.name.contains(name), "{format:?} is {name}");
            assert_eq!((section_offset, offset), (archive.len() as u64, archive.len() as u64));
        }
    }
}

#[test]
fn newlines_after_an_archive_are_named() {
    let (root, blocks) = family();
    for archive in [car(&[root], &blocks), car_v2(&car(&[root], &blocks), 51, b"")] {
        for (end, name) in
            [("\n", "a newline"), ("\r\n", "a newline"), ("\n\n", "newlines"), ("\r\n\r\n\r\n", "newlines")]
        {
            let (fault, _, offset) = fault(&[&archive[..], end.as_bytes()].concat());
            let CarFault::Trailing { format } = fault else { panic!("{end:?}: {fault:?}") };
            assert_eq!((format.name, offset), (name, archive.len() as u64), "{end:?}");
        }
    }
}

#[test]
fn archives_are_never_taken_for_something_else() {
    // An archive cut off at any byte is reported as cut off, even if the rest could begin another format.
    let (root, blocks) = family();
    let archive = car(&[root], &blocks);
    for end in 1..archive.len() {
        if let Some((fault, ..)) = read(&archive[..end]).fault {
            assert!(matches!(fault, CarFault::CutOff { .. }), "at {end}: {fault}");
        }
    }
}
