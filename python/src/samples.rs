//! Draws samples (`Model.sample`) and leads images to other classes (`Model.explain`), and holds the Python classes of their
//! results, `Samples` and `Explanation`.

use lapidary::Error;
use lapidary::data::{Classes, SAMPLE_STARTS};
use lapidary::eval::{Counterfactuals, sample};
use lapidary::model::BatchSize;
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::arrays::{Images, Layout, Wanted, array, batch, images, labels};
use crate::calls::wait;
use crate::errors::{mismatch, raised};
use crate::model::{Model, most};
use crate::pictures::{element, grid};
use crate::progress::{Progress, Watch};

/// Images drawn from a network, with the class that each was drawn towards.
#[pyclass(frozen, module = "lapidary", name = "Samples")]
#[derive(Debug)]
pub struct Samples {
    values: Vec<f32>,
    size: [u32; 2],
    labels: Vec<u32>,
    names: Vec<String>,
    /// The first after 0, 1, ... steps.
    trajectory: Vec<Vec<f32>>,
}

#[pymethods]
impl Samples {
    /// The images, float32 of shape (N, C, H, W) in [0, 1].
    #[getter]
    fn images<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let [channels, side] = self.size;
        images(py, self.values.clone(), channels, side, Layout::Nchw)
    }

    /// The class that each was drawn towards, int64 of shape (N,).
    #[getter]
    fn labels<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_iter(py, self.labels.iter().map(|&label| i64::from(label)))
    }

    /// The names of these classes, one for each image.
    #[getter]
    fn class_names(&self) -> Vec<String> {
        let name = |&label: &u32| self.names.get(label as usize).cloned();
        self.labels.iter().filter_map(name).collect()
    }

    /// The first samples on their way, float32 of shape (steps + 1, up to 10, C, H, W).
    #[getter]
    fn trajectory<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let [channels, side] = self.size.map(|length| length as usize);
        let each = self.trajectory.first().map_or(0, Vec::len) / (channels * side * side).max(1);
        let shape = [self.trajectory.len(), each, channels, side, side];
        Ok(array(py, self.trajectory.concat(), &shape)?.into_any())
    }

    /// All images in a picture, uint8 of shape (H, W, 3).
    #[pyo3(signature = (columns=10))]
    fn grid<'py>(&self, py: Python<'py>, columns: usize) -> PyResult<Bound<'py, PyAny>> {
        let [channels, side] = self.size;
        let picture = grid(&self.values, channels, side, columns);
        let picture = picture.map_err(|error| raised(py, error))?;
        let shape = [picture.height as usize, picture.width as usize, 3];
        let flat = PyArray1::from_vec(py, picture.rgb);
        Ok(numpy::PyArrayMethods::reshape(&flat, shape)?.into_any())
    }

    /// The images as Pillow's, in a list; needs Pillow.
    fn to_pil<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let pillow = py.import("PIL.Image")?;
        let bytes: Vec<u8> =
            self.values.iter().map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
        let [channels, side] = self.size.map(|length| length as usize);
        let all = PyList::empty(py);
        for image in bytes.chunks((channels * side * side).max(1)) {
            let flat = PyArray1::from_vec(py, image.to_vec());
            let planes = numpy::PyArrayMethods::reshape(&flat, [channels, side, side])?.into_any();
            let pixels = match channels {
                1 => planes.get_item(0)?,
                _ => planes.call_method1("transpose", (1, 2, 0))?,
            };
            let numpy = py.import("numpy")?;
            let pixels = numpy.call_method1("ascontiguousarray", (pixels,))?;
            all.append(pillow.call_method1("fromarray", (pixels,))?)?;
        }
        Ok(all)
    }

    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if copy == Some(false) {
            let wanted = "copy=True or None: the images are copied into each array";
            return Err(mismatch(py, "samples", "copy=False", wanted));
        }
        let all = self.images(py)?;
        dtype.map_or(Ok(all.clone()), |dtype| all.call_method1("astype", (dtype,)))
    }

    fn __len__(&self) -> usize {
        self.labels.len()
    }

    fn __repr__(&self) -> String {
        let [channels, side] = self.size;
        format!("<lapidary.Samples {} images of {channels}x{side}x{side}>", self.labels.len())
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let [channels, side] = self.size;
        let png = grid(&self.values, channels, side, 10).and_then(|picture| picture.png());
        let png = png.map_err(|error| raised(py, error))?;
        element(
            py,
            &png,
            &format!("{} samples: {}", self.labels.len(), self.class_names().join(", ")),
        )
    }
}

/// Images on their way to another class.
#[pyclass(frozen, module = "lapidary", name = "Explanation")]
#[derive(Debug)]
pub struct Explanation {
    /// Step by step, all images each.
    path: Vec<Vec<f32>>,
    /// The probabilities along the way, K for each image.
    probabilities: Vec<Vec<f32>>,
    size: [u32; 2],
    classes: usize,
    targets: Vec<u32>,
    layout: Layout,
}

