"""Makes checkpoints whose weights are wrapped, named and stored as in users' files, and the expected result of reading each:
the folder `tests/golden/cases/forms`, which `tests/formats/forms.rs` reads.

    python forms.py OUT        writes the checkpoints and expected.json into the folder OUT

`expected.json` says of each file either which tensors are read, by name and sum, or a word of the reason for which it is
refused. The weights are those of one small network of two layers; what lies around them is what training leaves in files.
Needs PyTorch, NumPy, ONNX and dill.
"""

import argparse
import collections
import datetime
import json
import pathlib
import pickle
import random
import struct
import sys
import zipfile
import zlib

import dill
import numpy
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from torch import nn

WEIGHTS = {"conv.weight": (2, 3, 1, 1), "conv.bias": (2,), "last.weight": (4, 2), "last.bias": (4,)}


def weights(kind=torch.float32, factor=1.0):
    made, start = collections.OrderedDict(), 0
    for name, shape in WEIGHTS.items():
        count = int(numpy.prod(shape))
        made[name] = (torch.arange(start, start + count).reshape(shape) * 0.25 * factor).to(kind)
        start += count
    return made


def without_places(path):
    """Blanks the folders of this script and of PyTorch, which functions and traces name, in a zip file of stored entries; lengths stay."""
    folders = [pathlib.Path(__file__).resolve().parents[2], pathlib.Path(torch.__file__).parents[1]]
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entries, directory = archive.infolist(), archive.start_dir
    for entry in entries:
        begin = entry.header_offset + 30 + sum(struct.unpack_from("<HH", data, entry.header_offset + 26))
        end = begin + entry.file_size
        blank = bytes(data[begin:end])
        for folder in (str(folder).encode() for folder in folders):
            blank = blank.replace(folder, b"/" + b"_" * (len(folder) - 1))
        before, after = (struct.pack("<I", check) for check in (entry.CRC, zlib.crc32(blank)))
        data[begin:end] = blank
        # The sum stands in the entry's header, or behind its data, and in the directory.
        for at in (entry.header_offset + 14, data.find(before, end, end + 12), data.find(before, directory)):
            if at >= 0 and data[at : at + 4] == before:
                data[at : at + 4] = after
    path.write_bytes(data)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def prefixed(prefix, of=None):
    return collections.OrderedDict((prefix + name, value) for name, value in (of or weights()).items())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 2, 1), nn.Linear(2, 4)
        self.load_state_dict(weights())

    def forward(self, x):
        return self.last(self.conv(x).mean((2, 3)))


class AttributeDict(dict):
    """As Lightning has it: a class of which the reader knows nothing, made from a dict."""


class Command:
    def __reduce__(self):
        import os

        return os.system, ("true",)


def checkpoints():
    """Name, what is saved, whether in the old format, and what is read: a factor of the weights, or a word of the refusal."""
    plain, twice = weights(), weights(factor=2.0)
    yield "plain", plain, False, 1
    yield "old_format", plain, True, 1
    for name in ("module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "net.", "network.", "backbone.",
                 "encoder.", "base_model.", "model.backbone.", "module.model.", "student."):
        yield f"prefix_{name.replace('.', '_')}", prefixed(name), False, 1
    for key in ("state_dict", "model", "model_state_dict", "net"):
        yield f"under_{key}", {key: plain, "epoch": 3}, False, 1
    yield "averaged_before_trained", {"model": plain, "model_ema": twice}, False, 2
    yield "swa", {"model": plain, "swa_model": twice}, False, 2
    yield "shadow", {"ema": {"shadow": twice, "decay": 0.9}, "model": plain}, False, 2
    yield "namespace", {"args": argparse.Namespace(lr=0.1, layers=[1, 2]), "state_dict": plain}, False, 1
    yield "counter", {"model": plain, "scheduler": {"milestones": collections.Counter([3, 7])}}, False, 1
    yield "defaultdict", {"model": plain, "state": collections.defaultdict(dict, {0: {"step": 4}})}, False, 1
    yield "numpy_scalars", {"model": plain, "best": numpy.float64(93.5), "at": numpy.int64(4)}, False, 1
    yield "numpy_random", {"model": plain, "random": numpy.random.RandomState(0).get_state()}, False, 1
    yield "python_random", {"model": plain, "random": random.Random(0).getstate(), "torch": torch.get_rng_state()}, False, 1
    yield "device_and_dtype", {"model": plain, "device": torch.device("cpu"), "dtype": torch.float32}, False, 1
    yield "path_and_date", {"model": plain, "out": pathlib.PurePosixPath("a/b"), "on": datetime.date(2024, 5, 1)}, False, 1
    yield "set", {"model": plain, "frozen": {"a", "b"}, "done": frozenset([1])}, False, 1
    yield "optimizer", {"model": plain, "optimizer": torch.optim.SGD(Net().parameters(), 0.1, momentum=0.9).state_dict()}, False, 1
    yield "old_averaged", {"model": plain, "ema_state_dict": prefixed("module.", twice)}, True, 2
    yield "parameters", {name: nn.Parameter(value) for name, value in plain.items()}, False, 1
    yield "counters_beside", {**plain, "bn.num_batches_tracked": torch.tensor(7), "places": torch.arange(3)}, False, 1
    yield "float16", weights(torch.float16), False, 1
    yield "bfloat16", weights(torch.bfloat16), False, 1
    yield "float64", weights(torch.float64), False, 1
    strided = {name: torch.stack([value, value], -1)[..., 0] for name, value in plain.items()}
    yield "strided", strided, False, 1
    yield "whole_module", Net(), False, 1
    yield "two_sets", {"first": plain, "second": twice}, False, "--weights"
    yield "list_of_sets", [plain, twice], False, "--weights"
    yield "tuple_of_sets", (plain, twice), False, "--weights"
    yield "bytes", {"model": plain, "of_old_python": "\xe9".encode("latin1"), "raw": bytearray(b"\x00\xff")}, False, 1
    yield "attributes", {"state_dict": plain, "hyper_parameters": AttributeDict(lr=0.1, layers=[1, 2])}, False, 1
    yield "command", {"model": plain, "hook": Command()}, False, "forbidden"
    yield "int8", {name: value.to(torch.int8) for name, value in plain.items()}, False, "int8"
    yield "complex", {**plain, "last.bias": plain["last.bias"].to(torch.complex64)}, False, "complex"
    yield "sparse", {**plain, "last.weight": plain["last.weight"].to_sparse()}, False, "sparse"
    quantised = torch.quantize_per_tensor(plain["last.weight"], 0.25, 0, torch.qint8)
    yield "quantised", {**plain, "last.weight": quantised}, False, "quantised"
    yield "numpy_weights", {name: value.numpy() for name, value in plain.items()}, False, "NumPy"
    yield "nothing", {"epoch": 3}, False, "no dict with tensors"


