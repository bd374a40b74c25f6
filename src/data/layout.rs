//! The layout of an array of images: whether channels come first (NCHW) or last (NHWC), or are to be found by the shape.

/// The order of the dimensions of an array of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisOrder {
    /// The shape decides: the side of 1 or 3 is the channels.
    Plain,
    /// \[N, C, H, W\].
    Nchw,
    /// \[N, H, W, C\].
    Nhwc,
}
