//! Trains the network fashion-show of models/ again for its first iterations: on the driver that it was trained on, their
//! losses and accuracies equal those in its run's log to the bit. It runs six iterations, which take seconds, or as
//! many as `LAPIDARY_SHOW_ITERATIONS` says, at most fifty.

use crate::common::own_gpu;
use lapidary::train::{Config, Event, Flow, Material, Phase, RunFolder, train};
use std::path::Path;

/// Where Debian's package dataset-fashion-mnist has it; `scripts/setup fashion-mnist` installs it.
const DATA: &str = "/usr/share/datasets/fashion-mnist";
/// The adapter that the network was trained on.
const TRAINED_ON: (&str, &str) =
    ("llvmpipe (LLVM 15.0.6, 256 bits)", "llvmpipe Mesa 22.3.6 (LLVM 15.0.6)");
/// The bits in the run's log.
const LOG: &str = include_str!("fashion-show.csv");

#[test]
fn the_published_networks_training_begins_with_the_same_bits() {
    if !Path::new(DATA).is_dir() {
        // CI installs it; elsewhere 31 MB are not asked for.
        assert!(std::env::var_os("CI").is_none(), "{DATA} is missing: scripts/setup fashion-mnist");
        println!("skipped: {DATA} is missing (scripts/setup fashion-mnist)");
        return;
    }
    let count = std::env::var("LAPIDARY_SHOW_ITERATIONS");
    let count: usize = count.map_or(6, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let config = Config::preset("fashion-show").unwrap();
    let config = config.with(&[format!("data.train={DATA}")]).unwrap();
    let mut run = RunFolder::create(folder.path().join("run"), &config).unwrap();
    let material = Material::load(&config).unwrap();
    let gpu = own_gpu();
    let mut found: Vec<(f32, f32)> = Vec::new();
    let mut observer = |event: &Event| {
        if let Event::Step(step) = event
            && step.phase == Phase::Stage1
        {
            found.push((step.loss_ce.unwrap(), step.accuracy.unwrap()));
        }
        Ok(if found.len() < count { Flow::Continue } else { Flow::Stop })
    };
    let outcome = train(&gpu, &config, &material, &mut run, &mut observer);
    pollster::block_on(outcome).unwrap();
    assert_eq!(found.len(), count);

    let logged = LOG.lines().skip(1).map(|line| {
        let mut fields = line.split(',').skip(1).map(|field| field.parse().unwrap());
        (fields.next().unwrap(), fields.next().unwrap())
    });
    let logged: Vec<(f32, f32)> = logged.take(count).collect();
    assert_eq!(logged.len(), count, "the log's first fifty iterations are known");
    let adapter = gpu.adapter();
    if (adapter.name.as_str(), adapter.driver.as_str()) == TRAINED_ON {
        assert_eq!(found, logged);
    } else {
        // Sums are rounded otherwise, and training drifts apart.
        let (found, logged) = (found.first().unwrap(), logged.first().unwrap());
        assert!((found.0 - logged.0).abs() < 1e-3, "{found:?}, {logged:?} on {adapter}");
    }
}
