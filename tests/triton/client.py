"""tritonclient against our own /v2: python client.py HOST:PORT MODELS_FOLDER"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import tritonclient.http as http

MODEL = "expression_mini_xception"


def main(address, models):
    client = http.InferenceServerClient(address)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(MODEL)
    assert not client.is_model_ready("nobody")
    metadata = client.get_model_metadata(MODEL)
    assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 64, 64]}], metadata
    names = [output["name"] for output in metadata["outputs"]]
    images = np.sin(np.arange(3 * 64 * 64, dtype=np.float64) * 0.05).astype(np.float32).reshape(3, 1, 64, 64)
    session = onnxruntime.InferenceSession(Path(models) / MODEL / f"{MODEL}.onnx")
    expected = session.run(names, {"image": images})
    checked = 0
    for binary in (True, False):
        for compression in (None, "gzip", "deflate"):
            image = http.InferInput("image", images.shape, "FP32")
            image.set_data_from_numpy(images, binary_data=binary)
            wanted = [http.InferRequestedOutput(name, binary_data=binary) for name in names]
            reply = client.infer(MODEL, [image], outputs=wanted, request_compression_algorithm=compression)
            for name, value in zip(names, expected):
                np.testing.assert_allclose(reply.as_numpy(name), value, atol=1e-3)
            checked += 1
    try:
        image = http.InferInput("image", [1, 1, 32, 32], "FP32")
        image.set_data_from_numpy(np.zeros((1, 1, 32, 32), dtype=np.float32))
        client.infer(MODEL, [image])
        raise AssertionError("a wrong shape was taken")
    except http.InferenceServerException as error:
        assert "Expected [-1,1,64,64], got [1,1,32,32]" in str(error), error
    print(f"tritonclient: {checked} requests and a refusal as expected")


if __name__ == "__main__":
    main(*sys.argv[1:])
