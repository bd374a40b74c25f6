//! Brings the tensor names of a checkpoint to those that the built-in networks have: takes off the prefixes of wrappers
//! (`DataParallel`, `torch.compile`, averaged models, Lightning modules, `robustness`), and leaves out second copies of the
//! network and counters such as `num_batches_tracked`. Of a network and its average it keeps the average, unless the caller chooses
//! the other. An input mean and standard deviation that are stored as tensors are taken out as the network's input normalisation.

use super::StateDictChoice;
use crate::model::{Normalisation, StateDict};
use std::collections::{BTreeMap, BTreeSet};

/// Prefixes that wrappers such as DataParallel add to tensors' names, sometimes several in turn or one twice.
const PREFIXES: [&str; 11] = [
    "base_model.",
    "module.",
    "_orig_mod.",
    "model.",
    "net.",
    "network.",
    "backbone.",
    "encoder.",
    "student.",
    ATTACKER,
    "f.",
];

/// The `robustness` library keeps the network twice: itself, and in what attacks it.
const ATTACKER: &str = "attacker.";

/// Prefixes that wrappers put before the names of a network that is itself a part of a module.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// Words in the name of a part of a module that is an average of another part.
const AVERAGED: [&str; 5] = ["ema", "swa", "averaged", "avg", "shadow"];

/// In a sequence of a normalisation and a network, the network.
const SECOND: &str = "1.";
const FIRST: [&str; 2] = ["0.mean", "0.mu"];

/// Whole numbers that PyTorch keeps beside the weights and nobody here needs: of batch normalisation, and of
/// averaged models.
const COUNTERS: [&str; 2] = ["num_batches_tracked", "n_averaged"];

/// Last parts of the names under which a file can hold a normalisation's constants: mean, then deviation.
const NORMALISATIONS: [[&str; 2]; 4] =
    [["mean", "std"], ["mu", "sigma"], ["new_mean", "new_std"], ["_mean", "_std"]];

/// What [`tidy`] reports after it took prefixes that wrappers such as DataParallel add off the tensors' names of a checkpoint.
#[derive(Debug, Default)]
pub struct Tidied {
    /// Names of the tensors without the prefix that most tensors have: they belong to other parts than the network, or to
    /// its last layer.
    pub outside: BTreeSet<String>,
    /// One sentence about each tensor or group of tensors that was left out.
    pub notes: Vec<String>,
    /// Whether a network and its average lay side by side, so that there was a choice.
    pub chosen: bool,
}

/// Leaves out counters and copies, and takes prefixes off while more than half of the names have one. `is_whole` says of
/// a tensor whether its numbers are whole ones, as no weights are. Where a network and its average lie side by side, the
/// average is left unless `part` is the trained one.
pub fn tidy<T>(
    tensors: &mut Vec<(String, T)>,
    part: &StateDictChoice,
    is_whole: impl Fn(&T) -> bool,
) -> Tidied {
    let mut tidied = Tidied::default();
    tensors.retain(|(name, _)| !COUNTERS.contains(&last(name)));
    if tensors.iter().any(|(_, tensor)| !is_whole(tensor)) {
        let whole = tensors.extract_if(.., |(_, tensor)| is_whole(tensor));
        let whole: Vec<_> = whole.map(|(name, _)| name).collect();
        tell(&mut tidied.notes, "whole numbers, which are no weights", whole);
    }
    if let Some([average, trained]) = average(tensors) {
        let other = if *part == StateDictChoice::Trained { average } else { trained };
        let left_out = tensors.extract_if(.., |(name, _)| name.starts_with(&other));
        let left_out = left_out.map(|(name, _)| name).collect();
        let what = "one of two sets of weights (--weights ema or model chooses)";
        tell(&mut tidied.notes, what, left_out);
        tidied.chosen = true;
    }
    loop {
        let copies = copies(tensors);
        if !copies.is_empty() {
            tensors.retain(|(name, _)| !copies.contains(name));
            let copies = copies.into_iter().collect();
            tell(&mut tidied.notes, "a second copy of the network", copies);
        }
        let prefix = match most(tensors, &tidied.outside) {
            Some(prefix) => prefix.to_owned(),
            None => match common(tensors, &tidied.outside) {
                Some(prefix) => {
                    let shown = prefix.escape_debug();
                    tidied.notes.push(format!("prefix taken off all names: {shown}"));
                    prefix
                }
                None => break,
            },
        };
        // Of two tensors of one name then, the network's is the one that had the prefix.
        let has = |name: &str, outside: &BTreeSet<String>| {
            name.starts_with(&prefix) && !outside.contains(name)
        };
        let stripped = tensors.iter().filter(|(name, _)| has(name, &tidied.outside));
        let stripped: BTreeSet<String> =
            stripped.filter_map(|(name, _)| name.get(prefix.len()..)).map(str::to_owned).collect();
        let both = tensors
            .extract_if(.., |(name, _)| stripped.contains(name) && !has(name, &tidied.outside));
        let both: Vec<_> = both.map(|(name, _)| name).collect();
        tidied.outside.retain(|name| !both.contains(name));
        tell(&mut tidied.notes, "tensors of the same names outside the network", both);
        for (name, _) in tensors.iter_mut() {
            if has(name, &tidied.outside) {
                name.drain(..prefix.len());
            } else {
                tidied.outside.insert(name.clone());
            }
        }
    }
    tidied
}

