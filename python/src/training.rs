//! Trains a network as a configuration says, on images in arrays or files, and returns the run's folder.

use std::path::{Path, PathBuf};
use std::time::Instant;

use lapidary::data::{Array, AxisOrder, Dataset, Numbers};
use lapidary::report::complete;
use lapidary::train::{Config, Event, Flow, Material, RunFolder, Step, check_run};
use lapidary::{Error, Result};
use numpy::{PyArrayDescrMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use toml::{Table, Value};

use crate::arrays::{Images, Wanted, as_array, labels};
use crate::calls::{blocking, is_stopped, saving, wait};
use crate::devices;
use crate::errors::mismatch;
use crate::progress::{Progress, Watch};

/// The name of arrays in memory in a run's configuration, in place of a path.
const IN_MEMORY: &str = "arrays in memory";

/// A dict as a table of TOML; keys with dots lead into tables.
fn table(dict: &Bound<'_, PyDict>) -> PyResult<Table> {
    let mut all = Table::new();
    for (key, value) in dict {
        let name: String = key.extract().map_err(|_| {
            mismatch(dict.py(), "config", format!("the key {key}"), "keys of type str")
        })?;
        let mut place = &mut all;
        let mut parts: Vec<&str> = name.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            let inner = place.entry(part).or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(inner) = inner else {
                let given = format!("{name} and a value for {part}");
                return Err(mismatch(dict.py(), "config", given, "one of the two"));
            };
            place = inner;
        }
        if !join(place, last, toml_value(&name, &value)?) {
            let given = format!("{name} twice, in nested dicts and with dots");
            return Err(mismatch(dict.py(), "config", given, "each key once"));
        }
    }
    Ok(all)
}

/// Puts a value into a table, and the keys of a table into one that is there already. False where a key has a value.
fn join(place: &mut Table, key: &str, value: Value) -> bool {
    match (place.get_mut(key), value) {
        (None, value) => place.insert(key.to_owned(), value).is_none(),
        (Some(Value::Table(there)), Value::Table(more)) => {
            more.into_iter().all(|(key, value)| join(there, &key, value))
        }
        (Some(_), _) => false,
    }
}

fn toml_value(key: &str, value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Ok(inner) = value.cast::<PyDict>() {
        return table(inner).map(Value::Table);
    }
    if value.is_instance_of::<PyBool>() {
        return value.extract().map(Value::Boolean);
    }
    if value.is_instance_of::<PyInt>() {
        let number = value.extract();
        return number.map(Value::Integer).map_err(|_| {
            mismatch(value.py(), "config", format!("{key} = {value}"), "a number below 2^63")
        });
    }
    if value.is_instance_of::<PyFloat>() {
        return value.extract().map(Value::Float);
    }
    if value.is_instance_of::<PyString>() {
        return value.extract().map(Value::String);
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let each = value.try_iter()?.map(|item| toml_value(key, &item?));
        return each.collect::<PyResult<_>>().map(Value::Array);
    }
    if value.hasattr("__fspath__")? {
        return value.call_method0("__fspath__")?.extract().map(Value::String);
    }
    // NumPy's numbers.
    if value.hasattr("item")? {
        return toml_value(key, &value.call_method0("item")?);
    }
    let given = format!("{key} of type {}", value.get_type().fully_qualified_name()?);
    Err(mismatch(value.py(), "config", given, "numbers, strings, lists and dicts"))
}

/// A preset by its name, a file by its path, or a dict with the keys of such a file.
fn config(given: &Bound<'_, PyAny>) -> PyResult<Config> {
    let py = given.py();
    let made = if let Ok(dict) = given.cast::<PyDict>() {
        let text = toml::to_string(&table(dict)?);
        let text = text
            .map_err(|error| mismatch(py, "config", error, "values that a TOML file can hold"))?;
        Config::parse(&text, "config")
    } else if let Ok(name) = given.extract::<PathBuf>() {
        match std::fs::read_to_string(&name) {
            Ok(text) => Config::parse(&text, &name),
            Err(_) if name.extension().is_none() && name.components().count() == 1 => {
                Config::preset(&name.to_string_lossy())
            }
            Err(error) => Err(Error::bad_file(&name, error)),
        }
    } else {
        let given = given.get_type().fully_qualified_name()?.to_string();
        return Err(mismatch(
            py,
            "config",
            given,
            "a dict, a preset's name, or a TOML file's path",
        ));
    };
    made.map_err(|error| crate::errors::raised(py, error))
}

