//! Node ids: their text, and texts that are not ids.

use mnem_ann_persist::NodeId;

#[test]
fn text_and_bytes_are_one() {
    let id = NodeId([0x00, 0x01, 0x0f, 0x10, 0x7f, 0x80, 0x9a, 0xbc, 0xde, 0xf0, 0xff, 0xfe, 0x55, 0xaa, 0x33, 0xcc]);
    assert_eq!(id.to_string(), "00010f107f809abcdef0fffe55aa33cc");
    assert_eq!("00010f107f809abcdef0fffe55aa33cc".parse(), Ok(id));
    assert_eq!("00010F107F809ABCDEF0FFFE55AA33CC".parse(), Ok(id));
}

#[test]
fn other_texts_are_refused() {
    for text in [
        "",
        "00",
        "00010f107f809abcdef0fffe55aa33c",
        "00010f107f809abcdef0fffe55aa33ccc",
        "00010f107f809abcdef0fffe55aa33cc00",
        "0x010f107f809abcdef0fffe55aa33cc",
        "+0010f107f809abcdef0fffe55aa33cc",
        " 0010f107f809abcdef0fffe55aa33cc",
        "00010f107f809abcdef0fffe55aa33c\n",
        "00010f10-7f80-9abc-def0-fffe55aa33cc",
        "ÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿÿ",
    ] {
        assert!(text.parse::<NodeId>().is_err(), "{text:?}");
    }
}
