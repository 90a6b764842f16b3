"""Codecs of libraries that the extra "compare" installs; each is imported when it is first used."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO

import numpy as np

from vlae_codec.compare.pillow import Pixels, described, pixels_of
from vlae_codec.errors import UsageError

INSTALL = "pip install 'vlae-codec[compare]'"


def installed(package: str) -> str:
    """The reason for a missing codec if this package is missing, else nothing."""
    try:
        version(package)
    except PackageNotFoundError:
        return f"{package} is not installed; {INSTALL}"
    return ""


@dataclass(frozen=True)
class JpegXl:
    """libjxl by imagecodecs; the quality is its distance, the smaller the better."""

    key: str = "jxl"
    name: str = "JPEG XL"
    library: str = "libjxl"
    effort: int = 7
    scale: Sequence[float] = tuple(round(25 * 0.98**step, 3) for step in range(300))

    @property
    def settings(self) -> str:
        """Lossy, and at libjxl's default effort."""
        return described({"effort": self.effort, "numthreads": 1})

    @property
    def version(self) -> str:
        """Of imagecodecs and libjxl."""
        import imagecodecs

        return f"imagecodecs {imagecodecs.__version__}, {imagecodecs.jpegxl_version()}"

    def missing(self) -> str:
        """imagecodecs may be absent, or be built without libjxl."""
        if reason := installed("imagecodecs"):
            return reason
        import imagecodecs

        return "" if imagecodecs.JPEGXL.available else "this imagecodecs has no libjxl; pip install -U imagecodecs"

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        """The bare codestream."""
        import imagecodecs

        samples = pixels[..., 0] if pixels.shape[2] == 1 else pixels
        return bytes(imagecodecs.jpegxl_encode(samples, distance=quality, effort=self.effort, numthreads=1))

    def decode(self, data: bytes) -> Pixels:
        """RGB, or gray."""
        import imagecodecs

        samples: Pixels = imagecodecs.jpegxl_decode(data, numthreads=1)
        return samples[..., None] if samples.ndim == 2 else samples


@dataclass(frozen=True)
class Heic:
    """x265 by libheif and pillow-heif."""

    key: str = "heic"
    name: str = "HEIC"
    library: str = "libheif with x265"
    settings: str = "chroma 444"
    scale: Sequence[float] = range(101)

    @property
    def version(self) -> str:
        """Of pillow-heif, libheif and x265."""
        import pillow_heif

        about = pillow_heif.libheif_info()
        return f"pillow-heif {pillow_heif.__version__}, libheif {about['libheif']}, {about['encoders'].get('x265')}"

    def missing(self) -> str:
        """pillow-heif may be absent, or be built without an encoder."""
        if reason := installed("pillow-heif"):
            return reason
        import pillow_heif

        encoders = pillow_heif.libheif_info()["encoders"]
        return "" if "x265" in encoders else "this pillow-heif has no x265; pip install -U pillow-heif"

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        """Gray as gray."""
        import pillow_heif

        height, width, channels = pixels.shape
        file = BytesIO()
        image = pillow_heif.from_bytes("L" if channels == 1 else "RGB", (width, height), pixels.tobytes())
        image.save(file, quality=int(quality), **({} if channels == 1 else {"chroma": 444}))
        return file.getvalue()

    def decode(self, data: bytes) -> Pixels:
        """RGB, or gray."""
        import pillow_heif

        return pixels_of(pillow_heif.open_heif(BytesIO(data)).to_pillow())


@dataclass(frozen=True)
class Vvc:
    """H.266 intra: libvvenc in the ffmpeg program of imageio-ffmpeg, started for each picture. A quality is -QP."""

    key: str = "vvc"
    name: str = "VVC"
    library: str = "libvvenc"
    preset: str = "medium"
    scale: Sequence[float] = tuple(range(-63, 1))

    @property
    def settings(self) -> str:
        """One intra picture; ffmpeg gives libvvenc nothing but 4:2:0."""
        return f"4:2:0 10 bits, BT.709 limited range, preset {self.preset}, qpa 0, threads 1; quality is -QP"

    @property
    def version(self) -> str:
        """Of imageio-ffmpeg and of its ffmpeg, which does not tell libvvenc's."""
        return f"imageio-ffmpeg {version('imageio-ffmpeg')}, {_ffmpeg('-version').split(b' Copyright')[0].decode()}"

    def missing(self) -> str:
        """imageio-ffmpeg may be absent; its program differs from system to system."""
        if reason := installed("imageio-ffmpeg"):
            return reason
        try:
            return "" if b"libvvenc" in _ffmpeg("-encoders") else "the ffmpeg of this imageio-ffmpeg has no libvvenc"
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            return f"the ffmpeg of imageio-ffmpeg cannot be run: {error}"

    def encode(self, pixels: Pixels, quality: float) -> bytes:
        """The bare bitstream; UsageError for odd sides, which 4:2:0 has not."""
        height, width, channels = pixels.shape
        if height % 2 or width % 2:
            raise UsageError(f"4:2:0 has even sides, this picture {width}x{height}")
        source = ("-f", "rawvideo", "-pix_fmt", "gray" if channels == 1 else "rgb24", "-s", f"{width}x{height}")
        colour = f"scale=out_color_matrix=bt709:out_range=tv:flags={_SCALER},format=yuv420p10le"
        coder = ("-c:v", "libvvenc", "-preset", self.preset, "-qp", f"{-quality:g}", "-qpa", "0")
        output = ("-vvenc-params", "threads=1", "-frames:v", "1", "-f", "vvc", "pipe:1")
        return _ffmpeg(*source, "-i", "pipe:0", "-vf", colour, *coder, *output, data=pixels.tobytes())

    def decode(self, data: bytes) -> Pixels:
        """RGB, by ffmpeg's own decoder."""
        colour = f"scale=in_color_matrix=bt709:in_range=tv:flags={_SCALER},format=rgb24"
        ppm = _ffmpeg("-f", "vvc", "-i", "pipe:0", "-vf", colour, *_PPM, data=data)
        _magic, width, height, rest = ppm.split(maxsplit=3)
        samples = rest.partition(b"\n")[2]
        return np.frombuffer(samples, np.uint8).reshape(int(height), int(width), 3)


_PPM = ("-f", "image2pipe", "-c:v", "ppm", "pipe:1")
_SCALER = "accurate_rnd+full_chroma_int+full_chroma_inp+lanczos"


def _ffmpeg(*arguments: str, data: bytes = b"") -> bytes:
    """What ffmpeg writes to stdout."""
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout
