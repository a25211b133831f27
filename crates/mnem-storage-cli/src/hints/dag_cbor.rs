//! Input that is to be a DAG-CBOR block, and is none.

/// What decoders object to, by a part of their words, and what that says of the bytes.
const WRONG: [(&str, &str); 9] = [
    ("TrailingData", "bytes follow the value, and a block is one value"),
    ("Eof", "it ends before its value does"),
    ("NonMinimal", "a number or length is written in more bytes than it needs"),
    ("UnorderedKey", "the keys of a map are not in order (shorter ones first), or one is there twice"),
    ("IndefiniteSize", "a length is not given beforehand"),
    ("map key", "the key of a map is not text"),
    ("RequireUtf8", "a text is not UTF-8"),
    ("Invalid CID", "a link (tag 42) holds no CID"),
    ("tag", "it has a tag other than 42, which is for links"),
];

/// `why`: what the decoder said.
pub(super) fn for_input(why: &str) -> String {
    let known = WRONG.iter().find(|(part, _)| why.contains(part)).map(|(_, wrong)| *wrong);
    let wrong =
        known.unwrap_or("it has a value that DAG-CBOR has not, as undefined, NaN, or a float of fewer than 64 bits");
    format!("{wrong}: encode it as DAG-CBOR, or leave out `--codec` to store the bytes as they are; nothing was stored")
}
