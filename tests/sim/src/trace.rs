//! What happened in a run, as one number: two runs of a seed must have the same.

/// A hash (after FNV-1a, by words) over everything that came to the server.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    events: u64,
    /// Says every event.
    pub aloud: bool,
}

impl Default for Trace {
    fn default() -> Self {
        Self { hash: 0xCBF2_9CE4_8422_2325, events: 0, aloud: false }
    }
}

impl Trace {
    /// Something came to the server.
    pub fn note(&mut self, at: u64, link: usize, subject: &str, payload: &[u8]) {
        self.events += 1;
        self.mix(&at.to_le_bytes());
        self.mix(&link.to_le_bytes());
        self.mix(subject.as_bytes());
        self.mix(payload);
        if self.aloud {
            println!("{at:>8} #{link} {subject} {}", String::from_utf8_lossy(payload));
        }
    }

    fn mix(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        let words = words.iter().map(|word| u64::from_le_bytes(*word));
        for part in words.chain(rest.iter().map(|byte| u64::from(*byte))) {
            self.hash = (self.hash ^ part).wrapping_mul(0x0100_0000_01B3).rotate_left(23);
        }
    }

    /// The number.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many events there were.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }
}
