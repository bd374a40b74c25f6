//! Checkpoints: a state dict with metadata about its network. Read from safetensors, from PyTorch's files and, with the
//! feature `onnx`, from ONNX files; written as safetensors.
//!
//! A file's description is read and checked first, then its tensors one by one: at no moment is more in memory
//! than the numbers as f32, and never more than twice the file, whatever it says. Nothing in it is executed.

mod atomic;
mod foreign;
mod names;
pub(crate) mod safetensors;
mod stored;
mod torch;

pub(crate) use atomic::stream_atomically;
pub use atomic::write_atomically;
pub use safetensors::FilePrecision;

use super::{Metadata, Network, Parameter, StateDict, Tensor};
use crate::files::{self, Checked, Input, elements};
use crate::{Error, Result};
use names::Tidied;
use std::collections::BTreeSet;
use std::fmt;
use std::io::{Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use stored::Stored;

/// The weights of a network and the metadata that describe it.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// The metadata in the file's header. For a PyTorch training state, `other["part"]` is the key of the state dict that was
    /// read.
    pub metadata: Metadata,
    /// The weights, under the tensor names that the library's networks have: see `docs/checkpoints.md`.
    pub weights: StateDict,
    /// The file that the checkpoint was read from, for messages; empty if it was made in memory.
    pub source: PathBuf,
    /// Sentences for the user about what reading changed: tensors that were left out or renamed, and a normalisation that was
    /// found among the tensors.
    pub notes: Vec<String>,
}

/// Which state dict to read from a file that holds several, as a PyTorch training state may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StateDictChoice {
    /// The averaged state dict if there is one, or else the trained one, or else the only one.
    #[default]
    Best,
    /// The averaged state dict, such as the one under `ema_state_dict`.
    Averaged,
    /// The trained state dict, such as the one under `model_state_dict`, or else the file's outermost dict.
    Trained,
    /// The state dict to which these nested keys of the file lead, with dots between them.
    Named(String),
}

impl From<&str> for StateDictChoice {
    fn from(name: &str) -> Self {
        match name {
            "ema" => Self::Averaged,
            "model" => Self::Trained,
            key => Self::Named(key.into()),
        }
    }
}

impl fmt::Display for StateDictChoice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Best => f.write_str("averaged or trained weights"),
            Self::Averaged => f.write_str("averaged weights"),
            Self::Trained => f.write_str("trained weights"),
            Self::Named(key) => write!(f, "weights under {key}"),
        }
    }
}

