//! Reports how far the measurement of the fastest kernels is, which JavaScript asks for while it waits for a network.

use lapidary::gpu::{Gpu, TuningEvent};
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone, Debug, Default)]
struct State {
    done: usize,
    total: usize,
    answered: usize,
    dropped: Vec<String>,
}

/// Notes how far the measurement of kernels on one device is.
#[derive(Debug)]
pub struct Tuning(Arc<Mutex<State>>);

impl Tuning {
    /// Listens to the tuning events of a device, in place of an earlier listener.
    pub fn of(gpu: &Gpu) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let noted = state.clone();
        gpu.on_tuning(move |event| {
            let mut state = noted.lock().unwrap_or_else(PoisonError::into_inner);
            match event {
                TuningEvent::Measuring { done, total, .. } => {
                    (state.done, state.total) = (*done, *total);
                }
                TuningEvent::Dropped(dropped) => state.dropped.push(dropped.to_string()),
                TuningEvent::Skipped { .. } => {}
                TuningEvent::Done { answered, .. } => {
                    state.done = state.total;
                    state.answered += answered;
                }
            }
        });
        Self(state)
    }

    /// Returns how far the measurement of kernels is, as JSON; nothing before the first shape.
    pub fn told(&self) -> Option<String> {
        let State { done, total, answered, dropped } =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let told =
            json!({ "done": done, "total": total, "answered": answered, "dropped": dropped });
        (total > 0).then(|| told.to_string())
    }
}
