//! `links` of DAG-JSON: accepts any JSON, and follows the rules of the reserved namespace exactly.

use mnem_store_traits::{Cid, DAG_JSON, ErrorKind, RAW, StoreError, cid_of, links};

fn read(text: &[u8]) -> Result<Vec<Cid>, StoreError> {
    links(&cid_of(DAG_JSON, text), text)
}

#[track_caller]
fn accepts(text: &str, expected: &[Cid]) {
    match read(text.as_bytes()) {
        Ok(found) => assert_eq!(found, expected, "{text}"),
        Err(error) => panic!("{text} is refused: {}", error.in_full()),
    }
}

#[track_caller]
fn refuses(text: impl AsRef<[u8]>, why: &str) {
    let shown = String::from_utf8_lossy(text.as_ref());
    match read(text.as_ref()) {
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Malformed, "{shown}: {error:?}");
            let told = error.in_full().to_string();
            assert!(told.contains("is not valid DAG-JSON: ") && told.contains(why), "{shown}: {told}");
        }
        Ok(found) => panic!("{shown} is accepted, with links {found:?}"),
    }
}

fn leaf() -> Cid {
    cid_of(RAW, b"leaf")
}

fn v0() -> Cid {
    Cid::new_v0(*leaf().hash()).expect("a CIDv0")
}

