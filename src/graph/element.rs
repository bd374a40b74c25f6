//! The number formats in which a value of a computation graph may lie in GPU memory: single or half precision.

/// The type of a value's numbers in memory. Kernels compute in single precision in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Element {
    /// Four bytes: a number in single precision, a whole number, or 32 bits of a mask.
    #[default]
    Word,
    /// Two bytes: a number in half precision, of 11 significant bits and at most 65,504.
    Half,
}

impl Element {
    /// Returns the number of 4-byte words that `count` numbers of this type take; kernels read and write them four at a time, so
    /// halves are padded to a multiple of four.
    pub fn words(self, count: u32) -> u32 {
        match self {
            Self::Word => count,
            Self::Half => count.div_ceil(4) * 2,
        }
    }
}
