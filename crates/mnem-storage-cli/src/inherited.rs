//! Signals that the parent process had ignored, such as under `nohup` or in the background of a script. They stay ignored.

/// The signals to handle: those that are not ignored. Call it before installing any handler.
///
/// Only Linux can list ignored signals without changing them; elsewhere all signals are returned.
pub(crate) fn heeded(signals: &[i32]) -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored(&status);
    signals.iter().copied().filter(|signal| ignored & bit(*signal) == 0).collect()
}

/// The set of ignored signals in the text of `/proc/self/status`; empty if the text has none.
fn ignored(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

fn bit(signal: i32) -> u64 {
    u32::try_from(signal - 1).ok().and_then(|shift| 1_u64.checked_shl(shift)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_is_read_bit_by_bit() {
        let status = "Name:\tmnem-store\nSigBlk:\t0000000000004002\nSigIgn:\t0000000000001002\nSigCgt:\t0\n";
        assert_eq!(ignored(status), bit(2) | bit(13));
        assert_eq!((bit(1), bit(64)), (1, 1 << 63));
        assert_eq!(["", "SigIgn:\t?\n"].map(ignored), [0, 0]);
    }
}
