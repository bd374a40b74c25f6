//! Runs calls into the library: without the interpreter's lock, and so that Ctrl-C stops them between two submissions of GPU
//! work. A panic in the library is raised as a Python exception. Calls of one model queue, and calls in a forked process are
//! refused.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use lapidary::{Error, Result};
use pyo3::prelude::*;

use crate::errors::{bug, exception, raised};

/// The least time between two looks for signals, because looking needs the interpreter's lock.
const EVERY: Duration = Duration::from_millis(50);

thread_local! {
    /// The exception that stopped the call on this thread: KeyboardInterrupt, or one raised by a callback.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
    /// Whether a call runs here that may end between any two submissions.
    static LISTENS: Cell<bool> = const { Cell::new(false) };
    static LOOKED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Checks for signals before each submission to a GPU, for [`lapidary::gpu::Gpu::on_submission`]: `Stopped` if the user pressed
/// Ctrl-C during a call that may stop.
pub fn asked() -> Result<()> {
    if LISTENS.get() { signals() } else { Ok(()) }
}

/// Returns `Stopped` where a signal's handler has raised; the exception is then what the call raises.
pub fn signals() -> Result<()> {
    let now = Instant::now();
    if LOOKED.get().is_some_and(|before| now - before < EVERY) {
        return Ok(());
    }
    LOOKED.set(Some(now));
    Python::attach(|py| py.check_signals()).map_err(stopped_by)
}

/// Keeps an exception for the end of the call, and stops the library.
pub fn stopped_by(error: PyErr) -> Error {
    RAISED.set(Some(error));
    Error::Stopped
}

/// Returns whether the call that runs here was stopped by an exception.
pub fn is_stopped() -> bool {
    RAISED.with_borrow(Option::is_some)
}

/// Runs work of the library without holding the interpreter's lock. Ctrl-C ends it at the next submission.
pub fn blocking<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    run(py, true, work)
}

/// Runs a call that looks for signals itself, by [`signals`], so that it can save before it ends.
pub fn saving<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    run(py, false, work)
}

/// Runs a future as [`blocking`] runs a function.
pub fn wait<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    pollster::block_on(future)
}

fn run<T: Send>(
    py: Python<'_>,
    listens: bool,
    work: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    unforked(py)?;
    let done = py.detach(|| {
        RAISED.set(None);
        LOOKED.set(None);
        let before = LISTENS.replace(listens);
        let done = catch_unwind(AssertUnwindSafe(work));
        LISTENS.set(before);
        done
    });
    let exception = RAISED.take();
    match (done, exception) {
        (Ok(_), Some(exception)) => Err(exception),
        (Ok(Ok(made)), None) => Ok(made),
        (Ok(Err(error)), None) => Err(raised(py, error)),
        (Err(panic), _) => Err(bug(py, &*panic)),
    }
}

/// Gives the caller a Python warning of what should be known and is no error.
pub fn warn(py: Python<'_>, text: &str) -> PyResult<()> {
    let warnings = py.import("warnings")?;
    warnings.call_method1("warn", (text,)).map(drop)
}

/// The process that drivers were loaded in; 0 before any were.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Refuses calls in a process that was forked after its parent had loaded drivers: their threads did not come along, and
/// a call would wait for them for ever.
pub fn unforked(py: Python<'_>) -> PyResult<()> {
    let own = std::process::id();
    match OWNER.compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => Ok(()),
        Err(owner) if owner == own => Ok(()),
        Err(_) => Err(exception(
            py,
            "Error",
            "this process was forked from one that had used lapidary, and a GPU's driver does not survive that: start it with \
             multiprocessing.get_context(\"spawn\"), or use lapidary for the first time after the fork",
        )),
    }
}

/// A queue that lets one call at a time through, in the order in which calls came as far as the system wakes them so.
#[derive(Debug, Default)]
pub struct Queue {
    holder: Mutex<Option<ThreadId>>,
    freed: Condvar,
}

/// A call's turn in the queue, which ends when it is dropped.
#[derive(Debug)]
pub struct Turn<'a>(&'a Queue);

impl Queue {
    /// Waits for the call's turn; Ctrl-C ends the wait. `Mismatch` for a call from a callback of a call that runs.
    pub fn enter(&self) -> Result<Turn<'_>> {
        let this = std::thread::current().id();
        let mut holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(other) = *holder {
            if other == this {
                let given = "a call from the callback of another call of the same model, which would wait for itself";
                let wanted =
                    "a second model in the callback, or the call after the first has returned";
                return Err(Error::mismatch("model", given, wanted));
            }
            let waited = self.freed.wait_timeout(holder, EVERY);
            holder = waited.unwrap_or_else(PoisonError::into_inner).0;
            if holder.is_some() {
                drop(holder);
                asked()?;
                holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
            }
        }
        *holder = Some(this);
        Ok(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.holder.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.freed.notify_one();
    }
}
