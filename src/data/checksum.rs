//! Computes the FNV-1a hash with 64 bits: of the names of random streams, to make their seeds, and of images and weights, as
//! fingerprints by which a run or a cache recognises them. It is not for security.

/// The hash of all bytes fed so far.
pub struct Checksum(u64);

impl Checksum {
    /// The checksum of no bytes: FNV's offset basis.
    pub fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Goes on from the hash of earlier bytes.
    #[cfg(feature = "cli")]
    pub fn from(value: u64) -> Self {
        Self(value)
    }

    /// Adds bytes to the hash one after another, multiplying by FNV's 64-bit prime.
    pub fn feed(mut self, bytes: impl IntoIterator<Item = u8>) -> Self {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self
    }

    /// Returns the hash of the bytes so far.
    pub fn value(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        // From the FNV reference code's test suite (test_fnv.c).
        assert_eq!(Checksum::new().value(), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Checksum::new().feed(*b"a").value(), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(Checksum::new().feed(*b"foobar").value(), 0x8594_4171_f739_67e8);
    }
}
