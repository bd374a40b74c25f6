//! Plans how a computation graph runs on a device: which nodes run once and which at every run, and where each value lies in
//! memory.

use super::memory::{Demand, Life, share};
use super::names;
use super::{Element, Graph, Launch, Node, Shape, Value};
use crate::gpu::{
    Access, Adapter, Binding, BufferId, Choices, Dispatch, LaunchPart, PART_ALIGNMENT, Question,
    Recording, Words,
};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

/// How a graph runs on a device: the kernel launches, and the buffer of each value.
///
/// `once` holds what does not depend on values that change from replay to replay (frozen statistics
/// folded, weights packed); `every` holds the rest.
#[derive(Debug)]
pub struct Plan {
    /// The launches that run only when inputs that stay the same from run to run were written.
    pub once: Recording,
    /// The launches that run at every run of the program.
    pub every: Recording,
    /// The identity of the graph.
    graph: u64,
    places: BTreeMap<Value, BufferId>,
    /// First words of values that do not begin where their buffer does.
    firsts: BTreeMap<Value, u32>,
    /// Words of each value: a shared buffer may be larger.
    words: BTreeMap<Value, u32>,
    inputs: BTreeSet<Value>,
    summary: Summary,
    /// The nodes' questions about which kernel to take.
    asked: Vec<(Question, Node)>,
}

/// A node that runs, with a description for its launches.
type Planned = (Node, Arc<LaunchPart>);

/// What a program costs in one run: launches, arithmetic, memory traffic, and the bytes of its buffers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The number of graph nodes that run.
    pub nodes: usize,
    /// The number of kernel launches in one run of the program.
    pub dispatches: usize,
    /// The number of kernel launches that run once before the first run, such as packing weights.
    pub dispatches_once: usize,
    /// The floating-point operations of one run.
    pub flops: u64,
    /// The bytes that one run reads and writes, each binding of each launch counted once.
    pub traffic_bytes: u64,
    /// The bytes of the values that come from outside of the graph: weights, data, state.
    pub input_bytes: u64,
    /// The part of `input_bytes` that holds the model's parameters.
    pub weight_bytes: u64,
    /// The bytes of the buffers that all values computed by the graph share.
    pub shared_bytes: u64,
    /// The part of `shared_bytes` that is computed once and stays: packed weights, folded statistics.
    pub kept_bytes: u64,
    /// The bytes that the values in shared buffers would need without sharing.
    pub unshared_bytes: u64,
    /// The bytes of scratch buffers, through which the launches of one node pass results to each other, and of the textures that
    /// buffers are copied to.
    pub scratch_bytes: u64,
}

impl Summary {
    /// Returns the bytes that one run works in: activations, masks, derivatives and scratch buffers.
    pub fn work_bytes(&self) -> u64 {
        self.shared_bytes - self.kept_bytes + self.scratch_bytes
    }

    /// Returns the bytes of all buffers that the program uses on the device, those given to it included.
    pub fn peak_bytes(&self) -> u64 {
        self.input_bytes + self.shared_bytes + self.scratch_bytes
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(f, "nodes            {:>10}", self.nodes)?;
        writeln!(
            f,
            "dispatches       {:>10}   and {} once",
            self.dispatches, self.dispatches_once
        )?;
        writeln!(f, "operations       {:>10.3} GFLOP a replay", self.flops as f64 * 1e-9)?;
        writeln!(f, "memory traffic   {:>10.1} MiB a replay", mib(self.traffic_bytes))?;
        let rest = self.input_bytes - self.weight_bytes;
        writeln!(f, "weights          {:>10.1} MiB", mib(self.weight_bytes))?;
        writeln!(f, "packed weights   {:>10.1} MiB", mib(self.kept_bytes))?;
        writeln!(f, "data and state   {:>10.1} MiB", mib(rest))?;
        writeln!(
            f,
            "activations      {:>10.1} MiB   masks and workspace too ({:.1} MiB without sharing)",
            mib(self.work_bytes()),
            mib(self.unshared_bytes)
        )?;
        write!(f, "peak memory      {:>10.1} MiB", mib(self.peak_bytes()))
    }
}

