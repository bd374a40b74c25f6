//! Tests that indices out of range and divisions by zero in shaders are reported with their place to those who ask for the
//! check.

use lapidary::gpu::{
    Access, Executor, Gpu, Kernel, Layout, Options, Preferences, Recording, ShaderChecks, Trust,
};
use pollster::block_on;
use std::collections::BTreeMap;

/// A kernel of one workgroup that runs `body` with the parameter `far`, between a workgroup's array and a buffer of 8 words.
const fn kernel(name: &'static str, source: &'static [&'static str]) -> Kernel {
    Kernel {
        name,
        source,
        params: Layout { size: 4, fields: &[("far", "u32", 0)] },
        bindings: &[("y", Access::Write)],
        subgroup: 0,
        trust: Trust::NONE,
    }
}

const HEAD: &str = "
    override LENGTH: u32 = 4u;
    struct Params { far: u32 }
    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    var<workgroup> tile: array<f32, LENGTH>;
    fn picked(values: ptr<function, array<f32, 3>>, at: i32) -> f32 { return (*values)[at]; }
    @compute @workgroup_size(1) fn main() { let far = params.far; tile[0] = 1.0; y[0] = tile[0];
";

static TILE: Kernel = kernel(
    "tile",
    &[HEAD, "if far > 1u { for (var i = 0u; i < far; i++) { y[1] += tile[i]; } } }"],
);
static BUFFER: Kernel = kernel("buffer", &[HEAD, "y[far] = 2.0; }"]);
static LOCAL: Kernel = kernel(
    "local",
    &[HEAD, "var own = array(1.0, 2.0, 3.0); y[1] = picked(&own, 2 - i32(far)); }"],
);
static VECTOR: Kernel = kernel("vector", &[HEAD, "let v = vec4(y[0]); y[1] = v[far]; }"]);
static DIVISOR: Kernel = kernel("divisor", &[HEAD, "y[1] = f32(8u / (far - 1u)); }"]);

fn run(kernel: &'static Kernel, far: u32, checks: ShaderChecks) -> lapidary::Result<Vec<f32>> {
    let gpu = block_on(Gpu::new(&Options::from_env()))?;
    let preferences = Preferences { shader_checks: checks, ..Preferences::default() };
    let gpu = gpu.preferring(preferences);
    let mut recording = Recording::new(gpu.adapter().clone());
    let y = recording.buffer(8);
    recording.dispatch(kernel, &[], far, &[y], [1, 1, 1])?;
    block_on(async {
        let executor = Executor::new(&gpu, &recording, &BTreeMap::new()).await?;
        executor.submit().await?;
        gpu.read(executor.buffer(y)?).await
    })
}

#[test]
fn each_kind_is_named() {
    // The kernel, the last parameter that is right, one that is not, and what is said of it.
    let cases = [
        (&TILE, 4, 5, "tile indexes beyond `tile`"),
        (&BUFFER, 7, 8, "buffer indexes beyond `y`"),
        (&LOCAL, 2, 3, "local indexes beyond"),
        (&VECTOR, 3, 4, "vector indexes beyond `v`"),
        (&DIVISOR, 2, 1, "divisor divides by zero"),
    ];
    for (kernel, right, wrong, told) in cases {
        let given = run(kernel, right, ShaderChecks::Report).unwrap();
        assert_eq!(given[0], 1.0, "{}", kernel.name);
        assert_eq!(given, run(kernel, right, ShaderChecks::All).unwrap(), "{}", kernel.name);
        let error = run(kernel, wrong, ShaderChecks::Report).expect_err(kernel.name).to_string();
        assert!(error.contains(told), "{error}");
        // Nobody asked: the checks keep it inside, and nothing is said.
        run(kernel, wrong, ShaderChecks::All).unwrap();
    }
}
