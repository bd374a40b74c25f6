//! Records buffers and kernel launches as data: recorded once, run at every step, readable without a GPU.

use super::{Access, Adapter, Choices, Kernel, Question};
use crate::{Error, Result};
use std::fmt;
use std::sync::Arc;

/// The most workgroups in one dimension that WebGPU guarantees.
const MAX_WORKGROUPS: u32 = 65_535;

/// Identifies one buffer of a [`Recording`], a list of kernel launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferId(pub(super) usize);

/// A buffer, or a part of it, that a launch binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The buffer that is bound.
    pub buffer: BufferId,
    /// The range of words that is bound; `None` binds all.
    pub part: Option<Words>,
}

/// Consecutive 4-byte words of a buffer. They begin at a multiple of [`PART_ALIGNMENT`](super::PART_ALIGNMENT); at a whole texel
/// if they are bound as [`Access::Texels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// The index of the first word, counted from the buffer's start.
    pub first: u32,
    /// The number of words, at least 1.
    pub count: u32,
}

impl fmt::Display for Words {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} words from word {} on", self.count, self.first)
    }
}

impl From<BufferId> for Binding {
    fn from(buffer: BufferId) -> Self {
        Self { buffer, part: None }
    }
}

/// The node of the graph and the layer of the model that a kernel launch belongs to, for tables of timings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchPart {
    /// The index of the launch's node in its plan.
    pub node: usize,
    /// The name of the node's op.
    pub op: &'static str,
    /// The name of the kernel variant that computes the node, for ops that have a table of variants; empty for all others.
    pub row: &'static str,
    /// The layer of the model, by the name of its parameters; empty where there is none.
    pub layer: String,
}

/// One launch of a kernel: its constants, parameters, buffers and number of workgroups.
#[derive(Debug)]
pub struct Dispatch {
    /// The kernel that the launch runs.
    pub kernel: &'static Kernel,
    /// The names and values of the kernel's compile-time constants, which WGSL declares as `override`.
    pub constants: Vec<(&'static str, f64)>,
    /// The bytes of the kernel's parameters, which are binding 0.
    pub params: Vec<u8>,
    /// The buffers that the kernel binds, from binding 1 on.
    pub buffers: Vec<Binding>,
    /// The bindings whose buffers hold floating-point numbers in half precision: bit i for `buffers[i]`.
    pub halves: u32,
    /// The number of workgroups in x, y and z.
    pub grid: [u32; 3],
    /// The bytes that a launch must at least read and write: each binding counted once, and of a value that several launches of
    /// a node divide among them, only this launch's part.
    pub bytes: u64,
    /// The number of floating-point operations of the launch.
    pub flops: u64,
    /// The floating-point operations that the launch's invocations carry out, including those beyond the edges of tiles; 0 where
    /// they were not counted.
    pub lane_flops: u64,
    /// The node and layer that the launch was recorded for; `None` if it belongs to no node.
    pub part: Option<Arc<LaunchPart>>,
}

impl Dispatch {
    /// Returns the buffers that the kernel binds with this access.
    pub(super) fn bound(&self, wanted: Access) -> impl Iterator<Item = BufferId> {
        let all = self.buffers.iter().zip(self.kernel.bindings);
        all.filter(move |(_, (_, access))| *access == wanted).map(|(binding, _)| binding.buffer)
    }

    /// Whether the binding at a place holds halves.
    pub(super) fn is_half(&self, place: usize) -> bool {
        place < 32 && (self.halves >> place) & 1 == 1
    }