impl Plan {
    /// Plans the nodes that the `wanted` values need, and all nodes that write in place; other nodes are left out. Wanted
    /// values keep their contents until the next replay. `changing` are the inputs that are written between replays, apart
    /// from those that nodes write; nodes that depend on neither run once.
    pub fn new(
        graph: &Graph,
        wanted: &[Value],
        changing: &[Value],
        adapter: &Arc<Adapter>,
    ) -> Result<Self> {
        Self::with(graph, wanted, changing, adapter, &Arc::default())
    }

    /// Makes a plan with these choices of kernels, which answer the [questions](Self::asked) of nodes; without an answer a node
    /// takes its default kernel.
    pub fn with(
        graph: &Graph,
        wanted: &[Value],
        changing: &[Value],
        adapter: &Arc<Adapter>,
        choices: &Arc<Choices>,
    ) -> Result<Self> {
        wanted.iter().chain(changing).try_for_each(|&value| graph.shape(value).map(drop))?;
        let nodes = live_nodes(graph, wanted);
        let layers = names::layers(graph, &nodes);
        let changes = changing_values(&nodes, changing);
        let repeats = |node: &Node| node.inputs.iter().any(|input| changes.contains(input));
        // What runs once comes first; both parts keep the graph's order.
        let numbered = (0..).zip(nodes.iter().zip(layers));
        let part = |(number, (node, layer)): (usize, (&Node, String))| {
            let (op, row) = (node.op.name(), node.op.row());
            (node.clone(), Arc::new(LaunchPart { node: number, op, row, layer }))
        };
        let (every, once): (Vec<Planned>, Vec<Planned>) =
            numbered.map(part).partition(|(node, _)| repeats(node));

        let mut lives: BTreeMap<Value, Life> = BTreeMap::new();
        let mut made = BTreeSet::new();
        let end = nodes.len();
        for (at, (node, _)) in once.iter().chain(&every).enumerate() {
            made.extend(&node.outputs);
            for &value in node.inputs.iter().chain(&node.outputs) {
                lives.entry(value).or_insert(Life { first: at, last: at }).last = at;
            }
        }
        for (value, life) in &mut lives {
            // Made once and read at every replay: must outlive the replays.
            if life.crosses(once.len()) || wanted.contains(value) {
                life.last = end;
            }
        }
        let mut plan = Self {
            once: Recording::with_choices(adapter.clone(), choices.clone()),
            every: Recording::with_choices(adapter.clone(), choices.clone()),
            graph: graph.id,
            places: BTreeMap::new(),
            firsts: BTreeMap::new(),
            words: BTreeMap::new(),
            inputs: BTreeSet::new(),
            summary: Summary::default(),
            asked: Vec::new(),
        };
        let running = once.iter().chain(&every).map(|(node, _)| node);
        plan.place(graph, wanted, &lives, &made, once.len(), &Neighbours::of(graph, running))?;
        for &value in plan.places.keys() {
            plan.words.insert(value, words(graph, value)?);
        }
        for (part, nodes) in [(&mut plan.once, &once), (&mut plan.every, &every)] {
            for (node, of) in nodes {
                plan.summary.flops += record(graph, node, of, (&plan.places, &plan.firsts), part)?;
                plan.asked.extend(part.asked.drain(..).map(|question| (question, node.clone())));
            }
        }
        let scratch = [&plan.once, &plan.every].map(Recording::scratch_words).into_iter();
        plan.summary.scratch_bytes = scratch.map(|words| 4 * words).sum();
        let once_flops: u64 = plan.once.dispatches.iter().map(|dispatch| dispatch.flops).sum();
        plan.summary.flops -= once_flops;
        plan.summary.nodes = nodes.len();
        plan.summary.dispatches = plan.every.dispatches.len();
        plan.summary.dispatches_once = plan.once.dispatches.len();
        plan.summary.traffic_bytes = plan.every.dispatches.iter().map(|each| each.bytes).sum();
        Ok(plan)
    }

