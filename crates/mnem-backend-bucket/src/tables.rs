//! The names of a store's objects.

/// The formats that this build reads; the first is what a new store gets.
pub const FORMATS: &[&str] = &["mnem-backend-bucket 1"];

/// The object that identifies the store. It is created last.
pub(crate) const FORMAT: &str = "mnem";

/// The object with which a creation probes the service.
pub(crate) const PROBE: &str = "probe";

/// The folder of the log.
pub(crate) const LOG: &str = "log";

/// The folder of the checkpoints.
pub(crate) const CHECKPOINTS: &str = "ckpt";

/// The name of the checkpoint of the entries from number `from` up to number `to` - 1.
pub(crate) fn checkpoint(to: u64, from: u64) -> String {
    format!("{CHECKPOINTS}/{to:020}-{from:020}")
}

/// `to` and `from` of the checkpoint with this name in its folder, if it is one.
pub(crate) fn numbers_of(name: &str) -> Option<(u64, u64)> {
    let (to, from) = name.split_once('-')?;
    Some((number(to)?, number(from)?))
}

/// The folder of the packs.
pub(crate) const PACKS: &str = "pack";

/// The name of a pack.
pub(crate) fn pack(digest: &[u8]) -> String {
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{PACKS}/{hex}.car")
}

/// The digest of the pack with this name in its folder, if it is one.
pub(crate) fn digest_of(name: &str) -> Option<[u8; 32]> {
    let hex = name.strip_suffix(".car").filter(|hex| hex.len() == 64 && hex.is_ascii())?;
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    (pack(&digest).strip_prefix(PACKS)?.strip_prefix('/')? == name).then_some(digest)
}

/// Digits of the number in the name of an entry.
const DIGITS: usize = 20;

/// The name of an entry of the log.
pub(crate) fn slot(n: u64) -> String {
    format!("{LOG}/{n:020}.car")
}

/// The number of the entry with this name in the folder of the log, if it is one.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    number(name.strip_suffix(".car")?)
}

fn number(digits: &str) -> Option<u64> {
    let is_number = digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_one_name() {
        for n in [0, 42, u64::MAX] {
            assert_eq!(slot(n).strip_prefix("log/").and_then(number_of), Some(n));
        }
        assert_eq!(checkpoint(7, 3).strip_prefix("ckpt/").and_then(numbers_of), Some((7, 3)));
        assert_eq!(pack(&[0xa7; 32]).strip_prefix("pack/").and_then(digest_of), Some([0xa7; 32]));
        for name in ["42.car", &format!("{}.car", "A7".repeat(32)), &format!("{}.car", "+7".repeat(32))] {
            assert_eq!(digest_of(name), None, "{name}");
        }
        for name in ["42.car", "00000000000000000042.tmp", "+0000000000000000042.car", "99999999999999999999.car"] {
            assert_eq!(number_of(name), None, "{name}");
        }
    }
}
