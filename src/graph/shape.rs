//! The shapes of values in a computation graph: images, channels, height and width (NCHW). A vector of n elements is one image
//! of n channels and one pixel.

use crate::{Error, Result};
use std::fmt;

/// The shape of a value: images, channels, height and width, each at least 1, with at most 2^30 elements in all: then 4-byte
/// offsets, and any index plus a stride, stay below 2^32 in the kernels' u32 arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape([u32; 4]);

impl Shape {
    /// The shape of a single number.
    pub const SCALAR: Self = Self([1; 4]);

    /// Makes a shape of four sides. Err `Mismatch` if a side is 0, `OutOfMemory` if there are more than 2^30 elements.
    pub fn new(images: u32, channels: u32, height: u32, width: u32) -> Result<Self> {
        let shape = Self([images, channels, height, width]);
        let elements = shape.0.iter().try_fold(1u32, |product, &side| product.checked_mul(side));
        match elements {
            Some(1..=0x4000_0000) => Ok(shape),
            _ if shape.0.contains(&0) => {
                Err(Error::mismatch("shape", shape, "sides of at least 1"))
            }
            // A smaller batch may do, as where a device has no room.
            _ => Err(Error::OutOfMemory(format!(
                "a tensor of shape {shape} is too large: at most 2^30 elements fit"
            ))),
        }
    }

    /// Makes the shape of a batch of square images. Take the number of values from its `elements`: a product written by hand may
    /// be beyond 2^32.
    pub fn square(images: u32, channels: u32, side: u32) -> Result<Self> {
        Self::new(images, channels, side, side)
    }

    /// Makes the shape of a vector: one number for each channel.
    pub fn vector(channels: u32) -> Result<Self> {
        Self::new(1, channels, 1, 1)
    }

    /// Makes the shape of one number for each image, such as losses and labels.
    pub fn per_image(images: u32) -> Result<Self> {
        Self::new(images, 1, 1, 1)
    }

    /// Makes the shape of a matrix, such as logits (images by classes) or the weights of a linear layer (outputs by inputs).
    pub fn matrix(rows: u32, columns: u32) -> Result<Self> {
        Self::new(rows, columns, 1, 1)
    }

    /// Returns the four sides in the order N, C, H, W (weights of convolutions: O, I, H, W).
    pub fn sides(self) -> [u32; 4] {
        self.0
    }

    /// Returns the number of images, N; for convolution weights the number of output channels.
    pub fn images(self) -> u32 {
        self.0[0]
    }

    /// Returns the number of channels, C; for convolution weights the number of input channels.
    pub fn channels(self) -> u32 {
        self.0[1]
    }

    /// Returns the height H of the images, or of a convolution's filter.
    pub fn height(self) -> u32 {
        self.0[2]
    }

    /// Returns the width W of the images, or of a convolution's filter.
    pub fn width(self) -> u32 {
        self.0[3]
    }

    /// Returns the number of pixels in one channel of an image, height times width.
    pub fn pixels(self) -> u32 {
        self.0[2] * self.0[3]
    }

    /// Returns the number of elements, the product of all four sides.
    pub fn elements(self) -> u32 {
        self.0.iter().product()
    }

    /// Returns the shape with another number of images. Err beyond 2^30 elements.
    pub fn with_images(self, images: u32) -> Result<Self> {
        Self::new(images, self.0[1], self.0[2], self.0[3])
    }

    /// Checks that the shape is `wanted`. Err, with a message that names `op`, if it is not.
    pub fn expect(self, op: &'static str, wanted: Shape) -> Result<()> {
        if self == wanted { Ok(()) } else { Err(Error::mismatch(op, self, wanted)) }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [n, c, h, w] = self.0;
        write!(f, "{n}x{c}x{h}x{w}")
    }
}

#[test]
fn squares_beyond_32_bits_are_refused() {
    use crate::Error::{Mismatch, OutOfMemory};
    assert!(matches!(Shape::square(1, 1, 65_536), Err(OutOfMemory(_))));
    assert!(matches!(Shape::square(1, 3, u32::MAX), Err(OutOfMemory(_))));
    assert!(matches!(Shape::square(0, 1, 65_536), Err(Mismatch { .. })));
    assert_eq!(Shape::square(2, 3, 4).map(Shape::elements).ok(), Some(96));
}
