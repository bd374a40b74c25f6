//! Turns a recorded list of kernel launches into pipelines, buffers and bind groups once, and then runs it again and again
//! without creating anything new.

use super::counters::Counters;
use super::once::Once;
use super::run::RunPace;
use super::texels::{Copy, Texels};
use super::{
    Access, Binding, Buffer, BufferId, Dispatch, Gpu, LaunchPart, Recording, ShaderChecks, Words,
};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::iter::once;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wgpu::BufferUsages;

/// Offsets of uniform bindings are multiples of this on every adapter.
const UNIFORM_ALIGNMENT: u64 = 256;

/// A list of kernel launches ([`Recording`]) made ready on one device.
#[derive(Debug)]
pub struct Executor {
    pub(super) gpu: Gpu,
    buffers: Vec<Buffer>,
    /// Textures of single, and of half precision.
    texels: [Vec<Texels>; 2],
    pub(super) steps: Vec<Step>,
    once: Option<Once>,
    /// Given buffers that launches only read, and buffers that launches write.
    read: Vec<BufferId>,
    written: Vec<BufferId>,
    /// Launches before the first that writes such a buffer.
    harmless: usize,
    pub(super) pace: Mutex<RunPace>,
}

#[derive(Debug)]
pub(super) struct Step {
    pub copies: Vec<Copy>,
    pub pipeline: wgpu::ComputePipeline,
    pub bindings: wgpu::BindGroup,
    pub grid: [u32; 3],
    pub name: &'static str,
    pub flops: u64,
    pub bytes: u64,
    pub part: Option<Arc<LaunchPart>>,
}

impl Step {
    /// Returns an estimate of the launch's cost, by which a program's runs are divided into submissions.
    pub fn cost(&self) -> f64 {
        (self.flops + self.bytes).max(1) as f64
    }
}

/// How long a program takes, as [`Executor::measure`] found it: one replay (one run), and each of its launches.
#[derive(Clone, Debug)]
pub struct Pace {
    /// The duration of one run of the whole program.
    pub replay: Duration,
    /// The seconds of each launch; they add up to the replay's.
    pub(super) launches: Vec<f64>,
}

impl Executor {
    /// Allocates buffers and compiles kernels for a list of kernel launches. `given` buffers are used where it names them;
    /// all others are made here and start as zeros.
    pub async fn new(
        gpu: &Gpu,
        recording: &Recording,
        given: &BTreeMap<BufferId, Buffer>,
    ) -> Result<Self> {
        given.values().try_for_each(|buffer| buffer.expect_on(gpu, "Executor::new"))?;
        let own = (0..recording.buffers.len()).filter(|&i| !given.contains_key(&BufferId(i)));
        let own: Vec<_> = own.filter_map(|i| recording.buffers.get(i).copied()).collect();
        let mut made = gpu.allocate(&own).await?.into_iter();
        let mut buffers = Vec::new();
        for (i, &words) in recording.buffers.iter().enumerate() {
            let buffer = match given.get(&BufferId(i)) {
                Some(buffer) if buffer.words() == words => Some(buffer.clone()),
                Some(buffer) => {
                    let given = format_args!(
                        "a buffer of {} words for the recording's buffer {i} (counted from 0)",
                        buffer.words()
                    );
                    let wanted = format_args!("one of {words} words");
                    return Err(Error::mismatch("Executor::new", given, wanted));
                }
                None => made.next(),
            };
            let none =
                || Error::bug("executor", format_args!("no buffer was made for {words} words"));
            buffers.push(buffer.ok_or_else(none)?);
        }
        let mut texels = [const { Vec::new() }; 2];
        for (texels, half) in texels.iter_mut().zip([false, true]) {
            for rows in recording.texel_rows(half) {
                texels.push(Texels::new(gpu, rows, half).await?);
            }
        }
        if gpu.preferences().shader_checks == ShaderChecks::Report {
            gpu.reports.prepare(gpu).await?;
        }
        let pipelines = gpu.pipelines_of(&recording.dispatches).await?;
        let outside = |id: &BufferId| given.contains_key(id);
        let written = |dispatch: &Dispatch| -> BTreeSet<BufferId> {
            dispatch.bound(Access::Write).filter(outside).collect()
        };
        let all_written: BTreeSet<_> = recording.dispatches.iter().flat_map(written).collect();
        let bound = recording.dispatches.iter().flat_map(|each| &each.buffers);
        let read: BTreeSet<_> = bound.map(|binding| binding.buffer).filter(outside).collect();
        let harmless = recording.dispatches.iter().take_while(|each| written(each).is_empty());
        let mut executor = Self {
            gpu: gpu.clone(),
            buffers,
            texels,
            steps: Vec::new(),
            once: None,
            read: read.difference(&all_written).copied().collect(),
            written: all_written.into_iter().collect(),
            harmless: harmless.count(),
            pace: Mutex::default(),
        };
        let bind = |device: &_| executor.bind(device, recording, pipelines);
        executor.steps = gpu.checked("binding buffers", bind).await??;
        executor.pace = Mutex::new(RunPace::guessed(&executor.steps));
        Ok(executor)
    }

