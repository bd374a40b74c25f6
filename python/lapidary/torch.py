"""Wraps a network of lapidary as a module of PyTorch, so that other tools' attacks and explanations run on any GPU, without CUDA.

No other module of the package imports PyTorch, so that the package works without it.
"""

from __future__ import annotations

from typing import Any

import torch

from ._native import Model

__all__ = ["Wrapped", "wrap"]


class _Logits(torch.autograd.Function):
    """Computes logits by lapidary, and in the backward pass their gradient for the images."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, model: Model, batch_size: int) -> torch.Tensor:
        images = x.detach().to("cpu", torch.float32).contiguous()
        ctx.save_for_backward(images)
        ctx.model, ctx.batch_size, ctx.like = model, batch_size, (x.device, x.dtype)
        logits = torch.from_numpy(model._forward(images.numpy(), batch_size))
        return logits.to(x.device, x.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, None, None]:
        (images,) = ctx.saved_tensors
        factors = gradient.detach().to("cpu", torch.float32).contiguous()
        made = torch.from_numpy(ctx.model._backward(images.numpy(), factors.numpy(), ctx.batch_size))
        device, dtype = ctx.like
        return made.to(device, dtype), None, None


class Wrapped(torch.nn.Module):
    """A network whose forward pass and input gradient run on lapidary's device.

    It has no parameters: its weights are lapidary's and do not learn. It is in evaluation mode whatever it is told. Gradients of
    gradients do not exist.
    """

    def __init__(self, model: Model, batch_size: int = 64) -> None:
        super().__init__()
        self.model = model
        self.batch_size = batch_size
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the logits of images.

        Parameters
        ----------
        x : Tensor
            Floating-point numbers of shape (N, C, H, W); images in [0, 1], not normalised.

        Returns
        -------
        Tensor
            Shape (N, K), on the device and of the type of `x`.
        """
        logits = _Logits.apply(x, self.model, self.batch_size)
        assert isinstance(logits, torch.Tensor)
        return logits

    def train(self, mode: bool = True) -> Wrapped:
        """Stay in evaluation mode whatever `mode` says, as a wrapped network never uses statistics of the batch."""
        super().train(False)
        return self


def wrap(model: Model, *, batch_size: int = 64) -> Wrapped:
    """Wrap a network of lapidary as a module of PyTorch.

    Parameters
    ----------
    model : Model
        The network, which is not copied.
    batch_size : int
        Images that go through at once.

    Returns
    -------
    Wrapped
        A ``torch.nn.Module`` for torchattacks, foolbox, captum and their like.
    """
    return Wrapped(model, batch_size)
