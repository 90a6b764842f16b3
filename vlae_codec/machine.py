"""The machine that this runs on, in words. Standard library only."""

import os
import platform
from pathlib import Path


def machine() -> str:
    """Name of the processor and number of its cores, on Linux as the kernel gives it."""
    name, kernel = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    lines = kernel.read_text().splitlines() if kernel.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else name}, {os.cpu_count()} cores"
