//! Measures whether confidence means accuracy: expected calibration error (Guo et al. 2017, arXiv 1706.04599, equation 3).

use super::argmax;

/// The predictions whose confidence falls into one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// The number of predictions in the interval.
    pub count: usize,
    /// The share of the interval's predictions that are right; 0 where there are none.
    pub accuracy: f64,
    /// The mean confidence of the interval's predictions; 0 where there are none.
    pub confidence: f64,
}

/// Calibration: how well a network's confidence predicts its accuracy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// The expected calibration error (ECE): sum over bins of count / N · |accuracy − confidence|; NaN without images.
    pub ece: f64,
    /// The bins of predictions by confidence: equal intervals (lo, hi] from 0 to 1.
    pub bins: Vec<Bin>,
}

/// Computes the probability of the likeliest class of each image, by softmax in f64.
pub fn confidences(logits: &[f32], classes: usize) -> Vec<f64> {
    softmax(logits, classes)
        .chunks(classes.max(1))
        .map(|row| row.iter().copied().fold(0.0, f64::max))
        .collect()
}

/// Softmax row by row, K each, in f64.
pub(crate) fn softmax(logits: &[f32], classes: usize) -> Vec<f64> {
    let row = |row: &[f32]| {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let each: Vec<_> =
            row.iter().map(|&logit| (f64::from(logit) - f64::from(most)).exp()).collect();
        let sum: f64 = each.iter().sum();
        each.into_iter().map(move |part| part / sum)
    };
    logits.chunks(classes.max(1)).flat_map(row).collect()
}

/// Computes the calibration of each image's likeliest class from logits, K for each image, in `bins` equal intervals (lo, hi].
pub fn calibration(logits: &[f32], labels: &[u32], classes: usize, bins: usize) -> Calibration {
    let mut sums = vec![(0_usize, 0_usize, 0.0_f64); bins];
    let named = argmax(logits, classes);
    for ((confidence, named), label) in confidences(logits, classes).iter().zip(&named).zip(labels)
    {
        // (lo, hi]: a confidence on an edge belongs below it.
        let place = ((confidence * bins as f64).ceil() as usize).clamp(1, bins.max(1)) - 1;
        if let Some((count, right, sum)) = sums.get_mut(place) {
            *count += 1;
            *right += usize::from(named == label);
            *sum += confidence;
        }
    }
    let bin = |&(count, right, sum): &(usize, usize, f64)| {
        let over = |part: f64| if count > 0 { part / count as f64 } else { 0.0 };
        Bin { count, accuracy: over(right as f64), confidence: over(sum) }
    };
    let bins: Vec<_> = sums.iter().map(bin).collect();
    let gap = |bin: &Bin| bin.count as f64 * (bin.accuracy - bin.confidence).abs();
    let ece = bins.iter().map(gap).sum::<f64>() / labels.len() as f64;
    Calibration { ece, bins }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_belong_below() {
        // Two classes: ln 3 apart is a confidence of 0.75, equal ones 0.5.
        let logits = [3f32.ln(), 0.0, 0.0, 0.0, 0.0, 3f32.ln()];
        let found = calibration(&logits, &[0, 1, 1], 2, 4);
        let counts: Vec<_> = found.bins.iter().map(|bin| bin.count).collect();
        assert_eq!(counts.iter().sum::<usize>(), 3);
        assert_eq!(counts[1], 1);
        assert_eq!(found.bins[1].accuracy, 0.0);
        // |0 - 0.5| of one image and |1 - 0.75| of two.
        assert!((found.ece - 1.0 / 3.0).abs() < 1e-6, "{}", found.ece);
        assert!(calibration(&[], &[], 2, 4).ece.is_nan());
    }
}
