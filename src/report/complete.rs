//! Carries out a run from beginning to end: training, evaluation, samples and the report.

use std::path::PathBuf;
use std::time::Instant;

use super::figures;
use super::live::LiveReport;
use super::page::{ReportData, html};
use crate::gpu::Gpu;
use crate::model::Checkpoint;
use crate::train::{
    Config, Event, Flow, MODEL_FILE, Material, Metrics, Observer, RunFolder, assess, train,
};
use crate::{Error, Result};

/// The results of a finished training run: its metrics and the path of its report.
#[derive(Clone, Debug)]
pub struct Completed {
    /// The run's measurements, the content of `metrics.json`.
    pub metrics: Metrics,
    /// The path of the run's `report.html`.
    pub report: PathBuf,
}

/// Carries out a whole run: trains both stages, adversarial and dual adversarial training ([`train`]), evaluates and samples
/// ([`assess`]), and writes the weights, the pictures, `metrics.json` and the report into the run folder; while it trains, the
/// report is written again and again. The total of seconds counts from `began`. `None` where the observer stopped it: a
/// checkpoint is then on disk, and the same call goes on from it. Of several processes, rank 0 evaluates and reports; the
/// others return after training, with empty metrics and the folder's path.
///
/// # Errors
/// The errors of [`train`] and [`assess`]. A device that is lost while the run is assessed is opened again twice.
pub async fn complete(
    gpu: &Gpu,
    config: &Config,
    material: &Material,
    folder: &mut RunFolder,
    began: Instant,
    observer: &mut Observer<'_>,
) -> Result<Option<Completed>> {
    let out = folder.path().to_owned();
    let world = folder.world().clone();
    let mut live = LiveReport::new(&out, config, gpu.adapter().to_string());
    let mut observer = |event: &Event| -> Result<Flow> {
        if world.is_first() {
            live.event(event)?;
        }
        observer(event)
    };
    let outcome = train(gpu, config, material, folder, &mut observer).await?;
    if !outcome.finished {
        return Ok(None);
    }
    if !world.is_first() {
        return Ok(Some(Completed { metrics: Metrics::default(), report: out }));
    }
    let mut losses = 0;
    let assessed = loop {
        let now = gpu.current();
        match assess(&now, config, material, &outcome, folder, &mut observer).await {
            Err(Error::DeviceLost(why)) if losses < 2 => {
                losses += 1;
                now.reopen().await.map_err(|_| Error::DeviceLost(why))?;
            }
            assessed => break assessed?,
        }
    };
    let Some(mut assessment) = assessed else { return Ok(None) };
    let model = Checkpoint {
        metadata: outcome.metadata.clone(),
        weights: outcome.average.clone(),
        source: MODEL_FILE.into(),
        ..Checkpoint::default()
    };
    folder.write(MODEL_FILE, &model.to_bytes()?)?;
    if let Some(judge) = &assessment.judge {
        folder.write("judge.safetensors", &judge.to_bytes()?)?;
    }
    let mut pictures = Vec::new();
    for (name, figure) in figures::of_run(config, material, &assessment)? {
        folder.write(name, &figure.png)?;
        pictures.push(figure);
    }
    assessment.metrics.seconds_total = Some(outcome.seconds_before + began.elapsed().as_secs_f64());
    if world.is_shared() {
        assessment.metrics.more.insert("ranks".into(), world.described().into());
    }
    let metrics = assessment.metrics;
    folder.write_metrics(&metrics)?;
    let data = ReportData {
        name: &out.file_name().unwrap_or(out.as_os_str()).to_string_lossy(),
        config,
        metrics: &metrics,
        log: &RunFolder::read_log(&out)?,
        figures: &pictures,
    };
    let report = folder.write("report.html", html(&data).as_bytes())?;
    Ok(Some(Completed { metrics, report }))
}
