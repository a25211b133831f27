//! Normalises answers: replaces times, and the names derived from them, which differ from run to run.

use std::collections::HashMap;

/// Replaces each CID, UUID and time by a word with a number: the same for the same text, numbered in order of
/// appearance. Changes nothing else.
pub(super) fn normalise(text: &str) -> String {
    let mut known: HashMap<(&'static str, String), usize> = HashMap::new();
    let mut result = String::new();
    let mut word = String::new();
    let mut last = String::new();
    for character in text.chars().chain(['\n']) {
        let in_time = matches!(character, ':' | '.') && is_hour(&word);
        if character.is_ascii_alphanumeric() || matches!(character, '-' | '_') || in_time {
            word.push(character);
            continue;
        }
        match kind(&word).or_else(|| (last == "elapsed_ms" && is_number(&word)).then_some("time")) {
            Some(kind) => {
                let next = known.len();
                let number = *known.entry((kind, word.clone())).or_insert(next);
                result.push_str(&format!("<{kind} {number}>"));
            }
            None => result.push_str(&word),
        }
        if !word.is_empty() {
            last = std::mem::take(&mut word);
        }
        result.push(character);
    }
    result.pop();
    result
}

fn kind(word: &str) -> Option<&'static str> {
    let base32 = |text: &str| text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
    // A short name consists of the 8 characters after the common prefix of all CIDs.
    if (word.starts_with("bafy") && word.len() > 50 || word.starts_with("fyrei") && word.len() == 8) && base32(word) {
        return Some("CID");
    }
    let groups: Vec<usize> = word.split('-').map(str::len).collect();
    if groups == [8, 4, 4, 4, 12] && word.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()) {
        return Some("UUID");
    }
    // Microseconds since 1970, or a duration.
    let micros = word.strip_suffix("us").unwrap_or(word);
    let took = word.strip_suffix("ms").is_some_and(is_number);
    (took || micros.len() >= 16 && is_number(micros) || is_hour(word)).then_some("time")
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a time in words begins so, such as `2026-11-29T01:03:33.249738Z`.
fn is_hour(word: &str) -> bool {
    let shape = |(byte, expected)| match expected {
        b'0' => u8::is_ascii_digit(&byte),
        _ => byte == expected,
    };
    word.len() >= 13 && word.bytes().zip(*b"0000-00-00T00").all(shape)
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn names_and_times_become_numbers_and_the_rest_stays() {
        let cid = "bafyreig57xhk5lw3hhha2uu7ocpjbbt5uqbm773vn4jkl6impk25f2xy5e";
        let text = format!(
            "op {cid}\n time 1795877429327285us\n fyreig57 {cid} 01a222a2-dfcb-73ab-97c8-9ebaa11516af, 26 blocks"
        );
        assert_eq!(normalise(&text), "op <CID 0>\n time <time 1>\n <CID 2> <CID 0> <UUID 3>, 26 blocks");
        assert_eq!(normalise("side-branch 12 fyrein"), "side-branch 12 fyrein");
        assert_eq!(normalise("elapsed_ms: 36, count: 36"), "elapsed_ms: <time 0>, count: 36");
        assert_eq!(normalise("at 2026-11-29T01:03:33.249738Z, then"), "at <time 0>, then");
    }

    #[test]
    fn another_order_is_another_text() {
        let [a, b] = ["01a222a2-dfcb-73ab-97c8-9ebaa11516af", "01a222a2-dfcb-73ab-97c8-9ebaa11516b0"];
        assert_ne!(normalise(&format!("{a} {a}")), normalise(&format!("{a} {b}")));
    }
}
