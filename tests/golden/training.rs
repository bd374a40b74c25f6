//! Compares whole training iterations (attacks, losses, gradients, optimiser, averages) with PyTorch's reference values.
//!
//! A case with `"compare": "forced"` follows PyTorch's values, because rounding makes the training of so small a ReLU
//! network drift: each iteration starts from PyTorch's weights and averages, its losses and gradients are taken at PyTorch's
//! attacked images, and its optimiser steps by PyTorch's gradients; only the momentum stays. All other cases run free, with
//! the steps of `lapidary::train`. These do not show their gradients, so a graph of the same losses computes them.

use crate::Handlers;
use crate::attacks::norm;
use crate::case::{Case, Fault, Outcome, Results};
use crate::models::network;
use crate::optim::decay;
use crate::run::{Runner, read, replay, write};
use lapidary::attack::{
    AnyAttack, Attack, MomentumPgd, Objective, Pgd, PgdAttack, Settings, Statistics,
};
use lapidary::eval::auroc;
use lapidary::graph::{Graph, Shape, Value};
use lapidary::lower::Program;
use lapidary::model::{BatchSize, DeviceWeights, Mode, Role, Weights};
use lapidary::ops::{
    self, Add, BceWithLogits, Concat, CrossEntropy, EmaStep, ImageRange, LogSumExp, Norm,
    PickLogit, Scale, SgdStep, Sum,
};
use lapidary::train::{Dual, Learner, Optimiser, Report, Score, Sources, Term, Update};
use pollster::block_on;

pub const HANDLERS: Handlers = &[("at_train", stage1), ("dat_train", stage2)];

fn stage1(case: &Case, runner: &Runner) -> Outcome {
    let mut trainer = Trainer::new(case, runner)?;
    let shape = case.tensor("in.it1.x")?.shape()?;
    let mut attacker = trainer.stage1(shape)?;
    let mut pass = trainer.classifier(shape)?;
    let (batch, contrastive) = (size(shape), None);
    let classified = (attacker.image_buffer(), attacker.label_buffer());
    let sources = Sources { classified, contrastive, batch };
    let mut stepper = if trainer.forced {
        Stepper::forced(&trainer)?
    } else {
        Stepper::Free(block_on(Update::classifier(&trainer.learner, sources))?)
    };
    for (it, rate) in (1..).zip(case.numbers("lr")?) {
        trainer.begin(it)?;
        let (x, labels) = (trainer.given(it, "x")?, case.tensor(&format!("in.it{it}.y"))?);
        let images = block_on(attacker.attack(x, labels.words()))?;
        if let AnyAttack::Momentum(attack) = &attacker {
            let losses = block_on(attack.objective())?;
            trainer.results.insert(format!("out.it{it}.attack_best_ce"), losses);
        }
        let images = trainer.follow(it, "adv_imgs", images)?;
        write(&mut pass.program, pass.images[0], &images)?;
        write(&mut pass.program, pass.labels[0], labels.words())?;
        trainer.pass(it, &mut pass)?;
        if let Some(report) = stepper.step(&mut trainer, it, rate)? {
            trainer.results.insert(format!("out.it{it}.logits"), report.logits);
        }
        trainer.end(it)?;
    }
    trainer.finish()
}