    /// Inputs get a buffer each, made values share. The first `once` nodes run before the replays.
    fn place(
        &mut self,
        graph: &Graph,
        wanted: &[Value],
        lives: &BTreeMap<Value, Life>,
        made: &BTreeSet<Value>,
        once: usize,
        neighbours: &Neighbours,
    ) -> Result<()> {
        let bytes = |words: u32| u64::from(words) * 4;
        let buffer = |plan: &mut Self, words: u32| {
            plan.once.buffer(words);
            plan.every.buffer(words)
        };
        let untouched = wanted.iter().filter(|value| !lives.contains_key(value));
        for &value in lives.keys().chain(untouched).filter(|value| !made.contains(value)) {
            let words = words(graph, value)?;
            let id = buffer(self, words);
            self.places.insert(value, id);
            self.inputs.insert(value);
            self.summary.input_bytes += bytes(words);
            if graph.name(value).is_some() {
                self.summary.weight_bytes += bytes(words);
            }
        }
        let mut demands = Vec::new();
        for (&value, &life) in lives.iter().filter(|(value, _)| made.contains(value)) {
            let words = words(graph, value)?;
            let anywhere = neighbours.anywhere.contains(&value) && !wanted.contains(&value);
            let apart = neighbours.apart.get(&value).cloned().unwrap_or_default();
            demands.push(Demand { value, words, life, anywhere, apart });
        }
        let (sizes, places) = share(&demands);
        let ids: Vec<_> = sizes.iter().map(|&words| buffer(self, words)).collect();
        let mut kept = BTreeSet::new();
        for (&(place, _), demand) in places.iter().zip(&demands) {
            if demand.life.crosses(once) {
                kept.insert(place);
            }
        }
        let words = kept.iter().filter_map(|&place| sizes.get(place).copied());
        self.summary.kept_bytes = words.map(bytes).sum();
        for (demand, (place, first)) in demands.iter().zip(places) {
            let what = format_args!("no buffer for value {}", demand.value.number);
            let none = || Error::bug("plan", what);
            self.places.insert(demand.value, *ids.get(place).ok_or_else(none)?);
            if first > 0 {
                self.firsts.insert(demand.value, first);
            }
        }
        self.summary.shared_bytes = sizes.iter().copied().map(bytes).sum();
        self.summary.unshared_bytes = demands.iter().map(|demand| bytes(demand.words)).sum();
        Ok(())
    }

    /// Err if a value is of another graph than the plan.
    pub(crate) fn expect(&self, value: Value) -> Result<()> {
        value.expect_of(self.graph)
    }

    /// Returns the buffer that holds a value. Err if nothing that runs needs the value.
    pub fn buffer(&self, value: Value) -> Result<BufferId> {
        self.expect(value)?;
        let given = format_args!(
            "value {} of the graph (counted from 0), which has no buffer, as no output needs it or it is fused into another op",
            value.number
        );
        let wanted =
            "an output of the program, or a value that one of its launches reads or writes";
        let unused = || Error::mismatch("program", given, wanted);
        self.places.get(&value).copied().ok_or_else(unused)
    }

    /// Returns the number of 4-byte words of a value. Err if nothing that runs needs it.
    pub fn words(&self, value: Value) -> Result<usize> {
        self.buffer(value)?;
        Ok(self.words.get(&value).map_or(0, |&words| words as usize))
    }

    /// Returns the values that come from outside the graph, each in a buffer of its own.
    pub fn inputs(&self) -> impl Iterator<Item = Value> + '_ {
        self.inputs.iter().copied()
    }

    /// Returns the buffers that both recordings share.
    pub(crate) fn buffers(&self) -> BTreeSet<BufferId> {
        self.places.values().copied().collect()
    }

    /// Returns the questions, which kernel to take, that nodes asked while they were recorded, with the nodes.
    pub fn asked(&self) -> &[(Question, Node)] {
        &self.asked
    }

    /// Returns the costs of one run of the planned program.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}

