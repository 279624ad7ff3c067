"""A model of a Triton repository that runs its ONNX file on ONNX Runtime: the wheel has no backend for it."""

import os

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args):
        file = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        feeds = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        names = request.requested_output_names()
        outputs = self.session.run(names, feeds)
        tensors = [triton.Tensor(name, np.ascontiguousarray(value)) for name, value in zip(names, outputs)]
        return triton.InferenceResponse(output_tensors=tensors)
