//! Tests failures on either side: a lost device, one that lacks something, settings out of range, an encoder of another device.

use crate::host::{Host, SIZE, demo, starts, upload};
use lapidary::Error;
use lapidary::embed::{Attacker, Budget, HostClassifier, Sampler, check};
use lapidary::model::BatchSize;
use lapidary::wgpu;
use pollster::block_on;

#[test]
fn a_host_that_lost_its_device_says_so() {
    let host = Host::default();
    let demo = demo();
    let weights = upload(&host, &demo);
    let mut sampler = block_on(Sampler::of(&demo.0, &weights, SIZE).build()).unwrap();
    let mut classifier = block_on(HostClassifier::of(&demo.0, &weights, SIZE).build()).unwrap();
    let mut encoder = host.encoder();
    sampler.record(&mut encoder, Budget::Steps(1)).unwrap();
    host.gpu.notify_lost("the cable was pulled");
    let after = [
        sampler.record(&mut encoder, Budget::Steps(1)).map(drop),
        classifier.record(&mut encoder, Budget::Steps(1)).map(drop),
        block_on(sampler.start(&starts(0), &[0, 1, 2])),
        block_on(classifier.write(&starts(0))),
        block_on(host.gpu.read(sampler.image_buffer())).map(drop),
        block_on(Sampler::of(&demo.0, &weights, SIZE).build()).map(drop),
    ];
    for result in after {
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::DeviceLost(why) if why.contains("cable")), "{error:?}");
    }
}

#[test]
fn what_a_device_lacks_is_listed() {
    assert!(check(&Host::default().device).is_empty());
    let host = Host::new(wgpu::Limits {
        max_storage_buffers_per_shader_stage: 4,
        max_compute_invocations_per_workgroup: 128,
        // Nothing here needs it.
        max_texture_dimension_3d: 256,
        ..Default::default()
    });
    let missing = check(&host.device);
    let names: Vec<_> = missing.iter().map(|each| (each.name, each.given, each.wanted)).collect();
    let wanted = [
        ("max_storage_buffers_per_shader_stage", 4, 8),
        ("max_compute_invocations_per_workgroup", 128, 256),
    ];
    assert!(names.len() == 2 && wanted.iter().all(|each| names.contains(each)), "{names:?}");
    let demo = demo();
    let weights = upload(&host, &demo);
    let error = block_on(Sampler::of(&demo.0, &weights, SIZE).build()).unwrap_err();
    assert!(matches!(error, Error::MissingLimit { .. }), "{error:?}");
    assert!(names.iter().all(|(name, ..)| error.to_string().contains(name)), "{error}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let host = Host::default();
    let demo = demo();
    let weights = upload(&host, &demo);
    let of = |size| Sampler::of(&demo.0, &weights, size);
    let attacker = || Attacker::of(&demo.0, &weights, SIZE);
    let refused = [
        block_on(of(SIZE).steps(0).build()).map(drop),
        block_on(of(SIZE).step_size(f32::NAN).build()).map(drop),
        block_on(of(SIZE).columns(0).build()).map(drop),
        block_on(of(SIZE).columns(u32::MAX).build()).map(drop),
        block_on(of(SIZE).columns(1000).build()).map(drop),
        block_on(of(BatchSize { images: 0, ..SIZE }).build()).map(drop),
        block_on(attacker().eps(-1.0).build()).map(drop),
        block_on(attacker().eps(f32::NAN).build()).map(drop),
    ];
    for result in refused {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Mismatch { .. }), "{error:?}");
    }
    let mut sampler = block_on(of(SIZE).build()).unwrap();
    assert!(block_on(sampler.start(&[0.0; 3], &[0; 3])).is_err());
    assert!(block_on(sampler.start(&starts(0), &[0; 2])).is_err());
}

/// wgpu does not say which device an encoder is of, so nothing is refused when it is recorded into: the encoder's own device tells
/// when it is finished, to the error scope that is open there. (Of another instance wgpu panics instead.)
#[test]
fn an_encoder_of_another_device() {
    let host = Host::default();
    let found = block_on(host.instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    let name = &host.gpu.adapter().name;
    let adapter = found.into_iter().find(|adapter| &adapter.get_info().name == name).unwrap();
    let (other, _queue) = block_on(adapter.request_device(&Default::default())).unwrap();
    let network = demo();
    let weights = upload(&host, &network);
    let size = BatchSize { images: 1, side: 16 };
    let mut classifier = block_on(HostClassifier::of(&network.0, &weights, size).build()).unwrap();
    let scope = other.push_error_scope(wgpu::ErrorFilter::Validation);
    let mut encoder = other.create_command_encoder(&Default::default());
    assert!(classifier.record(&mut encoder, Budget::Steps(1)).unwrap());
    drop(encoder.finish());
    let said = block_on(scope.pop()).expect("an error").to_string();
    assert!(said.contains("evice"), "{said}");
    // What is recorded into an encoder of the right device still runs.
    let mut encoder = host.encoder();
    assert!(classifier.record(&mut encoder, Budget::Steps(1)).unwrap());
    host.submit(encoder);
    assert!(host.read(classifier.logits().unwrap()).iter().all(|logit| logit.is_finite()));
}
