//! `plan`: whether a run fits the adapter, with which memory and about how long, before it is begun.

use std::fmt::Write;

use super::args;
use super::progress::clock;
use super::session::Session;
use super::train::{named, reading};
use crate::train::{Material, fit};

/// Trains a few iterations of each stage on the adapter, throws them away and says what they took.
pub fn run(session: &Session, args: &args::Plan) -> anyhow::Result<()> {
    let config = named(&args.config)?.with(&args.set)?;
    let mut progress = session.progress();
    let gpu = session.gpu()?;
    progress.line(&format!("{} on {}", args.config, gpu.adapter()));
    progress.line(&reading(&config));
    let material = Material::load(&config)?;
    let fits = pollster::block_on(fit(&gpu, &config, &material))?;
    progress.finish();
    let mut text = String::new();
    writeln!(text, "{} fits {}", args.config, gpu.adapter())?;
    let mut whole = [0.0; 2];
    for fit in &fits {
        let [least, most] = fit.seconds;
        let mib = fit.device_bytes as f64 / f64::from(1 << 20);
        let seconds = if least == most {
            format!("{least:.3} s")
        } else {
            format!("{least:.3} s at first, {most:.3} s at max_T")
        };
        writeln!(
            text,
            "{:<8} {} iterations of {} images, {} at once; {mib:.0} MiB; an iteration {seconds}; {}",
            fit.phase,
            fit.iterations,
            fit.batch,
            fit.micro_batch,
            range(fit.total_seconds())
        )?;
        for (whole, seconds) in whole.iter_mut().zip(fit.total_seconds()) {
            *whole += seconds;
        }
    }
    writeln!(text, "in all   {}, without what follows training", range(whole))?;
    super::print(&text)
}

fn range([least, most]: [f64; 2]) -> String {
    match clock(least) {
        least if least == clock(most) => format!("about {least}"),
        least => format!("{least} to {}", clock(most)),
    }
}
