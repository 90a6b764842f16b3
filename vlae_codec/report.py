"""A record of one file, as `jobs` makes it, in words; and the ledger as a table. Standard library only."""

from typing import TYPE_CHECKING, Any

from vlae_codec.files import shown

if TYPE_CHECKING:
    from vlae_codec.ledger import Ledger


def text(record: dict[str, Any], ledger: "Ledger | None" = None) -> str:
    """One line, and the table if there is a ledger."""
    names = " -> ".join(shown(record[key]) for key in ("input", "output") if key in record)
    line = f"{names}: " + ", ".join(_facts(record))
    return line if ledger is None else f"{line}\n{table(ledger, record['width'] * record['height'])}"


def _facts(record: dict[str, Any]) -> list[str]:
    facts = [f"{record['width']}x{record['height']}" + (" gray" if record.get("gray") else "")]
    if "bytes" in record:
        facts += [f"quality {record['quality']:g}, model {record['model']}"]
        facts += [f"{record['bytes']} bytes, {record['bpp']:.3f} bpp"]
    if "seconds" in record:
        facts += [f"{record['seconds']:.2f} s"]
    if "psnr" in record:
        facts += ["identical" if record["psnr"] is None else f"{record['psnr']:.2f} dB"]
        facts += [] if record["ms_ssim"] is None else [f"MS-SSIM {record['ms_ssim']:.4f}"]
    return facts


def table(ledger: "Ledger", pixels: int) -> str:
    """The ledger as a sum: lines add up to the next line with a =, in bits and in bits per pixel."""
    groups = [(f"  latents, group {number}", bits) for number, bits in enumerate(ledger.y_groups)]
    file = ledger.container + ledger.metadata + ledger.alpha + ledger.actual
    rows = [
        *groups,
        ("  hyper-latent z", ledger.z_gross),
        ("  bits back", 0 - ledger.bits_back),  # -x would print -0.0 where nothing came back
        ("= theoretical rate", ledger.theoretical),
        ("  coder's overhead", ledger.overhead),
        ("= payload", ledger.actual),
        ("  alpha", ledger.alpha),
        ("  metadata", ledger.metadata),
        ("  container", ledger.container),
        ("= file", file),
    ]
    width = max(len(f"{bits:.1f}") for _, bits in rows)
    return "\n".join(f"{name:<20} {bits:>{width}.1f} bits {bits / pixels:10.5f} bpp" for name, bits in rows)
