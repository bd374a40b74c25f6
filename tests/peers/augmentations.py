"""Makes the pictures in tests/augmentations, with which src/data/references.rs compares lapidary's augmentations.

The operations and the policy are those of torchvision over Pillow (AutoAugment(AutoAugmentPolicy.CIFAR10): nearest pixel,
zeros from outside); Cutout is written down from DeVries and Taylor's code (arXiv 1708.04552), with zeros; the crops are
torchvision's pad and crop, and its resized_crop on Pillow images (bilinear, antialiased). What is drawn at random was
drawn by the Rust code once and is written down here; that the draws have the right distribution is tested there.

    pip install pillow==13.0.0 torchvision==0.29.2 && python tests/peers/augmentations.py tests/augmentations   # writes the pictures
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import AutoAugment, AutoAugmentPolicy, _apply_op

SIDE = 32
OPERATIONS = ("ShearY TranslateX TranslateY Rotate Brightness Color Contrast Sharpness "
              "Posterize Solarize AutoContrast Equalize Invert").split()
MAGNITUDES = [1, 4, 9]
# Row and column offsets of the crop, mirrored or not; rows and columns of the cutout's middle: src/data/references.rs.
CROPS = [(-4, -4, False), (-4, 4, True), (0, 0, True), (3, -1, False), (4, 2, True)]
CUTOUTS = [(0, 0), (31, 31), (16, 16), (5, 27), (20, 3)]
# Top, left, height, width of a resized crop, and the side it is brought to.
BOXES = [(0, 0, 60, 90, 32), (3, 11, 41, 52, 32), (20, 30, 12, 9, 32), (7, 0, 33, 40, 24), (59, 89, 1, 1, 32)]


def colours(height, width):
    """A picture with slopes, edges, fine stripes and a dark corner, in which every channel is another."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 40 + 170 * x / width + 25 * np.sin(y / 2)
    green = 200 - 150 * y / height + 30 * ((x // 5 + y // 7) % 2)
    blue = 90 + 90 * np.cos(np.hypot(y - height / 2, x - width / 3) / 4)
    picture = np.stack([red, green, blue], -1)
    picture[height // 5:height // 2, width // 2:-4] *= 0.35
    picture[-height // 4:-3, 3:width // 3] = [230, 60, 20]
    return Image.fromarray(picture.clip(4, 243).astype(np.uint8))


def sheet(rows):
    side = SIDE
    out = Image.new("RGB", (side * max(map(len, rows)), side * len(rows)))
    for j, row in enumerate(rows):
        for i, tile in enumerate(row):
            out.paste(tile, (side * i, side * j))
    return out


def main(folder):
    policy = AutoAugment(AutoAugmentPolicy.CIFAR10)
    space = policy._augmentation_space(10, (SIDE, SIDE))

    def applied(picture, name, magnitude, sign=1):
        values, signed = space[name]
        value = float(values[magnitude]) if values.ndim > 0 else 0.0
        return _apply_op(picture, name, sign * value if signed else value, F.InterpolationMode.NEAREST, None)

    picture = colours(SIDE, SIDE)
    pictures = {"picture": picture}
    pictures["operations"] = sheet([
        [applied(picture, name, m, sign) for sign in ([1, -1] if space[name][1] else [1]) for m in
         (MAGNITUDES if space[name][0].ndim > 0 else [0])]
        for name in OPERATIONS])
    # Both halves of each pair, the first with a plus and the second with a minus.
    pictures["policy"] = sheet([[
        applied(applied(picture, first, m1 or 0), second, m2 or 0, -1)
        for (first, _, m1), (second, _, m2) in policy.policies[row:row + 5]] for row in range(0, 25, 5)])
    with open(folder / "policy.txt", "w") as file:
        for pair in policy.policies:
            print(*(f"{name} {round(10 * p)} {m or 0}" for name, p, m in pair), file=file)

    padded = F.pad(picture, 4)
    crops = [F.crop(padded, 4 + down, 4 + right, SIDE, SIDE) for down, right, _ in CROPS]
    pictures["crops"] = sheet([[F.hflip(crop) if mirrored else crop for crop, (_, _, mirrored) in zip(crops, CROPS)]])

    cut = []
    for y, x in CUTOUTS:
        values = np.array(picture)
        values[max(y - 8, 0):max(min(y + 8, SIDE), 0), max(x - 8, 0):min(x + 8, SIDE)] = 0
        cut.append(Image.fromarray(values))
    pictures["cutouts"] = sheet([cut])

    wide = colours(60, 90)
    pictures["wide"] = wide
    pictures["resized"] = sheet([[F.resized_crop(wide, t, l, h, w, [s, s], F.InterpolationMode.BILINEAR)
                                  for t, l, h, w, s in BOXES]])
    for name, made in pictures.items():
        made.save(folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
