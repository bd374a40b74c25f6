//! How the packed convolutions are launched: in which variant; whole, or in shares of what is copied to texels
//! at a time or of what a storage binding shows.

use crate::gpu::{Adapter, AdapterKind, Kernel, Recording, Words, uniform};
use crate::{Error, Result};

/// Whether there is what pages do without, whose file is to stay small: Winograd's filtering, half precision, products of
/// matrices by workgroups. Browsers keep the direct kernels.
pub(super) const NATIVE: bool = !cfg!(target_arch = "wasm32");

/// Invocations in a workgroup, the static choice first.
const WORKGROUPS: [u32; 3] = [32, 64, 128];

/// The same on CPU rasterisers: one or two of their subgroups, so that all threads have some.
const WORKGROUPS_OF_CPUS: [u32; 3] = [8, 16, 32];

/// Words of a tensor that one launch reads as texels, at most, where one image or eight output channels are not more: what
/// the copy takes is bounded, and stays in a cache.
const TEXEL_WORDS: u32 = 3 << 18;

/// What a workgroup of shaders/conv2d_gemm.wgsl computes: so many blocks of eight output channels, for this many pairs of
/// quads. Shares begin at multiples of eight blocks, and tiles may not lie across two.
#[derive(Clone, Copy, Debug)]
pub(super) struct GemmTile {
    pub blocks: u32,
    pub pairs: u32,
}

/// For layers of many channels, and of 32: 64 channels by 64 pixels, 32 by 128.
const TILES: [GemmTile; 2] = [GemmTile { blocks: 8, pairs: 8 }, GemmTile { blocks: 4, pairs: 16 }];

/// What tuning chooses among on GPUs: [`WORKGROUPS`], and then [`TILES`].
const VARIANTS: [&str; 5] = ["32", "64", "128", "gemm 64x64", "gemm 32x128"];

/// How a packed convolution is computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    /// Invocations in a workgroup of those that compute on their own.
    pub workgroup: u32,
    tile: Option<GemmTile>,
}

impl Variant {
    /// The tile, if whole workgroups compute. Never on a page, whose file is to stay small: it holds nothing of what follows.
    pub(super) fn tile(self) -> Option<GemmTile> {
        if NATIVE { self.tile } else { None }
    }
}

/// The variant to record: direct, in workgroups of some size, or one of the first `tiles` [`TILES`]. Without measurements it
/// is direct, and the same whatever the launch, so that one pipeline does for all: what workgroup memory is worth differs
/// from GPU to GPU. On CPU rasterisers it is a loss, and tuning does not try it either.
pub(super) fn variant(
    to: &mut Recording,
    family: &'static str,
    of: &Params,
    tiles: usize,
) -> Result<Variant> {
    let tiles = if NATIVE { tiles } else { 0 };
    let (sizes, names): (_, &[_]) = match to.adapter().kind {
        AdapterKind::Cpu => (WORKGROUPS_OF_CPUS, &["8", "16", "32"]),
        _ => (WORKGROUPS, VARIANTS.get(..WORKGROUPS.len() + tiles).unwrap_or(&VARIANTS)),
    };
    let sides =
        [of.images, of.inputs, of.height, of.width, of.outputs, of.out_height, of.out_width];
    let kernel = [of.kernel_height, of.kernel_width];
    let place = to.choose(family, &[&sides[..], &kernel].concat(), names, 0)?;
    let tile = place.checked_sub(sizes.len()).and_then(|place| TILES.get(place).copied());
    Ok(Variant { workgroup: sizes.get(place).copied().unwrap_or(8), tile })
}

/// `count` in as few shares of at most `most` as possible, all of about this size.
pub(super) fn even(count: u32, most: u32) -> u32 {
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
        first_part: u32,
        part_images: u32,
        epilogue: u32,
    }
}

/// One launch, with what it shows of each buffer; `None` binds all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub params: Params,
    pub x: Option<Words>,
    pub w: Option<Words>,
    pub y: Option<Words>,
    /// Workgroups in y: blocks of eight output channels.
    pub blocks: u32,
}

impl Params {
    /// Words of one image of x, and of y.
    fn image_words(&self) -> [u32; 2] {
        [self.inputs * self.height * self.width, self.outputs * self.out_height * self.out_width]
    }

