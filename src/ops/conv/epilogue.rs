//! The epilogue of a packed convolution: what it does to its sums before it stores them.

/// Where a residual is added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Residual {
    /// Nothing is added.
    #[default]
    None,
    /// The affine map is applied to the convolution itself.
    First,
    /// It is added after everything but the rectifier.
    Last,
}

/// What is done before the store; each flag but `relu` and `bits` takes one more input, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epilogue {
    /// Times scale plus shift, from an input \[2, channels of y\]; with a mask the scale alone.
    pub affine: bool,
    /// Zero where a bit is not set of an input as [`ReluMask`](crate::ops::ReluMask) makes it, of y's shape.
    pub mask: bool,
    /// Adds an input of y's shape.
    pub residual: Residual,
    /// Zero below 0.
    pub relu: bool,
    /// Makes one more output, what [`ReluMask`](crate::ops::ReluMask) would make of y: see
    /// [`PackedConv2d::writes_bits`](super::PackedConv2d::writes_bits).
    pub bits: bool,
}

impl Epilogue {
    /// As shaders/shared/epilogue_params.wgsl reads it; a mask's scale is no affine.
    pub(super) fn flags(self) -> u32 {
        let Self { affine, mask, relu, bits, .. } = self;
        let [affine, mask, relu, bits] = [affine && !mask, mask, relu, bits].map(u32::from);
        affine | mask << 1 | relu << 2 | (self.residual as u32) << 3 | bits << 5
    }

    /// As shaders/shared/epilogue_constants.wgsl reads it.
    pub(super) fn constants(self) -> [(&'static str, f64); 5] {
        let Self { affine, mask, residual, relu, bits } = self;
        [
            ("AFFINE", f64::from(affine && !mask)),
            ("MASK", f64::from(mask)),
            ("RELU", f64::from(relu)),
            ("RESIDUAL", f64::from(residual as u32)),
            ("BITS", f64::from(bits)),
        ]
    }
}