/// Prefixes of two parts that have tensors of the same names, of which the first is an average by its name.
fn average<T>(tensors: &[(String, T)]) -> Option<[String; 2]> {
    let mut parts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, _) in tensors {
        let Some((part, mut rest)) = name.split_once('.') else { continue };
        while let Some(bare) = WRAPPERS.iter().find_map(|wrapper| rest.strip_prefix(wrapper)) {
            rest = bare;
        }
        parts.entry(part).or_default().insert(rest);
    }
    let is_average = |part: &str| part.split('_').any(|word| AVERAGED.contains(&word));
    let (average, names) =
        parts.iter().find(|(part, names)| is_average(part) && names.len() > 1)?;
    let (trained, _) = parts.iter().find(|(part, others)| !is_average(part) && *others == names)?;
    Some([average, trained].map(|part| format!("{part}.")))
}

/// The names that prefixes are told by: those inside, without the constants of a normalisation, which lies beside the network.
fn inside<'a, T>(
    tensors: &'a [(String, T)],
    outside: &BTreeSet<String>,
) -> impl Iterator<Item = &'a String> {
    let constant = |name: &str| NORMALISATIONS.as_flattened().contains(&last(name));
    let names = tensors.iter().map(|(name, _)| name);
    names.filter(move |name| !outside.contains(*name) && !constant(name))
}

/// The known prefix that more than half of the names inside have.
fn most<T>(tensors: &[(String, T)], outside: &BTreeSet<String>) -> Option<&'static str> {
    let inside = || inside(tensors, outside);
    let count = inside().count();
    let second = tensors.iter().any(|(name, _)| FIRST.contains(&name.as_str())).then_some(SECOND);
    PREFIXES.into_iter().chain(second).find(|prefix| {
        let with = inside().filter(|name| name.len() > prefix.len() && name.starts_with(prefix));
        2 * with.count() > count
    })
}

/// The first part that all names inside have, whatever a wrapper calls its network, unless it is a layer's own name: then
/// one part alone follows.
fn common<T>(tensors: &[(String, T)], outside: &BTreeSet<String>) -> Option<String> {
    let first = inside(tensors, outside).next()?;
    let prefix = first.split_inclusive('.').next().filter(|part| part.ends_with('.'))?;
    let fits = |name: &String| name.strip_prefix(prefix).is_some_and(|rest| rest.contains('.'));
    inside(tensors, outside).all(fits).then(|| prefix.to_owned())
}

/// Names in the attacker of which the same without it is there too.
fn copies<T>(tensors: &[(String, T)]) -> BTreeSet<String> {
    let names: BTreeSet<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
    let is_copy = |name: &&str| {
        let parts = name.match_indices(ATTACKER);
        parts.into_iter().any(|(at, _)| {
            let (before, after) = name.split_at(at);
            let after = after.get(ATTACKER.len()..).unwrap_or_default();
            (at == 0 || before.ends_with('.'))
                && names.contains(format!("{before}{after}").as_str())
        })
    };
    names.iter().filter(|name| is_copy(name)).map(|&name| name.to_owned()).collect()
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or_default()
}

/// Adds a note with the number of tensors and the first of their names.
pub fn tell(notes: &mut Vec<String>, what: &str, names: Vec<String>) {
    let Some(first) = names.first() else { return };
    let first = first.escape_debug();
    notes.push(match names.len() {
        1 => format!("left out {what}: {first}"),
        count => format!("left out {what}: {first} and {} more", count - 1),
    });
}

/// Removes the input normalisation (mean and std) from the tensors and returns it. Err where the file has two that differ. None,
/// with a note, where it is for images of other values than \[0, 1\].
pub fn normalisation(
    weights: &mut StateDict,
    notes: &mut Vec<String>,
) -> Result<Option<Normalisation>, String> {
    let mut found: Option<(String, Normalisation)> = None;
    let names: Vec<String> = weights.iter().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        let Some([_, std]) = NORMALISATIONS.into_iter().find(|[mean, _]| last(&name) == *mean)
        else {
            continue;
        };
        let before = name.get(..name.len() - last(&name).len()).unwrap_or_default();
        let other = format!("{before}{std}");
        let numbers = |name: &str| {
            let tensor = weights.get(name).ok()?;
            let flat = tensor.shape.iter().filter(|&&side| side > 1).count() < 2;
            (flat && (1..=4).contains(&tensor.data.len())).then(|| tensor.data.clone())
        };
        let (Some(mean), Some(std)) = (numbers(&name), numbers(&other)) else { continue };
        let given = Normalisation { mean, std };
        weights.remove(&name);
        weights.remove(&other);
        match &found {
            Some((first, known)) if *known != given => {
                return Err(format!(
                    "the file has two input normalisations that differ: the tensors {first}, and the tensors {name}, {other}"
                ));
            }
            Some(_) => {}
            None => found = Some((format!("{name}, {other}"), given)),
        }
    }
    let Some((names, given)) = found else { return Ok(None) };
    if given.of_bytes().is_some() {
        notes.push(format!(
            "left out the normalisation in {names}, made for pixels of 0 to 255: {:?}, {:?}",
            given.mean, given.std
        ));
        return Ok(None);
    }
    notes.push(format!("normalisation taken from {names}"));
    Ok(Some(given))
}
