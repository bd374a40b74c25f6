//! Finds the set of tensors that holds the weights of a PyTorch checkpoint: the only one, or of several the one asked
//! for, or averaged weights before others. A set is a dict of tensors, or a whole module that was pickled with its class,
//! whose `_parameters`, `_buffers` and `_modules` say the same as its state dict would.

use super::{Tensors, stored};
use crate::error::listed;
use crate::files::{Checked, Node, Pickle, Storage, TensorPlace, Value, elements, other_tensor};
use crate::model::checkpoint::StateDictChoice;
use crate::model::checkpoint::stored::{Stored, Summed};
use std::collections::BTreeMap;

/// Keys under which training states keep an average.
const AVERAGED: [&str; 14] = [
    "ema_state_dict",
    "state_dict_ema",
    "model_ema",
    "ema_model",
    "ema",
    "shadow",
    "swa_model",
    "swa_state_dict",
    "state_dict_swa",
    "model_swa",
    "swa",
    "averaged_model",
    "avg_model",
    "ema_params",
];
/// Keys under which they keep the weights that are trained.
const TRAINED: [&str; 8] = [
    "model_state_dict",
    "state_dict",
    "model",
    "net",
    "network",
    "model_state",
    "weights",
    "params",
];

/// Dicts in dicts are looked through so deep, where nothing is found there so much deeper, and modules in modules.
const DEEPEST: usize = 4;
const DEEPEST_SEARCH: usize = 12;
const DEEPEST_MODULE: usize = 64;

/// The number of copies of a tensor's name that reading may hold at once: see [`names`](crate::model::checkpoint::names).
const NAMES: usize = 6;

/// A set of tensors.
struct Set {
    /// The keys that lead to it, with dots; empty for the outermost object.
    name: String,
    value: Value,
    is_module: bool,
    /// Whether the set has a tensor with more than one number.
    is_weights: bool,
}

/// Returns the tensors of the chosen state dict. `place` gives a storage's first byte and its sum, by its key.
pub fn tensors(
    mut pickle: Pickle,
    part: &StateDictChoice,
    mut place: impl FnMut(&str, &Storage) -> Checked<(u64, Option<Summed>)>,
) -> Checked<Tensors> {
    let mut sets = sets(&pickle, false)?;
    if sets.is_empty() {
        sets = self::sets(&pickle, true)?;
    }
    let others = sets.iter().filter(|set| set.is_weights).count().saturating_sub(1);
    let Set { name, value, is_module, .. } = choose(sets, part)?;
    let members =
        if is_module { module(&mut pickle, value)? } else { entries(&mut pickle, value)? };
    let mut notes = passed_over(&pickle);
    if others > 0 {
        notes.push(format!("left out {others} sets of tensors: --weights KEY chooses one"));
    }
    let mut found: BTreeMap<String, Stored> = BTreeMap::new();
    let mut refused: Option<String> = None;
    let mut described = 0;
    for (key, value) in members {
        let tensor = match pickle.node(value) {
            Some(Node::Tensor(tensor)) => tensor,
            Some(Node::Object(_)) => {
                let class = pickle.object(value).map(|(class, _)| class).unwrap_or_default();
                if let Some(what) = other_tensor(class) {
                    refused.get_or_insert(format!("{key}: {what}, which is not read"));
                }
                continue;
            }
            _ => continue,
        };
        let storage = pickle.text(tensor.storage.key).unwrap_or_default();
        let (start, summed) =
            place(storage, &tensor.storage).map_err(|reason| format!("{key}: {reason}"))?;
        // Names are copied while they are tidied.
        described += NAMES * key.len() + size_of::<(String, Stored)>() + 16 * tensor.shape.len();
        pickle.budget.allows(described)?;
        // As in Python, the last of one name counts.
        found.insert(key, stored(tensor, start, summed));
    }
    if let Some(refused) = refused {
        return Err(refused);
    }
    let part = Some(name).filter(|name| !name.is_empty());
    Ok(Tensors { part, tensors: found.into_iter().collect(), notes })
}

