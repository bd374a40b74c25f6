//! Tests the ops that ResNet and ConvNeXt use beyond those of wide residual networks: values against the formula in f64,
//! derivatives against its finite differences, and derivatives of derivatives.
#![allow(clippy::type_complexity, reason = "functions as data, each used once")]

use crate::bench::{Bench, numbers};
use crate::formulas::{
    dots, grouped, joined, local_mean, max_pool, normal_cdf, padded, resized, softmax, softplus,
    standardised,
};
use crate::network::{Row, assert_close, places, row};
use lapidary::graph::{Graph, Shape, Value};
use lapidary::ops::{self, *};
use lapidary::{Error, Result};

/// Every op at one shape of x.
fn rows(x: Shape) -> Vec<Row> {
    let [n, c, h, w] = x.sides();
    let (vector, images) = (Shape::vector(c).unwrap(), Shape::per_image(n).unwrap());
    let (classes, pixels) = ((c * h) as usize, x.pixels() as usize);
    let logits = Shape::matrix(n, c * h).unwrap();
    let pixel_keys: Vec<_> =
        (0..x.elements() as usize).map(|i| i / pixels / c as usize * pixels + i % pixels).collect();
    let image_keys: Vec<_> = places(x).map(|(n, _)| n).collect();
    let affine = move |z: Vec<f64>, v: &[Vec<f64>]| -> Vec<f64> {
        places(x).zip(z).map(|((_, c), z)| z * v[1][c] + v[2][c]).collect()
    };
    let mut rows = vec![
        row(
            "layer_norm",
            &[x, vector, vector],
            3,
            |graph, v| LayerNorm { eps: 1e-2 }.push(graph, [v[0], v[1], v[2]]),
            move |v| affine(standardised(&pixel_keys, &v[0], 1e-2), v),
        ),
        row(
            "group_norm",
            &[x, vector, vector],
            3,
            |graph, v| GroupNorm { groups: 1, eps: 1e-2 }.push(graph, [v[0], v[1], v[2]]),
            move |v| affine(standardised(&image_keys, &v[0], 1e-2), v),
        ),
        row(
            "gelu",
            &[x],
            1,
            |graph, v| graph.push(Unary::Gelu, v),
            |v| v[0].iter().map(|&x| x * normal_cdf(x)).collect(),
        ),
        row(
            "sigmoid",
            &[x],
            1,
            |graph, v| graph.push(Unary::Sigmoid, v),
            |v| v[0].iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
        ),
        row(
            "leaky_relu",
            &[x],
            1,
            |graph, v| graph.push(Unary::LeakyRelu { slope: 0.3 }, v),
            |v| v[0].iter().map(|x| x.max(0.3 * x)).collect(),
        ),
        row(
            "elu",
            &[x],
            1,
            |graph, v| graph.push(Unary::Elu { alpha: 0.7 }, v),
            |v| v[0].iter().map(|&x| if x > 0.0 { x } else { 0.7 * x.exp_m1() }).collect(),
        ),
        row(
            "hard_sigmoid",
            &[x],
            1,
            |graph, v| {
                let wide = graph.push(Scale { factor: 2.5 }, v)?; // so that some are beyond 3
                graph.push(Unary::HardSigmoid, &[wide])
            },
            |v| v[0].iter().map(|x| (2.5 * x + 3.0).clamp(0.0, 6.0) / 6.0).collect(),
        ),
        row(
            "hard_swish",
            &[x],
            1,
            |graph, v| {
                let wide = graph.push(Scale { factor: 2.5 }, v)?;
                graph.push(Unary::HardSwish, &[wide])
            },
            |v| {
                let swish = |x: f64| x * (x + 3.0).clamp(0.0, 6.0) / 6.0;
                v[0].iter().map(|x| swish(2.5 * x)).collect()
            },
        ),
        row(
            "tanh",
            &[x],
            1,
            |graph, v| graph.push(Unary::Tanh, v),
            |v| v[0].iter().map(|x| x.tanh()).collect(),
        ),
        row(
            "softplus",
            &[x],
            1,
            |graph, v| graph.push(Unary::Softplus, v),
            |v| v[0].iter().map(|&x| softplus(x)).collect(),
        ),
        row(
            "mish",
            &[x],
            1,
            |graph, v| {
                let wide = graph.push(Scale { factor: 2.5 }, v)?;
                graph.push(Unary::Mish, &[wide])
            },
            |v| v[0].iter().map(|x| 2.5 * x * softplus(2.5 * x).tanh()).collect(),
        ),
        row(
            "concat_channels",
            &[x, Shape::new(n, 2, h, w).unwrap(), x],
            3,
            |graph, v| graph.push(ConcatChannels, v),
            move |v| joined(n as usize, v),
        ),
        row(
            "channel_range",
            &[x],
            1,
            move |graph, v| graph.push(ChannelRange { first: c / 2, count: c.div_ceil(2) }, v),
            move |v| {
                let kept = (c / 2) as usize..(c / 2 + c.div_ceil(2)) as usize;
                let all = places(x).zip(&v[0]).filter(|((_, c), _)| kept.contains(c));
                all.map(|(_, value)| *value).collect()
            },
        ),
        row(
            "mul",
            &[x, x],
            2,
            |graph, v| graph.push(Mul, v),
            |v| v[0].iter().zip(&v[1]).map(|(a, b)| a * b).collect(),
        ),
        row(
            "softmax",
            &[logits],
            1,
            |graph, v| graph.push(Softmax { log: false }, v),
            move |v| softmax(&v[0], classes),
        ),
        row(
            "log_softmax",
            &[logits],
            1,
            |graph, v| graph.push(Softmax { log: true }, v),
            move |v| softmax(&v[0], classes).iter().map(|p| p.ln()).collect(),
        ),
        row(
            "broadcast_mul, a channel",
            &[x, vector],
            2,
            |graph, v| graph.push(Broadcast::Mul, v),
            move |v| places(x).zip(&v[0]).map(|((_, c), a)| a * v[1][c]).collect(),
        ),
        row(
            "broadcast_mul, an image",
            &[x, images],
            2,
            |graph, v| graph.push(Broadcast::Mul, v),
            // One channel and one image are the same factor.
            move |v| places(x).zip(&v[0]).map(|((n, _), a)| a * v[1][n % v[1].len()]).collect(),
        ),
        row(
            "broadcast_mul, a plane",
            &[x, Shape::matrix(n, c).unwrap()],
            2,
            |graph, v| graph.push(Broadcast::Mul, v),
            move |v| {
                let plane = |(image, channel)| image * c as usize + channel;
                places(x).map(plane).zip(&v[0]).map(|(plane, a)| a * v[1][plane]).collect()
            },
        ),
        row(
            "plane_dot",
            &[x, x],
            2,
            |graph, v| graph.push(Reduce::PerPlane, v),
            move |v| {
                let planes = places(x).map(|(image, channel)| image * c as usize + channel);
                dots(planes, &v[0], &v[1], n * c)
            },
        ),
        row(
            "channel_dot",
            &[x, x],
            2,
            |graph, v| graph.push(Reduce::PerChannel, v),
            move |v| dots(places(x).map(|(_, c)| c), &v[0], &v[1], c),
        ),
        row(
            "image_dot",
            &[x, x],
            2,
            |graph, v| graph.push(Reduce::PerImage, v),
            move |v| dots(places(x).map(|(n, _)| n), &v[0], &v[1], n),
        ),
        row(
            "relu6",
            &[x],
            1,
            |graph, v| {
                let wide = graph.push(Scale { factor: 9.0 }, v)?;
                graph.push(Unary::Relu6, &[wide])
            },
            |v| v[0].iter().map(|x| (9.0 * x).clamp(0.0, 6.0)).collect(),
        ),
        row("reshape", &[x], 1, move |graph, v| graph.push(Reshape::flat(x)?, v), |v| v[0].clone()),
    ];
    // The derivatives as functions of their own, so that theirs are compared, too.
    let slopes: [(&str, Unary, fn(f64) -> f64); 3] = [
        ("tanh_backward", Unary::Tanh, |x| 1.0 - x.tanh().powi(2)),
        ("softplus_backward", Unary::Softplus, |x| 1.0 / (1.0 + (-x).exp())),
        ("mish_backward", Unary::Mish, |x| {
            let t = softplus(x).tanh();
            t + x * (1.0 - t * t) / (1.0 + (-x).exp())
        }),
    ];
    for (name, op, slope) in slopes {
        let push = move |graph: &mut Graph, v: &[Value]| {
            let y = graph.push(op, &v[..1])?;
            Ok(ops::gradient(graph, y, v[1], &v[..1])?[0])
        };
        let formula =
            move |v: &[Vec<f64>]| v[0].iter().zip(&v[1]).map(|(&x, dy)| slope(x) * dy).collect();
        rows.push(row(name, &[x, x], 2, push, formula));
    }
    for reach in [0, 1, 2] {
        let formula = move |v: &[Vec<f64>]| local_mean(reach as usize, x, &v[0]);
        let push = move |graph: &mut Graph, v: &[Value]| graph.push(LocalMean { reach }, v);
        rows.push(row("local_mean", &[x], 1, push, formula));
    }
    for pad in
        [Pad { right: 2, bottom: 1, ..Pad::default() }, Pad { top: 1, left: 3, ..Pad::default() }]
    {
        let formula = move |v: &[Vec<f64>]| padded(pad, x, &v[0]);
        rows.push(row("pad", &[x], 1, move |graph, v| graph.push(pad, v), formula));
    }
    for (groups, outputs, side, stride) in [(c, c, 3, 1), (c, 2 * c, 3, 2), (1, 3, 2, 1)] {
        let weights = Shape::new(outputs, c / groups, side, side).unwrap();
        let conv = Conv2d::square(stride, side / 2);
        rows.push(row(
            "grouped_conv2d",
            &[x, weights],
            2,
            move |graph, v| graph.push(GroupedConv2d { conv, groups }, v),
            move |v| grouped(conv, groups, x, weights, v),
        ));
    }
    for (kernel, stride, padding) in [(3, 2, 1), (2, 1, 1), (1, 3, 0)] {
        let pool = MaxPool { kernel, stride, padding };
        let formula = move |v: &[Vec<f64>]| max_pool(pool, x, &v[0]);
        rows.push(row("max_pool", &[x], 1, move |graph, v| pool.push(graph, v[0]), formula));
    }
    for (filter, antialias) in
        [Filter::Bilinear, Filter::Bicubic].into_iter().flat_map(|f| [(f, false), (f, true)])
    {
        for (height, width) in [(2 * h, w + 3), (h.div_ceil(3), w.div_ceil(2))] {
            let to = Resize { height, width, filter, antialias };
            let formula = move |v: &[Vec<f64>]| resized(to, x, &v[0]);
            rows.push(row("resize", &[x], 1, move |graph, v| to.push(graph, v[0]), formula));
        }
    }
    rows
}

