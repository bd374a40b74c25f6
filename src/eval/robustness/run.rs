//! Runs one attack after another on the images that no attack has broken yet, in batches, and keeps the state after each batch.

use super::attackers::Target;
use super::checks::{self, PASSES};
use super::lanes::{self, Lane};
use super::ranks::{Outcome, exchange};
use super::{AttackName, AttackResult, AutoAttack, Point, RobustAccuracy, State, Warning};
use crate::eval::rounding::rounding;
use crate::eval::{Classifier, argmax};
use crate::model::{BatchSize, DeviceWeights, Model};
use crate::ops::Norm;
use crate::world::World;
use crate::{Error, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

#[cfg(not(target_arch = "wasm32"))]
use std::time::Instant;
#[cfg(target_arch = "wasm32")]
use web_time::Instant;

/// Batches that are not full come in these steps: each other size is planned anew.
const SIZES: u32 = 8;

/// The progress of an evaluation, reported several times a second.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The attack that is running.
    pub attack: AttackName,
    /// The running attack's index among the settings' attacks, from 0.
    pub number: usize,
    /// The share of the running attack's work that is done, from 0 to 1. Each of its random starts or target classes is an equal
    /// part, of which each image that was still classified correctly when the part began is an equal part in turn.
    pub done: f64,
    /// The number of images on which the running attack began.
    pub tried: usize,
    /// The share of all images that are classified correctly and that no attack has broken so far.
    pub robust_accuracy: f64,
    /// The state to save, so that an interrupted evaluation can go on, in reports at the end of a batch; `None` in all others.
    pub state: Option<&'a State>,
}

impl AutoAttack {
    /// Evaluates a model on images (NCHW in \[0, 1\], of `side` by `side` pixels) with their labels. `state` is the state
    /// of an interrupted evaluation, or none. `progress` may stop the evaluation by an error; it goes on later from the
    /// last [`Progress::state`].
    ///
    /// # Errors
    /// `Mismatch` for no images, images that do not fit the model, settings out of range or that need more classes, and a
    /// state of another evaluation; whatever `progress` returns; the device's errors.
    pub async fn run(
        &self,
        model: &dyn Model,
        weights: &DeviceWeights,
        set: (&[f32], &[u32]),
        side: u32,
        state: Option<State>,
        progress: impl FnMut(&Progress) -> Result<()>,
    ) -> Result<RobustAccuracy> {
        self.run_on(model, std::slice::from_ref(weights), set, side, state, progress).await
    }

    /// Runs the evaluation on several batches at once, each with its own copy of the model's weights in `devices`. This
    /// is for CPU rasterisers, whose launches are too short to keep all cores at work. Natively each batch has a
    /// thread while it is attacked.
    ///
    /// # Errors
    /// The errors of [`AutoAttack::run`], and `Mismatch` for no weights.
    pub async fn run_on(
        &self,
        model: &dyn Model,
        devices: &[DeviceWeights],
        set: (&[f32], &[u32]),
        side: u32,
        state: Option<State>,
        progress: impl FnMut(&Progress) -> Result<()>,
    ) -> Result<RobustAccuracy> {
        self.run_in(&World::one(), model, devices, (set, side), state, progress).await
    }

