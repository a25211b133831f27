//! Numbers that are the same for the same seed.

/// xorshift64*.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end.max(1)
    }

    /// A fraction of at least -1 and less than 1.
    pub fn fraction(&mut self) -> f32 {
        (self.number() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// 16 bytes.
    pub fn id(&mut self) -> [u8; 16] {
        let [a, b] = [self.number(), self.number()].map(u64::to_be_bytes);
        std::array::from_fn(|at| if at < 8 { a[at] } else { b[at - 8] })
    }

    /// A vector of length one.
    pub fn unit(&mut self, numbers: usize) -> Vec<f32> {
        loop {
            let vector: Vec<f32> = (0..numbers).map(|_| self.fraction()).collect();
            if let Some(unit) = mnem_ann_persist::normalized(&vector) {
                return unit;
            }
        }
    }
}
