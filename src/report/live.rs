//! Keeps `report.html` up to date while a run trains: it is written again and again, and a browser that shows it loads it again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::page::{ReportData, html};
use crate::train::{Config, Event, Metrics, RunFolder, write_whole};
use crate::{Error, Result};

/// The shortest time between two reports, which take never more than a twentieth of the time.
const EVERY: Duration = Duration::from_secs(15);
const SHARE: u32 = 20;

/// The report of a run that is not over, `report.html`, which is written again and again while the run trains.
#[derive(Debug)]
pub struct LiveReport {
    run: PathBuf,
    config: Config,
    adapter: String,
    next: Instant,
}

impl LiveReport {
    /// Makes the live report of a run's folder, first written with the first iteration.
    pub fn new(run: &Path, config: &Config, adapter: String) -> Self {
        Self { run: run.into(), config: config.clone(), adapter, next: Instant::now() }
    }

    /// Takes an event of the run, and writes the report again if enough time has passed.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        let began = Instant::now();
        if !matches!(event, Event::Step(_)) || began < self.next {
            return Ok(());
        }
        let metrics = Metrics { adapter: Some(self.adapter.clone()), ..Metrics::default() };
        let page = html(&ReportData {
            name: &self.run.file_name().unwrap_or(self.run.as_os_str()).to_string_lossy(),
            config: &self.config,
            metrics: &metrics,
            log: &RunFolder::read_log(&self.run)?,
            figures: &[],
        });
        let refresh = format!("<meta http-equiv=\"refresh\" content=\"{}\">\n", EVERY.as_secs());
        let page = page.replacen("<meta charset", &format!("{refresh}<meta charset"), 1);
        match write_whole(&self.run.join("report.html"), page.as_bytes()) {
            // A report that cannot be written is no reason to end a run: the next checkpoint tells whether the disk is full.
            Err(Error::BadFile { .. }) | Ok(()) => {}
            Err(other) => return Err(other),
        }
        self.next = began + EVERY.max(began.elapsed() * SHARE);
        Ok(())
    }
}