    /// Runs the evaluation in several processes (the ranks of `world`), each with its own devices. All are given the same images
    /// and state, take part in the attacks on each round of batches and come to the same result, that of one process. Where
    /// `progress` stops one of them by [`Error::Stopped`], all stop after the round of batches that runs.
    ///
    /// # Errors
    /// The errors of [`AutoAttack::run_on`].
    pub async fn run_in(
        &self,
        world: &World,
        model: &dyn Model,
        devices: &[DeviceWeights],
        ((images, labels), side): ((&[f32], &[u32]), u32),
        state: Option<State>,
        mut progress: impl FnMut(&Progress) -> Result<()>,
    ) -> Result<RobustAccuracy> {
        let weights = devices.first().ok_or_else(|| {
            Error::mismatch("attack", "no weights", "weights on one device at least")
        })?;
        let classes = model.classes();
        // As many as the classifier takes at once; no labels are refused below.
        let size = BatchSize { images: self.batch, side }.at_most(labels.len());
        let (most, words) = (size.images as usize, size.words(model)?);
        self.check(classes, words)?;
        if labels.is_empty() || images.len() != labels.len() * words {
            let given =
                format_args!("{} values of images for {} labels", images.len(), labels.len());
            return Err(Error::mismatch(
                "attack",
                given,
                format_args!("an image of {words} values for each label, and at least one image"),
            ));
        }
        let began = Instant::now();
        let identity = self.identity(weights, images, labels).await?;
        let facts = identity.iter().map(|(key, value)| (key.as_str(), value.to_string()));
        world.agree(&facts.collect::<Vec<_>>())?;
        let mut classifier = Classifier::new(model, weights, size).await?;
        let logits = classifier.logits(images).await?;
        // Adapters of other vendors round otherwise: what is decided by these numbers is decided by rank 0's.
        let logits = world.broadcast(bytemuck::cast_slice(&logits).to_vec())?;
        let logits: Vec<f32> = bytemuck::pod_collect_to_vec(&logits);
        let ranks = ranks(&logits, classes as usize);
        let mut warnings = self.look(&mut classifier, images, labels, &logits).await?;
        let fresh = || State::fresh(identity.clone(), &logits, labels, classes as usize);
        let mut state = match state {
            Some(state) => {
                state.check(&identity)?;
                state.fits(labels.len(), words)?;
                state
            }
            None => fresh(),
        };
        let before = state.seconds;
        let mut lanes: Vec<Lane> = devices.iter().map(Lane::new).collect();
        // Those of all ranks, one after the other.
        let counts: Vec<usize> = world.gather(vec![0; lanes.len()])?.iter().map(Vec::len).collect();
        let all_lanes: usize = counts.iter().sum();
        let before_mine: usize = counts.iter().take(world.rank()).sum();

        let mut stopped = false;
        while let Some(&attack) = self.attacks.get(state.attack) {
            let rounds = self.rounds(attack, classes);
            if state.round >= rounds || state.standing.is_empty() {
                state.attack += 1;
                state.begin_round(0);
                continue;
            }
            if state.results.len() <= state.attack {
                let robust_accuracy = state.robust_accuracy();
                let tried = state.standing.len();
                let seconds = 0.0;
                state.results.push(AttackResult {
                    attack,
                    tried,
                    broken: 0,
                    robust_accuracy,
                    seconds,
                });
            }
            let size = self.batch_size(state.standing.len(), all_lanes);
            let from = state.done;
            let members: Vec<usize> =
                state.standing.iter().skip(from).take(size * all_lanes).copied().collect();
            if members.is_empty() {
                state.begin_round(state.round + 1);
                continue;
            }
            let batch_began = Instant::now();
            let padded = BatchSize { images: (size as u32).next_multiple_of(SIZES), side };
            let padded = padded.at_most(most);
            let rank = self.rank(attack, state.round);
            let mut work = Vec::new();
            let mine = || members.chunks(size).skip(before_mine);
            for (lane, members) in lanes.iter_mut().zip(mine()) {
                let attacker = lane.attacker(self, attack, model, padded).await?;
                work.push((attacker, target(images, labels, &ranks, members, rank)));
            }
            let (tried, robust_accuracy) =
                (state.results.last().map_or(0, |result| result.tried), state.robust_accuracy());
            let (number, standing, round) = (state.attack, state.standing.len(), state.round);
            let share = |part: f64| {
                let through = (from as f64 + part * members.len() as f64) / standing as f64;
                (f64::from(round) + through) / f64::from(rounds)
            };
            let mut stop = false;
            let told = |part| {
                let done = share(part);
                let at = Progress { attack, number, done, tried, robust_accuracy, state: None };
                match progress(&at) {
                    // The others wait for what becomes of this rank's images.
                    Err(Error::Stopped) if world.is_shared() => {
                        stop = true;
                        Ok(())
                    }
                    other => other,
                }
            };
            let busy = Instant::now();
            let found = lanes::attack(&mut work, self, state.round, told).await?;
            state.busy_seconds += busy.elapsed().as_secs_f64();
            let mut outcomes = Vec::new();
            for ((found, (_, target)), members) in found.iter().zip(&work).zip(mine()) {
                let logits = classifier.logits(&found.images).await;
                let logits = logits.map_err(|error| error.among(members))?;
                let named = argmax(&logits, classes as usize);
                let broken = named.iter().zip(&target.labels).zip(&found.within);
                let broken: Vec<bool> =
                    broken.map(|((named, label), within)| named != label && *within).collect();
                let pairs = broken.iter().zip(found.images.chunks(words));
                let images = pairs.filter(|(broken, _)| **broken).flat_map(|(_, image)| image);
                let images = images.copied().collect();
                outcomes.push(Outcome { broken, images, flat: found.flat });
            }
            let (outcomes, stop) = exchange(world, outcomes, stop || stopped)?;
            for (outcome, members) in outcomes.iter().zip(members.chunks(size)) {
                let Outcome { broken, images, flat: flat_here } = outcome;
                state.take_in(members, broken, images, attack, words);
                let [of, flat] = state.flat.entry(attack).or_default();
                *of += members.len();
                *flat += flat_here;
                if let Some(result) = state.results.last_mut() {
                    result.broken += broken.iter().filter(|&&broken| broken).count();
                }
            }
            state.done = from + members.len();
            let robust_accuracy = state.robust_accuracy();
            if let Some(result) = state.results.last_mut() {
                result.robust_accuracy = robust_accuracy;
                result.seconds += batch_began.elapsed().as_secs_f64();
            }
            state.seconds = before + began.elapsed().as_secs_f64();
            let done = share(1.0);
            let kept = Some(&state);
            let at = Progress { attack, number, done, tried, robust_accuracy, state: kept };
            match progress(&at) {
                Err(Error::Stopped) if world.is_shared() => stopped = true,
                other => other?,
            }
            if world.is_shared() && stop {
                return Err(Error::Stopped);
            }
        }
        state.seconds = before + began.elapsed().as_secs_f64();
        let flat = state.flat.iter().filter(|(_, [_, flat])| *flat > 0);
        warnings.extend(flat.map(|(&attack, &[of, flat])| Warning::ZeroGradient {
            attack,
            share: flat as f64 / of.max(1) as f64,
        }));
        warnings.extend(checks::square(&state.results, labels.len()));
        Ok(self.result(state, images, words, warnings))
    }