fn stage2(case: &Case, runner: &Runner) -> Outcome {
    let loss = Dual {
        score: if case.flag("logsumexp")? { Score::LogSumExp } else { Score::ClassLogit },
        r1: case.number("r1reg")?,
        ..Dual::default()
    };
    let climbed = match case.flag("logsumexp_sampling")? {
        true => Objective::LogSumExp,
        false => Objective::Joint,
    };
    let mut trainer = Trainer::new(case, runner)?;
    let shape = case.tensor("in.it1.ood_x")?.shape()?;
    let (steps, step_size) = (case.count("T")?, case.number("ood_step")?);
    let [climb, attack] = [
        (case.number("ood_eps")?, step_size, steps, climbed),
        (
            case.number("clf_eps")?,
            case.number("clf_step")?,
            case.count("clf_steps")?,
            Objective::CrossEntropy,
        ),
    ]
    .map(|(eps, step_size, steps, objective)| {
        let (norm, statistics) = (Norm::L2, Statistics::Frozen);
        let settings = Pgd { norm, eps, step_size, steps, objective, statistics };
        trainer.attack(shape, settings)
    });
    let (mut climb, mut attack) = (climb?, attack?);
    let mut pass = trainer.dual(shape, loss)?;
    let sources = Sources {
        classified: (attack.image_buffer(), attack.label_buffer()),
        contrastive: Some((climb.image_buffer(), climb.label_buffer())),
        batch: size(shape),
    };
    let mut stepper = if trainer.forced {
        Stepper::forced(&trainer)?
    } else {
        Stepper::Free(block_on(Update::dual(&trainer.learner, sources, loss))?)
    };
    let rate = case.number("lr")?;
    for it in 1..=case.count("iterations")? {
        trainer.begin(it)?;
        let [ebm_x, ood_x, clf_x] =
            [trainer.given(it, "ebm_x")?, trainer.given(it, "ood_x")?, trainer.given(it, "clf_x")?];
        let [ebm_y, clf_y] =
            ["ebm_y", "clf_y"].map(|name| case.tensor(&format!("in.it{it}.{name}")));
        let (ebm_y, clf_y) = (ebm_y?.words(), clf_y?.words());
        let contrastive = block_on(climb.attack(ood_x, ebm_y))?;
        let attacked = block_on(attack.attack(clf_x, clf_y))?;
        let contrastive = trainer.follow(it, "adv_imgs", contrastive)?;
        let attacked = trainer.follow(it, "clf_adv_imgs", attacked)?;
        for (value, images) in pass.images.iter().zip([ebm_x, &contrastive, &attacked, ood_x]) {
            write(&mut pass.program, *value, images)?;
        }
        write(&mut pass.program, pass.labels[0], ebm_y)?;
        write(&mut pass.program, pass.labels[1], clf_y)?;
        trainer.pass(it, &mut pass)?;
        if let Stepper::Free(update) = &mut stepper {
            block_on(update.write_real(ebm_x))?;
        }
        if let Some(report) = stepper.step(&mut trainer, it, rate)? {
            let (real, moved) = report.joint.split_at(ebm_y.len());
            let results = &mut trainer.results;
            results.insert(format!("out.it{it}.bce_loss"), vec![report.term(Term::Bce)]);
            if loss.r1 > 0.0 {
                results.insert(format!("out.it{it}.r1"), vec![report.term(Term::R1)]);
            }
            results.insert(format!("out.it{it}.auc_logits_indist"), real.to_vec());
            results.insert(format!("out.it{it}.auc_logits_adv"), moved.to_vec());
        }
        let far = distance(&contrastive, ood_x, ebm_y.len()) / (steps as f32 * step_size);
        let relative = if steps == 0 { 1.0 } else { far };
        trainer.results.insert(format!("out.it{it}.l2_dist_relative"), vec![relative]);
        trainer.results.entry(format!("out.it{it}.r1")).or_insert(vec![0.0]);
        for (name, against) in [("adv_auc", "adv"), ("clean_auc", "outdist")] {
            let logits = |of: &str| &trainer.results[&format!("out.it{it}.auc_logits_{of}")];
            let auc = auroc(logits("indist"), logits(against)) as f32;
            trainer.results.insert(format!("out.it{it}.{name}"), vec![auc]);
        }
        trainer.end(it)?;
    }
    trainer.finish()
}

/// Mean over the batch of the lengths of the images' differences.
fn distance(a: &[f32], b: &[f32], images: usize) -> f32 {
    let each = a.len() / images;
    let length = |(a, b): (&[f32], &[f32])| {
        let square = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
        a.iter().zip(b).map(square).sum::<f64>().sqrt()
    };
    (a.chunks(each).zip(b.chunks(each)).map(length).sum::<f64>() / images as f64) as f32
}

struct Trainer<'a> {
    case: &'a Case,
    runner: &'a Runner,
    learner: Learner,
    optimiser: [f32; 2],
    forced: bool,
    results: Results,
}

