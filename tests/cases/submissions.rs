//! Tests that long GPU work is cut into submissions short enough that no operating system ends them.

use crate::common::own_gpu;
use lapidary::graph::{Graph, Shape, Value};
use lapidary::lower::Program;
use lapidary::ops::Conv2d;
use pollster::block_on;

/// A chain of convolutions that takes any CPU much more than a tenth of a second.
fn chain(links: usize) -> (Graph, Value, Value, Value) {
    let mut graph = Graph::default();
    let x = graph.input(Shape::new(4, 32, 32, 32).unwrap());
    let w = graph.input(Shape::new(32, 32, 3, 3).unwrap());
    let mut y = x;
    for _ in 0..links {
        y = graph.push(Conv2d::square(1, 1), &[y, w]).unwrap();
    }
    (graph, x, w, y)
}

/// One replay, also the first and one that nothing repeats, is cut by the pace of the device, and its bits are those of a replay
/// in one piece.
#[test]
fn a_single_replay_is_cut_and_stays_the_same() {
    let gpu = own_gpu();
    let (graph, x, w, y) = chain(12);
    block_on(async {
        let mut program = Program::new(&gpu, &graph, &[y], &[x], &[]).await.unwrap();
        let numbers = |count: u32, scale: f32| -> Vec<f32> {
            (0..count).map(|i| ((i * 7919 % 1009) as f32 / 1009.0 - 0.5) * scale).collect()
        };
        program.write(w, &numbers(32 * 32 * 9, 0.15)).await.unwrap();
        program.write(x, &numbers(4 * 32 * 32 * 32, 2.0)).await.unwrap();
        // 0.9 GFLOP: almost a fifth of a second of what is assumed of an unknown device.
        let before = gpu.counts().submissions;
        program.submit().await.unwrap();
        let cold = gpu.counts().submissions - before;
        assert!(cold > 1, "the first replay in {cold} submissions");
        let cut = program.read(y).await.unwrap();
        program.submit().await.unwrap();
        // By now the pace is known: the third replay's pieces are of about 100 ms.
        let before = gpu.counts().submissions;
        let began = std::time::Instant::now();
        program.submit().await.unwrap();
        gpu.wait().await.unwrap();
        let (took, pieces) = (began.elapsed().as_secs_f64(), gpu.counts().submissions - before);
        assert!(pieces <= 12, "{pieces}");
        if took > 1.0 {
            // A launch is never cut.
            assert!(pieces as f64 >= (took / 0.5).min(6.0), "{pieces} submissions in {took} s");
        }
        assert!(program.read(y).await.unwrap() == cut);
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        program.record(&mut encoder);
        gpu.queue().submit([encoder.finish()]);
        assert!(program.read(y).await.unwrap() == cut, "one piece");
    });
}
