//! Compares attacks with PyTorch's reference values: single steps, projections and random starts, and whole attacks, iterate by
//! iterate.

use crate::Handlers;
use crate::case::{Case, Fault, Outcome, Results};
use crate::models::network;
use crate::run::{Runner, Sketch, replay, write};
use lapidary::attack::{
    Apgd, ApgdAttack, Attack, MomentumAttack, MomentumPgd, Objective, Pgd, PgdAttack, Start,
    Statistics,
};
use lapidary::graph::{Graph, Op, Shape, Value};
use lapidary::lower::Program;
use lapidary::model::{BatchSize, DeviceWeights, Mode, Network, Weights};
use lapidary::ops::{self, ApgdState, Group, LangevinStep, Norm, PgdStep, RandomStart};
use pollster::block_on;

pub const HANDLERS: Handlers = &[
    ("apgd_ce", apgd),
    ("l2_step", |case, runner| step(case, runner, Norm::L2)),
    ("linf_step", |case, runner| step(case, runner, Norm::Linf)),
    ("l2_project", |case, runner| project(case, runner, Norm::L2)),
    ("linf_project", |case, runner| project(case, runner, Norm::Linf)),
    ("momentum_pgd", momentum),
    ("pgd", pgd),
    ("random_start", start),
    ("sgld", langevin),
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

fn start(case: &Case, runner: &Runner) -> Outcome {
    let group = match case.text("variant")? {
        "reference" => Group::Channel,
        "per_sample" => Group::Image,
        other => return Fault::unsupported(format_args!("variant {other}")),
    };
    random_start(case, runner, group)
}

fn random_start(case: &Case, runner: &Runner, group: Group) -> Outcome {
    let op = RandomStart { norm: norm(case)?, eps: case.number("eps")?, group };
    in_place(case, runner, op, &["in.u"])
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

fn pgd(case: &Case, runner: &Runner) -> Outcome {
    let objective = match case.text("target")? {
        "joint" => Objective::Joint,
        "logsumexp" => Objective::LogSumExp,
        "ce" => Objective::CrossEntropy,
        "ce_targeted" => Objective::CrossEntropyTargeted,
        "dlr" => Objective::Dlr,
        other => return Fault::unsupported(format_args!("target {other}")),
    };
    let (model, state) = network(case)?;
    let shape = case.tensor("in.x")?.shape()?;
    let labels = case.tensor("in.labels")?.words();
    // The file counts what is climbed, and descent climbs the opposite.
    let sign = if case.param("descent").is_some() && case.flag("descent")? { -1.0 } else { 1.0 };
    let settings = Pgd {
        norm: norm(case)?,
        eps: case.number("eps")?,
        step_size: sign * case.number("step_size")?,
        steps: case.count("steps")?,
        objective,
        statistics: Statistics::Frozen,
    };
    let origin = case.tensor("in.x")?.numbers();
    let start = if case.flag("random_start")? {
        let started = random_start(case, runner, Group::Channel)?;
        started.into_values().flatten().collect()
    } else {
        origin.to_vec()
    };

    let weights = block_on(DeviceWeights::upload(&runner.gpu, &model.parameters(), &state))?;
    let size = BatchSize { images: shape.images(), side: shape.width() };
    let mut attack = block_on(PgdAttack::new(&model, &weights, size, settings))?;
    let from = Some(&start[..]);
    block_on(attack.start(&Start { from, ..Start::new(origin, labels) }))?;
    let mut view = View::new(runner, &model, &weights, shape, objective)?;
    let (mut trajectory, mut objectives) = (start.clone(), Vec::new());
    for _ in 0..settings.steps {
        block_on(attack.run(1, |_| Ok(())))?;
        trajectory.extend(block_on(attack.images())?);
        objectives.extend(block_on(attack.objective())?.iter().map(|value| sign * value));
    }
    let [_, gradient] = view.at(&start, labels)?;
    let [logits, _] = view.at(&block_on(attack.images())?, labels)?;
    Ok(Results::from([
        ("out.traj".into(), trajectory),
        ("out.objective".into(), objectives),
        ("out.final_logits".into(), logits),
        ("grad.first_step".into(), gradient.iter().map(|value| sign * value).collect()),
    ]))
}

fn momentum(case: &Case, runner: &Runner) -> Outcome {
    let (model, state) = network(case)?;
    let shape = case.tensor("in.x")?.shape()?;
    let settings = MomentumPgd {
        norm: norm(case)?,
        eps: case.number("eps")?,
        step_size: case.number("step_size")?,
        steps: case.count("steps")?,
        momentum: case.number("momentum")?,
        objective: Objective::CrossEntropy,
    };
    let weights = block_on(DeviceWeights::upload(&runner.gpu, &model.parameters(), &state))?;
    let size = BatchSize { images: shape.images(), side: shape.width() };
    let mut attack = block_on(MomentumAttack::new(&model, &weights, size, settings))?;
    let (x, labels) = (case.tensor("in.x")?.numbers(), case.tensor("in.labels")?.words());
    block_on(attack.start(&Start::new(x, labels)))?;
    let mut trajectory = block_on(attack.iterates())?;
    for _ in 0..settings.steps {
        // Judges the iterate before the step and the one behind it: keeping the best is not harmed by
        // judging twice.
        block_on(attack.run(1, |_| Ok(())))?;
        trajectory.extend(block_on(attack.iterates())?);
    }
    Ok(Results::from([
        ("out.traj".into(), trajectory),
        ("out.x_adv".into(), block_on(attack.images())?),
        ("out.best_ce".into(), block_on(attack.objective())?),
    ]))
}

fn apgd(case: &Case, runner: &Runner) -> Outcome {
    let (model, state) = network(case)?;
    let shape = case.tensor("in.x")?.shape()?;
    let settings = Apgd {
        norm: norm(case)?,
        eps: case.number("eps")?,
        steps: case.count("n_iter")?,
        objective: Objective::CrossEntropy,
        rho: case.number("rho")?,
    };
    let every = case.count("traj_every")?;
    let weights = block_on(DeviceWeights::upload(&runner.gpu, &model.parameters(), &state))?;
    let size = BatchSize { images: shape.images(), side: shape.width() };
    let mut attack = block_on(ApgdAttack::new(&model, &weights, size, settings))?;
    let [x, start] = [case.tensor("in.x")?.numbers(), case.tensor("in.x_init")?.numbers()];
    let labels = case.tensor("in.labels")?.words();
    block_on(attack.start(&Start { from: Some(start), ..Start::new(x, labels) }))?;
    let (mut trajectory, mut losses, mut sizes) = (start.to_vec(), Vec::new(), Vec::new());
    for step in 1..=settings.steps {
        block_on(attack.advance(1, |_| Ok(())))?;
        if step % every == 0 {
            trajectory.extend(block_on(attack.iterates())?);
        }
        // A step judges the iterate before it; the start's loss is not listed.
        let states = block_on(attack.states())?;
        if step > 1 {
            losses.extend(states.iter().map(|state| state.loss));
        }
        sizes.extend(states.iter().map(|state| state.step_size));
    }
    block_on(attack.judge())?;
    let (wrong, states) = (block_on(attack.images())?, block_on(attack.states())?);
    losses.extend(states.iter().map(|state| state.loss));
    let number = |of: fn(&ApgdState) -> f32| states.iter().map(of).collect::<Vec<_>>();
    Ok(Results::from([
        ("out.traj".into(), trajectory),
        ("out.loss_steps".into(), losses),
        ("out.step_sizes".into(), sizes),
        ("out.x_best".into(), block_on(attack.best())?),
        ("out.loss_best".into(), number(|state| state.best_loss)),
        ("out.x_fooling".into(), wrong),
        ("out.still_correct".into(), number(|state| f32::from(u8::from(!state.fooled)))),
    ]))
}

/// Raw gradients and the file's noise.
fn langevin(case: &Case, runner: &Runner) -> Outcome {
    let objective = match case.text("target")? {
        "joint" => Objective::Joint,
        "logsumexp" => Objective::LogSumExp,
        other => return Fault::unsupported(format_args!("target {other}")),
    };
    let (model, state) = network(case)?;
    let start = case.tensor("in.x0")?;
    let shape = start.shape()?;
    let labels = case.tensor("in.labels")?.words();
    let weights = block_on(DeviceWeights::upload(&runner.gpu, &model.parameters(), &state))?;
    let mut view = View::new(runner, &model, &weights, shape, objective)?;
    let (step_size, noise_size) = (case.number("alpha")?, case.number("sigma")?);
    let mut graph = Graph::default();
    let [x, g, noise] = [(); 3].map(|()| graph.input(shape));
    graph.push_all(LangevinStep { step_size, noise_size }, &[x, g, noise])?;
    let mut step = runner.program(&graph, &[], &[x, g, noise], &[])?;
    let mut images = start.numbers().to_vec();
    let mut trajectory = images.clone();
    for drawn in case.tensor("in.noise")?.numbers().chunks(images.len()) {
        let [_, gradient] = view.at(&images, labels)?;
        write(&mut step, x, &images)?;
        write(&mut step, g, &gradient)?;
        write(&mut step, noise, drawn)?;
        replay(&mut step)?;
        images = block_on(step.read(x))?;
        trajectory.extend_from_slice(&images);
    }
    Ok(Results::from([("out.traj".into(), trajectory)]))
}

/// Logits, and the gradient of what is climbed.
struct View {
    program: Program,
    x: Value,
    /// Unless what is climbed looks at none.
    labels: Option<Value>,
    logits: Value,
    gradient: Value,
}

impl View {
    fn new(
        runner: &Runner,
        model: &Network,
        on_device: &DeviceWeights,
        shape: Shape,
        objective: Objective,
    ) -> Outcome<Self> {
        let mut graph = Graph::default();
        let (x, labels) = (graph.input(shape), graph.input(Shape::per_image(shape.images())?));
        let seed = graph.input(Shape::per_image(shape.images())?);
        let weights = Weights::inputs(&mut graph, &model.parameters())?;
        let logits = model.logits(&mut graph, x, &weights, Mode::Frozen)?;
        let climbed = objective.push(&mut graph, logits, labels, labels)?;
        let gradient = ops::gradient(&mut graph, climbed, seed, &[x])?[0];
        let given = on_device.bindings(&weights)?;
        let mut program = runner.program(&graph, &[logits, gradient], &[x, labels], &given)?;
        write(
            &mut program,
            seed,
            &vec![objective.weight(shape.images()); shape.images() as usize],
        )?;
        let labels = Some(labels).filter(|_| objective != Objective::LogSumExp);
        Ok(Self { program, x, labels, logits, gradient })
    }

    fn at(&mut self, images: &[f32], labels: &[u32]) -> Outcome<[Vec<f32>; 2]> {
        write(&mut self.program, self.x, images)?;
        if let Some(value) = self.labels {
            write(&mut self.program, value, labels)?;
        }
        replay(&mut self.program)?;
        let read = block_on(self.program.read_all(&[self.logits, self.gradient]))?;
        read.try_into().map_err(|_| Fault::Broken("not two values".into()))
    }
}