/// A graph of an iteration's losses and their gradients, over the live weights.
struct Pass {
    program: Program,
    images: Vec<Value>,
    labels: Vec<Value>,
    /// After `out.itK.`.
    outputs: Vec<(&'static str, Value)>,
    /// After `grad.itK.`.
    gradients: Vec<(String, Value)>,
}

impl<'a> Trainer<'a> {
    fn new(case: &'a Case, runner: &'a Runner) -> Outcome<Self> {
        if !case.flag("nesterov")? || case.number("ema_cap")? != 0.999 {
            return Fault::unsupported("another optimiser");
        }
        let (model, state) = network(case)?;
        let (momentum, weight_decay) = (case.number("momentum")?, case.number("wd")?);
        let sgd = Optimiser::Sgd { momentum, weight_decay };
        let learner = block_on(Learner::new(&runner.gpu, &model, &state, sgd))?;
        let optimiser = [momentum, weight_decay];
        let forced = case.param("compare").and_then(|how| how.as_str()) == Some("forced");
        Ok(Self { case, runner, learner, optimiser, forced, results: Results::new() })
    }

    fn given(&self, it: u32, name: &str) -> Outcome<&'a [f32]> {
        Ok(self.case.tensor(&format!("in.it{it}.{name}"))?.numbers())
    }

    fn attack(&self, shape: Shape, settings: Pgd) -> Outcome<PgdAttack> {
        let Learner { model, live, .. } = &self.learner;
        Ok(block_on(PgdAttack::new(model, live, size(shape), settings))?)
    }

    /// The attack of stage 1.
    fn stage1(&self, shape: Shape) -> Outcome<AnyAttack> {
        let case = self.case;
        let (norm, eps) = (norm(case)?, case.number("eps")?);
        let (step_size, steps) = (case.number("step")?, case.count("steps")?);
        let objective = Objective::CrossEntropy;
        let settings: Settings = match case.text("attack")? {
            "momentum_best" => {
                MomentumPgd { norm, eps, step_size, steps, momentum: 0.9, objective }.into()
            }
            "plain_trainmode" => {
                let statistics = Statistics::Batch;
                Pgd { norm, eps, step_size, steps, objective, statistics }.into()
            }
            other => return Fault::unsupported(format_args!("attack {other}")),
        };
        let Learner { model, live, .. } = &self.learner;
        Ok(block_on(AnyAttack::new(model, live, size(shape), settings))?)
    }

    /// Starts from what the reference had. What it does not tell never changes.
    fn begin(&self, it: u32) -> Outcome<()> {
        let Learner { live, average, .. } = &self.learner;
        for (what, weights) in [("param", live), ("ema", average)] {
            if self.forced && it > 1 {
                let mut state = block_on(weights.download())?;
                for (name, tensor) in self.case.state(&format!("out.it{}.{what}.", it - 1))?.iter()
                {
                    state.insert(name, tensor.clone());
                }
                block_on(weights.write(&state))?;
            }
        }
        Ok(())
    }

    /// Notes the attacked images, and returns those to go on with.
    fn follow(&mut self, it: u32, name: &str, images: Vec<f32>) -> Outcome<Vec<f32>> {
        let name = format!("out.it{it}.{name}");
        self.results.insert(name.clone(), images.clone());
        Ok(if self.forced { self.case.tensor(&name)?.numbers().to_vec() } else { images })
    }

    /// Stage 1's losses. Its statistics follow the batch here only if the optimiser is not the library's.
    fn classifier(&self, shape: Shape) -> Outcome<Pass> {
        let mut graph = Graph::default();
        let (x, labels) = (graph.input(shape), graph.input(Shape::per_image(shape.images())?));
        let weights = Weights::inputs(&mut graph, &self.learner.model.parameters())?;
        let mut updates = Vec::new();
        let mode = Mode::Training(&mut updates);
        let logits = self.learner.model.logits(&mut graph, x, &weights, mode)?;
        let ce = mean_cross_entropy(&mut graph, logits, labels)?;
        for update in updates.into_iter().filter(|_| self.forced) {
            update.push(&mut graph)?;
        }
        let outputs = vec![("logits", logits), ("ce_loss", ce)];
        self.make(graph, &weights, ce, (vec![x], vec![labels]), outputs)
    }