/// Names the classes in the pickle that no tensor needed, for the notes.
fn passed_over(pickle: &Pickle) -> Vec<String> {
    // What plain data is made of is no news.
    let plain = |name: &&String| !matches!(name.as_str(), "builtins.set" | "builtins.frozenset");
    let mut names: Vec<_> =
        pickle.names.iter().filter(plain).map(|name| name.escape_debug().to_string()).collect();
    names.sort();
    if names.is_empty() {
        names
    } else {
        vec![format!("passed over objects of {}", listed(&names))]
    }
}

/// Whether an object is a module of PyTorch's: its attributes hold what all have.
fn is_module(pickle: &Pickle, value: Value) -> bool {
    let Some((class, object)) = pickle.object(value) else { return false };
    let has = |key| pickle.item(object.state, key).is_some();
    has("_modules") && (has("_parameters") || has("_buffers"))
        // A scripted module's attributes are its members.
        || class.starts_with("__torch__.") && pickle.dict(object.state).is_some()
}

fn is_tensor(tensor: &TensorPlace) -> bool {
    elements(&tensor.shape).is_some_and(|count| count > 1)
}

/// All dicts with tensors, and all modules, that string keys and places in lists lead to from the outermost object. A search
/// goes deeper and also through whole numbers as keys, attributes of objects, and what these were made of: optimisers
/// have tensors there too, so that it is for files in which nothing else is found.
fn sets(pickle: &Pickle, search: bool) -> Checked<Vec<Set>> {
    let mut found = Vec::new();
    let mut seen = vec![false; pickle.nodes().len()];
    let mut named = 0;
    let mut level = vec![(String::new(), pickle.result)];
    for _ in 0..if search { DEEPEST_SEARCH } else { DEEPEST } {
        let mut next = Vec::new();
        for (name, value) in level {
            let Value::Node(id) = value else { continue };
            // Dicts can be shared and can hold themselves.
            if seen.get_mut(id as usize).is_none_or(|seen| std::mem::replace(seen, true)) {
                continue;
            }
            if is_module(pickle, value) {
                found.push(Set { name, value, is_module: true, is_weights: true });
                continue;
            }
            let mut below = |key: &str, value: Value| -> Checked<()> {
                named += name.len() + key.len() + size_of::<(String, Value)>();
                pickle.budget.allows(named)?;
                let dot = if name.is_empty() { "" } else { "." };
                next.push((format!("{name}{dot}{key}"), value));
                Ok(())
            };
            if let Some((_, object)) = pickle.object(value).filter(|_| search) {
                below("state", object.state)?;
                below("arguments", object.arguments)?;
            }
            let list = pickle.list(value).or_else(|| pickle.tuple(value)).unwrap_or_default();
            for (place, &item) in list.iter().enumerate() {
                let is_object = search && pickle.object(item).is_some();
                if pickle.dict(item).is_some() || is_module(pickle, item) || is_object {
                    below(&place.to_string(), item)?;
                }
            }
            let (mut has_tensors, mut is_weights) = (false, false);
            for &(key, value) in pickle.dict(value).unwrap_or_default() {
                let number = match key {
                    Value::Int(number) if search => number.to_string(),
                    _ => String::new(),
                };
                let text = pickle.text(key).or(Some(number.as_str()).filter(|key| !key.is_empty()));
                let Some(key) = text else { continue };
                match pickle.node(value) {
                    Some(Node::Tensor(tensor)) => {
                        // A tensor needs a name.
                        has_tensors |= number.is_empty();
                        is_weights |= is_tensor(tensor);
                    }
                    Some(Node::Dict(_) | Node::List(_) | Node::Tuple(_)) => below(key, value)?,
                    Some(Node::Object(object)) => {
                        let (class, _) = pickle.object(value).unwrap_or(("", object));
                        // A dict of tensors that are refused by their kind is a set all the same.
                        has_tensors |= other_tensor(class).is_some();
                        if search || !object.items.is_empty() || is_module(pickle, value) {
                            below(key, value)?;
                        }
                    }
                    _ => {}
                }
            }
            if has_tensors {
                found.push(Set { name, value, is_module: false, is_weights });
            }
        }
        level = next;
    }
    Ok(found)
}

