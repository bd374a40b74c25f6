//! Names without what wrappers put before them: `DataParallel`, `AveragedModel`, `robustness`, Lightning modules.

/// What the wrappers add; `module.` can come twice.
const PREFIXES: [&str; 3] = ["base_model.", "module.", "model."];

/// Whole numbers that PyTorch keeps beside the weights and nobody here needs: of batch normalisation, and of
/// averaged models.
const COUNTERS: [&str; 2] = ["num_batches_tracked", "n_averaged"];

/// Takes a prefix off while all names have it, and leaves the counters out.
pub fn strip<T>(tensors: &mut Vec<(String, T)>) {
    tensors.retain(|(name, _)| !COUNTERS.contains(&name.rsplit('.').next().unwrap_or_default()));
    let shared = |tensors: &[(String, T)]| {
        let all = |prefix: &&str| tensors.iter().all(|(name, _)| name.starts_with(prefix));
        PREFIXES.into_iter().filter(|_| !tensors.is_empty()).find(all)
    };
    while let Some(prefix) = shared(tensors) {
        for (name, _) in tensors.iter_mut() {
            name.drain(..prefix.len());
        }
    }
}
