//! Checks every kernel's Rust declaration against its WGSL through naga, the list of kernels against the files in
//! shaders/, and the parameters that launches set against those that shaders declare. No GPU is used.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail so"
)]

use lapidary::gpu::{Access, Adapter, AdapterKind, Dispatch, Kernel};
use lapidary::graph::{Graph, Plan, Shape, Value};
use lapidary::ops::{self, *};
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Module};
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

fn parse(kernel: &Kernel) -> Module {
    naga::front::wgsl::parse_str(&kernel.text()).unwrap_or_else(|error| {
        panic!("{}", error.emit_to_string_with_path(&kernel.text(), kernel.name))
    })
}

#[test]
fn rust_and_wgsl_agree() {
    for kernel in KERNELS {
        let name = kernel.name;
        let module = parse(kernel);
        let mut capabilities = Capabilities::empty();
        capabilities.set(Capabilities::SUBGROUP, kernel.subgroup > 0);
        // Which WebGPU has everywhere: packing and unpacking.
        capabilities.set(Capabilities::SHADER_FLOAT16_IN_FLOAT32, true);
        // The text itself has no half precision, but its variants do.
        capabilities.set(Capabilities::SHADER_FLOAT16, true);
        let matrices = kernel.text().contains("enable wgpu_cooperative_matrix;");
        capabilities.set(Capabilities::COOPERATIVE_MATRIX, matrices);
        let mut validator = Validator::new(ValidationFlags::all(), capabilities);
        if kernel.subgroup > 0 {
            validator.subgroup_stages(ShaderStages::COMPUTE);
            validator.subgroup_operations(SubgroupOperationSet::all());
        }
        validator.validate(&module).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert!(module.entry_points.iter().map(|entry| entry.name.as_str()).eq(["main"]), "{name}");

        let globals = module.global_variables.iter();
        let bound: BTreeMap<_, _> = globals.filter_map(|(_, v)| Some((v.binding?, v))).collect();
        let slots: Vec<_> = bound.keys().map(|slot| (slot.group, slot.binding)).collect();
        assert_eq!(slots, (0..bound.len() as u32).map(|i| (0, i)).collect::<Vec<_>>(), "{name}");
        let params = bound.values().next().unwrap();
        assert_eq!(params.name.as_deref(), Some("params"), "{name}");
        assert_eq!(params.space, AddressSpace::Uniform, "{name}");
        assert_eq!(bound.len(), 1 + kernel.bindings.len(), "{name}");
        kernel.check().unwrap();
        let storage =
            kernel.bindings.iter().filter(|(_, access)| *access != Access::Texels).count();
        assert!(storage <= 8, "{name}: WebGPU guarantees 8 storage buffers");

        // Each binding alone in half precision, and all: the same program but for how numbers are read and stored.
        let all = (1 << kernel.bindings.len()) - 1;
        for halves in (0..kernel.bindings.len()).map(|place| 1 << place).chain([all]) {
            let text = kernel.text_with(halves).unwrap();
            let module = naga::front::wgsl::parse_str(&text)
                .unwrap_or_else(|error| panic!("{}", error.emit_to_string_with_path(&text, name)));
            validator.validate(&module).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        }
    }
}

/// The shader of unary functions chooses by number what the host chooses by name.
#[test]
fn unary_functions_have_one_number() {
    let kernel = KERNELS.iter().find(|kernel| kernel.name == "unary").unwrap();
    let module = parse(kernel);
    for (place, kind) in (0..).zip(Unary::ALL) {
        let shown = format!("{kind:?}").to_uppercase();
        let name = shown.split(' ').next().unwrap_or_default();
        let found = module.constants.iter().find(|(_, each)| each.name.as_deref() == Some(name));
        let (_, constant) = found.unwrap_or_else(|| panic!("unary.wgsl has no {name}"));
        let naga::Expression::Literal(naga::Literal::U32(number)) =
            module.global_expressions[constant.init]
        else {
            panic!("{name} is no u32")
        };
        assert_eq!(number, place, "{name}");
    }
}