fn link(cid: &Cid) -> String {
    format!(r#"{{"/":"{cid}"}}"#)
}

#[test]
fn every_kind_of_value_is_accepted() {
    for text in [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-1",
        "1.5",
        "1e5",
        "1E+05",
        "0.0e-0",
        "\"\"",
        "\"a\"",
        "[]",
        "{}",
        "[1,2]",
        r#"{"a":1,"b":[{}]}"#,
        " [ 1 , { \"a\" : 2 } ]\r\n\t",
        r#""\"\\\/\b\f\n\r\t\u0041\ud83d\ude00""#,
        "\"é\u{10ffff}\"",
        r#"{"b":1,"a":2}"#,
        r#"{"":1}"#,
    ] {
        accepts(text, &[]);
    }
}

#[test]
fn no_number_is_too_large() {
    let digits = "9".repeat(100_000);
    for text in ["18446744073709551616", "1e400", "-1e999999999999", &digits, &format!("0.{digits}e-{digits}")] {
        accepts(&format!("[{text},{}]", link(&leaf())), &[leaf()]);
    }
}

#[test]
fn links_are_found_in_encoded_order_with_repetitions() {
    let identity: Cid = "bafkqaaa".parse().expect("the identity CID of nothing");
    let [a, b, c] = [leaf(), v0(), identity].map(|cid| link(&cid));
    accepts(&format!(r#"{{"z":[{a},{{"k":{b}}}],"y":{c},"x":{a}}}"#), &[leaf(), v0(), identity, leaf()]);
    accepts(&a, &[leaf()]);
    accepts(&format!(" {{ \"/\" : \"{}\" }} ", leaf()), &[leaf()]);
    // Escapes do not hide a link.
    accepts(&format!(r#"{{"\u002f":"{}"}}"#, leaf()), &[leaf()]);
    accepts(&format!(r#"{{"\/":"\u0062{}"}}"#, &leaf().to_string()[1..]), &[leaf()]);
    // A link inside a map whose key `/` has no special meaning.
    accepts(&format!(r#"{{"/":{{"/":{a}}}}}"#), &[leaf()]);
    accepts(&format!(r#"{{"/":[{a}],"b":{b}}}"#), &[leaf(), v0()]);
    accepts(&format!(r#"{{"/":{{"bytes":{a}}}}}"#), &[leaf()]);
}

#[test]
fn texts_and_bytes_are_no_links() {
    let cid = leaf();
    accepts(&format!(r#"["{cid}",{{"a":"{cid}"}}]"#), &[]);
    for bytes in ["", "AA", "AAA", "AAAA", "+/+/", "AQIDBA"] {
        accepts(&format!(r#"{{"/":{{"bytes":"{bytes}"}}}}"#), &[]);
    }
    for text in
        ["true", "1", "null", "[]", "{}", r#"{"abar":"baz","bytes":"foo"}"#, r#"{"bytes":true}"#, r#"{"b":"c"}"#]
    {
        accepts(&format!(r#"{{"/":{text}}}"#), &[]);
        accepts(&format!(r#"{{"/":{text},"bar":"baz"}}"#), &[]);
    }
    // A preceding key takes the map out of the reserved namespace.
    accepts(&format!(r#"{{"0bar":"baz","/":"{cid}"}}"#), &[]);
    accepts(r#"{"0bar":"baz","/":{"bytes":"foo!"}}"#, &[]);
}

#[test]
fn the_reserved_namespace_is_strict() {
    let cid = leaf();
    refuses(format!(r#"{{"/":"{cid}","bar":"baz"}}"#), "map that holds more than its link");
    refuses(r#"{"/":"foo","bar":"baz"}"#, "map that holds more than its link");
    refuses(r#"{"/":{"bytes":"foo","bar":"baz"}}"#, "map that holds more than its bytes");
    refuses(r#"{"/":{"bytes":"foo"},"bar":"baz"}"#, "map that holds more than its bytes");
    let upper = cid.to_string().to_uppercase();
    let base58 = "zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93bA";
    for text in ["", "foo", &format!("/ipfs/{cid}"), &format!("{cid} "), &upper, base58, &"b".repeat(5_000_000)] {
        refuses(format!(r#"{{"/":"{text}"}}"#), "link that is not the text of a CID at byte 5");
    }
    for bytes in ["A", "AAAAA", "AA==", "AB", "AAB", "A-A_", "AA AA", "é"] {
        refuses(format!(r#"{{"/":{{"bytes":"{bytes}"}}}}"#), "bytes that are not Base64");
    }
}

#[test]
fn a_block_is_exactly_one_value() {
    refuses("", "missing value at byte 0");
    refuses(" ", "missing value");
    refuses("1 2", "more than one value");
    refuses("[] ,", "more than one value");
    refuses("1\0", "more than one value");
    refuses("\u{feff}1", "missing value");
    for text in [
        "[1",
        "[1,",
        "[",
        "{",
        r#"{"a"#,
        r#"{"a""#,
        r#"{"a":"#,
        r#"{"a":1"#,
        r#"{"a":1,"#,
        "\"a",
        "\"\\",
        "-",
        "1.",
        "1e",
        "tru",
    ] {
        refuses(text, "at byte");
    }
}

#[test]
fn what_json_does_not_have_is_refused() {
    for text in [
        "01",
        "+1",
        ".5",
        "1.",
        "1.e5",
        "0x1",
        "NaN",
        "Infinity",
        "-Infinity",
        "'a'",
        "[1,]",
        "[,1]",
        "[1 2]",
        r#"{"a":1,}"#,
        "{a:1}",
        "{1:1}",
        r#"{"a" 1}"#,
        r#"{"a"::1}"#,
        "nulll",
        "// a\n1",
        "[1]]",
        "]",
        "}",
        r#"{"a":}"#,
        "True",
        "undefined",
        r#""\a""#,
        r#""\x41""#,
        r#""\u12""#,
        r#""\u12g4""#,
        "\"a\nb\"",
        "\"a\0b\"",
        "\"\u{1f}\"",
    ] {
        refuses(text, "at byte");
    }
    for text in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83d\u0041""#, r#""\ud83dx\ude00""#, r#""\ud83d\ud83d""#] {
        refuses(text, "half of a surrogate pair");
    }
    refuses(b"\"\xff\"", "text that is not UTF-8 at byte 1");
    refuses(b"\"\xed\xa0\x80\"", "text that is not UTF-8");
}

#[test]
fn a_key_comes_once_in_whatever_order() {
    let twice = "duplicate key";
    refuses(r#"{"foo":1,"foo":2,"bar":3}"#, twice);
    refuses(r#"{"foo":1,"bar":2,"foo":3}"#, twice);
    refuses(r#"{"b":1,"a":{"b":1},"c":1,"a":2}"#, twice);
    refuses(r#"{"a":1,"\u0061":2}"#, twice);
    refuses(r#"{"\u00e9":1,"b":2,"é":3}"#, twice);
    refuses(r#"{"\ud83d\ude00":1,"b":2,"😀":3}"#, twice);
    refuses(r#"{"/":1,"b":2,"\/":3}"#, twice);
    refuses(r#"[{"z":{"b":1,"a":1}},{"b":0,"a":1,"b":1}]"#, twice);
    accepts(r#"{"b":{"b":{"b":1,"a":2},"a":3},"a":{"a":1,"b":2}}"#, &[]);
    accepts(r#"[{"a":1},{"a":1},{"b":1,"a":1},{"b":1,"a":1}]"#, &[]);
    accepts(r#"{"\"":1,"\\":2,"":3}"#, &[]);
}

#[test]
fn nesting_has_a_limit_and_needs_no_stack() {
    let lists = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let maps = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let slashes = |depth: usize| format!("{}1{}", r#"{"/":"#.repeat(depth), "}".repeat(depth));
    for nested in [lists, maps, slashes] {
        accepts(&nested(128), &[]);
        refuses(nested(129), "too deeply nested");
    }
    refuses("[".repeat(5_000_000), "too deeply nested");
    refuses(r#"{"/":"#.repeat(1_000_000), "too deeply nested");
}
