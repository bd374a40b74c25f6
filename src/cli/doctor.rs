//! `doctor`: embedded cases on the adapter, as built and as rewritten for it.

use std::fmt::Write;

use pollster::block_on;

use super::session::Session;
use crate::Error;
use crate::doctor::{CHECKS, WEIGHTS};

macro_rules! golden {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_bytes!(concat!("../../tests/golden/cases/", $path)))),*]
    };
}

/// The checks' files.
const FILES: [(&str, &[u8]); 7] = golden![
    "attacks/l2_step_0.1.safetensors",
    "attacks/pgd_wrn10_1_L2_joint_epsinf_t8.safetensors",
    "models/wrn10_1_eval.safetensors",
    "ops/batch_norm/train_n4_c5_h6w7.safetensors",
    "ops/conv2d/k3s1p1_c1o5g1_n9_h4w11.safetensors",
    "ops/conv2d/k3s2p1_c17o17g1_n2_h7w7_bias.safetensors",
    "weights/wrn10_1.safetensors",
];

fn embedded(name: &str) -> crate::Result<&'static [u8]> {
    let found = FILES.iter().find(|(path, _)| *path == name);
    found.map(|(_, bytes)| *bytes).ok_or_else(|| Error::bad_file(name, "not embedded"))
}

/// Says what fails on the adapter.
pub fn run(session: &Session) -> anyhow::Result<()> {
    let gpu = session.gpu()?;
    let adapter = gpu.adapter();
    super::print(&format!("{adapter}\ndriver {}\n\n", adapter.driver))?;
    let (mut failed, mut count) = (0, 0);
    let weights = embedded(WEIGHTS)?;
    for check in &CHECKS {
        let file = embedded(check.file)?;
        for (optimise, way) in [(false, "as built"), (true, "rewritten")] {
            let (good, about) = match block_on(check.run(&gpu, file, weights, optimise)) {
                Ok(verdict) => (verdict.good, verdict.worst),
                // Another device would do no better.
                Err(error @ Error::DeviceLost(_)) => return Err(error.into()),
                Err(error) => (false, error.to_string()),
            };
            count += 1;
            failed += usize::from(!good);
            let word = if good { "ok" } else { "FAIL" };
            let mut line = String::new();
            writeln!(line, "{word:<5}{:<22}{way:<11}{about}", check.name)?;
            super::print(&line)?;
        }
    }
    if failed > 0 {
        let reason = format!("{failed} of {count} are wrong on {}", adapter.name);
        return Err(Error::Gpu { doing: "checking the embedded cases".into(), reason }.into());
    }
    super::print(&format!("\nall {count} are right\n"))
}
