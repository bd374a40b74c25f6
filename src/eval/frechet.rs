//! The Fréchet distance of two Gaussians (Dowson and Landau 1982), as FID computes it from features (Heusel et al. 2017, arXiv
//! 1706.08500), with the symmetric square root in f64.

use super::Features;
use super::npz::read_npz;
use crate::{Error, Result};
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use std::path::Path;

/// Rows that are taken into the covariance at once.
const CHUNK: usize = 256;

/// The mean and covariance of features, from which the Fréchet distance is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    mean: DVector<f64>,
    /// The covariance matrix, symmetric.
    covariance: DMatrix<f64>,
}

impl Gaussian {
    /// Computes mean and covariance of feature vectors, the covariance divided by their number − 1. Err for fewer than 2 vectors.
    pub fn of(features: &Features) -> Result<Self> {
        let (rows, width) = (features.len(), features.width());
        if rows < 2 {
            let given = if rows == 1 { "one image" } else { "no images" };
            return Err(Error::mismatch(
                "Fréchet distance",
                format_args!("the features of a set with {given}"),
                "those of at least 2 images in each set",
            ));
        }
        let mut mean = DVector::zeros(width);
        for row in features.rows() {
            mean += DVector::from_iterator(width, row.iter().map(|&value| f64::from(value)));
        }
        mean /= rows as f64;
        let mut covariance = DMatrix::zeros(width, width);
        let mut rest = features.rows();
        loop {
            let part: Vec<&[f32]> = rest.by_ref().take(CHUNK).collect();
            if part.is_empty() {
                break;
            }
            // A column a row of features.
            let values = part.iter().copied().flatten().map(|&value| f64::from(value));
            let mut centred = DMatrix::from_iterator(width, part.len(), values);
            for mut column in centred.column_iter_mut() {
                column -= &mean;
            }
            covariance.gemm(1.0, &centred, &centred.transpose(), 1.0);
        }
        covariance /= (rows - 1) as f64;
        Ok(Self { mean, covariance })
    }

    /// Makes the statistics from a mean and a covariance, row by row. Err unless these are D and D × D finite numbers.
    pub fn from_parts(mean: Vec<f64>, covariance: Vec<f64>) -> Result<Self> {
        let width = mean.len();
        let finite = mean.iter().chain(&covariance).all(|value| value.is_finite());
        if width == 0 || Some(covariance.len()) != width.checked_mul(width) || !finite {
            let given = format_args!("{width} means and {} covariances", covariance.len());
            return Err(Error::mismatch(
                "Gaussian",
                given,
                "D means and D × D covariances, all finite",
            ));
        }
        let covariance = DMatrix::from_row_slice(width, width, &covariance);
        // What a file has may be symmetric but for rounding.
        let covariance = (&covariance + covariance.transpose()) * 0.5;
        Ok(Self { mean: DVector::from_vec(mean), covariance })
    }

