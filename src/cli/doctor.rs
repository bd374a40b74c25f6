//! `doctor`: runs test cases that are built into the program, from single ops to steps through a whole network, and compares the
//! adapter's results with PyTorch's: for graphs as they are built and after they are rewritten into faster ones.

use std::collections::BTreeMap;
use std::fmt::Write;

use pollster::block_on;
use serde_json::json;

use super::args;
use super::session::Session;
use crate::Error;
use crate::doctor::{CHECKS, WEIGHTS};
use crate::gpu::{Gpu, Lowering, Options, Preferences, adapters};

macro_rules! golden {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_bytes!(concat!("../../tests/golden/cases/", $path)))),*]
    };
}

/// The files of the reference cases.
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
    found
        .map(|(_, bytes)| *bytes)
        .ok_or_else(|| Error::bad_file(name, "no test case of this name is built into the program"))
}

/// Runs the command `doctor`, which says what fails on the adapter, and writes it as JSON where that is asked for: also if there
/// is no adapter, as that is a bug to report too.
pub fn run(session: &Session, args: &args::Doctor) -> anyhow::Result<()> {
    let mut findings = Findings::default();
    let examined = examine(session, &mut findings);
    if let Some(file) = &args.report {
        let report = report(&findings, examined.as_ref().err());
        std::fs::write(file, format!("{report:#}\n"))
            .map_err(|error| Error::bad_file(file, error))?;
        super::print(&format!("\nreport {}\n", file.display()))?;
    }
    examined
}

/// The findings, once all checks are over or one failed.
#[derive(Default)]
struct Findings {
    gpu: Option<Gpu>,
    cases: Vec<serde_json::Value>,
}

fn examine(session: &Session, findings: &mut Findings) -> anyhow::Result<()> {
    let gpu = findings.gpu.insert(session.gpu()?).clone();
    let adapter = gpu.adapter();
    let preferences = gpu.preferences().as_ref().clone();
    let plain = gpu.clone().preferring(Preferences { lowering: Lowering::Plain, ..preferences });
    super::print(&format!("{adapter}\ndriver {}\n\n", adapter.driver))?;
    let (mut failed, mut count) = (0, 0);
    let weights = embedded(WEIGHTS)?;
    for check in &CHECKS {
        let file = embedded(check.file)?;
        for (gpu, way) in [(&plain, "as built"), (&gpu, "rewritten")] {
            let (good, about) = match block_on(check.run(gpu, file, weights)) {
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
            let case = json!({ "case": check.name, "way": way, "good": good, "worst": about });
            findings.cases.push(case);
        }
    }
    if failed > 0 {
        let reason = format!("{failed} of {count} results are wrong on {}", adapter.name);
        return Err(Error::Gpu {
            doing: "comparing computations with PyTorch's results".into(),
            reason,
        }
        .into());
    }
    super::print(&format!("\nall {count} are right\n"))
}

/// Makes the report: everything about the machine that a bug can depend on, and nothing about its owner.
fn report(findings: &Findings, error: Option<&anyhow::Error>) -> serde_json::Value {
    let device = findings.gpu.as_ref().map(|gpu| {
        let adapter = gpu.adapter();
        json!({
            "name": adapter.name,
            "backend": adapter.backend,
            "kind": format!("{:?}", adapter.kind),
            "driver": adapter.driver,
            "subgroup": adapter.subgroup,
            "features": gpu.features(),
            "limits": gpu.limits().into_iter().collect::<BTreeMap<_, _>>(),
        })
    });
    let dropped = findings.gpu.iter().flat_map(Gpu::dropped_candidates);
    let dropped: Vec<_> = dropped.map(|each| each.to_string()).collect();
    let others = block_on(adapters(&Options::default())).unwrap_or_default();
    let os = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let os = os.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    json!({
        "lapidary": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("LAPIDARY_COMMIT"),
        "os": std::env::consts::OS,
        "os_version": os.map(|name| name.trim_matches('"')),
        "architecture": std::env::consts::ARCH,
        "adapters": others.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "device": device,
        "dropped_candidates": dropped,
        "cases": findings.cases,
        "error": error.map(|error| format!("{error:#}")),
    })
}