/// A file's stem is the name of its kernel, or the start of the names of its kernels.
#[test]
fn the_list_is_the_folder() {
    let shaders = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let files = wgsl_files(&shaders);
    let mut made: Vec<&str> = Vec::new();
    for kernel in KERNELS {
        let name = kernel.name;
        let own = files.iter().filter(|(_, text)| kernel.text().starts_with(text.as_str()));
        let stems: Vec<_> = own.map(|(stem, _)| stem.as_str()).collect();
        let [stem] = stems[..] else { panic!("{name} starts with the files {stems:?}") };
        let suffix = name.strip_prefix(stem);
        let fits = suffix.is_some_and(|suffix| suffix.is_empty() || suffix.starts_with('_'));
        assert!(fits, "{name} is made of {stem}.wgsl");
        made.push(stem);
    }
    for stem in files.keys() {
        assert!(made.contains(&stem.as_str()), "no kernel in KERNELS is made of {stem}.wgsl");
    }
    let mut names: Vec<_> = KERNELS.iter().map(|kernel| kernel.name).collect();
    names.sort_unstable();
    names.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1], "two kernels of one name"));
    for (name, text) in wgsl_files(&shaders.join("shared")) {
        let used = KERNELS.iter().any(|kernel| kernel.text().contains(&text));
        assert!(used, "no kernel uses shared/{name}");
    }
}

/// Every op of networks on maps of whole vec4s and on others, for a CPU and for a GPU.
#[test]
fn launches_set_overrides_that_exist() {
    for kind in [AdapterKind::Cpu, AdapterKind::Discrete] {
        for side in [4, 3] {
            for dispatch in launches(kind, side) {
                check_launch(&dispatch);
            }
        }
    }
}

fn check_launch(dispatch: &Dispatch) {
    let kernel = dispatch.kernel;
    let name = kernel.name;
    assert!(KERNELS.iter().any(|listed| std::ptr::eq(*listed, kernel)), "{name} is not in KERNELS");
    assert_eq!(dispatch.params.len(), kernel.params.size, "{name}");
    let module = parse(kernel);
    let declared: Vec<_> = module.overrides.iter().filter_map(|(_, o)| o.name.as_deref()).collect();
    for (constant, _) in &dispatch.constants {
        assert!(declared.contains(constant), "{name} has no override {constant}");
    }
    for (_, needed) in module.overrides.iter().filter(|(_, o)| o.init.is_none()) {
        let needed = needed.name.as_deref().unwrap();
        let set = dispatch.constants.iter().any(|(constant, _)| *constant == needed);
        assert!(set, "{name} needs {needed}");
    }
}

