//! The one way from a graph to a program of an attack, of training or of evaluation.

use crate::Result;
use crate::gpu::{Buffer, Gpu};
use crate::graph::{Graph, Value};
use crate::lower::Program;

/// [`Program::new`], with the graph rewritten for the device ([`lower`](crate::lower::lower)) if `optimise`;
/// without, it runs as it was built, which is what the rewrites are tested against.
pub async fn program(
    gpu: &Gpu,
    graph: &Graph,
    wanted: &[Value],
    changing: &[Value],
    given: &[(Value, Buffer)],
    optimise: bool,
) -> Result<Program> {
    if optimise {
        Program::new(gpu, graph, wanted, changing, given).await
    } else {
        Program::plain(gpu, graph, wanted, changing, given).await
    }
}
