//! Defines an architecture outside the crate, two strided convolutions and a linear layer, then attacks it as the crate's own
//! networks are attacked, and prints the cross-entropy before and after.
//!
//!     cargo run --release --example custom_model

#![allow(clippy::print_stdout, clippy::indexing_slicing, reason = "an example")]

use lapidary::Result;
use lapidary::model::initial::initial;
use lapidary::model::{Mode, Parameter, Role, Weights};
use lapidary::ops::{Broadcast, Conv2d, GlobalAvgPool, Linear, Norm, Unary};
use lapidary::prelude::*;

/// Two convolutions that halve the image, their mean, and a linear layer.
struct Small {
    width: usize,
    classes: usize,
}

impl Model for Small {
    fn channels(&self) -> u32 {
        3
    }

    fn classes(&self) -> u32 {
        self.classes as u32
    }

    fn parameters(&self) -> Vec<Parameter> {
        let Self { width, classes } = *self;
        let layer = |name: &str, shape: &[usize]| {
            let role = Role::Weight;
            let weight = Parameter { name: format!("{name}.weight"), shape: shape.into(), role };
            [weight, Parameter { name: format!("{name}.bias"), shape: vec![shape[0]], role }]
        };
        let first = layer("first", &[width, 3, 3, 3]);
        let second = layer("second", &[2 * width, width, 3, 3]);
        [first, second, layer("last", &[classes, 2 * width])].concat()
    }

    fn logits(&self, graph: &mut Graph, x: Value, weights: &Weights, _mode: Mode) -> Result<Value> {
        let mut y = x;
        for layer in ["first", "second"] {
            let of = |part: &str| weights.get(&format!("{layer}.{part}"));
            y = graph.push(Conv2d::square(2, 1), &[y, of("weight")?])?;
            y = graph.push(Broadcast::Add, &[y, of("bias")?])?;
            y = graph.push(Unary::Silu, &[y])?;
        }
        y = graph.push(GlobalAvgPool, &[y])?;
        let [weight, bias] = ["last.weight", "last.bias"].map(|name| weights.get(name));
        graph.push(Linear { bias: true }, &[y, weight?, bias?])
    }
}

fn main() -> Result<()> {
    let [before, after] = pollster::block_on(run())?;
    println!("mean cross-entropy {before:.4}, after 10 steps against it {after:.4}");
    Ok(())
}

/// Mean cross-entropy of images before and after an attack.
pub async fn run() -> Result<[f32; 2]> {
    let gpu = Gpu::new(&Options::from_env()).await?;
    let model = Small { width: 16, classes: 5 };
    let weights = initial(&model.parameters(), 1);
    let weights = DeviceWeights::upload(&gpu, &model.parameters(), &weights).await?;
    let (images, side) = (4, 32);
    let settings = Pgd::attack(Norm::L2, 1.0, 10);
    let size = BatchSize { images, side };
    let mut attack = PgdAttack::new(&model, &weights, size, settings).await?;
    let pixels: Vec<f32> = (0..images * 3 * side * side).map(|i| (i % 97) as f32 / 97.0).collect();
    attack.start(&Start::new(&pixels, &[0, 1, 2, 3])).await?;
    let mut mean = [0.0; 2];
    // The objective is that of the images before the last step.
    for (mean, steps) in mean.iter_mut().zip([1, settings.steps]) {
        attack.run(steps, |_| Ok(())).await?;
        *mean = attack.objective().await?.iter().sum::<f32>() / images as f32;
    }
    Ok(mean)
}
