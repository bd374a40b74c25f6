//! The attacks of `Model`: they find images that the network misclassifies, move images of no class so that the network takes
//! them for one of its classes, and measure the accuracy under the strongest of several attacks on each image.

use std::path::PathBuf;

use lapidary::Error;
use lapidary::eval::{
    AttackName, AutoAttack, Hiding, Loss, Progress as At, RestartedPgd, State, Version,
};
use lapidary::ops::Norm;
use pyo3::prelude::*;

use crate::arrays::{Images, labels};
use crate::attack_result::AttackResult;
use crate::calls::wait;
use crate::errors::mismatch;
use crate::model::{Model, most};
use crate::progress::{Progress, Watch};

/// The attacks of `autoattack` that each of its keywords is of use to.
const OF_STEPS: [AttackName; 6] = [
    AttackName::ApgdCe,
    AttackName::ApgdDlr,
    AttackName::ApgdTargeted,
    AttackName::Fab,
    AttackName::FabTargeted,
    AttackName::Pgd,
];
const OF_RESTARTS: [AttackName; 4] =
    [AttackName::ApgdCe, AttackName::ApgdDlr, AttackName::Fab, AttackName::Pgd];
const OF_TARGETS: [AttackName; 2] = [AttackName::ApgdTargeted, AttackName::FabTargeted];
const OF_QUERIES: [AttackName; 1] = [AttackName::Square];

/// The radius as it was given, or else the usual one of the norm: 8/255 in Linf, and 0.5 in L2, as in the program.
fn radius(eps: Option<f64>, norm: Norm) -> f32 {
    let usual = match norm {
        Norm::Linf => 8.0 / 255.0,
        Norm::L2 => 0.5,
    };
    eps.unwrap_or(usual) as f32
}

/// Returns the norm of an attack's ball by its name.
pub fn norm(py: Python<'_>, name: &str) -> PyResult<Norm> {
    match name.to_lowercase().as_str() {
        "linf" => Ok(Norm::Linf),
        "l2" => Ok(Norm::L2),
        _ => Err(mismatch(py, "norm", format!("{name:?}"), "\"Linf\" or \"L2\"")),
    }
}

fn loss(py: Python<'_>, name: &str) -> PyResult<Loss> {
    match name {
        "cross-entropy" | "ce" => Ok(Loss::CrossEntropy),
        "dlr" => Ok(Loss::Dlr),
        "margin" | "cw" => Ok(Loss::Margin),
        _ => Err(mismatch(py, "loss", format!("{name:?}"), "cross-entropy, dlr or margin")),
    }
}

fn version(py: Python<'_>, name: &str) -> PyResult<Version> {
    let all =
        [Version::Standard, Version::Plus, Version::Rand, Version::FewClasses, Version::Custom];
    let found = all.into_iter().find(|version| version.name() == name);
    let known = || all.map(Version::name).join(", ");
    found.ok_or_else(|| mismatch(py, "version", format!("{name:?}"), known()))
}

