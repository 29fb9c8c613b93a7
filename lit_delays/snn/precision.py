"""In which precision products are made under autocast: one rule for every form of a sum.

Only products of weights or spectra are reduced, and only where the machine has them: a processor without
instructions for bfloat16 takes fifty times as long for such a product as for one of float32. All sums,
transforms, norms and neurons stay in float32.
"""

from contextlib import AbstractContextManager

import torch


def product_dtype(device: str) -> torch.dtype | None:
    """Type that products are made in under autocast; None where there is no autocast.

    Example:
        >>> product_dtype("cpu") is None
        True
    """
    if not torch.is_autocast_enabled(device):
        return None
    dtype = torch.get_autocast_dtype(device)
    return dtype if device != "cpu" or processor_multiplies(dtype) else torch.float32


def products(device: str) -> AbstractContextManager[object]:
    """Where torch makes them of the type that :func:`product_dtype` says."""
    return torch.autocast(device, enabled=product_dtype(device) not in (None, torch.float32))


def processor_multiplies(dtype: torch.dtype) -> bool:
    """Whether this processor has products of a reduced type: AVX-512 BF16 or AMX for bfloat16."""
    # the oldest torch that runs this cannot say
    found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    names = {torch.bfloat16: ("avx512_bf16", "amx_bf16"), torch.float16: ("amx_fp16",)}
    return any(found.get(name, False) for name in names.get(dtype, ()))
