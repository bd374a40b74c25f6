//! Tests mistakes in ops and kernels that are defined outside the crate (derivatives of wrong shape or number, no launch, a
//! declaration that differs from the shader): the error names the op or kernel, what it gave and what fits.

use crate::common::own_gpu;
use lapidary::Result;
use lapidary::gpu::{Access::*, Executor, Kernel, Layout, Recording, Trust};
use lapidary::graph::{Derivatives, Graph, Launch, Node, Op, Plan, Shape, Value, exactly};
use lapidary::lower::Program;
use lapidary::ops::{self, Add, Unary};
use pollster::block_on;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// Returns the error's text, which must contain all of the words.
fn refused<T: Debug>(result: Result<T>, words: &[&str]) {
    let said = result.unwrap_err().to_string();
    assert!(words.iter().all(|word| said.contains(word)), "{said}, without one of {words:?}");
}

/// The ways in which an op's derivatives can be wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    OtherShape,
    Two,
    TooFew,
    NoneAskedFor,
    AnotherGraphs,
    LaunchesNothing,
}

/// Inputs a and b of one shape; output as a.
#[derive(Debug)]
struct Faulty(Fault, Option<Value>);

impl Op for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [a, _b] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![a])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        match self.0 {
            Fault::LaunchesNothing => Ok(()),
            _ => Add.record(launch),
        }
    }

    fn gradient(&self, graph: &mut Graph, _: &Node, dy: Value, _: &[bool]) -> Derivatives {
        Ok(match self.0 {
            Fault::OtherShape => {
                let sums = graph.push(ops::Reduce::PerChannel, &[dy])?;
                vec![Some(sums), None]
            }
            Fault::Two => vec![Some(dy), Some(dy), None],
            Fault::TooFew => vec![Some(dy)],
            Fault::NoneAskedFor => vec![None, Some(dy)],
            Fault::AnotherGraphs => vec![self.1, None],
            Fault::LaunchesNothing => vec![Some(dy), Some(dy)],
        })
    }
}

fn derived(fault: Fault) -> Result<Vec<Value>> {
    let shape = Shape::new(2, 3, 4, 4)?;
    let mut other = Graph::default();
    for _ in 0..20 {
        other.input(shape);
    }
    let mut graph = Graph::default();
    let [a, b, dy] = [(); 3].map(|()| graph.input(shape));
    let x = graph.push(Unary::Silu, &[a])?;
    let y = graph.push(Faulty(fault, Some(other.input(shape))), &[x, b])?;
    ops::gradient(&mut graph, y, dy, &[a])
}

#[test]
fn derivatives_that_do_not_fit() {
    refused(derived(Fault::OtherShape), &["faulty", "input 0", "1x3x1x1", "2x3x4x4"]);
    refused(derived(Fault::Two), &["faulty", "3 derivatives", "2"]);
    refused(derived(Fault::TooFew), &["faulty", "1 derivatives", "2"]);
    refused(derived(Fault::NoneAskedFor), &["faulty", "input 0", "no derivative"]);
    refused(derived(Fault::AnotherGraphs), &["another graph"]);
    assert_eq!(derived(Fault::LaunchesNothing).unwrap().len(), 1);
}

#[test]
fn records_that_launch_nothing() {
    let mut graph = Graph::default();
    let [a, b] = [(); 2].map(|()| graph.input(Shape::SCALAR));
    let y = graph.push(Faulty(Fault::LaunchesNothing, None), &[a, b]).unwrap();
    let made = Plan::new(&graph, &[y], &[a], own_gpu().adapter());
    refused(made, &["faulty", "no launch"]);
}

/// Values are numbered graph by graph, so the number alone says nothing.
#[test]
fn values_of_another_graph() {
    let shape = Shape::vector(3).unwrap();
    let [mut one, mut other] = [(); 2].map(|()| Graph::default());
    let (x, foreign) = (one.input(shape), other.input(shape));
    refused(one.shape(foreign), &["another graph"]);
    refused(one.push(Unary::Relu, &[foreign]), &["another graph"]);
    refused(one.push(Add, &[x, foreign]), &["another graph"]);
    let y = one.push(Unary::Relu, &[x]).unwrap();
    refused(ops::gradient(&mut one, y, foreign, &[x]), &["another graph"]);
    refused(ops::gradient(&mut one, y, y, &[foreign]), &["another graph"]);
    let gpu = own_gpu();
    refused(Plan::new(&one, &[foreign], &[x], gpu.adapter()), &["another graph"]);
    refused(Plan::new(&one, &[y], &[foreign], gpu.adapter()), &["another graph"]);
    block_on(async {
        let buffer = gpu.upload(&[1.0f32; 3]).await.unwrap();
        let given = [(foreign, buffer)];
        refused(Program::new(&gpu, &one, &[y], &[x], &given).await, &["another graph"]);
        let mut program = Program::new(&gpu, &one, &[y], &[x], &[]).await.unwrap();
        refused(program.write(foreign, &[0.0f32; 3]).await, &["another graph"]);
        refused(program.read(foreign).await, &["another graph"]);
        // A copy of a graph is that graph: rewrites work on one.
        assert_eq!(one.clone().shape(y).unwrap(), shape);
    });
}

