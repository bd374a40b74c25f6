//! Threads that load and augment batches ahead of training, and deliver them in the order of training steps.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
#[cfg(not(target_arch = "wasm32"))]
use std::time::Instant;

#[cfg(target_arch = "wasm32")]
use web_time::Instant;

use super::stream::{Batch, BatchSource};
use crate::{Error, Result, threads};

/// Far above any use; protects against a slip in a configuration.
const MAX_DEPTH: usize = 1024;

/// Threads that read and augment the batches of a training run ahead of the steps that need them.
///
/// Of n threads, thread t makes steps `first_step` + t, + t + n, + t + 2n, and so on, each into its own bounded channel; the
/// caller takes from the channels in turn. So order needs no sorting, no lock is held while a batch is made, and never more
/// than `depth` steps lie in memory. Batches are pure functions of their step: any number of threads gives the same.
///
/// Dropping the loader ends and joins its threads.
pub struct Loader {
    workers: Vec<Worker>,
    /// The worker whose turn it is.
    turn: usize,
    step: u64,
    waited: Duration,
}

struct Worker {
    /// `None` only while the loader is dropped.
    batches: Option<Receiver<Result<Vec<Batch>>>>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    /// Starts `threads` threads (at most `depth` of them), which make batches up to `depth` steps ahead, beginning with
    /// `first_step`.
    ///
    /// # Errors
    /// `Mismatch` where `threads` or `depth` is 0 or `depth` is above 1024, `Thread` where the system gives no thread.
    pub fn new(
        sources: Vec<BatchSource>,
        first_step: u64,
        depth: usize,
        threads: usize,
    ) -> Result<Self> {
        let make = move |step| sources.iter().map(|source| source.batch(step)).collect();
        Self::start(Arc::new(make), first_step, depth, threads)
    }

    fn start(make: Arc<Make>, first_step: u64, depth: usize, threads: usize) -> Result<Self> {
        if threads == 0 || depth == 0 || depth > MAX_DEPTH {
            return Err(Error::mismatch(
                "loader",
                format!("{threads} threads that read {depth} batches ahead"),
                format!("at least 1 thread, and 1 to {MAX_DEPTH} batches ahead"),
            ));
        }
        let threads = threads.min(depth);
        let (workers, waited) = (Vec::new(), Duration::ZERO);
        let mut loader = Self { workers, turn: 0, step: first_step, waited };
        for index in 0..threads {
            // A thread holds one step in its hands; the others of its part of `depth` lie in its channel.
            let part = depth / threads + usize::from(index < depth % threads);
            let (sender, receiver) = sync_channel(part - 1);
            let make = Arc::clone(&make);
            let work = move || {
                let mut next = first_step.checked_add(index as u64);
                while let Some(step) = next {
                    let batches = threads::caught(&of_step(step), || make(step));
                    let failed = batches.is_err();
                    if sender.send(batches).is_err() || failed {
                        return;
                    }
                    next = step.checked_add(threads as u64);
                }
            };
            let thread = Builder::new()
                .name(format!("loader {index}"))
                .spawn(work)
                .map_err(|error| threads::none("starting a thread that loads batches", &error))?;
            loader.workers.push(Worker { batches: Some(receiver), thread: Some(thread) });
        }
        Ok(loader)
    }

    /// Returns the number of the step whose batches come next.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Returns the time that [`Loader::next_batches`] has waited in all, because batches were not ready.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Waits for the batches of the next step, one for each source in the order given.
    ///
    /// # Errors
    /// The error of making this step's batches, or `Thread` where a loader thread panicked. After an error the step stays the same and each
    /// further call fails.
    pub fn next_batches(&mut self) -> Result<Vec<Batch>> {
        let Some(worker) = self.workers.get_mut(self.turn) else {
            return Err(ended(self.step));
        };
        let began = Instant::now();
        let received = worker.batches.as_ref().map(Receiver::recv);
        self.waited += began.elapsed();
        let Some(Ok(batches)) = received else {
            return Err(ended(self.step));
        };
        let batches = batches?;
        self.turn = (self.turn + 1) % self.workers.len();
        self.step = self.step.saturating_add(1);
        Ok(batches)
    }
}

type Make = dyn Fn(u64) -> Result<Vec<Batch>> + Send + Sync;

fn of_step(step: u64) -> String {
    format!("making the batches of step {step}")
}

/// Returns the error of calls after one that failed.
fn ended(step: u64) -> Error {
    Error::Thread {
        doing: of_step(step),
        reason: "the thread that makes them ended with an earlier error".into(),
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // First all channels, so that no thread waits in `send`, then the threads.
        for worker in &mut self.workers {
            worker.batches = None;
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                // A panic that nobody waited for is of no use any more.
                drop(thread.join());
            }
        }
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Loader({} threads, step {})", self.workers.len(), self.step)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn numbered(step: u64) -> Vec<Batch> {
        vec![Batch { images: Vec::new(), labels: vec![step as u32] }]
    }

    #[test]
    fn a_panic_is_an_error_after_the_steps_before_it() {
        let make = |step| if step == 5 { panic!("hardly ever") } else { Ok(numbered(step)) };
        for threads in [1, 3] {
            let mut loader = Loader::start(Arc::new(make), 2, 4, threads).unwrap();
            for step in 2..5 {
                assert_eq!(loader.next_batches().unwrap(), numbered(step));
            }
            let message = loader.next_batches().unwrap_err().to_string();
            assert!(message.contains("hardly ever") && message.contains("step 5"), "{message}");
            assert!(loader.next_batches().is_err() && loader.step() == 5);
        }
    }

    #[test]
    fn an_error_stays() {
        let make = |step| {
            if step == 1 { Err(Error::mismatch("test", "one", "two")) } else { Ok(numbered(step)) }
        };
        let mut loader = Loader::start(Arc::new(make), 0, 3, 2).unwrap();
        assert!(loader.next_batches().is_ok());
        assert_eq!(loader.next_batches().unwrap_err().to_string(), "test: got one; expected two");
        assert!(loader.next_batches().is_err());
    }

    #[test]
    fn never_more_than_depth_steps_ahead_and_all_threads_end() {
        for (depth, threads) in [(1, 1), (5, 2), (4, 4), (3, 9)] {
            let made = Arc::new(AtomicU64::new(0));
            let counter = Arc::clone(&made);
            let make = move |step| {
                counter.fetch_add(1, Ordering::SeqCst);
                Ok(numbered(step))
            };
            let mut loader = Loader::start(Arc::new(make), 0, depth, threads).unwrap();
            for step in 0..20 {
                assert_eq!(loader.next_batches().unwrap(), numbered(step));
                assert!(made.load(Ordering::SeqCst) <= step + 1 + depth as u64);
            }
            let full = 20 + depth as u64;
            for _ in 0..1000 {
                if made.load(Ordering::SeqCst) < full {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(
                made.load(Ordering::SeqCst),
                full,
                "idle threads fill the depth and no more"
            );
            drop(loader);
            assert_eq!(Arc::strong_count(&made), 1, "depth {depth}, {threads} threads");
        }
    }
}