#[pymethods]
impl Explanation {
    /// The counterfactuals: the images after the last step, of the shape and layout of those given.
    #[getter]
    fn images<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let [channels, side] = self.size;
        let last = self.path.last().cloned().unwrap_or_default();
        images(py, last, channels, side, self.layout)
    }

    /// The images after 0, 1, ... steps, float32 of shape (steps + 1, N, C, H, W).
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let [channels, side] = self.size.map(|length| length as usize);
        let shape = [self.path.len(), self.targets.len(), channels, side, side];
        Ok(array(py, self.path.concat(), &shape)?.into_any())
    }

    /// The probability of each class after 0, 1, ... steps, float32 of shape (steps + 1, N, K).
    #[getter]
    fn probabilities<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let shape = [self.probabilities.len(), self.targets.len(), self.classes];
        Ok(array(py, self.probabilities.concat(), &shape)?.into_any())
    }

    /// The class that each was led to, int64 of shape (N,).
    #[getter]
    fn targets<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        PyArray1::from_iter(py, self.targets.iter().map(|&label| i64::from(label)))
    }

    fn __repr__(&self) -> String {
        let steps = self.path.len().saturating_sub(1);
        format!("<lapidary.Explanation of {} images in {steps} steps>", self.targets.len())
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let [channels, side] = self.size;
        let both: Vec<f32> =
            self.path.first().into_iter().chain(self.path.last()).flatten().copied().collect();
        let png = grid(&both, channels, side, self.targets.len().max(1));
        let png = png.and_then(|picture| picture.png()).map_err(|error| raised(py, error))?;
        element(py, &png, "Images above, their counterfactuals below")
    }
}

#[pymethods]
impl Model {
    /// Draw images: steps up the logit of a class, from images that are of none.
    ///
    /// Parameters
    /// ----------
    /// classes : int, str, or sequence of either
    ///     A class for each image to draw, by number or name.
    /// seed : int
    ///     Of the images to start from; refused with images in `start`, which leave nothing to chance.
    /// steps : int, optional
    ///     Steps; the checkpoint's own number.
    /// step_size : float, optional
    ///     The L2 length of one.
    /// start : array or str, optional
    ///     Images to start from, of shape (N, C, H, W), or what images there are by name: "builtin:fractal" (which it is without), "builtin:noise", or
    ///     a path.
    /// batch_size : int
    ///     The number of images that go through the network at once.
    #[doc = about!(callback)]
    ///
    /// Returns
    /// -------
    /// Samples
    ///     The images, with the way of the first ten.
    ///
    /// Raises
    /// ------
    #[doc = about!(mismatch)]
    #[doc = about!(device)]
    #[pyo3(signature = (classes, *, seed=0, steps=None, step_size=None, start=None, batch_size=64, callback=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn sample<'py>(
        &self,
        py: Python<'py>,
        classes: &Bound<'py, PyAny>,
        seed: u64,
        steps: Option<u32>,
        step_size: Option<f64>,
        start: Option<Bound<'py, PyAny>>,
        batch_size: u32,
        callback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Samples> {
        let labels = self.named(classes)?;
        let config = &self.known.config;
        let (count, channels) = (labels.len(), self.network().channels());
        let most = most(py, batch_size)?;
        let (steps, step_size) = self.steps(steps, step_size);
        let given = start.filter(|start| !start.is_none());
        let images = match &given {
            Some(given) if !given.is_instance_of::<pyo3::types::PyString>() => {
                let wanted =
                    Wanted { channels: Some(channels), side: self.known.side(), unit: true };
                let images = Images::new(given, "nchw", wanted)?;
                if seed != 0 {
                    let wanted = "no seed=, which only serves to draw start images at random";
                    return Err(mismatch(py, "sample", "seed= with images to start from", wanted));
                }
                if images.count != count {
                    let given = format!("{} images", images.count);
                    return Err(mismatch(py, "start", given, format!("{count}, one a sample")));
                }
                Some(images)
            }
            _ => None,
        };
        let values = images.as_ref().map(Images::values).transpose()?;
        let side = match (&images, self.known.side()) {
            (Some(images), _) => images.side,
            (None, Some(side)) => side,
            (None, None) => {
                let wanted =
                    "start= with images of the wanted size, or a model that was loaded with side=";
                return Err(mismatch(py, "sample", "a model for images of any size", wanted));
            }
        };
        let named = match &given {
            Some(given) if images.is_none() => given.extract::<String>()?,
            _ => "builtin:fractal".to_owned(),
        };
        let mut watch = Watch::new(py, callback)?;
        let mut left_out = Vec::new();
        let made = self.with(py, |ready| {
            let drawn;
            let starts = match values {
                Some(values) => values,
                None => {
                    let data = lapidary::train::Data { side, ..config.data.clone() };
                    let opened = data.open(&named, channels)?;
                    drawn = opened.batches(SAMPLE_STARTS, seed, count)?.batch(0)?.images;
                    left_out = opened.damaged();
                    &drawn
                }
            };
            let size = BatchSize { images: batch(count, most), side };
            let total = count as f64;
            let done = |done: usize| watch.tell(Progress::at("sample", done as f64, total));
            let (sets, settings) = ((starts, &labels[..]), (steps, step_size));
            let traced = count.min(10);
            wait(sample(self.network(), &ready.weights, sets, size, settings, traced, done))
        });
        watch.close(py)?;
        let lapidary::eval::Samples { images, trajectory } = made?;
        // Of a method of ours the caller's line is one nearer than of a function in Python.
        py.import("lapidary._notes")?.call_method1("warn", (&named, left_out, 2))?;
        let (size, names) = ([channels, side], self.names());
        Ok(Samples { values: images, size, labels, names, trajectory })
    }

