//! Single steps, projections and random starts.

use crate::Handler;
use crate::case::{Case, Fault, Outcome};
use crate::run::{Runner, Sketch};
use lapidary::graph::Op;
use lapidary::ops::{Group, Norm, PgdStep, RandomStart};

/// By the `op` of the file.
pub const HANDLERS: &[(&str, Handler)] = &[
    ("l2_step", |case, runner| step(case, runner, Norm::L2)),
    ("linf_step", |case, runner| step(case, runner, Norm::Linf)),
    ("l2_project", |case, runner| project(case, runner, Norm::L2)),
    ("linf_project", |case, runner| project(case, runner, Norm::Linf)),
    ("random_start", random_start),
];

fn step(case: &Case, runner: &Runner, norm: Norm) -> Outcome {
    let step_size = case.number("step_size")?;
    in_place(case, runner, PgdStep { norm, step_size, eps: f32::INFINITY, clamp: false }, &["in.g"])
}

fn project(case: &Case, runner: &Runner, norm: Norm) -> Outcome {
    let eps = case.number("eps")?;
    let op = PgdStep { norm, step_size: 0.0, eps, clamp: true };
    // x0 in the place of a gradient, which a step of 0 does not look at.
    let others: &[_] = if eps.is_finite() { &["in.x0", "in.x0"] } else { &["in.x0"] };
    in_place(case, runner, op, others)
}

fn random_start(case: &Case, runner: &Runner) -> Outcome {
    let norm = norm(case)?;
    let group = match case.text("variant")? {
        "reference" => Group::Channel,
        "per_sample" => Group::Image,
        other => return Fault::unsupported(format_args!("variant {other}")),
    };
    in_place(case, runner, RandomStart { norm, eps: case.number("eps")?, group }, &["in.u"])
}

/// `out.y` is what the op leaves in `in.x`.
fn in_place(case: &Case, runner: &Runner, op: impl Op, others: &[&str]) -> Outcome {
    let mut sketch = Sketch::new(case);
    let x = sketch.input("in.x")?;
    let mut inputs = vec![x];
    for other in others {
        inputs.push(sketch.input(other)?);
    }
    sketch.graph.push_all(op, &inputs)?;
    sketch.result("out.y", x);
    sketch.run(runner)
}

pub fn norm(case: &Case) -> Outcome<Norm> {
    match case.text("norm")? {
        "L2" => Ok(Norm::L2),
        "Linf" => Ok(Norm::Linf),
        other => Fault::unsupported(format_args!("norm {other}")),
    }
}
