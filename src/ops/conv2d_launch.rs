//! How the packed convolutions are cut into launches: whole, or in the shares that uniform windows show.

use crate::gpu::{Adapter, AdapterKind, WINDOW_ALIGNMENT, WINDOW_WORDS, uniform};

/// Invocations in a workgroup, at most.
pub(super) const WORKGROUP: u32 = 32;

/// Invocations in a workgroup on CPU rasterisers without windows: two of their subgroups, whatever the launch, so that
/// one pipeline does for all.
pub(super) const WORKGROUP_OF_CPUS: u32 = 8;

/// Workgroups a launch should have: enough for a CPU rasteriser's threads to end together.
const ENOUGH: u32 = 8;

/// Launches that a convolution is cut into at most: each has a bind group, which takes longer to make than the launch that
/// it saves where so many are needed.
const MOST_LAUNCHES: usize = 1 << 12;

/// Invocations in a workgroup of a launch with so many invocations for each of `layers` workgroups in y
/// and z: fewer, down to one subgroup of a CPU, where that makes workgroups for all threads.
pub(super) fn workgroup(invocations: u32, layers: u32) -> u32 {
    let enough = |&size: &u32| invocations.div_ceil(size) * layers >= ENOUGH;
    [WORKGROUP, WORKGROUP / 2].into_iter().find(enough).unwrap_or(WORKGROUP / 4)
}

/// `count` in as few shares of at most `most` as possible, all of about this size.
fn even(count: u32, most: u32) -> u32 {
    count.div_ceil(count.div_ceil(most))
}

uniform! {
    pub(crate) struct Params {
        inputs: u32,
        height: u32,
        width: u32,
        outputs: u32,
        out_height: u32,
        out_width: u32,
        kernel_height: u32,
        kernel_width: u32,
        stride_y: u32,
        stride_x: u32,
        pad_y: u32,
        pad_x: u32,
        first_image: u32,
        images: u32,
        first_input: u32,
        end_input: u32,
        first_block: u32,
        x_skip: u32,
        w_skip: u32,
        y_skip: u32,
        epilogue: u32,
    }
}

/// One launch, with the first word of each window; `None` binds whole buffers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub params: Params,
    pub x: Option<u32>,
    pub w: Option<u32>,
    pub y: Option<u32>,
    /// Workgroups in y: blocks of eight output channels.
    pub blocks: u32,
}

impl Params {
    /// Where in x the channels of the launch begin.
    fn first_x_word(&self) -> u32 {
        (self.first_image * self.inputs + self.first_input) * self.height * self.width
    }

    /// Whether planes are made of squares of eight.
    pub(super) fn is_in_eights(&self) -> bool {
        self.width.is_multiple_of(8) && self.height.is_multiple_of(8)
    }
}

/// Whether uniform windows pay: on CPU rasterisers with subgroups to share loads.
pub(super) fn reads_windows(adapter: &Adapter) -> bool {
    adapter.kind == AdapterKind::Cpu && adapter.subgroup.is_some_and(|size| size >= 8)
}

/// A kernel's text: none where it cannot run, which keeps a page's file small. wgpu gives browsers no subgroups.
pub(super) const fn text(
    source: &'static [&'static str],
    subgroup: u32,
) -> &'static [&'static str] {
    if cfg!(target_arch = "wasm32") && subgroup > 0 { &[] } else { source }
}

/// Words of a buffer of its own that is read through windows: at least one, and whole alignments.
pub(super) fn windowed(words: u32) -> u32 {
    words.max(WINDOW_WORDS).next_multiple_of(WINDOW_ALIGNMENT)
}

/// Where a window begins that shows `first` and as much behind it as possible, in a buffer of `total` words.
fn window(first: u32, total: u32) -> u32 {
    (first / WINDOW_ALIGNMENT * WINDOW_ALIGNMENT).min(total - WINDOW_WORDS)
}

/// How many items of so many words a window shows, wherever they begin; at most `count`. `None` if not
/// one, or if windows do not reach every word of the buffer.
pub(super) fn shown(words: u32, count: u32) -> Option<u32> {
    let total = words.checked_mul(count)?;
    if total < WINDOW_WORDS || !total.is_multiple_of(WINDOW_ALIGNMENT) {
        return None;
    }
    let lost = if words.is_multiple_of(WINDOW_ALIGNMENT) { 0 } else { WINDOW_ALIGNMENT };
    Some(((WINDOW_WORDS - lost) / words).min(count)).filter(|&shown| shown > 0)
}

/// How many of all images a window shows whole, or 1 and how many of its channels.
fn images_or_channels(images: u32, channels: u32, plane: u32) -> Option<(u32, u32)> {
    if let Some(images) = shown(channels.checked_mul(plane)?, images) {
        return Some((images, channels));
    }
    Some((1, shown(plane, channels.checked_mul(images)?)?.min(channels)))
}