#[pymethods]
impl Model {
    /// Move images by projected gradient steps so that the network misclassifies them.
    ///
    /// Parameters
    /// ----------
    #[doc = about!(images)]
    /// y : array
    ///     Labels, whole numbers of shape (N,) below `classes`.
    /// norm : {"Linf", "L2"}
    ///     What the ball around each image is measured in.
    /// eps : float, optional
    ///     Its radius, for images in [0, 1]; above 0. Without, 8/255 in Linf and 0.5 in L2.
    /// steps : int
    ///     Steps from each start.
    /// step_size : float, optional
    ///     Length of a step; an eighth of the radius.
    /// restarts : int
    ///     Starts: the first at the image itself, all others at random points of the ball.
    /// loss : {"cross-entropy", "dlr", "margin"}
    ///     What the steps climb; "ce" and "cw" are other names of the first and the last.
    /// momentum : float
    ///     Part of the last direction that stays, from 0 to below 1.
    /// targeted : bool
    ///     Whether each start is tried towards each of the nine likeliest other classes.
    /// seed : int
    ///     Of all random numbers.
    #[doc = about!(layout)]
    #[doc = about!(batch_size)]
    #[doc = about!(callback)]
    ///
    /// Returns
    /// -------
    /// ndarray
    ///     Images of the shape and layout of `x`, float32 in [0, 1], within the ball: of several starts the first that is misclassified, or else
    ///     the last.
    ///
    /// Raises
    /// ------
    #[doc = about!(mismatch)]
    #[doc = about!(device)]
    #[pyo3(signature = (x, y, *, norm="Linf", eps=None, steps=50, step_size=None, restarts=1, loss="cross-entropy", momentum=0.0, targeted=false, seed=0, layout="nchw", batch_size=64, callback=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn attack<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        y: &Bound<'py, PyAny>,
        norm: &str,
        eps: Option<f64>,
        steps: u32,
        step_size: Option<f64>,
        restarts: u32,
        loss: &str,
        momentum: f64,
        targeted: bool,
        seed: u64,
        layout: &str,
        batch_size: u32,
        callback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let norm = self::norm(py, norm)?;
        let radius = radius(eps, norm);
        let pgd = RestartedPgd {
            steps,
            step_size: step_size.map_or(radius / 8.0, |size| size as f32),
            restarts,
            momentum: momentum as f32,
            loss: self::loss(py, loss)?,
            targeted,
        };
        let settings = AutoAttack {
            attacks: vec![AttackName::Pgd],
            seed,
            batch: most(py, batch_size)?,
            pgd,
            ..AutoAttack::new(Version::Custom, norm, radius)
        };
        let images = self.images(x, layout)?;
        let labels = labels(y, "labels", images.count, self.network().classes())?;
        let (values, side) = (images.values()?, images.side);
        let mut watch = Watch::new(py, callback)?;
        let total = images.count as f64;
        let moved = self.with(py, |ready| {
            let told = |share: f64| watch.tell(Progress::at("pgd", share * total, total));
            let sets = (values, &labels[..]);
            wait(settings.moved(self.network(), &ready.weights, sets, side, told))
        });
        watch.close(py)?;
        images.like(py, moved?)
    }

    /// Move images of no class so that the network takes them for some: away from the uniform distribution.
    ///
    /// How well a network tells images of its classes from others is worth little where others can hide. Scores of what this returns are
    /// those of the worst case.
    ///
    /// Parameters
    /// ----------
    #[doc = about!(images)]
    /// eps : float, optional
    ///     The L2 radius of the ball around each image; 1 up to a side of 64, 3 above.
    /// steps : int, optional
    ///     Steps from the image itself; 20 up to a side of 64, 10 above.
    /// step_size : float, optional
    ///     The L2 length of one; 0.1 up to a side of 64, 1 above.
    #[doc = about!(layout)]
    #[doc = about!(batch_size)]
    #[doc = about!(callback)]
    ///
    /// Returns
    /// -------
    /// ndarray
    ///     Images of the shape and layout of `x`, float32 in [0, 1], within the ball.
    ///
    /// Raises
    /// ------
    #[doc = about!(mismatch)]
    #[doc = about!(device)]
    #[pyo3(signature = (x, *, eps=None, steps=None, step_size=None, layout="nchw", batch_size=64, callback=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn hide<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        eps: Option<f64>,
        steps: Option<u32>,
        step_size: Option<f64>,
        layout: &str,
        batch_size: u32,
        callback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let images = self.images(x, layout)?;
        let usual = Hiding::usual(images.side);
        let hiding = Hiding {
            eps: eps.map_or(usual.eps, |eps| eps as f32),
            steps: steps.unwrap_or(usual.steps),
            step_size: step_size.map_or(usual.step_size, |size| size as f32),
        };
        let (values, size) = (images.values()?, images.batch(most(py, batch_size)?));
        let mut watch = Watch::new(py, callback)?;
        let total = images.count as f64;
        let hidden = self.with(py, |ready| {
            let told = |done: usize| watch.tell(Progress::at("hide", done as f64, total));
            wait(hiding.run(self.network(), &ready.weights, values, size, told))
        });
        watch.close(py)?;
        images.like(py, hidden?)
    }

    /// Accuracy under AutoAttack (Croce and Hein 2020, arXiv 2003.01690).
    ///
    /// Parameters
    /// ----------
    #[doc = about!(images)]
    /// y : array
    ///     Labels, whole numbers of shape (N,) below `classes`.
    /// norm : {"Linf", "L2"}
    ///     What the ball around each image is measured in.
    /// eps : float, optional
    ///     Its radius, for images in [0, 1]; above 0. Without, 8/255 in Linf and 0.5 in L2.
    /// version : {"standard", "plus", "rand", "few-classes", "custom"}
    ///     Which attacks: the authors' versions, one for networks of 2 and 3 classes, or those of `attacks`.
    /// attacks : sequence of str, optional
    ///     For "custom", in their order: apgd-ce, apgd-dlr, apgd-t, fab-t, fab, square, pgd.
    /// steps, restarts, targets, queries : int, optional
    ///     Steps of all attacks but Square (of 100 each, of PGD 50), starts of the untargeted ones (apgd-ce, apgd-dlr, fab, pgd), targets of
    ///     apgd-t and fab-t, candidates of Square; without, the version's. One that none of the attacks takes is refused.
    /// seed : int
    ///     Of all random numbers.
    /// state : str or path, optional
    ///     A file that is written after each batch. Where it is there, the evaluation goes on from it, to the same result.
    #[doc = about!(layout)]
    #[doc = about!(batch_size)]
    #[doc = about!(callback)]
    ///
    /// Returns
    /// -------
    /// AttackResult
    ///     Robust accuracy, the images, what each attack did, and RobustBench's entry.
    ///
    /// Raises
    /// ------
    #[doc = about!(mismatch)]
    #[doc = about!(device)]
    /// BadFile
    ///     Where the state is damaged or of another evaluation.
    #[pyo3(signature = (x, y, *, norm="Linf", eps=None, version="standard", attacks=None, steps=None, restarts=None, targets=None, queries=None, seed=0, state=None, layout="nchw", batch_size=64, callback=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn autoattack<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        y: &Bound<'py, PyAny>,
        norm: &str,
        eps: Option<f64>,
        version: &str,
        attacks: Option<Vec<String>>,
        steps: Option<u32>,
        restarts: Option<u32>,
        targets: Option<u32>,
        queries: Option<u32>,
        seed: u64,
        state: Option<PathBuf>,
        layout: &str,
        batch_size: u32,
        callback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<AttackResult> {
        let version = self::version(py, version)?;
        if attacks.is_some() && version != Version::Custom {
            let given = format!("attacks= with version=\"{version}\", whose attacks are fixed");
            return Err(mismatch(py, "autoattack", given, "version=\"custom\" with attacks="));
        }
        let norm = self::norm(py, norm)?;
        let mut settings = AutoAttack::new(version, norm, radius(eps, norm));
        for name in attacks.unwrap_or_default() {
            let attack = name.parse().map_err(|error| crate::errors::raised(py, error))?;
            settings.attacks.push(attack);
        }
        for (name, given, takers) in [
            ("steps", steps, &OF_STEPS[..]),
            ("restarts", restarts, &OF_RESTARTS),
            ("targets", targets, &OF_TARGETS),
            ("queries", queries, &OF_QUERIES),
        ] {
            let runs = &settings.attacks;
            if given.is_some() && !runs.is_empty() && !runs.iter().any(|run| takers.contains(run)) {
                let list = |all: &[AttackName]| {
                    all.iter().map(|attack| attack.name()).collect::<Vec<_>>().join(", ")
                };
                let given = format!("{name}= for {}, which has no such number", list(runs));
                let wanted = format!("no {name}=, or one of {} among the attacks", list(takers));
                return Err(mismatch(py, "autoattack", given, wanted));
            }
        }
        settings.seed = seed;
        settings.batch = most(py, batch_size)?;
        settings.pgd.steps = steps.unwrap_or(settings.pgd.steps);
        settings.pgd.restarts = restarts.unwrap_or(settings.pgd.restarts);
        settings.steps = steps.unwrap_or(settings.steps);
        settings.restarts = restarts.unwrap_or(settings.restarts);
        settings.targets = targets.unwrap_or(settings.targets);
        settings.queries = queries.unwrap_or(settings.queries);
        let images = self.images(x, layout)?;
        self.robustness(py, &settings, &images, y, state, callback)
    }
}

