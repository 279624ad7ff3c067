import { createAnalyzer } from "@mien/mien/local";
import * as ort from "onnxruntime-web/wasm";

const input = document.querySelector<HTMLInputElement>("#file")!;
const faces = document.querySelector<HTMLElement>("#faces")!;
// `npm run models` has copied the package's weights to public/models.
const analyzer = await createAnalyzer({
  ort,
  models: "models/",
  onProgress: ({ file, loaded }) =>
    faces.textContent = `${file}: ${loaded} bytes`,
});
faces.textContent = "Choose a photo";
input.onchange = async () => {
  const found = await analyzer.analyze(input.files![0]!);
  faces.textContent = found.faces.map((face) => face.expression!.label)
    .join(", ");
};
