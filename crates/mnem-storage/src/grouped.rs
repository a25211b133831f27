//! Counts in messages.

use std::fmt::{self, Display};

/// A count with thousands separators: `4,077`.
pub(crate) struct Grouped(pub(crate) u64);

impl Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A number of blocks: `1 block`, `4,077 blocks`.
pub(crate) struct Blocks(pub(crate) u64);

impl Display for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} block{}", Grouped(self.0), if self.0 == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let texts = [0, 999, 1_000, 1_234_567].map(|count| Grouped(count).to_string());
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1, 2_000].map(|count| Blocks(count).to_string()), ["0 blocks", "1 block", "2,000 blocks"]);
    }
}
