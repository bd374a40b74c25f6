//! Times a PGD step (a gradient step of an attack) of a network, or single convolutions, in burn, a deep-learning framework for
//! Rust, for `lapidary bench --compare burn`; benches/peers/README.md describes its input and output.
//!
//!     lapidary-peer-burn MODEL BATCH SIDE [--device cpu|discrete|integrated|virtual|default]
//!
//! MODEL is a wide residual network, wrn-DEPTH-WIDTH; a batch has BATCH images of SIDE rows and columns.

use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::module::{conv2d, conv2d_weight_backward, linear};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, DeviceKind, Distribution, Int, Tensor};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::Instant;

/// A measurement takes at least so many seconds.
const SECONDS: f64 = 0.2;
const EPS: f32 = 0.5;
const STEP_SIZE: f32 = 0.1;
const CLASSES: usize = 10;

/// Frozen batch normalisation: a factor and an offset for each channel.
struct Affine {
    factor: Tensor<4>,
    offset: Tensor<4>,
}

impl Affine {
    fn new(channels: usize, device: &Device) -> Self {
        let shape = [1, channels, 1, 1];
        Self { factor: Tensor::ones(shape, device), offset: Tensor::zeros(shape, device) }
    }

    fn relu(&self, x: Tensor<4>) -> Tensor<4> {
        relu(x * self.factor.clone() + self.offset.clone())
    }
}

struct Conv {
    weight: Tensor<4>,
    stride: usize,
}

impl Conv {
    fn new([outputs, inputs, side]: [usize; 3], stride: usize, device: &Device) -> Self {
        let deviation = (2.0 / (inputs * side * side) as f64).sqrt();
        let normal = Distribution::Normal(0.0, deviation);
        Self { weight: Tensor::random([outputs, inputs, side, side], normal, device), stride }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let padding = self.weight.dims()[2] / 2;
        conv2d(x, self.weight.clone(), None, options(self.stride, padding))
    }
}

fn options(stride: usize, padding: usize) -> ConvOptions<2> {
    ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1)
}

/// A pre-activation block.
struct Block {
    bn1: Affine,
    conv1: Conv,
    bn2: Affine,
    conv2: Conv,
    shortcut: Option<Conv>,
}

