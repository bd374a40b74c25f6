//! Batch normalisation of a batch that is divided into parts, with the statistics of the whole, as PyTorch's `SyncBatchNorm`. The
//! parts lie in one process or in several. The GPU computes the statistics of each part, the host replaces them by those of the
//! whole batch, and the GPU goes on with these.

use super::batch_norm::{BatchNormBackward, BatchNormWeights, FORWARD, check_eps, check_vectors};
use super::elementwise::COPY;
use crate::gpu::Recording;
use crate::graph::{Derivatives, Graph, Halves, Launch, Node, Op, Shape, Value, exactly};
use crate::{Error, Result};

/// The way in which a [`Synchronise`] joins the vectors of all parts of a batch, which have equally many images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The means and biased variances of a batch's parts become those of the whole batch.
    Statistics,
    /// The vectors of a batch's parts become their mean.
    Means,
}

/// Hands two vectors of a batch's part to the host, which replaces them by those of the whole batch. Inputs two vectors \[C\];
/// outputs two of the same shape, copies until the host replaces them by the vectors of the whole batch. Replays have to pause
/// after this node: [`Program::in_lock_step`](crate::lower::Program::in_lock_step).
#[derive(Clone, Copy, Debug)]
pub struct Synchronise(pub Joined);

impl Synchronise {
    /// The op's name, by which a run of the program finds the places to pause at.
    pub const NAME: &'static str = "synchronise";
}

impl Op for Synchronise {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [first, second] = exactly(self.name(), "inputs", inputs)?;
        second.expect(self.name(), first)?;
        Ok(vec![first; 2])
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [first, _] = exactly::<_, 2>(self.name(), "inputs", launch.inputs)?;
        let vectors = first.elements().div_ceil(4);
        let [a, b, to_a, to_b] = exactly(self.name(), "buffers", &launch.bindings())?;
        for pair in [[a, to_a], [b, to_b]] {
            let params = super::elementwise::Params { vectors };
            launch.to.dispatch(&COPY, &[], params, &pair, Recording::grid(vectors, 64))?;
        }
        Ok(())
    }
}

/// Batch normalisation of a batch's part by the statistics of the whole batch. Inputs x \[N, C, H, W\] and gamma, beta, and a
/// mean and a variance that the x of other parts went into as well, each \[C\]; output as of [`BatchNorm`](super::BatchNorm), and
/// its derivatives through these statistics, for which the parts' sums are joined too.
#[derive(Clone, Copy, Debug)]
pub struct SynchronisedBatchNorm {
    /// The number added to the variance before its root is taken; finite and above 0. PyTorch's default is 1e-5.
    pub eps: f32,
}

impl SynchronisedBatchNorm {
    /// Adds the nodes of batch normalisation over all parts of a batch, for x, gamma and beta; returns y and the statistics of
    /// all parts' images.
    pub fn push(self, graph: &mut Graph, [x, gamma, beta]: [Value; 3]) -> Result<[Value; 3]> {
        let own = graph.push_all(super::BatchNormStats, &[x])?;
        let joined = graph.push_all(Synchronise(Joined::Statistics), &own)?;
        let [mean, variance] = exactly("batch norm", "statistics", &joined)?;
        Ok([graph.push(self, &[x, gamma, beta, mean, variance])?, mean, variance])
    }
}

