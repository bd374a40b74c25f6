//! `lapidary` for JavaScript: thin bindings of the library's own types. Pages do not call these but the package in `web/package`,
//! which adds loops, caches and aborting.
//!
//! Everything is async and nothing blocks: the same code runs in a window and in a worker. Descriptions (of networks, adapters,
//! settings) are passed as JSON text, images and logits as `Float32Array`s.

#![cfg(target_arch = "wasm32")]

mod network;
mod recipe;
mod throw;
mod toy;
mod trainer;
mod tuning;

use js_sys::Uint8Array;
use lapidary::data::{BatchSource, Fit, Fractal, SAMPLE_STARTS, fit_rgba};
use lapidary::doctor::{CHECKS, WEIGHTS};
use lapidary::gpu::{Gpu, Lowering, Options, Preferences, Tune};
use network::Network;
use serde_json::json;
use std::time::Duration;
use throw::{Thrown, throw};
use tuning::Tuning;
use wasm_bindgen::prelude::*;

/// A GPU device that this page or worker has for itself.
#[wasm_bindgen]
pub struct Engine {
    gpu: Gpu,
    tuning: Option<Tuning>,
}

#[wasm_bindgen]
impl Engine {
    /// Opens the adapter that the browser gives; `low_power` asks for the one of two that uses less power.
    pub async fn open(low_power: bool) -> Thrown<Self> {
        let options = Options { low_power, ..Options::default() };
        Ok(Self { gpu: Gpu::new(&options).await.map_err(throw)?, tuning: None })
    }

    /// Lets networks that are made from now on measure the kernels of their shapes and take the fastest, for this many seconds in
    /// all; `kept` is what [`Engine::measured`] gave at some other time, or nothing. False for a `kept` of another adapter,
    /// driver or version, or a damaged one: then all is measured anew.
    pub fn tune(&mut self, seconds: f64, kept: Option<String>) -> bool {
        let tuning_budget = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let preferences = Preferences { tuning: Tune::On, tuning_budget, ..Preferences::default() };
        self.gpu = self.gpu.clone().preferring(preferences);
        self.tuning = Some(Tuning::of(&self.gpu));
        kept.is_none_or(|kept| self.gpu.keep_measured(kept.as_bytes()).is_ok())
    }

    /// Returns the table of the kernels measured so far, to be kept by the page; nothing where nothing was measured.
    pub fn measured(&self) -> Option<String> {
        self.gpu.measured()
    }

    /// Returns how far the measurement of kernels is, as JSON: `done` of `total` shapes, `answered` in all, and `dropped`, the
    /// kernels that may not run on this device. Nothing before the first shape.
    pub fn tuning(&self) -> Option<String> {
        self.tuning.as_ref().and_then(Tuning::told)
    }

    /// Describes the adapter of the device as JSON.
    pub fn adapter(&self) -> String {
        let adapter = self.gpu.adapter();
        json!({
            "name": adapter.name,
            "driver": adapter.driver,
            "backend": adapter.backend,
            "f16": adapter.f16,
            "subgroup": adapter.subgroup,
            "timestamps": adapter.timestamps,
            "maxBinding": adapter.max_binding,
            "maxBuffer": adapter.max_buffer,
            "storageBuffers": adapter.storage_buffers,
        })
        .to_string()
    }

    /// Returns the counts of what the device has made and done so far, such as buffers and submissions.
    pub fn counts(&self) -> String {
        let counts = self.gpu.counts();
        json!({
            "buffers": counts.buffers,
            "pipelines": counts.pipelines,
            "bindGroups": counts.bind_groups,
            "readbacks": counts.readbacks,
            "submissions": counts.submissions,
            "bytes": counts.bytes,
        })
        .to_string()
    }

    /// Reads the network of a safetensors file; `side` is for a file that says none, and 0 where the caller knows none either.
    pub async fn network(&self, name: String, bytes: Uint8Array, side: u32) -> Thrown<Network> {
        let side = Some(side).filter(|&side| side > 0);
        Network::new(&self.gpu, &name, &bytes.to_vec(), side).await.map_err(throw)
    }

    /// Makes a joint energy-based model of points in the plane, with random weights.
    pub async fn toy(&self, classes: u32, seed: f64) -> Thrown<toy::Toy> {
        toy::Toy::new(&self.gpu, classes, seed as u64).await.map_err(throw)
    }

    /// Runs one of the reference cases ([`checks`]), as built or as lowered for the device, and returns whether it passes, with
    /// the largest error.
    pub async fn check(
        &self,
        index: usize,
        file: Uint8Array,
        weights: Uint8Array,
        lowered: bool,
    ) -> Thrown<String> {
        let check = CHECKS.get(index).ok_or_else(|| JsValue::from("no such check"))?;
        let lowering = if lowered { Lowering::Full } else { Lowering::Plain };
        let gpu = self.gpu.clone().preferring(Preferences { lowering, ..Preferences::default() });
        let verdict = check.run(&gpu, &file.to_vec(), &weights.to_vec()).await;
        let verdict = verdict.map_err(throw)?;
        Ok(json!({ "good": verdict.good, "worst": verdict.worst }).to_string())
    }
}

/// Takes the text of `shaders.json`, whose kernels programs use from now on.
#[wasm_bindgen(js_name = provideShaders)]
pub fn provide_shaders(json: &str) -> Thrown<()> {
    lapidary::gpu::provide_shaders(json).map_err(throw)
}

/// Returns the library's version.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// Returns the reference cases as JSON: their names and files, and the file of their weights.
#[wasm_bindgen]
pub fn checks() -> String {
    let checks = CHECKS.iter().map(|check| json!({ "name": check.name, "file": check.file }));
    json!({ "checks": checks.collect::<Vec<_>>(), "weights": WEIGHTS }).to_string()
}

/// Draws start images for sampling: the random 1/f^b fields that `lapidary sample` takes for the same seed.
#[wasm_bindgen]
pub fn starts(seed: f64, count: usize, channels: u32, side: u32) -> Thrown<Vec<f32>> {
    let drawn = Fractal::new(channels, side).and_then(|fractal| {
        BatchSource::fractal(SAMPLE_STARTS, seed as u64, count, fractal)?.batch(0)
    });
    drawn.map(|batch| batch.images).map_err(throw)
}

/// Makes the image that a network takes, CHW in \[0, 1\], of a picture's red, green, blue and alpha bytes; `fit` is what the
/// network's description says. The program reads its files by the same lines.
#[wasm_bindgen]
pub fn prepare(
    rgba: &[u8],
    width: u32,
    height: u32,
    channels: u32,
    side: u32,
    fit: &str,
) -> Thrown<Vec<f32>> {
    let fit = Fit::parse(fit).map_err(throw)?;
    fit_rgba(rgba, [width, height], channels, side, fit).map_err(throw)
}
