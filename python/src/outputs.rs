//! The outputs of a network for images: logits, classes, energies, and the gradient of a loss, logit or margin with respect to each
//! image.

use lapidary::attack::Objective;
use lapidary::eval::{Of, With, argmax, logsumexp};
use numpy::PyArray1;
use pyo3::prelude::*;

use crate::arrays::{Images, Wanted, array, labels, numbers};
use crate::calls::wait;
use crate::errors::mismatch;
use crate::model::{Model, most};

#[pymethods]
impl Model {
    /// Compute the logits of images.
    ///
    /// Parameters
    /// ----------
    #[doc = about!(images)]
    #[doc = about!(layout)]
    #[doc = about!(batch_size)]
    ///
    /// Returns
    /// -------
    /// ndarray
    ///     float32 of shape (N, K).
    ///
    /// Raises
    /// ------
    #[doc = about!(mismatch)]
    #[doc = about!(device)]
    /// NonFinite
    ///     Where the network's numbers overflow.
    #[pyo3(signature = (x, *, layout="nchw", batch_size=64))]
    fn logits<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        layout: &str,
        batch_size: u32,
    ) -> PyResult<Bound<'py, PyAny>> {
        let images = self.images(x, layout)?;
        let logits = self.logits_of(py, &images, most(py, batch_size)?)?;
        Ok(array(py, logits, &[images.count, self.classes() as usize])?.into_any())
    }

    /// The likeliest class of each image.
    ///
    /// Parameters
    /// ----------
    #[doc = about!(images)]
    #[doc = about!(layout)]
    #[doc = about!(batch_size)]
    ///
    /// Returns
    /// -------
    /// ndarray
    ///     int64 of shape (N,): the class of the largest logit, the first of equals.
    ///
    /// Raises
    /// ------
    #[doc = about!(mismatch)]
    #[doc = about!(device)]
    #[pyo3(signature = (x, *, layout="nchw", batch_size=64))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        layout: &str,
        batch_size: u32,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let images = self.images(x, layout)?;
        let logits = self.logits_of(py, &images, most(py, batch_size)?)?;
        let named = argmax(&logits, self.classes() as usize);
        Ok(PyArray1::from_iter(py, named.into_iter().map(i64::from)))
    }

    /// Compute the energy of images: low for those that the network takes for real.
    ///
    /// Parameters
    /// ----------
    #[doc = about!(images)]
    /// y : array, optional
    ///     Labels of shape (N,). With them it is the joint energy E(x, y) = -f(x)[y], without the marginal one, E(x) = -log sum exp f(x).
    #[doc = about!(layout)]
    #[doc = about!(batch_size)]
    ///
    /// Returns
    /// -------
    /// ndarray
    ///     float32 of shape (N,).
    ///
    /// Raises
    /// ------
    #[doc = about!(mismatch)]
    #[doc = about!(device)]
    #[pyo3(signature = (x, y=None, *, layout="nchw", batch_size=64))]
    fn energy<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        y: Option<&Bound<'py, PyAny>>,
        layout: &str,
        batch_size: u32,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let images = self.images(x, layout)?;
        let classes = self.classes();
        let labels = y.map(|y| labels(y, "labels", images.count, classes)).transpose()?;
        let logits = self.logits_of(py, &images, most(py, batch_size)?)?;
        let classes = classes as usize;
        let energies: Vec<f32> = match labels {
            None => logsumexp(&logits, classes).into_iter().map(|value| -value).collect(),
            Some(labels) => {
                let rows = logits.chunks(classes).zip(&labels);
                rows.filter_map(|(row, &label)| row.get(label as usize)).map(|f| -f).collect()
            }
        };
        Ok(PyArray1::from_vec(py, energies))
    }

    /// The logarithm of the sum over classes of exp(logit): minus the marginal energy.
    ///
    /// Parameters
    /// ----------
    #[doc = about!(images)]
    #[doc = about!(layout)]
    #[doc = about!(batch_size)]
    ///
    /// Returns
    /// -------
    /// ndarray
    ///     float32 of shape (N,).
    ///
    /// Raises
    /// ------
    #[doc = about!(mismatch)]
    #[doc = about!(device)]
    #[pyo3(signature = (x, *, layout="nchw", batch_size=64))]
    fn log_sum_exp<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        layout: &str,
        batch_size: u32,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let images = self.images(x, layout)?;
        let logits = self.logits_of(py, &images, most(py, batch_size)?)?;
        Ok(PyArray1::from_vec(py, logsumexp(&logits, self.classes() as usize)))
    }

    /// Compute the gradient of a number for each image, with respect to that image.
    ///
    /// Parameters
    /// ----------
    #[doc = about!(images)]
    /// y : array, optional
    ///     Labels of shape (N,); not needed for "log-sum-exp".
    /// of : {"cross-entropy", "logit", "log-sum-exp", "margin", "dlr"}
    ///     Which number: the cross-entropy of the label, its logit, minus the marginal energy, the largest other logit minus the label's, or the
    ///     difference of logits ratio. Each image's own, not the mean over them.
    #[doc = about!(layout)]
    #[doc = about!(batch_size)]
    ///
    /// Returns
    /// -------
    /// ndarray
    ///     float32 of the images' shape.
    ///
    /// Raises
    /// ------
    #[doc = about!(mismatch)]
    #[doc = about!(device)]
    #[pyo3(signature = (x, y=None, *, of="cross-entropy", layout="nchw", batch_size=64))]
    fn input_gradient<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        y: Option<&Bound<'py, PyAny>>,
        of: &str,
        layout: &str,
        batch_size: u32,
    ) -> PyResult<Bound<'py, PyAny>> {
        let images = self.images(x, layout)?;
        let objective = match of {
            "cross-entropy" => Objective::CrossEntropy,
            "logit" => Objective::Joint,
            "log-sum-exp" => Objective::LogSumExp,
            "margin" => Objective::Margin,
            "dlr" => Objective::Dlr,
            other => {
                let wanted = "cross-entropy, logit, log-sum-exp, margin or dlr";
                return Err(mismatch(py, "of", format!("{other:?}"), wanted));
            }
        };
        let classes = self.classes();
        let labels = match y {
            Some(y) => labels(y, "labels", images.count, classes)?,
            None if objective == Objective::LogSumExp => vec![0; images.count],
            None => {
                return Err(mismatch(
                    py,
                    "labels",
                    "None",
                    format!("a class for each image, which of={of:?} needs"),
                ));
            }
        };
        let size = images.batch(most(py, batch_size)?);
        let values = images.values()?;
        let gradient = self.with(py, |ready| {
            let made = ready.gradient(self.network(), size, Of::Objective(objective))?;
            wait(made.gradient(values, With::Labels(&labels)))
        })?;
        images.like(py, gradient)
    }

    /// Logits of finite images that may lie outside of [0, 1]: the forward pass of `lapidary.torch`.
    fn _forward<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        batch_size: u32,
    ) -> PyResult<Bound<'py, PyAny>> {
        let images = self.any_images(x)?;
        let logits = self.logits_of(py, &images, most(py, batch_size)?)?;
        Ok(array(py, logits, &[images.count, self.classes() as usize])?.into_any())
    }

    /// The gradient for such images of the logits times these factors, summed: its backward pass.
    fn _backward<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        factors: &Bound<'py, PyAny>,
        batch_size: u32,
    ) -> PyResult<Bound<'py, PyAny>> {
        let images = self.any_images(x)?;
        let (factors, _) = numbers(factors, "factors", 2)?;
        let (values, size) = (images.values()?, images.batch(most(py, batch_size)?));
        let gradient = self.with(py, |ready| {
            let made = ready.gradient(self.network(), size, Of::Logits)?;
            wait(made.gradient(values, With::Factors(&factors)))
        })?;
        images.like(py, gradient)
    }

    /// Measures the seconds that the library takes for the logits of these images, for the comparison with `logits`.
    fn _seconds_of_logits(
        &self,
        py: Python<'_>,
        x: &Bound<'_, PyAny>,
        batch_size: u32,
    ) -> PyResult<f64> {
        let images = self.images(x, "nchw")?;
        let values = images.values()?.to_vec();
        let size = images.batch(most(py, batch_size)?);
        self.with(py, |ready| {
            let classifier = ready.classifier(self.network(), size)?;
            let began = std::time::Instant::now();
            wait(classifier.logits(&values))?;
            Ok(began.elapsed().as_secs_f64())
        })
    }
}

impl Model {
    fn logits_of(&self, py: Python<'_>, images: &Images<'_>, most: u32) -> PyResult<Vec<f32>> {
        let (values, size) = (images.values()?, images.batch(most));
        self.with(py, |ready| {
            let network = &self.known.pretrained.network;
            wait(ready.classifier(network, size)?.logits(values))
        })
    }

    fn any_images<'py>(&self, x: &Bound<'py, PyAny>) -> PyResult<Images<'py>> {
        let channels = Some(self.network().channels());
        Images::new(x, "nchw", Wanted { channels, side: self.known.side(), unit: false })
    }
}
