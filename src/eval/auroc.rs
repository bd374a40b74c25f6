//! Computes how well one score tells two sets apart: the area under the receiver operating characteristic (AUROC), and the share
//! of one set that passes where 95 % of the other do (FPR95).

/// Computes the area under the ROC curve: the share of pairs of a positive and a negative in which the positive scores higher,
/// ties counting half. NaN if a set is empty or a score is not a number.
pub fn auroc<S: Copy + Into<f64>>(positives: &[S], negatives: &[S]) -> f64 {
    let positive = positives.iter().map(|&score| (score.into(), true));
    let mut scores: Vec<(f64, bool)> =
        positive.chain(negatives.iter().map(|&score| (score.into(), false))).collect();
    if scores.iter().any(|(score, _)| score.is_nan()) {
        return f64::NAN;
    }
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins) = (0.0, 0.0);
    // `==` chunks 0.0 and -0.0 together, whichever order the sort has left them in.
    for ties in scores.chunk_by(|a, b| a.0 == b.0) {
        let won = ties.iter().filter(|(_, positive)| *positive).count() as f64;
        let lost = ties.len() as f64 - won;
        wins += won * (below + lost / 2.0);
        below += lost;
    }
    wins / (positives.len() as f64 * negatives.len() as f64)
}

/// Computes FPR95: the share of negatives at or above the score that 95 % of positives reach (Hendrycks and Gimpel 2017, arXiv
/// 1610.02136). NaN if a set is empty or a score is not a number.
pub fn false_positives_at_95<S: Copy + Into<f64>>(positives: &[S], negatives: &[S]) -> f64 {
    let mut sorted: Vec<f64> = positives.iter().map(|&score| score.into()).collect();
    let negatives: Vec<f64> = negatives.iter().map(|&score| score.into()).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let reached = (sorted.len() * 95).div_ceil(100);
    let threshold = reached.checked_sub(1).and_then(|last| sorted.get(last));
    let numbers = sorted.iter().chain(&negatives).all(|score| !score.is_nan());
    let Some(threshold) = threshold.filter(|_| numbers) else { return f64::NAN };
    let wrong = negatives.iter().filter(|score| *score >= threshold).count();
    wrong as f64 / negatives.len() as f64
}

#[cfg(test)]
mod tests {
    use super::{auroc, false_positives_at_95};

    #[test]
    fn nineteen_of_twenty_are_kept() {
        let positives: Vec<f32> = (1..=20).map(|score| score as f32).collect();
        // 19 of 20 reach 2.
        assert_eq!(false_positives_at_95(&positives, &[0.0, 1.5, 2.0, 30.0]), 0.5);
        assert!(false_positives_at_95(&[], &[1.0]).is_nan());
        assert!(false_positives_at_95(&positives, &[]).is_nan());
        assert!(false_positives_at_95(&positives, &[f32::NAN]).is_nan());
    }

    #[test]
    fn pairs_are_counted_and_ties_half() {
        assert_eq!(auroc(&[2.0, 3.0], &[0.0, 1.0]), 1.0);
        assert_eq!(auroc(&[0.0, 1.0], &[2.0, 3.0]), 0.0);
        assert_eq!(auroc(&[1.0; 3], &[1.0; 5]), 0.5);
        assert_eq!(auroc(&[0.0, -0.0], &[-0.0, 0.0]), 0.5);
        assert_eq!(auroc(&[1.0, 2.0, 3.0], &[2.0, 0.0]), 4.5 / 6.0);
        assert!(auroc(&[], &[1.0]).is_nan() && auroc(&[f32::NAN], &[1.0]).is_nan());
        // In 32 bits both would be 1.
        assert_eq!(auroc(&[1.0 + 1e-12], &[1.0]), 1.0);
        assert_eq!(false_positives_at_95(&[1.0 + 1e-12], &[1.0]), 0.0);
    }
}
