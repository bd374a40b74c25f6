//! Defines the few functions and classes that have a meaning in a pickle, and the results of calling them: descriptions of
//! tensors, never code. Names of functions that would run commands, open files or evaluate code in other readers are refused. The
//! counterparts are in PyTorch's `torch/_utils.py` and `torch/serialization.py`.

use super::input::Checked;
use super::number::{Kind, fit};
use super::pickle::{Node, Pickle, Value};

/// PyTorch's tensors have at most so many sides.
const MOST_SIDES: usize = 64;

/// A function or class that pickles of checkpoints name and that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Global {
    OrderedDict,
    Size,
    RebuildTensor,
    /// A function that returns its first argument, a tensor: parameters, and tensors of devices.
    Same,
    /// A function that is given a function, a type, arguments and attributes, and returns that function's result, with the
    /// attributes.
    RebuildFromType,
    /// The type of a tensor's storage.
    Storage(Kind),
}

/// Names whose call runs a command, reads files or evaluates code. No checkpoint needs them, and here none is ever called; who
/// wrote them means to run something in other readers, so that the file is refused wherever they stand.
const HARMFUL_MODULES: [&str; 22] = [
    "os",
    "posix",
    "nt",
    "subprocess",
    "sys",
    "socket",
    "shutil",
    "commands",
    "pty",
    "importlib",
    "runpy",
    "code",
    "codeop",
    "ctypes",
    "webbrowser",
    "multiprocessing",
    "pickle",
    "marshal",
    "requests",
    "urllib",
    "http",
    "pip",
];
const HARMFUL_BUILTINS: [&str; 9] =
    ["eval", "exec", "execfile", "compile", "open", "__import__", "print", "input", "breakpoint"];

const KNOWN: [(&str, &str, Global); 26] = [
    ("collections", "OrderedDict", Global::OrderedDict),
    ("torch", "Size", Global::Size),
    ("torch._utils", "_rebuild_tensor_v2", Global::RebuildTensor),
    ("torch._utils", "_rebuild_parameter", Global::Same),
    ("torch._utils", "_rebuild_parameter_with_state", Global::Same),
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor", Global::Same),
    ("torch.nn.parameter", "Parameter", Global::Same),
    ("torch._tensor", "_rebuild_from_type_v2", Global::RebuildFromType),
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
    ("torch", "ComplexFloatStorage", Global::Storage(Kind::Other("complex64", 8))),
    ("torch", "ComplexDoubleStorage", Global::Storage(Kind::Other("complex128", 16))),
    ("torch", "QInt8Storage", Global::Storage(Kind::Other("qint8", 1))),
    ("torch", "QUInt8Storage", Global::Storage(Kind::Other("quint8", 1))),
    ("torch", "QInt32Storage", Global::Storage(Kind::Other("qint32", 4))),
    ("torch", "UntypedStorage", Global::Storage(Kind::Other("untyped", 1))),
    ("torch.storage", "UntypedStorage", Global::Storage(Kind::Other("untyped", 1))),
    ("torch.storage", "TypedStorage", Global::Storage(Kind::Other("untyped", 1))),
];

/// Functions that make tensors which are no plain numbers, and what they are.
const OTHER_TENSORS: [(&str, &str); 10] = [
    ("torch._utils._rebuild_qtensor", "a quantised tensor"),
    ("torch._utils._rebuild_sparse_tensor", "a sparse tensor"),
    ("torch._utils._rebuild_sparse_csr_tensor", "a sparse tensor"),
    ("torch._utils._rebuild_nested_tensor", "a nested tensor"),
    (
        "torch._utils._rebuild_tensor_v3",
        "a tensor of a type beyond float64, float32, float16 and bfloat16",
    ),
    ("torch._utils._rebuild_meta_tensor_no_storage", "a meta tensor without numbers"),
    ("torch._utils._rebuild_wrapper_subclass", "a tensor subclass"),
    ("torch._utils._rebuild_device_tensor_from_numpy", "a NumPy array"),
    ("numpy.core.multiarray._reconstruct", "a NumPy array"),
    ("numpy._core.multiarray._reconstruct", "a NumPy array"),
];

/// Returns the kind of tensor that a class other than PyTorch's usual ones holds; None for a class that is no tensor.
pub fn other_tensor(class: &str) -> Option<&'static str> {
    OTHER_TENSORS.iter().find(|(name, _)| *name == class).map(|(_, what)| *what)
}

/// The description of a storage in a pickle; its numbers are elsewhere in the file.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    pub kind: Kind,
    /// The key of the storage, a string.
    pub key: Value,
    /// The number of numbers in the storage.
    pub count: u64,
}