impl Checkpoint {
    /// Reads a checkpoint from a file: safetensors, PyTorch's `torch.save` of any version, or an ONNX file. Err, with file,
    /// tensor and reason, for a file that is not sound.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_part(path, &StateDictChoice::Best)
    }

    /// Reads a checkpoint from a file, and the chosen state dict of a file that holds several.
    pub fn read_part(path: impl AsRef<Path>, part: &StateDictChoice) -> Result<Self> {
        Self::read_renamed(path, part, &Renames::default())
    }

    /// Reads a checkpoint from a file, after renaming its tensors and leaving some out as `renames` says.
    pub fn read_renamed(
        path: impl AsRef<Path>,
        part: &StateDictChoice,
        renames: &Renames,
    ) -> Result<Self> {
        let path = path.as_ref();
        let file = files::open(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::from_reader(path, Some(folder), file, part, renames)
    }

    /// Reads a checkpoint from a file's bytes; `source` is the file's name in messages.
    pub fn from_bytes(source: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        let renames = Renames::default();
        Self::from_reader(
            source.as_ref(),
            None,
            Cursor::new(bytes),
            &StateDictChoice::Best,
            &renames,
        )
    }

    /// Makes a checkpoint from tensors in memory, for example those of a PyTorch model's state dict: prefixes that wrappers put
    /// before names, such as `module.`, are taken off. `metadata` are the known facts about the network; `source` is for
    /// messages.
    ///
    /// # Errors
    /// `BadFile` where the tensors say two normalisations.
    pub fn from_state_dict(
        source: impl AsRef<Path>,
        tensors: StateDict,
        mut metadata: Metadata,
    ) -> Result<Self> {
        let source = source.as_ref();
        let mut tensors: Vec<_> = tensors.into_iter().collect();
        let Tidied { outside, mut notes, .. } =
            names::tidy(&mut tensors, &StateDictChoice::Best, |_| false);
        notes.extend(super::names::unify(&mut tensors, &mut metadata));
        let mut weights: StateDict = tensors.into_iter().collect();
        let found = names::normalisation(&mut weights, &mut notes)
            .map_err(|reason| Error::bad_file(source, reason))?;
        if !metadata.tells_normalisation() {
            metadata.normalisation = found;
        }
        let mut checkpoint = Self { metadata, weights, source: source.into(), notes };
        checkpoint.settle(&outside);
        Ok(checkpoint)
    }

    fn from_reader(
        source: &Path,
        folder: Option<&Path>,
        reader: impl Read + Seek,
        part: &StateDictChoice,
        renames: &Renames,
    ) -> Result<Self> {
        let read = || -> Checked<Self> {
            let mut input = Input::new(reader)?;
            if let Some(imported) = onnx(&mut input, folder, part, renames) {
                return Ok(Self { source: source.into(), ..imported? });
            }
            let Described { mut tensors, mut metadata, mut notes, single } =
                described(&mut input, source, part)?;
            rename(renames, &mut tensors)?;
            // A list of layers names its tensors as they are.
            if metadata.layers.is_some() {
                if single {
                    expect_any(part, false)?;
                }
                let weights = numbers(&mut input, tensors)?;
                return Ok(Self { metadata, weights, source: source.into(), notes });
            }
            let Tidied { outside, notes: tidied, chosen } =
                names::tidy(&mut tensors, part, Stored::is_whole);
            if single {
                expect_any(part, chosen)?;
            }
            notes.extend(tidied);
            notes.extend(super::names::unify(&mut tensors, &mut metadata));
            let mut weights = numbers(&mut input, tensors)?;
            let found = names::normalisation(&mut weights, &mut notes)?;
            if !metadata.tells_normalisation() {
                metadata.normalisation = found;
            }
            let mut checkpoint = Self { metadata, weights, source: source.into(), notes };
            checkpoint.settle(&outside);
            Ok(checkpoint)
        };
        read().map_err(|reason| Error::bad_file(source, reason))
    }

    /// Leaves out tensors without the common prefix that the network does not have, and adds a last bias of zeros where a
    /// network was trained without one.
    fn settle(&mut self, outside: &BTreeSet<String>) {
        // A file of ours says what it is, and lacks nothing unless it is damaged.
        if self.metadata.architecture.is_some() {
            return;
        }
        let Ok(network) = Network::meant_by(self) else { return };
        let parameters = network.parameters();
        let foreign = |name: &&String| {
            self.weights.get(name).is_ok() && !parameters.iter().any(|known| known.name == **name)
        };
        let foreign: Vec<String> = outside.iter().filter(foreign).cloned().collect();
        foreign.iter().for_each(|name| drop(self.weights.remove(name)));
        names::tell(&mut self.notes, "tensors outside the network", foreign);
        let Some([Some(weight), Some(bias)]) = network.head() else { return };
        if self.weights.get(&weight).is_ok() && self.weights.get(&bias).is_err() {
            let count = network.classes() as usize;
            self.weights.insert(bias, Tensor { shape: vec![count], data: vec![0.0; count] });
            self.notes.push("no bias of the last layer: zeros".into());
        }
    }

    /// Returns the checkpoint as the bytes of a safetensors file: the same for the same weights and metadata. Its metadata
    /// name this crate's version.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        safetensors::write(&self.weights, &self.strings(), FilePrecision::F32, &mut bytes)
            .map_err(|reason| Error::bad_file(&self.source, reason))?;
        Ok(bytes)
    }

    /// Writes the checkpoint as a safetensors file, which is there whole or not at all: see [`write_atomically`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write_as(path, FilePrecision::F32)
    }

    /// Writes the checkpoint as a safetensors file with numbers of this precision. Err if half precision is asked for and a
    /// weight is too large for it.
    pub fn write_as(&self, path: impl AsRef<Path>, precision: FilePrecision) -> Result<()> {
        let path = path.as_ref();
        let strings = self.strings();
        stream_atomically(path, |file| {
            safetensors::write(&self.weights, &strings, precision, file)
                .map_err(|reason| Error::bad_file(path, reason))
        })
    }

    fn strings(&self) -> std::collections::BTreeMap<String, String> {
        let version = Some(env!("CARGO_PKG_VERSION").into());
        Metadata { version, ..self.metadata.clone() }.to_strings()
    }

    /// Checks that all numbers are finite. Err, with the tensor's name and the place in it, for the first that is not.
    pub fn check_finite(&self) -> Result<()> {
        let strange = self.weights.iter().find_map(|(name, tensor)| {
            let (at, value) =
                tensor.data.iter().enumerate().find(|(_, value)| !value.is_finite())?;
            Some(format!("{name}[{at}] is {value}, but weights have to be finite"))
        });
        strange.map_or(Ok(()), |reason| Err(Error::bad_file(&self.source, reason)))
    }

    /// Compares the tensors' names and shapes with a network's `parameters`. Err, with the file's name and a table of what is
    /// missing, unexpected or of another shape, unless they are exactly the same.
    pub fn check(&self, parameters: &[Parameter]) -> Result<()> {
        match self.weights.differences(parameters) {
            None => Ok(()),
            Some(table) => {
                let reason = format_args!("its tensors are not those of the network:\n  {table}");
                Err(Error::bad_file(&self.source, reason))
            }
        }
    }
}

