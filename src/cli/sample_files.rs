//! Writes samples into files as they are drawn: a folder or a tar of PNG files, or a NumPy archive. Only one batch is in
//! memory at a time.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use zip::ZipWriter;

use crate::eval::npz;
use crate::{Error, Result};

/// The files that samples are written to.
pub enum SampleFiles {
    /// A folder with a file for each sample, whose name has its number and its class: 00000000-boots.png, ...
    Folder(PathBuf, Vec<String>),
    /// A tar archive as WebDataset has it: 00000000.png with 00000000.cls, which holds the class's number.
    Tar(tar::Builder<BufWriter<File>>, Unfinished),
    /// An .npz file with the arrays arr_0, bytes \[N, H, W, C\], and arr_1, the classes: what the evaluation scripts of diffusion
    /// models read.
    Npz(Box<ZipWriter<File>>, Vec<i64>, Unfinished),
}

/// An output file that has a temporary name until it is whole, and is removed if it never is. It comes last where it lies beside
/// the open file, which is closed before.
pub struct Unfinished {
    out: PathBuf,
    hidden: PathBuf,
}

impl Unfinished {
    fn new(out: &Path) -> Self {
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        Self { out: out.into(), hidden: out.with_file_name(format!(".{name}.part")) }
    }

    /// Gives it its name.
    fn finish(self) -> Result<()> {
        std::fs::rename(&self.hidden, &self.out).map_err(|error| Error::bad_file(&self.out, error))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Where it has its name there is nothing to remove.
        drop(std::fs::remove_file(&self.hidden));
    }
}

/// The number of channels and the side of the samples.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The number of channels, 1 or 3.
    pub channels: u32,
    /// The rows and columns of the samples.
    pub side: u32,
}

impl SampleFiles {
    /// Returns whether a path asks for files of single samples, judged by its extension. A name with the end of a picture asks
    /// for one picture of all samples.
    pub fn is_meant(out: &Path) -> bool {
        out.extension().is_none_or(|extension| extension != "png")
    }

    /// Returns whether the extension of a path is known. What ends as another kind of file does (some letters) is no folder,
    /// unless it is there as one.
    pub fn is_known(out: &Path) -> bool {
        let extension = out.extension().and_then(|extension| extension.to_str());
        let is_kind = |end: &str| end.len() <= 5 && end.chars().all(|c| c.is_ascii_alphabetic());
        let is_known = |end: &str| ["png", "tar", "npz"].contains(&end) || !is_kind(end);
        out.is_dir() || extension.is_none_or(is_known)
    }

