//! Vectors that are hard to order, or whose squares 32 bits cannot hold.

/// Reproducible random numbers.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }

    /// A number from −1 to 1.
    fn fraction(&mut self) -> f32 {
        (self.next() >> 40) as f32 / 8_388_608.0 - 1.0
    }

    /// Any finite number, small or large.
    fn any(&mut self) -> f32 {
        loop {
            let number = f32::from_bits((self.next() >> 32) as u32);
            if number.is_finite() {
                return number;
            }
        }
    }

    fn vector(&mut self, width: usize, mut number: impl FnMut(&mut Self) -> f32) -> Vec<f32> {
        (0..width).map(|_| number(self)).collect()
    }
}

/// From subnormal numbers to the largest.
pub(crate) const SCALES: [f32; 15] =
    [1e-45, 1e-43, 1e-40, 1e-37, 1e-30, 1e-25, 1e-19, 1e-10, 1.0, 1e10, 1e19, 1e20, 1e30, 1e36, 1e38];

pub(crate) type Family = (String, Vec<Vec<f32>>);

/// Every family of `count` vectors, none of them zero.
pub(crate) fn all(count: usize, random: &mut Random) -> Vec<Family> {
    let mut families = Vec::new();
    let mut add = |name: String, vectors: Vec<Vec<f32>>| {
        assert!(vectors.iter().flatten().all(|x| x.is_finite()), "{name}");
        let vectors = vectors.into_iter().filter(|vector| vector.iter().any(|x| *x != 0.0)).collect();
        families.push((name, vectors));
    };
    for scale in SCALES {
        let step = |n: usize| ((n + 1) as f64 * f64::from(scale) / if scale > 1e36 { 64.0 } else { 1.0 }) as f32;
        add(format!("a line at steps of {scale:e}"), (0..count).map(|n| vec![step(n)]).collect());
        let bent = |n: usize| vec![step(n), step(n * n % 7), -step(n % 3)];
        add(format!("a bent line at steps of {scale:e}"), (0..count).map(bent).collect());
        add(format!("at random up to {scale:e}"), repeat(count, || random.vector(9, |r| r.fraction() * scale)));
    }
    let town = || vec![0.903_f32 + random.fraction() * 3e-6, 0.047 + random.fraction() * 3e-6];
    add("a town in radians".into(), repeat(count, town));
    add("numbers of any size".into(), repeat(count, || random.vector(5, Random::any)));
    add("numbers of any size, many".into(), repeat(count, || random.vector(40, Random::any)));
    let one_size = || {
        let size = random.any();
        random.vector(6, |r| r.fraction() * size.abs().min(1e38))
    };
    add("vectors of any size".into(), repeat(count, one_size));
    add("a grid".into(), repeat(count, || random.vector(3, |r| r.below(3) as f32 - 1.0)));
    add("a wide grid".into(), repeat(count, || random.vector(3, |r| (r.below(3) as f32 - 1.0) * 8_388_609.0)));
    add("a grid of the largest".into(), repeat(count, || random.vector(3, |r| (r.below(3) as f32 - 1.0) * f32::MAX)));
    add("a grid of the smallest".into(), repeat(count, || random.vector(3, |r| f32::from_bits(r.below(3) as u32))));
    let base = random.vector(12, Random::fraction);
    add("a bit apart".into(), repeat(count, || base.iter().map(|x| a_bit_more(*x, random.below(2))).collect()));
    add("turned round".into(), repeat(count, || turned(&base, random)));
    let few = repeat(5, || random.vector(4, Random::fraction));
    add("few, many times".into(), repeat(count, || few[random.below(5) as usize].clone()));
    let multiples = || {
        let factor = [1.0, 2.0, 3.0, -1.0, 0.1, 1e-30, 1e30][random.below(7) as usize];
        few[random.below(5) as usize].iter().map(|x| x * factor).collect()
    };
    add("multiples".into(), repeat(count, multiples));
    let giants = (0..count).map(|n| random.vector(4, |r| r.fraction() * if n < 3 { 1e38 } else { 1.0 }));
    add("three giants".into(), giants.collect());
    // The large parts cancel, and the small ones decide.
    let cancelling = || vec![1e20, 1.0 + random.fraction(), -1e20, 1e-20 * random.fraction()];
    add("cancelling".into(), repeat(count, cancelling));
    families
}

fn repeat(count: usize, mut make: impl FnMut() -> Vec<f32>) -> Vec<Vec<f32>> {
    (0..count).map(|_| make()).collect()
}

fn a_bit_more(x: f32, bits: u64) -> f32 {
    f32::from_bits(x.to_bits() + bits as u32)
}

/// The same numbers in another order and with other signs: a vector of the same length, and often at the same distance
/// from a third.
fn turned(base: &[f32], random: &mut Random) -> Vec<f32> {
    let start = random.below(base.len() as u64) as usize;
    let turned = base[start..].iter().chain(&base[..start]);
    turned.map(|x| if random.below(2) == 0 { *x } else { -x }).collect()
}
