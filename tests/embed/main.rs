//! Tests the library embedded in another wgpu app: a device that the host lends, an encoder that library and app write into, and
//! failures on either side.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail so, and examples talk"
)]

mod examples;
mod failures;
mod host;

use host::{Host, SIDE, SIZE, WORDS, demo, starts, upload};
use lapidary::Error;
use lapidary::attack::{Attack, Pgd, PgdAttack};
use lapidary::embed::{Attacker, Budget, Filtering, Gpu, HostClassifier, Preferences, Sampler};
use lapidary::model::{Checkpoint, DeviceWeights, Network, Pretrained};
use lapidary::wgpu;
use pollster::block_on;
use std::time::Duration;

/// The types that an app may keep anywhere and make on any thread.
#[test]
fn main_types_go_between_threads() {
    fn both<T: Send + Sync>() {}
    both::<Gpu>();
    both::<Sampler>();
    both::<Attacker>();
    both::<HostClassifier>();
    both::<PgdAttack>();
    both::<DeviceWeights>();
    both::<Network>();
    both::<Checkpoint>();
    both::<lapidary::graph::Graph>();
    both::<lapidary::lower::Program>();
    both::<Error>();
}

/// Six steps, however they are cut: the bits of an attack that runs by itself.
#[test]
fn slices_are_whole_steps() {
    let host = Host::default();
    let demo = demo();
    let weights = upload(&host, &demo);
    let (wanted, mut sampler) = block_on(async {
        let settings = Pgd::sample(6, 0.5);
        let alone = PgdAttack::new(&demo.0, &weights, SIZE, settings);
        let mut alone = alone.await.unwrap();
        let wanted = alone.attack(&starts(0), &[7, 8, 9]).await.unwrap();
        let sampler = Sampler::of(&demo.0, &weights, SIZE).step_size(0.5).steps(6);
        (wanted, sampler.build().await.unwrap())
    });
    assert!(sampler.pace() > Duration::ZERO);
    let tenth = Budget::Time(sampler.pace() / 10);
    let budgets = [Budget::Steps(1), Budget::Steps(4), tenth, Budget::Time(sampler.pace() * 4)];
    for budget in budgets {
        block_on(sampler.start(&starts(0), &[7, 8, 9])).unwrap();
        let before = host.gpu.counts();
        let mut encoder = host.encoder();
        for _ in 0..1000 {
            let paused = Budget::Time(Duration::ZERO);
            assert_eq!(sampler.record(&mut encoder, paused).unwrap(), 0, "paused");
        }
        let mut frames = 0;
        while !sampler.finished() {
            let mut encoder = host.encoder();
            let done = sampler.record(&mut encoder, budget).unwrap();
            assert_eq!(done == 6, sampler.finished());
            host.submit(encoder);
            frames += 1;
        }
        assert_eq!(host.gpu.counts(), before, "record makes, submits and reads nothing");
        match budget {
            Budget::Steps(1) => assert_eq!(frames, 6),
            Budget::Steps(_) => assert_eq!(frames, 2),
            Budget::Time(time) if time < sampler.pace() => assert!(frames > 6, "{frames}"),
            Budget::Time(_) => assert!((1..=3).contains(&frames), "{frames}"),
        }
        assert_eq!(host.read(sampler.image_buffer()), wanted, "{budget:?}");
    }
    let mut encoder = host.encoder();
    assert_eq!(sampler.record(&mut encoder, Budget::Steps(5)).unwrap(), 6);
    host.submit(encoder);
    assert_eq!(host.read(sampler.image_buffer()), wanted, "nothing is left to do");
}

/// A host that lends its device says what it prefers; another filtering rounds otherwise, and is seen by that.
#[test]
fn hosts_prefer() {
    let host = Host::default();
    let (model, checkpoint) = demo();
    let logits = |filtering| {
        let gpu = host.gpu.clone().preferring(Preferences { filtering, ..Preferences::default() });
        let parameters = model.parameters();
        let made = DeviceWeights::upload(&gpu, &parameters, &checkpoint.weights);
        let weights = block_on(made).unwrap();
        let mut classifier = block_on(HostClassifier::of(&model, &weights, SIZE).build()).unwrap();
        block_on(classifier.write(&starts(0))).unwrap();
        let mut encoder = host.encoder();
        assert!(classifier.record(&mut encoder, Budget::Steps(1)).unwrap());
        host.submit(encoder);
        host.read(classifier.logits().unwrap())
    };
    let [direct, filtered] = [Filtering::Off, Filtering::Two].map(logits);
    assert_ne!(direct, filtered);
    for (direct, filtered) in direct.iter().zip(&filtered) {
        assert!((direct - filtered).abs() < 1e-3, "{direct} and {filtered}");
    }
    let preferences = host.gpu.preferences();
    assert_eq!(**preferences, Preferences::default(), "the host's own is as it was");
}

