//! Tests that mistakes come back as `Err` with what was given and what fits, and that the device goes on working.

use crate::{gpu, own_gpu};
use lapidary::Error;
use lapidary::gpu::{
    Access, Binding, BufferId, Executor, Gpu, Kernel, Layout, Options, Recording, Trust, Words,
};
use lapidary::graph::{Graph, Shape};
use lapidary::lower::Program;
use lapidary::ops::{Add, Unary};
use pollster::block_on;
use std::collections::BTreeMap;

macro_rules! kernel {
    ($name:literal, $bindings:expr, $source:literal) => {
        Kernel {
            name: $name,
            source: &[$source],
            params: Layout { size: 4, fields: &[("count", "u32", 0)] },
            bindings: $bindings,
            subgroup: 0,
            trust: Trust::NONE,
        }
    };
}

static GOOD: Kernel = kernel!(
    "test_good",
    &[("y", Access::Write)],
    "struct Params { count: u32 }
    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        if id.x < params.count { y[id.x] += 1.0; }
    }"
);
static NO_WGSL: Kernel = kernel!("test_no_wgsl", &[("y", Access::Write)], "fn main( {");
static NO_TYPES: Kernel = kernel!(
    "test_no_types",
    &[("y", Access::Write)],
    "@group(0) @binding(1) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(64) fn main() { y[0] = 1u; }"
);
static TOO_WIDE: Kernel = kernel!(
    "test_too_wide",
    &[("y", Access::Write)],
    "@group(0) @binding(1) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(100000) fn main() { y[0] = 1.0; }"
);
static DIGITS: Kernel = kernel!(
    "test_digits",
    &[("y", Access::Write)],
    "override DIGIT: u32 = 0u;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(1) fn main() { y[0] = y[0] * 3.0 % 1021.0 + f32(DIGIT); }"
);
static TEXELS: Kernel = kernel!(
    "test_texels",
    &[("x", Access::Texels), ("y", Access::Write)],
    "@group(0) @binding(1) var x: texture_2d<f32>;
    @group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        if id.x < arrayLength(&y) { y[id.x] = textureLoad(x, vec2u(id.x % 2048u, id.x / 2048u), 0); }
    }"
);

/// A recording of one launch on one buffer.
fn one(kernel: &'static Kernel, words: u32) -> (Recording, BufferId) {
    let mut recording = Recording::new(gpu().adapter().clone());
    let buffer = recording.buffer(words);
    recording.dispatch(kernel, &[], words, &[buffer], Recording::grid(words, 64)).unwrap();
    (recording, buffer)
}

/// A recording that copies a part of a buffer of so many words; returns both buffers too.
fn copying(words: u32, part: Words) -> (Recording, [BufferId; 2]) {
    let mut recording = Recording::new(gpu().adapter().clone());
    let [buffer, copy] = [words, part.count].map(|words| recording.buffer(words));
    let bound = [Binding { buffer, part: Some(part) }, copy.into()];
    let grid = Recording::grid(part.count / 4, 64);
    recording.dispatch(&TEXELS, &[], words, &bound, grid).unwrap();
    (recording, [buffer, copy])
}

/// A launch still works after whatever went wrong.
fn still_works() {
    block_on(async {
        let (recording, id) = one(&GOOD, 100);
        let executor = Executor::new(gpu(), &recording, &BTreeMap::new()).await.unwrap();
        executor.run(3, |_| Ok(())).await.unwrap();
        assert_eq!(gpu().read(executor.buffer(id).unwrap()).await.unwrap(), [3.0; 100]);
    });
}

fn mismatch<T: std::fmt::Debug>(result: lapidary::Result<T>, words: &[&str]) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error:?}");
    let text = error.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

/// Errors that a smaller batch may avoid, as training tries by itself.
fn too_much<T: std::fmt::Debug>(result: lapidary::Result<T>, words: &[&str]) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::OutOfMemory(_)), "{error:?}");
    let text = error.to_string();
    assert!(!text.contains("memory"), "it is a limit that is passed: {text}");
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn kernels_that_do_not_compile() {
    for kernel in [&NO_WGSL, &NO_TYPES, &TOO_WIDE] {
        let (recording, _) = one(kernel, 100);
        for _ in 0..2 {
            let made = block_on(Executor::new(gpu(), &recording, &BTreeMap::new()));
            let error = made.unwrap_err();
            assert!(matches!(error, Error::Gpu { .. }), "{error:?}");
            assert!(error.to_string().contains(kernel.name), "{error}");
        }
        still_works();
    }
}

