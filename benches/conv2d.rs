//! GPU time of convolution kernels at the layers of the networks: `cargo bench --bench conv2d`.

use lapidary::gpu::{Gpu, Options};
use lapidary::graph::{Graph, Program, Shape};
use lapidary::ops::{Conv2d, Epilogue, PackWeights, TiledConv2d};
use pollster::block_on;
use std::time::Instant;

fn main() {
    let gpu = block_on(Gpu::new(&Options::from_env())).unwrap();
    println!("{}", gpu.adapter());
    for (n, i, o, side, k, stride) in [
        (64, 1, 16, 16, 3, 1), (64, 16, 16, 16, 3, 1), (64, 32, 32, 8, 3, 1), (64, 64, 64, 4, 3, 1),         (16, 160, 160, 32, 3, 1),
    ] {
        let conv = Conv2d::square(stride, k / 2);
        let w_shape = Shape::new(o, i, k, k).unwrap();
        let mut graph = Graph::default();
        let x = graph.input(Shape::new(n, i, side, side).unwrap());
        let w = graph.input(w_shape);
        let packed = graph.push(PackWeights { transposed: false, flipped: false }, &[w]).unwrap();
        let op = TiledConv2d { conv, w: w_shape, epilogue: Epilogue::default() };
        let y = graph.push(op, &[x, packed]).unwrap();
        block_on(async {
            let program = Program::new(&gpu, &graph, &[y], &[x], &[]).await.unwrap();
            program.prepare().await.unwrap();
            program.run(2, |_| Ok(())).await.unwrap();
            let flops = program.summary().flops as f64;
            let mut times = Vec::new();
            for _ in 0..5 {
                let (start, cpu) = (Instant::now(), cpu_seconds());
                let count = (2e9 / flops).ceil() as u32;
                for _ in 0..count { program.submit().await.unwrap(); }
                gpu.finish().await.unwrap();
                times.push((start.elapsed().as_secs_f64() / f64::from(count), (cpu_seconds() - cpu) / f64::from(count)));
            }
            times.sort_by(|a, b| a.1.total_cmp(&b.1));
            let (wall, cpu) = times[2];
            println!("{n} {i}->{o} side {side} k{k} s{stride}: {:.3} ms, {:.1} GF/s, {:.1} GF/cpu-s", wall * 1e3, flops / wall * 1e-9, flops / cpu * 1e-9);
        });
    }
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
