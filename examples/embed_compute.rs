//! Embeds lapidary in a program that has a wgpu device of its own. In one command encoder, the program's shader makes grey start
//! images, the library turns them into images of ten classes and classifies them, and another shader of the program inverts
//! them. No window is needed.
//!
//!     cargo run --release --example embed_compute

#![allow(clippy::print_stdout, reason = "an example")]

use lapidary::embed::check;
use lapidary::prelude::*;
use lapidary::wgpu;
use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;
use wgpu::util::DeviceExt;

const IMAGES: u32 = 10;
const SIDE: u32 = 16;
const WORDS: u32 = IMAGES * SIDE * SIDE;

/// The host's own passes: a grey slope to start from, and later the negative of what was made.
const HOST: &str = "
@group(0) @binding(0) var<storage, read_write> images: array<f32>;
@group(0) @binding(1) var<storage, read_write> negative: array<f32>;
@compute @workgroup_size(64) fn slope(@builtin(global_invocation_id) id: vec3u) {
    images[id.x] = f32(id.x % 16u) / 16.0;
}
@compute @workgroup_size(64) fn invert(@builtin(global_invocation_id) id: vec3u) {
    negative[id.x] = 1.0 - images[id.x];
}";

fn main() -> Result<(), Box<dyn Error>> {
    let right = pollster::block_on(run())?;
    println!("{right} of {IMAGES} samples are named as the class they were to become");
    Ok(())
}

/// Counts the samples that are of their class.
pub async fn run() -> Result<usize, Box<dyn Error>> {
    // The host's device, which asks for nothing on the library's behalf.
    let instance = wgpu::Instance::default();
    let adapter = instance.request_adapter(&Default::default()).await?;
    let (device, queue) = adapter.request_device(&Default::default()).await?;
    assert!(check(&device).is_empty(), "a device with default limits suffices");

    let gpu = Gpu::from_wgpu(&adapter.get_info(), device.clone(), queue.clone());
    let pretrained = Pretrained::read("data/fashion-demo/model.safetensors")?;
    let weights = pretrained.upload(&gpu).await?;
    let model = &pretrained.network;
    let size = BatchSize { images: IMAGES, side: SIDE };
    let mut sampler = Sampler::of(model, &weights, size).steps(20).build().await?;
    let shared = sampler.image_buffer();
    let mut classifier = HostClassifier::of(model, &weights, size).images(shared).build().await?;
    let classes: Vec<u32> = (0..IMAGES).collect();
    sampler.start(&vec![0.5; WORDS as usize], &classes).await?;

    let host = Host::new(&device, sampler.image_buffer().raw());
    let mut encoder = device.create_command_encoder(&Default::default());
    host.pass(&mut encoder, &host.slope);
    // A frame's worth at a time; here all frames share one encoder.
    while !sampler.finished() {
        sampler.record(&mut encoder, Budget::Steps(4))?;
    }
    classifier.record(&mut encoder, Budget::Steps(1))?;
    host.pass(&mut encoder, &host.invert);
    encoder.copy_buffer_to_buffer(&host.negative, 0, &host.readable, 0, None);

    let result = classifier.probabilities()?.raw();
    let readable = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: result.size(),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    encoder.copy_buffer_to_buffer(result, 0, &readable, 0, None);
    queue.submit([encoder.finish()]);
    let (sender, mapped) = mpsc::channel();
    readable.map_async(wgpu::MapMode::Read, .., move |result| _ = sender.send(result));

    let mut probabilities = Vec::<f32>::new();
    while probabilities.is_empty() {
        std::thread::sleep(Duration::from_millis(1)); // a host draws its next frame instead
        // Once a frame, without waiting for the device:
        device.poll(wgpu::PollType::Poll)?;
        if let Ok(result) = mapped.try_recv() {
            result?;
            probabilities = bytemuck::cast_slice(&readable.get_mapped_range(..)?).to_vec();
            readable.unmap();
        }
    }
    let likeliest = |row: &[f32]| (0..).zip(row).max_by(|a, b| a.1.total_cmp(b.1)).map(|(k, _)| k);
    let named = probabilities.chunks(model.classes() as usize).map(likeliest);
    let images = gpu.read(sampler.image_buffer()).await?;
    host.readable.map_async(wgpu::MapMode::Read, .., |_| ());
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let view = host.readable.get_mapped_range(..)?;
    let negative: &[f32] = bytemuck::cast_slice(&view);
    assert!(images.iter().zip(negative).all(|(image, negative)| 1.0 - image == *negative));
    Ok(named.zip(&classes).filter(|(named, class)| *named == Some(**class)).count())
}

/// The host's own buffers and pipelines on the device.
struct Host {
    negative: wgpu::Buffer,
    readable: wgpu::Buffer,
    slope: wgpu::ComputePipeline,
    invert: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
}

impl Host {
    fn new(device: &wgpu::Device, images: &wgpu::Buffer) -> Self {
        use wgpu::BufferUsages as Usage;
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(HOST.into()),
        });
        let entry = |binding| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: false },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: None,
            entries: &[entry(0), entry(1)],
        });
        let buffer = |usage| {
            let contents = &vec![0; WORDS as usize * 4];
            let descriptor = wgpu::util::BufferInitDescriptor { label: None, contents, usage };
            device.create_buffer_init(&descriptor)
        };
        let negative = buffer(Usage::STORAGE | Usage::COPY_SRC);
        let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &layout,
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: images.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 1, resource: negative.as_entire_binding() },
            ],
        });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = |entry_point| {
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: Some(&layout),
                module: &module,
                entry_point: Some(entry_point),
                compilation_options: Default::default(),
                cache: None,
            })
        };
        let (slope, invert) = (pipeline("slope"), pipeline("invert"));
        let readable = buffer(Usage::MAP_READ | Usage::COPY_DST);
        Self { negative, readable, slope, invert, bindings }
    }

    fn pass(&self, encoder: &mut wgpu::CommandEncoder, pipeline: &wgpu::ComputePipeline) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.dispatch_workgroups(WORDS / 64, 1, 1);
    }
}
