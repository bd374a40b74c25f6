//! Converts Python's arrays to the library's (NumPy's, objects with `__array__`, and objects on the CPU with `__dlpack__`), and
//! makes NumPy arrays of results.

use std::sync::atomic::{AtomicU64, Ordering};

use numpy::{
    PyArray1, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PySequence, PyString};

use crate::errors::mismatch;

/// Arrays of images that had to be copied or converted so far, for the test that most are not.
static COPIES: AtomicU64 = AtomicU64::new(0);

/// The number of image arrays that had to be copied or converted on the way in.
#[pyfunction]
fn _copies() -> u64 {
    COPIES.load(Ordering::Relaxed)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_copies, module)?)
}

/// The position of the channels in an array of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The channels before rows and columns: \[N, C, H, W\].
    Nchw,
    /// The channels after rows and columns: \[N, H, W, C\].
    Nhwc,
}

impl Layout {
    /// Parses the name of a layout.
    pub fn parse(py: Python<'_>, name: &str) -> PyResult<Self> {
        match name {
            "nchw" => Ok(Self::Nchw),
            "nhwc" => Ok(Self::Nhwc),
            other => Err(mismatch(py, "layout", format!("{other:?}"), "\"nchw\" or \"nhwc\"")),
        }
    }
}

/// The shape and type that images must have.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The number of channels, 1 or 3 for most networks; None for any.
    pub channels: Option<u32>,
    /// Rows and columns; none for any, as long as both are the same.
    pub side: Option<u32>,
    /// Whether the images' values must lie in \[0, 1\], or need only be finite.
    pub unit: bool,
}

/// Images that the library can read where they are: whole, float32, NCHW.
#[derive(Debug)]
pub struct Images<'py> {
    values: Values<'py>,
    /// The number of images.
    pub count: usize,
    /// The number of channels of each image.
    pub channels: u32,
    /// The rows and columns of each image.
    pub side: u32,
    /// The layout in which the images were given.
    pub layout: Layout,
}

#[derive(Debug)]
enum Values<'py> {
    There(PyReadonlyArrayDyn<'py, f32>),
    Made(Vec<f32>),
}

impl<'py> Images<'py> {
    /// Reads an array of images. float32 that lies in one piece is not copied; uint8 is divided by 255; other floating-point numbers
    /// become float32.
    ///
    /// # Errors
    /// `Mismatch` for what is no such array.
    pub fn new(x: &Bound<'py, PyAny>, layout: &str, wanted: Wanted) -> PyResult<Self> {
        let py = x.py();
        let layout = Layout::parse(py, layout)?;
        let array = as_array(x, "images")?;
        let shape = array.shape().to_vec();
        let told = match layout {
            Layout::Nchw => "[N, C, H, W]",
            Layout::Nhwc => "[N, H, W, C]",
        };
        let &[count, a, b, c] = shape.as_slice() else {
            let hint = if shape.len() == 3 { ": pass x[None] for one image" } else { "" };
            let given = format!("an array of shape {}", shown(&shape));
            return Err(mismatch(py, "images", given, format!("{told}{hint}")));
        };
        let [channels, height, width] = match layout {
            Layout::Nchw => [a, b, c],
            Layout::Nhwc => [c, a, b],
        };
        let fits = |given: usize, wanted: Option<u32>| {
            wanted.is_none_or(|wanted| given == wanted as usize)
        };
        let sized = fits(channels, wanted.channels) && fits(height, wanted.side);
        if count == 0 || height != width || !sized || channels == 0 || height == 0 {
            let number = |known: Option<u32>, name: &str| {
                known.map_or(name.to_owned(), |known| known.to_string())
            };
            let (channels, side) = (number(wanted.channels, "C"), number(wanted.side, "S"));
            let sides = match layout {
                Layout::Nchw => format!("[N, {channels}, {side}, {side}]"),
                Layout::Nhwc => format!("[N, {side}, {side}, {channels}]"),
            };
            let other = match layout {
                Layout::Nchw if fits(c, wanted.channels) && !fits(a, wanted.channels) => {
                    "; pass layout=\"nhwc\" for channels last"
                }
                _ => "",
            };
            let given = format!("an array of shape {}", shown(&shape));
            let wanted = format!("{sides} with N of 1 or more{other}");
            return Err(mismatch(py, "images", given, wanted));
        }
        let values = Values::new(&array, layout)?;
        let [channels, side] = [channels as u32, height as u32];
        let made = Self { values, count, channels, side, layout };
        made.check(py, wanted.unit)?;
        Ok(made)
    }