    /// Returns the facts that must agree for a saved state to belong to this evaluation.
    async fn identity(
        &self,
        weights: &DeviceWeights,
        images: &[f32],
        labels: &[u32],
    ) -> Result<Map<String, Value>> {
        let mut hash = crc32fast::Hasher::new();
        for (name, tensor) in weights.download().await?.iter() {
            hash.update(name.as_bytes());
            hash.update(bytemuck::cast_slice(&tensor.data));
        }
        let of = |bytes: &[u8]| format!("{:08x}", crc32fast::hash(bytes)).into();
        let names: Vec<_> = self.attacks.iter().map(|attack| attack.name()).collect();
        let pairs: [(&str, Value); 13] = [
            ("norm", format!("{:?}", self.norm).into()),
            ("eps", self.eps.into()),
            ("attacks", names.into()),
            ("seed", self.seed.into()),
            ("batch", self.batch.into()),
            ("steps", self.steps.into()),
            ("restarts", self.restarts.into()),
            ("targets", self.targets.into()),
            ("queries", self.queries.into()),
            ("pgd", json!(format!("{:?}", self.pgd))),
            ("weights", format!("{:08x}", hash.finalize()).into()),
            ("images", of(bytemuck::cast_slice(images))),
            ("labels", of(bytemuck::cast_slice(labels))),
        ];
        let pairs = pairs.into_iter().chain(rounding(weights.gpu().preferences()));
        Ok(pairs.map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// Warnings before any attack.
    async fn look(
        &self,
        classifier: &mut Classifier,
        images: &[f32],
        labels: &[u32],
        logits: &[f32],
    ) -> Result<Vec<Warning>> {
        let first = labels.len().min(self.batch as usize);
        let part = images.get(..images.len() / labels.len() * first).unwrap_or(images);
        let mut passes = Vec::new();
        for _ in 0..PASSES {
            passes.push(classifier.logits(part).await?);
        }
        let classes = classifier.classes();
        let randomised = checks::randomised(&passes, labels, classes);
        Ok(randomised.into_iter().chain(checks::probabilities(logits, classes)).collect())
    }

    /// The rank among logits of the class that a round goes to; the label's is 0.
    pub(super) fn rank(&self, attack: AttackName, round: u32) -> usize {
        let round = if attack == AttackName::Pgd { round / self.pgd.restarts } else { round };
        round as usize + 1
    }

    /// Returns the number of images in a batch: batches of a round are of about one size, and large enough for all lanes
    /// where possible.
    fn batch_size(&self, standing: usize, lanes: usize) -> usize {
        let least = standing.div_ceil(self.batch as usize).max(1);
        let batches =
            least.next_multiple_of(lanes).min(standing.div_ceil(SIZES as usize)).max(least);
        standing.div_ceil(batches)
    }

    fn result(
        &self,
        state: State,
        images: &[f32],
        words: usize,
        warnings: Vec<Warning>,
    ) -> RobustAccuracy {
        let mut found = images.to_vec();
        let mut max_perturbation = None;
        for (&at, image) in &state.broken {
            let Some(place) = found.get_mut(at * words..(at + 1) * words) else { continue };
            let moves = place.iter().zip(image).map(|(a, b)| f64::from(*a) - f64::from(*b));
            let distance = match self.norm {
                Norm::L2 => moves.map(|d| d * d).sum::<f64>().sqrt(),
                Norm::Linf => moves.fold(0.0, |most, d| d.abs().max(most)),
            };
            max_perturbation = Some(distance.max(max_perturbation.unwrap_or(0.0)));
            place.copy_from_slice(image);
        }
        let range = found.iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[least, most], &v| {
            [least.min(v), most.max(v)]
        });
        let right = state.count(|point| point != Point::Wrong);
        RobustAccuracy {
            version: self.version(),
            norm: self.norm,
            eps: self.eps,
            clean_accuracy: right as f64 / state.points.len() as f64,
            robust_accuracy: state.robust_accuracy(),
            attacks: state.results,
            nan: found.iter().filter(|value| value.is_nan()).count(),
            points: state.points,
            images: found,
            warnings,
            max_perturbation,
            range,
            seconds: state.seconds,
            busy_seconds: state.busy_seconds,
        }
    }
}

impl State {
    fn fresh(identity: Map<String, Value>, logits: &[f32], labels: &[u32], classes: usize) -> Self {
        let named = argmax(logits, classes);
        let point = |(named, label)| if named == label { Point::Robust } else { Point::Wrong };
        let points = named.iter().zip(labels).map(point).collect();
        let mut state = Self {
            identity,
            points,
            broken: BTreeMap::new(),
            results: Vec::new(),
            flat: BTreeMap::new(),
            attack: 0,
            round: 0,
            standing: Vec::new(),
            done: 0,
            seconds: 0.0,
            busy_seconds: 0.0,
        };
        state.begin_round(0);
        state
    }