/// A page reads safetensors alone, and its file is a tenth smaller for it: `lapidary convert` makes one of the others.
const READS_TORCH: bool = cfg!(not(target_arch = "wasm32"));

/// Says which tensors of a file to rename or leave out, before the library translates their names into those of its own
/// networks: see [`Checkpoint::read_renamed`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renames {
    /// Pairs of prefixes: a tensor's name that begins with the first gets the second in its place; the first pair that fits is
    /// used.
    pub rename: Vec<(String, String)>,
    /// Prefixes of the names of tensors to leave out.
    pub drop: Vec<String>,
}

/// Err for what fits no name, and where two tensors get the same.
fn rename(renames: &Renames, tensors: &mut Vec<(String, Stored)>) -> Checked<()> {
    for prefix in &renames.drop {
        let before = tensors.len();
        tensors.retain(|(name, _)| !name.starts_with(prefix.as_str()));
        if tensors.len() == before {
            return Err(format!(
                "no tensor's name begins with {prefix}, which --drop names, or another --drop took all of them"
            ));
        }
    }
    let mut used = vec![false; renames.rename.len()];
    let mut names = BTreeSet::new();
    for (name, _) in tensors.iter_mut() {
        for ((old, new), used) in renames.rename.iter().zip(&mut used) {
            if let Some(rest) = name.strip_prefix(old.as_str()) {
                (*name, *used) = (format!("{new}{rest}"), true);
                break;
            }
        }
        if !names.insert(name.clone()) {
            return Err(format!("after renaming, two tensors would be called {name}"));
        }
    }
    let unused = renames.rename.iter().zip(used).find(|(_, used)| !used);
    unused.map_or(Ok(()), |((old, _), _)| {
        Err(format!(
            "no tensor's name begins with {old}, which --rename names, or --drop or an earlier --rename took all of them"
        ))
    })
}

/// Descriptions of tensors whose numbers are still in the file, with the file's metadata.
struct Described {
    tensors: Vec<(String, Stored)>,
    metadata: Metadata,
    notes: Vec<String>,
    /// Whether the format has one set of tensors alone.
    single: bool,
}

/// Reads the description of a checkpoint file of any format.
fn described<R: Read + Seek>(
    input: &mut Input<R>,
    source: &Path,
    part: &StateDictChoice,
) -> Checked<Described> {
    input.section(0, input.length())?;
    let mut first = [0; 9];
    let known = first.get_mut(..input.length().min(9) as usize).unwrap_or_default();
    input.fill(known)?;
    let torch = match first {
        [a, b, c, d, ..] if READS_TORCH && [a, b, c, d] == torch::ZIP_MAGIC => {
            torch::archive(input, part)?
        }
        // A safetensors header begins behind its length with a brace.
        [torch::PICKLE_MAGIC, .., last] if READS_TORCH && last != b'{' => {
            torch::stream(input, part)?
        }
        _ => {
            if let Some(kind) = foreign::kind(input)? {
                return Err(kind.into());
            }
            if !READS_TORCH && !first.ends_with(b"{") && input.length() >= 9 {
                return Err("it is not a safetensors file, the only kind that a browser reads: `lapidary convert` makes one of a PyTorch or ONNX file".into());
            }
            let extension = source.extension().and_then(|extension| extension.to_str());
            if matches!(extension, Some("pth" | "pt" | "ckpt")) && !first.ends_with(b"{") {
                return Err(
                    "the file is cut off, or not a PyTorch checkpoint: it is neither a zip archive nor a pickle"
                        .into(),
                );
            }
            if cfg!(not(feature = "onnx")) && extension == Some("onnx") {
                return Err(
                    "it is an ONNX file by its name, and only builds with the feature `onnx` can read those".into()
                );
            }
            if !first.ends_with(b"{") && input.length() >= 9 {
                return Err(
                    "it is neither a safetensors file nor a PyTorch checkpoint nor an ONNX file"
                        .into(),
                );
            }
            let (tensors, strings) = safetensors::tensors(input)?;
            let mut notes = Vec::new();
            let metadata = Metadata::from_file(strings, &mut notes)?;
            return Ok(Described { tensors, metadata, notes, single: true });
        }
    };
    let mut metadata = Metadata::default();
    metadata.other.extend(torch.part.map(|key| ("part".into(), key)));
    Ok(Described { tensors: torch.tensors, metadata, notes: torch.notes, single: false })
}

