//! Divides a convolution by the fast kernels, which read packed weights, into shares: several smaller launches, each within four
//! limits. These are the words that are copied to a texture at a time, which should fit a cache, the words in a storage binding,
//! the workgroups in a dimension, and the work in a launch.

use super::problem::Params;
use super::runs::{most_work, times};
use crate::gpu::{Adapter, PART_ALIGNMENT, Words};
use crate::{Error, Result};

/// Words of a tensor that one launch reads as texels, at most, where one image or eight output channels are not more: what
/// the copy takes is bounded, and stays in a cache.
const TEXEL_WORDS: u32 = 3 << 18;

/// `count` in as few shares of at most `most` as possible, all of about this size.
pub(super) fn even(count: u32, most: u32) -> u32 {
    count.div_ceil(count.div_ceil(most))
}

/// A launch with the range that it binds of each buffer; `None` binds all of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub params: Params,
    pub x: Option<Words>,
    pub w: Option<Words>,
    pub y: Option<Words>,
    /// The number of blocks of eight output channels, over which the grid's second dimension goes.
    pub blocks: u32,
}

impl Params {
    /// Returns the number of words of one image of x, and of y.
    fn image_words(&self) -> [u32; 2] {
        [self.inputs * self.height * self.width, self.outputs * self.out_height * self.out_width]
    }
}

/// `count` items of so many words from the item `first` on, and the words before them that begin a texel.
fn items(first: u32, count: u32, words: u32) -> Words {
    let begin = first * words / 4 * 4;
    Words { first: begin, count: (first + count) * words - begin }
}

/// Returns how many images to compute at a time, so that each of these sizes stays within [`TEXEL_WORDS`].
fn images_at_once(images: u32, words: &[u32]) -> u32 {
    let largest = words.iter().copied().max().unwrap_or(1).max(1);
    even(images, (TEXEL_WORDS / largest).clamp(1, images))
}

/// The smallest number of items of so many numbers that ends where a part of a buffer may begin, in half precision too.
pub(super) fn between_parts(numbers: u32) -> u32 {
    let alignment = 2 * PART_ALIGNMENT;
    // A power of two divides both as often as the numbers end in zero bits.
    alignment >> numbers.trailing_zeros().min(alignment.trailing_zeros())
}

/// Most workgroups in a dimension.
const MAX_WORKGROUPS: u32 = 65_535;

/// The launches of a convolution that reads buffers: one, or runs of output channels whose weights a storage binding shows,
/// and runs of images that have no more workgroups than a dimension may. There are so many `tiles` an image, and in a
/// workgroup; an image is so much `work`.
pub(super) fn storage_shares(
    params: &Params,
    (tiles, workgroup): (u32, u32),
    work: u64,
    adapter: &Adapter,
) -> Result<Vec<Share>> {
    let blocks = params.outputs.div_ceil(8);
    let block = 8 * params.inputs * params.kernel_height * params.kernel_width;
    let fit = adapter.max_binding / 4 / u64::from(block);
    let unit = u64::from(between_parts(block));
    let all = u64::from(blocks) <= fit;
    let run = if all { blocks } else { u32::try_from(fit / unit * unit).unwrap_or(u32::MAX) };
    if run == 0 {
        let given = format_args!("{block} weights for 8 output channels");
        let wanted = format_args!(
            "at most {} bytes, 4 a weight: the adapter's largest binding",
            adapter.max_binding
        );
        return Err(Error::mismatch("packed_conv2d", given, wanted));
    }
    let most = u64::from(MAX_WORKGROUPS) * u64::from(workgroup) / u64::from(tiles.max(1));
    let most = u32::try_from(most).unwrap_or(u32::MAX).min(times(work, most_work(adapter)));
    let images = most.clamp(1, params.images);
    let mut shares = Vec::new();
    for first_image in (0..params.images).step_by(images as usize) {
        let images = images.min(params.images - first_image);
        for first_block in (0..blocks).step_by(run as usize) {
            let blocks = run.min(blocks - first_block);
            let part = Words { first: first_block * block, count: blocks * block };
            let w = (!all).then_some(part);
            let w_skip = w.map_or(0, |w| w.first);
            let params = Params { first_image, images, first_block, w_skip, ..*params };
            shares.push(Share { params, x: None, w, y: None, blocks });
        }
    }
    Ok(shares)
}

/// Returns the launches of a convolution that reads texels: it is divided by images and by blocks of output channels, so
/// that copies of x, of `taps` weights for each channel of y and of x, and of what is read like y (`reads_y`) stay within
/// the limit.
pub(super) fn texel_shares(whole: &Params, taps: u32, reads_y: bool) -> Vec<Share> {
    let [x_words, y_words] = whole.image_words();
    let images = images_at_once(whole.images, &[x_words, if reads_y { y_words } else { 1 }]);
    let (block, blocks) = (8 * whole.inputs * taps, whole.outputs.div_ceil(8));
    let most_blocks = even(blocks, (TEXEL_WORDS / block).clamp(1, blocks));
    let mut all = Vec::new();
    for first_image in (0..whole.images).step_by(images as usize) {
        let images = images.min(whole.images - first_image);
        for first_block in (0..blocks).step_by(most_blocks as usize) {
            let blocks = most_blocks.min(blocks - first_block);
            let x = items(first_image, images, x_words);
            let w = items(first_block, blocks, block);
            let y = items(first_image, images, y_words);
            let (x_skip, w_skip, y_skip) = (x.first, w.first, y.first);
            let params =
                Params { first_image, images, first_block, x_skip, w_skip, y_skip, ..*whole };
            all.push(Share { params, x: Some(x), w: Some(w), y: Some(y), blocks });
        }
    }
    all
}

/// Returns how many images of a weight gradient to compute at a time, so that the copies of x and dy to texels stay
/// within the limit.
pub(super) fn pair_images_at_once(whole: &Params) -> u32 {
    images_at_once(whole.images, &whole.image_words())
}

/// A launch of a weight gradient, which reads x and dy from buffers, or its images' part of both as texels.
pub(super) fn pair_share(mut params: Params, texels: bool) -> Share {
    let blocks = params.outputs.div_ceil(8);
    if !texels {
        return Share { params, x: None, w: None, y: None, blocks };
    }
    let copied = |words| items(params.first_image, params.images, words);
    let [x, dy] = params.image_words().map(copied);
    (params.x_skip, params.y_skip) = (x.first, dy.first);
    Share { params, x: Some(x), w: None, y: Some(dy), blocks }
}
