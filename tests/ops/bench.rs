//! A graph made ready on a device with its inputs written and its results overwritten by NaN, run once.

use lapidary::gpu::{Gpu, Options};
use lapidary::graph::{Graph, Program, Value};
use pollster::block_on;
use std::sync::OnceLock;

pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| {
        block_on(Gpu::new(&Options::from_env())).expect("these tests need a GPU adapter")
    })
}

/// The same numbers for the same seed, in [-1, 1).
pub fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut number = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| number()).collect()
}

pub struct Bench(Program);

impl Bench {
    pub fn new(graph: &Graph, wanted: &[Value], inputs: &[(Value, Vec<f32>)]) -> Self {
        let program = block_on(async {
            let changing: Vec<_> = inputs.iter().map(|(value, _)| *value).collect();
            let program = Program::new(gpu(), graph, wanted, &changing, &[]).await.unwrap();
            for (value, data) in inputs {
                program.write(*value, data).await.unwrap();
            }
            for value in wanted {
                let buffer = program.buffer(*value).unwrap();
                if !inputs.iter().any(|(input, _)| input == value) {
                    gpu().write(buffer, &vec![f32::NAN; buffer.words() as usize]).await.unwrap();
                }
            }
            program.prepare().await.unwrap();
            program.submit().await.unwrap();
            program
        });
        Self(program)
    }

    /// The first `graph.shape(value).elements()` words; buffers may be larger where values share them.
    pub fn read(&self, value: Value) -> Vec<f32> {
        block_on(self.0.read(value)).unwrap()
    }
}