    fn begin_round(&mut self, round: u32) {
        let standing = |(at, &point): (usize, &Point)| (point == Point::Robust).then_some(at);
        self.standing = self.points.iter().enumerate().filter_map(standing).collect();
        (self.round, self.done) = (round, 0);
    }

    fn take_in(
        &mut self,
        members: &[usize],
        broken: &[bool],
        images: &[f32],
        attack: AttackName,
        words: usize,
    ) {
        let of_broken = members.iter().zip(broken).filter(|(_, broken)| **broken);
        for ((&at, _), image) in of_broken.zip(images.chunks(words)) {
            if let Some(point) = self.points.get_mut(at) {
                *point = Point::Broken(attack);
                self.broken.insert(at, image.to_vec());
            }
        }
    }
}

/// The classes of each image by its logits, likeliest first, of equals the first.
pub(super) fn ranks(logits: &[f32], classes: usize) -> Vec<u32> {
    let mut ranks = Vec::with_capacity(logits.len());
    for row in logits.chunks(classes) {
        let mut order: Vec<(u32, f32)> = (0..).zip(row.iter().copied()).collect();
        order.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        ranks.extend(order.iter().map(|(class, _)| class));
    }
    ranks
}

/// The images of a batch, each with the class of this rank among those that are not its label, likeliest first, from rank 1 on. An
/// image that is classified rightly has its label in front of them.
pub(super) fn target(
    images: &[f32],
    labels: &[u32],
    ranks: &[u32],
    members: &[usize],
    rank: usize,
) -> Target {
    let (words, classes) = (images.len() / labels.len(), ranks.len() / labels.len());
    let mut target = Target::default();
    for &at in members {
        target.images.extend(images.get(at * words..(at + 1) * words).unwrap_or_default());
        target.labels.extend(labels.get(at));
        let order = ranks.get(at * classes..(at + 1) * classes).unwrap_or_default();
        let label = order.iter().position(|class| labels.get(at) == Some(class)).unwrap_or(0);
        let place = if rank <= label { rank - 1 } else { rank.min(classes - 1) };
        target.targets.extend(order.get(place));
        target.ids.push(at as u32);
    }
    target
}

#[test]
fn targets_leave_the_label_out() {
    // Two images of three classes, likeliest first; the first image is classified wrongly, as its label is 0.
    let (ranks, labels) = ([2, 0, 1, 1, 2, 0], [0, 1]);
    let towards = |rank| target(&[0.0; 2], &labels, &ranks, &[0, 1], rank).targets;
    assert_eq!((towards(1), towards(2)), (vec![2, 2], vec![1, 0]));
}
