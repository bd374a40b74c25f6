"""Makes small networks with random weights as PyTorch's exporters write them, and PyTorch's results for them: the files of
`tests/golden/cases/onnx`, which `tests/model/onnx.rs` reads.

    python onnx_files.py OUT [SEED]        writes the ONNX files and PyTorch's results into the folder OUT

Both exporters (TorchScript's and the one of `torch.export`) and operator sets 13 to 21 are there, batch sizes open and
fixed, weights in the file and beside it. What PyTorch's version cannot export is said and left out. Everything is computed in
64 bits. `onnx.safetensors` has for each file images in [0, 1], their logits, the gradient for the images of the sum of
log-sum-exp over classes, and what ten steps of PGD make of them.
"""

import contextlib
import io
import pathlib
import sys
import warnings

import onnx
import torch
from torch import nn
from torch.nn import functional

from lookalikes import PreActResNet, ResNet, decided, trained, write

MEAN, STD = [0.5, 0.25, 0.375], [0.25, 0.5, 0.25]


class Normalised(nn.Module):
    def __init__(self, net, way="subtract"):
        super().__init__()
        self.net, self.way = net, way
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, x):
        if self.way == "one number":
            return self.net(x * 2 - 1)
        return self.net((x - self.mean) / self.std)


class Inverted(nn.Module):
    """MobileNetV2's block."""

    def __init__(self, inputs, outputs, stride, wide=3):
        super().__init__()
        inner = inputs * wide
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU6(),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False), nn.BatchNorm2d(inner), nn.ReLU6(),
            nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.layers(x) if self.residual else self.layers(x)


class MobileNet2(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
            Inverted(8, 8, 1), Inverted(8, 12, 2), Inverted(12, 12, 1),
            nn.Conv2d(12, 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6(),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(32, classes))

    def forward(self, x):
        x = self.features(x)
        return self.classifier(functional.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels, hard):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)
        self.gate = nn.Hardsigmoid() if hard else nn.Sigmoid()

    def forward(self, x):
        scale = functional.adaptive_avg_pool2d(x, 1)
        return self.gate(self.fc2(functional.relu(self.fc1(scale)))) * x


class MobileNet3(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.block = nn.Sequential(
            nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish(),
            nn.Conv2d(16, 16, 5, 1, 2, groups=16, bias=False), nn.BatchNorm2d(16), nn.Hardswish(), Gate(16, True),
            nn.Conv2d(16, 8, 1, bias=False), nn.BatchNorm2d(8),
        )
        self.last = nn.Sequential(nn.Conv2d(8, 24, 1, bias=False), nn.BatchNorm2d(24), nn.Hardswish())
        self.classifier = nn.Sequential(nn.Linear(24, 32), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(32, classes))

    def forward(self, x):
        x = self.stem(x)
        x = self.last(x + self.block(x))
        return self.classifier(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))


class ChannelsLast(nn.Module):
    """ConvNeXt's block: layer normalisation and linear layers of each pixel's channels, the last of which are scaled."""

    def __init__(self, channels):
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, 1, 3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.pwconv1, self.pwconv2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.rand(channels))

    def forward(self, x):
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.gamma * self.pwconv2(functional.gelu(self.pwconv1(y)))
        return x + y.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.stem, self.block = nn.Conv2d(3, 12, 4, 4), ChannelsLast(12)
        self.norm, self.head = nn.LayerNorm(12, eps=1e-6), nn.Linear(12, classes)

    def forward(self, x):
        return self.head(self.norm(self.block(self.stem(x)).mean([-2, -1])))


class Plain(nn.Module):
    """VGG's kind: pools, biases, linear layers behind all pixels, and rectifiers of every kind; softmax at the end."""

    def __init__(self, classes=5, softmax=True):
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.LeakyReLU(0.1), nn.MaxPool2d(2),
            nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(8, 12, 3, 2), nn.ELU(0.8), nn.MaxPool2d(3, 1, 1),
            nn.Conv2d(12, 12, 3, padding=1, groups=3), nn.SiLU(), nn.AvgPool2d(2),
        )
        self.linear = nn.Sequential(nn.Linear(48, 24), nn.ReLU(), nn.Dropout(), nn.Linear(24, classes))
        self.softmax = softmax

    def forward(self, x):
        x = self.convs(x)
        x = self.linear(x.view(x.size(0), -1))
        return functional.softmax(x, 1) if self.softmax else x


class Gated(nn.Module):
    """An EfficientNet's block, and normalisation that no convolution is before."""

    def __init__(self, classes=5):
        super().__init__()
        self.bn0 = nn.BatchNorm2d(3)
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16)
        self.gate, self.fc = Gate(16, False), nn.Linear(16, classes)

    def forward(self, x):
        x = functional.silu(self.bn1(self.conv1(self.bn0(x))))
        return self.fc(torch.sigmoid(self.gate(x)).mean((2, 3)))


