//! The GPU device, opened by the library or lent by an app, and the error scopes around all calls to it.

use super::bounds::Reports;
use super::counters::{Counters, Counts};
use super::pipelines::PipelineKey;
use super::staging::Staging;
use super::tuning::Tuning;
use super::{Adapter, AdapterKind, Options, Preferences, choose};
use crate::{Error, Result};
use futures_channel::oneshot;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use wgpu::ErrorFilter;

/// A wgpu device and its queue, opened for this library's programs; clones are the same device and share its pipelines.
#[derive(Clone, Debug)]
pub struct Gpu {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    adapter: Arc<Adapter>,
    preferences: Arc<Preferences>,
    pub(super) counters: Arc<Counters>,
    pub(super) pipelines: Arc<Mutex<HashMap<PipelineKey, wgpu::ComputePipeline>>>,
    /// The driver's, if the host keeps one.
    pub(super) pipeline_cache: Arc<OnceLock<wgpu::PipelineCache>>,
    pub(super) tuning: Arc<Tuning>,
    pub(super) reports: Arc<Reports>,
    /// Buffers of earlier read-backs.
    pub(super) staging: Arc<Mutex<Staging>>,
    /// Why the device was lost, if it was. Error scopes say nothing about it.
    lost: Arc<OnceLock<String>>,
    /// The options that opened the device, if it was not borrowed.
    options: Option<Arc<Options>>,
    /// Asked between submissions whether to go on.
    interrupt: Arc<OnceLock<Interrupt>>,
    /// The device that replaced this one after it was lost.
    successor: Arc<OnceLock<Gpu>>,
}

/// A host's check between submissions, which can interrupt a replay.
struct Interrupt(Box<dyn Fn() -> Result<()> + Send + Sync>);

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Interrupt")
    }
}

/// Returns the consent that wgpu asks for before it enables features that it calls experimental.
#[expect(unsafe_code, reason = "wgpu wants it said that its experimental features may be wrong")]
fn experimental(features: wgpu::Features) -> wgpu::ExperimentalFeatures {
    if !features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
        return wgpu::ExperimentalFeatures::disabled();
    }
    // SAFETY: the features may have bugs that are undefined behaviour. The one that is asked for is used by the kernels of
    // shaders/conv2d_cooperative.wgsl and shaders/conv2d_weights_cooperative.wgsl alone: they load and store matrices in their own
    // workgroup memory, at places that their constants fix, and are compared with f64 where an adapter has matrices.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

