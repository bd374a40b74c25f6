//! The state that all commands share: when the program began, which adapter and precision were asked for, which processes work
//! together, and how much progress is printed. Opens the adapter, and keeps compiled kernels for the next start.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Once, OnceLock};
use std::time::Instant;

use super::cache::Kept;
use super::exit::{self, Failure, say};
use super::progress::Progress;
use super::stop::Stop;
use super::tuning_progress::TuningProgress;
use crate::gpu::{AdapterKind, Filtering, Gpu, Options, Precision, Tune, passed_over};
use crate::model::{Checkpoint, DeviceWeights, Network};
use crate::train::{Config, Event, Flow};
use crate::world::{World, launched};

/// The state of one run of the program: its adapter, its processes and its progress lines.
#[derive(Debug)]
pub struct Session {
    /// The start of the program, from which `seconds_total` counts.
    pub started: Instant,
    options: Options,
    /// The precision, where it was asked for.
    precision: Option<Precision>,
    quiet: bool,
    /// The options of all commands, for other processes of this program.
    for_others: Vec<String>,
    /// The folder in which results of devices are kept.
    cache: Option<PathBuf>,
    /// The kept results of the first device; other devices of the session are the same.
    kept: OnceLock<Kept>,
    world: OnceLock<World>,
    told_cpu: Once,
    told_version: Once,
}

impl Session {
    /// Makes the state of one run of the program; `adapter` goes before the adapter that the environment names.
    pub fn new(adapter: Option<String>, quiet: bool) -> Self {
        let mut options = Options::from_env();
        options.adapter = adapter.or(options.adapter);
        let (started, kept, world) = (Instant::now(), OnceLock::new(), OnceLock::new());
        Self {
            started,
            options,
            precision: None,
            quiet,
            for_others: Vec::new(),
            cache: None,
            kept,
            world,
            told_cpu: Once::new(),
            told_version: Once::new(),
        }
    }

    /// Sets the options that other processes of this program are to be given.
    pub fn telling_others(mut self, words: Vec<String>) -> Self {
        self.for_others = words;
        self
    }

    /// Returns the options that other processes of this program are to be given.
    pub fn for_others(&self) -> &[String] {
        &self.for_others
    }

    /// Sets a folder in which devices' results are kept for the next start.
    pub fn keeping(mut self, cache: Option<PathBuf>) -> Self {
        self.cache = cache;
        self
    }

    /// Sets whether kernels are measured, so that the fastest ones are taken.
    pub fn tuning(mut self, tune: Tune) -> Self {
        self.options.preferences.tuning = tune;
        self
    }

    /// Sets the most MiB of transformed weights in a program.
    pub fn transforming(mut self, most: Option<u32>) -> Self {
        self.options.preferences.most_transformed =
            most.map_or(u64::MAX, |mib| u64::from(mib) << 20);
        self
    }

    /// Sets how exactly programs compute, if the command line says so.
    pub fn computing(mut self, precision: Option<Precision>) -> Self {
        self.precision = precision;
        self.options.preferences.precision = precision.unwrap_or_default();
        self
    }

    /// Sets which Winograd filters may compute 3x3 convolutions.
    pub fn filtering(mut self, filtering: Filtering) -> Self {
        self.options.preferences.filtering = filtering;
        self
    }

    /// Returns the options that choose the adapter.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns the processes that this command works with: those of the launcher that started it. Commands that share
    /// their work ask for it first, before they read or write anything.
    ///
    /// # Errors
    /// The errors of [`World::start`].
    pub fn world(&self) -> crate::Result<&World> {
        if self.world.get().is_none() {
            let world = World::start(say)?;
            // Nobody else asks at the same time.
            self.world.get_or_init(|| world);
        }
        self.world.get().ok_or_else(|| {
            crate::Error::bug("world", "the processes of this command were not connected")
        })
    }

    /// Whether this process prints messages: it is alone, or rank 0.
    pub fn speaks(&self) -> bool {
        self.world.get().is_none_or(World::is_first)
    }

    /// Tells the other processes which adapter this process has, once its device is open; returns a line about each process, this
    /// one included.
    pub fn introduce(&self, gpu: &Gpu) -> crate::Result<Vec<String>> {
        let (world, adapter) = (self.world()?, gpu.adapter());
        world.introduce(&format!("{adapter}, {}", adapter.driver))?;
        Ok(world.described())
    }

