//! Feature vectors of images, one row for each image: distances between rows, and the metrics that need distances alone
//! (precision, recall, KID).

use crate::data::Random;
use crate::{Error, Result};

/// Feature vectors of images, one row for each image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    values: Vec<f32>,
    width: usize,
}

impl Features {
    /// Makes feature vectors from numbers in row-major order, `width` for each row. Err for part of a row, a width of 0, or a
    /// number that is not finite.
    pub fn new(values: Vec<f32>, width: usize) -> Result<Self> {
        if width == 0 || !values.len().is_multiple_of(width) {
            let given =
                format_args!("{} values for feature vectors of width {width}", values.len());
            let wanted = match width {
                0 => "a width of 1 or more".to_owned(),
                _ => format!("a multiple of {width} values"),
            };
            return Err(Error::mismatch("features", given, wanted));
        }
        let strange = values.iter().enumerate().find(|(_, value)| !value.is_finite());
        if let Some((at, value)) = strange {
            let given = format_args!("{value} in feature vector {} (counted from 0)", at / width);
            return Err(Error::mismatch("features", given, "finite numbers"));
        }
        Ok(Self { values, width })
    }

    /// Returns the number of rows, one for each image.
    pub fn len(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns the number of features in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the feature vectors one after the other.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.width.max(1))
    }

    /// Returns the rows with these indices, in this order; indices beyond the end are left out.
    pub fn select(&self, rows: &[usize]) -> Self {
        let of = |&row: &usize| self.values.get(row * self.width..(row + 1) * self.width);
        let values = rows.iter().filter_map(of).flatten().copied().collect();
        Self { values, width: self.width }
    }
}

/// Checks that both sets have rows of one width, and at least `rows` each. Err otherwise.
pub(super) fn check_pair(
    op: &'static str,
    real: &Features,
    samples: &Features,
    rows: usize,
) -> Result<()> {
    if real.width == samples.width && real.len() >= rows && samples.len() >= rows {
        return Ok(());
    }
    let given = format!(
        "{} feature vectors of width {} for real images and {} of width {} for samples",
        real.len(),
        real.width,
        samples.len(),
        samples.width
    );
    Err(Error::mismatch(op, given, format_args!("at least {rows} for each, all of one width")))
}

/// Precision and recall of samples: the share of samples that lie near real images, and the share of real images near samples, by
/// k-nearest-neighbour manifolds (Kynkäänniemi et al. 2019, arXiv 1904.06991).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coverage {
    /// Precision: the share of samples that lie within a real image's distance to its k-th real neighbour.
    pub precision: f64,
    /// Recall: the share of real images that lie within a sample's distance to its k-th neighbour among samples.
    pub recall: f64,
    /// The distance of each real image to its k-th nearest real image, itself not counted.
    pub real_radii: Vec<f64>,
    /// The distance of each sample to its k-th nearest sample, itself not counted.
    pub sample_radii: Vec<f64>,
}

/// Computes precision and recall of `samples` against `real` images with `k` neighbours (3 is usual). Err for fewer than k + 1
/// rows.
pub fn coverage(real: &Features, samples: &Features, k: usize) -> Result<Coverage> {
    check_pair("precision and recall", real, samples, k + 1)?;
    let (real_radii, sample_radii) = (radii(real, k), radii(samples, k));
    let share = |of: &Features, among: &Features, radii: &[f64]| {
        let within = |row: &[f32]| {
            among.rows().zip(radii).any(|(other, radius)| distance(row, other) <= *radius)
        };
        of.rows().filter(|row| within(row)).count() as f64 / of.len() as f64
    };
    let precision = share(samples, real, &real_radii);
    let recall = share(real, samples, &sample_radii);
    Ok(Coverage { precision, recall, real_radii, sample_radii })
}

/// The k-th smallest distance of each row to the others.
fn radii(all: &Features, k: usize) -> Vec<f64> {
    let radius = |(place, row): (usize, &[f32])| {
        let others = all.rows().enumerate().filter(|(other, _)| *other != place);
        let mut distances: Vec<_> = others.map(|(_, other)| distance(row, other)).collect();
        let at = k.saturating_sub(1).min(distances.len().saturating_sub(1));
        *distances.select_nth_unstable_by(at, f64::total_cmp).1
    };
    all.rows().enumerate().map(radius).collect()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
    a.iter().zip(b).map(square).sum::<f64>().sqrt()
}

