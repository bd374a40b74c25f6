"""Loads a network, attacks it, explains an image and draws samples: the example in the README of the Python package."""

import lapidary

print(lapidary.devices())
model = lapidary.load("builtin:fashion-demo")  # or a .safetensors or .pth file
images, labels, names = lapidary.data.fashion(side=model.side or 32)  # float32 in [0, 1], (N, 1, 16, 16)

print((model.predict(images) == labels).mean())
result = model.autoattack(images[:16], labels[:16], norm="L2", eps=0.5, version="rand")
print(result.robust_accuracy, result.attacks)
print(model.explain(images[:1], "Bag", steps=5).probabilities[-1])
print(model.sample(["Coat", "Sneaker"], steps=5).images.shape)