def network(nodes, tensors, output=(1, 2), sets=17, name="x", shape=(1, 3, 4, 4)):
    made = [numpy_helper.from_array(numpy.asarray(value, numpy.float32), key) for key, value in tensors.items()]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in ((name, shape), ("y", output))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], made)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", sets)])


def networks():
    """Name, network, and what is read: names and sums of tensors, or a word of the refusal."""
    node = helper.make_node
    pooled = [node("GlobalAveragePool", ["c"], ["g"]), node("Flatten", ["g"], ["y"])]
    conv = numpy.arange(6).reshape(2, 3, 1, 1)

    def convolution(**attributes):
        return network([node("Conv", ["x", "w"], ["c"], **attributes), *pooled], {"w": conv})

    sums = {"w": ([2, 3, 1, 1], 15.0)}
    yield "conv", convolution(), sums
    yield "conv_strided", convolution(strides=[2, 2]), sums
    yield "conv_dilated", convolution(dilations=[2, 2]), "dilations"
    yield "set_9", network([node("Conv", ["x", "w"], ["c"]), *pooled], {"w": conv}, sets=9), "operator set 9"
    yield "resize", network([node("Resize", ["x"], ["y"])], {}), "Resize (1)"
    yield "elsewhere", network([node("Fused", ["x"], ["y"], domain="com.microsoft")], {}), "com.microsoft.Fused (1)"
    yield "five_channels", network([node("Flatten", ["x"], ["y"])], {}, shape=(1, 5, 4, 4)), "channels"
    yield "no_image", network([node("Relu", ["x"], ["y"])], {}, shape=(1, 3)), "[N, C, H, W]"
    soft = [node("Conv", ["x", "w"], ["c"]), pooled[0], node("Flatten", ["g"], ["f"]), node("Softmax", ["f"], ["y"])]
    yield "softmax", network(soft, {"w": conv}), sums
    last = [node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]), node("Conv", ["t", "w"], ["c"]), *pooled]
    yield "channels_last", network(last, {"w": conv}, shape=(1, 4, 4, 3)), sums
    matrix = {"w": numpy.arange(48 * 2).reshape(48, 2)}
    yield "matmul", network([node("Flatten", ["x"], ["f"]), node("MatMul", ["f", "w"], ["y"])], matrix), {"w": ([2, 48], 4560.0)}


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name, saved, old, right in checkpoints():
        torch.save(saved, out / f"{name}.pth", _use_new_zipfile_serialization=not old)
        if isinstance(right, str):
            expected[f"{name}.pth"] = {"refused": right}
        else:
            sums = {key: [list(value.shape), value.sum().item() * right] for key, value in weights().items()}
            expected[f"{name}.pth"] = {"tensors": sums}
    scripted = torch.jit.script(Net())
    scripted.save(str(out / "scripted.pt"))
    expected["scripted.pt"] = expected["plain.pth"]
    # What `robustness` of Madry and others saves by: functions of training go along, with their code.
    factor = 0.5
    torch.save({"model": weights(), "schedule": lambda epoch: factor**epoch}, out / "dill.pth", pickle_module=dill)
    expected["dill.pth"] = expected["plain.pth"]
    torch.export.save(torch.export.export(Net().eval(), (torch.rand(1, 3, 4, 4),)), out / "exported.pt2")
    for name in ("dill.pth", "exported.pt2"):
        without_places(out / name)
    expected["exported.pt2"] = {"refused": "torch.export"}
    save_file(dict(weights()), out / "plain.safetensors", {"format": "pt", "step": "many", "classes": "[]"})
    expected["plain.safetensors"] = expected["plain.pth"]
    for name, made, right in networks():
        (out / f"{name}.onnx").write_bytes(made.SerializeToString())
        expected[f"{name}.onnx"] = {"refused": right} if isinstance(right, str) else {"tensors": right}
    (out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(f"{len(expected)} files")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
