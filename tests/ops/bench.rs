//! Runs a graph once on a device, with its inputs written and its results overwritten by NaN before.

pub use crate::common::gpu;
use lapidary::gpu::{Adapter, Choices, Executor, Preferences};
use lapidary::graph::{Graph, Plan, Value};
use lapidary::lower::{Target, lower};
use pollster::block_on;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The same numbers for the same seed, in [-1, 1).
pub fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut number = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| number()).collect()
}

/// The graph as it is lowered for an adapter, with static choices.
pub fn lowered(
    graph: &Graph,
    wanted: &[Value],
    adapter: &Adapter,
    preferences: &Preferences,
) -> Graph {
    let target = Target { adapter, preferences, choices: &Choices::default(), rules: &[] };
    lower(graph, wanted, &target).unwrap().graph
}

/// A plan and its launches.
pub struct Bench(Plan, Executor);

impl Bench {
    pub fn new(graph: &Graph, wanted: &[Value], inputs: &[(Value, Vec<f32>)]) -> Self {
        Self::on(gpu().adapter(), graph, wanted, inputs)
    }

    /// With the kernels that are chosen for an adapter; the device is the same.
    pub fn on(
        adapter: &Arc<Adapter>,
        graph: &Graph,
        wanted: &[Value],
        inputs: &[(Value, Vec<f32>)],
    ) -> Self {
        let changing: Vec<_> = inputs.iter().map(|(value, _)| *value).collect();
        let plan = Plan::new(graph, wanted, &changing, adapter).unwrap();
        assert!(plan.once.dispatches.is_empty(), "all inputs are written");
        let executor = block_on(async {
            let executor = Executor::new(gpu(), &plan.every, &BTreeMap::new()).await.unwrap();
            let buffer = |value| executor.buffer(plan.buffer(value).unwrap()).unwrap();
            for &value in wanted.iter().filter(|value| !changing.contains(value)) {
                let nan = vec![f32::NAN; buffer(value).words() as usize];
                gpu().write(buffer(value), &nan).await.unwrap();
            }
            // Some results are made without some inputs.
            let read = |value: &Value| plan.buffer(*value).is_ok();
            for (value, data) in inputs.iter().filter(|(value, _)| read(value)) {
                gpu().write(buffer(*value), data).await.unwrap();
            }
            executor.submit().await.unwrap();
            executor
        });
        Self(plan, executor)
    }

    /// Names of the kernels of all launches.
    pub fn launches(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.every.dispatches.iter().map(|dispatch| dispatch.kernel.name)
    }

    /// The first `graph.shape(value).elements()` words; buffers may be larger where values share them.
    pub fn read(&self, value: Value) -> Vec<f32> {
        let Self(plan, executor) = self;
        let buffer = executor.buffer(plan.buffer(value).unwrap()).unwrap();
        let mut words = block_on(gpu().read(buffer)).unwrap();
        words.truncate(plan.words(value).unwrap());
        words
    }
}