fn launches(kind: AdapterKind, side: u32) -> Vec<Dispatch> {
    let x = Shape::new(2, 3, side, side).unwrap();
    let vector = Shape::vector(3).unwrap();
    let mut graph = Graph::default();
    let mut wanted = Vec::new();
    let of_x = graph.input(x);
    let vectors: [Value; 4] = [vector; 4].map(|shape| graph.input(shape));
    let [gamma, beta, mean, variance] = vectors;
    let affine = graph.push(FoldBatchNorm { eps: 1e-5 }, &vectors).unwrap();
    let [normed, of_batch @ ..] =
        BatchNorm { eps: 1e-5 }.push(&mut graph, [of_x, gamma, beta]).unwrap();
    let running = [of_batch[0], of_batch[1], mean, variance];
    graph.push_all(UpdateRunningStats::of(x, 0.1).unwrap(), &running).unwrap();
    let [constant, deviation] = [vec![0.5; 3], vec![0.5; 3]];
    let normalise = Normalise { mean: constant, std: deviation };
    let frozen = [normed, gamma, beta, mean, variance];
    let frozen = graph.push(FrozenBatchNorm { eps: 1e-5 }, &frozen).unwrap();
    let mut y = graph.push(normalise, &[frozen]).unwrap();
    y = graph.push(Broadcast::Add, &[y, beta]).unwrap();
    y = graph.push(Unary::Silu, &[y]).unwrap();
    y = graph.push(Unary::Relu, &[y]).unwrap();
    y = graph.push(Add, &[y, of_x]).unwrap();
    let pooled = graph.push(AvgPool { kernel: side }, &[y]).unwrap();
    let [w, bias] =
        [Shape::matrix(5, 3), Shape::vector(5)].map(|shape| graph.input(shape.unwrap()));
    let logits = graph.push(Linear { bias: true }, &[pooled, w, bias]).unwrap();
    let asked = [of_x, gamma, beta, w, bias];
    wanted.extend(ops::gradient(&mut graph, logits, logits, &asked).unwrap());
    let rectified = graph.push(Affine { relu: true }, &[of_x, affine]).unwrap();
    let mask = graph.push(ReluMask, &[rectified]).unwrap();
    wanted.push(graph.push(MaskedScale, &[of_x, affine, mask]).unwrap());
    wanted.push(graph.push(ChannelScale, &[of_x, affine]).unwrap());
    if side == 4 {
        wanted.extend(graph.push_all(AffineMask, &[of_x, affine]).unwrap());
    }
    wanted.push(graph.push(GlobalAvgPool, &[of_x]).unwrap());
    let normed = LayerNorm { eps: 1e-6 }.push(&mut graph, [of_x, gamma, beta]).unwrap();
    let mut y = GroupNorm { groups: 3, eps: 1e-5 }.push(&mut graph, [normed, gamma, beta]).unwrap();
    let kernel = graph.input(Shape::new(3, 1, 3, 3).unwrap());
    let conv = Conv2d::square(1, 1);
    y = graph.push(GroupedConv2d { conv, groups: 3 }, &[y, kernel]).unwrap();
    y = graph.push(Unary::Gelu, &[y]).unwrap();
    y = graph.push(Unary::Sigmoid, &[y]).unwrap();
    y = MaxPool { kernel: 3, stride: 2, padding: 1 }.push(&mut graph, y).unwrap();
    let (filter, antialias) = (Filter::Bicubic, true);
    y = Resize { height: 5, width: 2, filter, antialias }.push(&mut graph, y).unwrap();
    y = graph.push(Reshape::flat(graph.shape(y).unwrap()).unwrap(), &[y]).unwrap();
    y = graph.push(Softmax { log: true }, &[y]).unwrap();
    let labels = graph.input(Shape::per_image(2).unwrap());
    y = graph.push(Dlr { targeted: false }, &[y, labels]).unwrap();
    wanted.extend(ops::gradient(&mut graph, y, labels, &[of_x, kernel, gamma]).unwrap());
    let plan = Plan::new(&graph, &wanted, &[of_x], &Arc::new(Adapter::imaginary(kind))).unwrap();
    plan.once.dispatches.into_iter().chain(plan.every.dispatches).collect()
}

/// Text of each .wgsl file of a folder by its stem.
fn wgsl_files(folder: &Path) -> BTreeMap<String, String> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "wgsl"))
        .map(|path| {
            (path.file_stem().unwrap().to_str().unwrap().into(), fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// docs/kernels.md shows the table of convolutions as it is; `LAPIDARY_RENEW=1` writes it anew.
#[test]
fn the_table_of_convolutions_is_in_the_docs() {
    let mut rows = String::from(
        "| row | computes | of problems | on adapters | weights |\n|---|---|---|---|---|\n",
    );
    for way in conv::WAYS {
        let role = |role: &conv::ConvRole| match role {
            conv::ConvRole::Forward => "y",
            conv::ConvRole::InputGradient => "dx",
            conv::ConvRole::WeightGradient => "dw",
        };
        let roles: Vec<_> = way.roles.iter().map(role).collect();
        let weights = match way.layout {
            _ if way.roles.contains(&conv::ConvRole::WeightGradient) => "none",
            conv::WeightLayout::Octets => "8 channels side by side",
            conv::WeightLayout::Winograd(conv::Winograd::Two) => "transformed, 16 for 9",
            conv::WeightLayout::Winograd(_) => "transformed, 36 for 9",
        };
        let (problems, adapters) = (way.problems.0, way.adapters.0);
        let name = way.name;
        let computes = roles.join(", ");
        rows += &format!("| {name} | {computes} | {problems} | {adapters} | {weights} |\n");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/kernels.md");
    let text = fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once("<!-- table -->\n").unwrap();
    let (_, tail) = rest.split_once("<!-- end of table -->").unwrap();
    let wanted = format!("{head}<!-- table -->\n{rows}<!-- end of table -->{tail}");
    if std::env::var_os("LAPIDARY_RENEW").is_some() {
        fs::write(path, wanted).unwrap();
    } else {
        assert!(text == wanted, "docs/kernels.md is out of date: LAPIDARY_RENEW=1 writes it anew");
    }
}
