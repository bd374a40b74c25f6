//! Where an array of images has its channels.

/// What is said of an array's sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As the shape tells: the side of 1 or 3 is that of the channels.
    Plain,
    /// \[N, C, H, W\].
    Nchw,
    /// \[N, H, W, C\].
    Nhwc,
}