    /// Puts another executor before this one, whose results this one reads. It runs before a replay if it never did, or
    /// if the buffers that it reads from outside were written since.
    #[must_use]
    pub fn after(mut self, once: Self) -> Self {
        self.once = (!once.steps.is_empty()).then(|| Once::new(once));
        self
    }

    /// Returns how often the buffers were written that launches only read.
    pub(super) fn times_written(&self) -> u64 {
        let buffers = self.read.iter().filter_map(|id| self.buffers.get(id.0));
        buffers.map(Buffer::times_written).fold(0, u64::wrapping_add)
    }

    fn mark_written(&self) {
        let buffers = self.written.iter().filter_map(|id| self.buffers.get(id.0));
        buffers.for_each(Buffer::mark_written);
    }

    /// Runs the executor before this one, if that is due.
    pub(super) async fn refresh(&self) -> Result<()> {
        match &self.once {
            Some(once) => once.refresh().await,
            None => Ok(()),
        }
    }

    /// Makes the bind groups of all launches; one uniform buffer holds the parameters of all.
    fn bind(
        &self,
        device: &wgpu::Device,
        recording: &Recording,
        pipelines: Vec<wgpu::ComputePipeline>,
    ) -> Result<Vec<Step>> {
        let count = recording.dispatches.len() as u64;
        let uniforms = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params"),
            size: count.max(1) * UNIFORM_ALIGNMENT,
            usage: BufferUsages::UNIFORM | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Counters::add(&self.gpu.counters.buffers, 1);
        Counters::add(&self.gpu.counters.bind_groups, count);
        let mut steps = Vec::new();
        // What each texture holds by then.
        let mut held = self.texels.each_ref().map(|texels| vec![None; texels.len()]);
        for ((i, dispatch), pipeline) in (0u64..).zip(&recording.dispatches).zip(pipelines) {
            let (offset, size) = (i * UNIFORM_ALIGNMENT, dispatch.params.len() as u64);
            if size > UNIFORM_ALIGNMENT {
                let given = format_args!("{size} bytes of parameters");
                let wanted = format_args!("at most {UNIFORM_ALIGNMENT} bytes");
                return Err(Error::mismatch(dispatch.kernel.name, given, wanted));
            }
            self.gpu.queue.write_buffer(&uniforms, offset, &dispatch.params);
            let params = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &uniforms,
                offset,
                size: size.try_into().ok(),
            });
            let (bound, copies) = self.bound(dispatch, &mut held)?;
            let entry = |(binding, resource)| wgpu::BindGroupEntry { binding, resource };
            let entries: Vec<_> =
                (0..).zip(once(params).chain(bound).chain(self.reports())).map(entry).collect();
            let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(dispatch.kernel.name),
                layout: &pipeline.get_bind_group_layout(0),
                entries: &entries,
            });
            steps.push(Step {
                copies,
                pipeline,
                bindings,
                grid: dispatch.grid,
                name: dispatch.kernel.name,
                flops: dispatch.flops,
                bytes: dispatch.bytes,
                part: dispatch.part.clone(),
            });
        }
        Ok(steps)
    }

    /// Behind all that a kernel binds: where it reports indices out of range, if that is asked for.
    fn reports(&self) -> Option<wgpu::BindingResource<'_>> {
        let asked = self.gpu.preferences().shader_checks == ShaderChecks::Report;
        let buffer = self.gpu.reports.buffer().filter(|_| asked)?;
        Some(buffer.raw.as_entire_binding())
    }

    /// Returns the resources that a launch binds after its parameters, and the copies to textures that must come before
    /// it.
    #[cfg_attr(target_arch = "wasm32", expect(unreachable_code, reason = "pages have no texels"))]
    fn bound(
        &self,
        dispatch: &Dispatch,
        held: &mut [Vec<Option<Binding>>; 2],
    ) -> Result<(Vec<wgpu::BindingResource<'_>>, Vec<Copy>)> {
        let kernel = dispatch.kernel.name;
        let (mut resources, mut copies) = (Vec::new(), Vec::new());
        let [single, half] = held.each_mut();
        let [of_single, of_half] = &self.texels;
        let mut single = of_single.iter().zip(single.iter_mut());
        let mut half = of_half.iter().zip(half.iter_mut());
        let all = dispatch.buffers.iter().zip(dispatch.kernel.bindings).enumerate();
        for (place, (binding, (name, access))) in all {
            let buffer = &self.buffer(binding.buffer)?.raw;
            let words = u32::try_from(buffer.size() / 4).unwrap_or(u32::MAX);
            let part = binding.part.unwrap_or(Words { first: 0, count: words });
            if part.count == 0 || part.count > words.saturating_sub(part.first) {
                let given = format_args!("{part} of the buffer {name}");
                let wanted = format_args!("a range within its {words} words");
                return Err(Error::mismatch(kernel, given, wanted));
            }
            if *access == Access::Texels {
                let is_half = dispatch.is_half(place);
                let texture = if is_half { half.next() } else { single.next() };
                let Some((texels, held)) = texture else {
                    return Err(Error::bug(kernel, format_args!("no texture was made for {name}")));
                };
                if !part.first.is_multiple_of(if is_half { 2 } else { 4 }) {
                    let given = format_args!("{part} of the buffer {name}");
                    return Err(Error::mismatch(
                        kernel,
                        given,
                        "a start at a multiple of 4 words, 2 in half precision",
                    ));
                }
                if held.replace(*binding) != Some(*binding) {
                    copies.push(texels.copy(buffer, part));
                }
                resources.push(texels.resource());
                continue;
            }
            let (size, most) = (u64::from(part.count) * 4, self.gpu.adapter().max_binding);
            if size > most {
                let user = dispatch.part.as_ref().filter(|part| part.op != kernel);
                let user = user.map_or(String::new(), |part| format!(" for {}", part.op));
                return Err(Error::OutOfMemory(format!(
                    "{kernel}{user} binds {size} bytes as \"{name}\", but this adapter binds at most {most} bytes"
                )));
            }
            let (offset, size) = (u64::from(part.first) * 4, size.try_into().ok());
            let binding = wgpu::BufferBinding { buffer, offset, size };
            resources.push(wgpu::BindingResource::Buffer(binding));
        }
        for slot in held.iter_mut().flatten() {
            let written = |held: &Binding| {
                let mut bound = dispatch.buffers.iter().zip(dispatch.kernel.bindings);
                bound.any(|(binding, (_, access))| {
                    *access == Access::Write && binding.buffer == held.buffer
                })
            };
            *slot = slot.filter(|held| !written(held));
        }
        Ok((resources, copies))
    }

    /// Returns the device memory behind a buffer of the recording.
    pub fn buffer(&self, id: BufferId) -> Result<&Buffer> {
        let (id, count) = (id.0, self.buffers.len());
        let unknown = || {
            Error::mismatch(
                "Executor::buffer",
                format_args!("buffer {id} (counted from 0)"),
                format_args!("one of the {count} buffers of the recording that it was made from"),
            )
        };
        self.buffers.get(id).ok_or_else(unknown)
    }

    /// Appends one run of the program to the caller's encoder, which must belong to the same device: wgpu does not tell (the
    /// module `embed` describes what happens with another one). Nothing is allocated, submitted or waited for.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        if let Some(once) = &self.once {
            once.record(encoder);
        }
        self.record_alone(encoder);
    }

    pub(super) fn record_alone(&self, encoder: &mut wgpu::CommandEncoder) {
        record_steps(&self.steps, encoder, 1);
        self.mark_written();
    }

    /// Appends a part of one run of the program: launches from number `from` on that take at most `time` by `pace`; at least one
    /// if `some` is set. Returns the number of the launch to go on with, 0 at the end, and the time that was taken; `None` where
    /// not one launch fits. Where what is ahead of the replays is due ([`Executor::after`]), the replay begins anew with it,
    /// unless it has written already what outlives it.
    pub fn record_part(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        pace: &Pace,
        from: usize,
        time: f64,
        some: bool,
    ) -> Option<(usize, f64)> {
        let once = self.once.as_ref().filter(|once| from <= self.harmless && once.is_due());
        let from = if once.is_some() { 0 } else { from };
        let (mut taken, mut next) = (0.0, from);
        for seconds in pace.launches.iter().skip(from) {
            // What is left after many parts is no whole number of them.
            if !(some && next == from) && taken + seconds > time * (1.0 + 1e-9) {
                break;
            }
            (taken, next) = (taken + seconds, next + 1);
        }
        if next == from {
            return None;
        }
        if let Some(once) = once {
            once.record(encoder);
        }
        record_steps(self.steps.get(from..next).unwrap_or_default(), encoder, 1);
        self.mark_written();
        Some((if next < self.steps.len() { next } else { 0 }, taken))
    }

    /// Divides a run's kernel launches into stretches: for each node of this op the launches up to its last one, and then the
    /// launches after all of these nodes.
    pub fn stretches(&self, op: &str) -> Vec<Range<usize>> {
        let node = |step: Option<&Step>| {
            let part = step.and_then(|step| step.part.as_ref())?;
            (part.op == op).then_some(part.node)
        };
        let (mut first, mut stretches) = (0, Vec::new());
        for place in 0..self.steps.len() {
            let this = node(self.steps.get(place));
            if this.is_some() && this != node(self.steps.get(place + 1)) {
                stretches.push(first..place + 1);
                first = place + 1;
            }
        }
        stretches.push(first..self.steps.len());
        stretches
    }

    /// Submits a stretch of a program's kernel launches; the first stretch includes launches that are due before the run. Does
    /// not wait.
    pub async fn submit_stretch(&self, stretch: Range<usize>) -> Result<()> {
        if stretch.start == 0 {
            self.refresh().await?;
        }
        self.submit_steps(self.steps.get(stretch).unwrap_or_default(), 1).await.map(drop)
    }

    pub(super) async fn submit_steps(
        &self,
        steps: &[Step],
        times: u32,
    ) -> Result<wgpu::SubmissionIndex> {
        self.gpu.go_on()?;
        let submit = |device: &wgpu::Device| {
            let mut encoder = device.create_command_encoder(&Default::default());
            record_steps(steps, &mut encoder, times);
            self.gpu.queue.submit([encoder.finish()])
        };
        Counters::add(&self.gpu.counters.submissions, 1);
        self.mark_written();
        self.gpu.checked("submitting a run", submit).await
    }
}

/// Copies lie between passes, so each pass begins with the launch that its copies are for.
pub(super) fn record_steps(steps: &[Step], encoder: &mut wgpu::CommandEncoder, times: u32) {
    for _ in 0..times {
        for run in steps.chunk_by(|_, next| next.copies.is_empty()) {
            run.iter().flat_map(|step| &step.copies).for_each(|copy| copy.record(encoder));
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for Step { pipeline, bindings, grid: [x, y, z], .. } in run {
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, bindings, &[]);
                pass.dispatch_workgroups(*x, *y, *z);
            }
        }
    }
}
