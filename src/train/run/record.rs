//! Records the fingerprint of a run's data in its folder, so that the run is only resumed with the same data.

use crate::train::run_folder::DATA;
use crate::train::{Config, Data, Material, RunFolder};
use crate::{Error, Result};

/// Writes the checksums of the run's data to `data.json`; a resumed run must find the same, and leaves its folder
/// unchanged otherwise.
pub(super) fn record_data(
    folder: &mut RunFolder,
    config: &Config,
    material: &Material,
) -> Result<()> {
    if !folder.world().is_first() {
        return Ok(());
    }
    let checksum = format!("{:016x}", material.checksum);
    let ood_checksum = material.ood.checksum().map(|checksum| format!("{checksum:016x}"));
    let file = folder.path().join(DATA);
    let known = std::fs::read(&file).ok().filter(|_| !folder.renews_data());
    if let Some(bytes) = known {
        let known: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| Error::bad_file(&file, error))?;
        let Data { train, ood, .. } = &config.data;
        let both =
            [("checksum", train, Some(&checksum)), ("ood_checksum", ood, ood_checksum.as_ref())];
        for (key, name, now) in both {
            let Some(now) = now else { continue };
            // The first versions did not know that of out-of-distribution images.
            let known = known.get(key).and_then(|known| known.as_str());
            let Some(known) = known.filter(|known| known != now) else { continue };
            let reason = format!(
                "the images in {name} have changed since the run began: their {key} was {known:?}, but now is {now:?}"
            );
            return Err(Error::bad_file(file, reason));
        }
    }
    folder.settle()?;
    let [damaged, ood_damaged] = material.damaged();
    let record = serde_json::json!({
        "train": config.data.train,
        "checksum": checksum,
        "training_images": material.train.len(),
        "test_images": material.test.len(),
        "damaged": damaged,
        "ood": config.data.ood,
        "ood_checksum": ood_checksum,
        "ood_damaged": ood_damaged,
    });
    folder.write(DATA, format!("{record:#}\n").as_bytes()).map(drop)
}
