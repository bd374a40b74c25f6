//! Draws images as PNG pictures: grids, sampling from start to end, comparisons.

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use super::font;
use crate::{Error, Result};

const BLACK: [u8; 3] = [0; 3];
/// The most pixels of a side, which keeps a picture below 3 GiB.
const MAX_SIDE: u64 = 32_768;

/// Images to draw, as all of the library takes them: NCHW, f32 in `[0, 1]`.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    values: &'a [f32],
    channels: usize,
    side: usize,
}

impl<'a> Images<'a> {
    /// Takes images of 1 channel (drawn grey) or 3 (red, green and blue) and `side` by `side` pixels.
    ///
    /// # Errors
    /// `Mismatch` for another number of channels, a side of 0, or values that are no whole number of images.
    pub fn new(values: &'a [f32], channels: u32, side: u32) -> Result<Self> {
        let (channels, side) = (channels as usize, side as usize);
        let one = channels * side * side;
        if ![1, 3].contains(&channels) || one == 0 || !values.len().is_multiple_of(one) {
            let given = format!("{} values for images of {channels}×{side}×{side}", values.len());
            return Err(Error::mismatch(
                "picture",
                given,
                "whole images of 1 or 3 channels and 1 or more pixels",
            ));
        }
        Ok(Self { values, channels, side })
    }

    /// Returns the number of images.
    pub fn len(&self) -> usize {
        self.values.len() / (self.channels * self.side * self.side)
    }

    /// Returns whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The image's colour at a pixel; NaN is black.
    fn pixel(&self, index: usize, x: usize, y: usize) -> [u8; 3] {
        let plane = self.side * self.side;
        let at = |channel: usize| {
            let place = (index * self.channels + channel) * plane + y * self.side + x;
            let value = self.values.get(place).copied().unwrap_or_default();
            (value.clamp(0.0, 1.0) * 255.0).round() as u8
        };
        if self.channels == 1 { [at(0); 3] } else { [at(0), at(1), at(2)] }
    }
}

/// A picture to be drawn as rows of cells; a cell is an image of a batch, by its index, or empty.
#[derive(Clone, Debug, Default)]
pub struct Sheet<'a> {
    /// The cells: a batch and the index of the cell's image in it, or `None` for an empty cell. All images have one size;
    /// rows may differ in length.
    pub rows: Vec<Vec<Option<(Images<'a>, usize)>>>,
    /// The captions to the left of the rows; an empty list for no captions.
    pub row_captions: Vec<String>,
    /// The captions above the picture, each with the index of the column that it begins at. If they are fewer than the columns,
    /// each but the first has a wider gap to its left.
    pub column_captions: Vec<(usize, String)>,
    /// The number of the picture's pixels, in width and height, for one pixel of an image; at least 1.
    pub scale: u32,
    /// The width of the gaps between cells and around them, in pixels.
    pub gap: u32,
}

/// A drawn picture: red, green and blue bytes for each pixel, in rows from above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The number of pixel columns.
    pub width: u32,
    /// The number of pixel rows.
    pub height: u32,
    /// The pixels: `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

impl<'a> Sheet<'a> {
    /// Arranges images in a grid, in their order, `columns` in each row.
    pub fn grid(images: Images<'a>, columns: usize) -> Self {
        let cells: Vec<_> = (0..images.len()).map(|index| Some((images, index))).collect();
        let rows = cells.chunks(columns.max(1)).map(<[_]>::to_vec).collect();
        Self { rows, scale: 4, gap: 2, ..Self::default() }
    }