    /// Stage 2's losses: of the real, contrastive and attacked images, and the images that the
    /// contrastive ones came from.
    fn dual(&self, shape: Shape, loss: Dual) -> Outcome<Pass> {
        let mut graph = Graph::default();
        let (count, per_image) = (shape.images(), Shape::per_image(shape.images())?);
        let images = [(); 4].map(|()| graph.input(shape));
        let [labels, attacked_labels] = [(); 2].map(|()| graph.input(per_image));
        let weights = Weights::inputs(&mut graph, &self.learner.model.parameters())?;
        let all = graph.push(Concat, &images)?;
        let logits = self.learner.model.logits(&mut graph, all, &weights, Mode::Frozen)?;
        let part = |graph: &mut Graph, first: u32, parts: u32| {
            graph.push(ImageRange { first: first * count, count: parts * count }, &[logits])
        };
        let mut outputs = Vec::new();
        for (first, name) in
            [(0, "auc_logits_indist"), (1, "auc_logits_adv"), (3, "auc_logits_outdist")]
        {
            let logits = part(&mut graph, first, 1)?;
            outputs.push((name, graph.push(PickLogit, &[logits, labels])?));
        }
        let pair = part(&mut graph, 0, 2)?;
        let score = |graph: &mut Graph, logits: Value, labels: Value| match loss.score {
            Score::LogSumExp => graph.push(LogSumExp, &[logits]),
            Score::ClassLogit => graph.push(PickLogit, &[logits, labels]),
        };
        let both = graph.push(Concat, &[labels, labels])?;
        let scores = score(&mut graph, pair, both)?;
        let targets = graph.input(Shape::per_image(2 * count)?);
        let each = graph.push(BceWithLogits, &[scores, targets])?;
        let bce = graph.push(Sum { scale: 0.5 / count as f32 }, &[each])?;
        let attacked = part(&mut graph, 2, 1)?;
        let ce = mean_cross_entropy(&mut graph, attacked, attacked_labels)?;
        let mut total = graph.push(Add, &[bce, ce])?;
        let mut ones = None;
        if loss.r1 > 0.0 {
            let logits =
                self.learner.model.logits(&mut graph, images[0], &weights, Mode::Frozen)?;
            let scores = score(&mut graph, logits, labels)?;
            let seed = graph.input(per_image);
            ones = Some(seed);
            let penalty = ops::r1(&mut graph, scores, seed, images[0])?;
            outputs.push(("r1", penalty));
            let part = graph.push(Scale { factor: loss.r1 }, &[penalty])?;
            total = graph.push(Add, &[total, part])?;
        }
        outputs.extend([
            ("bce_logits", scores),
            ("bce_loss", bce),
            ("ce_loss", ce),
            ("total_loss", total),
        ]);
        let inputs = (images.to_vec(), vec![labels, attacked_labels]);
        let mut pass = self.make(graph, &weights, total, inputs, outputs)?;
        let mut ones_and_zeros = vec![1.0f32; count as usize];
        ones_and_zeros.resize(2 * count as usize, 0.0);
        write(&mut pass.program, targets, &ones_and_zeros)?;
        if let Some(ones) = ones {
            write(&mut pass.program, ones, &vec![1.0f32; count as usize])?;
        }
        Ok(pass)
    }

