//! Keeps on the device what an attack's random numbers are drawn from in its kernels: a seed, a stream number and each image's
//! id, so that the numbers do not depend on how images are divided into batches.

use super::Start;
use super::forward::buffers;
use crate::gpu::{Buffer, Gpu};
use crate::graph::{Graph, Shape, Value};
use crate::model::filled;
use crate::{Error, Result};

/// The ids and the control words on the device.
#[derive(Debug)]
pub(super) struct Draws {
    gpu: Gpu,
    ids: Buffer,
    control: Buffer,
}

impl Draws {
    pub async fn new(gpu: &Gpu, images: u32) -> Result<Self> {
        let [ids, control] = buffers(gpu, [images, 4]).await?;
        Ok(Self { gpu: gpu.clone(), ids, control })
    }

    /// Sets the seed and the images' ids for an attack's next random numbers. Err if there are not as many ids as labels.
    pub async fn write(&mut self, start: &Start<'_>) -> Result<()> {
        let (count, most) = (start.labels.len(), self.ids.words());
        match start.ids {
            Some(ids) if ids.len() != count => {
                let given = format!("{} ids for {count} images", ids.len());
                return Err(Error::mismatch("attack", given, "one id for each image"));
            }
            Some(ids) => self.gpu.write(&self.ids, &filled(ids, most as usize, 0)).await?,
            None => self.gpu.write(&self.ids, &(0..most).collect::<Vec<_>>()).await?,
        }
        let Start { seed, stream, .. } = *start;
        self.gpu.write(&self.control, &[seed as u32, (seed >> 32) as u32, stream, 0]).await
    }

    /// Adds graph inputs for the images' ids and for the control words of random numbers.
    pub fn inputs(&self, graph: &mut Graph) -> Result<(Value, Value)> {
        let ids = graph.input(Shape::per_image(self.ids.words())?);
        Ok((ids, graph.input(Shape::vector(4)?)))
    }

    /// Pairs the graph's inputs for ids and control words with their buffers.
    pub fn given(&self, ids: Value, control: Value) -> [(Value, Buffer); 2] {
        [(ids, self.ids.clone()), (control, self.control.clone())]
    }
}
