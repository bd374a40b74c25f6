//! Times convolutions, their input gradients and their weight gradients at the layer shapes of the small network that `lapidary
//! demo` trains, by the kernels that the library chooses: `cargo bench --bench conv2d`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a bench")]

use lapidary::gpu::{Gpu, Options};
use lapidary::graph::{Graph, Shape, Value};
use lapidary::lower::Program;
use lapidary::ops::conv::ConvRole;
use lapidary::ops::{Conv2d, gradient};
use pollster::block_on;
use std::time::Instant;

/// Images, in and out channels, side, kernel, stride.
const LAYERS: [(u32, u32, u32, u32, u32, u32); 8] = [
    (64, 1, 16, 16, 3, 1),
    (64, 16, 16, 16, 3, 1),
    (64, 16, 32, 16, 3, 2),
    (64, 16, 32, 16, 1, 2),
    (64, 32, 32, 8, 3, 1),
    (64, 32, 64, 8, 3, 2),
    (64, 32, 64, 8, 1, 2),
    (64, 64, 64, 4, 3, 1),
];

fn main() {
    let gpu = block_on(Gpu::new(&Options::from_env())).unwrap();
    println!("{}", gpu.adapter());
    for (n, i, o, side, k, stride) in LAYERS {
        let conv = Conv2d::square(stride, k / 2);
        let (x_shape, w_shape) =
            (Shape::new(n, i, side, side).unwrap(), Shape::new(o, i, k, k).unwrap());
        print!("{n}x{i}->{o} side {side} k{k} s{stride}:");
        for (what, role) in [
            ("forward", ConvRole::Forward),
            ("input gradient", ConvRole::InputGradient),
            ("weight gradient", ConvRole::WeightGradient),
        ] {
            let mut graph = Graph::default();
            let (x, w) = (graph.input(x_shape), graph.input(w_shape));
            let y = graph.push(conv, &[x, w]).unwrap();
            let dy = graph.input(graph.shape(y).unwrap());
            let (result, read) = match role {
                ConvRole::Forward => (y, x),
                ConvRole::InputGradient => (gradient(&mut graph, y, dy, &[x]).unwrap()[0], dy),
                ConvRole::WeightGradient => (gradient(&mut graph, y, dy, &[w]).unwrap()[0], dy),
            };
            print!("  {what}");
            block_on(time(&gpu, &graph, result, read));
        }
        println!();
    }
}

async fn time(gpu: &Gpu, graph: &Graph, result: Value, read: Value) {
    let mut program = Program::new(gpu, graph, &[result], &[read], &[]).await.unwrap();
    program.run(2, |_| Ok(())).await.unwrap();
    let flops = program.summary().flops as f64;
    let count = (8e9 / flops).ceil() as u32;
    let mut times = Vec::new();
    for _ in 0..5 {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        for _ in 0..count {
            program.submit().await.unwrap();
        }
        gpu.wait().await.unwrap();
        let each = 1.0 / f64::from(count);
        times.push((start.elapsed().as_secs_f64() * each, (cpu_seconds() - cpu) * each));
    }
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (wall, cpu) = times[2];
    print!(
        "  {:.2} ms {:.1} GF/s {:.1}/cpu-s",
        wall * 1e3,
        flops / wall * 1e-9,
        flops / cpu * 1e-9
    );
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
