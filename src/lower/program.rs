//! A program: a computation graph whose kernels were chosen, and whose launches and memory were laid out, for one device, with
//! functions to write its inputs, run it and read its results.

use super::{Asked, Rule, Target, lower};
use crate::gpu::{Buffer, CommandEncoder, Executor, Gpu, Lowering, Pace, Timing};
use crate::graph::{Graph, Plan, Summary, Value, plan, tune};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// A computation graph that is compiled and has its memory on one device, ready to run. Inputs that were not given a buffer have
/// one of their own.
///
/// Whatever changes what lies in its buffers takes `&mut self`, so that two callers cannot mix their results: each thread
/// has a program of its own. Buffers that several programs were given are for the caller to keep apart.
#[derive(Debug)]
pub struct Program {
    gpu: Gpu,
    plan: Plan,
    every: Executor,
}

impl Program {
    /// Lowers the graph for the device as its preferences ask ([`lower`]), plans its memory, allocates buffers and compiles
    /// kernels. `given` are buffers shared with other programs: weights, images under attack, state. `wanted` are the values that
    /// can be read after a run, `changing` the inputs that are written between runs ([`Plan::new`]). Nodes that depend on no
    /// value of `changing`, such as the packing of weights, run once, before the first run of the program. If any
    /// program or call then writes a value that they depend on, they run again before the program's next run.
    pub async fn new(
        gpu: &Gpu,
        graph: &Graph,
        wanted: &[Value],
        changing: &[Value],
        given: &[(Value, Buffer)],
    ) -> Result<Self> {
        Self::with_rules(gpu, graph, wanted, changing, given, &[]).await
    }

    /// Makes a program with the caller's own rewrite rules, which are applied before the library's.
    pub async fn with_rules(
        gpu: &Gpu,
        graph: &Graph,
        wanted: &[Value],
        changing: &[Value],
        given: &[(Value, Buffer)],
        rules: &[&dyn Rule],
    ) -> Result<Self> {
        if gpu.preferences().lowering == Lowering::Plain {
            return Self::plain(gpu, graph, wanted, changing, given).await;
        }
        given.iter().try_for_each(|(value, _)| graph.shape(*value).map(drop))?;
        let (adapter, preferences) = (gpu.adapter(), gpu.preferences());
        let lowered = loop {
            let choices = gpu.choices();
            let target = Target { adapter, preferences, choices: &choices, rules };
            let lowered = lower(graph, wanted, &target)?;
            let open = lowered.asked.iter().filter(|asked| !choices.has(&asked.question));
            let trials: Vec<_> = match gpu.measures() {
                true => open.map(Asked::trial).collect::<Result<_>>()?,
                false => Vec::new(),
            };
            // Answers lead to no further questions, so what is open after the first round stays so.
            if trials.is_empty() || tune(gpu, &trials).await? == 0 {
                for Asked { question, .. } in &lowered.asked {
                    gpu.note_used(question, question.answer(&choices));
                }
                break lowered;
            }
        };
        let plan = plan(gpu, &lowered.graph, wanted, changing).await?;
        Self::ready(gpu, plan, given).await
    }

    /// Makes a program that runs the nodes as they were built, with the simplest kernels, whatever the preferences are. For small
    /// graphs that lowering would not change.
    pub async fn plain(
        gpu: &Gpu,
        graph: &Graph,
        wanted: &[Value],
        changing: &[Value],
        given: &[(Value, Buffer)],
    ) -> Result<Self> {
        given.iter().try_for_each(|(value, _)| graph.shape(*value).map(drop))?;
        Self::ready(gpu, Plan::new(graph, wanted, changing, gpu.adapter())?, given).await
    }

    async fn ready(gpu: &Gpu, plan: Plan, given: &[(Value, Buffer)]) -> Result<Self> {
        let given: BTreeMap<_, _> = given
            .iter()
            .filter_map(|(value, buffer)| Some((plan.buffer(*value).ok()?, buffer.clone())))
            .collect();
        let every = plan.executor(gpu, &given).await?;
        Ok(Self { gpu: gpu.clone(), plan, every })
    }

    /// Submits one run of the program to the device, without waiting for it.
    pub async fn submit(&mut self) -> Result<()> {
        self.every.submit().await
    }

