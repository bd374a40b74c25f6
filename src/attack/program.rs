//! The one way from a graph to a program of an attack, of training or of evaluation.

use crate::gpu::{Buffer, Gpu};
use crate::graph::{Graph, Program, Value};
use crate::{Result, rewrite};

/// [`Program::new`], with the graph rewritten for the device ([`rewrite::optimise`]) if `optimise`;
/// without, it runs as it was built, which is what the rewrites are tested against.
pub async fn program(
    gpu: &Gpu,
    graph: &Graph,
    wanted: &[Value],
    changing: &[Value],
    given: &[(Value, Buffer)],
    optimise: bool,
) -> Result<Program> {
    if !optimise {
        return Program::new(gpu, graph, wanted, changing, given).await;
    }
    let graph = rewrite::optimise(graph, wanted, gpu.adapter(), gpu.preferences())?;
    Program::new(gpu, &graph, wanted, changing, given).await
}
