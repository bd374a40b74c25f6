//! A host app whose device the library computes on, and the network that tests run there.

use lapidary::embed::{Gpu, required_features};
use lapidary::model::{BatchSize, Checkpoint, DeviceWeights, Network};
use lapidary::wgpu;
use pollster::block_on;

pub const SIDE: u32 = 16;
pub const SIZE: BatchSize = BatchSize { images: 3, side: SIDE };
pub const WORDS: usize = (3 * SIDE * SIDE) as usize;

/// A host's device: WebGPU's default limits, no features.
pub struct Host {
    pub instance: wgpu::Instance,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub gpu: Gpu,
}

impl Host {
    pub fn new(limits: wgpu::Limits) -> Self {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::PRIMARY;
        let instance = wgpu::Instance::new(descriptor);
        let wanted = std::env::var("LAPIDARY_ADAPTER").unwrap_or_default().to_lowercase();
        let found = block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
        let named =
            |adapter: &wgpu::Adapter| adapter.get_info().name.to_lowercase().contains(&wanted);
        let adapter = found.into_iter().find(named).expect("these tests need a GPU adapter");
        assert!(adapter.features().contains(required_features(&adapter)));
        let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
        let (device, queue) = block_on(adapter.request_device(&descriptor)).unwrap();
        let gpu = Gpu::from_wgpu(&adapter.get_info(), device.clone(), queue.clone());
        Self { instance, device, queue, gpu }
    }

    pub fn default() -> Self {
        Self::new(wgpu::Limits::default())
    }

    pub fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&Default::default())
    }

    pub fn submit(&self, encoder: wgpu::CommandEncoder) {
        self.queue.submit([encoder.finish()]);
    }

    pub fn read(&self, buffer: &lapidary::gpu::Buffer) -> Vec<f32> {
        block_on(self.gpu.read(buffer)).unwrap()
    }
}

pub fn demo() -> (Network, Checkpoint) {
    let checkpoint = Checkpoint::read("data/fashion-demo/model.safetensors").unwrap();
    (Network::from_checkpoint(&checkpoint).unwrap(), checkpoint)
}

pub fn upload(host: &Host, (model, checkpoint): &(Network, Checkpoint)) -> DeviceWeights {
    block_on(DeviceWeights::upload(&host.gpu, &model.parameters(), &checkpoint.weights)).unwrap()
}

pub fn starts(offset: usize) -> Vec<f32> {
    (0..WORDS).map(|i| ((i * 37 + offset) % 101) as f32 / 101.0).collect()
}
