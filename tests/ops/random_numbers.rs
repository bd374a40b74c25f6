//! Compares the GPU's random numbers with those of the same generator, Philox, computed on the CPU, and the latter with the test
//! vectors that its authors publish with Random123.

use crate::bench::Bench;
use crate::objectives::{assert_close, bits, wide, words};
use lapidary::gpu::{Access, Kernel, Layout, Trust};
use lapidary::graph::{Graph, Launch, Op, Shape, exactly};
use lapidary::ops::*;

/// Philox on the host.
fn philox(mut c: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let [a, b] = [(c[0], 0xd251_1f53u64), (c[2], 0xcd9e_8d57)].map(|(c, m)| u64::from(c) * m);
        c = [
            (b >> 32) as u32 ^ c[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ c[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    c
}

/// Counter, key and words of Random123's kat_vectors, "philox4x32 10".
const KNOWN: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
    ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
    ([!0; 4], [!0; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
    (
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
        [0xa409_3822, 0x299f_31d0],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
    ),
];

/// The shader's function under any counter: the op's own counters are small.
#[derive(Debug)]
struct Blocks;

static BLOCKS: Kernel = Kernel {
    name: "philox_blocks",
    source: &[
        "struct Params { count: u32 }
        struct Block { counter: vec4u, key: vec4u }
        @group(0) @binding(0) var<uniform> params: Params;
        @group(0) @binding(1) var<storage, read> blocks: array<Block>;
        @group(0) @binding(2) var<storage, read_write> y: array<vec4u>;
        @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {
            if i < params.count { y[i] = philox(blocks[i].counter, blocks[i].key.xy); }
        }\n",
        include_str!("../../shaders/shared/philox.wgsl"),
    ],
    params: Layout { size: 4, fields: &[("count", "u32", 0)] },
    bindings: &[("blocks", Access::Read), ("y", Access::Write)],
    subgroup: 0,
    trust: Trust::NONE,
};

impl Op for Blocks {
    fn name(&self) -> &'static str {
        BLOCKS.name
    }

    fn outputs(&self, inputs: &[Shape]) -> lapidary::Result<Vec<Shape>> {
        let [blocks] = exactly(self.name(), "inputs", inputs)?;
        Ok(vec![Shape::matrix(blocks.images(), 4)?])
    }

    fn record(&self, launch: &mut Launch) -> lapidary::Result<()> {
        let [blocks] = exactly(self.name(), "inputs", launch.inputs)?;
        launch.all(&BLOCKS, blocks.images(), [1, 1, 1])
    }
}

#[test]
fn philox_gives_the_published_words() {
    let mut graph = Graph::default();
    let blocks = graph.input(Shape::matrix(3, 8).unwrap());
    let y = graph.push(Blocks, &[blocks]).unwrap();
    let data = KNOWN.map(|([a, b, c, d], [k, l], _)| words(&[a, b, c, d, k, l, 0, 0])).concat();
    let bench = Bench::new(&graph, &[y], &[(blocks, data)]);
    assert_eq!(bits(&bench.read(y)), KNOWN.map(|(_, _, words)| words).concat());
    KNOWN.iter().for_each(|&(counter, key, words)| assert_eq!(philox(counter, key), words));
}

#[test]
fn random_values_depend_on_seed_step_image_and_element() {
    let [seed, step] = [[0xa409_3822, 0x299f_31d0], [7, 0xffff_fffe]];
    for (first, [n, c, h, w]) in
        [(0, [3, 3, 5, 7]), (3, [2, 3, 8, 4]), (1, [5, 1, 1, 1]), (9, [4, 3, 37, 29])]
    {
        let shape = Shape::new(n, c, h, w).unwrap();
        let mut graph = Graph::default();
        let control = graph.input(Shape::vector(5).unwrap());
        let kinds = [Draw::Bits, Draw::Uniform, Draw::Normal];
        let [raw, uniform, normal] =
            kinds.map(|draw| graph.push(RandomFill { shape, draw }, &[control]).unwrap());
        let inputs = [(control, words(&[&seed[..], &step, &[first]].concat()))];
        let bench = Bench::new(&graph, &[raw, uniform, normal], &inputs);

        let mut wanted = Vec::new();
        for image in first..first + n {
            let blocks = (0..).flat_map(|block| philox([block, image, step[0], step[1]], seed));
            wanted.push(blocks.take((c * h * w) as usize).collect::<Vec<u32>>());
        }
        assert_eq!(bits(&bench.read(raw)), wanted.concat(), "{shape}");
        let unit = |word: &u32| (word >> 8) as f32 / (1 << 24) as f32;
        assert_eq!(bench.read(uniform), wanted.concat().iter().map(unit).collect::<Vec<_>>());

        let mut normals = Vec::new();
        for image in &wanted {
            let mut own = Vec::new();
            // The last pair of an image may miss its angle, which then follows from the next words.
            let block = (image.len() as u32).div_ceil(4) * 4;
            let i = first + normals.len() as u32 / (c * h * w);
            let all: Vec<_> =
                (0..block / 4).flat_map(|b| philox([b, i, step[0], step[1]], seed)).collect();
            for pair in all.chunks(2) {
                let [u, v] = [pair[0], pair[1]].map(|word| f64::from(unit(&word)));
                let radius = (-2.0 * (u + f64::from(f32::EPSILON / 2.0)).ln()).sqrt();
                let angle = (v - 0.5) * std::f64::consts::TAU;
                own.extend([radius * angle.cos(), radius * angle.sin()]);
            }
            normals.extend(own.into_iter().take(image.len()));
        }
        // WGSL promises sin and cos within 2^-11.
        assert_close(&format!("normal {shape}"), &bench.read(normal), &normals, 6.0 / 2048.0);
    }
}

#[test]
fn normal_values_have_the_moments_of_a_normal_distribution() {
    let shape = Shape::new(4, 3, 64, 64).unwrap();
    let mut graph = Graph::default();
    let control = graph.input(Shape::vector(5).unwrap());
    let y = graph.push(RandomFill { shape, draw: Draw::Normal }, &[control]).unwrap();
    let values = Bench::new(&graph, &[y], &[(control, words(&[1, 2, 3, 4, 0]))]).read(y);
    let count = values.len() as f64;
    let moment = |power| wide(&values).iter().map(|v| v.powi(power)).sum::<f64>() / count;
    // Standard errors of the four: sqrt(1, 2, 15, 96) / sqrt(count).
    for (power, wanted, spread) in [(1, 0.0, 1.0f64), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)]
    {
        let error: f64 = moment(power) - wanted;
        assert!(error.abs() < 5.0 * (spread / count).sqrt(), "moment {power} is off by {error}");
    }
}