class Dense(nn.Module):
    """DenseNet's blocks: each layer reads what all before it made."""

    def __init__(self, classes=5):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 4, 3, 1, 1, bias=False)) for inputs in (8, 12, 16)
        )
        self.last, self.fc = nn.Sequential(nn.BatchNorm2d(20), nn.ReLU(), nn.AvgPool2d(2)), nn.Linear(40, classes)

    def forward(self, x):
        parts = [self.stem(x)]
        for layer in self.layers:
            parts.append(layer(torch.cat(parts, 1)))
        x = self.last(torch.cat(parts, 1))
        # Matrices are joined, too.
        return self.fc(torch.cat([x.mean((2, 3)), x.mean((2, 3)).tanh()], 1))


class Smooth(nn.Module):
    """Group and instance normalisation, and the units that few networks have."""

    def __init__(self, classes=5):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.GroupNorm(4, 8), nn.Mish(), nn.Conv2d(8, 12, 3, 1, 1), nn.GroupNorm(2, 12, eps=1e-3),
            nn.Tanh(), nn.Conv2d(12, 12, 3, 2, 1), nn.InstanceNorm2d(12, affine=True), nn.Softplus(), nn.Conv2d(12, 8, 1),
            nn.PReLU(8), nn.Conv2d(8, 8, 1), nn.PReLU(),
        )
        self.fc = nn.Linear(8, classes)

    def forward(self, x):
        return self.fc(self.layers(x).mean((2, 3)))


def cases():
    """Name, network, exporter, operator set, and whether batches have any number of images."""
    narrow = (4, 4, 8, 8)
    yield "resnet18_script_13", Normalised(ResNet(False, False, narrow, (2, 2, 2, 2))), False, 13, True
    yield "resnet18_export_18", Normalised(ResNet(False, True, narrow, (2, 2, 2, 2))), True, 18, True
    yield "bottleneck_script_17", ResNet(True, True, (4, 4, 8, 8)), False, 17, False
    yield "mobilenet2_script_13", Normalised(MobileNet2()), False, 13, True
    yield "mobilenet2_export_21", Normalised(MobileNet2()), True, 21, False
    yield "mobilenet3_script_17", Normalised(MobileNet3(), "one number"), False, 17, True
    yield "mobilenet3_export_18", Normalised(MobileNet3()), True, 18, True
    yield "preact_script_15", Normalised(PreActResNet(True, dims=narrow)), False, 15, True
    yield "preact_export_20", Normalised(PreActResNet(True, dims=narrow)), True, 20, True
    yield "convnext_script_14", Normalised(ConvNeXt()), False, 14, True
    yield "convnext_script_17", Normalised(ConvNeXt()), False, 17, False
    yield "convnext_export_20", Normalised(ConvNeXt()), True, 20, True
    yield "convnext_export_18", Normalised(ConvNeXt()), True, 18, False
    yield "plain_script_13", Normalised(Plain()), False, 13, True
    yield "plain_export_19", Normalised(Plain()), True, 19, True
    yield "gated_script_16", Gated(), False, 16, True
    yield "gated_export_18_beside", Gated(), True, 18, True
    yield "dense_script_13", Normalised(Dense()), False, 13, True
    yield "dense_export_21", Normalised(Dense()), True, 21, True
    yield "smooth_script_17", Normalised(Smooth()), False, 17, True
    yield "smooth_export_18", Normalised(Smooth()), True, 18, True
    yield "smooth_export_21", Normalised(Smooth()), True, 21, False


def export(net, images, path, new, operators, open_batch):
    kinds = {"opset_version": operators, "dynamo": new, "input_names": ["images"], "output_names": ["logits"]}
    if new:
        kinds["external_data"] = path.stem.endswith("beside")
        if open_batch:
            kinds["dynamic_shapes"] = ({0: torch.export.Dim("batch")},)
    elif open_batch:
        kinds["dynamic_axes"] = {"images": {0: "batch"}, "logits": {0: "batch"}}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        torch.onnx.export(net, (images,), str(path), **kinds)
    # Where in which file on which machine each node came from.
    model = onnx.load(path, load_external_data=False)
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.initializer, *model.graph.input, *model.graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for whole in (model, model.graph):
        whole.ClearField("doc_string")
        whole.ClearField("metadata_props")
    path.write_bytes(model.SerializeToString())


def main(out, seed=22):
    warnings.filterwarnings("ignore")
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    wanted = {}
    for name, net, new, operators, open_batch in cases():
        net = trained(net)
        path = out / f"{name}.onnx"
        try:
            export(net, torch.rand(2, 3, 16, 16), path, new, operators, open_batch)
        except Exception as error:
            print(f"{name:<24} left out: {type(error).__name__}: {str(error).splitlines()[0][:100]}")
            continue
        plain = getattr(net, "net", net)
        if isinstance(plain, Plain):
            plain.softmax = False
        images, pgd, _ = decided(net.double(), seed)
        logits = net(images)
        (gradient,) = torch.autograd.grad(logits.logsumexp(1).sum(), images)
        for part, tensor in (("images", images), ("logits", logits), ("gradient", gradient), ("pgd", pgd)):
            wanted[f"{name}.{part}"] = tensor.detach()
        print(f"{name:<24} {path.stat().st_size:>7} bytes, logits {logits[0].tolist()}")
    about = {"source": f"tests/peers/onnx_files.py, PyTorch {torch.__version__}, float64", "tolerance": "1e-5 of the largest"}
    write(out / "onnx.safetensors", wanted, about)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:]))