/// At most so many images, blocks of output channels and in channels at a time, the last of these innermost; with each the
/// number of its blocks. `None` for too many.
fn cut(whole: &Params, images: u32, most_blocks: u32, inputs: u32) -> Option<Vec<(Params, u32)>> {
    let blocks = whole.outputs.div_ceil(8);
    let mut all = Vec::new();
    for first_image in (0..whole.images).step_by(images as usize) {
        for first_block in (0..blocks).step_by(most_blocks as usize) {
            for first_input in (0..whole.inputs).step_by(inputs as usize) {
                let params = Params {
                    first_image,
                    images: images.min(whole.images - first_image),
                    first_input,
                    end_input: whole.inputs.min(first_input + inputs),
                    first_block,
                    ..*whole
                };
                all.push((params, most_blocks.min(blocks - first_block)));
            }
        }
    }
    (all.len() <= MOST_LAUNCHES).then_some(all)
}

/// The launches of a convolution whose reads all fit windows: images by what x's shows, or of one image so many channels,
/// whose sums are added up; output channels by what w's and y's show. `reads_y`: a mask or a residual is
/// read, as are the sums of earlier launches. `None` if a window shows too little, or it would take too many.
pub(super) fn shares(whole: &Params, reads_y: bool) -> Option<Vec<Share>> {
    let plane = whole.height * whole.width;
    let out_plane = whole.out_height * whole.out_width;
    let taps = whole.kernel_height * whole.kernel_width * 8;
    let blocks = whole.outputs.div_ceil(8);
    let lost = if taps.is_multiple_of(WINDOW_ALIGNMENT) { 0 } else { WINDOW_ALIGNMENT };
    let most_taps = (WINDOW_WORDS - lost) / taps;
    let (mut images, inputs) = images_or_channels(whole.images, whole.inputs, plane)?;
    let inputs = even(whole.inputs, inputs.min(most_taps).max(1));
    let mut most_blocks = 1 + most_taps.checked_sub(inputs)? / whole.inputs;
    let reads_y = reads_y || inputs < whole.inputs;
    if reads_y {
        let (y_images, channels) = images_or_channels(whole.images, whole.outputs, out_plane)?;
        images = images.min(y_images);
        if channels < whole.outputs {
            most_blocks = most_blocks.min(channels / 8);
        }
    }
    if most_blocks == 0 {
        return None;
    }
    let (images, most_blocks) = (even(whole.images, images), even(blocks, most_blocks));
    let share = |(params, blocks): (Params, u32)| {
        let w = (params.first_block * whole.inputs + params.first_input) * taps;
        let y = (params.first_image * whole.outputs + params.first_block * 8) * out_plane;
        let x = window(params.first_x_word(), whole.images * whole.inputs * plane);
        let w = window(w, windowed(whole.outputs.div_ceil(8) * whole.inputs * taps));
        let y = reads_y.then(|| window(y, whole.images * whole.outputs * out_plane));
        let params = Params { x_skip: x, w_skip: w, y_skip: y.unwrap_or(0), ..params };
        Share { params, x: Some(x), w: Some(w), y, blocks }
    };
    Some(cut(whole, images, most_blocks, inputs)?.into_iter().map(share).collect())
}

/// The windows of a weight gradient over x and dy: images by what both show, or channels of one image.
pub(super) fn pair_shares(whole: &Params) -> Option<Vec<Share>> {
    let (plane, out_plane) = (whole.height * whole.width, whole.out_height * whole.out_width);
    let (x_images, inputs) = images_or_channels(whole.images, whole.inputs, plane)?;
    let (dy_images, outputs) = images_or_channels(whole.images, whole.outputs, out_plane)?;
    let blocks = whole.outputs.div_ceil(8);
    let most_blocks = if outputs < whole.outputs { outputs / 8 } else { blocks };
    if most_blocks == 0 {
        return None;
    }
    let images = even(whole.images, x_images.min(dy_images));
    let (inputs, most_blocks) = (even(whole.inputs, inputs), even(blocks, most_blocks));
    let share = |(params, blocks): (Params, u32)| {
        let dy = (params.first_image * whole.outputs + params.first_block * 8) * out_plane;
        let x = window(params.first_x_word(), whole.images * whole.inputs * plane);
        let dy = window(dy, whole.images * whole.outputs * out_plane);
        let params = Params { x_skip: x, y_skip: dy, ..params };
        Share { params, x: Some(x), w: None, y: Some(dy), blocks }
    };
    Some(cut(whole, images, most_blocks, inputs)?.into_iter().map(share).collect())
}