    /// Whether planes are made of squares of eight.
    pub(super) fn is_in_eights(&self) -> bool {
        self.width.is_multiple_of(8) && self.height.is_multiple_of(8)
    }
}

/// Whether texels pay: on CPU rasterisers with subgroups to share loads; not in browsers, whose wgpu has none of these.
pub(super) fn reads_texels(adapter: &Adapter) -> bool {
    let subgroups = adapter.subgroup.is_some_and(|size| size >= 8);
    NATIVE && adapter.kind == AdapterKind::Cpu && subgroups
}

/// A kernel's text: none where it cannot run, which keeps a page's file small. wgpu gives browsers no subgroups.
pub(super) const fn text(
    source: &'static [&'static str],
    subgroup: u32,
) -> &'static [&'static str] {
    if NATIVE || subgroup == 0 { source } else { &[] }
}

/// A kernel, in pages without its text.
pub(super) const fn natively(kernel: Kernel) -> Kernel {
    Kernel { source: if NATIVE { kernel.source } else { &[] }, ..kernel }
}

/// `count` items of so many words from the item `first` on, and the words before them that begin a texel.
fn items(first: u32, count: u32, words: u32) -> Words {
    let begin = first * words / 4 * 4;
    Words { first: begin, count: (first + count) * words - begin }
}

/// Images at a time, so that of each of these sizes no more than [`TEXEL_WORDS`] are read.
fn images_at_once(images: u32, words: &[u32]) -> u32 {
    let largest = words.iter().copied().max().unwrap_or(1).max(1);
    even(images, (TEXEL_WORDS / largest).clamp(1, images))
}

/// The launches of a convolution that reads buffers: one, or runs of output channels whose weights a storage binding shows.
pub(super) fn storage_shares(params: &Params, half: bool, max_binding: u64) -> Result<Vec<Share>> {
    let blocks = params.outputs.div_ceil(8);
    let share = |first_block: u32, blocks: u32, w: Option<Words>| {
        let params = Params { first_block, w_skip: w.map_or(0, |w| w.first), ..*params };
        Share { params, x: None, w, y: None, blocks }
    };
    let words = if half { 4 } else { 8 };
    let block = words * params.inputs * params.kernel_height * params.kernel_width;
    let fit = max_binding / 4 / u64::from(block);
    if u64::from(blocks) <= fit {
        return Ok(vec![share(0, blocks, None)]);
    }
    // A run of 64 words for each product of a pair of channels begins where bindings may.
    let unit = u64::from(64 / words);
    let run = u32::try_from(fit / unit * unit).unwrap_or(u32::MAX);
    if run == 0 {
        let given = format_args!("8 output channels of {block} weights");
        return Err(Error::mismatch(
            "packed_conv2d",
            given,
            format_args!("at most {max_binding} bytes"),
        ));
    }
    let first = (0..blocks).step_by(run as usize);
    let part = |first| {
        let blocks = run.min(blocks - first);
        share(first, blocks, Some(Words { first: first * block, count: blocks * block }))
    };
    Ok(first.map(part).collect())
}

/// The launches of a convolution that reads texels: images and blocks of output channels by what is copied at a time of
/// x, of `taps` weights for each channel of y and of x, and of what is read like y (`reads_y`).
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

/// The launches of a weight gradient that reads x and dy as texels, a part each: images by what is copied at a time.
pub(super) fn texel_pair_shares(whole: &Params) -> Vec<Share> {
    let [x_words, dy_words] = whole.image_words();
    let images = images_at_once(whole.images, &[x_words, dy_words]);
    let share = |first_image| {
        let own = images.min(whole.images - first_image);
        let [x, dy] = [x_words, dy_words].map(|words| items(first_image, own, words));
        let (x_skip, y_skip) = (x.first, dy.first);
        let params =
            Params { first_image, images: own, part_images: images, x_skip, y_skip, ..*whole };
        Share { params, x: Some(x), w: None, y: Some(dy), blocks: whole.outputs.div_ceil(8) }
    };
    (0..whole.images).step_by(images as usize).map(share).collect()
}
