//! What a run's folder remembers of it beside checkpoints: its data's identity, and the minutes that it trained.

use crate::train::{Config, Data, Event, Material, Phase, RunFolder};
use crate::{Error, Result};

/// Of training, by the log. A checkpoint does not have it: resumed and unbroken runs would differ in it.
pub(super) fn minutes_before(folder: &RunFolder) -> Result<f64> {
    let (mut minutes, mut last) = (0.0, 0.0);
    for event in RunFolder::read_log(folder.path())? {
        match event {
            Event::Phase { .. } => minutes += std::mem::take(&mut last),
            Event::Step(step) if step.phase <= Phase::Stage2 => {
                last = step.seconds.map_or(last, |seconds| f64::from(seconds) / 60.0);
            }
            _ => {}
        }
    }
    Ok(minutes + last)
}

/// What the run is trained on, as `data.json`; a run that goes on has to find the same.
pub(super) fn record_data(folder: &RunFolder, config: &Config, material: &Material) -> Result<()> {
    const NAME: &str = "data.json";
    let checksum = format!("{:016x}", material.checksum);
    let ood_checksum = material.ood.checksum().map(|checksum| format!("{checksum:016x}"));
    let file = folder.path().join(NAME);
    if let Ok(bytes) = std::fs::read(&file) {
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
            let reason =
                format!("the run began with data of {key} {known:?}, but {name} now has {now:?}");
            return Err(Error::bad_file(file, reason));
        }
    }
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
    folder.write(NAME, format!("{record:#}\n").as_bytes()).map(drop)
}
