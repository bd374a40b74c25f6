//! Writes Fashion-MNIST images of three classes, which the library embeds, as PNG files, a folder for each class: something to
//! train on where no photographs are at hand.
//!
//!     cargo run --release --example fashion_photos -- photos

#![allow(clippy::print_stdout, reason = "an example")]

use std::path::{Path, PathBuf};

use lapidary::data::{Part, fashion};
use lapidary::report::pictures::Picture;
use lapidary::{Error, Result};

const CLASSES: [&str; 3] = ["bag", "sneaker", "trouser"];

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map_or(PathBuf::from("photos"), PathBuf::from);
    let count = write(&folder, 300)?;
    println!("{count} pictures of {} in {}", CLASSES.join(", "), folder.display());
    Ok(())
}

/// Writes at most `most` pictures of each class into `folder/CLASS/` and returns how many these are.
pub fn write(folder: &Path, most: usize) -> Result<usize> {
    let images = fashion::load(Part::Train)?;
    let mut count = 0;
    for (class, name) in images.class_names().iter().enumerate() {
        if !CLASSES.contains(&name.as_str()) {
            continue;
        }
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).map_err(|error| Error::bad_file(&folder, error))?;
        let of_class =
            (0..images.len()).filter(|&i| images.labels().get(i) == Some(&(class as u32)));
        for (number, index) in of_class.take(most).enumerate() {
            let grey = images.image(index).unwrap_or_default();
            let rgb = grey.iter().flat_map(|&value| [value; 3]).collect();
            let picture = Picture { width: images.width(), height: images.height(), rgb };
            let file = folder.join(format!("{number}.png"));
            std::fs::write(&file, picture.png()?).map_err(|error| Error::bad_file(&file, error))?;
            count += 1;
        }
    }
    Ok(count)
}