/// Pipelines are compiled on several threads: each launch gets its own, and an error is of its kernel.
#[test]
fn one_of_many_does_not_compile() {
    let gpu = own_gpu();
    let record = |bad: Option<u32>| {
        let mut recording = Recording::new(gpu.adapter().clone());
        let y = recording.buffer(4);
        for digit in (0..60).map(|i| i % 40) {
            let constant = [("DIGIT", f64::from(digit))];
            recording.dispatch(&DIGITS, &constant, 0u32, &[y], [1, 1, 1]).unwrap();
            if bad == Some(digit) {
                recording.dispatch(&NO_TYPES, &[], 0u32, &[y], [1, 1, 1]).unwrap();
            }
        }
        (recording, y)
    };
    let made = |recording: &_| block_on(Executor::new(&gpu, recording, &BTreeMap::new()));
    let error = made(&record(Some(17)).0).unwrap_err().to_string();
    assert!(error.contains("test_no_types"), "{error}");
    let (recording, y) = record(None);
    let wanted = (0..60).map(|i| i % 40).fold(0u32, |y, digit| y * 3 % 1021 + digit);
    for _ in 0..2 {
        let executor = made(&recording).unwrap();
        assert_eq!(gpu.counts().pipelines, 40);
        block_on(executor.run(1, |_| Ok(()))).unwrap();
        let y = block_on(gpu.read(executor.buffer(y).unwrap())).unwrap();
        assert_eq!(y[0], wanted as f32);
    }
}

#[test]
fn an_unknown_constant() {
    let mut recording = Recording::new(gpu().adapter().clone());
    let buffer = recording.buffer(4);
    recording.dispatch(&GOOD, &[("NO_SUCH", 1.0)], 4u32, &[buffer], [1, 1, 1]).unwrap();
    let error = block_on(Executor::new(gpu(), &recording, &BTreeMap::new())).unwrap_err();
    assert!(matches!(error, Error::Gpu { .. }), "{error:?}");
    still_works();
}

#[test]
fn launches_that_do_not_fit() {
    let mut recording = Recording::new(gpu().adapter().clone());
    let [a, b] = [4, 4].map(|words| recording.buffer(words));
    let made = recording.dispatch(&GOOD, &[], 4u32, &[a, b], [1, 1, 1]).map(drop);
    mismatch(made, &["test_good", "2 buffers", "expected 1 for y"]);
    for grid in [[65_536, 1, 1], [1, 65_536, 1], [1, 1, 65_536], [0, 1, 1], [1, 1, 0]] {
        let made = recording.dispatch(&GOOD, &[], 4u32, &[a], grid).map(drop);
        mismatch(made, &["test_good", &format!("{grid:?}"), "65535"]);
    }
    assert!(recording.dispatches.is_empty());
    for count in [0, 1, 64, 65, 65_535 * 64, 65_535 * 64 + 1, u32::MAX] {
        let [x, y, z] = Recording::grid(count, 64);
        assert!((1..=65_535).contains(&x) && (1..=65_535).contains(&y) && z == 1, "{count}");
        assert!(u64::from(x) * u64::from(y) * 64 >= u64::from(count), "{count}");
    }
}

/// Whole rows and a part of one, each replay what is there by then.
#[test]
fn texels_are_the_words_of_a_part() {
    for (first, count) in [(4, 8), (8, 8192), (0, 3 * 8192 + 40), (64, 100)] {
        let words = first + count + 7;
        let (recording, [buffer, copy]) = copying(words, Words { first, count });
        block_on(async {
            let executor = Executor::new(gpu(), &recording, &BTreeMap::new()).await.unwrap();
            for replay in 0..2 {
                let values: Vec<_> = (0..words).map(|i| (i + replay) as f32).collect();
                gpu().write(executor.buffer(buffer).unwrap(), &values).await.unwrap();
                executor.submit().await.unwrap();
                let copied = gpu().read(executor.buffer(copy).unwrap()).await.unwrap();
                let [first, end] = [first, first + count].map(|at| at as usize);
                assert_eq!(copied, values[first..end], "{first} to {end}");
            }
        });
    }
}