    /// Creates the files for samples of the classes `labels`, which are called `names`. A file is written under another name
    /// until it is whole.
    pub fn create(out: &Path, labels: &[u32], names: &[String], size: Size) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| Error::bad_file(out, error);
        if ![1, 3].contains(&size.channels) {
            return Err(failed(&format_args!(
                "images of {} channels cannot be written as pictures, which have 1 or 3",
                size.channels
            )));
        }
        match out.extension().and_then(|extension| extension.to_str()) {
            Some("tar") => {
                let unfinished = Unfinished::new(out);
                let file = File::create(&unfinished.hidden).map_err(|error| failed(&error))?;
                Ok(Self::Tar(tar::Builder::new(BufWriter::new(file)), unfinished))
            }
            Some("npz") => {
                let unfinished = Unfinished::new(out);
                let file = File::create(&unfinished.hidden).map_err(|error| failed(&error))?;
                let mut archive = Box::new(ZipWriter::new(file));
                let (side, channels) = (size.side as usize, size.channels as usize);
                archive.start_file("arr_0.npy", npz::stored()).map_err(|error| failed(&error))?;
                archive
                    .write_all(&npz::header("|u1", &[labels.len(), side, side, channels]))
                    .map_err(|error| failed(&error))?;
                Ok(Self::Npz(archive, Vec::new(), unfinished))
            }
            _ => {
                std::fs::create_dir_all(out).map_err(|error| failed(&error))?;
                // Files of these names are written anew; samples under other names would stay among the new ones.
                let others = std::fs::read_dir(out).map_err(|error| failed(&error))?.flatten();
                let others = others.filter(|entry| {
                    let name = entry.file_name();
                    let name = name.to_string_lossy();
                    let number = numbered(&name);
                    number.is_some_and(|at| {
                        labels.get(at).is_none_or(|&label| file_name(at, label, names) != name)
                    })
                });
                match others.count() {
                    0 => Ok(Self::Folder(out.into(), names.to_vec())),
                    others => Err(failed(&format_args!(
                        "the folder has {others} pictures of another set of samples: choose another folder, or empty it"
                    ))),
                }
            }
        }
    }

    /// Writes the next samples as [`pixels`] gives them, the first of which is number `first`.
    pub fn write(&mut self, first: usize, images: &[u8], labels: &[u32], size: Size) -> Result<()> {
        for (at, (pixels, &label)) in (first..).zip(images.chunks(size.bytes()).zip(labels)) {
            let failed = |path: &Path, error: &dyn std::fmt::Display| Error::bad_file(path, error);
            match self {
                Self::Folder(folder, names) => {
                    let path = folder.join(file_name(at, label, names));
                    let unfinished = Unfinished::new(&path);
                    std::fs::write(&unfinished.hidden, png(pixels, size)?)
                        .map_err(|error| failed(&path, &error))?;
                    unfinished.finish()?;
                }
                Self::Tar(archive, Unfinished { out: path, .. }) => {
                    for (kind, bytes) in
                        [("png", png(pixels, size)?), ("cls", label.to_string().into_bytes())]
                    {
                        let mut header = tar::Header::new_ustar();
                        header.set_size(bytes.len() as u64);
                        header.set_mode(0o644);
                        archive
                            .append_data(&mut header, format!("{at:08}.{kind}"), bytes.as_slice())
                            .map_err(|error| failed(path, &error))?;
                    }
                }
                Self::Npz(archive, classes, Unfinished { out: path, .. }) => {
                    archive.write_all(pixels).map_err(|error| failed(path, &error))?;
                    classes.push(label.into());
                }
            }
        }
        Ok(())
    }

    /// Ends the file of samples and gives the file its final name.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Folder(..) => Ok(()),
            Self::Tar(archive, unfinished) => {
                let ended = archive.into_inner().and_then(|mut file| file.flush());
                ended.map_err(|error| Error::bad_file(&unfinished.out, error))?;
                unfinished.finish()
            }
            Self::Npz(mut archive, classes, unfinished) => {
                let failed =
                    |error: &dyn std::fmt::Display| Error::bad_file(&unfinished.out, error);
                archive.start_file("arr_1.npy", npz::stored()).map_err(|error| failed(&error))?;
                let mut bytes = npz::header("<i8", &[classes.len()]);
                bytes.extend(classes.iter().flat_map(|class| class.to_le_bytes()));
                archive.write_all(&bytes).map_err(|error| failed(&error))?;
                archive.finish().map_err(|error| failed(&error))?;
                unfinished.finish()
            }
        }
    }
}

/// The name of a sample's file: its number, and its class by name, or by number where the class has no name. Of a name the
/// letters and digits are kept, because file systems and shells have their own use for other characters.
fn file_name(at: usize, label: u32, names: &[String]) -> String {
    let class = names.get(label as usize).map_or_else(|| label.to_string(), Clone::clone);
    let class: String =
        class.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).take(40).collect();
    format!("{at:08}-{class}.png")
}

/// The number of the sample that a file is named for; none for names of other files.
fn numbered(name: &str) -> Option<usize> {
    let stem = name.strip_suffix(".png")?;
    stem.split_once('-').map_or(stem, |(number, _)| number).parse().ok()
}

#[test]
fn names_of_files_have_number_and_class() {
    let names = ["ankle boot".to_owned(), "T-shirt/top".to_owned(), "Bl\u{fc}mchen".to_owned()];
    assert_eq!(file_name(7, 1, &names), "00000007-T_shirt_top.png");
    assert_eq!(file_name(12, 2, &names), "00000012-Bl\u{fc}mchen.png");
    assert_eq!(file_name(3, 9, &names), "00000003-9.png");
    for name in ["00000012-ankle_boot.png", "00000012.png"] {
        assert_eq!(numbered(name), Some(12), "{name}");
    }
    assert_eq!((numbered("drawn.png"), numbered("00000001.cls")), (None, None));
}

impl Size {
    /// Returns the number of bytes of one sample in a file.
    pub fn bytes(self) -> usize {
        (self.channels * self.side * self.side) as usize
    }
}

/// Converts images, CHW in \[0, 1\] each, to bytes, pixel by pixel, as files have them.
pub fn pixels(images: &[f32], size: Size) -> Vec<u8> {
    images.chunks(size.bytes()).flat_map(|image| interleaved(image, size)).collect()
}

/// Bytes pixel by pixel.
fn interleaved(image: &[f32], size: Size) -> Vec<u8> {
    let (channels, plane) = (size.channels as usize, (size.side * size.side) as usize);
    let byte = |at: usize| {
        let value = image.get(at % channels * plane + at / channels).copied().unwrap_or_default();
        (value.clamp(0.0, 1.0) * 255.0).round() as u8
    };
    (0..image.len()).map(byte).collect()
}

fn png(pixels: &[u8], size: Size) -> Result<Vec<u8>> {
    let kind = if size.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(pixels, size.side, size.side, kind)
        .map_err(|error| Error::bug("PNG file", error))?;
    Ok(bytes)
}
