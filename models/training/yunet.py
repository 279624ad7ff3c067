"""YuNet-s with onnxruntime: face boxes and five points.

Input: BGR 0..255, NCHW, sides multiples of 32. Per stride s, one row per cell (row-major): score =
sqrt(cls * obj); centre = (cell + bbox[:2]) * s; size = exp(bbox[2:]) * s; point = (kps + cell) * s.
"""

import numpy as np
import onnxruntime
from PIL import Image

import manifest

MODEL = manifest.MODELS / "face_detection_yunet" / "face_detection_yunet.onnx"
STRIDES = (8, 16, 32)


def decode(outputs, width, threshold=0.6):
    """Outputs of one image by name, `[cells, k]` each -> boxes `[N, 4]` (x, y, w, h), points `[N, 5, 2]`, scores `[N]`."""
    boxes, points, scores = [], [], []
    for stride in STRIDES:
        cls, obj, bbox, kps = (outputs[f"{part}_{stride}"] for part in ("cls", "obj", "bbox", "kps"))
        score = np.sqrt(cls[:, 0] * obj[:, 0])
        at = np.flatnonzero(score >= threshold)
        cell = np.stack([at % (width // stride), at // (width // stride)], 1)
        sizes = np.exp(bbox[at, 2:]) * stride
        boxes.append(np.concatenate([(cell + bbox[at, :2]) * stride - sizes / 2, sizes], 1))
        points.append((kps[at].reshape(-1, 5, 2) + cell[:, None]) * stride)
        scores.append(score[at])
    return np.concatenate(boxes), np.concatenate(points), np.concatenate(scores)


def suppress(boxes, scores, overlap=0.3):
    """Indices kept by non-maximum suppression, best first."""
    order, kept = np.argsort(-scores, kind="stable"), []
    low, high, area = boxes[:, :2], boxes[:, :2] + boxes[:, 2:], boxes[:, 2] * boxes[:, 3]
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        sides = np.clip(np.minimum(high[best], high[order]) - np.maximum(low[best], low[order]), 0, None)
        shared = sides[:, 0] * sides[:, 1]
        order = order[shared / (area[best] + area[order] - shared) <= overlap]
    return np.array(kept, dtype=int)


class Detector:
    def __init__(self, model=MODEL, threads=1, threshold=0.6):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.names = [output.name for output in self.session.get_outputs()]
        self.threshold = threshold

    def raw(self, image):
        """Detect at the image's own size, uint8 `[H, W(, 3)]` RGB or gray, padded right and bottom to multiples of 32."""
        if image.ndim == 2:
            image = np.repeat(image[:, :, None], 3, 2)
        height, width = image.shape[:2]
        padded = np.zeros((-(-height // 32) * 32, -(-width // 32) * 32, 3), dtype=np.float32)
        padded[:height, :width] = image[:, :, ::-1]
        values = self.session.run(None, {self.input: padded.transpose(2, 0, 1)[None]})
        outputs = {name: value[0] for name, value in zip(self.names, values)}
        boxes, points, scores = decode(outputs, padded.shape[1], self.threshold)
        kept = suppress(boxes, scores)
        return boxes[kept], points[kept], scores[kept]

    def detect(self, image, longest=320):
        """Faces of an image of any size, best first, in its own pixels: the longest side is scaled to `longest`."""
        height, width = image.shape[:2]
        scale = longest / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        boxes, points, scores = self.raw(np.asarray(Image.fromarray(image).resize(size, Image.BILINEAR)))
        return boxes / scale, points / scale, scores