/// The values that may lie behind others in a buffer, and the values that each must not share one with: wgpu refuses a
/// buffer that one launch both reads and writes, and WebGPU one that it writes through two bindings.
struct Neighbours {
    anywhere: BTreeSet<Value>,
    /// Pairs of values of one node that must lie in different buffers, because the node writes one of them or one alone is
    /// in half precision.
    apart: BTreeMap<Value, BTreeSet<Value>>,
}

impl Neighbours {
    fn of<'a>(graph: &Graph, nodes: impl Iterator<Item = &'a Node> + Clone) -> Self {
        let mut anywhere: BTreeSet<Value> = BTreeSet::new();
        for node in nodes.clone() {
            let outputs = node.op.anywhere().iter();
            anywhere.extend(outputs.filter_map(|&output| node.outputs.get(output)));
        }
        let mut apart: BTreeMap<Value, BTreeSet<Value>> = BTreeMap::new();
        for node in nodes {
            let in_place = node.op.writes().iter().filter_map(|&input| node.inputs.get(input));
            let written: BTreeSet<Value> = node.outputs.iter().chain(in_place).copied().collect();
            let all: BTreeSet<Value> = node.inputs.iter().chain(&written).copied().collect();
            for value in all.intersection(&anywhere) {
                // Which bindings hold halves is told by their buffers, so that these hold nothing else of the node.
                let halved = |other: &Value| graph.element(*other) != graph.element(*value);
                let is_apart = |other: &&Value| {
                    *other != value
                        && (written.contains(value) || written.contains(*other) || halved(other))
                };
                for other in all.iter().filter(is_apart) {
                    apart.entry(*value).or_default().insert(*other);
                    apart.entry(*other).or_default().insert(*value);
                }
            }
        }
        Self { anywhere, apart }
    }
}

/// Nodes that a wanted value needs or that write in place, in running order.
fn live_nodes(graph: &Graph, wanted: &[Value]) -> Vec<Node> {
    let mut live: HashSet<Value> = wanted.iter().copied().collect();
    let mut nodes = Vec::new();
    for node in graph.nodes().iter().rev() {
        if !node.op.writes().is_empty() || node.outputs.iter().any(|output| live.contains(output)) {
            live.extend(&node.inputs);
            nodes.push(node.clone());
        }
    }
    nodes.reverse();
    nodes
}

/// Values whose contents differ from replay to replay.
fn changing_values(nodes: &[Node], changing: &[Value]) -> HashSet<Value> {
    let mut changes: HashSet<Value> = changing.iter().copied().collect();
    for node in nodes {
        changes.extend(node.op.writes().iter().filter_map(|&i| node.inputs.get(i)));
    }
    for node in nodes {
        if node.inputs.iter().any(|input| changes.contains(input)) {
            changes.extend(&node.outputs);
        }
    }
    changes
}

/// Bytes that the launches from the `first` on, one node's, read and write: of its values, whose buffers may be larger, `words`. Of
/// a value that several launches of one kernel bind as a whole, each goes through a part, as large as its part of the workgroups.
fn bytes(to: &Recording, first: usize, words: &BTreeMap<BufferId, u32>) -> Vec<u64> {
    let launches = to.dispatches.get(first..).unwrap_or_default();
    let groups = |dispatch: &Dispatch| -> u64 {
        dispatch.grid.iter().map(|&side| u64::from(side)).product()
    };
    let mut of_kernels: BTreeMap<&str, u64> = BTreeMap::new();
    for dispatch in launches {
        *of_kernels.entry(dispatch.kernel.name).or_default() += groups(dispatch);
    }
    let of = |dispatch: &Dispatch| {
        let all = of_kernels.get(dispatch.kernel.name).copied().unwrap_or(0).max(1);
        let mut seen: Vec<Binding> = Vec::new();
        let mut sum = 0;
        for &bound in &dispatch.buffers {
            if seen.contains(&bound) {
                continue;
            }
            seen.push(bound);
            let whole = words.get(&bound.buffer).filter(|_| bound.part.is_none());
            let of_value = whole.map(|&words| {
                let part = u128::from(words) * u128::from(groups(dispatch)) / u128::from(all);
                u64::try_from(part).unwrap_or(u64::MAX)
            });
            sum += 4 * of_value.unwrap_or_else(|| u64::from(to.shown(&bound)));
        }
        sum
    };
    launches.iter().map(of).collect()
}

