//! Draws the two pictures of a training run's report: its samples beside real images, and the gradient steps that led to some of
//! them.

use super::page::Figure;
use super::pictures::{Images, Sheet};
use crate::Result;
use crate::train::{Assessment, Config, Material, numbered};

/// The largest number of steps that a picture of sampling shows.
pub const COLUMNS: usize = 12;

/// Makes the two pictures of a run with their captions, each with the name of its PNG file: samples beside real images, then
/// the steps that led to some of them. Returns an empty list if no samples were drawn.
pub fn of_run(
    config: &Config,
    material: &Material,
    assessment: &Assessment,
) -> Result<Vec<(&'static str, Figure)>> {
    let Assessment { samples, starts, labels, .. } = assessment;
    if labels.is_empty() {
        return Ok(Vec::new());
    }
    let test = &material.test;
    let images = |values| Images::new(values, test.channels(), test.side());
    let names = match material.class_names.as_slice() {
        [] => numbered(test.classes()),
        names => names.to_vec(),
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let columns = config.sample.per_class as usize;
    let of_class = |all: &[u32]| -> Vec<Vec<usize>> {
        let mut places = vec![Vec::new(); names.len()];
        for (place, &label) in all.iter().enumerate() {
            if let Some(places) = places.get_mut(label as usize).filter(|of| of.len() < columns) {
                places.push(place);
            }
        }
        places
    };
    let drawn = of_class(labels);
    let blocks = [
        ("start", images(starts)?, drawn.clone()),
        ("samples", images(&samples.images)?, drawn),
        ("real", images(test.images())?, of_class(test.labels())),
    ];
    let comparison = Sheet::comparison(&names, columns, &blocks).draw()?.png()?;
    let steps = config.sample.steps;
    let comparison = Figure {
        title: "Start, samples, real".into(),
        caption: format!(
            "One row for each class. Left: out-of-distribution images that sampling starts from. Middle: the same after {steps} gradient steps up the class's logit. Right: test images of the class, never trained on."
        ),
        alt: format!(
            "Three blocks of small images, a row for each of {} classes: start images, samples, real images",
            names.len()
        ),
        png: comparison,
    };
    let captions: Vec<_> = labels.iter().filter_map(|&label| names.get(label as usize)).collect();
    let trajectory = Figure {
        title: "From start to sample".into(),
        caption:
            "The way of the first samples, one in each row; the numbers above are the gradient steps taken."
                .into(),
        alt: "Rows of small images that turn from texture into a sample, step by step".into(),
        png: trajectory(&samples.trajectory, &captions, (test.channels(), test.side()))?,
    };
    Ok(vec![("samples.png", comparison), ("trajectory.png", trajectory)])
}

/// Draws a picture of sampling, with a row for each of several samples, labelled with its class, and a column for each step.
pub fn trajectory(
    steps: &[Vec<f32>],
    captions: &[impl AsRef<str>],
    (channels, side): (u32, u32),
) -> Result<Vec<u8>> {
    let steps: Vec<_> =
        steps.iter().map(|step| Images::new(step, channels, side)).collect::<Result<_>>()?;
    let rows = steps.first().map_or(0, Images::len);
    let mut sheet = Sheet::trajectory(&steps, rows, COLUMNS);
    sheet.row_captions = captions.iter().take(rows).map(|name| name.as_ref().to_owned()).collect();
    sheet.draw()?.png()
}