    fn check(&self, py: Python<'_>, unit: bool) -> PyResult<()> {
        let values = self.values()?;
        let words = (values.len() / self.count).max(1);
        if unit {
            let checked = lapidary::attack::check_pixels("images", values, words);
            return checked.map_err(|error| match values.iter().find(|value| **value > 1.0) {
                Some(most) if most.is_finite() => {
                    let given = format!("values up to {}", most_of(values));
                    let wanted = "float32 in [0, 1], not normalised, or uint8 of 0 to 255";
                    mismatch(py, "images", given, wanted)
                }
                _ => crate::errors::raised(py, error),
            });
        }
        match values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            Some((at, value)) => {
                let given = format!("{value} in image {} (counted from 0)", at / words);
                Err(mismatch(py, "images", given, "finite values"))
            }
            None => Ok(()),
        }
    }

    /// Returns all values of the images, NCHW.
    pub fn values(&self) -> PyResult<&[f32]> {
        match &self.values {
            Values::There(array) => array
                .as_slice()
                .map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string())),
            Values::Made(values) => Ok(values),
        }
    }

    /// Returns the size of a batch of these images for the library's programs: at most `most` images of this side.
    pub fn batch(&self, most: u32) -> lapidary::model::BatchSize {
        lapidary::model::BatchSize { images: batch(self.count, most), side: self.side }
    }

    /// Makes an array of images of the same size, in the layout that these came in.
    pub fn like(&self, py: Python<'py>, values: Vec<f32>) -> PyResult<Bound<'py, PyAny>> {
        images(py, values, self.channels, self.side, self.layout)
    }
}

fn most_of(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Returns the size of a batch for `count` images: the next power of two, so that few programs are made, but at most `most`.
pub fn batch(count: usize, most: u32) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).checked_next_power_of_two().unwrap_or(most).min(most)
}

impl<'py> Values<'py> {
    fn new(array: &Bound<'py, PyUntypedArray>, layout: Layout) -> PyResult<Self> {
        let py = array.py();
        let dtype = array.dtype();
        let array = array.as_any().clone();
        let array = match layout {
            Layout::Nchw => array,
            Layout::Nhwc => array.call_method1("transpose", (0, 3, 1, 2))?,
        };
        let numpy = py.import("numpy")?;
        if dtype.is_equiv_to(&numpy::dtype::<u8>(py)) {
            COPIES.fetch_add(1, Ordering::Relaxed);
            let bytes: PyReadonlyArrayDyn<u8> =
                numpy.call_method1("ascontiguousarray", (array,))?.extract()?;
            let unit = |&byte: &u8| f32::from(byte) / 255.0;
            let bytes =
                bytes.as_slice().map_err(|e| mismatch(py, "images", e, "contiguous data"))?;
            return Ok(Self::Made(bytes.iter().map(unit).collect()));
        }
        if dtype.kind() != b'f' {
            let given = format!("an array of {dtype}");
            return Err(mismatch(py, "images", given, "float32 in [0, 1], or uint8"));
        }
        let single = numpy::dtype::<f32>(py);
        let whole = numpy.call_method1("require", (&array, single, "CA"))?;
        if !whole.is(&array) {
            COPIES.fetch_add(1, Ordering::Relaxed);
        }
        whole.extract().map(Self::There)
    }
}

/// Reads whole numbers, one for each of `count` images, that are classes of a network.
///
/// # Errors
/// `Mismatch` for anything else.
pub fn labels(
    y: &Bound<'_, PyAny>,
    what: &'static str,
    count: usize,
    classes: u32,
) -> PyResult<Vec<u32>> {
    let py = y.py();
    let array = as_array(y, what)?;
    let kind = array.dtype().kind();
    let shape = array.shape().to_vec();
    if !matches!(kind, b'i' | b'u') {
        let given = format!("an array of {}", array.dtype());
        return Err(mismatch(py, what, given, "whole numbers (int64)"));
    }
    if shape != [count] {
        let given = format!("an array of shape {}", shown(&shape));
        return Err(mismatch(py, what, given, format!("({count},), a class for each image")));
    }
    let wide: PyReadonlyArrayDyn<i64> = array.call_method1("astype", ("int64",))?.extract()?;
    let wide = wide.as_array();
    let class = |(at, &value): (usize, &i64)| {
        let class = u32::try_from(value).ok().filter(|class| *class < classes);
        class.ok_or_else(|| {
            let given = format!("{value} for image {at} (counted from 0)");
            mismatch(py, what, given, format!("a class from 0 to {}", classes.saturating_sub(1)))
        })
    };
    wide.iter().enumerate().map(class).collect()
}

