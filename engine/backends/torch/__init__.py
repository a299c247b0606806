"""The graphs of a bundle in torch: on a GPU as CUDA graphs with our own kernels, or on a CPU.

Imported only when it is asked for: the engine itself knows no torch.
"""

from __future__ import annotations

from typing import Any

from engine.backends.resident import DeviceBackend
from engine.bundle import Bundle
from engine.errors import UsageError

__all__ = ["TorchBackend"]


def load_torch() -> Any:
    """The torch module; UsageError that says what to install."""
    try:
        import torch
    except ImportError as error:
        raise UsageError(f"torch cannot be loaded ({error}): pip install torch") from None
    return torch


class TorchBackend(DeviceBackend):
    """All graphs of a bundle; what is known of the device is in `engine.backends.torch.device`."""

    name = "torch"

    def __init__(
        self, bundle: Bundle, *, threads: int = 1, device: str | None = None, half: bool = False
    ) -> None:
        """`device` is cuda or cpu, by default what there is; `half` runs products in float16.

        UsageError without torch or without that device, BundleError for graphs it cannot play.
        """
        if bundle.path is None:
            raise UsageError(f"bundle {bundle.manifest.name} lies in memory: use its own backend")
        torch = load_torch()
        from engine.backends.torch.device import TorchDevice

        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cuda" and not torch.cuda.is_available():
            raise UsageError(
                "torch sees no CUDA device: install a driver and a CUDA build of torch"
            )
        if device == "cpu":
            torch.set_num_threads(threads)
        made = TorchDevice(bundle, device, half=half)
        super().__init__(bundle, made, {})
        self._where = made.name

    def providers(self) -> list[str]:
        """The device, by name."""
        return [self._where]