/// The mean and the standard deviation of the kernel distance KID over random subsets of images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The mean of KID over random subsets of the images.
    pub mean: f64,
    /// The standard deviation of KID over random subsets of the images, with division by their number.
    pub std: f64,
}

/// Computes the kernel distance KID of samples from real images (Bińkowski et al. 2018, arXiv 1801.01401): the squared maximum
/// mean discrepancy, unbiased, of the kernel (a·b / width + 1)³, over `subsets` pairs of random subsets of `size` rows each (at
/// most what there is), drawn without replacement. The paper's code draws 100 subsets of 1,000 rows. Err for fewer than 2 rows.
pub fn kernel_distance(
    real: &Features,
    samples: &Features,
    (subsets, size): (usize, usize),
    seed: u64,
) -> Result<Spread> {
    check_pair("kernel distance", real, samples, 2)?;
    let size = size.clamp(2, real.len().min(samples.len()));
    let subsets = subsets.max(1);
    let mut all = Vec::with_capacity(subsets);
    for subset in 0..subsets as u64 {
        let draw = |of: &Features, which: u64| {
            let mut order: Vec<usize> = (0..of.len()).collect();
            Random::new(seed, "kernel-distance", subset, which).shuffle(&mut order);
            order.truncate(size);
            of.select(&order)
        };
        all.push(discrepancy(&draw(real, 0), &draw(samples, 1)));
    }
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let variance = all.iter().map(|each| (each - mean).powi(2)).sum::<f64>() / all.len() as f64;
    Ok(Spread { mean, std: variance.sqrt() })
}

/// MMD² of two sets of as many rows, without the diagonals.
fn discrepancy(a: &Features, b: &Features) -> f64 {
    let width = a.width as f64;
    let kernel = |a: &[f32], b: &[f32]| {
        let dot: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        (dot / width + 1.0).powi(3)
    };
    let within = |set: &Features| {
        let pairs = set.rows().enumerate();
        let later = |(place, row)| set.rows().skip(place + 1).map(move |other| kernel(row, other));
        2.0 * pairs.flat_map(later).sum::<f64>()
    };
    let count = a.len() as f64;
    let across: f64 = a.rows().flat_map(|row| b.rows().map(move |other| kernel(row, other))).sum();
    (within(a) + within(b)) / (count * (count - 1.0)) - 2.0 * across / (count * count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread_out(rows: usize, shift: f32) -> Features {
        let mut random = Random::new(1, "features", shift.to_bits().into(), 0);
        let mut number = || random.normal_pair().0 as f32 + shift;
        Features::new((0..rows * 4).map(|_| number()).collect(), 4).unwrap()
    }

    #[test]
    fn kernel_distance_of_two_points_each() {
        // Width 1: k(a, b) = (ab + 1)^3. Within {0, 1}: 1; within {1, 2}: 27; across: 1, 1, 8, 27.
        let a = Features::new(vec![0.0, 1.0], 1).unwrap();
        let b = Features::new(vec![1.0, 2.0], 1).unwrap();
        let wanted = 1.0 + 27.0 - 2.0 * (1.0 + 1.0 + 8.0 + 27.0) / 4.0;
        assert_eq!(kernel_distance(&a, &b, (1, 2), 0).unwrap().mean, wanted);
    }

    #[test]
    fn kernel_distance_is_about_zero_for_one_distribution() {
        let near = kernel_distance(&spread_out(300, 0.0), &spread_out(300, 1e-6), (4, 200), 0);
        let far = kernel_distance(&spread_out(300, 0.0), &spread_out(300, 1.0), (4, 200), 0);
        let (near, far) = (near.unwrap(), far.unwrap());
        assert!(near.mean.abs() < 0.2 && far.mean > 2.0, "{near:?} {far:?}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Features::new(vec![1.0; 5], 2).is_err());
        assert!(Features::new(vec![f32::NAN; 2], 2).is_err());
        let (a, b) = (spread_out(3, 0.0), spread_out(9, 0.0));
        assert!(
            coverage(&a, &b, 3).unwrap_err().to_string().contains("3 feature vectors of width 4")
        );
    }
}
