//! The results of tuning on a device: which kernels won, which were dropped, and how much of the time for measuring is left.

use super::choices::{Choices, Question};
use super::table::{Table, Verdict};
use super::{AdapterKind, Gpu, Tune};
use crate::Result;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A kernel that tuning tried and will not use on a device: it failed there, or its results differed from the plain kernel's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The family of kernels and the shape for which the kernel was tried.
    pub key: String,
    /// The name of the dropped kernel variant.
    pub candidate: String,
    /// The reason why the kernel variant was dropped.
    pub reason: String,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { key, candidate, reason } = self;
        write!(f, "the kernel {candidate} is passed over for {key} on this device: {reason}")
    }
}

/// An event that tuning reports while it measures kernels; see [`Gpu::on_tuning`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TuningEvent {
    /// The measurement of the kernels for one shape begins.
    Measuring {
        /// The family of kernels and the shape that are measured.
        key: String,
        /// The number of shapes that were measured or skipped before this one.
        done: usize,
        /// The number of all shapes to measure.
        total: usize,
        /// The time that remains of `budget`.
        left: Duration,
        /// The whole time for tuning: [`Preferences::tuning_budget`](super::Preferences::tuning_budget).
        budget: Duration,
    },
    /// A kernel variant was dropped for good; this is reported once.
    Dropped(Dropped),
    /// A shape keeps its default kernel, because there is not enough memory to measure others.
    Skipped {
        /// The family of kernels and the shape that keeps its default kernel.
        key: String,
        /// The reason in words: which limit, of memory or of a binding's size, was reached.
        reason: String,
    },
    /// Tuning is over: every shape was measured for which there was time and memory.
    Done {
        /// The number of shapes that were measured.
        answered: usize,
        /// The number of shapes that keep the default kernel, because the time is over.
        open: usize,
    },
}

type Observer = Arc<dyn Fn(&TuningEvent) + Send + Sync>;

#[derive(Default)]
struct State {
    measured: Table,
    /// The table that comes before all others: that of a run that is being resumed.
    pinned: Option<Table>,
    /// The choices made so far for all questions.
    used: Choices,
    spent: Duration,
    observer: Option<Observer>,
}

/// A device's; clones of the device share it.
#[derive(Default)]
pub(super) struct Tuning(Mutex<State>);

impl fmt::Debug for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Tuning").finish_non_exhaustive()
    }
}

impl Gpu {
    fn tuning(&self) -> MutexGuard<'_, State> {
        // No change is left half done.
        self.tuning.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether making a program times kernels for shapes that were not measured yet: as
    /// [`Preferences::tuning`](super::Preferences::tuning) says, but not in a run resumed with default kernels.
    pub fn measures(&self) -> bool {
        let asked = match self.preferences().tuning {
            Tune::On => true,
            Tune::Off => false,
            Tune::Auto => self.adapter().kind != AdapterKind::Cpu,
        };
        asked && !self.tuning().pinned.as_ref().is_some_and(|pinned| pinned.fixed)
    }

    /// Returns the kernels that tuning has chosen for programs that are made from now on; shapes for which it has chosen none get
    /// the default kernel.
    pub fn choices(&self) -> Arc<Choices> {
        if self.preferences().tuning == Tune::Off {
            return Arc::default();
        }
        let measures = self.measures();
        let state = self.tuning();
        let mut all = if measures { state.measured.choices.clone() } else { Choices::default() };
        if let Some(pinned) = &state.pinned {
            all = all.overlaid(&pinned.choices);
        }
        Arc::new(all)
    }

    /// Notes what a program takes.
    pub(crate) fn note_used(&self, question: &Question, answer: usize) {
        let mut state = self.tuning();
        state.used = state.used.with(question, answer);
    }

    /// Adds an answer, and the candidates dropped on the way to it.
    pub(crate) fn decide(&self, question: &Question, answer: usize, dropped: Vec<Dropped>) {
        {
            let mut state = self.tuning();
            state.measured.choices = state.measured.choices.with(question, answer);
            state.measured.dropped.extend(dropped.iter().cloned());
        }
        dropped.into_iter().for_each(|each| self.tell_tuning(&TuningEvent::Dropped(each)));
    }

