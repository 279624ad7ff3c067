"""The exported landmark net with onnxruntime, applied as at run time: the detector's box, then its own points."""

import onnxruntime
import torch

import augment
import crops
import manifest

NAME = "face_landmarks_mien"
MODEL = manifest.MODELS / NAME / f"{NAME}.onnx"
SIZE = 64


class Landmarks:
    def __init__(self, model=MODEL, threads=1):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def once(self, images, centre, side, angle):
        """Gray images `[N, 1, H, W]` in 0..1 and their crops -> points `[N, 5, 2]` in pixels, presence `[N]` in 0..1."""
        inputs = augment.normalise(crops.sample(images, centre, side, angle, SIZE))
        points, presence = (
            torch.from_numpy(o) for o in self.session.run(["points", "presence"], {"image": inputs.numpy()})
        )
        return crops.to_image(points.view(-1, 5, 2), centre, side, angle), presence[:, 0].sigmoid()

    def run(self, images, boxes, angle, passes=2, follow=True):
        """As `once`, from boxes `[N, 4]` and rolls `[N]` on; each further pass follows the last points; without
        `follow` only in roll, as a comparison."""
        crop = (*crops.square(boxes), angle)
        for _ in range(passes):
            points, presence = self.once(images, *crop)
            crop = crops.follow(points) if follow else (*crop[:2], crops.roll(points))
        return points, presence
