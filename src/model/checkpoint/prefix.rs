//! Names without what wrappers put before them: `DataParallel`, `AveragedModel`, `robustness`.

use crate::model::{StateDict, Tensor};

/// What the wrappers add; `module.` can come twice.
const PREFIXES: [&str; 2] = ["base_model.", "module."];

/// The counter of PyTorch's averaged models, whichever wrapper is around it.
const COUNTER: &str = "n_averaged";

/// Takes a prefix off while all names have it.
pub fn strip(mut tensors: Vec<(String, Tensor)>) -> StateDict {
    tensors.retain(|(name, _)| bare(name) != COUNTER);
    let shared = |tensors: &[(String, Tensor)]| {
        let all = |prefix: &&str| tensors.iter().all(|(name, _)| name.starts_with(prefix));
        PREFIXES.into_iter().filter(|_| !tensors.is_empty()).find(all)
    };
    while let Some(prefix) = shared(&tensors) {
        for (name, _) in &mut tensors {
            name.drain(..prefix.len());
        }
    }
    tensors.into_iter().collect()
}

fn bare(name: &str) -> &str {
    PREFIXES.iter().fold(name, |name, prefix| name.trim_start_matches(prefix))
}