/// The words of memory that a value takes.
fn words(graph: &Graph, value: Value) -> Result<u32> {
    Ok(graph.element(value).words(graph.shape(value)?.elements()))
}

/// Lets a launch read and write the buffers of `halved` in half precision. Ops count all parts of buffers in numbers of four
/// bytes; a part of halves takes half as many words.
fn halve(dispatch: &mut Dispatch, halved: &BTreeSet<BufferId>) -> Result<()> {
    let kernel = dispatch.kernel.name;
    let accesses = dispatch.kernel.bindings.iter().map(|(_, access)| *access);
    for (place, (binding, access)) in dispatch.buffers.iter_mut().zip(accesses).enumerate() {
        if !halved.contains(&binding.buffer) {
            continue;
        }
        dispatch.halves |= 1u32.checked_shl(place as u32).unwrap_or(0);
        if let Some(Words { first, count }) = &mut binding.part {
            let alignment = if access == Access::Texels { 4 } else { 2 * PART_ALIGNMENT };
            if !first.is_multiple_of(alignment) {
                let what = format_args!("no binding can begin at half-precision value {first}");
                return Err(Error::bug(kernel, what));
            }
            (*first, *count) = (*first / 2, Element::Half.words(*count));
        }
    }
    Ok(())
}

/// Appends a node's launches and returns its floating-point operations, noted at the first launch.
fn record(
    graph: &Graph,
    node: &Node,
    part: &Arc<LaunchPart>,
    (places, firsts): (&BTreeMap<Value, BufferId>, &BTreeMap<Value, u32>),
    to: &mut Recording,
) -> Result<u64> {
    let shapes = |values: &[Value]| -> Result<Vec<Shape>> {
        values.iter().map(|&value| graph.shape(value)).collect()
    };
    let (inputs, outputs) = (shapes(&node.inputs)?, shapes(&node.outputs)?);
    let values = || node.inputs.iter().chain(&node.outputs);
    let buffers: Vec<_> = values().filter_map(|value| places.get(value).copied()).collect();
    let firsts: Vec<_> =
        values().map(|value| firsts.get(value).copied().unwrap_or_default()).collect();
    let (first, flops) = (to.dispatches.len(), node.op.flops(&inputs, &outputs));
    let (inputs, outputs, buffers) = (&inputs, &outputs, &buffers);
    node.op.record(&mut Launch { to, inputs, outputs, buffers, firsts: &firsts })?;
    if to.dispatches.len() == first {
        // Its outputs would hold what lay in their buffers before.
        return Err(Error::mismatch(
            node.op.name(),
            "no launch from `record`",
            "at least one launch",
        ));
    }
    let halved: BTreeSet<BufferId> = values()
        .filter(|value| graph.element(**value) == Element::Half)
        .filter_map(|value| places.get(value).copied())
        .collect();
    for dispatch in to.dispatches.iter_mut().skip(first) {
        halve(dispatch, &halved)?;
    }
    let words: BTreeMap<BufferId, u32> = values()
        .filter_map(|value| Some((*places.get(value)?, words(graph, *value).ok()?)))
        .collect();
    let bytes = bytes(to, first, &words);
    for (dispatch, bytes) in to.dispatches.iter_mut().skip(first).zip(bytes) {
        dispatch.part = Some(part.clone());
        dispatch.bytes = bytes;
    }
    if let Some(dispatch) = to.dispatches.get_mut(first) {
        dispatch.flops = flops;
    }
    Ok(flops)
}