    /// The bindings that are copied to texels of single or of half precision.
    pub(super) fn texels(&self, half: bool) -> impl Iterator<Item = &Binding> {
        let all = self.buffers.iter().zip(self.kernel.bindings).enumerate();
        all.filter(move |&(place, (_, (_, access)))| {
            *access == Access::Texels && self.is_half(place) == half
        })
        .map(|(_, (binding, _))| binding)
    }
}

/// The kernel launches of one step of a computation, and the buffers that they use, for one adapter.
#[derive(Debug)]
pub struct Recording {
    adapter: Arc<Adapter>,
    choices: Arc<Choices>,
    /// The number of 4-byte words in each buffer.
    pub buffers: Vec<u32>,
    /// The kernel launches, in the order in which they run.
    pub dispatches: Vec<Dispatch>,
    scratch: Vec<BufferId>,
    /// The choices between several kernels that were made while launches were recorded, each of which tuning may change.
    pub asked: Vec<Question>,
}

impl Recording {
    /// Returns the bytes of the largest buffer, and of the largest binding, for which adapters have limits.
    pub fn largest(&self) -> [u64; 2] {
        let bytes = |words: u32| u64::from(words) * 4;
        let buffer = self.buffers.iter().copied().max().map_or(0, bytes);
        let bound = self.dispatches.iter().flat_map(|dispatch| &dispatch.buffers);
        let words = bound.map(|bound| match bound.part {
            Some(part) => part.count,
            None => self.buffers.get(bound.buffer.0).copied().unwrap_or(0),
        });
        [buffer, words.max().map_or(0, bytes)]
    }

    /// Makes an empty list of kernel launches, for which all choices of kernels will be the default ones.
    pub fn new(adapter: Arc<Adapter>) -> Self {
        Self::with_choices(adapter, Arc::default())
    }

