/** The demo page: takes a photo, asks the server, shows what it says. */
import { analyze, fetchModels, RequestError, useKey } from "./api.js";
import { element, faceCard, percent, requestFacts } from "./cards.js";
import { Stage } from "./stage.js";

const CROP_SIDE = 224;

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
function find(id, type) {
  const node = document.getElementById(id);
  if (node instanceof type) return node;
  throw new Error(`Cannot find #${id}`);
}

const page = {
  stage: find("stage", HTMLElement),
  prompt: find("prompt", HTMLElement),
  canvas: find("canvas", HTMLCanvasElement),
  status: find("status", HTMLElement),
  error: find("error", HTMLElement),
  results: find("results", HTMLElement),
  faces: find("faces", HTMLElement),
  facts: find("facts", HTMLElement),
  options: find("options", HTMLDetailsElement),
  form: find("options-form", HTMLFormElement),
  model: find("model", HTMLSelectElement),
  confidence: find("confidence", HTMLInputElement),
  confidenceValue: find("confidence-value", HTMLOutputElement),
  landmarks: find("landmarks", HTMLInputElement),
  quality: find("quality", HTMLInputElement),
  heatmap: find("heatmap", HTMLInputElement),
  keyForm: find("key-form", HTMLFormElement),
  key: find("key", HTMLInputElement),
};
const stage = new Stage(page.canvas);

/** @type {Blob | undefined} */
let photo;
/** @type {AbortController | undefined} */
let running;
/** Waits until an option rests, as a slider under arrow keys. @type {number | undefined} */
let change;
/** Models that have an evidence heatmap; `auto` is not known and may. */
const withHeatmap = new Set(["auto"]);

/** @param {Blob} file */
async function show(file) {
  photo = file;
  const run = begin();
  const bitmap = await createImageBitmap(file).catch(() => undefined);
  if (run.signal.aborted) return bitmap?.close();
  stage.setPhoto(bitmap);
  page.canvas.setAttribute("aria-label", "Your photo");
  page.prompt.hidden = Boolean(bitmap);
  const skeleton = element("li", "card skeleton");
  skeleton.setAttribute("aria-hidden", "true");
  page.faces.replaceChildren(skeleton);
  page.facts.hidden = true;
  await ask(run);
}

/** Ends the request before this one and clears what it showed. */
function begin() {
  running?.abort();
  running = new AbortController();
  page.stage.dataset.state = "busy";
  page.results.setAttribute("aria-busy", "true");
  page.status.textContent = "Looking for faces…";
  page.error.replaceChildren();
  return running;
}

/** @param {AbortController} run */
async function ask(run) {
  if (!photo) return;
  try {
    const answer = await analyze(photo, {
      model: page.model.value,
      minConfidence: Number(page.confidence.value) / 100,
      landmarks: page.landmarks.checked,
      quality: page.quality.checked,
      heatmap: page.heatmap.checked && !page.heatmap.disabled,
    }, run.signal);
    if (!run.signal.aborted) render(answer);
  } catch (error) {
    if (!run.signal.aborted) fail(error);
  } finally {
    if (!run.signal.aborted) {
      page.stage.dataset.state = photo ? "ready" : "empty";
      page.results.setAttribute("aria-busy", "false");
    }
  }
}

/** @param {import("./api.js").Answer} answer */
function render(answer) {
  const { faces, image } = answer.analysis;
  stage.setFaces(faces, image.width);
  const found = faces.length === 1 ? "1 face" : `${faces.length} faces`;
  page.status.textContent = faces.length === 0
    ? "No face found"
    : `${found} found`;
  page.canvas.setAttribute(
    "aria-label",
    `Your photo, ${page.status.textContent.toLowerCase()}`,
  );
  const fresh = page.faces.querySelector(".skeleton") !== null;
  page.faces.classList.toggle("still", !fresh);
  page.faces.replaceChildren(...faces.map((face, index) => {
    const card = faceCard(face, index, stage.crop(face, CROP_SIDE));
    card.addEventListener("pointerenter", () => stage.setActive(index));
    card.addEventListener("pointerleave", () => stage.setActive(undefined));
    card.addEventListener("focusin", () => stage.setActive(index));
    card.addEventListener("focusout", () => stage.setActive(undefined));
    return card;
  }));
  if (faces.length === 0) {
    page.faces.append(element(
      "li",
      "empty",
      element("strong", "", "No face in this photo."),
      " A larger, brighter face that looks towards the camera is found more easily.",
    ));
  }
  page.facts.replaceChildren(...requestFacts(answer));
  page.facts.hidden = false;
}

