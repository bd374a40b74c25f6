//! Times convolutions and their gradients with the kernel variants that autotuning chose against the default ones, in turn:
//! `cargo bench --bench tuning`. It ends with an error where the tuned variants are slower by more than 5 %. A layer for which
//! tuning kept the defaults is not timed.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a bench")]

use lapidary::gpu::{Gpu, Options, Preferences, Tune};
use lapidary::graph::{Graph, Shape};
use lapidary::lower::{Program, Target, lower};
use lapidary::ops::{self, Conv2d};
use pollster::block_on;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The convolutions of `lapidary bench`'s networks: images, in and out channels, side, kernel, stride.
const LAYERS: [(u32, u32, u32, u32, u32, u32); 14] = [
    (32, 3, 16, 32, 3, 1),
    (32, 16, 32, 32, 1, 1),
    (32, 32, 32, 32, 3, 1),
    (32, 32, 64, 32, 3, 2),
    (32, 32, 64, 32, 1, 2),
    (32, 64, 64, 16, 3, 1),
    (32, 64, 128, 16, 3, 2),
    (32, 128, 128, 8, 3, 1),
    (4, 160, 160, 32, 3, 1),
    (4, 320, 320, 16, 3, 1),
    (4, 640, 640, 8, 3, 1),
    (2, 3, 64, 112, 7, 2),
    (2, 256, 64, 56, 1, 1),
    (2, 128, 512, 28, 1, 1),
];

/// Measurements of each.
const ROUNDS: usize = 15;

fn main() -> ExitCode {
    let preferences = Preferences {
        tuning: Tune::On,
        tuning_budget: Duration::from_secs(3600),
        ..Preferences::default()
    };
    let gpu = block_on(Gpu::new(&Options { preferences, ..Options::from_env() })).unwrap();
    println!(
        "{}\n{:<34}{:>11}{:>11}{:>9}",
        gpu.adapter(),
        "layer",
        "static, ms",
        "tuned, ms",
        "ratio"
    );
    let (mut worst, mut measuring) = (0.0f64, Duration::ZERO);
    for (n, i, o, side, k, stride) in LAYERS {
        let x = Shape::new(n, i, side, side).unwrap();
        let w = Shape::new(o, i, k, k).unwrap();
        for what in ["forward", "input gradient", "weight gradient"] {
            let layer = format!("{n}x{i}->{o} {side} k{k} s{stride} {what}");
            let since = Instant::now();
            let mut tuned = block_on(Made::new(&gpu, x, w, stride, what, true));
            measuring += since.elapsed();
            // Without measurements there is nothing to judge.
            assert!(tuned.asked > 0, "{layer}");
            if tuned.chosen.is_empty() {
                println!("{layer:<44} static");
                continue;
            }
            let mut fixed = block_on(Made::new(&gpu, x, w, stride, what, false));
            let chosen = tuned.chosen.join(", ");
            let [fixed, tuned, ratio] =
                block_on(medians(&gpu, [&mut fixed.program, &mut tuned.program]));
            worst = worst.max(ratio);
            println!("{layer:<44}{:>8.3}{:>9.3}{ratio:>9.3}  {chosen}", fixed * 1e3, tuned * 1e3);
        }
    }
    let measured = gpu.choices().iter().count();
    for dropped in gpu.dropped_candidates() {
        println!("{dropped}");
    }
    let each = measuring.as_secs_f64() / measured.max(1) as f64;
    println!("{measured} questions measured in {each:.2} s each, worst ratio {worst:.3}");
    if worst <= 1.05 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A layer, ready to run.
struct Made {
    program: Program,
    /// Questions that were measured, if it is tuned.
    asked: usize,
    /// The variants in it that are not the static ones.
    chosen: Vec<String>,
}

impl Made {
    async fn new(gpu: &Gpu, x: Shape, w: Shape, stride: u32, what: &str, tuned: bool) -> Self {
        let gpu = &match tuned {
            true => gpu.clone(),
            false => gpu.clone().preferring(Preferences::default()),
        };
        let mut graph = Graph::default();
        let (of_x, of_w) = (graph.input(x), graph.input(w));
        let conv = Conv2d::square(stride, w.width() / 2);
        let y = graph.push(conv, &[of_x, of_w]).unwrap();
        let dy = graph.input(graph.shape(y).unwrap());
        let (result, read) = match what {
            "forward" => (y, of_x),
            "input gradient" => (ops::gradient(&mut graph, y, dy, &[of_x]).unwrap()[0], dy),
            _ => (ops::gradient(&mut graph, y, dy, &[of_w]).unwrap()[0], dy),
        };
        let mut program = Program::new(gpu, &graph, &[result], &[read], &[]).await.unwrap();
        program.submit().await.unwrap();
        gpu.wait().await.unwrap();
        let choices = gpu.choices();
        let (mut asked, mut chosen) = (0, Vec::new());
        let (adapter, preferences) = (gpu.adapter(), gpu.preferences());
        let target = Target { adapter, preferences, choices: &choices, rules: &[] };
        for each in lower(&graph, &[result], &target).unwrap().asked {
            let question = each.question;
            asked += usize::from(choices.has(&question));
            let answer = question.answer(&choices);
            if answer != question.default {
                chosen.push(question.candidates[answer].clone());
            }
        }
        Self { program, asked, chosen }
    }
}

/// Seconds of a replay of each, in turn, from at least 20 ms of replays; and the second's share of the first, of
/// measurements that follow each other.
async fn medians(gpu: &Gpu, mut programs: [&mut Program; 2]) -> [f64; 3] {
    let mut times = [Vec::new(), Vec::new()];
    let mut repeats = 1;
    for round in 0..=ROUNDS {
        for (program, times) in programs.iter_mut().zip(&mut times) {
            let since = Instant::now();
            for _ in 0..repeats {
                program.submit().await.unwrap();
            }
            gpu.wait().await.unwrap();
            times.push(since.elapsed().as_secs_f64() / f64::from(repeats));
        }
        if round == 0 {
            let once = times[0].remove(0).max(1e-6);
            times[1].clear();
            repeats =
                (Duration::from_millis(20).as_secs_f64() / once).ceil().clamp(1.0, 100.0) as u32;
        }
    }
    let [fixed, tuned] = times;
    let ratios = fixed.iter().zip(&tuned).map(|(fixed, tuned)| tuned / fixed).collect();
    [fixed, tuned, ratios].map(|mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}
