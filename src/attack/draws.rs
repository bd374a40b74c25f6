//! Which random numbers the images of a batch draw: by seed, stream and an id of each image, wherever it lies.

use super::forward::buffers;
use crate::Result;
use crate::gpu::{Buffer, Gpu};
use crate::graph::{Graph, Shape, Value};

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

    /// For what is drawn next.
    pub async fn write(&self, ids: &[u32], seed: u64, stream: u32) -> Result<()> {
        self.gpu.write(&self.ids, ids).await?;
        self.gpu.write(&self.control, &[seed as u32, (seed >> 32) as u32, stream, 0]).await
    }

    /// Values for ids and control.
    pub fn inputs(&self, graph: &mut Graph) -> Result<(Value, Value)> {
        let ids = graph.input(Shape::per_image(self.ids.words())?);
        Ok((ids, graph.input(Shape::vector(4)?)))
    }

    /// Their buffers.
    pub fn given(&self, ids: Value, control: Value) -> [(Value, Buffer); 2] {
        [(ids, self.ids.clone()), (control, self.control.clone())]
    }
}