/// Reads an array of numbers with this many dimensions: returns its numbers as float32 in one piece, and its shape.
///
/// # Errors
/// `Mismatch` for anything else.
pub fn numbers(
    x: &Bound<'_, PyAny>,
    what: &'static str,
    dimensions: usize,
) -> PyResult<(Vec<f32>, Vec<usize>)> {
    let (array, shape) = of_dimensions(x, what, dimensions)?;
    let single = array.py().import("numpy")?.call_method1("asarray", (array, "float32"))?;
    let single: PyReadonlyArrayDyn<f32> = single.extract()?;
    let data = match single.as_slice() {
        Ok(there) => there.to_vec(),
        Err(_) => single.as_array().iter().copied().collect(),
    };
    Ok((data, shape))
}

/// Reads numbers as float64, otherwise as [`numbers`] does.
///
/// # Errors
/// As [`numbers`].
pub fn doubles(
    x: &Bound<'_, PyAny>,
    what: &'static str,
    dimensions: usize,
) -> PyResult<(Vec<f64>, Vec<usize>)> {
    let (array, shape) = of_dimensions(x, what, dimensions)?;
    let double: PyReadonlyArrayDyn<f64> = array.call_method1("astype", ("float64",))?.extract()?;
    Ok((double.as_array().iter().copied().collect(), shape))
}

/// An array of numbers with so many dimensions, and its shape.
fn of_dimensions<'py>(
    x: &Bound<'py, PyAny>,
    what: &'static str,
    dimensions: usize,
) -> PyResult<(Bound<'py, PyUntypedArray>, Vec<usize>)> {
    let array = as_array(x, what)?;
    let shape = array.shape().to_vec();
    let number = matches!(array.dtype().kind(), b'f' | b'i' | b'u');
    if shape.len() != dimensions || !number {
        let given = format!("an array of {} of shape {}", array.dtype(), shown(&shape));
        let plural = if dimensions == 1 { "" } else { "s" };
        let wanted = format!("an array of numbers with {dimensions} dimension{plural}");
        return Err(mismatch(x.py(), what, given, wanted));
    }
    Ok((array, shape))
}

/// Makes a NumPy array of whatever is given, copied only where it has to be.
///
/// # Errors
/// `Mismatch` for what is no array, and for what lies on another device.
pub fn as_array<'py>(
    x: &Bound<'py, PyAny>,
    what: &'static str,
) -> PyResult<Bound<'py, PyUntypedArray>> {
    let py = x.py();
    if let Ok(array) = x.cast::<PyUntypedArray>() {
        return Ok(array.clone());
    }
    let kind = x.get_type().fully_qualified_name()?.to_string();
    let wanted = "an array: NumPy's, or anything on the CPU with __array__ or __dlpack__";
    let numpy = py.import("numpy")?;
    let text = x.is_instance_of::<PyString>() || x.is_instance_of::<PyBytes>();
    let listed = !text && x.cast::<PySequence>().is_ok();
    let made = if x.hasattr("__array__")? || listed {
        numpy.call_method1("asarray", (x,))
    } else if x.hasattr("__dlpack__")? && x.hasattr("__dlpack_device__")? {
        /// The device type `kDLCPU` of DLPack.
        const CPU: i64 = 1;
        let device: (i64, i64) = x.call_method0("__dlpack_device__")?.extract()?;
        if device.0 != CPU {
            let given = format!("{kind} on DLPack device {device:?}");
            return Err(mismatch(py, what, given, "an array on the CPU: copy it there first"));
        }
        numpy.call_method1("from_dlpack", (x,))
    } else {
        return Err(mismatch(py, what, kind, wanted));
    };
    let made = made.map_err(|error| {
        let told = mismatch(py, what, format!("{kind} ({})", error.value(py)), wanted);
        told.set_cause(py, Some(error));
        told
    })?;
    Ok(made.cast_into::<PyUntypedArray>()?)
}

/// Returns a shape as Python shows it.
pub fn shown(shape: &[usize]) -> String {
    let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
    match sides.as_slice() {
        [one] => format!("({one},)"),
        all => format!("({})", all.join(", ")),
    }
}

/// Makes a NumPy array of these values and shape, without a copy.
pub fn array<'py>(
    py: Python<'py>,
    values: Vec<f32>,
    shape: &[usize],
) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    PyArray1::from_vec(py, values).reshape(shape.to_vec())
}

/// Makes a NumPy array of images in this layout.
pub fn images(
    py: Python<'_>,
    values: Vec<f32>,
    channels: u32,
    side: u32,
    layout: Layout,
) -> PyResult<Bound<'_, PyAny>> {
    let [channels, side] = [channels as usize, side as usize];
    let count = values.len() / (channels * side * side).max(1);
    let made = array(py, values, &[count, channels, side, side])?.into_any();
    match layout {
        Layout::Nchw => Ok(made),
        Layout::Nhwc => made.call_method1("transpose", (0, 2, 3, 1)),
    }
}
