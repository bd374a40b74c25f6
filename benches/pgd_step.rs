//! Times one PGD step (a gradient step of an attack on images) of the network that `lapidary demo` trains, kernel by kernel:
//! `cargo bench --bench pgd_step`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a bench")]

use lapidary::attack::{Attack, Pgd, PgdAttack, Start};
use lapidary::gpu::{Gpu, Options};
use lapidary::model::{Activation, BatchSize, DeviceWeights, Network, WideResNet};
use pollster::block_on;
use std::time::Instant;

fn main() {
    block_on(async {
        let gpu = Gpu::new(&Options::from_env()).await.unwrap();
        println!("{}", gpu.adapter());
        let model = Network::from(WideResNet::new(10, 1, 1, 10, Activation::Relu, None).unwrap());
        let parameters = model.parameters();
        let weights = DeviceWeights::upload(&gpu, &parameters, &model.initial(0)).await.unwrap();
        let (size, settings) = (BatchSize { images: 64, side: 16 }, Pgd::default());
        let mut attack = PgdAttack::new(&model, &weights, size, settings).await.unwrap();
        println!("{}", attack.summary());
        let images: Vec<f32> = (0..64 * 256).map(|i| (i % 97) as f32 / 97.0).collect();
        attack.start(&Start::new(&images, &[3; 64])).await.unwrap();
        attack.run(3, |_| Ok(())).await.unwrap();
        let mut times = Vec::new();
        for _ in 0..5 {
            let start = Instant::now();
            attack.run(10, |_| Ok(())).await.unwrap();
            times.push(start.elapsed().as_secs_f64() * 100.0);
        }
        times.sort_by(f64::total_cmp);
        println!("{:.1} ms a step, median of 5", times[2]);
        let mut total = 0.0;
        for timing in attack.profile(5).await.unwrap() {
            println!("{:>8.3} ms  {}", timing.milliseconds, timing.kernel);
            total += timing.milliseconds;
        }
        println!("{total:>8.3} ms in all");
    });
}