    /// Returns the time that remains of [`Preferences::tuning_budget`](super::Preferences::tuning_budget).
    pub(crate) fn tuning_left(&self) -> Duration {
        self.preferences().tuning_budget.saturating_sub(self.tuning().spent)
    }

    /// Counts time that was measured for.
    pub(crate) fn spend_tuning(&self, time: Duration) {
        self.tuning().spent += time;
    }

    pub(crate) fn tell_tuning(&self, event: &TuningEvent) {
        // Told without the lock: the observer may ask the device something.
        let observer = self.tuning().observer.clone();
        if let Some(observer) = observer {
            observer(event);
        }
    }

    /// Sets a function that is called with each event of tuning; it replaces an earlier one.
    pub fn on_tuning(&self, observer: impl Fn(&TuningEvent) + Send + Sync + 'static) {
        self.tuning().observer = Some(Arc::new(observer));
    }

    /// Returns the kernel variants that tuning has dropped on this device so far.
    pub fn dropped_candidates(&self) -> Vec<Dropped> {
        self.tuning().measured.dropped.clone()
    }

    /// Returns the results of tuning so far as the text of a table to be saved (`docs/tuning.md`). `None` if there are none.
    pub fn measured(&self) -> Option<String> {
        let table = self.tuning().measured.clone();
        (!table.is_empty()).then(|| table.text(&self.fingerprint()))
    }

    /// Loads results of tuning that [`Gpu::measured`] returned at another time, and returns their number. Err, and nothing is
    /// taken, for a table that is cut off, damaged, or of another adapter, driver or version.
    pub fn keep_measured(&self, table: &[u8]) -> Result<usize> {
        let (read, count) = self.read_table(table)?;
        let mut state = self.tuning();
        state.measured.choices = state.measured.choices.overlaid(&read.choices);
        for dropped in read.dropped {
            if !state.measured.dropped.contains(&dropped) {
                state.measured.dropped.push(dropped);
            }
        }
        Ok(count)
    }

    /// Returns which kernels programs were made with so far, as a text that [`Gpu::pin_choices`] takes in another run to get the
    /// same bits. If all were default kernels, the text says only that.
    pub fn choices_in_use(&self) -> String {
        let fixed = self.preferences().tuning == Tune::Off
            || !self.measures() && self.tuning().pinned.as_ref().is_none_or(|table| table.fixed);
        let state = self.tuning();
        let choices = match &state.pinned {
            _ if fixed => Choices::default(),
            None => state.used.clone(),
            // Programs of a stage that is over are not made again.
            Some(before) => before.choices.overlaid(&state.used),
        };
        drop(state);
        let table = Table { fixed, choices, dropped: Vec::new() };
        // Static choices are the same in all places.
        let device = if fixed { "any".to_owned() } else { self.fingerprint() };
        table.text(&device)
    }

    /// Makes new programs use the kernels that [`Gpu::choices_in_use`] returned, in preference to measured ones, unless tuning is
    /// [`Tune::Off`]. If the run that they come from had only default kernels, this one has them too and measures none. Err, and
    /// nothing is changed, for a table that is damaged or of another adapter, driver or version.
    pub fn pin_choices(&self, table: &[u8]) -> Result<usize> {
        let (read, count) = self.read_table(table)?;
        self.tuning().pinned = Some(read);
        Ok(count)
    }

    fn read_table(&self, text: &[u8]) -> Result<(Table, usize)> {
        match Table::read(text, &self.fingerprint()) {
            Verdict::Sound(table) => {
                let count = table.choices.iter().count();
                Ok((table, count))
            }
            Verdict::Damaged => Err(crate::Error::mismatch(
                "tuning",
                "a text that is cut off, damaged or of another format",
                "a table of kernel choices as `lapidary tune --export`, Gpu::measured or Gpu::choices_in_use wrote it",
            )),
            Verdict::Foreign(of) => {
                let given = format_args!("a table of kernel choices for \"{of}\"");
                let wanted = format_args!("a table for \"{}\"", self.fingerprint());
                Err(crate::Error::mismatch("tuning", given, wanted))
            }
        }
    }
}
