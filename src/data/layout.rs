//! The layout of an array of images: where its channels are, or that the shape decides.

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
