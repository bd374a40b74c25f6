//! Tests the cache of compiled pipelines: bytes that are damaged, cut off, or of another adapter, driver or version are
//! ignored; they cost compile time and never change results.

#![allow(unsafe_code, reason = "the bytes are the test's own")]

use crate::own_gpu;
use lapidary::gpu::Gpu;
use lapidary::graph::{Graph, Shape};
use lapidary::lower::Program;
use lapidary::ops::Scale;
use pollster::block_on;

fn doubled(gpu: &Gpu) -> Vec<f32> {
    let mut graph = Graph::default();
    let x = graph.input(Shape::vector(64).unwrap());
    let y = graph.push(Scale { factor: 2.0 }, &[x]).unwrap();
    block_on(async {
        let mut program = Program::new(gpu, &graph, &[y], &[x], &[]).await.unwrap();
        program.write(x, &[1.5f32; 64]).await.unwrap();
        program.submit().await.unwrap();
        program.read(y).await.unwrap()
    })
}

fn keep(gpu: &Gpu, bytes: Option<&[u8]>) -> lapidary::Result<bool> {
    // SAFETY: of `Gpu::pipelines`, or damaged so that they do not pass for it.
    block_on(unsafe { gpu.keep_pipelines(bytes) })
}

#[test]
fn kept_pipelines_are_taken_whole_or_not_at_all() {
    let first = own_gpu();
    assert!(!keep(&first, None).unwrap());
    assert_eq!(doubled(&first), [3.0; 64]);
    let Some(kept) = first.pipelines() else {
        return eprintln!("SKIPPED: {} keeps no pipelines", first.adapter());
    };
    let taken = |kept: &[u8]| {
        let gpu = own_gpu();
        let taken = keep(&gpu, Some(kept)).unwrap();
        assert_eq!(doubled(&gpu), [3.0; 64]);
        // Damaged or not, what is kept next is whole.
        assert!(gpu.pipelines().is_some());
        taken
    };
    assert!(taken(&kept));
    let name = kept.windows(4).position(|four| four == b"wgpu").unwrap();
    for at in [0, 9, name, kept.len() / 2, kept.len() - 1] {
        let mut damaged = kept.clone();
        damaged[at] ^= 1;
        assert!(!taken(&damaged), "byte {at}");
    }
    for length in [0, 7, kept.len() / 2, kept.len() - 1] {
        assert!(!taken(&kept[..length]), "{length} bytes");
    }
    // A second call comes too late.
    assert!(!keep(&first, Some(&kept)).unwrap());
}