    /// Lead images to other classes: what they would have to look like for the network to see these (arXiv 2003.09461).
    ///
    /// Parameters
    /// ----------
    #[doc = about!(images)]
    /// target : int, str, or sequence of either
    ///     The class to see, by number or name: one for all images, or one for each.
    /// eps : float, optional
    ///     The L2 radius within which images stay; without, they may go anywhere.
    /// steps, step_size
    ///     As for `sample`.
    #[doc = about!(layout)]
    #[doc = about!(batch_size)]
    #[doc = about!(callback)]
    ///
    /// Returns
    /// -------
    /// Explanation
    ///     The counterfactuals, the way there, and the probabilities along it.
    ///
    /// Raises
    /// ------
    #[doc = about!(mismatch)]
    #[doc = about!(device)]
    #[pyo3(signature = (x, target, *, eps=None, steps=None, step_size=None, layout="nchw", batch_size=64, callback=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn explain<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        target: &Bound<'py, PyAny>,
        eps: Option<f64>,
        steps: Option<u32>,
        step_size: Option<f64>,
        layout: &str,
        batch_size: u32,
        callback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Explanation> {
        let images = self.images(x, layout)?;
        let mut targets = self.named(target)?;
        if let &[one] = targets.as_slice() {
            targets = vec![one; images.count];
        }
        if targets.len() != images.count {
            let given = format!("{} classes for {} images", targets.len(), images.count);
            return Err(mismatch(py, "target", given, "one class, or one for each image"));
        }
        let (steps, step_size) = self.steps(steps, step_size);
        let eps = eps.map_or(f32::INFINITY, |eps| eps as f32);
        let (values, size) = (images.values()?, images.batch(most(py, batch_size)?));
        let classes = self.network().classes() as usize;
        let mut watch = Watch::new(py, callback)?;
        let made = self.with(py, |ready| {
            let network = self.network();
            let new = Counterfactuals::new(network, &ready.weights, size, eps, (steps, step_size));
            let mut explainer = wait(new)?;
            let mut path = vec![Vec::new(); steps as usize + 1];
            let mut probabilities = path.clone();
            let words = values.len() / images.count;
            let batches = values.chunks(size.images as usize * words);
            let mut done = 0;
            for (part, targets) in batches.zip(targets.chunks(size.images as usize)) {
                for way in wait(explainer.paths(part, targets))? {
                    for (all, image) in path.iter_mut().zip(way.path) {
                        all.extend(image);
                    }
                    for (all, row) in probabilities.iter_mut().zip(way.probabilities) {
                        all.extend(row.into_iter().map(|chance| chance as f32));
                    }
                }
                done += targets.len();
                watch.tell(Progress::at("explain", done as f64, images.count as f64))?;
            }
            Ok::<_, Error>((path, probabilities))
        });
        watch.close(py)?;
        let (path, probabilities) = made?;
        let size = [images.channels, images.side];
        Ok(Explanation { path, probabilities, size, classes, targets, layout: images.layout })
    }
}

impl Model {
    /// The checkpoint's own where nothing is given.
    fn steps(&self, steps: Option<u32>, step_size: Option<f64>) -> (u32, f32) {
        let config = &self.known.config.sample;
        (steps.unwrap_or(config.steps.max(1)), step_size.unwrap_or(config.step_size) as f32)
    }

    /// Reads classes by number or name, one or a sequence.
    fn named(&self, classes: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
        let py = classes.py();
        let names = self.names();
        let all = Classes { names: &names, count: self.network().classes() };
        let by_name = |name: &str| all.find(name).map_err(|error| raised(py, error));
        if let Ok(name) = classes.extract::<String>() {
            return Ok(vec![by_name(&name)?]);
        }
        if let Ok(all) = classes.extract::<Vec<String>>()
            && !all.is_empty()
        {
            return all.iter().map(|name| by_name(name)).collect();
        }
        let array = py.import("numpy")?.call_method1("atleast_1d", (classes,))?;
        let count = array.len()?;
        if count == 0 {
            return Err(mismatch(py, "classes", "none", "at least one"));
        }
        labels(&array, "classes", count, self.network().classes())
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Samples>()?;
    module.add_class::<Explanation>()
}
