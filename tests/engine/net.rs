//! Makes a small network as a graph, with weights as after some training, not initial ones, for the tests of the engine.

use lapidary::Result;
use lapidary::attack::Objective;
use lapidary::gpu::Choices;
use lapidary::gpu::Gpu;
use lapidary::graph::{Graph, Shape, Value};
use lapidary::lower::Program;
use lapidary::lower::{Target, lower};
use lapidary::model::{
    Activation, DeviceWeights, Mode, Network, Normalisation, Role, StateDict, Tensor, Weights,
    WideResNet,
};
use lapidary::ops;

/// The same numbers for the same seed, in [-1, 1).
pub fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut number = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| number()).collect()
}

/// In [0, 1), as pixels.
pub fn pixels(count: usize, seed: u32) -> Vec<f32> {
    numbers(count, seed).into_iter().map(|v| 0.5 * v + 0.5).collect()
}

/// The settings of a network and its images.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub depth: u32,
    pub width: u32,
    pub channels: u32,
    pub activation: Activation,
    pub images: u32,
    pub side: u32,
}

impl Setting {
    pub fn model(&self) -> Network {
        let count = self.channels as usize;
        let normalisation = Normalisation { mean: vec![0.3; count], std: vec![0.4; count] };
        let (depth, width, activation) = (self.depth, self.width, self.activation);
        WideResNet::new(depth, width, self.channels, 10, activation, Some(normalisation))
            .unwrap()
            .into()
    }

    pub fn shape(&self) -> Shape {
        Shape::new(self.images, self.channels, self.side, self.side).unwrap()
    }

    pub fn labels(&self) -> Vec<u32> {
        (0..self.images).map(|i| i * 7 % 10).collect()
    }
}

/// Scales of either sign, shifts, means and variances that matter; convolutions as He has them.
pub fn weights(model: &Network, seed: u32) -> StateDict {
    let filled = |(i, parameter): (u32, &lapidary::model::Parameter)| {
        let plain = numbers(parameter.count(), seed.wrapping_mul(1000) + i);
        let from = |low: f32, high: f32| {
            plain.iter().map(|v| low + (high - low) * (0.5 * v + 0.5)).collect::<Vec<_>>()
        };
        let inputs: usize = parameter.shape.iter().skip(1).product();
        let data = match (parameter.name.rsplit('.').next().unwrap(), parameter.shape.len()) {
            ("running_var", _) => from(0.5, 1.5),
            ("weight", 1) => from(-0.3, 1.2),
            ("weight", _) => {
                let most = (6.0 / inputs as f32).sqrt();
                from(-most, most)
            }
            _ => from(-0.4, 0.4),
        };
        (parameter.name.clone(), Tensor::new(parameter.shape.clone(), data).unwrap())
    };
    (0..).zip(&model.parameters()).map(filled).collect()
}

/// A network, what is climbed or descended, and its derivatives.
pub struct Net {
    pub graph: Graph,
    pub x: Value,
    pub labels: Value,
    pub seed: Value,
    pub weights: Weights,
    /// Logits, the objective and the derivatives that were asked for, with their names.
    pub wanted: Vec<(String, Value)>,
}

impl Net {
    pub fn new(setting: Setting, objective: Objective, training: bool, of_weights: bool) -> Self {
        let model = setting.model();
        let mut graph = Graph::default();
        let per_image = Shape::per_image(setting.images).unwrap();
        let x = graph.input(setting.shape());
        let (labels, seed) = (graph.input(per_image), graph.input(per_image));
        let parameters = model.parameters();
        let weights = Weights::inputs(&mut graph, &parameters).unwrap();
        let mut updates = Vec::new();
        let mode = if training { Mode::Training(&mut updates) } else { Mode::Frozen };
        let logits = model.logits(&mut graph, x, &weights, mode).unwrap();
        let value = objective.push(&mut graph, logits, labels, labels).unwrap();
        let mut asked = vec![("x".to_owned(), x)];
        if of_weights {
            let trained = parameters.iter().filter(|parameter| parameter.role == Role::Weight);
            asked.extend(trained.map(|p| (p.name.clone(), weights.get(&p.name).unwrap())));
        }
        let values: Vec<_> = asked.iter().map(|(_, value)| *value).collect();
        let gradients = ops::gradient(&mut graph, value, seed, &values).unwrap();
        for update in updates {
            update.push(&mut graph).unwrap();
        }
        let mut wanted = vec![("logits".to_owned(), logits), ("objective".to_owned(), value)];
        wanted.extend(asked.into_iter().map(|(name, _)| name).zip(gradients));
        Self { graph, x, labels, seed, weights, wanted }
    }

    pub fn values(&self) -> Vec<Value> {
        self.wanted.iter().map(|(_, value)| *value).collect()
    }

    pub fn rewritten(&self, gpu: &Gpu) -> Graph {
        let (adapter, preferences) = (gpu.adapter(), gpu.preferences());
        let target = Target { adapter, preferences, choices: &Choices::default(), rules: &[] };
        lower(&self.graph, &self.values(), &target).unwrap().graph
    }

    /// `graph` is this one's or a rewrite of it.
    pub async fn program(
        &self,
        graph: &Graph,
        wanted: &[Value],
        weights: &DeviceWeights,
    ) -> Result<Program> {
        let given = weights.bindings(&self.weights)?;
        let changing = [self.x, self.labels, self.seed];
        Program::plain(weights.gpu(), graph, wanted, &changing, &given).await
    }

    /// Writes a batch, replays once and reads.
    pub async fn replay(
        &self,
        program: &mut Program,
        setting: Setting,
        batch: u32,
        read: &[Value],
    ) -> Result<Vec<Vec<f32>>> {
        program.write(self.x, &pixels(setting.shape().elements() as usize, batch)).await?;
        program.write(self.labels, &setting.labels()).await?;
        let seeds = numbers(setting.images as usize, batch + 50);
        let seeds: Vec<_> = seeds.iter().map(|v| 0.5 + v.abs()).collect();
        program.write(self.seed, &seeds).await?;
        program.submit().await?;
        program.read_all(read).await
    }
}
