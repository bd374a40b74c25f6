//! The epilogue of a fast convolution: operations such as scale, residual and ReLU on its sums before they are stored.

/// The place in the epilogue at which a residual is added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Residual {
    /// No residual is added.
    #[default]
    None,
    /// The residual is added to the convolution's sums before everything else.
    First,
    /// The residual is added after everything but the rectifier.
    Last,
}

/// The operations on a convolution's sums before they are stored; each flag but `relu` and `bits` takes one more input, in this
/// order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epilogue {
    /// Multiplies each channel of y by a scale and adds a shift, from an input \[2, channels of y\]; with a mask it only scales.
    pub affine: bool,
    /// Sets y to zero where its bit in an input is not set: a mask, as [`ReluMask`](crate::ops::ReluMask) makes it of values of
    /// y's shape.
    pub mask: bool,
    /// Adds a residual, an input of y's shape, to y.
    pub residual: Residual,
    /// Applies a rectifier: values below 0 become 0.
    pub relu: bool,
    /// Whether there is one more output, the mask that [`ReluMask`](crate::ops::ReluMask) would make of y: see
    /// [`PackedConv2d::writes_bits`](super::PackedConv2d::writes_bits).
    pub bits: bool,
}

impl Epilogue {
    /// Returns the flags as shaders/shared/epilogue_params.wgsl reads them; a mask's scale is no affine.
    pub(super) fn flags(self) -> u32 {
        let Self { affine, mask, relu, bits, .. } = self;
        let [affine, mask, relu, bits] = [affine && !mask, mask, relu, bits].map(u32::from);
        affine | mask << 1 | relu << 2 | (self.residual as u32) << 3 | bits << 5
    }

    /// Returns the constants that shaders/shared/epilogue_constants.wgsl reads.
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
