//! Times one optimiser step of the network that `lapidary demo` trains, kernel by kernel: in stage 1 (classification alone) and
//! in stage 2 (with contrastive images, for the energy). `cargo bench --bench update` runs it.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a bench")]

use lapidary::gpu::{Gpu, Options};
use lapidary::model::{Activation, BatchSize, Network, WideResNet};
use lapidary::train::{Dual, Learner, Optimiser, Sources, Update};
use pollster::block_on;
use std::collections::BTreeMap;
use std::time::Instant;

fn main() {
    block_on(async {
        let gpu = Gpu::new(&Options::from_env()).await.unwrap();
        println!("{}", gpu.adapter());
        let model = Network::from(WideResNet::new(10, 1, 1, 10, Activation::Relu, None).unwrap());
        let sgd = Optimiser::Sgd { momentum: 0.9, weight_decay: 5e-4 };
        let mut learner = Learner::new(&gpu, &model, &model.initial(0), sgd).await.unwrap();
        let pixels: Vec<f32> = (0..64 * 256).map(|i| (i % 97) as f32 / 97.0).collect();
        let images = gpu.upload(&pixels).await.unwrap();
        let contrastive = gpu.upload(&pixels).await.unwrap();
        let labels = gpu.upload(&[3u32; 64]).await.unwrap();
        let classes = gpu.upload(&[4u32; 64]).await.unwrap();
        for (name, contrastive) in [("stage 1", None), ("stage 2", Some((&contrastive, &classes)))]
        {
            let batch = BatchSize { images: 64, side: 16 };
            let sources = Sources { classified: (&images, &labels), contrastive, batch };
            let mut update = match contrastive {
                None => Update::classifier(&learner, sources).await.unwrap(),
                Some(_) => Update::dual(&learner, sources, Dual::default()).await.unwrap(),
            };
            if contrastive.is_some() {
                update.write_real(&pixels).await.unwrap();
            }
            update.step(&mut learner, 1e-3).await.unwrap();
            let mut times = Vec::new();
            for _ in 0..9 {
                let start = Instant::now();
                update.step(&mut learner, 1e-3).await.unwrap();
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
            times.sort_by(f64::total_cmp);
            println!("{name}: {:.1} ms, median of 9\n{}", times[4], update.summary());
            let mut kernels: BTreeMap<_, (usize, f64)> = BTreeMap::new();
            for timing in update.profile(3).await.unwrap() {
                let entry = kernels.entry(timing.kernel).or_default();
                *entry = (entry.0 + 1, entry.1 + timing.milliseconds);
            }
            let mut rows: Vec<_> = kernels.into_iter().collect();
            rows.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
            for (kernel, (count, milliseconds)) in rows {
                println!("{milliseconds:>9.3} ms  {count:>4} x {kernel}");
            }
        }
    });
}
