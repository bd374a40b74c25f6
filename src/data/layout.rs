//! Says whether an array of images has its channels first (NCHW) or last (NHWC), or whether the shape decides.

/// The order of the dimensions of an array of images: where its channels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisOrder {
    /// Found by the shape: the dimension of 1 or 3 is the channels.
    Plain,
    /// Channels first: \[N, C, H, W\].
    Nchw,
    /// Channels last: \[N, H, W, C\].
    Nhwc,
}
