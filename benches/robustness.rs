//! Times one step of the attacks APGD-T, FAB-T and Square, which AutoAttack runs, on the network that `lapidary demo` trains,
//! kernel by kernel: `cargo bench --bench robustness`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a bench")]

use lapidary::attack::{AnyAttack, Apgd, Attack, Fab, Objective, Settings, Square, Start};
use lapidary::gpu::{Gpu, Options, Timing};
use lapidary::model::{Activation, BatchSize, DeviceWeights, Network, WideResNet};
use lapidary::ops::Norm;
use pollster::block_on;
use std::collections::BTreeMap;
use std::time::Instant;

const IMAGES: u32 = 56;

/// Median of five, and what the launches add up to.
fn main() {
    block_on(async {
        let gpu = Gpu::new(&Options::from_env()).await.unwrap();
        println!("{}, {IMAGES} images", gpu.adapter());
        let model = Network::from(WideResNet::new(10, 1, 1, 10, Activation::Relu, None).unwrap());
        let parameters = model.parameters();
        let weights = DeviceWeights::upload(&gpu, &parameters, &model.initial(0)).await.unwrap();
        let images: Vec<f32> = (0..IMAGES * 256).map(|i| (i % 97) as f32 / 97.0).collect();
        let count = IMAGES as usize;
        let (labels, targets) = (vec![3; count], vec![4; count]);
        let (norm, eps, size) = (Norm::L2, 0.5, BatchSize { images: IMAGES, side: 16 });
        let apgd = Apgd::new(norm, eps, Objective::DlrTargeted);
        for (name, settings) in [
            ("APGD-T, a step", apgd.into()),
            ("FAB-T, a step", Fab::new(norm, eps).into()),
            ("Square, a candidate", Square { norm, eps, queries: 5000 }.into()),
        ] {
            let settings: Settings = settings;
            let made = AnyAttack::new(&model, &weights, size, settings).await;
            let mut attack = made.unwrap();
            let start = Start { targets: Some(&targets), ..Start::new(&images, &labels) };
            attack.start(&start).await.unwrap();
            let mut seconds = Vec::new();
            for times in [3, 10, 10, 10, 10, 10] {
                let start = Instant::now();
                attack.run(times, |_| Ok(())).await.unwrap();
                gpu.wait().await.unwrap();
                seconds.push(start.elapsed().as_secs_f64() * 100.0);
            }
            seconds.remove(0);
            seconds.sort_by(f64::total_cmp);
            println!("{name}: {:.1} ms, median of 5", seconds[2]);
            table(&attack.profile(5).await.unwrap());
        }
    });
}

fn table(timings: &[Timing]) {
    let mut kernels: BTreeMap<&str, (f64, u32)> = BTreeMap::new();
    for timing in timings {
        let (sum, launches) = kernels.entry(timing.kernel).or_default();
        *sum += timing.milliseconds;
        *launches += 1;
    }
    let mut rows: Vec<_> = kernels.into_iter().collect();
    rows.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
    for (kernel, (sum, launches)) in rows.iter().take(10) {
        println!("{sum:>8.3} ms in {launches:>3} of {kernel}");
    }
    println!("{:>8.3} ms in all", rows.iter().map(|row| row.1.0).sum::<f64>());
}
