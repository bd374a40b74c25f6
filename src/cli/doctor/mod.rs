//! `doctor`: embedded cases on the adapter, as built and as rewritten for it.

mod case;
mod run;

use std::fmt::Write;

use super::session::Session;
use crate::Error;
use case::Case;
use run::Kind;

macro_rules! golden {
    ($path:literal) => {
        include_bytes!(concat!("../../../tests/golden/cases/", $path, ".safetensors"))
    };
}

/// Name, file, and what it asks for.
const CASES: [(&str, &[u8], Kind); 6] = [
    ("conv2d 3x3", golden!("ops/conv2d/k3s1p1_c1o5g1_n9_h4w11"), run::conv2d),
    ("conv2d 3x3, stride 2", golden!("ops/conv2d/k3s2p1_c17o17g1_n2_h7w7_bias"), run::conv2d),
    ("batch norm", golden!("ops/batch_norm/train_n4_c5_h6w7"), run::batch_norm),
    ("L2 step", golden!("attacks/l2_step_0.1"), run::l2_step),
    ("WRN-10-1", golden!("models/wrn10_1_eval"), run::evaluation),
    ("PGD, 8 steps", golden!("attacks/pgd_wrn10_1_L2_joint_epsinf_t8"), run::trajectory),
];

/// Says what fails on the adapter.
pub fn run(session: &Session) -> anyhow::Result<()> {
    let gpu = session.gpu()?;
    let adapter = gpu.adapter();
    super::print(&format!("{adapter}\ndriver {}\n\n", adapter.driver))?;
    let (mut failed, mut count) = (0, 0);
    for (name, bytes, kind) in CASES {
        let case = Case::new(name, bytes)?;
        for (optimise, way) in [(false, "as built"), (true, "rewritten")] {
            let verdict = kind(&case, &gpu, optimise).and_then(|results| case.compare(&results));
            let (good, about) = match verdict {
                Ok(verdict) => (verdict.good, verdict.worst),
                // Another device would do no better.
                Err(error @ Error::DeviceLost(_)) => return Err(error.into()),
                Err(error) => (false, error.to_string()),
            };
            count += 1;
            failed += usize::from(!good);
            let word = if good { "ok" } else { "FAIL" };
            let mut line = String::new();
            writeln!(line, "{word:<5}{name:<22}{way:<11}{about}")?;
            super::print(&line)?;
        }
    }
    if failed > 0 {
        let reason = format!("{failed} of {count} are wrong on {}", adapter.name);
        return Err(Error::Gpu { doing: "checking the embedded cases".into(), reason }.into());
    }
    super::print(&format!("\nall {count} are right\n"))
}