/// Labelled images from arrays.
fn dataset(
    x: &Bound<'_, PyAny>,
    y: &Bound<'_, PyAny>,
    layout: &str,
    names: &[String],
    known: Option<&Dataset>,
) -> PyResult<Dataset> {
    let py = x.py();
    let images = Images::new(x, layout, Wanted { channels: None, side: None, unit: true })?;
    let classes = known.map_or(most_classes(names), Dataset::classes);
    let labels = labels(y, "labels", images.count, classes)?;
    let [channels, side] = [images.channels as usize, images.side as usize];
    let shape = vec![images.count, channels, side, side];
    let bytes = as_array(x, "images")?;
    let numbers = if bytes.dtype().is_equiv_to(&numpy::dtype::<u8>(py)) {
        let planes = match images.layout {
            crate::arrays::Layout::Nchw => bytes.into_any(),
            crate::arrays::Layout::Nhwc => bytes.call_method1("transpose", (0, 3, 1, 2))?,
        };
        let bytes: PyReadonlyArrayDyn<u8> = planes.extract()?;
        Numbers::U8(bytes.as_array().iter().copied().collect())
    } else {
        Numbers::F32(images.values()?.to_vec())
    };
    let pair = (labels, names.to_vec());
    blocking(py, || {
        let array = Array { shape, numbers };
        Dataset::from_memory(array, AxisOrder::Nchw, pair, known, IN_MEMORY)
    })
}

/// The most classes that the labels may have: the number of names, or the library's limit.
fn most_classes(names: &[String]) -> u32 {
    if names.is_empty() { 1 << 16 } else { names.len() as u32 }
}

/// Arrays in place of files.
type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Trains, and returns the run's folder and a sentence for each file that was left out. Images are those that the configuration
/// names, or `data` and `test`.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "keywords in Python")]
fn _train<'py>(
    py: Python<'py>,
    config: &Bound<'py, PyAny>,
    data: Option<Pair<'py>>,
    test: Option<Pair<'py>>,
    class_names: Vec<String>,
    layout: &str,
    out: Option<PathBuf>,
    resume: bool,
    callback: Option<Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
) -> PyResult<(PathBuf, Vec<String>)> {
    let began = Instant::now();
    let name = config.extract::<PathBuf>().ok();
    let mut config = self::config(config)?;
    let wanted = devices::wanted(device)?;
    let train = data.map(|(x, y)| dataset(&x, &y, layout, &class_names, None)).transpose()?;
    let known = train.as_ref();
    let test = test.map(|(x, y)| dataset(&x, &y, layout, &class_names, known)).transpose()?;
    if test.is_some() && train.is_none() {
        return Err(mismatch(py, "train", "test= without data=", "both, or data= alone"));
    }
    if !class_names.is_empty() && train.is_none() {
        return Err(mismatch(py, "train", "class_names= without data=", "both, or data= alone"));
    }
    if layout != "nchw" && train.is_none() {
        return Err(mismatch(py, "train", "layout= without data=", "both, or data= alone"));
    }
    if train.is_some() {
        config.data.train = IN_MEMORY.to_owned();
    }
    let stem = name.as_deref().and_then(Path::file_stem).unwrap_or("run".as_ref());
    let out = out.unwrap_or_else(|| RunFolder::unused("runs", &stem.to_string_lossy()));
    let mut watch = Watch::new(py, callback)?;
    let mut left_out = Vec::new();
    let done = saving(py, || {
        check_run(&config, 1)?;
        let gpu = devices::open_for(&wanted, config.precision)?;
        let mut folder = if resume && RunFolder::is_begun(&out) {
            RunFolder::resume(&out, &config)?
        } else {
            RunFolder::create(&out, &config)?
        };
        let material = match train {
            Some(train) => Material::of(&config, train, test)?,
            None => Material::load(&config)?,
        };
        let mut phase = String::new();
        let mut observer = |event: &Event| -> Result<Flow> {
            if let Event::Note { text } = event {
                left_out.extend(text.strip_prefix("left out: ").map(str::to_owned));
            }
            // What stopped it is raised at the end, when all is saved.
            if is_stopped() || watch.tell(told(event, &mut phase)).is_err() {
                return Ok(Flow::Stop);
            }
            Ok(Flow::Continue)
        };
        wait(complete(&gpu, &config, &material, &mut folder, began, &mut observer)).map(drop)
    });
    watch.close(py)?;
    done?;
    Ok((out, left_out))
}

/// Turns a training event into progress for callbacks; `current` is the phase that runs.
fn told(event: &Event, current: &mut String) -> Progress {
    match event {
        Event::Phase { phase, done, total } => {
            phase.name().clone_into(current);
            Progress::at(phase.name(), *done as f64, *total as f64)
        }
        Event::Step(step) => Progress {
            values: numbers_of(step),
            ..Progress::at(step.phase.name(), step.iteration as f64, step.total as f64)
        },
        Event::Note { text } => {
            Progress { text: Some(text.clone()), ..Progress::at(current, 0.0, 0.0) }
        }
        Event::Saved { step, path } => {
            let text = format!("checkpoint of iteration {step}: {}", path.display());
            Progress { text: Some(text), ..Progress::at(current, 0.0, 0.0) }
        }
        other => Progress { text: Some(format!("{other:?}")), ..Progress::at(current, 0.0, 0.0) },
    }
}

/// Returns the measurements of an iteration, under the log's names.
pub fn numbers_of(step: &Step) -> Vec<(String, f64)> {
    let Ok(serde_json::Value::Object(all)) = serde_json::to_value(step) else { return Vec::new() };
    let of = |(name, value): (String, serde_json::Value)| {
        let number = value.as_f64()?;
        (!matches!(name.as_str(), "iteration" | "total")).then_some((name, number))
    };
    all.into_iter().filter_map(of).collect()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_train, module)?)
}