/// Err where a set of weights is asked for of a safetensors file, which has one; `chosen` says whether a network and its average lay
/// side by side in that.
fn expect_any(part: &StateDictChoice, chosen: bool) -> Checked<()> {
    if *part == StateDictChoice::Best || chosen && !matches!(part, StateDictChoice::Named(_)) {
        return Ok(());
    }
    let sets = if chosen { "a network and its average" } else { "one set of weights" };
    Err(format!("--weights asks for {part}, but this safetensors file has only {sets}"))
}

/// Reads a checkpoint from an ONNX file.
#[cfg(feature = "onnx")]
fn onnx<R: Read + Seek>(
    input: &mut Input<R>,
    folder: Option<&Path>,
    part: &StateDictChoice,
    renames: &Renames,
) -> Option<Checked<Checkpoint>> {
    use super::onnx::import::{Import, begins, read};
    input.section(0, input.length()).ok()?;
    input.array().ok().filter(begins)?;
    let mut imported = || {
        if *part != StateDictChoice::Best {
            return Err(format!(
                "--weights asks for {part}, but an ONNX file has only one set of weights"
            ));
        }
        if *renames != Renames::default() {
            return Err(
                "tensors of an ONNX file cannot be renamed or dropped, as its layers read them by name".into()
            );
        }
        let Import { metadata, weights, notes } = read(input, folder)?;
        Ok(Checkpoint { metadata, weights, notes, source: PathBuf::new() })
    };
    Some(imported())
}

#[cfg(not(feature = "onnx"))]
fn onnx<R: Read + Seek>(
    _: &mut Input<R>,
    _: Option<&Path>,
    _: &StateDictChoice,
    _: &Renames,
) -> Option<Checked<Checkpoint>> {
    None
}

/// All numbers, once it is known that they fit.
fn numbers<R: Read + Seek>(
    input: &mut Input<R>,
    tensors: Vec<(String, Stored)>,
) -> Checked<StateDict> {
    // Before their size is compared with the file's, because that error would not say what they are.
    for (name, stored) in &tensors {
        stored.check_kind().map_err(|reason| format!("{name}: {reason}"))?;
    }
    // Half precision doubles as f32; what shares its memory with other tensors gets its own here.
    let bytes = tensors.iter().try_fold(0u64, |sum, (_, stored)| {
        sum.checked_add(elements(&stored.shape)?.checked_mul(size_of::<f32>() as u64)?)
    });
    if bytes.is_none_or(|bytes| bytes > input.length().saturating_mul(2)) {
        return Err(format!(
            "the tensors would take more than twice the {} bytes of the file: it is damaged or malicious",
            input.length()
        ));
    }
    let mut checked = BTreeSet::new();
    let mut unchecked = input.length();
    let mut weights = StateDict::default();
    for (name, stored) in tensors {
        let wrong = |reason| format!("{name}: {reason}");
        if let Some(summed) = stored.summed.filter(|summed| checked.insert(summed.start)) {
            // Entries on top of each other would have the whole file summed once for each.
            let left = unchecked.checked_sub(summed.length);
            unchecked =
                left.ok_or_else(|| wrong("the tensor's storage overlaps another's".into()))?;
            summed.check(input, "its storage").map_err(wrong)?;
        }
        let tensor = stored.read(input).map_err(wrong)?;
        weights.insert(name, tensor);
    }
    Ok(weights)
}