#[test]
fn parts_beyond_their_buffer() {
    for (words, first, count) in [(100, 64, 40), (100, 0, 0), (100, 200, 4), (1000, 2, 40)] {
        let (recording, _) = copying(words, Words { first, count: count.max(4) });
        let mut recording = recording;
        for binding in recording.dispatches.iter_mut().flat_map(|launch| &mut launch.buffers) {
            binding.part = binding.part.map(|part| Words { count, ..part });
        }
        let made = block_on(Executor::new(gpu(), &recording, &BTreeMap::new()));
        mismatch(
            made,
            &["test_texels", "buffer x", &format!("{count} words from word {first} on")],
        );
    }
    still_works();
}

#[test]
fn buffers_of_another_size() {
    let shape = Shape::new(2, 3, 4, 5).unwrap();
    let mut graph = Graph::default();
    let (x, z) = (graph.input(shape), graph.input(shape));
    let sum = graph.push(Add, &[x, z]).unwrap();
    let y = graph.push(Unary::Relu, &[sum]).unwrap();
    let unused = graph.input(Shape::SCALAR);
    block_on(async {
        let short = gpu().upload(&[1.0f32; 119]).await.unwrap();
        let made = Program::new(gpu(), &graph, &[y], &[x, z], &[(x, short.clone())]).await;
        mismatch(made.map(drop), &["119 words", "120"]);
        mismatch(gpu().write(&short, &[0.0f32; 118]).await, &["472 bytes", "476"]);

        let mut program = Program::new(gpu(), &graph, &[y], &[x, z], &[]).await.unwrap();
        mismatch(program.write(x, &[0.0f32; 121]).await, &["484 bytes", "480"]);
        mismatch(program.write(y, &[0.0f32; 120]).await, &["write", "an input"]);
        mismatch(program.write(unused, &[0.0f32]).await, &["write", "an input"]);
        mismatch(program.read(unused).await, &["value 4", "an output of the program"]);
        program.write(x, &[-1.5f32; 120]).await.unwrap();
        program.write(z, &[2.0f32; 120]).await.unwrap();
        program.submit().await.unwrap();
        assert_eq!(program.read(y).await.unwrap(), [0.5; 120]);
    });
    let (recording, id) = one(&GOOD, 100);
    let other = block_on(gpu().upload(&[0.0f32; 101])).unwrap();
    let given = BTreeMap::from([(id, other)]);
    mismatch(block_on(Executor::new(gpu(), &recording, &given)).map(drop), &["101 words", "100"]);
}

/// On WebGPU's least limits: 128 MiB a binding, 256 MiB a buffer. A buffer may be larger than a binding; a kernel that
/// would bind all of it is refused.
#[test]
fn bindings_beyond_the_limit() {
    let options = Options { minimal: true, ..Options::from_env() };
    block_on(async {
        let gpu = Gpu::new(&options).await.unwrap();
        assert_eq!(gpu.adapter().max_binding, 128 << 20);
        let most = u64::from(64u32 << 20) * 4;
        assert_eq!(gpu.adapter().max_buffer, most);
        let made = gpu.allocate(&[4, (64 << 20) + 1]).await;
        too_much(made, &["268435460 bytes", "at most 268435456"]);
        let words = (32 << 20) + 1;
        too_much(gpu.allocate(&[u32::MAX]).await, &["17179869180 bytes"]);
        let mut graph = Graph::default();
        let x = graph.input(Shape::new(1, 1, 1, words).unwrap());
        let y = graph.push(Unary::Relu, &[x]).unwrap();
        let made = Program::new(&gpu, &graph, &[y], &[x], &[]).await;
        let bound = "unary for relu binds 134217744 bytes as \"a\"";
        too_much(made.map(drop), &[bound, "at most 134217728"]);
        too_much(Shape::new(1 << 10, 1 << 10, 1 << 10, 2), &["1024x1024x1024x2", "2^30"]);
        mismatch(Shape::new(1 << 16, 1 << 16, 0, 1), &["65536x65536x0x1"]);
        assert_eq!(gpu.counts().bytes, 0);
        let buffer = gpu.upload(&[1.0f32]).await.unwrap();
        assert_eq!(gpu.read(&buffer).await.unwrap(), [1.0]);
    });
}

#[test]
fn adapters_that_are_not_there() {
    let options = Options { adapter: Some("no such adapter".into()), ..Options::default() };
    let error = block_on(Gpu::new(&options)).unwrap_err();
    assert!(matches!(error, Error::NoAdapter(_)), "{error:?}");
    assert!(error.to_string().contains("no such adapter"), "{error}");
}