    /// With the gradients of the loss for all that is trained.
    fn make(
        &self,
        mut graph: Graph,
        weights: &Weights,
        loss: Value,
        (images, labels): (Vec<Value>, Vec<Value>),
        outputs: Vec<(&'static str, Value)>,
    ) -> Outcome<Pass> {
        let parameters = self.learner.model.parameters();
        let trained = parameters.iter().filter(|parameter| parameter.role == Role::Weight);
        let names: Vec<_> = trained.map(|parameter| parameter.name.clone()).collect();
        let values = names.iter().map(|name| weights.get(name)).collect::<Result<Vec<_>, _>>()?;
        let seed = graph.input(Shape::SCALAR);
        let gradients = ops::gradient(&mut graph, loss, seed, &values)?;
        let wanted: Vec<_> =
            outputs.iter().map(|(_, value)| value).chain(&gradients).copied().collect();
        let changing = [images.clone(), labels.clone()].concat();
        let given = self.learner.live.bindings(weights)?;
        let mut program = self.runner.program(&graph, &wanted, &changing, &given)?;
        write(&mut program, seed, &[1.0f32])?;
        let gradients = names.into_iter().zip(gradients).collect();
        Ok(Pass { program, images, labels, outputs, gradients })
    }

    /// Computes and notes all that the pass has.
    fn pass(&mut self, it: u32, pass: &mut Pass) -> Outcome<()> {
        replay(&mut pass.program)?;
        let outputs =
            pass.outputs.iter().map(|(name, value)| (format!("out.it{it}.{name}"), *value));
        let gradients =
            pass.gradients.iter().map(|(name, value)| (format!("grad.it{it}.{name}"), *value));
        read(&pass.program, &outputs.chain(gradients).collect::<Vec<_>>(), &mut self.results)
    }

    /// Notes weights and averages.
    fn end(&mut self, it: u32) -> Outcome<()> {
        let Learner { live, average, .. } = &self.learner;
        let pairs = [(format!("out.it{it}.param."), live), (format!("out.it{it}.ema."), average)];
        pairs.iter().try_for_each(|(prefix, weights)| note(&mut self.results, prefix, weights))
    }

    fn finish(mut self) -> Outcome {
        note(&mut self.results, "out.momentum.", &self.learner.momentum)?;
        Ok(self.results)
    }
}

fn note(results: &mut Results, prefix: &str, weights: &DeviceWeights) -> Outcome<()> {
    let state = block_on(weights.download())?;
    let named = |(name, tensor): (&str, &lapidary::model::Tensor)| {
        (format!("{prefix}{name}"), tensor.data.clone())
    };
    results.extend(state.iter().map(named));
    Ok(())
}

fn mean_cross_entropy(graph: &mut Graph, logits: Value, labels: Value) -> Outcome<Value> {
    let each = graph.push(CrossEntropy { label_smoothing: 0.0 }, &[logits, labels])?;
    let scale = 1.0 / graph.shape(labels)?.images() as f32;
    Ok(graph.push(Sum { scale }, &[each])?)
}

/// The part of a case that changes the weights.
enum Stepper {
    /// By the file's gradients, whose values have these names.
    Forced {
        program: Program,
        control: Value,
        decay: Value,
        gradients: Vec<(String, Value)>,
    },
    Free(Update),
}

impl Stepper {
    fn forced(trainer: &Trainer) -> Outcome<Self> {
        let Learner { model, live, average, momentum, .. } = &trainer.learner;
        let mut graph = Graph::default();
        let (control, decay) = (graph.input(Shape::vector(2)?), graph.input(Shape::vector(1)?));
        let (mut given, mut gradients) = (Vec::new(), Vec::new());
        let [part, weight_decay] = trainer.optimiser;
        for parameter in model.parameters() {
            let (name, shape) = (&parameter.name, parameter.graph_shape()?);
            let [weight, mean] = [shape; 2].map(|shape| graph.input(shape));
            given.extend([
                (weight, live.buffer(name)?.clone()),
                (mean, average.buffer(name)?.clone()),
            ]);
            if parameter.role == Role::Weight {
                let [buffer, gradient] = [shape; 2].map(|shape| graph.input(shape));
                given.push((buffer, momentum.buffer(name)?.clone()));
                let op = SgdStep { momentum: part, weight_decay, nesterov: true };
                graph.push_all(op, &[weight, buffer, gradient, control])?;
                gradients.push((name.clone(), gradient));
            }
            graph.push_all(EmaStep, &[mean, weight, decay])?;
        }
        let program = trainer.runner.program(&graph, &[], &[], &given)?;
        Ok(Self::Forced { program, control, decay, gradients })
    }

    /// What the library tells of its step; also noted is the loss that both stages have.
    fn step(&mut self, trainer: &mut Trainer, it: u32, rate: f32) -> Outcome<Option<Report>> {
        match self {
            Self::Forced { program, control, decay: of, gradients } => {
                for (name, value) in gradients.iter() {
                    let gradient = trainer.case.tensor(&format!("grad.it{it}.{name}"))?;
                    write(program, *value, gradient.words())?;
                }
                write(program, *control, &[rate, f32::from(u8::from(it == 1))])?;
                write(program, *of, &[decay(it - 1, 0.999)])?;
                replay(program)?;
                Ok(None)
            }
            Self::Free(update) => {
                let report = block_on(update.step(&mut trainer.learner, rate.into()))?;
                trainer
                    .results
                    .insert(format!("out.it{it}.ce_loss"), vec![report.term(Term::CrossEntropy)]);
                Ok(Some(report))
            }
        }
    }
}

fn size(shape: Shape) -> BatchSize {
    BatchSize { images: shape.images(), side: shape.width() }
}