/// The description of a tensor in a pickle, which fits its storage.
#[derive(Clone, Debug)]
pub struct TensorPlace {
    pub storage: Storage,
    /// The number of numbers in the storage before the tensor's first.
    pub offset: u64,
    pub shape: Vec<usize>,
    /// The tensor's strides; None where the order is row-major.
    pub strides: Option<Vec<usize>>,
}

impl Global {
    /// Finds a function or class that is known here by its module and name. None for a name without meaning here. Err, with the
    /// name, for one that would do harm elsewhere.
    pub fn find(module: &str, name: &str) -> Checked<Option<Self>> {
        let found = KNOWN.iter().find(|known| (known.0, known.1) == (module, name));
        let top = module.split('.').next().unwrap_or_default();
        let builtin = matches!(module, "builtins" | "__builtin__");
        if HARMFUL_MODULES.contains(&top) || builtin && HARMFUL_BUILTINS.contains(&name) {
            let (module, name) = (module.escape_debug(), name.escape_debug());
            return Err(format!(
                "forbidden: the pickle refers to {module}.{name}, which no checkpoint needs and which would run in \
                 readers that execute pickles: do not open this file with them"
            ));
        }
        Ok(found.map(|&(_, _, global)| global))
    }

    /// Returns the result of calling a known function or class.
    pub fn call(self, pickle: &mut Pickle, arguments: Value) -> Checked<Value> {
        let arguments = pickle
            .tuple(arguments)
            .ok_or("the pickle calls a function without a tuple of arguments")?;
        match (self, arguments) {
            (Self::OrderedDict, []) => pickle.add(Node::Dict(Vec::new())),
            // As Python 2 writes it, with a list of pairs.
            (Self::OrderedDict, &[pairs]) => {
                let pairs = pickle
                    .list(pairs)
                    .ok_or("the pickle makes an OrderedDict of something other than a list")?
                    .to_vec();
                let pair = |&pair: &Value| {
                    let items = pickle.list(pair).or_else(|| pickle.tuple(pair));
                    match items {
                        Some(&[key, value]) => Ok((key, value)),
                        _ => Err("the pickle makes an OrderedDict of something other than pairs"),
                    }
                };
                let items = pairs.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
                pickle.budget.charge(2 * size_of_val(items.as_slice()))?;
                pickle.add(Node::Dict(items))
            }
            (Self::Size, &[sides]) if pickle.tuple(sides).is_some() => Ok(sides),
            (Self::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                let tensor = TensorPlace::new(pickle, [storage, offset, shape, strides])?;
                let sides = tensor.shape.len() + tensor.strides.as_ref().map_or(0, Vec::len);
                let size = size_of::<TensorPlace>() + sides * size_of::<usize>();
                pickle.budget.charge(size)?;
                pickle.add(Node::Tensor(Box::new(tensor)))
            }
            // What is no tensor here is said where it is asked for.
            (Self::Same, &[tensor, ..])
                if matches!(pickle.node(tensor), Some(Node::Tensor(_) | Node::Object(_))) =>
            {
                Ok(tensor)
            }
            (Self::RebuildFromType, &[Value::Global(function), _, arguments, ..])
                if function != Self::RebuildFromType =>
            {
                function.call(pickle, arguments)
            }
            (Self::RebuildFromType, &[Value::Unknown(class), ..]) => {
                pickle.add_object(class, Value::None)
            }
            _ => {
                let known = KNOWN.iter().find(|known| known.2 == self);
                let (module, name, _) = known.copied().unwrap_or(("", "a function", self));
                Err(format!(
                    "the pickle calls {module}.{name} with {} arguments that it does not take",
                    arguments.len()
                ))
            }
        }
    }
}

impl Storage {
    /// Reads a storage's description from a persistent id: ("storage", type, key, location, count), in old files also a
    /// view, which is None.
    pub fn from_id(pickle: &Pickle, id: Value) -> Checked<Self> {
        let (tag, kind, key, count) = match pickle.tuple(id) {
            Some(&[tag, kind, key, _, count] | &[tag, kind, key, _, count, Value::None]) => {
                (tag, kind, key, count)
            }
            _ => {
                return Err("a persistent ID in the pickle names no tensor's storage".into());
            }
        };
        match (pickle.text(tag), kind, pickle.text(key), count) {
            (Some("storage"), Value::Global(Global::Storage(kind)), Some(_), Value::Int(count)) => {
                let count =
                    u64::try_from(count).map_err(|_| "a tensor's storage has a negative size")?;
                Ok(Self { kind, key, count })
            }
            _ => Err("a persistent ID in the pickle names no tensor's storage".into()),
        }
    }
}

impl TensorPlace {
    fn new(pickle: &Pickle, [storage, offset, shape, strides]: [Value; 4]) -> Checked<Self> {
        let Some(&Node::Storage(storage)) = pickle.node(storage) else {
            return Err("a tensor has no storage".into());
        };
        let Value::Int(offset) = offset else {
            return Err("a tensor's offset is not a number".into());
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
