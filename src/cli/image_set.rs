//! Sets of images that evaluation compares: data sets, folders of pictures, archives.

use std::io::Read;
use std::path::{Path, PathBuf};

use image::{ImageReader, Limits};

use crate::data::{Dataset, Part, Source};
use crate::eval::npz::{Array, Numbers, read_npz};
use crate::{Error, Result};

/// What photographs of a class folder are brought to if nothing is asked for.
const PHOTOGRAPH_SIDE: u32 = 32;

/// Images in \[0, 1\], NCHW.
#[derive(Clone, Debug)]
pub struct ImageSet {
    /// All of them.
    pub images: Vec<f32>,
    /// 1 or 3.
    pub channels: u32,
    /// Rows and columns.
    pub side: u32,
}

impl ImageSet {
    /// `builtin:fashion`, a folder of idx files (of the part given, brought to `side` where that is given), of PNG files, of class
    /// folders (at 32 pixels if `side` is not given), an `.npz` of bytes \[N, H, W, C\] or a `.tar` of PNG files.
    pub fn read(name: &str, part: Part, side: Option<u32>) -> Result<Self> {
        let path = Path::new(name);
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension {
            Some("npz") => return Self::from_npz(path),
            Some("tar") => return Self::from_tar(path),
            _ => {}
        }
        let files = pngs(path);
        let data = match files.first() {
            Some(first) => read_pngs(&files, channels_of(first)?)?,
            None => Source::parse(name)?.load(part, side.unwrap_or(PHOTOGRAPH_SIDE))?,
        };
        let side = side.unwrap_or(data.height().max(data.width()));
        Self::prepared(&data, side)
    }

    fn prepared(data: &Dataset, side: u32) -> Result<Self> {
        let prepared = data.prepared(side)?;
        let channels = prepared.channels();
        Ok(Self { images: prepared.images().to_vec(), channels, side })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.images.len() / (self.channels * self.side * self.side) as usize
    }

    fn from_npz(path: &Path) -> Result<Self> {
        let arrays = read_npz(path, &["arr_0", "images"])?;
        let found = arrays.get("arr_0").or_else(|| arrays.get("images"));
        let bad = |reason: &str| Error::bad_file(path, reason);
        let Some(Array { shape, numbers: Numbers::U8(bytes) }) = found else {
            return Err(bad("no array arr_0 or images of bytes in it"));
        };
        let &[_, height, width, channels @ (1 | 3)] = shape.as_slice() else {
            return Err(bad("bytes of shape [N, H, W, 1 or 3] wanted"));
        };
        if height != width || height == 0 {
            return Err(bad("square images wanted"));
        }
        let plane = height * width;
        let image = |image: &[u8]| -> Vec<f32> {
            let value = |i: usize| image.get(i % plane * channels + i / plane).copied();
            (0..image.len()).filter_map(value).map(|byte| f32::from(byte) / 255.0).collect()
        };
        let images = bytes.chunks_exact(plane * channels).flat_map(image).collect();
        Ok(Self { images, channels: channels as u32, side: height as u32 })
    }

    fn from_tar(path: &Path) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| Error::bad_file(path, error);
        let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
        let mut archive = tar::Archive::new(std::io::BufReader::new(file));
        let mut set: Option<Self> = None;
        for entry in archive.entries().map_err(|error| failed(&error))? {
            let entry = entry.map_err(|error| failed(&error))?;
            let name = entry.path().map_err(|error| failed(&error))?.into_owned();
            if name.extension().is_none_or(|extension| extension != "png") {
                continue;
            }
            let mut bytes = Vec::new();
            entry.take(1 << 26).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
            let image = image::load_from_memory_with_format(&bytes, image::ImageFormat::Png)
                .map_err(|error| failed(&format_args!("{}: {error}", name.display())))?;
            let (side, height) = (image.width(), image.height());
            let channels = if image.color().channel_count() < 3 { 1 } else { 3 };
            let set = set.get_or_insert(Self { images: Vec::new(), channels, side });
            if (set.side, set.side, set.channels) != (side, height, channels) {
                let reason = format_args!("{} is of another size than the first", name.display());
                return Err(failed(&reason));
            }
            let pixels = if channels == 1 {
                image.into_luma8().into_raw()
            } else {
                image.into_rgb8().into_raw()
            };
            for channel in 0..channels as usize {
                let plane = pixels.iter().skip(channel).step_by(channels as usize);
                set.images.extend(plane.map(|&byte| f32::from(byte) / 255.0));
            }
        }
        set.ok_or_else(|| failed(&"no PNG file in it"))
    }
}

/// 1 for grey pictures, 3 for coloured ones.
fn channels_of(file: &PathBuf) -> Result<u32> {
    let image = image::open(file).map_err(|error| Error::bad_file(file, error))?;
    Ok(if image.color().channel_count() < 3 { 1 } else { 3 })
}

/// A folder's PNG files by name; none where it is no folder.
fn pngs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_png = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"))
    };
    let mut found: Vec<_> = entries.map(|entry| entry.path()).filter(is_png).collect();
    found.sort();
    found
}

/// PNG files, all of one size, as grey or as red, green and blue.
fn read_pngs(files: &[PathBuf], channels: u32) -> Result<Dataset> {
    let (mut pixels, mut size) = (Vec::new(), None);
    for file in files {
        let failed = |error: &dyn std::fmt::Display| Error::bad_file(file, error);
        let mut reader = ImageReader::open(file).map_err(|error| failed(&error))?;
        let mut limits = Limits::default();
        (limits.max_image_width, limits.max_image_height) = (Some(4096), Some(4096));
        reader.limits(limits);
        let image = reader.decode().map_err(|error| failed(&error))?;
        let (width, height) = (image.width(), image.height());
        if *size.get_or_insert((width, height)) != (width, height) {
            return Err(failed(&format_args!("{width}×{height}, another size than the first")));
        }
        match channels {
            1 => pixels.extend(image.into_luma8().into_raw()),
            _ => {
                let rgb = image.into_rgb8();
                for channel in 0..channels as usize {
                    pixels.extend(rgb.pixels().filter_map(|pixel| pixel.0.get(channel)));
                }
            }
        }
    }
    let (width, height) = size.unwrap_or_default();
    Dataset::new(channels, height, width, 1, pixels, vec![0; files.len()])
}
