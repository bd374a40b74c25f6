//! JEM's replay buffer: a store of samples from which later iterations continue (Du and Mordatch 2019, arXiv 1903.08689, section
//! 3.2). It lies in main memory, because it may be large: an iteration moves one batch to the device and back.

use super::Jem;
use crate::data::Random;
use crate::model::Tensor;
use crate::{Error, Result};

/// The replay buffer of JEM: samples that later iterations go on with. A draw gives noise in place of some of them.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayBuffer {
    images: Vec<f32>,
    shape: [usize; 4],
    reinit: f64,
    seed: u64,
}

impl ReplayBuffer {
    /// Makes a buffer of uniform noise in \[0, 1\].
    pub fn new(jem: &Jem, seed: u64, channels: u32, side: u32) -> Self {
        let shape = [jem.buffer, channels, side, side].map(|sides| sides as usize);
        let [count, ..] = shape;
        let mut buffer = Self { images: Vec::new(), shape, reinit: jem.reinit, seed };
        for index in 0..count {
            let image = buffer.noise("jem/buffer", 0, index as u64);
            buffer.images.extend(image);
        }
        buffer
    }

    /// Draws the starts of `batch` chains in iteration `it`: their places in the buffer, and the images. The result
    /// depends only on the seed, `it` and the buffer.
    pub fn draw(&self, it: u64, batch: usize) -> (Vec<usize>, Vec<f32>) {
        let mut random = Random::new(self.seed, "jem/draw", it, 0);
        let [count, ..] = self.shape;
        let (mut places, mut images) = (Vec::new(), Vec::new());
        for index in 0..batch as u64 {
            let place = random.below(count as u64) as usize;
            let anew = random.uniform(0.0, 1.0) < self.reinit;
            let range = place * self.len()..(place + 1) * self.len();
            match self.images.get(range) {
                Some(image) if !anew => images.extend_from_slice(image),
                _ => images.extend(self.noise("jem/reinit", it, index)),
            }
            places.push(place);
        }
        (places, images)
    }

    /// Keeps samples at their places in the buffer; of two for one place the later stays.
    pub fn put(&mut self, places: &[usize], images: &[f32]) {
        let len = self.len();
        for (&place, image) in places.iter().zip(images.chunks(len.max(1))) {
            if let Some(kept) = self.images.get_mut(place * len..(place + 1) * len) {
                kept.copy_from_slice(image);
            }
        }
    }

    /// Returns the replay buffer as a tensor of a checkpoint: \[samples, C, H, W\].
    pub fn tensor(&self) -> Result<Tensor> {
        Tensor::new(self.shape.to_vec(), self.images.clone())
    }

    /// Sets the replay buffer from a checkpoint. Err for another shape.
    pub fn restore(&mut self, tensor: &Tensor) -> Result<()> {
        if tensor.shape != self.shape {
            let given = format_args!("samples of shape {:?}", tensor.shape);
            return Err(Error::mismatch(
                "replay buffer",
                given,
                format_args!("samples of shape {:?}", self.shape),
            ));
        }
        self.images.clone_from(&tensor.data);
        Ok(())
    }

    /// Values of an image.
    fn len(&self) -> usize {
        let [_, image @ ..] = self.shape;
        image.iter().product()
    }

    fn noise(&self, purpose: &str, step: u64, index: u64) -> Vec<f32> {
        let mut random = Random::new(self.seed, purpose, step, index);
        (0..self.len()).map(|_| random.uniform(0.0, 1.0) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_back_and_some_begin_anew() {
        let jem = Jem { buffer: 50, reinit: 0.2, ..Jem::default() };
        let mut buffer = ReplayBuffer::new(&jem, 3, 1, 4);
        let (places, images) = buffer.draw(7, 1000);
        assert_eq!((places.clone(), images.clone()), buffer.draw(7, 1000));
        assert_ne!(places, buffer.draw(8, 1000).0);
        let from = |place: usize| buffer.images[place * 16..][..16].to_vec();
        let anew = places.iter().zip(images.chunks(16)).filter(|(place, x)| from(**place) != **x);
        assert!((150..250).contains(&anew.count()));
        assert!(images.iter().all(|value| (0.0..1.0).contains(value)));

        buffer.put(&[4, 9, 4], &[[1.0; 16], [2.0; 16], [3.0; 16]].concat());
        let saved = buffer.tensor().unwrap();
        assert_eq!((saved.data[4 * 16], saved.data[9 * 16]), (3.0, 2.0));
        let mut other = ReplayBuffer::new(&jem, 3, 1, 4);
        other.restore(&saved).unwrap();
        assert_eq!(other, buffer);
        assert!(ReplayBuffer::new(&Jem::default(), 3, 1, 4).restore(&saved).is_err());
    }
}
