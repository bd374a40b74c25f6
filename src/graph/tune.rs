//! Autotuner: races candidate kernels on the device, and takes the fastest one whose results are the plain kernel's up
//! to rounding.

use super::check::{Data, Oracle};
use super::{Graph, Plan, Trial, Value};
use crate::gpu::{Buffer, BufferId, Choices, Dropped, Executor, Gpu, TuningEvent};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(not(target_arch = "wasm32"))]
use std::time::Instant;
#[cfg(target_arch = "wasm32")]
use web_time::Instant;

/// Measurements of a candidate; they are taken in turn with the others', and the best counts.
const ROUNDS: usize = 7;
/// The shortest measurement, in seconds.
const LEAST: f64 = 5e-3;
/// A candidate that takes so many times as long as the fastest is measured no more. It has been timed twice by then, because a
/// busy machine pauses now and then, and one pause must not rule out the fastest kernel.
const HOPELESS: f64 = 2.0;
/// A candidate is taken only if it is faster than the static choice's time multiplied by this, twice.
const GAIN: f64 = 0.95;

/// Makes a plan as [`Plan::new`] does, with the choices known for the device; unknown ones are measured first, if
/// preferences ask for it.
pub(crate) async fn plan(
    gpu: &Gpu,
    graph: &Graph,
    wanted: &[Value],
    changing: &[Value],
) -> Result<Plan> {
    // Answers may lead to other questions, but these to no further ones.
    for _ in 0..3 {
        let choices = gpu.choices();
        let plan = Plan::with(graph, wanted, changing, gpu.adapter(), &choices)?;
        let asked = plan.asked().iter().filter(|(question, _)| !choices.has(question));
        let trials: Vec<_> = match gpu.measures() {
            true => asked
                .map(|(question, node)| Trial::of_node(graph, question, node))
                .collect::<Result<_>>()?,
            false => Vec::new(),
        };
        if trials.is_empty() || tune(gpu, &trials).await? == 0 {
            for (question, _) in plan.asked() {
                gpu.note_used(question, question.answer(&choices));
            }
            return Ok(plan);
        }
    }
    Plan::with(graph, wanted, changing, gpu.adapter(), &gpu.choices())
}

/// Measures the kernels of the trials, the largest first, until the device's time for tuning is over, and returns the number of
/// shapes measured. The device keeps the answers ([`Gpu::choices`]) and reports progress ([`Gpu::on_tuning`]). Err if the device
/// is lost or the plain kernels fail; a candidate that fails is dropped.
pub async fn tune(gpu: &Gpu, trials: &[Trial]) -> Result<usize> {
    let known = gpu.choices();
    let mut open: BTreeMap<&str, &Trial> = BTreeMap::new();
    for trial in trials.iter().filter(|trial| !known.has(&trial.question)) {
        open.insert(&trial.question.key, trial);
    }
    let mut open: Vec<_> = open.into_values().collect();
    open.sort_by_key(|trial| std::cmp::Reverse(trial.flops()));
    let (total, budget) = (open.len(), gpu.preferences().tuning_budget);
    let (mut answered, mut skipped) = (0, 0);
    for (done, trial) in open.into_iter().enumerate() {
        let left = gpu.tuning_left();
        if left.is_zero() {
            break;
        }
        let key = trial.question.key.clone();
        gpu.tell_tuning(&TuningEvent::Measuring { key, done, total, left, budget });
        let since = Instant::now();
        let found = Race::new(trial, since + left).run(gpu).await;
        gpu.spend_tuning(since.elapsed());
        match found {
            Ok(Some((place, dropped))) => {
                gpu.decide(&trial.question, place, dropped);
                answered += 1;
            }
            Ok(None) => break,
            Err(Error::OutOfMemory(reason)) => {
                let key = trial.question.key.clone();
                gpu.tell_tuning(&TuningEvent::Skipped { key, reason });
                skipped += 1;
            }
            Err(error) => return Err(error),
        }
    }
    if total > 0 {
        let open = total - answered - skipped;
        gpu.tell_tuning(&TuningEvent::Done { answered, open });
    }
    Ok(answered)
}

/// A part of a trial's graph, made ready.
#[derive(Debug)]
pub(super) struct Ready {
    plan: Plan,
    executor: Executor,
    outputs: Vec<Value>,
}

