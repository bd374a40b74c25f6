//! Which of the dicts in a checkpoint holds the weights: the only one with tensors, or of several the one asked
//! for, or the averaged weights before the others.

use super::globals::Storage;
use super::pickle::{Node, Pickle, Value};
use super::{Tensors, stored};
use crate::model::checkpoint::Part;
use crate::model::checkpoint::input::Checked;
use crate::model::checkpoint::stored::{Stored, Summed};
use std::collections::BTreeMap;

/// Keys under which training states keep an average.
const AVERAGED: [&str; 5] = ["ema_state_dict", "state_dict_ema", "model_ema", "ema_model", "ema"];
/// Keys under which they keep the weights that are trained.
const TRAINED: [&str; 5] = ["model_state_dict", "state_dict", "model", "net", "network"];

/// Dicts in dicts are looked through so deep.
const DEEPEST: usize = 4;

/// The tensors of one dict. `place` gives a storage's first byte and its sum, by its key.
pub fn tensors(
    pickle: Pickle,
    part: &Part,
    mut place: impl FnMut(&str, &Storage) -> Checked<(u64, Option<Summed>)>,
) -> Checked<Tensors> {
    let candidates = candidates(&pickle)?;
    let (name, dict) = choose(candidates, part)?;
    let mut found: BTreeMap<&str, Stored> = BTreeMap::new();
    let mut described = 0;
    for &(key, value) in pickle.dict(dict).unwrap_or_default() {
        let (Some(key), Some(Node::Tensor(tensor))) = (pickle.text(key), pickle.node(value)) else {
            continue;
        };
        let storage = pickle.text(tensor.storage.key).unwrap_or_default();
        let (start, summed) =
            place(storage, &tensor.storage).map_err(|reason| format!("{key}: {reason}"))?;
        described += key.len() + size_of::<(String, Stored)>() + 16 * tensor.shape.len();
        pickle.budget.allows(described)?;
        // As in Python, the last of one name counts.
        found.insert(key, stored(tensor, start, summed));
    }
    let tensors = found.into_iter().map(|(name, stored)| (name.to_owned(), stored)).collect();
    let part = Some(name).filter(|name| !name.is_empty());
    Ok(Tensors { part, tensors })
}

/// All dicts with tensors that string keys lead to from the outermost object, which is named "".
fn candidates(pickle: &Pickle) -> Checked<Vec<(String, Value)>> {
    let mut found = Vec::new();
    let mut seen = vec![false; pickle.nodes().len()];
    let mut named = 0;
    let mut level = vec![(String::new(), pickle.result)];
    for _ in 0..DEEPEST {
        let mut next = Vec::new();
        for (name, value) in level {
            let (Value::Node(id), Some(items)) = (value, pickle.dict(value)) else { continue };
            // Dicts can be shared and can hold themselves.
            if seen.get_mut(id as usize).is_none_or(|seen| std::mem::replace(seen, true)) {
                continue;
            }
            let mut has_tensors = false;
            for &(key, value) in items {
                let Some(key) = pickle.text(key) else { continue };
                match pickle.node(value) {
                    Some(Node::Tensor(_)) => has_tensors = true,
                    Some(Node::Dict(_)) => {
                        named += name.len() + key.len() + size_of::<(String, Value)>();
                        pickle.budget.allows(named)?;
                        let dot = if name.is_empty() { "" } else { "." };
                        next.push((format!("{name}{dot}{key}"), value));
                    }
                    _ => {}
                }
            }
            if has_tensors {
                found.push((name, value));
            }
        }
        level = next;
    }
    Ok(found)
}

fn choose(mut candidates: Vec<(String, Value)>, part: &Part) -> Checked<(String, Value)> {
    let named = |keys: &[&str], (name, _): &(String, Value)| {
        name.rsplit('.').next().is_some_and(|last| keys.contains(&last))
    };
    let at = |wanted: &dyn Fn(&(String, Value)) -> bool| candidates.iter().position(wanted);
    let averaged = || at(&|candidate| named(&AVERAGED, candidate));
    let trained = || at(&|candidate| named(&TRAINED, candidate));
    let bare = || at(&|(name, _)| name.is_empty());
    let only = || (candidates.len() == 1).then_some(0);
    let found = match part {
        Part::Best => averaged().or_else(trained).or_else(bare).or_else(only),
        Part::Averaged => averaged(),
        Part::Trained => trained().or_else(bare),
        Part::Named(wanted) => at(&|(name, _)| name == wanted),
    };
    if let Some(found) = found {
        return Ok(candidates.swap_remove(found));
    }
    if candidates.is_empty() {
        return Err("no dict with tensors is in it".into());
    }
    let names: Vec<_> = candidates
        .iter()
        .map(|(name, _)| if name.is_empty() { "the file itself" } else { name.as_str() })
        .collect();
    Err(format!("{part} wanted, but its weights are in: {}", names.join(", ")))
}
