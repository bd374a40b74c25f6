//! Names without what wrappers put before them: `DataParallel`, `AveragedModel`, `robustness`.

use crate::model::{StateDict, Tensor};

/// What the wrappers add; `module.` can come twice.
const PREFIXES: [&str; 2] = ["base_model.", "module."];

/// The counter of PyTorch's averaged models, whichever wrapper is around it.
const COUNTER: &str = "n_averaged";

/// Takes a prefix off while all names have it. Err, as a reason, if two names become one.
pub fn strip(tensors: Vec<(String, Tensor)>) -> Result<StateDict, String> {
    let mut tensors = tensors;
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
    let mut dict = StateDict::default();
    for (name, tensor) in tensors {
        if dict.insert(&name, tensor).is_some() {
            return Err(format!("{name}: two tensors of this name"));
        }
    }
    Ok(dict)
}

fn bare(name: &str) -> &str {
    PREFIXES.iter().fold(name, |name, prefix| name.trim_start_matches(prefix))
}
