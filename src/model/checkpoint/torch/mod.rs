//! PyTorch's checkpoints (`torch.save`): a pickle that describes tensors, and storages that hold their numbers.
//! Since PyTorch 1.6 both are entries of a zip archive; before, they follow each other in one stream.

mod dicts;
mod zip;

use super::StateDictChoice;
use super::stored::{Stored, Summed};
use crate::files::{Budget, Checked, Input, Node, Pickle, Storage, TensorPlace, Value};
use std::collections::BTreeMap;
use std::io::{Read, Seek};

pub use zip::MAGIC as ZIP_MAGIC;

/// The first byte of every pickle of protocol 2 and later.
pub const PICKLE_MAGIC: u8 = 0x80;

/// The first pickle of a stream: 0x1950a86a20f9469cfc6c.
const STREAM_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The second number in a file of PyTorch's old format: its version.
const STREAM_VERSION: i64 = 1001;

/// The tensors of one state dict by name, and the key of that dict where it lies in another one.
#[derive(Debug)]
pub struct Tensors {
    pub part: Option<String>,
    pub tensors: Vec<(String, Stored)>,
    /// One sentence about each thing in the file that was passed over.
    pub notes: Vec<String>,
}

/// Reads the state dict of a zip archive.
pub fn archive<R: Read + Seek>(input: &mut Input<R>, part: &StateDictChoice) -> Checked<Tensors> {
    let mut budget = Budget::new(input.length());
    let entries = zip::entries(input)?;
    for entry in &entries {
        budget.charge(size_of_val(entry) + entry.name.len())?;
    }
    let is_there = |end: &str| entries.iter().any(|entry| entry.name.ends_with(end));
    if ["/model.json", "serialized_exported_program.json"].into_iter().any(is_there) {
        return Err("a program of torch.export (.pt2) is not read: save its weights, as \
                    torch.save(program.state_dict, FILE)"
            .into());
    }
    let scripted =
        is_there("/constants.pkl") || entries.iter().any(|entry| entry.name.contains("/code/"));
    let described = |name: &str| name.split('/').count() == 2 && name.ends_with("/data.pkl");
    let mut pickles = entries.iter().filter(|entry| described(&entry.name));
    let (Some(pickle), None) = (pickles.next(), pickles.next()) else {
        if !entries.is_empty() && entries.iter().all(|entry| entry.name.ends_with(".npy")) {
            return Err("NumPy's arrays (.npz) are not read as weights: save them with \
                        safetensors"
                .into());
        }
        return Err(
            "it is a zip archive that torch.save did not write, as there is not exactly one data.pkl in \
                    it: if a checkpoint is in it, unpack it first"
                .into(),
        );
    };
    let folder = pickle.name.trim_end_matches("data.pkl");
    let find = |name: &str| {
        let name = format!("{folder}{name}");
        let at = entries.binary_search_by(|entry| entry.name.as_str().cmp(&name));
        at.ok()
            .and_then(|at| entries.get(at))
            .ok_or_else(|| format!("the archive has no entry {name}"))
    };
    if let Ok(order) = find("byteorder") {
        let place = order.place(input)?;
        place.check(input, &order.name)?;
        input.section(place.start, place.length)?;
        if place.length > 16 || input.bytes(place.length)? != b"little" {
            return Err("the tensors' numbers are not little-endian, as they have to be".into());
        }
    }
    let place = pickle.place(input)?;
    place.check(input, &pickle.name)?;
    input.section(place.start, place.length)?;
    let pickle = Pickle::read(input, budget)?;
    if input.left() > 0 {
        return Err(format!("there are {} bytes after the pickle's end", input.left()));
    }
    let found = dicts::tensors(pickle, part, |key, storage| {
        let entry = find(&format!("data/{key}"))?;
        let place = entry.place(input)?;
        if storage.count.checked_mul(storage.kind.width()) != Some(place.length) {
            let (kind, count) = (storage.kind.name(), storage.count);
            let given = place.length;
            return Err(format!(
                "{} has {given} bytes, which is not the size of {count} {kind} values",
                entry.name
            ));
        }
        Ok((place.start, Some(place)))
    });
    let kind =
        |reason| format!("a TorchScript archive whose module's tensors are not read: {reason}");
    if scripted { found.map_err(kind) } else { found }
}

