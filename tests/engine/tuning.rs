//! Choices among variants: static without tuning, measured with it, kept, and never the slower one.

use crate::own_gpu;
use lapidary::gpu::{Access, Gpu, Kernel, Layout, Recording};
use lapidary::graph::{Graph, Launch, Op, Program, Shape, exactly};
use lapidary::{Error, Result};
use pollster::block_on;

static KERNEL: Kernel = Kernel {
    name: "test_rounds",
    source: &["struct Params { rounds: u32, add: f32 }
    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        var v = x[id.x];
        for (var i = 0u; i < params.rounds; i++) { v = v * 0.5 + 0.25; }
        y[id.x] = select(v, params.add, v < 1e9);
    }"],
    params: Layout { size: 8, fields: &[("rounds", "u32", 0), ("add", "f32", 4)] },
    bindings: &[("x", Access::Read), ("y", Access::Write)],
    subgroup: 0,
};

/// Writes the number of the variant that ran, which takes so many rounds.
#[derive(Clone, Debug)]
struct Rounds(&'static str, Vec<u32>, usize);

const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

impl Op for Rounds {
    fn name(&self) -> &'static str {
        KERNEL.name
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        exactly::<_, 1>(self.name(), "inputs", inputs)?;
        Ok(inputs.to_vec())
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let Self(family, rounds, default) = self;
        let count = launch.outputs[0].elements();
        let chosen = launch.to.choose(family, &[count], &NAMES[..rounds.len()], *default)?;
        let params = [rounds[chosen], (chosen as f32).to_bits()];
        launch.all(&KERNEL, params, Recording::grid(count, 64))
    }
}

/// Which variant a program of this op runs.
fn chosen(gpu: &Gpu, op: &Rounds) -> Result<f32> {
    let mut graph = Graph::default();
    let x = graph.input(Shape::vector(1 << 14)?);
    let y = graph.push(op.clone(), &[x])?;
    block_on(async {
        let mut program = Program::new(gpu, &graph, &[y], &[x], &[]).await?;
        program.submit().await?;
        Ok(program.read(y).await?[0])
    })
}

#[test]
fn the_fastest_variant_is_taken_where_that_is_asked_for() {
    let gpu = own_gpu();
    // 4,000 rounds are several times 200 on whatever adapter.
    let slow_default = Rounds("slow_default", vec![4_000, 200, 8_000], 0);
    let fast_default = Rounds("fast_default", vec![4_000, 200], 1);
    let equal = Rounds("equal", vec![500; 3], 2);
    assert_eq!(chosen(&gpu, &slow_default).unwrap(), 0.0);
    assert_eq!(gpu.measured(), None);
    gpu.tune(true);
    assert_eq!(chosen(&gpu, &slow_default).unwrap(), 1.0);
    assert_eq!(chosen(&gpu, &fast_default).unwrap(), 1.0);
    let equal = chosen(&gpu, &equal).unwrap();
    assert!((0.0..3.0).contains(&equal));
    let known: Vec<_> = gpu.choices().unwrap().iter().map(|(key, _)| key.to_owned()).collect();
    assert_eq!(known, ["equal 16384", "fast_default 16384", "slow_default 16384"]);

    // What was measured is not measured again, here or after the next start.
    let pipelines = gpu.counts().pipelines;
    let buffers = gpu.counts().buffers;
    assert_eq!(chosen(&gpu, &slow_default).unwrap(), 1.0);
    assert_eq!(gpu.counts().pipelines, pipelines);
    assert!(gpu.counts().buffers <= buffers + 4);
    let kept = gpu.measured().unwrap();
    let next = own_gpu();
    assert!(next.keep_measured(&kept));
    assert_eq!(chosen(&next, &slow_default).unwrap(), 0.0);
    next.tune(true);
    assert_eq!(next.choices(), gpu.choices());

    // Off again, the static choice; and bytes that are not those that were kept are no choices.
    gpu.tune(false);
    assert_eq!(chosen(&gpu, &slow_default).unwrap(), 0.0);
    let other = own_gpu();
    for at in [0, kept.len() / 2, kept.len() - 1] {
        let mut damaged = kept.clone();
        damaged[at] ^= 4;
        assert!(!other.keep_measured(&damaged) && !other.keep_measured(&kept[..at]));
    }
    other.tune(true);
    assert_eq!(other.choices().unwrap().iter().count(), 0);
}

#[test]
fn a_choice_is_among_at_most_six() {
    let wrong = [Rounds("seven", vec![1; 7], 0), Rounds("no_default", vec![1; 2], 2)];
    for op in wrong {
        let made = chosen(&own_gpu(), &op);
        assert!(matches!(made, Err(Error::Mismatch { .. })), "{made:?}");
    }
}
