//! The R1 penalty (Mescheder and others 2018, arXiv 1801.04406, equation 9): how steep a score is at the images.

use super::{Reduce, Sum, gradient};
use crate::Result;
use crate::graph::{Graph, Value, exactly};

/// Adds the R1 penalty, 0.5 * mean over images b of |d score_b / d x_b|^2: one number, from scores \[N\] of images x \[N, ...\],
/// where each score depends on its own image only. `ones` are N ones. The penalty's own derivative is a second derivative, so
/// the ops between images and scores must have first and second derivatives.
pub fn r1(graph: &mut Graph, scores: Value, ones: Value, x: Value) -> Result<Value> {
    let [slope] = exactly("r1", "gradients", &gradient(graph, scores, ones, &[x])?)?;
    let squares = graph.push(Reduce::PerImage, &[slope, slope])?;
    let images = graph.shape(x)?.images();
    graph.push(Sum { scale: 0.5 / images as f32 }, &[squares])
}
