//! How the packed convolutions are cut into launches: whole, or in the shares that uniform windows show.

use crate::gpu::{Adapter, AdapterKind, WINDOW_ALIGNMENT, WINDOW_WORDS, uniform};

/// Invocations in a workgroup, at most.
pub(super) const WORKGROUP: u32 = 32;

/// Invocations in a workgroup on CPU rasterisers without windows: two of their subgroups, whatever the launch, so that
/// one pipeline does for all.
pub(super) const WORKGROUP_OF_CPUS: u32 = 8;

/// Workgroups a launch should have: enough for a CPU rasteriser's threads to end together.
const ENOUGH: u32 = 8;

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

/// The launches of a convolution whose reads all fit windows: images by what x's (and y's, if mask or
/// residual are read) show, output channels by what w's shows. `None` if even one does not fit.
pub(super) fn shares(whole: &Params, y_words: Option<u32>) -> Option<Vec<Share>> {
    let x_words = whole.inputs * whole.height * whole.width;
    let block_words = whole.inputs * whole.kernel_height * whole.kernel_width * 8;
    let mut most = shown(x_words, whole.images)?;
    if let Some(words) = y_words {
        most = most.min(shown(words, whole.images)?);
    }
    let blocks = whole.outputs.div_ceil(8);
    let lost = if block_words.is_multiple_of(WINDOW_ALIGNMENT) { 0 } else { WINDOW_ALIGNMENT };
    let blocks_shown = ((WINDOW_WORDS - lost) / block_words).min(blocks);
    if blocks_shown == 0 {
        return None;
    }
    let (most, blocks_shown) = (even(whole.images, most), even(blocks, blocks_shown));
    let mut all = Vec::new();
    for first_image in (0..whole.images).step_by(most as usize) {
        let x = window(first_image * x_words, x_words * whole.images);
        let y = y_words.map(|words| window(first_image * words, words * whole.images));
        for first_block in (0..blocks).step_by(blocks_shown as usize) {
            let w = window(first_block * block_words, windowed(blocks * block_words));
            let images = most.min(whole.images - first_image);
            let skips = Params { x_skip: x, w_skip: w, y_skip: y.unwrap_or(0), ..*whole };
            all.push(Share {
                params: Params { first_image, images, first_block, ..skips },
                x: Some(x),
                w: Some(w),
                y,
                blocks: blocks_shown.min(blocks - first_block),
            });
        }
    }
    Some(all)
}

/// The windows of a weight gradient over x and dy: images by what both show.
pub(super) fn pair_shares(whole: &Params) -> Option<Vec<Share>> {
    let x_words = whole.inputs * whole.height * whole.width;
    let dy_words = whole.outputs * whole.out_height * whole.out_width;
    let most = shown(x_words, whole.images)?.min(shown(dy_words, whole.images)?);
    let first = (0..whole.images).step_by(most as usize);
    let share = |first_image| {
        let x = window(first_image * x_words, x_words * whole.images);
        let y = window(first_image * dy_words, dy_words * whole.images);
        let images = most.min(whole.images - first_image);
        let params = Params { first_image, images, x_skip: x, y_skip: y, ..*whole };
        Share { params, x: Some(x), w: None, y: Some(y), blocks: whole.outputs.div_ceil(8) }
    };
    Some(first.map(share).collect())
}