#[test]
fn channels_are_joined() {
    for [n, c, h, w] in [[2, 3, 4, 5], [1, 1, 3, 3], [70, 2, 1, 1]] {
        let shapes = [c, 2, c].map(|c| Shape::new(n, c, h, w).unwrap());
        let mut graph = Graph::default();
        let inputs = shapes.map(|shape| graph.input(shape));
        let y = graph.push(ConcatChannels, &inputs).unwrap();
        let data: Vec<_> =
            (1..).zip(shapes).map(|(seed, x)| numbers(x.elements() as usize, seed)).collect();
        let given: Vec<_> = inputs.into_iter().zip(data.clone()).collect();
        assert_eq!(Bench::new(&graph, &[y], &given).read(y), joined(n as usize, &data));
    }
}

#[test]
fn values_and_derivatives() {
    // Whole vec4s and not, one pixel, more images than a workgroup has lanes.
    for [n, c, h, w] in [[2, 3, 4, 5], [1, 5, 3, 3], [3, 2, 8, 7], [70, 2, 1, 1]] {
        rows(Shape::new(n, c, h, w).unwrap()).iter().for_each(Row::check);
    }
}

/// An op's derivatives are linear in dy, so the derivative for dy of sum(derivative * v) is what gives the same sum.
#[test]
fn derivatives_have_derivatives() {
    let shape = |n, c, h, w| Shape::new(n, c, h, w).unwrap();
    let (x, vector) = (shape(2, 3, 4, 6), Shape::vector(3).unwrap());
    let (w, logits) = (shape(5, 3, 3, 3), Shape::matrix(3, 7).unwrap());
    let full = [Shape::matrix(3, 7), Shape::matrix(4, 7)].map(Result::unwrap);
    type Push = fn(&mut Graph, &[Value]) -> Result<Value>;
    let table: [(&str, &[Shape], &[usize], Push); 23] = [
        ("relu", &[x], &[0], |graph, v| graph.push(Unary::Relu, v)),
        ("relu6", &[x], &[0], |graph, v| graph.push(Unary::Relu6, v)),
        ("gelu", &[x], &[0], |graph, v| graph.push(Unary::Gelu, v)),
        ("sigmoid", &[x], &[0], |graph, v| graph.push(Unary::Sigmoid, v)),
        ("silu", &[x], &[0], |graph, v| graph.push(Unary::Silu, v)),
        ("leaky_relu", &[x], &[0], |graph, v| graph.push(Unary::LeakyRelu { slope: 0.3 }, v)),
        ("elu", &[x], &[0], |graph, v| graph.push(Unary::Elu { alpha: 0.7 }, v)),
        ("hard_sigmoid", &[x], &[0], |graph, v| graph.push(Unary::HardSigmoid, v)),
        ("hard_swish", &[x], &[0], |graph, v| graph.push(Unary::HardSwish, v)),
        ("tanh", &[x], &[0], |graph, v| graph.push(Unary::Tanh, v)),
        ("softplus", &[x], &[0], |graph, v| graph.push(Unary::Softplus, v)),
        ("mish", &[x], &[0], |graph, v| graph.push(Unary::Mish, v)),
        ("concat_channels", &[x, x], &[0, 1], |graph, v| {
            // Squared, because joining alone is linear.
            let all = graph.push(ConcatChannels, v)?;
            graph.push(Mul, &[all, all])
        }),
        ("mul", &[x, x], &[0, 1], |graph, v| graph.push(Mul, v)),
        ("conv2d", &[x, w], &[0, 1], |graph, v| graph.push(Conv2d::square(1, 1), v)),
        ("strided conv2d", &[x, w], &[0, 1], |graph, v| graph.push(Conv2d::square(2, 1), v)),
        ("linear", &full, &[0, 1], |graph, v| graph.push(Linear { bias: false }, v)),
        ("frozen_batch_norm", &[x, vector, vector, vector, vector], &[0], |graph, v| {
            graph.push(FrozenBatchNorm { eps: 1e-3 }, v)
        }),
        ("avg_pool", &[x], &[0], |graph, v| graph.push(AvgPool { kernel: 2 }, v)),
        ("global_avg_pool", &[x], &[0], |graph, v| graph.push(GlobalAvgPool, v)),
        ("log_sum_exp", &[logits], &[0], |graph, v| graph.push(LogSumExp, v)),
        ("sum", &[x], &[0], |graph, v| graph.push(Sum { scale: 0.3 }, v)),
        ("images", &[x], &[0], |graph, v| graph.push(ImageRange { first: 1, count: 1 }, v)),
    ];
    for (name, shapes, asked, push) in table {
        for &input in asked {
            let mut graph = Graph::default();
            let inputs: Vec<_> = shapes.iter().map(|&shape| graph.input(shape)).collect();
            let y = push(&mut graph, &inputs).unwrap();
            let (dy, v) = (graph.input(graph.shape(y).unwrap()), graph.input(shapes[input]));
            let first = ops::gradient(&mut graph, y, dy, &[inputs[input]]).unwrap()[0];
            let second = ops::gradient(&mut graph, first, v, &[dy]).unwrap()[0];
            let mut given = Vec::new();
            for (seed, &value) in (1..).zip(inputs.iter().chain([&dy, &v])) {
                let mut data = numbers(graph.shape(value).unwrap().elements() as usize, seed);
                if seed == 5 && inputs.len() == 5 {
                    data.iter_mut().for_each(|v| *v = v.abs() + 0.1); // a variance
                }
                given.push((value, data));
            }
            // All of a forward pass, so that every input is read.
            let bench = Bench::new(&graph, &[y, first, second], &given);
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
            };
            let of = |value: Value| &given.iter().find(|(given, _)| *given == value).unwrap().1;
            let sums = [dot(&bench.read(first), of(v)), dot(&bench.read(second), of(dy))];
            assert!(sums[0] != 0.0, "{name}");
            assert_close(&format!("{name}, input {input}"), &[sums[1] as f32], &sums[..1], 1e-4);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let shape = |n, c, h, w| Shape::new(n, c, h, w).unwrap();
    let refused = |op: &dyn Fn(&mut Graph, &[Value]) -> Result<Vec<Value>>, shapes: &[Shape]| {
        let mut graph = Graph::default();
        let inputs: Vec<_> = shapes.iter().map(|&shape| graph.input(shape)).collect();
        let result = op(&mut graph, &inputs);
        assert!(matches!(result, Err(Error::Mismatch { .. })), "{result:?}");
    };
    let grouped = |groups| {
        let op = GroupedConv2d { conv: Conv2d::square(1, 1), groups };
        move |g: &mut Graph, v: &[Value]| g.push_all(op, v)
    };
    let x = shape(2, 6, 4, 4);
    refused(&grouped(0), &[x, shape(6, 1, 3, 3)]);
    refused(&grouped(4), &[x, shape(8, 1, 3, 3)]);
    refused(&grouped(3), &[x, shape(8, 2, 3, 3)]);
    refused(&grouped(3), &[x, shape(6, 3, 3, 3)]);
    let pool = |kernel, stride, padding| {
        move |g: &mut Graph, v: &[Value]| g.push_all(MaxPool { kernel, stride, padding }, v)
    };
    refused(&pool(0, 1, 0), &[x]);
    refused(&pool(3, 0, 1), &[x]);
    refused(&pool(2, 2, 2), &[x]);
    refused(&pool(9, 1, 0), &[x]);
    let group =
        |groups| move |g: &mut Graph, v: &[Value]| g.push_all(GroupNorm { groups, eps: 1e-5 }, v);
    refused(&group(4), &[x]);
    refused(&group(0), &[x]);
    let range = |first, count| {
        move |g: &mut Graph, v: &[Value]| g.push_all(ChannelRange { first, count }, v)
    };
    refused(&range(4, 3), &[x]);
    refused(&range(0, 0), &[x]);
    refused(&range(u32::MAX, 2), &[x]);
    let reshape = |g: &mut Graph, v: &[Value]| g.push_all(Reshape { shape: shape(1, 5, 1, 1) }, v);
    refused(&reshape, &[x]);
    refused(&|g: &mut Graph, v: &[Value]| g.push_all(Broadcast::Mul, v), &[x, shape(1, 5, 1, 1)]);
    let (labels, dlr) = (Shape::per_image(2).unwrap(), |targeted| {
        move |g: &mut Graph, v: &[Value]| g.push_all(Dlr { targeted }, v)
    });
    refused(&dlr(false), &[shape(2, 2, 1, 1), labels]);
    refused(&dlr(true), &[shape(2, 3, 1, 1), labels, labels]);
    refused(&dlr(true), &[shape(2, 9, 1, 1), labels]);
}