/// Weights that were swapped are packed anew in the host's encoder, ahead of what reads them: nobody has to say so, except a
/// host that writes by its own means. An encoder that is dropped, or a swap amid a pass in slices, leaves nothing half swapped.
#[test]
fn swapped_weights_are_packed_anew() {
    let host = Host::default();
    let (model, checkpoint) = demo();
    let mut scaled = checkpoint.weights.clone();
    for parameter in model.parameters() {
        let mut tensor = scaled.get(&parameter.name).unwrap().clone();
        tensor.data.iter_mut().for_each(|v| *v *= 1.25);
        scaled.insert(parameter.name, tensor);
    }
    let parameters = model.parameters();
    let upload =
        |weights| block_on(DeviceWeights::upload(&host.gpu, &parameters, weights)).unwrap();
    let make = |weights| {
        let mut classifier = block_on(HostClassifier::of(&model, weights, SIZE).build()).unwrap();
        block_on(classifier.write(&starts(0))).unwrap();
        classifier
    };
    let pass = |classifier: &mut HostClassifier| {
        let mut encoder = host.encoder();
        assert!(classifier.record(&mut encoder, Budget::Steps(1)).unwrap());
        host.submit(encoder);
        host.read(classifier.logits().unwrap())
    };
    let weights = upload(&checkpoint.weights);
    let mut classifier = make(&weights);
    let first = pass(&mut classifier);
    let others = upload(&scaled);
    let second = pass(&mut make(&others));
    assert_ne!(first, second);
    let swap = |to| block_on(weights.write(to)).unwrap();

    swap(&scaled);
    let counts = host.gpu.counts();
    let mut encoder = host.encoder();
    assert!(classifier.record(&mut encoder, Budget::Steps(1)).unwrap());
    assert_eq!(host.gpu.counts(), counts, "record makes, submits and reads nothing");
    host.submit(encoder);
    assert_eq!(host.read(classifier.logits().unwrap()), second);

    swap(&checkpoint.weights);
    let mut dropped = host.encoder();
    assert!(classifier.record(&mut dropped, Budget::Steps(1)).unwrap());
    drop(dropped);
    assert_eq!(pass(&mut classifier), first, "after an encoder was dropped");

    let slice = Budget::Time(classifier.pace() / 8);
    let mut encoder = host.encoder();
    assert!(!classifier.record(&mut encoder, slice).unwrap());
    host.submit(encoder);
    swap(&scaled);
    let mut slices = 1;
    loop {
        let mut encoder = host.encoder();
        let whole = classifier.record(&mut encoder, slice).unwrap();
        host.submit(encoder);
        slices += 1;
        if whole {
            break;
        }
    }
    assert!(slices > 3, "{slices}");
    assert_eq!(host.read(classifier.logits().unwrap()), second, "after a swap amid a pass");

    let mut encoder = host.encoder();
    let back = upload(&checkpoint.weights);
    for parameter in &parameters {
        let [from, to] = [&back, &weights].map(|of| of.buffer(&parameter.name).unwrap());
        encoder.copy_buffer_to_buffer(from.raw(), 0, to.raw(), 0, to.raw().size());
        to.mark_written();
    }
    assert!(classifier.record(&mut encoder, Budget::Steps(1)).unwrap());
    host.submit(encoder);
    assert_eq!(host.read(classifier.logits().unwrap()), first, "after the host's own copies");
}

/// The texture shows the images: rounded to bytes, side by side, nothing behind the last.
#[test]
fn the_texture_is_the_images() {
    let host = Host::default();
    let demo = demo();
    let weights = upload(&host, &demo);
    let mut sampler =
        block_on(Sampler::of(&demo.0, &weights, SIZE).columns(2).steps(2).build()).unwrap();
    block_on(sampler.start(&starts(5), &[0, 1, 2])).unwrap();
    let texture = sampler.texture();
    assert_eq!([texture.width(), texture.height()], [2 * SIDE, 2 * SIDE]);
    let readable = host.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 256 * 2 * u64::from(SIDE),
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder = host.encoder();
    sampler.record(&mut encoder, Budget::Steps(2)).unwrap();
    let texture = sampler.texture();
    let layout =
        wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(256), rows_per_image: None };
    let target = wgpu::TexelCopyBufferInfo { buffer: &readable, layout };
    encoder.copy_texture_to_buffer(texture.as_image_copy(), target, texture.size());
    host.submit(encoder);
    readable.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
    host.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let bytes = readable.get_mapped_range(..).unwrap().to_vec();
    let images = host.read(sampler.image_buffer());
    let side = SIDE as usize;
    let mut seen = 0;
    for (y, row) in bytes.chunks(256).enumerate() {
        for (x, pixel) in row[..4 * 2 * side].chunks(4).enumerate() {
            let image = y / side * 2 + x / side;
            let Some(&value) = images.get(image * side * side + y % side * side + x % side) else {
                assert_eq!(pixel, [0; 4]);
                continue;
            };
            let off = (f32::from(pixel[0]) - value * 255.0).abs();
            assert!(off <= 0.501 && pixel[1..] == [pixel[0], pixel[0], 255], "{value} {pixel:?}");
            seen += usize::from(pixel[0] > 0 && pixel[0] < 255);
        }
    }
    assert!(seen > WORDS / 2, "{seen} pixels are neither black nor white");
}

