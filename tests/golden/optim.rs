//! Compares optimiser steps and moving averages over several iterations with PyTorch's reference values.

use crate::Handlers;
use crate::case::{Case, Fault, Outcome, Results};
use crate::run::{Runner, read, replay, write};
use lapidary::graph::{Graph, Shape};
use lapidary::ops::{AdamStep, EmaStep, SgdStep};

pub const HANDLERS: Handlers = &[("adam", adam), ("ema", ema), ("sgd", sgd)];

fn sgd(case: &Case, runner: &Runner) -> Outcome {
    if case.number("dampening")? != 0.0 {
        return Fault::unsupported("dampening");
    }
    let op = SgdStep {
        momentum: case.number("momentum")?,
        weight_decay: case.number("wd")?,
        nesterov: case.flag("nesterov")?,
    };
    let mut results = Results::new();
    for name in case.names("in.p.") {
        let start = case.tensor(&format!("in.p.{name}"))?;
        let mut graph = Graph::default();
        let [w, momentum, gradient] = [start.shape()?; 3].map(|shape| graph.input(shape));
        let control = graph.input(Shape::vector(2)?);
        graph.push_all(op, &[w, momentum, gradient, control])?;
        let mut program = runner.program(&graph, &[w, momentum], &[], &[])?;
        write(&mut program, w, start.words())?;
        for (step, learning_rate) in (1..).zip(case.numbers("lr")?) {
            write(&mut program, gradient, case.tensor(&format!("in.g{step}.{name}"))?.words())?;
            write(&mut program, control, &[learning_rate, f32::from(u8::from(step == 1))])?;
            replay(&mut program)?;
            let named = [
                (format!("out.step{step}.{name}"), w),
                (format!("out.step{step}.momentum.{name}"), momentum),
            ];
            read(&program, &named, &mut results)?;
        }
    }
    Ok(results)
}

fn adam(case: &Case, runner: &Runner) -> Outcome {
    let betas = case.numbers("betas")?;
    // As the file's decimal says, not as its nearest f32.
    let decimal = |beta: f32| beta.to_string().parse::<f64>().unwrap_or(f64::NAN);
    let [mean, square] = betas[..] else { return Fault::unsupported("other than two betas") };
    let op = AdamStep {
        betas: [decimal(mean), decimal(square)],
        eps: case.number("eps")?,
        weight_decay: case.number("wd")?,
        decoupled: case.flag("decoupled")?,
    };
    let rate = decimal(case.number("lr")?);
    let mut results = Results::new();
    for name in case.names("in.p.") {
        let start = case.tensor(&format!("in.p.{name}"))?;
        let mut graph = Graph::default();
        let [w, m, v, gradient] = [start.shape()?; 4].map(|shape| graph.input(shape));
        let control = graph.input(Shape::vector(3)?);
        graph.push_all(op, &[w, m, v, gradient, control])?;
        let mut program = runner.program(&graph, &[w, m, v], &[], &[])?;
        write(&mut program, w, start.words())?;
        [m, v].into_iter().try_for_each(|moment| {
            write(&mut program, moment, &vec![0.0f32; start.words().len()])
        })?;
        for step in 1..=case.count("steps")? {
            write(&mut program, gradient, case.tensor(&format!("in.g{step}.{name}"))?.words())?;
            write(&mut program, control, &op.control(rate, step.into()))?;
            replay(&mut program)?;
            let named = [("", w), ("exp_avg.", m), ("exp_avg_sq.", v)]
                .map(|(part, value)| (format!("out.step{step}.{part}{name}"), value));
            read(&program, &named, &mut results)?;
        }
    }
    Ok(results)
}

fn ema(case: &Case, runner: &Runner) -> Outcome {
    let cap = case.number("cap")?;
    let mut results = Results::new();
    for name in case.names("in.init.") {
        let start = case.tensor(&format!("in.init.{name}"))?;
        let mut graph = Graph::default();
        let [average, live] = [start.shape()?; 2].map(|shape| graph.input(shape));
        let control = graph.input(Shape::vector(1)?);
        graph.push_all(EmaStep, &[average, live, control])?;
        let mut program = runner.program(&graph, &[average], &[], &[])?;
        write(&mut program, average, start.words())?;
        for update in 1..=case.count("updates")? {
            write(&mut program, live, case.tensor(&format!("in.model{update}.{name}"))?.words())?;
            write(&mut program, control, &[decay(case.count("n_start")? + update - 1, cap)])?;
            replay(&mut program)?;
            read(&program, &[(format!("out.after{update}.{name}"), average)], &mut results)?;
        }
    }
    Ok(results)
}

/// The decay of an average that was updated n times before; the first update copies.
pub fn decay(n: u32, cap: f32) -> f32 {
    let n = f64::from(n);
    if n == 0.0 { 0.0 } else { cap.min(((1.0 + n) / (10.0 + n)) as f32) }
}