impl Op for SynchronisedBatchNorm {
    fn name(&self) -> &'static str {
        "synchronised_batch_norm"
    }

    fn outputs(&self, inputs: &[Shape]) -> Result<Vec<Shape>> {
        let [x, vectors @ ..] = exactly::<_, 5>(self.name(), "inputs", inputs)?;
        check_eps(self.name(), self.eps)?;
        check_vectors(self.name(), x, &vectors)?;
        Ok(vec![x])
    }

    /// Returns the inputs that count as constants here: the contribution of x to the statistics is part of the derivative
    /// for x.
    fn flat(&self) -> &[usize] {
        &[3, 4]
    }

    fn halves(&self) -> Halves {
        Halves { inputs: &[0], outputs: &[0] }
    }

    fn record(&self, launch: &mut Launch) -> Result<()> {
        let [x, ..] = exactly::<_, 5>(self.name(), "inputs", launch.inputs)?;
        let walk = FORWARD.over(x);
        walk.each(launch.to, &[], walk.with_eps(self.eps), launch.buffers)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value, asked: &[bool]) -> Derivatives {
        let [x, gamma, _beta, mean, variance] = exactly(self.name(), "inputs", &node.inputs)?;
        let [for_x, for_gamma, for_beta, ..] = exactly::<_, 5>(self.name(), "flags", asked)?;
        let eps = self.eps;
        let own =
            graph.push_all(BatchNormWeights { eps, mask: false }, &[dy, x, mean, variance])?;
        let [dgamma, dbeta] = exactly(self.name(), "sums", &own)?;
        let mut dx = None;
        if for_x {
            // Their mean over parts, divided by one part's images, is their sum divided by all images.
            let joined = graph.push_all(Synchronise(Joined::Means), &own)?;
            let [of_gamma, of_beta] = exactly(self.name(), "sums", &joined)?;
            let inputs = [dy, x, gamma, mean, variance, of_gamma, of_beta];
            dx = Some(graph.push(BatchNormBackward { eps, mask: false }, &inputs)?);
        }
        let derivatives = [dx, for_gamma.then_some(dgamma), for_beta.then_some(dbeta)];
        Ok(derivatives.into_iter().chain([None, None]).collect())
    }
}

impl Joined {
    /// Joins the pairs of vectors of all parts, given in their order in the batch. Computed in f64, as differences of means
    /// may be small.
    ///
    /// # Errors
    /// `Mismatch` where vectors differ in length.
    pub fn of(self, all: &[[Vec<f32>; 2]]) -> Result<[Vec<f32>; 2]> {
        let count = all.len() as f64;
        let length = all.first().map_or(0, |[first, _]| first.len());
        if let Some([a, b]) = all.iter().find(|[a, b]| a.len() != length || b.len() != length) {
            let given = format_args!("batch norm vectors of {} and {} channels", a.len(), b.len());
            return Err(Error::mismatch(
                Synchronise::NAME,
                given,
                format_args!("{length} channels, as in the batch's first part"),
            ));
        }
        let value = |pair: &[Vec<f32>; 2], which: usize, at: usize| {
            f64::from(pair.get(which).and_then(|of| of.get(at)).copied().unwrap_or_default())
        };
        let mean = |which: usize, at: usize| {
            all.iter().map(|pair| value(pair, which, at)).sum::<f64>() / count
        };
        let second = |at: usize| match self {
            Self::Means => mean(1, at),
            // The variance within the parts, and that of their means.
            Self::Statistics => {
                let middle = mean(0, at);
                let apart = all.iter().map(|pair| (value(pair, 0, at) - middle).powi(2));
                mean(1, at) + apart.sum::<f64>() / count
            }
        };
        let firsts = (0..length).map(|at| mean(0, at) as f32).collect();
        Ok([firsts, (0..length).map(|at| second(at) as f32).collect()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_parts_are_those_of_the_whole() {
        let parts = [[1.0, 4.0, 7.0], [2.0, -3.0, 100.0], [0.5, 0.25, 0.0]];
        let of = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let apart = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
            [vec![mean as f32], vec![(apart / values.len() as f64) as f32]]
        };
        let all = parts.map(|part| of(&part));
        let [mean, variance] = Joined::Statistics.of(&all).unwrap();
        let [wanted_mean, wanted_variance] = of(&parts.concat());
        assert!((mean[0] - wanted_mean[0]).abs() < 1e-5 * wanted_mean[0].abs());
        assert!((variance[0] - wanted_variance[0]).abs() < 1e-5 * wanted_variance[0]);
        let [first, second] =
            Joined::Means.of(&[[vec![1.0], vec![2.0]], [vec![3.0], vec![6.0]]]).unwrap();
        assert_eq!((first, second), (vec![2.0], vec![4.0]));
        assert!(Joined::Means.of(&[[vec![1.0], vec![2.0]], [vec![], vec![6.0]]]).is_err());
    }
}