/// Two networks' samplers, an attacker and a classifier share the device and an encoder with the host's copies
/// and clears; the validation layer has nothing to say, and each gets what it gets alone.
#[test]
fn side_by_side_on_one_encoder() {
    let host = Host::default();
    let first = demo();
    let mut other = demo();
    other.1.weights = first.0.initial(3);
    let both = [upload(&host, &first), upload(&host, &other)];
    let models = [&first.0, &other.0];
    let make =
        |i: usize| block_on(Sampler::of(models[i], &both[i], SIZE).steps(3).build()).unwrap();
    let mut alone = Vec::new();
    for i in [0, 1] {
        let mut sampler = make(i);
        block_on(sampler.start(&starts(i), &[1, 2, 3])).unwrap();
        let mut encoder = host.encoder();
        sampler.record(&mut encoder, Budget::Steps(3)).unwrap();
        host.submit(encoder);
        alone.push(host.read(sampler.image_buffer()));
    }
    assert_ne!(alone[0], alone[1]);

    let mut samplers = [make(0), make(1)];
    let images = samplers[0].image_buffer().clone();
    let mut attacker = block_on(Attacker::of(&first.0, &both[0], SIZE).eps(0.3).build()).unwrap();
    let mut classifier =
        block_on(HostClassifier::of(&first.0, &both[0], SIZE).images(&images).build()).unwrap();
    for (i, sampler) in samplers.iter_mut().enumerate() {
        block_on(sampler.start(&starts(i), &[1, 2, 3])).unwrap();
    }
    block_on(attacker.start(&alone[0], &[1, 2, 3])).unwrap();
    let copy = host.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: images.raw().size(),
        usage: wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let scope = host.device.push_error_scope(wgpu::ErrorFilter::Validation);
    let mut encoder = host.encoder();
    for _ in 0..3 {
        for sampler in &mut samplers {
            encoder.clear_buffer(&copy, 0, None);
            sampler.record(&mut encoder, Budget::Steps(1)).unwrap();
            encoder.copy_buffer_to_buffer(images.raw(), 0, &copy, 0, None);
        }
        attacker.record(&mut encoder, Budget::Steps(5)).unwrap();
    }
    while !classifier.record(&mut encoder, Budget::Time(classifier.pace() / 3)).unwrap() {}
    host.submit(encoder);
    assert!(block_on(scope.pop()).is_none());
    for (sampler, alone) in samplers.iter().zip(&alone) {
        assert_eq!(host.read(sampler.image_buffer()), *alone);
    }
    let logits = host.read(classifier.logits().unwrap());
    let own = lapidary::eval::Classifier::new(&first.0, &both[0], SIZE);
    let wanted = block_on(async { own.await.unwrap().logits(&alone[0]).await.unwrap() });
    assert_eq!(logits[..30], wanted[..]);
    let probabilities = host.read(classifier.probabilities().unwrap());
    let sum = probabilities[..10].iter().sum::<f32>();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    let attacked = host.read(attacker.image_buffer());
    for (image, origin) in attacked.chunks(256).zip(alone[0].chunks(256)) {
        let square: f32 = image.iter().zip(origin).map(|(a, b)| (a - b) * (a - b)).sum();
        assert!((0.01..0.301).contains(&square.sqrt()), "{}", square.sqrt());
    }
}

/// A sampler that goes in the middle of its steps takes all that was its own with it.
#[test]
fn dropping_one_leaks_nothing() {
    let host = Host::default();
    let demo = demo();
    let weights = upload(&host, &demo);
    let alive = || {
        host.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let report = host.instance.generate_report().unwrap();
        let hub = report.hub_report();
        let kept = [&hub.buffers, &hub.bind_groups, &hub.textures].map(|each| each.num_allocated);
        (host.gpu.counts().bytes, kept)
    };
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut sampler = block_on(Sampler::of(&demo.0, &weights, SIZE).build()).unwrap();
        let mut encoder = host.encoder();
        sampler.record(&mut encoder, Budget::Time(sampler.pace() * 3 / 2)).unwrap();
        let during = alive();
        host.submit(encoder);
        drop(sampler);
        seen.push(alive());
        assert!(seen[0] < during, "{seen:?} {during:?}");
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[1], seen[2]);
}

/// An app loads on a thread of its own, or in a task that goes from thread to thread, and records elsewhere.
#[test]
fn they_are_made_on_another_thread() {
    let host = Host::default();
    let gpu = host.gpu.clone();
    let load = async move {
        let pretrained = Pretrained::read("data/fashion-demo/model.safetensors").unwrap();
        let weights = pretrained.upload(&gpu).await.unwrap();
        let mut made = Sampler::of(&pretrained.network, &weights, SIZE).build().await.unwrap();
        made.start(&starts(0), &[7, 8, 9]).await.unwrap();
        made
    };
    let mut sampler = std::thread::spawn(|| block_on(load)).join().unwrap();
    let mut encoder = host.encoder();
    assert_eq!(sampler.record(&mut encoder, Budget::Steps(1)).unwrap(), 1);
    host.submit(encoder);
    assert_ne!(host.read(sampler.image_buffer()), starts(0));
}
