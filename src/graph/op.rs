//! The trait that every op implements, inside this crate or outside of it, and the interface by which an op records its kernel
//! launches.

use super::{Graph, Node, Shape, Value};
use crate::gpu::{Binding, BufferId, Kernel, Recording, Words};
use crate::{Error, Result};
use std::any::Any;
use std::fmt::Debug;

/// What [`Op::gradient`] returns: for each input of a node the value that holds its derivative, or `None` where that was not
/// asked for.
pub type Derivatives = Result<Vec<Option<Value>>>;

/// The inputs and outputs of an op, by index, that may lie in memory in half precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Halves {
    /// The indices of the inputs that may lie in half precision.
    pub inputs: &'static [usize],
    /// The indices of the outputs that may lie in half precision.
    pub outputs: &'static [usize],
}

/// The operation that a node of a computation graph computes: shape rule, kernel launches and derivative. Output 0 is the result;
/// further outputs are kept for the derivative.
pub trait Op: Any + Debug + Send + Sync {
    /// Returns the op's name for messages and tables.
    fn name(&self) -> &'static str;

    /// Returns the shapes of the outputs for inputs of the given shapes. Err if the inputs do not fit.
    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>>;

    /// Returns the indices of the inputs that are written in place. A node that writes runs even if nobody reads its outputs.
    fn writes(&self) -> &[usize] {
        &[]
    }

    /// Returns the indices of the outputs that the planner may place at a non-zero offset in a shared buffer, behind other values
    /// that are needed at the same time. Ops that read or write such a value bind what [`Launch::bindings`] returns.
    fn anywhere(&self) -> &[usize] {
        &[]
    }

    /// Returns the inputs and outputs that may lie in memory in half precision where mixed precision is asked for: large ones
    /// that kernels declare as `array<f32>` or `array<vec4f>`, and whose rounding to 11 bits does the result no harm, such as
    /// activations, derivatives of activations and packed weights. The op and its kernels stay as they are: the library rewrites
    /// how kernels read and store such values. None, unless an op says otherwise.
    fn halves(&self) -> Halves {
        Halves::default()
    }

    /// Returns the indices of the inputs on which the outputs depend only in steps, such as labels and masks: derivatives are 0
    /// there and are never asked for.
    fn flat(&self) -> &[usize] {
        &[]
    }

    /// Appends the op's kernel launches, at least one, to the list [`Launch::to`].
    fn record(&self, launch: &mut Launch) -> Result<()>;

    /// Returns the number of floating-point operations, for the plan's summary; 0 where it does not matter.
    fn flops(&self, _inputs: &[Shape], _outputs: &[Shape]) -> u64 {
        0
    }

    /// Returns the name of the kernel variant that was chosen for the op, where there are several, for tables of the launches
    /// that ran.
    fn row(&self) -> &'static str {
        ""
    }

    /// Adds nodes for the derivatives that are `asked` for (one flag for each input), given the derivative of output 0.
    /// Returns an entry for each input: a value of the input's shape if it was asked for, else anything, such as `None`. Inputs
    /// of [`Op::flat`] are never asked for.
    fn gradient(&self, _: &mut Graph, _node: &Node, _dy: Value, _asked: &[bool]) -> Derivatives {
        Err(Error::NoDerivative { op: self.name(), why: "this op defines none" })
    }
}

/// The list to which an op adds its kernel launches, with the shapes and buffers of the node's values.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The list of kernel launches, to which the op adds its own; it also says which adapter will run them.
    pub to: &'a mut Recording,
    /// The shapes of the node's inputs.
    pub inputs: &'a [Shape],
    /// The shapes of the node's outputs.
    pub outputs: &'a [Shape],
    /// The buffers of the node's inputs, then of its outputs.
    pub buffers: &'a [BufferId],
    /// The index of the first word of each input and output in its buffer: 0, but for values that were placed behind others in a shared
    /// buffer, as their op allows by [`Op::anywhere`].
    pub firsts: &'a [u32],
}

impl Launch<'_> {
    /// Returns the buffers of the inputs, then of the outputs, as bindings for a launch.
    pub fn bindings(&self) -> Vec<Binding> {
        let firsts = self.firsts.iter().copied().chain(std::iter::repeat(0));
        let shapes = self.inputs.iter().chain(self.outputs);
        let bound = |((&buffer, first), shape): ((_, u32), &Shape)| {
            let part = Words { first, count: shape.elements() };
            Binding { buffer, part: (first > 0).then_some(part) }
        };
        self.buffers.iter().zip(firsts).zip(shapes).map(bound).collect()
    }

    /// Launches a kernel that binds the op's inputs and outputs, all and in this order.
    pub fn all(
        &mut self,
        kernel: &'static Kernel,
        params: impl bytemuck::Pod,
        grid: [u32; 3],
    ) -> Result<()> {
        self.with(kernel, &[], params, grid)
    }

    /// Records a kernel launch with values for the kernel's overrides.
    pub fn with(
        &mut self,
        kernel: &'static Kernel,
        constants: &[(&'static str, f64)],
        params: impl bytemuck::Pod,
        grid: [u32; 3],
    ) -> Result<()> {
        let bindings = self.bindings();
        self.to.dispatch(kernel, constants, params, &bindings, grid).map(drop)
    }

    /// Records a kernel launch with a workgroup for each of `count` rows, images or channels; the shader finds which of them is its
    /// own through shared/index.wgsl.
    pub fn rows(
        &mut self,
        kernel: &'static Kernel,
        constants: &[(&'static str, f64)],
        params: impl bytemuck::Pod,
        count: u32,
    ) -> Result<()> {
        self.with(kernel, constants, params, Recording::grid(count, 1))
    }

    /// Records a kernel launch with one invocation for each of `count` elements (or vec4s), in workgroups of 64; the shader finds
    /// its element through shared/index.wgsl.
    pub fn each(
        &mut self,
        kernel: &'static Kernel,
        params: impl bytemuck::Pod,
        count: u32,
    ) -> Result<()> {
        self.all(kernel, params, Recording::grid(count, 64))
    }
}
