//! Stores values in half precision, where that is asked for: the copies of weights that convolutions read and, in mixed
//! precision, activations and their derivatives. This is done last of all, when it is known which kernels run. Vectors,
//! logits and losses stay in single precision: they are small, and rounding them would cost more accuracy.

use super::Target;
use crate::gpu::{AdapterKind, Precision};
use crate::graph::{Graph, Value};
use crate::ops::conv::PackWeights;
use crate::{Error, Result};
use std::collections::BTreeSet;

/// Stores values in half precision where every node that makes or reads them allows it
/// ([`Op::halves`](crate::graph::Op::halves)). `wanted` values and those from outside stay in single precision, because their
/// owners read and write them so.
pub fn values(graph: &mut Graph, wanted: &[Value], target: &Target) -> Result<()> {
    let Target { adapter, preferences, .. } = target;
    // Pages are built without half precision.
    let has = adapter.f16 && !cfg!(target_arch = "wasm32");
    match preferences.precision {
        Precision::Single => return Ok(()),
        Precision::HalfWeights if !has || adapter.kind == AdapterKind::Cpu => return Ok(()),
        Precision::Mixed if !has => {
            return Err(Error::MissingLimit {
                adapter: adapter.to_string(),
                given: if cfg!(target_arch = "wasm32") {
                    "no half precision in this build, which is for web pages".into()
                } else {
                    "no half precision (the feature shader-f16)".into()
                },
                wanted: "half precision, for mixed precision,".into(),
            });
        }
        Precision::HalfWeights | Precision::Mixed => {}
    }
    let weights_alone = preferences.precision == Precision::HalfWeights;
    let (mut halves, mut refused) =
        (BTreeSet::new(), BTreeSet::<Value>::from_iter(wanted.iter().copied()));
    for node in graph.nodes() {
        let allowed = node.op.halves();
        let packs = node.is::<PackWeights>().is_some();
        for (place, &output) in node.outputs.iter().enumerate() {
            let is_map = !weights_alone && graph.shape(output)?.pixels() > 1;
            if allowed.outputs.contains(&place) && (packs || is_map) {
                halves.insert(output);
            }
        }
        let inputs = node.inputs.iter().enumerate();
        refused.extend(
            inputs.filter(|(place, _)| !allowed.inputs.contains(place)).map(|(_, value)| *value),
        );
    }
    graph.set_halves(halves.difference(&refused).copied().collect());
    Ok(())
}
