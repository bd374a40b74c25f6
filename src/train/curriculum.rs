//! Chooses how many gradient steps contrastive images (which the network learns to tell from real ones) get in the second
//! training stage: one more whenever the network tells them apart well enough (docs/method.md, "The curriculum").

use std::collections::VecDeque;

/// The number of contrastive steps T, and the AUCs of the latest batches, which decide when it grows.
#[derive(Clone, Debug, PartialEq)]
pub struct Curriculum {
    /// The present number T of gradient steps by which contrastive images are made.
    pub t: u32,
    /// The AUCs of the batches since T last grew, at most `batches` of them.
    pub window: VecDeque<f64>,
    max: u32,
    threshold: f64,
    batches: usize,
}

impl Curriculum {
    /// Makes a curriculum of `start` to `max` contrastive steps; the AUC is averaged over as many batches as `images` images
    /// need.
    pub fn new(start: u32, max: u32, threshold: f64, images: u32, batch: u32) -> Self {
        let batches = images.div_ceil(batch.max(1)).max(1) as usize;
        Self { t: start, window: VecDeque::new(), max, threshold, batches }
    }

    /// Notes the AUC of a batch. T grows by one, unless it is at its largest, and the window empties, when the window is full and
    /// its mean reaches the threshold.
    pub fn note(&mut self, auc: f64) {
        self.window.push_back(auc);
        if self.window.len() > self.batches {
            self.window.pop_front();
        }
        let mean = self.window.iter().sum::<f64>() / self.window.len() as f64;
        if self.t < self.max && self.window.len() == self.batches && mean >= self.threshold {
            self.t += 1;
            self.window.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Curriculum;

    #[test]
    fn t_grows_when_a_full_window_reaches_the_threshold() {
        let mut curriculum = Curriculum::new(0, 2, 0.8, 100, 32); // 4 batches
        for _ in 0..3 {
            curriculum.note(1.0);
            assert_eq!(curriculum.t, 0);
        }
        curriculum.note(1.0);
        assert_eq!((curriculum.t, curriculum.window.len()), (1, 0));
        for auc in [0.0, 0.8, 0.8, 0.8] {
            curriculum.note(auc);
        }
        assert_eq!(curriculum.t, 1, "the mean is 0.6");
        curriculum.note(0.8);
        assert_eq!(curriculum.t, 2, "the first has left the window");
        for _ in 0..9 {
            curriculum.note(1.0);
        }
        assert_eq!(curriculum.t, 2, "the most there is");
    }
}