impl Ready {
    async fn new(
        gpu: &Gpu,
        trial: &Trial,
        outputs: &[Value],
        choices: &Choices,
        inputs: &BTreeMap<Value, Buffer>,
    ) -> Result<Self> {
        let changing: Vec<_> =
            trial.inputs.iter().filter(|given| given.changes).map(|given| given.value).collect();
        let choices = Arc::new(choices.clone());
        let plan = Plan::with(&trial.graph, outputs, &changing, gpu.adapter(), &choices)?;
        let given = inputs
            .iter()
            .filter_map(|(&value, buffer)| plan.buffer(value).ok().map(|id| (id, buffer.clone())));
        let executor = plan.executor(gpu, &given.collect()).await?;
        Ok(Self { plan, executor, outputs: outputs.to_vec() })
    }

    /// Returns the results of one run of these kernels, plain ones or a candidate's, on this data; results are overwritten
    /// before, so that none is left from another run.
    pub async fn results(&self, gpu: &Gpu, trial: &Trial, data: Data) -> Result<Vec<Vec<f32>>> {
        let buffer = |value: Value| self.executor.buffer(self.plan.buffer(value)?);
        for (seed, given) in (1..).zip(&trial.inputs) {
            // A candidate may do without an input.
            if let Ok(buffer) = buffer(given.value) {
                let shape = trial.graph.shape(given.value)?;
                gpu.write(buffer, &data.numbers(shape, given.changes, seed)).await?;
            }
        }
        let mut read = Vec::new();
        for &value in &self.outputs {
            let buffer = buffer(value)?;
            gpu.write(buffer, &vec![f32::NAN; buffer.words() as usize]).await?;
            read.push(buffer);
        }
        gpu.flush().await?;
        self.executor.submit().await?;
        let mut results = gpu.read_all(&read).await?;
        for (&value, words) in self.outputs.iter().zip(&mut results) {
            words.truncate(self.plan.words(value)?);
        }
        Ok(results)
    }
}

/// A candidate in the race.
struct Racer {
    place: usize,
    ready: Ready,
    repeats: u32,
    /// Seconds of the one replay that was timed before the race.
    once: f64,
    best: f64,
    /// Whether a candidate is too slow to be measured further, given a correct one that is so much faster.
    hopeless: bool,
}

/// The candidates of a trial.
struct Race<'a> {
    trial: &'a Trial,
    until: Instant,
    racers: Vec<Racer>,
    dropped: Vec<Dropped>,
}

impl<'a> Race<'a> {
    fn new(trial: &'a Trial, until: Instant) -> Self {
        Self { trial, until, racers: Vec::new(), dropped: Vec::new() }
    }

