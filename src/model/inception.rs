//! Inception-v3 (Szegedy et al. 2016, arXiv 1512.00567) as FID uses it, with pytorch-fid's tensor names: batch norm by running
//! statistics, average pooling that leaves out the padding, and max pooling in its place in the last block.

use super::efficientnet_lite::frozen_norm;
use super::extractor::Extracted;
use super::layers::{batch_norm_parameters, linear, push as parameter, push_biased};
use super::{Parameter, Role, Weights};
use crate::Result;
use crate::graph::{Graph, Value};
use crate::ops::{ConcatChannels, Conv2d, GlobalAvgPool, LocalMean, MaxPool, Unary};

/// The height and width, in pixels, of the images that Inception-v3 takes.
pub const SIDE: u32 = 299;

/// The number of classes of the weights that FID uses: ImageNet's and eight that were never trained.
pub const CLASSES: u32 = 1008;

/// The small number that batch normalisation adds to the variance.
const EPS: f32 = 1e-3;

/// The blocks of kind A: name, input channels, and channels of the branch with a pool.
const A: [(&str, u32, u32); 3] =
    [("Mixed_5b", 192, 32), ("Mixed_5c", 256, 64), ("Mixed_5d", 288, 64)];

/// Blocks of kind C with the channels within their long branches.
const C: [(&str, u32); 4] =
    [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)];

/// Blocks of kind E with their input channels.
const E: [(&str, u32); 2] = [("Mixed_7b", 1280), ("Mixed_7c", 2048)];

/// Name, outputs, inputs, rows and columns of the kernel of every convolution, in the order of the state dict.
fn convolutions() -> Vec<(String, [u32; 4])> {
    let mut all: Vec<(String, [u32; 4])> = [
        ("Conv2d_1a_3x3", [32, 3, 3, 3]),
        ("Conv2d_2a_3x3", [32, 32, 3, 3]),
        ("Conv2d_2b_3x3", [64, 32, 3, 3]),
        ("Conv2d_3b_1x1", [80, 64, 1, 1]),
        ("Conv2d_4a_3x3", [192, 80, 3, 3]),
    ]
    .map(|(name, shape)| (name.to_owned(), shape))
    .into();
    let mut block = |block: &str, layers: &[(&str, [u32; 4])]| {
        all.extend(layers.iter().map(|(name, shape)| (format!("{block}.{name}"), *shape)));
    };
    for (name, inputs, pooled) in A {
        block(
            name,
            &[
                ("branch1x1", [64, inputs, 1, 1]),
                ("branch5x5_1", [48, inputs, 1, 1]),
                ("branch5x5_2", [64, 48, 5, 5]),
                ("branch3x3dbl_1", [64, inputs, 1, 1]),
                ("branch3x3dbl_2", [96, 64, 3, 3]),
                ("branch3x3dbl_3", [96, 96, 3, 3]),
                ("branch_pool", [pooled, inputs, 1, 1]),
            ],
        );
    }
    block(
        "Mixed_6a",
        &[
            ("branch3x3", [384, 288, 3, 3]),
            ("branch3x3dbl_1", [64, 288, 1, 1]),
            ("branch3x3dbl_2", [96, 64, 3, 3]),
            ("branch3x3dbl_3", [96, 96, 3, 3]),
        ],
    );
    for (name, inner) in C {
        block(
            name,
            &[
                ("branch1x1", [192, 768, 1, 1]),
                ("branch7x7_1", [inner, 768, 1, 1]),
                ("branch7x7_2", [inner, inner, 1, 7]),
                ("branch7x7_3", [192, inner, 7, 1]),
                ("branch7x7dbl_1", [inner, 768, 1, 1]),
                ("branch7x7dbl_2", [inner, inner, 7, 1]),
                ("branch7x7dbl_3", [inner, inner, 1, 7]),
                ("branch7x7dbl_4", [inner, inner, 7, 1]),
                ("branch7x7dbl_5", [192, inner, 1, 7]),
                ("branch_pool", [192, 768, 1, 1]),
            ],
        );
    }
    block(
        "Mixed_7a",
        &[
            ("branch3x3_1", [192, 768, 1, 1]),
            ("branch3x3_2", [320, 192, 3, 3]),
            ("branch7x7x3_1", [192, 768, 1, 1]),
            ("branch7x7x3_2", [192, 192, 1, 7]),
            ("branch7x7x3_3", [192, 192, 7, 1]),
            ("branch7x7x3_4", [192, 192, 3, 3]),
        ],
    );
    for (name, inputs) in E {
        block(
            name,
            &[
                ("branch1x1", [320, inputs, 1, 1]),
                ("branch3x3_1", [384, inputs, 1, 1]),
                ("branch3x3_2a", [384, 384, 1, 3]),
                ("branch3x3_2b", [384, 384, 3, 1]),
                ("branch3x3dbl_1", [448, inputs, 1, 1]),
                ("branch3x3dbl_2", [384, 448, 3, 3]),
                ("branch3x3dbl_3a", [384, 384, 1, 3]),
                ("branch3x3dbl_3b", [384, 384, 3, 1]),
                ("branch_pool", [192, inputs, 1, 1]),
            ],
        );
    }
    all
}

/// Returns the names, shapes and roles of all tensors of Inception-v3, in the order of pytorch-fid's state dict.
pub fn parameters() -> Vec<Parameter> {
    let mut all = Vec::new();
    for (name, shape) in convolutions() {
        let sides = shape.map(|side| side as usize);
        parameter(&mut all, &format!("{name}.conv.weight"), &sides, Role::Weight);
        batch_norm_parameters(&mut all, &format!("{name}.bn"), shape[0]);
    }
    push_biased(&mut all, "fc", &[CLASSES, 2048]);
    all
}