impl Model {
    fn robustness<'py>(
        &self,
        py: Python<'py>,
        settings: &AutoAttack,
        images: &Images<'py>,
        y: &Bound<'py, PyAny>,
        state: Option<PathBuf>,
        callback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<AttackResult> {
        let classes = self.network().classes();
        let labels = labels(y, "labels", images.count, classes)?;
        let (values, side) = (images.values()?, images.side);
        let mut watch = Watch::new(py, callback)?;
        let evaluated = self.with(py, |ready| {
            let begun = state.as_deref().map(State::read).transpose()?.flatten();
            let mut watched = |at: &At| {
                if let (Some(now), Some(path)) = (at.state, &state) {
                    now.write(path)?;
                }
                let total = at.tried as f64;
                let values = vec![("robust_accuracy".to_owned(), at.robust_accuracy)];
                watch.tell(Progress { values, ..Progress::at(at.attack, at.done * total, total) })
            };
            let sets = (values, &labels[..]);
            let lanes = ready.lanes(&self.known.pretrained)?;
            let run = settings.run_on(self.network(), lanes, sets, side, begun, &mut watched);
            wait(run).map_err(|error| told_of(error, state.as_deref()))
        });
        watch.close(py)?;
        let result = evaluated?;
        let found = images.like(py, result.images.clone())?.unbind();
        let size = [images.channels, side];
        let architecture = self.network().to_string();
        Ok(AttackResult { result, images: found, size, architecture })
    }
}

/// Adds the state's file to an error where it matters.
fn told_of(error: Error, state: Option<&std::path::Path>) -> Error {
    match (error, state) {
        (Error::Mismatch { op: "attack state", given, wanted }, Some(path)) => {
            let reason = format!("got {given}; expected {wanted}");
            Error::bad_file(path, reason)
        }
        (error, _) => error,
    }
}