impl Block {
    fn new(inputs: usize, outputs: usize, stride: usize, device: &Device) -> Self {
        Self {
            bn1: Affine::new(inputs, device),
            conv1: Conv::new([outputs, inputs, 3], stride, device),
            bn2: Affine::new(outputs, device),
            conv2: Conv::new([outputs, outputs, 3], 1, device),
            shortcut: (inputs != outputs).then(|| Conv::new([outputs, inputs, 1], stride, device)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = self.bn1.relu(x.clone());
        let shortcut = self.shortcut.as_ref().map_or(x, |conv| conv.forward(h.clone()));
        self.conv2.forward(self.bn2.relu(self.conv1.forward(h))) + shortcut
    }
}

struct WideResNet {
    conv1: Conv,
    blocks: Vec<Block>,
    bn1: Affine,
    weight: Tensor<2>,
    bias: Tensor<1>,
}

impl WideResNet {
    fn new(depth: usize, width: usize, device: &Device) -> Self {
        let mut blocks = Vec::new();
        let mut inputs = 16;
        for (stage, stride) in [1, 2, 2].into_iter().enumerate() {
            let outputs = (16 * width) << stage;
            for j in 0..(depth - 4) / 6 {
                blocks.push(Block::new(inputs, outputs, if j == 0 { stride } else { 1 }, device));
                inputs = outputs;
            }
        }
        let normal = Distribution::Normal(0.0, (1.0 / inputs as f64).sqrt());
        Self {
            conv1: Conv::new([16, 3, 3], 1, device),
            blocks,
            bn1: Affine::new(inputs, device),
            weight: Tensor::random([inputs, CLASSES], normal, device),
            bias: Tensor::zeros([CLASSES], device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let h = self.blocks.iter().fold(self.conv1.forward(x), |h, block| block.forward(h));
        let h = self.bn1.relu(h).mean_dims(&[2, 3]);
        let [images, channels, ..] = h.dims();
        linear(h.reshape([images, channels]), self.weight.clone(), Some(self.bias.clone()))
    }
}

/// A PGD step in the L2 ball, with frozen statistics: forward, the image's gradient alone, step, projection.
struct Step {
    net: WideResNet,
    origin: Tensor<4>,
    x: Tensor<4>,
    labels: Tensor<2, Int>,
}

impl Step {
    fn new(peer: &Peer) -> Self {
        let device = peer.device.clone().autodiff();
        let shape = [peer.batch, 3, peer.side, peer.side];
        let origin = Tensor::random(shape, Distribution::Uniform(0.0, 1.0), &peer.device);
        let labels = Tensor::<1, Int>::arange(0..peer.batch as i64, &device) % CLASSES as i64;
        Self {
            net: WideResNet::new(peer.depth, peer.width, &device),
            x: origin.clone(),
            origin,
            labels: labels.reshape([peer.batch, 1]),
        }
    }

    fn take(&mut self) {
        let x = Tensor::from_inner(self.x.clone()).require_grad();
        let scores = log_softmax(self.net.forward(x.clone()), 1);
        let loss = -scores.gather(1, self.labels.clone()).sum();
        let gradients = loss.backward();
        let gradient = x.grad(&gradients).expect("the image's gradient");
        let length = |x: Tensor<4>| (x.clone() * x).sum_dims(&[1, 2, 3]).sqrt();
        let moved = self.x.clone() + gradient.clone() * STEP_SIZE / (length(gradient) + 1e-10);
        let d = moved - self.origin.clone();
        let d = d.clone() * (length(d) + 1e-7).recip().mul_scalar(EPS).clamp_max(1.0);
        self.x = (self.origin.clone() + d).clamp(0.0, 1.0);
    }
}

/// The closure that is timed, the number of its repeats in a measurement, and how long the first took.
type Task = (Box<dyn FnMut()>, u32, f64);

struct Peer {
    device: Device,
    depth: usize,
    width: usize,
    batch: usize,
    side: usize,
    made: HashMap<String, Task>,
}

impl Peer {
    /// One 3x3 convolution of stride 1, or one of its two derivatives.
    fn layer(&self, what: &str, [images, channels, side]: [usize; 3]) -> Box<dyn FnMut()> {
        let random = |shape: [usize; 4], device: &Device| {
            Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), device)
        };
        let (map, kernel) = ([images, channels, side, side], [channels, channels, 3, 3]);
        let device = &self.device;
        let (x, dy, w) = (random(map, device), random(map, device), random(kernel, device));
        match what {
            "forward" => Box::new(move || drop(conv2d(x.clone(), w.clone(), None, options(1, 1)))),
            "weight-gradient" => Box::new(move || {
                drop(conv2d_weight_backward(x.clone(), w.clone(), dy.clone(), options(1, 1)));
            }),
            // Forward and the image's gradient, as autodiff has no other way to the latter.
            _ => {
                let x = Tensor::from_inner(x).require_grad();
                let (dy, w) = (Tensor::from_inner(dy), Tensor::from_inner(w));
                Box::new(move || {
                    let y = conv2d(x.clone(), w.clone(), None, options(1, 1));
                    drop(x.grad(&(y * dy.clone()).sum().backward()));
                })
            }
        }
    }

    fn repeat(device: &Device, task: &mut dyn FnMut(), count: u32) -> Result<f64, String> {
        device.sync().map_err(|error| format!("{error:?}"))?;
        let began = Instant::now();
        for _ in 0..count {
            task();
        }
        device.sync().map_err(|error| format!("{error:?}"))?;
        Ok(began.elapsed().as_secs_f64())
    }

    /// Milliseconds of a task, and the seconds until it was ready the first time.
    fn time(&mut self, words: &[&str]) -> Result<(f64, f64), String> {
        if let ["image-gradient", numbers @ ..] = words {
            let of = |what| [&[what], numbers].concat();
            let (both, ready) = self.time(&of("both"))?;
            return Ok((both - self.time(&of("forward"))?.0, ready));
        }
        let key = words.join(" ");
        if !self.made.contains_key(&key) {
            let mut task: Box<dyn FnMut()> = match words {
                ["step"] => {
                    let mut step = Step::new(self);
                    Box::new(move || step.take())
                }
                [what, rest @ ..] => {
                    let numbers: Result<Vec<usize>, _> = rest.iter().map(|n| n.parse()).collect();
                    let numbers = numbers.map_err(|error| error.to_string())?;
                    let wrong = |_| format!("{key}: three numbers wanted");
                    self.layer(what, numbers.try_into().map_err(wrong)?)
                }
                [] => return Err("time VARIANT TASK".into()),
            };
            // Tuning goes on for some steps after the first.
            let ready = Self::repeat(&self.device, &mut *task, 3)?;
            let mut repeats = 1;
            while Self::repeat(&self.device, &mut *task, repeats)? < SECONDS && repeats < 4096 {
                repeats *= 2;
            }
            self.made.insert(key.clone(), (task, repeats, ready));
        }
        let (task, repeats, ready) = self.made.get_mut(&key).ok_or("no task")?;
        let took = Self::repeat(&self.device, &mut **task, *repeats)?;
        Ok((took * 1e3 / f64::from(*repeats), *ready))
    }
}

/// Most memory that the process had, where the system tells.
fn memory() -> Value {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    json!({ "bytes": kib.map(|kib| kib * 1024) })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [model, batch, side, rest @ ..] = &words[..] else {
        return Err("MODEL BATCH SIDE [--device KIND]".into());
    };
    let mut numbers = model.split('-').skip(1);
    let mut number = || numbers.next().ok_or("wrn-DEPTH-WIDTH wanted");
    let (depth, width) = (number()?.parse()?, number()?.parse()?);
    let kind = match rest {
        ["--device", "cpu"] => DeviceKind::Cpu,
        ["--device", "discrete"] => DeviceKind::DiscreteGpu(0),
        ["--device", "integrated"] => DeviceKind::IntegratedGpu(0),
        ["--device", "virtual"] => DeviceKind::VirtualGpu(0),
        [] | ["--device", "default"] => DeviceKind::DefaultDevice,
        _ => return Err("--device cpu, discrete, integrated, virtual or default".into()),
    };
    let name = format!("{kind:?}");
    let device = Device::wgpu(kind);
    let (batch, side) = (batch.parse()?, side.parse()?);
    let mut peer = Peer { device, depth, width, batch, side, made: HashMap::new() };
    let mut out = std::io::stdout();
    let hello = json!({ "peer": "burn", "version": "0.22.1", "device": name, "variants": ["wgpu"] });
    writeln!(out, "{hello}")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let told = match &words[..] {
            ["memory"] => memory(),
            ["time", _, task @ ..] => match peer.time(task) {
                Ok((ms, ready)) => json!({ "ms": ms, "ready_seconds": ready }),
                Err(error) => json!({ "error": error }),
            },
            _ => json!({ "error": "memory, or time VARIANT TASK" }),
        };
        writeln!(out, "{told}")?;
        out.flush()?;
    }
    Ok(())
}
