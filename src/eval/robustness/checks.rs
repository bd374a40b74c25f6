//! Warns where the robust accuracy may be too high: the network's logits differ between passes over the same images or are
//! probabilities already, or the attack Square breaks images that attacks with gradients did not break.

use super::{AttackName, AttackResult, Warning};

/// Passes that are compared.
pub(super) const PASSES: usize = 5;

/// Whether logits of several passes over the same images differ.
pub(super) fn randomised(passes: &[Vec<f32>], labels: &[u32], classes: usize) -> Option<Warning> {
    let right = |logits: &Vec<f32>| {
        let named = super::super::argmax(logits, classes);
        named.iter().zip(labels).filter(|(named, label)| named == label).count()
    };
    let scaled: Vec<Vec<f64>> = passes.iter().map(|logits| directions(logits, classes)).collect();
    let mut difference = 0.0f64;
    for (at, a) in scaled.iter().enumerate() {
        for b in scaled.iter().skip(at + 1) {
            for (a, b) in a.chunks(classes.max(1)).zip(b.chunks(classes.max(1))) {
                let squares: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
                difference = difference.max(squares.sqrt());
            }
        }
    }
    let counts: Vec<_> = passes.iter().map(right).collect();
    let same = counts.iter().all(|count| counts.first() == Some(count));
    (difference > 1e-4 || !same).then_some(Warning::Randomised { difference })
}

/// Rows of length 1.
fn directions(logits: &[f32], classes: usize) -> Vec<f64> {
    let mut scaled = Vec::with_capacity(logits.len());
    for row in logits.chunks(classes.max(1)) {
        let length = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt() + 1e-10;
        scaled.extend(row.iter().map(|&v| f64::from(v) / length));
    }
    scaled
}

/// Whether all outputs lie in \[0, 1\] and add up to 1.
pub(super) fn probabilities(logits: &[f32], classes: usize) -> Option<Warning> {
    let near = |row: &[f32]| {
        let within = row.iter().all(|value| (-1e-5..1.0 + 1e-5).contains(value));
        within && (row.iter().sum::<f32>() - 1.0).abs() < 1e-5
    };
    let all = !logits.is_empty() && logits.chunks(classes.max(1)).all(near);
    all.then_some(Warning::Probabilities)
}

/// Whether Square broke more than 0.2 % of all images after attacks with gradients had not broken them.
pub(super) fn square(results: &[AttackResult], points: usize) -> Option<Warning> {
    let others = results.iter().any(|result| result.attack != AttackName::Square);
    let broken: usize = results
        .iter()
        .filter(|result| result.attack == AttackName::Square)
        .map(|result| result.broken)
        .sum();
    let share = broken as f64 / points.max(1) as f64;
    (others && share > 0.002).then_some(Warning::SquareBeatsGradients { share })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_that_differ_are_noticed() {
        let steady = vec![3.0, 1.0, 0.0, 0.5, 2.0, 1.0];
        let labels = [0, 1];
        assert_eq!(randomised(&[steady.clone(), steady.clone()], &labels, 3), None);
        let mut other = steady.clone();
        other[1] += 0.01;
        let found = randomised(&[steady.clone(), steady.clone(), other], &labels, 3);
        let Some(Warning::Randomised { difference }) = found else { panic!("{found:?}") };
        assert!((difference - 0.01 / 10f64.sqrt()).abs() < 1e-3, "{difference}");
    }

    #[test]
    fn probabilities_are_noticed() {
        assert_eq!(probabilities(&[0.25, 0.75, 1.0, 0.0], 2), Some(Warning::Probabilities));
        assert_eq!(probabilities(&[0.25, 0.75, 1.0, 0.5], 2), None);
    }

    #[test]
    fn square_alone_shows_nothing() {
        let result = |attack, broken| AttackResult {
            attack,
            tried: 10,
            broken,
            robust_accuracy: 0.0,
            seconds: 0.0,
        };
        let [apgd, one] = [result(AttackName::ApgdCe, 3), result(AttackName::Square, 1)];
        assert_eq!(square(&[one], 100), None);
        assert_eq!(square(&[apgd, one], 1000), None);
        let share = 0.01;
        assert_eq!(square(&[apgd, one], 100), Some(Warning::SquareBeatsGradients { share }));
    }
}