impl Gpu {
    /// Opens an adapter as a device, with the features and limits that kernels make use of.
    pub async fn new(options: &Options) -> Result<Self> {
        let adapter = choose::chosen(options).await?;
        let (features, limits) = match options.minimal {
            true => Default::default(),
            false => {
                let more = choose::cooperative_features(&adapter, &options.preferences);
                let features = choose::required_features(&adapter) | more;
                (features, choose::required_limits(&adapter))
            }
        };
        let info = adapter.get_info();
        let descriptor = wgpu::DeviceDescriptor {
            required_features: features,
            required_limits: limits.clone(),
            experimental_features: experimental(features),
            ..Default::default()
        };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) = opened.map_err(|error| {
            let (doing, reason) = (format!("opening {}", info.name), error.to_string());
            // wgpu has no other sign of it.
            match reason.to_lowercase().contains("memory") {
                true => Error::OutOfMemory(format!("{doing}: {reason}")),
                false => Error::Gpu { doing, reason },
            }
        })?;
        let matrices = adapter.cooperative_matrix_properties();
        let described = Adapter::new(&info, features, &limits, &matrices);
        let mut gpu =
            Self::assemble(described, device, queue).preferring(options.preferences.clone());
        gpu.options = Some(Arc::new(options.clone()));
        let lost = gpu.lost.clone();
        gpu.device.set_device_lost_callback(move |cause, message| {
            lost.get_or_init(|| format!("{cause:?}: {message}"));
        });
        Ok(gpu)
    }

    /// Makes a `Gpu` of the caller's own wgpu device, which needs WebGPU's default limits and no features. A device has one
    /// callback for its loss, which stays the caller's: after a loss call [`Gpu::notify_lost`]. Preferences are the default ones,
    /// or those of [`Gpu::preferring`].
    pub fn from_wgpu(
        adapter: &wgpu::AdapterInfo,
        device: wgpu::Device,
        queue: wgpu::Queue,
    ) -> Self {
        let described = Adapter::new(adapter, device.features(), &device.limits(), &[]);
        Self::assemble(described, device, queue)
    }

    fn assemble(adapter: Adapter, device: wgpu::Device, queue: wgpu::Queue) -> Self {
        Self {
            device,
            queue,
            adapter: Arc::new(adapter),
            preferences: Arc::default(),
            counters: Arc::default(),
            pipelines: Arc::default(),
            pipeline_cache: Arc::default(),
            tuning: Arc::default(),
            reports: Arc::default(),
            staging: Arc::default(),
            lost: Arc::default(),
            options: None,
            interrupt: Arc::default(),
            successor: Arc::default(),
        }
    }

    /// Returns the description of this device's adapter: name, driver, kind, limits and features.
    pub fn adapter(&self) -> &Arc<Adapter> {
        &self.adapter
    }

    /// Returns the preferences for programs that are made on this device.
    pub fn preferences(&self) -> &Arc<Preferences> {
        &self.preferences
    }

    /// Returns the same device with other preferences for its programs. Programs made before, and other clones, keep theirs;
    /// weights, pipelines and counts stay shared.
    #[must_use]
    pub fn preferring(mut self, preferences: Preferences) -> Self {
        self.preferences = Arc::new(preferences);
        self
    }

    /// Returns the underlying wgpu device, for host apps that share it.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// Returns the underlying wgpu queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// Returns the device's limits under wgpu's names, without those that are the largest number of their type and so limit
    /// nothing.
    pub fn limits(&self) -> Vec<(&'static str, u64)> {
        let mut limits = Vec::new();
        // Nothing but a comparison gives them names.
        let most = wgpu::Limits {
            max_buffer_size: u64::MAX,
            max_storage_buffer_binding_size: u64::MAX,
            ..wgpu::Limits::unlimited()
        };
        most.check_limits_with_fail_fn(&self.device.limits(), false, |name, _, given| {
            limits.push((name, given));
        });
        limits
    }

    /// Returns the names of the wgpu features that the device was opened with.
    pub fn features(&self) -> Vec<&'static str> {
        self.device.features().iter_names().map(|(name, _)| name).collect()
    }

    /// Returns how many buffers, pipelines, submissions and so on the device has made so far.
    pub fn counts(&self) -> Counts {
        self.counters.counts()
    }

    /// Marks the device as lost: every later call returns [`Error::DeviceLost`] with this reason. For apps that lent the
    /// library their device ([`Gpu::from_wgpu`]).
    pub fn notify_lost(&self, reason: &str) {
        self.lost.get_or_init(|| reason.to_owned());
    }

    /// Sets a function that is called before each submission of every program on this device, by the thread that submits: if it
    /// returns an error, the run ends with that error, and its results may be half written. This is for hosts that must not wait
    /// for long work to end, such as Python after Ctrl-C. Only the first function that is set takes effect.
    pub fn on_submission(&self, ask: impl Fn() -> Result<()> + Send + Sync + 'static) {
        self.interrupt.get_or_init(|| Interrupt(Box::new(ask)));
    }

    /// Asks whether to go on. Err where the host wants no further submission.
    pub(super) fn go_on(&self) -> Result<()> {
        self.interrupt.get().map_or(Ok(()), |interrupt| (interrupt.0)())
    }

    /// Returns an error if the device is known to be lost; the device itself is not asked.
    pub fn alive(&self) -> Result<()> {
        self.lost.get().map_or(Ok(()), |reason| Err(Error::DeviceLost(reason.clone())))
    }

    /// Opens the same adapter again after the device was lost, for programs and buffers that are then made anew; results of
    /// tuning stay. Later calls return the same new device.
    ///
    /// # Errors
    /// `DeviceLost` for a borrowed device, whose host alone can open another, and as [`Gpu::new`].
    pub async fn reopen(&self) -> Result<Self> {
        if self.successor.get().is_none() {
            let borrowed =
                || Error::DeviceLost("the host program owns it and has to open another".into());
            let options = self.options.as_ref().ok_or_else(borrowed)?;
            let mut opened = Self::new(options).await?;
            opened.tuning = self.tuning.clone();
            opened.interrupt = self.interrupt.clone();
            // Another thread's is as good.
            self.successor.get_or_init(|| opened);
        }
        let opened = self.successor.get().unwrap_or(self).clone();
        Ok(opened.preferring(self.preferences.as_ref().clone()))
    }

    /// Returns this device and, on a CPU rasteriser, whose launches are too short to keep more than a core or two busy,
    /// further devices of the same adapter, for work that can be divided.
    ///
    /// # Errors
    /// The errors of [`Gpu::new`].
    pub async fn side_by_side(&self) -> Result<Vec<Self>> {
        /// The most devices side by side: each has its own threads.
        const MOST: usize = 4;
        let mut all = vec![self.clone()];
        let Some(options) = self.options.as_ref().filter(|_| self.adapter.kind == AdapterKind::Cpu)
        else {
            return Ok(all);
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        while all.len() < cores.min(MOST) {
            let mut opened =
                Self::new(options).await?.preferring(self.preferences.as_ref().clone());
            opened.tuning = self.tuning.clone();
            opened.interrupt = self.interrupt.clone();
            all.push(opened);
        }
        Ok(all)
    }

    /// Returns this device, or the last one that [`Gpu::reopen`] opened in its place.
    pub fn current(&self) -> Self {
        let mut last = self;
        while let Some(next) = last.successor.get() {
            last = next;
        }
        last.clone().preferring(self.preferences.as_ref().clone())
    }

    /// Runs `work` and returns its result, or the first error that the device reports about it.
    pub(crate) async fn checked<T>(
        &self,
        doing: &str,
        work: impl FnOnce(&wgpu::Device) -> T,
    ) -> Result<T> {
        let scopes = self.open_scopes();
        let made = work(&self.device);
        self.heard(doing, close_scopes(scopes)).await?;
        Ok(made)
    }

    /// Starts to keep the device's errors about this thread's work for [`close_scopes`].
    pub(super) fn open_scopes(&self) -> [wgpu::ErrorScopeGuard; 3] {
        // Out of memory closes first: validation errors are often but its consequences.
        let filters = [ErrorFilter::Validation, ErrorFilter::Internal, ErrorFilter::OutOfMemory];
        filters.map(|filter| self.device.push_error_scope(filter))
    }

    /// The first error that closed scopes kept, or the device's loss.
    pub(super) async fn heard(
        &self,
        doing: &str,
        closed: Vec<impl Future<Output = Option<wgpu::Error>>>,
    ) -> Result<()> {
        let mut first = None;
        for error in closed {
            first = first.or(error.await);
        }
        self.poll(wgpu::PollType::Poll)?;
        match first {
            None => Ok(()),
            Some(wgpu::Error::OutOfMemory { .. }) => {
                Err(Error::OutOfMemory(format!("out of GPU memory while {doing}")))
            }
            Some(error) => Err(Error::Gpu { doing: doing.into(), reason: error.to_string() }),
        }
    }

    /// Lets callbacks run, also the one for a loss. Natively they run nowhere else; in a browser they
    /// come by themselves and this does nothing.
    pub(super) fn poll(&self, how: wgpu::PollType) -> Result<()> {
        // wgpu 30.0.1 panics here if the driver loses the device during a wait (`handle_error_fatal`).
        let polled =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.device.poll(how)));
        if polled.is_err() {
            self.notify_lost("the driver lost the device during a wait");
        }
        self.alive()?;
        match polled {
            Ok(Err(error)) => Err(Error::Gpu {
                doing: "running submitted work".into(),
                reason: error.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Waits until a submission has run, or all that were made.
    ///
    /// Natively this waits on the calling thread; in a browser the future sleeps until the page's
    /// event loop reports that all are done.
    pub(super) async fn finish(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let (sender, done) = oneshot::channel();
        self.queue.on_submitted_work_done(move || _ = sender.send(()));
        let whole = submission.is_none();
        self.poll(wgpu::PollType::Wait { submission_index: submission, timeout: None })?;
        // Natively the callback speaks of a later submission than the one waited for.
        if whole || cfg!(target_arch = "wasm32") {
            done.await.map_err(|_| Error::DeviceLost("submitted work was dropped".into()))?;
        }
        Ok(())
    }

    /// Submits pending writes to the device and waits until their copies on the host are freed.
    pub async fn flush(&self) -> Result<()> {
        self.queue.submit([]);
        self.wait().await
    }

    /// Waits until all work submitted so far has run: natively the calling thread blocks, in a browser the future sleeps.
    pub async fn wait(&self) -> Result<()> {
        self.finish(None).await
    }
}

/// Scopes belong to a thread and close in reverse order, so all close before the first await; the futures then wait for
/// nothing natively and for the GPU process in a browser.
pub(super) fn close_scopes(
    scopes: [wgpu::ErrorScopeGuard; 3],
) -> Vec<impl Future<Output = Option<wgpu::Error>>> {
    scopes.into_iter().rev().map(|scope| scope.pop()).collect()
}

#[test]
fn a_lost_device_is_an_error() -> Result<()> {
    let gpu = pollster::block_on(Gpu::new(&Options::from_env()))?;
    gpu.device.destroy();
    let after = pollster::block_on(gpu.checked("doing nothing", |_| ()));
    assert!(matches!(after, Err(Error::DeviceLost(_))), "{after:?}");
    Ok(())
}

#[test]
fn a_host_ends_what_runs_between_two_submissions() -> Result<()> {
    use super::{Executor, Recording};
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU32, Ordering};
    let gpu = pollster::block_on(Gpu::new(&Options::from_env()))?;
    let asked = Arc::new(AtomicU32::new(0));
    let seen = asked.clone();
    gpu.on_submission(move || {
        if seen.fetch_add(1, Ordering::Relaxed) < 2 { Ok(()) } else { Err(Error::Stopped) }
    });
    let nothing = Recording::new(gpu.adapter().clone());
    let executor = pollster::block_on(Executor::new(&gpu, &nothing, &BTreeMap::new()))?;
    for _ in 0..2 {
        pollster::block_on(executor.submit())?;
    }
    let third = pollster::block_on(executor.submit());
    assert!(matches!(third, Err(Error::Stopped)), "{third:?}");
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    Ok(())
}
