//! Lists the kernels that networks run, with their constants: the networks' graphs are lowered for a GPU that is described,
//! not opened.

use anyhow::{Context, Result};
use lapidary::attack::Pgd;
use lapidary::gpu::{Adapter, AdapterKind, Kernel, Precision, Preferences, Recording};
use lapidary::graph::Plan;
use lapidary::model::{Activation, BatchSize, Network, WideResNet};
use lapidary::ops::KERNELS;
use lapidary::train::plan_update;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A kernel as it is launched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The kernel's name.
    pub kernel: String,
    /// Values of its overrides.
    pub constants: BTreeMap<String, f64>,
    /// The kernel's WGSL.
    pub text: String,
    /// Whether a network runs it without being asked to.
    pub default: bool,
    /// Share of the floating-point operations of the network that runs it most, in hundredths; more than none also of kernels
    /// that half precision asks for.
    pub percent: f64,
}

impl Entry {
    /// The name and the constants, as tables and files name it.
    pub fn label(&self) -> String {
        let constants = self.constants.iter().map(|(name, value)| format!(" {name}={value}"));
        self.kernel.clone() + &constants.collect::<String>()
    }
}

/// The networks whose steps are listed: the paper's, and one of each other kind. Names, images and side.
const NETWORKS: [(&str, u32, u32); 5] = [
    ("wrn-16-2", 32, 32),
    ("wrn-28-10", 32, 32),
    ("wrn-34-10", 128, 32),
    ("resnet50", 32, 224),
    ("convnext-tiny", 32, 224),
];

/// Prints the list, the most used kernels first.
pub fn print(all: bool) -> Result<()> {
    let mut found: BTreeMap<String, Entry> = BTreeMap::new();
    for (name, images, side) in NETWORKS {
        for (training, halves) in [(false, false), (true, false), (false, true), (true, true)] {
            let plan =
                step(name, images, side, training, halves).with_context(|| name.to_owned())?;
            add(&mut found, &[&plan.once, &plan.every], !halves);
        }
    }
    if all {
        for kernel in KERNELS {
            let known = found.values().any(|entry| entry.kernel == kernel.name);
            if !known && !kernel.text().contains("texture_2d") {
                let entry = entry(kernel, BTreeMap::new(), false, 0.0);
                found.insert(entry.label(), entry);
            }
        }
    }
    let mut entries: Vec<_> = found.into_values().collect();
    entries.sort_by(|a, b| b.percent.total_cmp(&a.percent).then(a.label().cmp(&b.label())));
    for entry in entries {
        println!("{}", serde_json::to_string(&entry)?);
    }
    Ok(())
}

fn entry(kernel: &Kernel, constants: BTreeMap<String, f64>, default: bool, percent: f64) -> Entry {
    Entry { kernel: kernel.name.into(), constants, text: kernel.text(), default, percent }
}

/// Adds the launches of a step, which a network runs by default or not, to what was found.
fn add(found: &mut BTreeMap<String, Entry>, recordings: &[&Recording], default: bool) {
    let dispatches = || recordings.iter().flat_map(|recording| &recording.dispatches);
    let whole: u64 = dispatches().map(|dispatch| dispatch.flops).sum();
    let mut shares: BTreeMap<String, Entry> = BTreeMap::new();
    for dispatch in dispatches() {
        let named = |&(name, value): &(&str, f64)| (name.to_owned(), value);
        let constants = dispatch.constants.iter().map(named).collect();
        let new = entry(dispatch.kernel, constants, default, 0.0);
        let held = shares.entry(new.label()).or_insert(new);
        held.percent += 100.0 * dispatch.flops as f64 / whole.max(1) as f64;
    }
    for (label, entry) in shares {
        let held = found.entry(label).or_insert_with(|| entry.clone());
        if held.default == default {
            held.percent = held.percent.max(entry.percent);
        }
    }
}

/// A PGD step, or the gradients of an update; in half precision by cooperative matrices, or in single precision.
fn step(name: &str, images: u32, side: u32, training: bool, halves: bool) -> Result<Plan> {
    let model = network(name)?;
    let size = BatchSize { images, side };
    let adapter = Arc::new(Adapter {
        cooperative: halves.then_some(16),
        ..Adapter::imaginary_gpu(AdapterKind::Discrete)
    });
    let precision = if halves { Precision::HalfWeights } else { Precision::Single };
    let preferences = Preferences { precision, ..Preferences::default() };
    Ok(match training {
        true => plan_update(&model, size, &adapter, &preferences)?,
        false => Pgd::default().plan(&model, size, &adapter, &preferences)?,
    })
}

fn network(name: &str) -> Result<Network> {
    Ok(match name.strip_prefix("wrn-").and_then(|numbers| numbers.split_once('-')) {
        Some((depth, width)) => {
            let (depth, width) = (depth.parse()?, width.parse()?);
            WideResNet::new(depth, width, 3, 10, Activation::Relu, None)?.into()
        }
        None => Network::named(name, 3, 1000, None)?,
    })
}