    /// Prints an error on one of the run's processes, and ends all of them.
    pub fn failure(&self, error: &anyhow::Error) -> ExitCode {
        match self.world.get() {
            // All ranks stopped together, and end as after any work.
            Some(world) if world.is_shared() && exit::is_stopped(error) && !world.is_first() => {
                exit::quiet_failure(error)
            }
            Some(world) if world.is_shared() && !exit::is_stopped(error) => {
                world.end(exit::code(error), &format!("{error:#}"));
                exit::quiet_failure(error)
            }
            Some(_) => exit::failure(error),
            // Without a world each process of a launcher would say the same.
            None => match launched(|name| std::env::var(name).ok()) {
                Ok(Some(launched)) if launched.rank > 0 => {
                    exit::give_way();
                    exit::quiet_failure(error)
                }
                _ => exit::failure(error),
            },
        }
    }

    /// Returns the configuration in the precision that was asked for, if one was.
    ///
    /// # Errors
    /// The errors of [`Config::with`].
    pub fn in_precision(&self, config: &Config) -> crate::Result<Config> {
        let change = self.precision.map(|precision| format!("precision={precision}"));
        config.with(change.as_slice())
    }

    /// Opens the adapter that was asked for: ranks of one machine take one each where it has several.
    pub fn gpu(&self) -> crate::Result<Gpu> {
        self.gpu_for(self.options.preferences.precision)
    }

    /// Opens the adapter for training as a configuration says; what is measured afterwards is in the precision that was asked
    /// for on the command line, or in single precision.
    pub fn gpu_to_train(&self, config: &Config) -> crate::Result<Gpu> {
        let gpu = self.gpu_for(config.precision)?;
        Ok(gpu.preferring(self.options.preferences.clone()))
    }

    /// Opens the adapter with the features that a precision uses.
    fn gpu_for(&self, precision: Precision) -> crate::Result<Gpu> {
        let mut options = match self.world.get().filter(|world| world.is_shared()) {
            Some(world) => pollster::block_on(self.options.for_rank(world.local().0))?,
            None => self.options.clone(),
        };
        options.preferences.precision = precision;
        let gpu = pollster::block_on(Gpu::new(&options))?;
        let quiet = self.quiet || !self.speaks();
        let told = TuningProgress::new(quiet);
        gpu.on_tuning(move |event| told.event(event));
        if gpu.adapter().kind == AdapterKind::Cpu && self.options.adapter.is_none() && !quiet {
            self.told_cpu.call_once(|| self.tell_cpu(&gpu));
        }
        if let Some(folder) = &self.cache {
            let kept = Kept::load(&gpu, folder);
            self.kept.get_or_init(|| kept);
        }
        Ok(gpu)
    }

    /// Says that a CPU is used though nobody asked for one, and which GPUs were passed over.
    fn tell_cpu(&self, gpu: &Gpu) {
        let adapter = gpu.adapter();
        say(&format!("no GPU is used: {adapter} computes on the CPU, which takes far longer"));
        for other in pollster::block_on(passed_over(&self.options)) {
            say(&other);
        }
    }

    /// Puts weights on devices for work that can be divided: on this device and, if it is a CPU rasteriser, whose
    /// launches are too short to keep more than a core or two busy, on further ones of the same adapter.
    pub fn weights(
        &self,
        gpu: &Gpu,
        model: &Network,
        checkpoint: &Checkpoint,
    ) -> crate::Result<Vec<DeviceWeights>> {
        // Several ranks of a machine keep its cores at work by themselves.
        let shared = self.world.get().is_some_and(|world| world.local().1 > 1);
        let gpus = match shared {
            true => vec![gpu.clone()],
            false => pollster::block_on(gpu.side_by_side())?,
        };
        let parameters = model.parameters();
        let upload =
            |gpu| pollster::block_on(DeviceWeights::upload(gpu, &parameters, &checkpoint.weights));
        gpus.iter().map(upload).collect()
    }

    /// Returns bars or lines on stderr. The first ones begin with the program's version.
    pub fn progress(&self) -> Progress {
        let mut progress = Progress::new(self.quiet || !self.speaks());
        self.told_version
            .call_once(|| progress.line(concat!("lapidary ", env!("CARGO_PKG_VERSION"))));
        progress
    }
}

/// Saves compiled pipelines for the next start, whether the command ended well or not.
impl Drop for Session {
    fn drop(&mut self) {
        // One rank of a machine is enough.
        let writes = self.world.get().is_none_or(|world| world.local().0 == 0);
        if let Some(kept) = self.kept.get().filter(|_| writes) {
            kept.save();
        }
    }
}

/// Draws an event of a run, and returns whether a signal asks to stop: what commands give to training as its observer, after
/// writing the log.
pub fn watch(progress: &mut Progress, stop: &Stop, event: &Event) -> Flow {
    progress.event(event);
    if stop.asked() { Flow::Stop } else { Flow::Continue }
}

/// Returns the error of a run that was stopped by a signal and can be resumed.
pub fn stopped(run: &Path) -> anyhow::Error {
    let words = format!("`lapidary train --resume --out {}` resumes the run", run.display());
    Failure::Stopped(words).into()
}
