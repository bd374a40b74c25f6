//! The names that a pickle may refer to, and what calling them makes: descriptions of tensors, never code.
//! The counterparts are in PyTorch's `torch/_utils.py` and `torch/serialization.py`.

use super::pickle::{Node, Pickle, Value};
use crate::model::checkpoint::input::Checked;
use crate::model::checkpoint::stored::{Kind, fit};

/// PyTorch's tensors have at most so many sides.
const MOST_SIDES: usize = 64;

/// All that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Global {
    OrderedDict,
    Size,
    RebuildTensor,
    RebuildParameter,
    /// The type of a storage.
    Storage(Kind),
}

const ALLOWED: [(&str, &str, Global); 14] = [
    ("collections", "OrderedDict", Global::OrderedDict),
    ("torch", "Size", Global::Size),
    ("torch._utils", "_rebuild_tensor_v2", Global::RebuildTensor),
    ("torch._utils", "_rebuild_parameter", Global::RebuildParameter),
    ("torch", "DoubleStorage", Global::Storage(Kind::F64)),
    ("torch", "FloatStorage", Global::Storage(Kind::F32)),
    ("torch", "HalfStorage", Global::Storage(Kind::F16)),
    ("torch", "BFloat16Storage", Global::Storage(Kind::Bf16)),
    ("torch", "LongStorage", Global::Storage(Kind::Other("int64", 8))),
    ("torch", "IntStorage", Global::Storage(Kind::Other("int32", 4))),
    ("torch", "ShortStorage", Global::Storage(Kind::Other("int16", 2))),
    ("torch", "CharStorage", Global::Storage(Kind::Other("int8", 1))),
    ("torch", "ByteStorage", Global::Storage(Kind::Other("uint8", 1))),
    ("torch", "BoolStorage", Global::Storage(Kind::Other("bool", 1))),
];

/// What the pickle says of a storage; its numbers are elsewhere in the file.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    pub kind: Kind,
    /// A string.
    pub key: Value,
    /// Numbers.
    pub count: u64,
}

/// What the pickle says of a tensor, which fits its storage.
#[derive(Clone, Debug)]
pub struct TensorPlace {
    pub storage: Storage,
    /// Numbers before the first.
    pub offset: u64,
    pub shape: Vec<usize>,
    /// None where the order is row-major.
    pub strides: Option<Vec<usize>>,
}

impl Global {
    /// Err, with the name, for all that is not allowed.
    pub fn find(module: &str, name: &str) -> Checked<Self> {
        let found = ALLOWED.iter().find(|allowed| (allowed.0, allowed.1) == (module, name));
        found.map(|&(_, _, global)| global).ok_or_else(|| {
            let (module, name) = (module.escape_debug(), name.escape_debug());
            format!(
                "forbidden: the pickle refers to {module}.{name}, and only plain tensors are read: \
                 save the state dict alone, as torch.save(model.state_dict(), FILE)"
            )
        })
    }

    /// What a call makes.
    pub fn call(self, pickle: &mut Pickle, arguments: Value) -> Checked<Value> {
        let arguments = pickle.tuple(arguments).ok_or("a call without a tuple of arguments")?;
        match (self, arguments) {
            (Self::OrderedDict, []) => pickle.add(Node::Dict(Vec::new())),
            (Self::Size, &[sides]) if pickle.tuple(sides).is_some() => Ok(sides),
            (Self::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                let tensor = TensorPlace::new(pickle, [storage, offset, shape, strides])?;
                let sides = tensor.shape.len() + tensor.strides.as_ref().map_or(0, Vec::len);
                pickle.budget.charge(sides * size_of::<usize>())?;
                pickle.add(Node::Tensor(tensor))
            }
            (Self::RebuildParameter, &[tensor, ..])
                if matches!(pickle.node(tensor), Some(Node::Tensor(_))) =>
            {
                Ok(tensor)
            }
            _ => Err(format!(
                "{self:?} is called with {} arguments that do not fit",
                arguments.len()
            )),
        }
    }
}

impl Storage {
    /// From a persistent id: ("storage", type, key, location, count), in old files also a view, which is None.
    pub fn from_id(pickle: &Pickle, id: Value) -> Checked<Self> {
        let (tag, kind, key, count) = match pickle.tuple(id) {
            Some(&[tag, kind, key, _, count] | &[tag, kind, key, _, count, Value::None]) => {
                (tag, kind, key, count)
            }
            _ => return Err("a persistent id that is no storage".into()),
        };
        match (pickle.text(tag), kind, pickle.text(key), count) {
            (Some("storage"), Value::Global(Global::Storage(kind)), Some(_), Value::Int(count)) => {
                let count = u64::try_from(count).map_err(|_| "a storage of negative size")?;
                Ok(Self { kind, key, count })
            }
            _ => Err("a persistent id that is no storage".into()),
        }
    }
}

impl TensorPlace {
    fn new(pickle: &Pickle, [storage, offset, shape, strides]: [Value; 4]) -> Checked<Self> {
        let Some(&Node::Storage(storage)) = pickle.node(storage) else {
            return Err("a tensor without a storage".into());
        };
        let Value::Int(offset) = offset else {
            return Err("a tensor's offset is no number".into());
        };
        let offset = u64::try_from(offset).map_err(|_| "a tensor's offset is negative")?;
        let sides = |value| -> Checked<Vec<usize>> {
            let sides = pickle.tuple(value).filter(|sides| sides.len() <= MOST_SIDES);
            let wrong = "a tensor's shape or strides are not up to 64 whole numbers";
            let side = |value: &Value| match value {
                Value::Int(side) => usize::try_from(*side).ok(),
                _ => None,
            };
            sides.ok_or(wrong)?.iter().map(|value| side(value).ok_or(wrong.into())).collect()
        };
        let shape = sides(shape)?;
        let strides = fit(&shape, &sides(strides)?, offset, storage.count)?;
        Ok(Self { storage, offset, shape, strides })
    }
}
