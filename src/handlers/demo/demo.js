/** The demo page: takes a photo or a webcam, asks the server or this page, shows what it says. */
import { analyze, fetchModels, RequestError, useKey } from "./api.js";
import { openCamera, snapshot } from "./camera.js";
import { element, faceCard, percent, requestFacts } from "./cards.js";
import { follow } from "./live.js";
import { analyzeHere, loadOffline } from "./offline.js";
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
  units: find("units", HTMLInputElement),
  unitsLabel: find("units-label", HTMLElement),
  offline: find("offline", HTMLInputElement),
  offlineHint: find("offline-hint", HTMLElement),
  privacy: find("privacy", HTMLElement),
  video: find("video", HTMLVideoElement),
  webcam: find("webcam", HTMLButtonElement),
  neutral: find("neutral", HTMLButtonElement),
  keyForm: find("key-form", HTMLFormElement),
  key: find("key", HTMLInputElement),
};
const stage = new Stage(page.canvas);

/** @type {Blob | undefined} */
let photo;
/** The relaxed face that action units are read against. @type {Blob | undefined} */
let neutral;
/** The engine in this page, while it is switched on. @type {import("./offline.js").Offline | undefined} */
let offline;
/** Turns the webcam off. @type {(() => void) | undefined} */
let closeCamera;
/** @type {AbortController | undefined} */
let running;
/** Waits until an option rests, as a slider under arrow keys. @type {number | undefined} */
let change;
/** Models that have an evidence heatmap; `auto` is not known and may. */
const withHeatmap = new Set(["auto"]);

/** @param {Blob} file */
async function show(file) {
  stopWebcam();
  photo = file;
  const run = begin();
  const bitmap = await createImageBitmap(file).catch(() => undefined);
  if (run.signal.aborted) return bitmap?.close();
  stage.setPhoto(bitmap);
  page.canvas.setAttribute("aria-label", "Your photo");
  page.prompt.hidden = Boolean(bitmap);
  expectFaces();
  await ask(run);
}

/** A card without content, until the faces are there. */
function expectFaces() {
  const skeleton = element("li", "card skeleton");
  skeleton.setAttribute("aria-hidden", "true");
  page.faces.replaceChildren(skeleton);
  page.facts.hidden = true;
}

async function startWebcam() {
  const run = begin();
  photo = undefined;
  page.webcam.setAttribute("aria-pressed", "true");
  page.webcam.textContent = "Stop the webcam";
  try {
    const close = await openCamera(page.video);
    if (run.signal.aborted) return close();
    closeCamera = close;
    stage.setPhoto(page.video);
    page.prompt.hidden = true;
    page.canvas.setAttribute("aria-label", "Your webcam");
    expectFaces();
    draw(run.signal);
    await ask(run);
  } catch (error) {
    if (run.signal.aborted) return;
    stopWebcam();
    fail(error);
    page.results.setAttribute("aria-busy", "false");
  }
}

function stopWebcam() {
  if (page.webcam.getAttribute("aria-pressed") === "false") return;
  running?.abort();
  closeCamera?.();
  closeCamera = undefined;
  page.webcam.setAttribute("aria-pressed", "false");
  page.webcam.textContent = "Use the webcam";
  page.prompt.hidden = false;
  page.stage.dataset.state = "empty";
  page.status.textContent = "Waiting for a photo";
  stage.setPhoto(undefined);
}

/**
 * Shows the film while it runs.
 *
 * @param {AbortSignal} signal
 */
function draw(signal) {
  if (signal.aborted || !closeCamera) return;
  stage.redraw();
  requestAnimationFrame(() => draw(signal));
}

