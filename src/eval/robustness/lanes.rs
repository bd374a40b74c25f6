//! Attacks several batches of images at once, each on a wgpu device of its own: for CPU rasterisers, on which one batch does not
//! keep all cores busy.

use super::attackers::{Attacker, Target};
use super::{AttackName, AutoAttack};
use crate::Result;
use crate::attack::Found;
use crate::model::{BatchSize, DeviceWeights, Model};

/// A device and the attack that is ready on it.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    weights: &'a DeviceWeights,
    attacker: Option<Attacker>,
}

impl<'a> Lane<'a> {
    /// Makes a lane with no attack ready.
    pub fn new(weights: &'a DeviceWeights) -> Self {
        Self { weights, attacker: None }
    }

    /// Returns the attack for batches of this size, which is made ready unless it is already.
    pub async fn attacker(
        &mut self,
        settings: &AutoAttack,
        name: AttackName,
        model: &dyn Model,
        size: BatchSize,
    ) -> Result<&mut Attacker> {
        let made = match self.attacker.take_if(|made| made.is(name, size)) {
            Some(made) => made,
            None => {
                // The old one's memory first.
                drop(self.attacker.take());
                Attacker::new(settings, name, model, self.weights, size).await?
            }
        };
        Ok(self.attacker.insert(made))
    }
}

/// Runs the attackers, each on its own targets, and returns their results. `progress` is given the share of all work that
/// is done, and may stop them.
pub(super) async fn attack(
    work: &mut [(&mut Attacker, Target)],
    settings: &AutoAttack,
    round: u32,
    mut progress: impl FnMut(f64) -> Result<()>,
) -> Result<Vec<Found>> {
    #[cfg(not(target_arch = "wasm32"))]
    if work.len() > 1 {
        return side_by_side::attack(work, settings, round, progress);
    }
    let mut all = Vec::new();
    let batches = work.len() as f64;
    for (done, (attacker, target)) in work.iter_mut().enumerate() {
        let told = |share| progress((done as f64 + share) / batches);
        all.push(attacker.attack(settings, round, target, told).await?);
    }
    Ok(all)
}

#[cfg(not(target_arch = "wasm32"))]
mod side_by_side {
    use super::{Attacker, AutoAttack, Found, Target};
    use crate::{Error, Result, threads};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::thread::{Builder, scope};

    /// The task of a thread, for error messages.
    const DOING: &str = "attacking a batch";

    /// A thread each: natively a future that waits for its device holds its thread. This one tells of progress meanwhile.
    pub(super) fn attack(
        work: &mut [(&mut Attacker, Target)],
        settings: &AutoAttack,
        round: u32,
        mut progress: impl FnMut(f64) -> Result<()>,
    ) -> Result<Vec<Found>> {
        let batches = work.len();
        let stop = AtomicBool::new(false);
        scope(|scope| {
            let (sender, shares) = channel();
            let mut threads = Vec::new();
            for (i, (attacker, target)) in work.iter_mut().enumerate() {
                let (sender, stop) = (sender.clone(), &stop);
                let told = move |share: f64| {
                    // Nobody listens any more where another thread has failed.
                    _ = sender.send((i, share));
                    if stop.load(Ordering::Relaxed) { Err(Error::Stopped) } else { Ok(()) }
                };
                let attack = move || {
                    let attack = || attacker.attack(settings, round, target, told);
                    let found = threads::caught(DOING, || pollster::block_on(attack()));
                    if found.is_err() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    found
                };
                let spawned =
                    Builder::new().name(format!("attack {i}")).spawn_scoped(scope, attack);
                match spawned {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        stop.store(true, Ordering::Relaxed);
                        return Err(threads::none(DOING, &error));
                    }
                }
            }
            drop(sender);
            let mut done = vec![0.0; batches];
            let mut told = Ok(());
            for (i, share) in shares {
                if let Some(place) = done.get_mut(i) {
                    *place = share;
                }
                if told.is_ok() {
                    told = progress(done.iter().sum::<f64>() / batches as f64);
                    stop.fetch_or(told.is_err(), Ordering::Relaxed);
                }
            }
            let joined = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|panic| Err(threads::panicked(DOING, &*panic)))
            });
            // Why it was stopped goes before that it was.
            let found: Vec<_> = joined.collect();
            told?;
            let mut all = Vec::new();
            let mut stopped = None;
            for found in found {
                match found {
                    Ok(found) => all.push(found),
                    Err(Error::Stopped) => stopped = Some(Error::Stopped),
                    Err(error) => return Err(error),
                }
            }
            stopped.map_or(Ok(all), Err)
        })
    }
}