    /// Makes a picture with a row for each sample and a column for each step: `steps` are the batch before the first step
    /// and after each. At most `columns` are shown, the first and last always.
    pub fn trajectory(steps: &[Images<'a>], samples: usize, columns: usize) -> Self {
        let shown = spread(steps.len(), columns);
        let row = |sample: usize| {
            let cell = |&step: &usize| {
                let images = *steps.get(step)?;
                (sample < images.len()).then_some((images, sample))
            };
            shown.iter().map(cell).collect()
        };
        let caption = |(column, step): (usize, &usize)| (column, step.to_string());
        Self {
            rows: (0..samples).map(row).collect(),
            column_captions: shown.iter().enumerate().map(caption).collect(),
            scale: 4,
            gap: 2,
            ..Self::default()
        }
    }

    /// Makes a picture with a row for each class: `blocks` side by side, for example start images, the samples they
    /// became and real images. A block has a caption, a batch, and for every class the indices of the images to show,
    /// `columns` of them.
    pub fn comparison(
        classes: &[&str],
        columns: usize,
        blocks: &[(&str, Images<'a>, Vec<Vec<usize>>)],
    ) -> Self {
        let row = |class: usize| {
            let block = |(_, images, indices): &(&str, Images<'a>, Vec<Vec<usize>>)| {
                let shown = indices.get(class).cloned().unwrap_or_default();
                let cell = |column: usize| {
                    let index = *shown.get(column)?;
                    (index < images.len()).then_some((*images, index))
                };
                (0..columns).map(cell).collect::<Vec<_>>()
            };
            blocks.iter().flat_map(block).collect()
        };
        let caption =
            |(place, block): (usize, &(&str, _, _))| (place * columns, block.0.to_owned());
        Self {
            rows: (0..classes.len()).map(row).collect(),
            row_captions: classes.iter().map(|&name| name.to_owned()).collect(),
            column_captions: blocks.iter().enumerate().map(caption).collect(),
            scale: 4,
            gap: 2,
        }
    }

    /// Letters grow with images.
    fn letter_scale(&self) -> u64 {
        u64::from(self.scale / 2).max(1)
    }

    /// Draws the picture: images and black captions on white.
    ///
    /// # Errors
    /// `Mismatch` where images differ in size, there are none, or the picture would pass 32,768 pixels in a side.
    pub fn draw(&self) -> Result<Picture> {
        let cells = || self.rows.iter().flatten().flatten();
        let side = cells().next().map_or(0, |(images, _)| images.side);
        if side == 0 || self.scale == 0 || cells().any(|(images, _)| images.side != side) {
            let sides: Vec<_> = cells().map(|cell| cell.0.side).take(9).collect();
            let given = format!("images of sides {sides:?} at scale {}", self.scale);
            let wanted = "at least one image, all of one size, and a scale of 1 or more";
            return Err(Error::mismatch("picture", given, wanted));
        }
        let (scale, gap) = (u64::from(self.scale), u64::from(self.gap));
        let cell = side as u64 * scale;
        let size = self.letter_scale();
        let (letter, line) = (size * u64::from(font::WIDTH), size * u64::from(font::HEIGHT));

        let widest = self.row_captions.iter().map(|text| text.chars().count() as u64).max();
        let left = widest.map_or(0, |letters| letters * letter + 2);
        let above = if self.column_captions.is_empty() { 0 } else { line + 2 };
        // A column's left edge, after the wider gaps of the blocks up to it; a caption may need more room than its columns.
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let blocks = self.column_captions.len() < columns;
        let wide = if blocks { 4 * gap } else { 0 };
        let starts = |column: usize| {
            self.column_captions.iter().filter(|(at, _)| (1..=column).contains(at)).count() as u64
        };
        let x_of =
            |column: usize| left + gap + column as u64 * (cell + gap) + wide * starts(column);
        let y_of = |row: usize| above + gap + row as u64 * (cell + gap);

        let last = self.column_captions.iter();
        let captions_end =
            last.map(|(at, text)| x_of(*at) + text.chars().count() as u64 * letter).max();
        let width = x_of(columns.saturating_sub(1)) + cell + gap;
        let width = width.max(captions_end.unwrap_or(0));
        let height = y_of(self.rows.len());
        if width > MAX_SIDE || height > MAX_SIDE {
            let wanted =
                format!("at most {MAX_SIDE} in width and height: fewer images or a smaller scale");
            return Err(Error::mismatch("picture", format!("{width}×{height} pixels"), wanted));
        }

        let mut picture = Picture::new(width as u32, height as u32);
        for (row, cells) in self.rows.iter().enumerate() {
            for (column, cell) in cells.iter().enumerate() {
                if let Some((images, index)) = cell {
                    picture.put(images, *index, (x_of(column), y_of(row)), scale);
                }
            }
        }
        for (row, caption) in self.row_captions.iter().enumerate() {
            let y = y_of(row) + cell.saturating_sub(line) / 2;
            picture.write(caption, (1, y), size);
        }
        for (column, caption) in &self.column_captions {
            picture.write(caption, (x_of(*column), 1), size);
        }
        Ok(picture)
    }
}

impl Picture {
    fn new(width: u32, height: u32) -> Self {
        Self { width, height, rgb: vec![255; 3 * width as usize * height as usize] }
    }

    /// Returns the picture as the bytes of a PNG file.
    ///
    /// # Errors
    /// `Mismatch` where the pixels do not fit width and height.
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // The encoder asserts what is checked here.
        let fits = self.rgb.len() as u64 == 3 * u64::from(self.width) * u64::from(self.height);
        let size = format!("{}×{} pixels, {} bytes", self.width, self.height, self.rgb.len());
        let failed = |why: String| Error::mismatch("picture", size, why);
        if !fits {
            return Err(failed("three bytes for each pixel".into()));
        }
        PngEncoder::new(&mut bytes)
            .write_image(&self.rgb, self.width, self.height, ExtendedColorType::Rgb8)
            .map_err(|error| failed(error.to_string()))?;
        Ok(bytes)
    }

    fn set(&mut self, x: u64, y: u64, colour: [u8; 3]) {
        let width = u64::from(self.width);
        if x < width
            && let Some(pixel) = self.rgb.as_chunks_mut().0.get_mut((y * width + x) as usize)
        {
            *pixel = colour;
        }
    }

    fn put(&mut self, images: &Images, index: usize, (left, top): (u64, u64), scale: u64) {
        let length = images.side as u64 * scale;
        for y in 0..length {
            for x in 0..length {
                let colour = images.pixel(index, (x / scale) as usize, (y / scale) as usize);
                self.set(left + x, top + y, colour);
            }
        }
    }

    fn write(&mut self, text: &str, (left, top): (u64, u64), size: u64) {
        let width = u64::from(font::WIDTH);
        for (place, letter) in (0_u64..).zip(text.chars()) {
            for (y, row) in (0_u64..).zip(font::rows(letter)) {
                for x in (0..width).filter(|x| row >> (width - 1 - x) & 1 == 1) {
                    for (across, down) in (0..size * size).map(|i| (i % size, i / size)) {
                        let x = left + (place * width + x) * size + across;
                        self.set(x, top + y * size + down, BLACK);
                    }
                }
            }
        }
    }
}

/// Chooses at most `count` of `0..len`, evenly, the first and last among them.
fn spread(len: usize, count: usize) -> Vec<usize> {
    if len <= count.max(1) {
        return (0..len).collect();
    }
    let gaps = count.saturating_sub(1).max(1);
    (0..count.max(1)).map(|place| (place * (len - 1) + gaps / 2) / gaps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixel(picture: &Picture, x: usize, y: usize) -> [u8; 3] {
        let at = 3 * (y * picture.width as usize + x);
        picture.rgb[at..at + 3].try_into().unwrap()
    }

    #[test]
    fn a_grid_pixel_by_pixel() {
        // Two grey images of 2×2 side by side, each pixel twice as large, one pixel between.
        let values = [0.0, 1.0, 0.5, 0.2, 1.0, 1.0, 0.0, 2.0];
        let mut sheet = Sheet::grid(Images::new(&values, 1, 2).unwrap(), 2);
        (sheet.scale, sheet.gap) = (2, 1);
        let picture = sheet.draw().unwrap();
        assert_eq!((picture.width, picture.height), (11, 6));
        #[rustfmt::skip]
        let expected = [
            255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
            255,   0,   0, 255, 255, 255, 255, 255, 255, 255, 255,
            255,   0,   0, 255, 255, 255, 255, 255, 255, 255, 255,
            255, 128, 128,  51,  51, 255,   0,   0, 255, 255, 255,
            255, 128, 128,  51,  51, 255,   0,   0, 255, 255, 255,
            255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        ];
        let grey: Vec<u8> = picture.rgb.chunks(3).map(|pixel| pixel[0]).collect();
        assert_eq!(grey, expected);
    }

    #[test]
    fn channels_are_planes() {
        let values = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, f32::NAN];
        let mut sheet = Sheet::grid(Images::new(&values, 3, 2).unwrap(), 1);
        (sheet.scale, sheet.gap) = (1, 0);
        let picture = sheet.draw().unwrap();
        assert_eq!(picture.rgb, [255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0]);
    }

    #[test]
    fn blocks_stand_apart_and_missing_images_are_white() {
        let black = [0.0; 4];
        let images = Images::new(&black, 1, 1).unwrap();
        let blocks =
            [("", images, vec![vec![0, 1], vec![2]]), ("", images, vec![vec![3, 9], vec![]])];
        let mut sheet = Sheet::comparison(&["", ""], 2, &blocks);
        sheet.row_captions.clear();
        (sheet.scale, sheet.gap) = (1, 1);
        let picture = sheet.draw().unwrap();
        // One caption line of 9 rows; columns at 1, 3 | 9, 11.
        let black_at: Vec<_> = (0..picture.height as usize)
            .flat_map(|y| (0..picture.width as usize).map(move |x| (x, y)))
            .filter(|&(x, y)| pixel(&picture, x, y) == BLACK)
            .collect();
        assert_eq!(black_at, [(1, 10), (3, 10), (9, 10), (1, 12)]);
    }

    #[test]
    fn trajectories_keep_both_ends() {
        assert_eq!(spread(21, 6), [0, 4, 8, 12, 16, 20]);
        assert_eq!(spread(3, 6), [0, 1, 2]);
        assert_eq!(spread(5, 1), [0]);
        let (start, end) = ([0.0; 2], [1.0; 2]);
        let steps = [start, end].map(|values| values.to_vec());
        let steps: Vec<_> = steps.iter().map(|v| Images::new(v, 1, 1).unwrap()).collect();
        let sheet = Sheet::trajectory(&steps, 3, 8);
        let filled: Vec<Vec<bool>> =
            sheet.rows.iter().map(|row| row.iter().map(Option::is_some).collect()).collect();
        assert_eq!(filled, [[true, true], [true, true], [false, false]]);
        assert!(sheet.draw().is_ok());
    }

    #[test]
    fn png_reads_back() {
        let values: Vec<f32> = (0..48).map(|i| i as f32 / 47.0).collect();
        let picture = Sheet::grid(Images::new(&values, 3, 4).unwrap(), 1).draw().unwrap();
        let read = image::load_from_memory(&picture.png().unwrap()).unwrap().into_rgb8();
        assert_eq!((read.width(), read.height()), (picture.width, picture.height));
        assert_eq!(read.into_raw(), picture.rgb);
    }

    #[test]
    fn letters_stand_on_their_pixels() {
        let mut picture = Picture::new(5, 7);
        picture.write("/", (0, 0), 1);
        let marks: Vec<u8> = font::rows('/').to_vec();
        for (y, row) in marks.iter().enumerate() {
            for x in 0..5 {
                let black = pixel(&picture, x, y) == BLACK;
                assert_eq!(black, row >> (4 - x) & 1 == 1);
            }
        }
        assert_eq!(font::rows('é'), font::rows('e'));
        assert_eq!(font::rows('猫'), font::rows('?'));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert!(Images::new(&[0.0; 5], 1, 2).is_err());
        assert!(Images::new(&[0.0; 8], 2, 2).is_err());
        assert!(Sheet::default().draw().is_err());
        let values = [0.0; 4];
        let mut sheet = Sheet::grid(Images::new(&values, 1, 2).unwrap(), 1);
        sheet.scale = 40_000;
        assert!(sheet.draw().is_err());
    }
}