/// Adds the nodes by which Inception-v3 computes features and logits from normalised images of three channels and [`SIDE`] rows
/// and columns.
pub fn push(graph: &mut Graph, x: Value, weights: &Weights) -> Result<Extracted> {
    let mut net = Net { graph, weights, block: "" };
    let h = net.conv(x, "Conv2d_1a_3x3", 2, false)?;
    let h = net.conv(h, "Conv2d_2a_3x3", 1, false)?;
    let h = net.conv(h, "Conv2d_2b_3x3", 1, true)?;
    let h = net.halve(h)?;
    let h = net.conv(h, "Conv2d_3b_1x1", 1, false)?;
    let h = net.conv(h, "Conv2d_4a_3x3", 1, false)?;
    let mut h = net.halve(h)?;
    for (block, ..) in A {
        net.block = block;
        let one = net.chain(h, &["branch1x1"])?;
        let five = net.chain(h, &["branch5x5_1", "branch5x5_2"])?;
        let three = net.chain(h, &["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"])?;
        let pooled = net.mean_branch(h)?;
        h = net.joined(&[one, five, three, pooled])?;
    }
    net.block = "Mixed_6a";
    let three = net.conv(h, "branch3x3", 2, false)?;
    let double = net.chain(h, &["branch3x3dbl_1", "branch3x3dbl_2"])?;
    let double = net.conv(double, "branch3x3dbl_3", 2, false)?;
    let pooled = net.halve(h)?;
    h = net.joined(&[three, double, pooled])?;
    for (block, _) in C {
        net.block = block;
        let one = net.chain(h, &["branch1x1"])?;
        let seven = net.chain(h, &["branch7x7_1", "branch7x7_2", "branch7x7_3"])?;
        let double = ["1", "2", "3", "4", "5"].map(|place| format!("branch7x7dbl_{place}"));
        let double = net.chain(h, &double.each_ref().map(String::as_str))?;
        let pooled = net.mean_branch(h)?;
        h = net.joined(&[one, seven, double, pooled])?;
    }
    net.block = "Mixed_7a";
    let three = net.chain(h, &["branch3x3_1"])?;
    let three = net.conv(three, "branch3x3_2", 2, false)?;
    let seven = net.chain(h, &["branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3"])?;
    let seven = net.conv(seven, "branch7x7x3_4", 2, false)?;
    let pooled = net.halve(h)?;
    h = net.joined(&[three, seven, pooled])?;
    for (block, _) in E {
        net.block = block;
        let one = net.chain(h, &["branch1x1"])?;
        let three = net.chain(h, &["branch3x3_1"])?;
        let three = net.fork(three, ["branch3x3_2a", "branch3x3_2b"])?;
        let double = net.chain(h, &["branch3x3dbl_1", "branch3x3dbl_2"])?;
        let double = net.fork(double, ["branch3x3dbl_3a", "branch3x3dbl_3b"])?;
        let pooled = if block == "Mixed_7c" {
            let most = MaxPool { kernel: 3, stride: 1, padding: 1 }.push(net.graph, h)?;
            net.chain(most, &["branch_pool"])?
        } else {
            net.mean_branch(h)?
        };
        h = net.joined(&[one, three, double, pooled])?;
    }
    let features = graph.push(GlobalAvgPool, &[h])?;
    let logits = linear(graph, features, weights, "fc")?;
    Ok(Extracted { features, logits })
}

/// Adds the layers of one block to a graph.
struct Net<'a> {
    graph: &'a mut Graph,
    weights: &'a Weights,
    /// The prefix of the layers' names; empty for none.
    block: &'static str,
}

impl Net<'_> {
    /// Convolution, normalisation, rectifier; `same`: padded so that a stride of 1 keeps the sides.
    fn conv(&mut self, x: Value, name: &str, stride: u32, same: bool) -> Result<Value> {
        let name =
            if self.block.is_empty() { name.into() } else { format!("{}.{name}", self.block) };
        let w = self.weights.get(&format!("{name}.conv.weight"))?;
        let kernel = self.graph.shape(w)?;
        let padding = if same { [kernel.height() / 2, kernel.width() / 2] } else { [0; 2] };
        let h = self.graph.push(Conv2d { stride: [stride; 2], padding }, &[x, w])?;
        let h = frozen_norm(self.graph, h, self.weights, &format!("{name}.bn"), EPS)?;
        self.graph.push(Unary::Relu, &[h])
    }

    /// Layers one behind the other, all of which keep the sides.
    fn chain(&mut self, x: Value, names: &[&str]) -> Result<Value> {
        names.iter().try_fold(x, |h, name| self.conv(h, name, 1, true))
    }

    /// Adds two layers side by side.
    fn fork(&mut self, x: Value, [a, b]: [&str; 2]) -> Result<Value> {
        let parts = [self.conv(x, a, 1, true)?, self.conv(x, b, 1, true)?];
        self.joined(&parts)
    }

    fn mean_branch(&mut self, x: Value) -> Result<Value> {
        let means = self.graph.push(LocalMean { reach: 1 }, &[x])?;
        self.chain(means, &["branch_pool"])
    }

    fn halve(&mut self, x: Value) -> Result<Value> {
        MaxPool { kernel: 3, stride: 2, padding: 0 }.push(self.graph, x)
    }

    fn joined(&mut self, parts: &[Value]) -> Result<Value> {
        self.graph.push(ConcatChannels, parts)
    }
}
