"""Writes images/, the fixtures of the decoding tests.

    python make_images.py [folder with astronaut.png and coffee.png]

Without the folder the two photographs are left as they are. Needs Pillow with WebP, and numpy.
Every drawn picture is the ramp of pictures.ts: red grows rightwards, green downwards.
"""

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).parent / "images"
WIDTH, HEIGHT = 47, 33


def ramp(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    red = np.floor(255 * x / (width - 1) + 0.5)
    green = np.floor(255 * y / (height - 1) + 0.5)
    return np.stack([red, green, 255 - (red + green) // 2], -1).astype(np.uint8)


def gray_of(rgb: np.ndarray) -> np.ndarray:
    return 255 - rgb[..., 2]


def exif(orientation: int, order: str) -> bytes:
    """The smallest EXIF block; order is "<" or ">"."""
    mark = b"II" if order == "<" else b"MM"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(order + "HIH", 42, 8, 1) + entry + bytes(4)


def as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The inverse of what a viewer does for an orientation."""
    turns = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    return np.ascontiguousarray(turns[orientation](upright))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples: np.ndarray, color_type: int, interlaced: bool = False, extra: bytes = b"") -> bytes:
    """A PNG by hand, for what Pillow cannot write: 16-bit colour, Adam7, eXIf where we want it."""
    height, width = samples.shape[:2]
    depth = samples.itemsize * 8
    big = samples.astype(samples.dtype.newbyteorder(">"))
    adam7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    passes = adam7 if interlaced else [(0, 0, 1, 1)]
    rows = b"".join(b"\0" + big[y, x0::dx].tobytes() for x0, y0, dx, dy in passes for y in range(y0, height, dy))
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, int(interlaced))
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def cmyk_jpeg(components: np.ndarray) -> bytearray:
    """An Adobe CMYK JPEG with these stored components; Pillow inverts what it writes."""
    file = io.BytesIO()
    Image.fromarray(255 - components, "CMYK").save(file, "JPEG", quality=95)
    return bytearray(file.getvalue())


def adobe(jpeg: bytearray) -> slice:
    start = jpeg.index(b"\xff\xee")
    return slice(start, start + 2 + struct.unpack(">H", jpeg[start + 2 : start + 4])[0])


def write_jpegs(rgb: np.ndarray) -> None:
    for orientation in range(1, 9):
        block = b"Exif\0\0" + exif(orientation, "<>"[orientation % 2])
        stored = Image.fromarray(as_stored(rgb, orientation))
        stored.save(OUT / f"orientation_{orientation}.jpg", quality=95, subsampling=0, exif=block)
    picture = Image.fromarray(rgb)
    picture.save(OUT / "color_444.jpg", quality=95, subsampling=0)
    picture.save(OUT / "color_420.jpg", quality=95)
    picture.save(OUT / "adobe_rgb.jpg", quality=95, keep_rgb=True)
    picture.save(OUT / "progressive.jpg", quality=95, progressive=True)
    picture.save(OUT / "restarts.jpg", quality=95, restart_marker_blocks=2)
    Image.fromarray(gray_of(rgb)).save(OUT / "gray.jpg", quality=95)
    Image.fromarray(ramp(200, 120)).save(OUT / "large.jpg", quality=95, subsampling=0)

    # Adobe stores the inverse of ink: white paper is 255. Half of the black goes to K.
    light = rgb.max(-1, keepdims=True).clip(1) / 255
    key = (1 + light) / 2
    stored = np.concatenate([rgb / key, key * 255], -1).round().clip(0, 255)
    cmyk = cmyk_jpeg(stored.astype(np.uint8))
    (OUT / "cmyk.jpg").write_bytes(cmyk)
    plain = cmyk.copy()
    del plain[adobe(plain)]
    (OUT / "cmyk_plain.jpg").write_bytes(plain)

    ink = 255 - stored[..., :3]  # YCCK holds YCbCr of the inverse of the stored components
    luma = ink @ [0.299, 0.587, 0.114]
    chroma = [128 + (ink[..., 2] - luma) / 1.772, 128 + (ink[..., 0] - luma) / 1.402]
    ycck = cmyk_jpeg(np.stack([luma, *chroma, stored[..., 3]], -1).round().clip(0, 255).astype(np.uint8))
    ycck[adobe(ycck).stop - 1] = 2
    (OUT / "ycck.jpg").write_bytes(ycck)
    for name in ("cmyk.jpg", "ycck.jpg"):
        error = np.abs(np.asarray(Image.open(OUT / name).convert("RGB"), int) - rgb).max()
        assert error <= 6, (name, error)


def write_pngs(rgb: np.ndarray) -> None:
    gray = gray_of(rgb)
    wide = rgb * np.uint16(256) + (255 - rgb)  # the low byte differs from the high one
    files = {
        "rgb16.png": png(wide, 2),
        "gray16.png": png(gray * np.uint16(256) + (255 - gray), 0),
        "interlaced.png": png(rgb, 2, interlaced=True),
        "rgba.png": png(np.dstack([rgb, gray]), 6),
        "gray_alpha.png": png(np.dstack([gray, rgb[..., 0]]), 4),
        "orientation_6.png": png(as_stored(rgb, 6), 2, extra=chunk(b"eXIf", exif(6, ">"))),
        "key.png": png(rgb, 2, extra=chunk(b"tRNS", struct.pack(">HHH", *rgb[0, 0]))),
    }
    for name, data in files.items():
        (OUT / name).write_bytes(data)
        Image.open(OUT / name).load()
    palette = Image.fromarray((np.arange(WIDTH * HEIGHT) % WIDTH % 4).astype(np.uint8).reshape(HEIGHT, WIDTH), "P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0])
    palette.save(OUT / "palette.png", transparency=bytes([255, 255, 255, 128]), optimize=True)
    Image.fromarray(gray >= 128).save(OUT / "bilevel.png", optimize=True)
    frames = [Image.fromarray(rgb), Image.fromarray(255 - rgb)]
    frames[0].save(OUT / "animated.png", save_all=True, append_images=frames[1:], duration=100)
    frames[0].save(OUT / "animated.webp", save_all=True, append_images=frames[1:], duration=100)


def write_webps(rgb: np.ndarray) -> None:
    picture = Image.fromarray(rgb)
    picture.save(OUT / "lossy.webp", quality=95)
    picture.save(OUT / "lossless.webp", lossless=True)
    veiled = Image.fromarray(np.dstack([rgb, gray_of(rgb)]))
    veiled.save(OUT / "alpha.webp", lossless=True, exact=True)
    turned = Image.fromarray(as_stored(rgb, 8))
    turned.save(OUT / "orientation_8.webp", lossless=True, exif=b"Exif\0\0" + exif(8, "<"))


def write_photos(folder: Path) -> None:
    for name, side in (("astronaut", 512), ("coffee", 400)):
        photo = Image.open(folder / f"{name}.png").convert("RGB")
        photo.thumbnail((side, side), Image.Resampling.LANCZOS)
        photo.save(OUT / f"{name}.jpg", quality=85, optimize=True)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    picture = ramp()
    write_jpegs(picture)
    write_pngs(picture)
    write_webps(picture)
    if len(sys.argv) > 1:
        write_photos(Path(sys.argv[1]))