    /// Makes an empty list of kernel launches, for which the kernels that tuning found the fastest on this adapter will be taken.
    pub fn with_choices(adapter: Arc<Adapter>, choices: Arc<Choices>) -> Self {
        Self {
            adapter,
            choices,
            buffers: Vec::new(),
            dispatches: Vec::new(),
            scratch: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// Chooses one of an op's kernel variants and returns its index in `candidates`: the one that was the fastest on the device
    /// if that was measured ([`Preferences::tuning`](super::Preferences::tuning)), else `default`. `family` and `shape` say for
    /// which nodes the choice holds. All candidates must read the same inputs and write the same outputs; they may differ in the
    /// last bits. Err for more than six candidates.
    pub fn choose(
        &mut self,
        family: &'static str,
        shape: &[u32],
        candidates: &[&'static str],
        default: usize,
    ) -> Result<usize> {
        let question = Question::new(family, shape, candidates, default)?;
        let answer = question.answer(&self.choices);
        self.asked.push(question);
        Ok(answer)
    }

    /// Returns the description of the adapter that will run the recorded kernel launches; ops may choose their kernels by it.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// Reserves a buffer of `words` 4-byte words for the recorded launches.
    pub fn buffer(&mut self, words: u32) -> BufferId {
        self.buffers.push(words);
        BufferId(self.buffers.len() - 1)
    }

    /// Returns a scratch buffer of at least `words` 4-byte words, the same one for the same `number`, through which the launches
    /// of one op pass results to each other.
    pub fn scratch(&mut self, number: usize, words: u32) -> BufferId {
        while self.scratch.len() <= number {
            let id = self.buffer(0);
            self.scratch.push(id);
        }
        let id = self.scratch.get(number).copied().unwrap_or(BufferId(0));
        if let Some(held) = self.buffers.get_mut(id.0) {
            *held = words.max(*held);
        }
        id
    }

    /// Returns the number of 4-byte words in all scratch buffers and in the textures that buffers are copied to.
    pub fn scratch_words(&self) -> u64 {
        let held = self.scratch.iter().filter_map(|id| self.buffers.get(id.0));
        let rows = |half| self.texel_rows(half).into_iter().map(u64::from).sum::<u64>();
        let texels = (4 * rows(false) + 2 * rows(true)) * u64::from(super::TEXEL_COLUMNS);
        held.copied().map(u64::from).sum::<u64>() + texels
    }

    /// Number of words that a binding shows.
    pub(crate) fn shown(&self, binding: &Binding) -> u32 {
        let all = || self.buffers.get(binding.buffer.0).copied().unwrap_or(0);
        binding.part.map_or_else(all, |part| part.count)
    }

    /// Returns the rows of the textures of single or of half precision that launches read: the first such binding of every
    /// launch shares one texture, which is as large as the largest of them; so do the second ones. Behind what is copied there are seven texels
    /// more, for subgroups whose lanes load eight texels of which they use the first.
    pub(super) fn texel_rows(&self, half: bool) -> Vec<u32> {
        let words = if half { 2 } else { 4 }; // of a texel
        let mut rows = Vec::new();
        for dispatch in &self.dispatches {
            for (place, binding) in dispatch.texels(half).enumerate() {
                let texels = self.shown(binding).div_ceil(words) + 7;
                let needed = texels.div_ceil(super::TEXEL_COLUMNS);
                match rows.get_mut(place) {
                    None => rows.push(needed),
                    Some(most) => *most = needed.max(*most),
                }
            }
        }
        rows
    }

    /// Returns the ids of all buffers reserved so far.
    pub fn ids(&self) -> impl Iterator<Item = BufferId> + use<> {
        (0..self.buffers.len()).map(BufferId)
    }

    /// Appends a kernel launch. Err if `buffers` are not as many as the kernel binds, `params` not as large as the kernel's
    /// layout, or the grid larger than WebGPU guarantees; [`Recording::grid`] fits any number of workgroups into this limit.
    pub fn dispatch(
        &mut self,
        kernel: &'static Kernel,
        constants: &[(&'static str, f64)],
        params: impl bytemuck::Pod,
        buffers: &[impl Copy + Into<Binding>],
        grid: [u32; 3],
    ) -> Result<&mut Dispatch> {
        let (given, wanted) = (buffers.len(), kernel.bindings.len());
        if given != wanted {
            let names: Vec<_> = kernel.bindings.iter().map(|(name, _)| *name).collect();
            let wanted = format_args!("{wanted} for {}", names.join(", "));
            return Err(Error::mismatch(kernel.name, format_args!("{given} buffers"), wanted));
        }
        let (given, wanted) = (size_of_val(&params), kernel.params.size);
        if given != wanted {
            let given = format_args!("{given} bytes of parameters");
            let wanted = format_args!("{wanted} bytes");
            return Err(Error::mismatch(kernel.name, given, wanted));
        }
        if grid.iter().any(|&side| side == 0 || side > MAX_WORKGROUPS) {
            let wanted = format_args!("1 to {MAX_WORKGROUPS} a dimension");
            return Err(Error::mismatch(kernel.name, format_args!("{grid:?} workgroups"), wanted));
        }
        let buffers: Vec<Binding> = buffers.iter().map(|&buffer| buffer.into()).collect();
        // What is bound twice, as a stand-in for what a variant does not read, is read once at most.
        let distinct = buffers.iter().enumerate();
        let distinct =
            distinct.filter(|&(i, binding)| !buffers.iter().take(i).any(|b| b == binding));
        let bytes = distinct.map(|(_, binding)| u64::from(self.shown(binding))).sum::<u64>() * 4;
        let params = bytemuck::bytes_of(&params).to_vec();
        let constants = constants.to_vec();
        self.dispatches.push(Dispatch {
            kernel,
            constants,
            params,
            buffers,
            halves: 0,
            grid,
            bytes,
            flops: 0,
            lane_flops: 0,
            part: None,
        });
        self.dispatches
            .last_mut()
            .ok_or_else(|| Error::bug(kernel.name, "the launch was not recorded"))
    }

    /// Returns the number of workgroups in x, y and z for at least `invocations` invocations in workgroups of `width`; they are
    /// counted in one dimension and spread over x and y. An invocation's index is `(y * workgroups_x + x) * width + lane`; the
    /// kernel skips indices beyond its count. With a width of 1 the grid counts workgroups, such as one for each row or image.
    /// (shared/index.wgsl has the functions by which kernels compute either index.)
    pub fn grid(invocations: u32, width: u32) -> [u32; 3] {
        let groups = invocations.div_ceil(width).max(1);
        let rows = groups.div_ceil(MAX_WORKGROUPS);
        [groups.div_ceil(rows), rows, 1]
    }
}