/** Switches between the server and this page, and says which of them sees the pictures. */
async function switchOffline() {
  const on = page.offline.checked;
  page.units.disabled = on;
  page.offlineHint.textContent = on ? "Fetching the models…" : "";
  try {
    offline = on
      ? await loadOffline((bytes) => {
        page.offlineHint.textContent = `Fetching the models: ${
          (bytes / 1e6).toFixed(1)
        } MB`;
      })
      : undefined;
    page.offlineHint.textContent = on
      ? "Ready. You may cut the connection."
      : "";
  } catch (error) {
    page.offline.checked = page.units.disabled = false;
    offline = undefined;
    page.offlineHint.textContent = `Cannot work in this page: ${
      error instanceof Error ? error.message : error
    }`;
  }
  page.privacy.textContent = offline
    ? "Pictures are analysed in this page. Nothing leaves it."
    : "Pictures go to this server, are analysed in memory and are not kept.";
}

/** What the options say now. @returns {import("./api.js").Wanted} */
function wanted() {
  return {
    model: page.model.value,
    minConfidence: Number(page.confidence.value) / 100,
    landmarks: page.landmarks.checked,
    quality: page.quality.checked,
    heatmap: page.heatmap.checked && !page.heatmap.disabled,
    units: page.units.checked && !page.units.disabled,
    ...neutral ? { neutral } : {},
  };
}

/** Asks once more about what is shown, as after a change of the options. */
function again() {
  if (!photo && !closeCamera) return;
  const run = begin();
  if (closeCamera) draw(run.signal);
  ask(run);
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
async function ask({ signal }) {
  if (!photo && !closeCamera) return;
  try {
    if (closeCamera) {
      page.stage.dataset.state = "live";
      page.results.setAttribute("aria-busy", "false");
      for await (
        const answer of follow(page.video, wanted(), signal, offline)
      ) {
        if (!signal.aborted) render(answer);
      }
    } else if (photo) {
      const answer = offline
        ? await analyzeHere(offline.analyzer, photo, wanted(), signal)
        : await analyze(photo, wanted(), signal);
      if (!signal.aborted) render(answer);
    }
  } catch (error) {
    if (!signal.aborted) fail(error);
  } finally {
    if (!signal.aborted) {
      page.stage.dataset.state = photo || closeCamera ? "ready" : "empty";
      page.results.setAttribute("aria-busy", "false");
    }
  }
}

/** @param {import("./api.js").Answer} answer */
function render(answer) {
  const { faces, image } = answer.analysis;
  stage.setFaces(faces, image.width);
  const found = faces.length === 1 ? "1 face" : `${faces.length} faces`;
  const status = faces.length === 0 ? "No face found" : `${found} found`;
  // A status that is set anew is read out anew.
  if (page.status.textContent !== status) page.status.textContent = status;
  page.canvas.setAttribute(
    "aria-label",
    `Your ${closeCamera ? "webcam" : "photo"}, ${status.toLowerCase()}`,
  );
  page.neutral.hidden = page.unitsLabel.hidden || faces.length === 0 ||
    Boolean(offline);
  const fresh = page.faces.querySelector(".skeleton") !== null;
  page.faces.classList.toggle("still", !fresh);
  page.faces.replaceChildren(...faces.map((face, index) => {
    const crop = stage.crop(face, CROP_SIDE);
    const card = faceCard(face, index, crop, Boolean(offline));
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
  page.facts.replaceChildren(...requestFacts(answer, Boolean(offline)));
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
    page.unitsLabel.hidden = !models.some(({ task }) => task === "actionUnits");
    for (const { name, system, explanations, task } of models) {
      if (task !== "expression") continue;
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
  change = setTimeout(again, 150);
});
page.offline.addEventListener("change", async (event) => {
  event.stopPropagation();
  await switchOffline();
  again();
});
page.webcam.addEventListener("click", () => {
  if (page.webcam.getAttribute("aria-pressed") === "true") stopWebcam();
  else startWebcam();
});
page.neutral.addEventListener("click", async () => {
  neutral = closeCamera ? await snapshot(page.video) : photo;
  page.units.checked = true;
  page.neutral.textContent = "Neutral face kept: keep this one instead";
  again();
});
page.keyForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  useKey(page.key.value);
  page.error.replaceChildren();
  if (await loadModels()) return page.key.select();
  page.keyForm.hidden = true;
  page.status.textContent = "Waiting for a photo";
  again();
});
page.options.open = matchMedia("(min-width: 60rem)").matches;
loadModels();