/// Names and values of a dict.
fn entries(pickle: &mut Pickle, dict: Value) -> Checked<Vec<(String, Value)>> {
    let mut found = Vec::new();
    let items = pickle.dict(dict).unwrap_or_default();
    let mut named = 0;
    for &(key, value) in items {
        let Some(key) = pickle.text(key) else { continue };
        named += key.len() + size_of::<(String, Value)>();
        pickle.budget.allows(named)?;
        found.push((key.to_owned(), value));
    }
    pickle.budget.charge(named)?;
    Ok(found)
}

/// Lists names and values of the tensors of a module and of all modules in it, as its state dict would have them.
fn module(pickle: &mut Pickle, outermost: Value) -> Checked<Vec<(String, Value)>> {
    let mut found = Vec::new();
    let mut waiting = vec![(String::new(), outermost, 0)];
    let mut named = 0;
    while let Some((prefix, value, depth)) = waiting.pop() {
        if depth > DEEPEST_MODULE {
            return Err(format!("the file's modules are nested more than {DEEPEST_MODULE} deep"));
        }
        let Some((class, object)) = pickle.object(value) else { continue };
        let state = object.state;
        let scripted = class.starts_with("__torch__.");
        let members = |key| pickle.item(state, key).and_then(|members| pickle.dict(members));
        let all = [members("_parameters"), members("_buffers"), members("_modules")];
        let all = if scripted { [pickle.dict(state), None, None] } else { all };
        for &(key, value) in all.into_iter().flatten().flatten() {
            let Some(key) = pickle.text(key) else { continue };
            named += prefix.len() + key.len() + size_of::<(String, Value, usize)>() + 1;
            pickle.budget.allows(named)?;
            match pickle.node(value) {
                Some(Node::Object(_)) if is_module(pickle, value) => {
                    waiting.push((format!("{prefix}{key}."), value, depth + 1));
                }
                Some(Node::Tensor(_) | Node::Object(_)) => {
                    found.push((format!("{prefix}{key}"), value));
                }
                _ => {}
            }
        }
    }
    pickle.budget.charge(named)?;
    Ok(found)
}

fn choose(mut sets: Vec<Set>, part: &StateDictChoice) -> Checked<Set> {
    // Single numbers, as a best accuracy, are weights only where there is nothing else.
    if sets.iter().any(|set| set.is_weights) {
        sets.retain(|set| set.is_weights);
    }
    let named = |keys: &[&str], set: &Set| set.name.split('.').any(|part| keys.contains(&part));
    let at = |wanted: &dyn Fn(&Set) -> bool| sets.iter().position(wanted);
    let averaged = || at(&|set| named(&AVERAGED, set));
    let trained = || at(&|set| named(&TRAINED, set) && !named(&AVERAGED, set));
    let bare = || at(&|set| set.name.is_empty());
    let only = || (sets.len() == 1).then_some(0);
    let found = match part {
        StateDictChoice::Best => averaged().or_else(trained).or_else(bare).or_else(only),
        StateDictChoice::Averaged => averaged(),
        StateDictChoice::Trained => trained().or_else(bare),
        StateDictChoice::Named(wanted) => at(&|set| set.name == *wanted),
    };
    if let Some(found) = found {
        return Ok(sets.swap_remove(found));
    }
    if sets.is_empty() {
        return Err(
            "no dict with tensors and no module is in the file, so it has no weights".into()
        );
    }
    let names: Vec<_> = sets
        .iter()
        .map(|set| if set.name.is_empty() { "the file itself" } else { set.name.as_str() })
        .collect();
    let names = names.join(", ");
    // A set without a name is the trained one.
    let first = sets.iter().map(|set| set.name.as_str()).find(|name| !name.is_empty());
    let first = first.unwrap_or("model");
    Err(format!(
        "the file has no {part}, but only these sets of weights: {names}; --weights {first} takes one of them"
    ))
}