/// Reads the state dict of a checkpoint in PyTorch's old stream format: magic number, version, system, the objects, the storages'
/// keys, the storages.
pub fn stream<R: Read + Seek>(input: &mut Input<R>, part: &StateDictChoice) -> Checked<Tensors> {
    input.section(0, input.length())?;
    let magic = Pickle::read(input, Budget::new(input.length()))?;
    if !matches!(magic.result, Value::Long(span) if magic.bytes(span) == STREAM_MAGIC) {
        return Err(
            "it is a pickle that torch.save did not write, as PyTorch's magic number is not in it: \
                    load it in Python, and write its tensors with torch.save"
                .into(),
        );
    }
    let version = Pickle::read(input, magic.budget)?;
    if !matches!(version.result, Value::Int(STREAM_VERSION)) {
        let given = match version.result {
            Value::Int(number) => format!("version {number}"),
            _ => "a version that is no number".into(),
        };
        return Err(format!(
            "the file is in PyTorch's old format of {given}, but only version {STREAM_VERSION} is read"
        ));
    }
    let system = Pickle::read(input, version.budget)?;
    let order = system.dict(system.result).and_then(|items| {
        items.iter().find(|&&(key, _)| system.text(key) == Some("little_endian"))
    });
    if !matches!(order, Some((_, Value::Bool(true)))) {
        return Err("the tensors' numbers are not little-endian, as they have to be".into());
    }
    let mut pickle = Pickle::read(input, system.budget)?;
    // What the objects leave is for the keys, and what these leave for the tensors' descriptions.
    let left = std::mem::replace(&mut pickle.budget, Budget::new(0));
    let mut keys = Pickle::read(input, left)?;
    let places = storages(input, &pickle, &mut keys)?;
    pickle.budget = keys.budget;
    dicts::tensors(pickle, part, |key, _| {
        let start = places.get(key).ok_or_else(|| {
            format!("a tensor's values are in storage {key}, which the file lacks")
        })?;
        Ok((*start, None))
    })
}

/// The first byte of each storage. Err unless they are those that the pickle describes, all whole and alone.
fn storages<R: Read + Seek>(
    input: &mut Input<R>,
    pickle: &Pickle,
    keys: &mut Pickle,
) -> Checked<BTreeMap<String, u64>> {
    let described = pickle.nodes().iter().filter(|node| matches!(node, Node::Storage(_))).count();
    keys.budget.charge(described * size_of::<(&str, Storage)>() * 2)?;
    let mut known: BTreeMap<&str, Storage> = BTreeMap::new();
    for node in pickle.nodes() {
        let Node::Storage(storage) = node else { continue };
        let key = pickle.text(storage.key).unwrap_or_default();
        let same = |other: &Storage| (other.kind, other.count) == (storage.kind, storage.count);
        if !same(known.entry(key).or_insert(*storage)) {
            return Err(format!("two tensors describe storage {key} differently"));
        }
    }
    let mut places = BTreeMap::new();
    for &key in keys.list(keys.result).ok_or("the list of the tensors' storages is missing")? {
        let key = keys.text(key).ok_or("a storage's key is not a string")?;
        let storage = known
            .get(key)
            .ok_or_else(|| format!("no tensor uses storage {key}, which the file lists"))?;
        let cut = |error| format!("storage {key}: {error}");
        let count = u64::from_le_bytes(input.array().map_err(cut)?);
        if count != storage.count {
            let wanted = storage.count;
            return Err(format!("storage {key} has {count} values, but its tensors use {wanted}"));
        }
        let length = count
            .checked_mul(storage.kind.width())
            .ok_or("a storage of the file claims an impossible length")?;
        let start = input.at();
        input.section(start, length).map_err(cut)?;
        input.section(start + length, input.length() - start - length)?;
        if places.insert(key.to_owned(), start).is_some() {
            return Err(format!("storage {key} is listed twice"));
        }
    }
    if input.left() > 0 {
        return Err(format!("{} bytes too many follow the last storage", input.left()));
    }
    Ok(places)
}

/// A tensor of a storage whose first byte is at `start`.
fn stored(tensor: &TensorPlace, start: u64, summed: Option<Summed>) -> Stored {
    let TensorPlace { storage, offset, shape, strides } = tensor;
    Stored {
        kind: storage.kind,
        shape: shape.clone(),
        strides: strides.clone(),
        start: start + offset * storage.kind.width(),
        summed,
    }
}