/// A kernel of one workgroup's WGSL, with what it says of itself.
macro_rules! kernel {
    ($name:literal, [$($field:expr),*], [$($binding:expr),*], $globals:literal, $body:literal) => {
        Kernel {
            name: $name,
            source: &[
                $globals,
                "@group(0) @binding(0) var<uniform> params: Params;
                @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {",
                $body,
                "}",
            ],
            params: Layout { size: 4 * [$($field),*].len(), fields: &[$($field),*] },
            bindings: &[$($binding),*],
            subgroup: 0,
            trust: Trust::NONE,
        }
    };
}

static SMALLER: Kernel = kernel!(
    "smaller",
    [("count", "u32", 0)],
    [("y", Write)],
    "struct Params { count: u32, factor: f32 }
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;",
    "if i < params.count { y[i] = params.factor; }"
);
static SWAPPED: Kernel = kernel!(
    "swapped",
    [("rows", "u32", 0), ("columns", "u32", 4)],
    [("y", Write)],
    "struct Params { columns: u32, rows: u32 }
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;",
    "if i < params.rows { y[i] = f32(params.columns); }"
);
static OTHER_NAME: Kernel = kernel!(
    "other_name",
    [("count", "u32", 0)],
    [("x", Read), ("y", Write)],
    "struct Params { count: u32 }
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    @group(0) @binding(2) var<storage, read> x: array<f32>;",
    "if i < params.count { y[i] = x[i]; }"
);
static WRITTEN: Kernel = kernel!(
    "written",
    [("count", "u32", 0)],
    [("y", Read)],
    "struct Params { count: u32 }
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;",
    "if i < params.count { y[i] = 1.0; }"
);
static UNLISTED: Kernel = kernel!(
    "unlisted",
    [("count", "u32", 0)],
    [("y", Write)],
    "struct Params { count: u32 }
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    @group(0) @binding(2) var<storage, read> x: array<f32>;",
    "if i < params.count { y[i] = x[i]; }"
);
static GOOD: Kernel = kernel!(
    "good",
    [("count", "u32", 0)],
    [("y", Write)],
    "struct Params { count: u32 }
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;",
    "if i < params.count { y[i] = 2.0; }"
);

#[test]
fn declarations_that_the_shader_does_not_have() {
    let gpu = own_gpu();
    let made = |kernel: &'static Kernel| {
        let mut recording = Recording::new(gpu.adapter().clone());
        let buffers: Vec<_> = kernel.bindings.iter().map(|_| recording.buffer(4)).collect();
        match kernel.params.size {
            4 => recording.dispatch(kernel, &[], 4u32, &buffers, [1, 1, 1])?,
            _ => recording.dispatch(kernel, &[], [4u32; 2], &buffers, [1, 1, 1])?,
        };
        block_on(Executor::new(&gpu, &recording, &BTreeMap::new()))
    };
    refused(
        made(&SMALLER),
        &["smaller", "got a parameter layout of count: u32 at 0", "factor: f32 at 4"],
    );
    refused(made(&SWAPPED), &["swapped", "rows: u32 at 0", "columns: u32 at 0"]);
    refused(made(&OTHER_NAME), &["other_name", "`y` at binding 1", "`x`"]);
    refused(made(&WRITTEN), &["written", "Write of `y`", "Read"]);
    refused(made(&UNLISTED), &["unlisted", "`x` at binding 2", "bindings 1 to 1: y"]);
    assert!(made(&GOOD).is_ok());
}

#[test]
fn launches_that_the_declaration_does_not_fit() {
    let gpu = own_gpu();
    let mut recording = Recording::new(gpu.adapter().clone());
    let y = recording.buffer(4);
    let two = recording.dispatch(&GOOD, &[], [4u32; 2], &[y], [1, 1, 1]).map(drop);
    refused(two, &["good", "8 bytes of parameters", "4"]);
    let both = recording.dispatch(&OTHER_NAME, &[], 4u32, &[y], [1, 1, 1]).map(drop);
    refused(both, &["other_name", "1 buffers", "2 for x, y"]);
}

#[test]
fn buffers_of_another_device() {
    let (one, other) = (own_gpu(), own_gpu());
    let mut graph = Graph::default();
    let x = graph.input(Shape::vector(4).unwrap());
    let y = graph.push(Unary::Relu, &[x]).unwrap();
    block_on(async {
        let buffer = other.upload(&[1.0f32; 4]).await.unwrap();
        let made = Program::new(&one, &graph, &[y], &[x], &[(x, buffer.clone())]).await;
        refused(made, &["4 words on another device"]);
        refused(one.write(&buffer, &[0.0f32; 4]).await, &["write", "another device"]);
        refused(one.read(&buffer).await, &["read", "another device"]);
        assert_eq!(other.read(&buffer).await.unwrap(), [1.0; 4]);
    });
}
