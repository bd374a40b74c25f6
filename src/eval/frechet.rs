//! The Fréchet distance of two Gaussians (Dowson and Landau 1982), as FID takes it of features (Heusel et al. 2017, arXiv
//! 1706.08500), with the symmetric square root in f64.

use super::Features;
use crate::{Error, Result};
use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// Rows that are taken into the covariance at once.
const CHUNK: usize = 256;

/// Mean and covariance of features.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    mean: DVector<f64>,
    /// Symmetric.
    covariance: DMatrix<f64>,
}

impl Gaussian {
    /// Of rows, the covariance divided by their number − 1. Err for fewer than 2.
    pub fn of(features: &Features) -> Result<Self> {
        let (rows, width) = (features.len(), features.width());
        if rows < 2 {
            return Err(Error::mismatch(
                "Fréchet distance",
                format_args!("{rows} rows"),
                "2 or more",
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

    /// From numbers as files have them: the covariance row by row. Err where they do not fit, or are not finite.
    pub fn from_parts(mean: Vec<f64>, covariance: Vec<f64>) -> Result<Self> {
        let width = mean.len();
        let finite = mean.iter().chain(&covariance).all(|value| value.is_finite());
        if width == 0 || Some(covariance.len()) != width.checked_mul(width) || !finite {
            let given = format_args!("{width} means and {} covariances", covariance.len());
            return Err(Error::mismatch("Gaussian", given, "D finite numbers and D × D"));
        }
        let covariance = DMatrix::from_row_slice(width, width, &covariance);
        // What a file has may be symmetric but for rounding.
        let covariance = (&covariance + covariance.transpose()) * 0.5;
        Ok(Self { mean: DVector::from_vec(mean), covariance })
    }

    /// D numbers.
    pub fn mean(&self) -> &[f64] {
        self.mean.as_slice()
    }

    /// D × D numbers.
    pub fn covariance(&self) -> &[f64] {
        self.covariance.as_slice()
    }

    /// |m₁ − m₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁^½ Σ₂ Σ₁^½)^½, which is the same as with (Σ₁ Σ₂)^½ and needs square roots of
    /// symmetric matrices alone; singular ones need no offset. Err for other widths.
    pub fn distance(&self, other: &Self) -> Result<f64> {
        let (width, wanted) = (self.mean.len(), other.mean.len());
        if width != wanted {
            return Err(Error::mismatch(
                "Fréchet distance",
                format_args!("{width} features"),
                wanted,
            ));
        }
        // Σ₁ = (V √λ) (V √λ)ᵀ, and the eigenvalues of (V √λ)ᵀ Σ₂ (V √λ) are those of Σ₁^½ Σ₂ Σ₁^½.
        let SymmetricEigen { eigenvectors: mut root, eigenvalues } =
            SymmetricEigen::new(self.covariance.clone());
        for (mut column, value) in root.column_iter_mut().zip(eigenvalues.iter()) {
            column *= value.max(0.0).sqrt();
        }
        let product = root.transpose() * &other.covariance * &root;
        let product = (&product + product.transpose()) * 0.5;
        let shared: f64 =
            product.symmetric_eigenvalues().iter().map(|value| value.max(0.0).sqrt()).sum();
        let apart = (&self.mean - &other.mean).norm_squared();
        Ok(apart + self.covariance.trace() + other.covariance.trace() - 2.0 * shared)
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
        assert!(Gaussian::from_parts(vec![0.0], vec![]).is_err());
        assert!(Gaussian::from_parts(vec![0.0], vec![f64::NAN]).is_err());
    }
}