    /// Runs several programs of one device in step, with a pause after each node of the op called `op`, as synchronised batch
    /// norm needs it: all of them run up to a pause, one after the other, before the first goes on. With each program come the
    /// outputs of these nodes, two for each node, in order. `joined` is given a node's index and its outputs in all programs, in
    /// the order of programs; what it returns takes their place in every program for the rest of the run. Natively this waits for
    /// the device at each pause.
    ///
    /// # Errors
    /// The errors of `joined`, `Mismatch` where it returns other lengths or programs have other numbers of such nodes, and
    /// the device's.
    pub async fn in_lock_step(
        programs: &mut [(&mut Self, Vec<[Value; 2]>)],
        op: &str,
        mut joined: impl FnMut(usize, &[[Vec<f32>; 2]]) -> Result<[Vec<f32>; 2]>,
    ) -> Result<()> {
        let Some((Self { gpu, .. }, values)) = programs.first() else { return Ok(()) };
        let pauses = values.len();
        let stretches: Vec<_> =
            programs.iter().map(|(program, _)| program.every.stretches(op)).collect();
        for (stretches, (_, values)) in stretches.iter().zip(&*programs) {
            if stretches.len() != pauses + 1 || values.len() != pauses {
                let (nodes, pairs) = (stretches.len() - 1, values.len());
                let given = format_args!(
                    "a program with {pairs} pairs of values to exchange and {nodes} nodes of {op}"
                );
                let wanted = format_args!("{pauses} of each, as in the first program");
                return Err(Error::mismatch("program", given, wanted));
            }
        }
        for at in 0..=pauses {
            for ((program, _), stretches) in programs.iter().zip(&stretches) {
                let stretch = stretches.get(at).cloned().unwrap_or_default();
                program.every.submit_stretch(stretch).await?;
            }
            let all =
                programs.iter().filter_map(|(program, values)| Some((program, values.get(at)?)));
            let places: Vec<_> = all
                .flat_map(|(program, values)| values.map(|value| program.place(value)))
                .collect::<Result<_>>()?;
            if places.is_empty() {
                break;
            }
            let buffers: Vec<_> = places.iter().map(|(buffer, _)| *buffer).collect();
            let mut held = gpu.read_all(&buffers).await?;
            let own = |(held, (_, words)): (&Vec<f32>, &(_, usize))| {
                held.get(..*words).unwrap_or_default().to_vec()
            };
            let own: Vec<_> = held.iter().zip(&places).map(own).collect();
            let own: Vec<_> = own.as_chunks::<2>().0.to_vec();
            let new = joined(at, &own)?;
            for ((held, (buffer, words)), new) in
                held.iter_mut().zip(&places).zip(new.iter().cycle())
            {
                let place = held.get_mut(..*words).filter(|place| place.len() == new.len());
                let wrong = || {
                    let given = format_args!(
                        "{} values from the callback `joined` at node {at} of {op} (counted from 0)",
                        new.len()
                    );
                    Error::mismatch("program", given, format_args!("{words} values"))
                };
                place.ok_or_else(wrong)?.copy_from_slice(new);
                gpu.write(buffer, held).await?;
            }
        }
        Ok(())
    }

    /// The buffer of a value, and how many of its words are the value's.
    fn place(&self, value: Value) -> Result<(&Buffer, usize)> {
        Ok((self.every.buffer(self.plan.buffer(value)?)?, self.plan.words(value)?))
    }

    /// Runs the program `times` times, in submissions of about 100 ms, each waited for; `between` is called after each with the
    /// number of runs done so far, and stops the loop by an error.
    pub async fn run(&mut self, times: u32, between: impl FnMut(u32) -> Result<()>) -> Result<()> {
        self.every.run(times, between).await
    }

    /// Appends one run of the program to a caller's command encoder; see [`Executor::record`].
    pub fn record(&mut self, encoder: &mut CommandEncoder) {
        self.every.record(encoder);
    }

    /// Appends a part of one run of the program to a caller's command encoder: the launches from number `from` on that take at
    /// most `time` seconds by `pace`, at least one if `some` is set. Returns the number of the launch to go on with, 0 after the
    /// last, and the seconds of this part; `None` where not one launch fits. See [`Executor::record_part`].
    pub fn record_part(
        &mut self,
        encoder: &mut CommandEncoder,
        pace: &Pace,
        from: usize,
        time: f64,
        some: bool,
    ) -> Option<(usize, f64)> {
        self.every.record_part(encoder, pace, from, time, some)
    }

    /// Measures how long one run of the program and each of its launches take; see [`Executor::measure`].
    pub async fn measure(&mut self) -> Result<Pace> {
        self.every.measure().await
    }

    /// Returns the device buffer of a value. Err if the value is not part of the program.
    pub fn buffer(&self, value: Value) -> Result<&Buffer> {
        self.every.buffer(self.plan.buffer(value)?)
    }

    /// Replaces the contents of one of the program's inputs. Err for values that nodes compute, and for another length.
    pub async fn write<T: bytemuck::Pod>(&mut self, value: Value, data: &[T]) -> Result<()> {
        self.plan.expect(value)?;
        if !self.plan.inputs().any(|input| input == value) {
            let given = format_args!("value {}", value.number());
            return Err(Error::mismatch("Program::write", given, "an input that the program uses"));
        }
        self.gpu.write(self.buffer(value)?, data).await
    }

    /// Reads the contents of one of the program's results or inputs.
    pub async fn read(&self, value: Value) -> Result<Vec<f32>> {
        let mut values = self.read_all(&[value]).await?;
        values
            .pop()
            .ok_or_else(|| Error::bug("Program::read", "one value was asked for and none was read"))
    }

    /// Reads the contents of several values with one submission and one wait.
    pub async fn read_all(&self, values: &[Value]) -> Result<Vec<Vec<f32>>> {
        let buffers = values.iter().map(|&value| self.buffer(value)).collect::<Result<Vec<_>>>()?;
        let mut contents = self.gpu.read_all(&buffers).await?;
        for (&value, words) in values.iter().zip(&mut contents) {
            words.truncate(self.plan.words(value)?);
        }
        Ok(contents)
    }

    /// Returns what one run of the program costs: launches, arithmetic, memory.
    pub fn summary(&self) -> &Summary {
        self.plan.summary()
    }

    /// Measures the GPU time of each kernel launch. Err on devices without timestamps.
    pub async fn profile(&mut self, repetitions: u32) -> Result<Vec<Timing>> {
        self.every.profile(repetitions).await
    }
}