    /// Reads mean (`mu`) and covariance (`sigma`) from an `.npz` file, as pytorch-fid and `lapidary eval features` write them.
    ///
    /// # Errors
    /// `BadFile` where they are not there, are no floating-point numbers, or do not fit.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let arrays = read_npz(path, &["mu", "sigma"])?;
        let numbers = |name: &str| {
            let found = arrays.get(name).and_then(|array| array.numbers.to_f64());
            let missing = || format!("it has no floating-point array {name}");
            found.ok_or_else(|| Error::bad_file(path, missing()))
        };
        Self::from_parts(numbers("mu")?, numbers("sigma")?)
            .map_err(|error| Error::bad_file(path, error))
    }

    /// Returns the mean of the features, D numbers.
    pub fn mean(&self) -> &[f64] {
        self.mean.as_slice()
    }

    /// Returns the covariance of the features, D × D numbers.
    pub fn covariance(&self) -> &[f64] {
        self.covariance.as_slice()
    }

    /// Computes the Fréchet distance of two sets of features: |m₁ − m₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁^½ Σ₂ Σ₁^½)^½, which is the
    /// same as with (Σ₁ Σ₂)^½ and needs square roots of symmetric matrices alone; singular covariances need no offset. Err if the
    /// two sets have different numbers of features.
    pub fn distance(&self, other: &Self) -> Result<f64> {
        let (width, others) = (self.mean.len(), other.mean.len());
        if width != others {
            return Err(Error::mismatch(
                "Fréchet distance",
                format_args!("a set with {width} features and one with {others}"),
                "the same number of features in both sets",
            ));
        }
        // Σ₁ = (V √λ) (V √λ)ᵀ, and the eigenvalues of (V √λ)ᵀ Σ₂ (V √λ) are those of Σ₁^½ Σ₂ Σ₁^½. Columns whose λ is
        // rounding alone are left out: of fewer rows than features most are, and nalgebra's iteration may divide by them.
        let SymmetricEigen { eigenvectors, eigenvalues } =
            SymmetricEigen::new(self.covariance.clone());
        let least = eigenvalues.max() * width as f64 * f64::EPSILON;
        let columns: Vec<DVector<f64>> = eigenvectors
            .column_iter()
            .zip(eigenvalues.iter())
            .filter(|(_, value)| **value > least)
            .map(|(column, value)| column * value.sqrt())
            .collect();
        if columns.is_empty() {
            return Ok((&self.mean - &other.mean).norm_squared() + other.covariance.trace());
        }
        let root = DMatrix::from_columns(&columns);
        let product = root.transpose() * &other.covariance * &root;
        let product = (&product + product.transpose()) * 0.5;
        let shared: f64 =
            product.symmetric_eigenvalues().iter().map(|value| value.max(0.0).sqrt()).sum();
        let apart = (&self.mean - &other.mean).norm_squared();
        let distance = apart + self.covariance.trace() + other.covariance.trace() - 2.0 * shared;
        if distance.is_finite() {
            // It is a square: below 0 there is rounding alone, and adding 0 takes the sign off a zero.
            return Ok(distance.max(0.0) + 0.0);
        }
        Err(Error::mismatch(
            "Fréchet distance",
            distance,
            "a finite number: the means or covariances are too large",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagonal_gaussians_by_hand() {
        let of = |mean: [f64; 2], sides: [f64; 2]| {
            Gaussian::from_parts(mean.into(), vec![sides[0], 0.0, 0.0, sides[1]]).unwrap()
        };
        let (a, b) = (of([0.0, 1.0], [4.0, 0.0]), of([3.0, 1.0], [9.0, 1.0]));
        // 9 + (2 - 3)² + (0 - 1)²
        assert!((a.distance(&b).unwrap() - 11.0).abs() < 1e-12);
        assert!((b.distance(&a).unwrap() - 11.0).abs() < 1e-12);
        assert!(b.distance(&b).unwrap().abs() < 1e-12);
        let point = of([1.0, 1.0], [0.0, 0.0]);
        assert!((point.distance(&a).unwrap() - 5.0).abs() < 1e-12);
        assert!(Gaussian::from_parts(vec![0.0], vec![]).is_err());
        assert!(Gaussian::from_parts(vec![0.0], vec![f64::NAN]).is_err());
    }

    /// Fewer rows than features, many of them 0 everywhere, as after a rectifier: such data once made eigenvalues
    /// infinite.
    #[test]
    fn singular_covariances() {
        let width = 400;
        let features = |rows: usize, seed: u64| {
            let mut random = crate::data::Random::new(seed, "test", 0, 0);
            let scale: Vec<f64> = (0..width).map(|_| random.uniform(-0.5, 2.0).max(0.0)).collect();
            let value =
                |random: &mut crate::data::Random, s: f64| (s * random.normal_pair().0).max(0.0);
            let row = |_| scale.iter().map(|&s| value(&mut random, s) as f32).collect::<Vec<_>>();
            Features::new((0..rows).flat_map(row).collect(), width).unwrap()
        };
        for seed in 0..6 {
            let [a, b] = [(12, seed), (24, seed + 50)].map(|(rows, seed)| features(rows, seed));
            let [of_a, of_b] = [&a, &b].map(|of| Gaussian::of(of).unwrap());
            let (there, back) = (of_a.distance(&of_b).unwrap(), of_b.distance(&of_a).unwrap());
            assert!(there > 0.0 && (there - back).abs() < 1e-6 * there, "{there} and {back}");
            assert!(of_a.distance(&of_a).unwrap().abs() < 1e-6);
        }
    }
}
