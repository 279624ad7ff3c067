/**
 * @typedef {import("../../types.ts").Face} Face
 * @typedef {import("./api.js").Answer} Answer
 */

/** @type {Record<string, string>} */
const ISSUES = {
  faceTooSmall: "small face",
  blurred: "blurred",
  extremePose: "turned away",
  tooDark: "too dark",
  overexposed: "too bright",
  truncated: "cut off",
};

/** @type {Record<string, string>} */
const REFERENCES = {
  none: "without a neutral face",
  provided: "against your neutral face",
  running: "against the face so far",
};

/** @type {[keyof import("../../types.ts").Timing, string][]} */
const STAGES = [
  ["queueMs", "Waiting"],
  ["decodeMs", "Decoding"],
  ["detectMs", "Finding faces"],
  ["alignMs", "Aligning"],
  ["classifyMs", "Reading expressions"],
  ["explainMs", "Heatmaps"],
  ["remoteMs", "GPU server"],
];

/**
 * An element with a class and children.
 *
 * @param {string} tag
 * @param {string} className
 * @param {...(Node | string)} children
 */
export function element(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

/** @param {number} share */
export function percent(share) {
  return `${Math.round(share * 100)} %`;
}

/** @param {string} label */
function capital(label) {
  return label.charAt(0).toUpperCase() + label.slice(1);
}

/**
 * One face: who it is in the photo, what it shows, how sure, and where that comes from.
 *
 * @param {Face} face
 * @param {number} index
 * @param {HTMLCanvasElement | undefined} crop
 * @param {boolean} [offline] Whether this page analysed it, not the server
 */
export function faceCard(face, index, crop, offline = false) {
  const card = element("li", "card");
  card.tabIndex = -1;
  card.append(heading(face, index, crop));
  if (face.expression) card.append(bars(face.expression.scores));
  if (face.actionUnits) card.append(units(face));
  if (face.explanation) card.append(evidence(face.explanation, crop));
  if (face.quality) card.append(quality(face.quality));
  card.append(details(face, offline));
  return card;
}

/**
 * @param {Face} face
 * @param {number} index
 * @param {HTMLCanvasElement | undefined} crop
 */
function heading(face, index, crop) {
  const { expression } = face;
  const text = element("div", "card-title");
  const top = element(
    "div",
    "card-top",
    element("p", "eyebrow", `Face ${index + 1}`),
  );
  if (expression?.decision === "uncertain") {
    top.append(element("span", "badge", "Uncertain"));
  }
  text.append(top);
  const title = element(
    "h3",
    "",
    expression ? capital(expression.label) : "Face found",
  );
  const row = element("div", "verdict", title);
  if (expression) {
    row.append(element("span", "score", percent(expression.score)));
  }
  text.append(row);
  const head = element("div", "card-head");
  if (crop) {
    crop.className = "thumb";
    crop.setAttribute("aria-hidden", "true");
    head.append(crop);
  }
  head.append(text);
  return head;
}

/** @param {import("../../types.ts").Expression["scores"]} scores */
function bars(scores) {
  const list = element("ul", "bars");
  list.setAttribute("aria-label", "Score of each expression");
  for (const { label, score } of scores) {
    const fill = element("span", "fill");
    fill.style.setProperty("--share", String(score));
    const track = element("span", "track", fill);
    track.setAttribute("aria-hidden", "true");
    const value = score > 0 && score < 0.005 ? "< 1 %" : percent(score);
    list.append(
      element(
        "li",
        "",
        element("span", "bar-label", capital(label)),
        track,
        element("span", "bar-value", value),
      ),
    );
  }
  return list;
}

/**
 * @param {import("../../types.ts").Explanation} explanation
 * @param {HTMLCanvasElement | undefined} crop
 */
function evidence(explanation, crop) {
  const figure = element("figure", "evidence");
  const pair = element("div", "pair");
  if (crop) {
    const copy = document.createElement("canvas");
    copy.width = crop.width;
    copy.height = crop.height;
    copy.getContext("2d")?.drawImage(crop, 0, 0);
    copy.setAttribute("role", "img");
    copy.setAttribute("aria-label", "The face, upright");
    pair.append(copy);
  }
  const image = document.createElement("img");
  image.src = explanation.image;
  image.alt = `Heatmap of the evidence for ${explanation.label}`;
  pair.append(image);
  const caption = element(
    "figcaption",
    "",
    `Bright areas spoke for ${explanation.label}, dark ones did not.`,
  );
  figure.append(pair, caption);
  return figure;
}

/**
 * The active action units, and what they were read against.
 *
 * @param {Face} face
 */
function units({ actionUnits = [], actionUnitReference }) {
  const active = actionUnits.filter(({ active }) => active);
  const row = element(
    "p",
    "quality units",
    element(
      "span",
      "eyebrow",
      `Action units, ${REFERENCES[actionUnitReference ?? "none"]}`,
    ),
  );
  for (const { au, name, score } of active) {
    row.append(element("span", "chip", `${au} ${name} ${percent(score)}`));
  }
  if (active.length === 0) {
    row.append(element("span", "chip calm", "none active"));
  }
  return row;
}

/** @param {import("../../types.ts").Quality} quality */
function quality({ score, issues }) {
  const row = element(
    "p",
    "quality",
    element("span", "eyebrow", `Quality ${percent(score)}`),
  );
  for (const issue of issues) {
    row.append(element("span", "chip", ISSUES[issue] ?? issue));
  }
  if (issues.length === 0) {
    row.append(element("span", "chip calm", "nothing in the way"));
  }
  return row;
}

/**
 * @param {Face} face
 * @param {boolean} offline
 */
function details(face, offline) {
  const { provenance, boundingBox: box } = face;
  const backend = offline
    ? `This page (${provenance.backend})`
    : provenance.backend === "gpu"
    ? "GPU server"
    : "This server (wasm)";
  const fallback = provenance.fallback
    ? `, after the GPU: ${provenance.fallback.reason}`
    : "";
  return element(
    "details",
    "more",
    element("summary", "", "Where this comes from"),
    definitions([
      ["Model", `${provenance.model} ${provenance.version}`],
      ["Ran on", backend + fallback],
      ["Licence", provenance.license],
      ["Weights", `sha256 ${provenance.sha256.slice(0, 12)}…`],
      ["Face score", percent(face.detectionScore)],
      ["Roll", `${face.rollDegrees.toFixed(1)}°`],
      ["Box", `${Math.round(box.width)} × ${Math.round(box.height)} px`],
    ]),
  );
}

/** @param {[string, string][]} rows */
function definitions(rows) {
  const list = element("dl", "");
  for (const [term, text] of rows) {
    list.append(
      element("div", "", element("dt", "", term), element("dd", "", text)),
    );
  }
  return list;
}

/**
 * Timings and identity of one request.
 *
 * @param {Answer} answer
 * @param {boolean} [offline] Whether this page analysed it, not the server
 */
export function requestFacts({ analysis, roundTripMs }, offline = false) {
  const { image, timing, requestId } = analysis;
  const stages = STAGES.filter(([name]) => timing[name] >= 0.05);
  const split = element("div", "split");
  split.setAttribute("aria-hidden", "true");
  for (const [name] of stages) {
    const part = element("span", `part ${name}`);
    part.style.setProperty("flex-grow", String(timing[name]));
    split.append(part);
  }
  /** @type {[string, string][]} */
  const rows = stages.map((
    [name, title],
  ) => [title, milliseconds(timing[name])]);
  const summary = element(
    "p",
    "facts-summary",
    element("strong", "", milliseconds(timing.totalMs)),
    ...offline ? [" in this page"] : [
      " on the server, ",
      element("strong", "", milliseconds(roundTripMs)),
      " there and back",
    ],
  );
  rows.push([
    "Photo",
    [
      `${image.width} × ${image.height}`,
      ...image.type ? [image.type.slice(6).toUpperCase()] : [],
    ].join(", "),
  ]);
  rows.push(["Request", requestId]);
  return [summary, split, definitions(rows)];
}

/** @param {number} value */
function milliseconds(value) {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
