//! Prepares what `bench` measures on the adapter: a step of training, attack or sampling of a network given by name, or single
//! convolutions.

use std::time::Instant;

use crate::attack::{Attack, Pgd, PgdAttack, Start};
use crate::cli::args::Step;
use crate::gpu::{Gpu, Timing};
use crate::graph::{Graph, Shape, Summary};
use crate::lower::Program;
use crate::model::{Activation, BatchSize, DeviceWeights, Network, WideResNet};
use crate::ops::{Conv2d, gradient};
use crate::train::{Learner, Optimiser, Sources, Update};
use crate::{Error, Result};

/// Replays of a profile.
const REPETITIONS: u32 = 3;
/// The shortest measurement, in seconds.
const SECONDS: f64 = 0.2;

/// Returns a network by its name, for 3 channels, and the side of the images that it is mostly used at.
pub fn network(name: &str) -> Result<(Network, u32)> {
    let unknown = || Error::BadConfig {
        key: "--model".into(),
        value: name.into(),
        allowed: format!(
            "wrn-DEPTH-WIDTH, such as wrn-16-2, or one of {}",
            Network::names().join(", ")
        ),
    };
    let Some(numbers) = name.strip_prefix("wrn-") else {
        // As papers have it: convnext-b.
        let known = Network::names();
        let short = |known: &&String| name == *known || known.starts_with(name) && name.len() == 10;
        let full = known.iter().find(short).ok_or_else(unknown)?;
        return Ok((Network::named(full, 3, 1000, None)?, 224));
    };
    let numbers = numbers
        .split_once('-')
        .and_then(|(depth, width)| Some((depth.parse().ok()?, width.parse().ok()?)));
    let (depth, width) = numbers.ok_or_else(unknown)?;
    let made = WideResNet::new(depth, width, 3, 10, Activation::Relu, None)?;
    Ok((Network::from(made), 32))
}

/// A step of a network, or a single convolution, made ready to be measured.
pub enum Made {
    Climb(Box<PgdAttack>),
    Update(Box<(Learner, Update)>),
    Layer(Box<Program>),
}

impl Made {
    /// Makes a step of a network ready, on images of `side` by `side` pixels.
    pub async fn step(gpu: &Gpu, model: &Network, size: BatchSize, what: Step) -> Result<Self> {
        let parameters = model.parameters();
        let initial = model.initial(0);
        let words = size.shape(model)?.elements();
        let images: Vec<f32> = (0..words).map(|i| (i % 97) as f32 / 96.0).collect();
        let labels: Vec<u32> = (0..size.images).map(|i| i % model.classes()).collect();
        let settings = match what {
            Step::Pgd => Pgd::default(),
            Step::Sample => Pgd::sample(20, 0.1),
            Step::Train => {
                let sgd = Optimiser::Sgd { momentum: 0.9, weight_decay: 5e-4 };
                let learner = Learner::new(gpu, model, &initial, sgd).await?;
                let (images, labels) = (gpu.upload(&images).await?, gpu.upload(&labels).await?);
                let classified = (&images, &labels);
                let sources = Sources { classified, contrastive: None, batch: size };
                let update = Update::classifier(&learner, sources).await?;
                return Ok(Self::Update(Box::new((learner, update))));
            }
        };
        let weights = DeviceWeights::upload(gpu, &parameters, &initial).await?;
        let mut attack = PgdAttack::new(model, &weights, size, settings).await?;
        attack.start(&Start::new(&images, &labels)).await?;
        Ok(Self::Climb(Box::new(attack)))
    }

    /// Makes a 3x3 convolution of stride 1 (`forward`) or one of its gradients (`image-gradient`, `weight-gradient`) ready.
    pub async fn layer(gpu: &Gpu, what: &str, [images, channels, side]: [u32; 3]) -> Result<Self> {
        let mut graph = Graph::default();
        let map = Shape::new(images, channels, side, side)?;
        let (x, dy) = (graph.input(map), graph.input(map));
        let w = graph.input(Shape::new(channels, channels, 3, 3)?);
        let y = graph.push(Conv2d::square(1, 1), &[x, w])?;
        let (wanted, inputs) = match what {
            "forward" => (vec![y], [x, w]),
            "image-gradient" => (gradient(&mut graph, y, dy, &[x])?, [dy, w]),
            _ => (gradient(&mut graph, y, dy, &[w])?, [x, dy]),
        };
        let mut program = Program::new(gpu, &graph, &wanted, &[x, dy], &[]).await?;
        for input in inputs {
            let numbers = (0..graph.shape(input)?.elements()).map(|i| (i % 97) as f32 / 96.0 - 0.5);
            program.write(input, &numbers.collect::<Vec<_>>()).await?;
        }
        Ok(Self::Layer(Box::new(program)))
    }

    /// Takes `steps` steps and waits for their end.
    pub async fn run(&mut self, gpu: &Gpu, steps: u32) -> Result<()> {
        match self {
            Self::Climb(attack) => attack.run(steps, |_| Ok(())).await?,
            Self::Layer(program) => program.run(steps, |_| Ok(())).await?,
            Self::Update(both) => {
                let (learner, update) = both.as_mut();
                for _ in 0..steps {
                    update.step(learner, 0.0).await?;
                }
            }
        }
        gpu.wait().await
    }

    /// Returns the number of steps that one measurement takes, found by running some.
    pub async fn repeats(&mut self, gpu: &Gpu) -> Result<u32> {
        let mut repeats = 1;
        while repeats < 1 << 12 && self.seconds(gpu, repeats).await? < SECONDS {
            repeats *= 2;
        }
        Ok(repeats)
    }

    /// Returns the seconds that `steps` steps take.
    pub async fn seconds(&mut self, gpu: &Gpu, steps: u32) -> Result<f64> {
        let start = Instant::now();
        self.run(gpu, steps).await?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Returns the GPU time of each kernel launch of a step.
    pub async fn profile(&mut self) -> Result<Vec<Timing>> {
        match self {
            Self::Climb(attack) => attack.profile(REPETITIONS).await,
            Self::Update(both) => both.1.profile(REPETITIONS).await,
            Self::Layer(program) => program.profile(REPETITIONS).await,
        }
    }

    /// Returns the costs of one step, such as its arithmetic operations and memory.
    pub fn summary(&self) -> &Summary {
        match self {
            Self::Climb(attack) => attack.summary(),
            Self::Update(both) => both.1.summary(),
            Self::Layer(program) => program.summary(),
        }
    }
}

/// Returns the middle one of the values, or of an even number the higher of the two in the middle. NaN of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