/** @param {unknown} error */
function fail(error) {
  stage.setFaces([], 1);
  page.faces.replaceChildren();
  page.facts.hidden = true;
  page.status.textContent = "Not analysed";
  if (asksForKey(error)) {
    askForKey(error);
    page.key.focus();
    return;
  }
  const known = error instanceof RequestError
    ? error
    : new RequestError(String(error));
  page.error.replaceChildren(
    element("strong", "", known.title),
    element("p", "", known.message),
  );
  if (known.requestId) {
    page.error.append(element("p", "hint", `Request ${known.requestId}`));
  }
}

/**
 * @param {unknown} error
 * @returns {error is RequestError}
 */
function asksForKey(error) {
  return error instanceof RequestError &&
    (error.status === 401 || error.status === 403);
}

/**
 * Shows the field for the key; says why only when one was tried.
 *
 * @param {RequestError} error
 */
function askForKey(error) {
  page.keyForm.hidden = false;
  page.status.textContent = "An API key is needed";
  page.error.replaceChildren(
    ...error.status === 403 ? [element("p", "", error.message)] : [],
  );
}

/** Fills the list of models; without it the page works with `auto`. Tells whether a key is still needed. */
async function loadModels() {
  try {
    const models = await fetchModels();
    page.model.length = 1;
    for (const { name, system, explanations } of models) {
      page.model.add(new Option(system ? `${system} · ${name}` : name, name));
      if (explanations?.includes("evidence")) withHeatmap.add(name);
    }
  } catch (error) {
    if (!asksForKey(error)) return false;
    askForKey(error);
    return true;
  }
  return false;
}

/** @param {DataTransfer | null} data */
function take(data) {
  const file = [...data?.files ?? []].find((item) =>
    item.type.startsWith("image/")
  );
  if (file) show(file);
  return Boolean(file);
}

for (const id of ["file", "camera"]) {
  const input = find(id, HTMLInputElement);
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    input.value = "";
    if (file) show(file);
  });
}
addEventListener("paste", (event) => {
  if (take(event.clipboardData)) event.preventDefault();
});
addEventListener("dragover", (event) => {
  event.preventDefault();
  page.stage.classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) page.stage.classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  page.stage.classList.remove("over");
  take(event.dataTransfer);
});
page.canvas.addEventListener("pointermove", (event) => {
  const index = stage.faceAt(event);
  stage.setActive(index);
  page.canvas.classList.toggle("on-face", index !== undefined);
});
page.canvas.addEventListener("pointerleave", () => stage.setActive(undefined));
page.canvas.addEventListener("click", (event) => {
  const card = page.faces.children[stage.faceAt(event) ?? -1];
  if (!(card instanceof HTMLElement)) return;
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
});
page.confidence.addEventListener("input", () => {
  const { value, max } = page.confidence;
  page.confidence.style.setProperty(
    "--at",
    `${Number(value) / Number(max) * 100}%`,
  );
  page.confidenceValue.value = percent(Number(page.confidence.value) / 100);
});
page.form.addEventListener("submit", (event) => event.preventDefault());
page.form.addEventListener("change", () => {
  page.heatmap.disabled = !withHeatmap.has(page.model.value);
  clearTimeout(change);
  change = setTimeout(() => photo && ask(begin()), 150);
});
page.keyForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  useKey(page.key.value);
  page.error.replaceChildren();
  if (await loadModels()) return page.key.select();
  page.keyForm.hidden = true;
  page.status.textContent = "Waiting for a photo";
  if (photo) await ask(begin());
});
page.options.open = matchMedia("(min-width: 60rem)").matches;
loadModels();