    fn drop_candidate(&mut self, place: usize, reason: String) {
        let question = &self.trial.question;
        let candidate = question.candidates.get(place).map_or("", |name| name).to_owned();
        self.dropped.push(Dropped { key: question.key.clone(), candidate, reason });
        self.racers.retain(|racer| racer.place != place);
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Races the candidates, and returns the winner's index and those that were dropped; `None` where the time ran out
    /// before.
    async fn run(mut self, gpu: &Gpu) -> Result<Option<(usize, Vec<Dropped>)>> {
        let (trial, default) = (self.trial, self.trial.question.default);
        let mut inputs = BTreeMap::new();
        for (seed, given) in (1..).zip(&trial.inputs) {
            let shape = trial.graph.shape(given.value)?;
            let numbers = Data::Usual.numbers(shape, given.changes, seed);
            inputs.insert(given.value, gpu.upload(&numbers).await?);
        }
        let plain = Ready::new(gpu, trial, &trial.plain, &Choices::default(), &inputs).await?;
        for place in 0..trial.candidates.len() {
            if self.is_over() {
                return Ok(None);
            }
            match self.enter(gpu, place, &inputs).await {
                Ok(racer) => self.racers.push(racer),
                Err(error) => self.drop_candidate(place, own_fault(error)?),
            }
        }
        if !self.measure(&[default]).await? {
            return Ok(None);
        }
        let mut oracle = Oracle::default();
        loop {
            let mut place = self.fastest(default);
            if place != default && self.racers.iter().any(|racer| racer.place == default) {
                // The best of several is often best by chance: once more, against the static choice alone.
                place = match self.again([place, default]).await? {
                    Some(place) => place,
                    None => return Ok(None),
                };
            }
            let Some(racer) = self.racers.iter().find(|racer| racer.place == place) else {
                // Nothing is left that is right: the program will say what is wrong with the static choice.
                return Ok(Some((default, self.dropped)));
            };
            let bound = trial.candidates.get(place).map_or(0.0, |candidate| candidate.bound);
            let wrong = oracle.judge(gpu, trial, &plain, &racer.ready, bound).await;
            match wrong {
                Ok(None) => return Ok(Some((place, self.dropped))),
                Ok(Some(what)) => self.drop_candidate(place, what),
                Err(error) => self.drop_candidate(place, own_fault(error)?),
            }
            // What was hopeless beside a wrong one is not.
            self.racers.iter_mut().for_each(|racer| racer.hopeless = false);
            if self.is_over() || !self.measure(&[default]).await? {
                return Ok(None);
            }
        }
    }

    /// Makes a candidate ready and finds out how many replays a measurement takes.
    async fn enter(
        &self,
        gpu: &Gpu,
        place: usize,
        inputs: &BTreeMap<Value, Buffer>,
    ) -> Result<Racer> {
        let missing = || Error::bug("tuning", "a trial has fewer candidates than names");
        let candidate = self.trial.candidates.get(place).ok_or_else(missing)?;
        let ready =
            Ready::new(gpu, self.trial, &candidate.outputs, &candidate.choices, inputs).await?;
        // The first replay compiles on some drivers.
        ready.executor.seconds(1).await?;
        let once = ready.executor.seconds(1).await?;
        Ok(Racer {
            place,
            ready,
            repeats: replays(once),
            once,
            best: f64::INFINITY,
            hopeless: false,
        })
    }

    /// Measures all candidates in turn; after the first round without those that are hopeless, but always with `kept`.
    /// False where the time ran out before.
    async fn measure(&mut self, kept: &[usize]) -> Result<bool> {
        for round in 0..ROUNDS {
            for racer in self.racers.iter_mut().filter(|racer| !racer.hopeless) {
                let took = racer.ready.executor.seconds(racer.repeats).await?;
                let each = took / f64::from(racer.repeats);
                racer.best = racer.best.min(each);
                racer.repeats = racer.repeats.max(replays(each));
            }
            if round == 0 {
                let best = self.racers.iter().map(|racer| racer.best).fold(f64::INFINITY, f64::min);
                for racer in &mut self.racers {
                    let shortest = racer.best.min(racer.once);
                    racer.hopeless = !kept.contains(&racer.place) && shortest > HOPELESS * best;
                }
            }
            if self.is_over() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Measures two candidates again and chooses: the first, if it gains enough on the second. None where the time ran
    /// out before.
    async fn again(&mut self, [place, default]: [usize; 2]) -> Result<Option<usize>> {
        let in_pair = |racer: &Racer| racer.place == place || racer.place == default;
        let (mut pair, others) = std::mem::take(&mut self.racers).into_iter().partition(in_pair);
        std::mem::swap(&mut self.racers, &mut pair);
        self.racers.iter_mut().for_each(|racer| racer.best = f64::INFINITY);
        let whole = self.measure(&[place, default]).await?;
        let place = self.fastest(default);
        self.racers.extend::<Vec<_>>(others);
        Ok(whole.then_some(place))
    }

    /// The fastest, if it gains enough on the static choice; this otherwise.
    fn fastest(&self, default: usize) -> usize {
        let fixed = self.racers.iter().find(|racer| racer.place == default);
        let fixed = fixed.map_or(f64::INFINITY, |racer| racer.best);
        let racing = self.racers.iter().filter(|racer| !racer.hopeless);
        let best = racing.min_by(|a, b| a.best.total_cmp(&b.best));
        best.filter(|racer| racer.best < fixed * GAIN).map_or(default, |racer| racer.place)
    }
}

/// Returns how many replays of so many seconds each last long enough to be timed.
fn replays(each: f64) -> u32 {
    (LEAST / each.max(1e-9)).ceil().clamp(1.0, 1000.0) as u32
}

/// Returns why a candidate is dropped, if the error is its own fault. Err for other errors: a lost device, or no memory.
fn own_fault(error: Error) -> Result<String> {
    match error {
        Error::DeviceLost(_) | Error::OutOfMemory(_) => Err(error),
        own => Ok(own.to_string()),
    }
}

impl Plan {
    /// Makes an executor for the plan's launches, those that run once and those of every run.
    pub async fn executor(
        &self,
        gpu: &Gpu,
        given: &BTreeMap<BufferId, Buffer>,
    ) -> Result<Executor> {
        let every = Executor::new(gpu, &self.every, given).await?;
        let all = self.buffers().into_iter().map(|id| Ok((id, every.buffer(id)?.clone())));
        let once = Executor::new(gpu, &self.once, &all.collect::<Result<_>>()?).await?;
        Ok(every.after(once))
    }
}
