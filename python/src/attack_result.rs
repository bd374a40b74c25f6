//! The Python class for the result of a robustness evaluation: accuracy under several attacks, and which attack broke which image.

use lapidary::eval::{Point, RobustAccuracy, Version};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::pictures::{element, grid, table};

/// Images that a result shows.
const SHOWN: usize = 16;

/// The result of an evaluation by several attacks.
#[pyclass(frozen, module = "lapidary", name = "AttackResult")]
#[derive(Debug)]
pub struct AttackResult {
    pub result: RobustAccuracy,
    /// The attacked images, in the layout in which images were given.
    pub images: Py<PyAny>,
    /// The channels of the images, and their rows and columns.
    pub size: [u32; 2],
    pub architecture: String,
}

#[pymethods]
impl AttackResult {
    /// The share of images that are classified correctly and that no attack broke.
    #[getter]
    fn robust_accuracy(&self) -> f64 {
        self.result.robust_accuracy
    }

    /// The share of images that are classified correctly as they are.
    #[getter]
    fn clean_accuracy(&self) -> f64 {
        self.result.clean_accuracy
    }

    /// The images that broke the network, and the others as they were, in the order and the layout in which they were given.
    #[getter]
    fn images(&self, py: Python<'_>) -> Py<PyAny> {
        self.images.clone_ref(py)
    }

    /// The outcome of each image: "wrong" if it was misclassified without an attack, "robust", or the name of the attack
    /// that broke it.
    #[getter]
    fn points(&self) -> Vec<&'static str> {
        let name = |point: &Point| match point {
            Point::Wrong => "wrong",
            Point::Robust => "robust",
            Point::Broken(attack) => attack.name(),
        };
        self.result.points.iter().map(name).collect()
    }

    /// A row for each attack: its name, the images it tried and broke, the robust accuracy after it, its seconds.
    #[getter]
    fn attacks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let rows = PyList::empty(py);
        for attack in &self.result.attacks {
            let row = PyDict::new(py);
            row.set_item("attack", attack.attack.name())?;
            row.set_item("tried", attack.tried)?;
            row.set_item("broken", attack.broken)?;
            row.set_item("robust_accuracy", attack.robust_accuracy)?;
            row.set_item("seconds", attack.seconds)?;
            rows.append(row)?;
        }
        Ok(rows)
    }

    /// Why the number may flatter the network; empty where nothing speaks against it.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.result.warnings.iter().map(ToString::to_string).collect()
    }

    /// The largest distance of an image that broke the network from where it came from; None where no image did.
    #[getter]
    fn max_perturbation(&self) -> Option<f64> {
        self.result.max_perturbation
    }

    /// The norm of the ball: "Linf" or "L2".
    #[getter]
    fn norm(&self) -> String {
        format!("{:?}", self.result.norm)
    }

    /// The radius of the ball around each image.
    #[getter]
    fn eps(&self) -> f32 {
        self.result.eps
    }

    /// The version of AutoAttack: its selection of attacks.
    #[getter]
    fn version(&self) -> &'static str {
        self.result.version.name()
    }

    /// Wall time, of all calls where the evaluation was interrupted.
    #[getter]
    fn seconds(&self) -> f64 {
        self.result.seconds
    }

    /// The entry of RobustBench's `model_info`; fields that are not known here, such as link and authors, are None.
    #[getter]
    fn model_info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let percent = |share: f64| format!("{:.2}", 100.0 * share);
        let info = PyDict::new(py);
        for key in ["link", "name", "authors", "additional_data"] {
            info.set_item(key, py.None())?;
        }
        info.set_item("number_forward_passes", 1)?;
        info.set_item("dataset", py.None())?;
        info.set_item("venue", py.None())?;
        info.set_item("architecture", &self.architecture)?;
        info.set_item("eps", fraction(self.result.eps))?;
        info.set_item("clean_acc", percent(self.result.clean_accuracy))?;
        info.set_item("reported", py.None())?;
        let robust = percent(self.result.robust_accuracy);
        let standard = self.result.version == Version::Standard;
        info.set_item("autoattack_acc", standard.then_some(robust))?;
        info.set_item("unreliable", !self.result.warnings.is_empty())?;
        Ok(info)
    }

    fn __repr__(&self) -> String {
        let RobustAccuracy { clean_accuracy, robust_accuracy, norm, eps, points, .. } =
            &self.result;
        format!(
            "<lapidary.AttackResult {norm:?} eps {}, {} images: clean {:.2} %, robust {:.2} %>",
            fraction(*eps),
            points.len(),
            100.0 * clean_accuracy,
            100.0 * robust_accuracy
        )
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let row = |attack: &lapidary::eval::AttackResult| {
            vec![
                attack.attack.name().to_owned(),
                attack.tried.to_string(),
                attack.broken.to_string(),
                percent(attack.robust_accuracy),
                format!("{:.1}", attack.seconds),
            ]
        };
        let rows: Vec<_> = self.result.attacks.iter().map(row).collect();
        let head = ["attack", "tried", "broken", "robust after it", "seconds"];
        let mut text = format!(
            "<p>{:?}, eps {}: clean accuracy {}, robust accuracy <b>{}</b></p>{}",
            self.result.norm,
            fraction(self.result.eps),
            percent(self.result.clean_accuracy),
            percent(self.result.robust_accuracy),
            table(&head, &rows)
        );
        for warning in self.warnings() {
            text += &format!("<p>warning: {}</p>", crate::pictures::escaped(&warning));
        }
        let [channels, side] = self.size;
        let words = (channels * side * side) as usize;
        let broken = |point: &Point| matches!(point, Point::Broken(_));
        let points = self.result.points.iter().zip(self.result.images.chunks(words.max(1)));
        let images = points.filter(|(point, _)| broken(point)).take(SHOWN);
        let images: Vec<f32> = images.flat_map(|(_, image)| image).copied().collect();
        if let Ok(picture) = grid(&images, channels, side, SHOWN).and_then(|made| made.png()) {
            text += "<p>The first images that broke it:</p>";
            text += &element(py, &picture, "Images that the network misclassifies")?;
        }
        Ok(text)
    }
}

/// Writes a radius as papers do, for example 8/255.
fn fraction(eps: f32) -> String {
    let of = f64::from(eps) * 255.0;
    let whole = of.round() >= 1.0 && (of - of.round()).abs() < 1e-4;
    if whole && eps < 0.5 { format!("{}/255", of.round()) } else { eps.to_string() }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<AttackResult>()
}
