/**
 * The conformance pack: runs as it stands in Deno, Node and a browser.
 *
 * Formula pictures through the preprocessing to Python's tensors, a formula tensor through a model
 * to Python's outputs, and files through the whole offline engine, whose answers the caller
 * compares with the server's.
 *
 * @module
 */

/**
 * @typedef {object} Host
 * @property {typeof import("../../src/sdk/preprocess.ts")} preprocess
 * @property {typeof import("../../src/sdk/local.ts")} local
 * @property {any} ort the runtime's onnxruntime-web
 * @property {(path: string) => Promise<Uint8Array>} read a file of the repository
 * @property {import("../../src/sdk/local.ts").ModelSource} [models]
 */

/** Files that go through the whole engine: JPEG, PNG and WebP, with faces and without. */
export const PICTURES = [
  "astronaut.jpg",
  "coffee.jpg",
  "orientation_6.jpg",
  "interlaced.png",
  "lossy.webp",
];

/** What is asked of each. */
export const WANTED = {
  attributes: ["expression", "landmarks", "quality"],
  coverage: 0.9,
};

/**
 * Runs everything; throws at the first number that is off.
 *
 * @param {Host} host
 * @returns {Promise<{ tensors: number, outputs: number, answers: any[], crop: number[] }>} how many
 * values were compared, the answers to `PICTURES`, and the first picture's first crop as a PNG
 */
export async function check(host) {
  const analyzer = await host.local.createAnalyzer({
    ort: host.ort,
    cache: false,
    limits: { minSide: 16 },
    ...(host.models ? { models: host.models } : {}),
  });
  const tensors = await checkTensors(host);
  const outputs = await checkModel(host, analyzer.models);
  const answers = [];
  for (const name of PICTURES) {
    const bytes = await host.read(`tests/testdata/images/${name}`);
    const wanted = /** @type {any} */ (WANTED);
    const { image, faces } = await analyzer.analyze(bytes, wanted);
    answers.push({ image, faces });
  }
  const photo = await host.read(`tests/testdata/images/${PICTURES[0]}`);
  const { faces: [face] } = await analyzer.crop(photo);
  const png = await /** @type {any} */ (face).crop.arrayBuffer();
  await analyzer.close();
  return { tensors, outputs, answers, crop: [...new Uint8Array(png)] };
}

/** @param {Host} host */
async function checkTensors({ preprocess: { align, toTensor }, read }) {
  const golden = await json(read, "tests/testdata/preprocess_golden.json");
  const { size, template, mean, std, color } = golden;
  const shape = ["batch", 1, size, size];
  const spec = { name: "image", shape, color, mean, std, template };
  let compared = 0;
  for (const { name, width, height, pixelSum, ...item } of golden.cases) {
    const data = formulaPicture(width, height);
    const sum = data.reduce((sum, value) => sum + value, 0);
    if (sum !== pixelSum) throw new Error(`${name}: pixels sum to ${sum}`);
    /** @type {any} */
    const landmarks = {};
    for (const [point, [x, y]] of Object.entries(item.landmarks)) {
      landmarks[point] = { x, y };
    }
    const map = align(landmarks, template, size);
    const [[a, , tx], [b, , ty]] = item.matrix;
    compare(
      `${name}: matrix`,
      [map.a, map.b, map.tx, map.ty],
      [a, b, tx, ty],
      1e-9,
    );
    const bytes = Uint8Array.from(atob(item.tensor), (c) => c.charCodeAt(0));
    const expected = new Float32Array(bytes.buffer);
    const tensor = new Float32Array(expected.length);
    toTensor({ data, width, height, channels: 3 }, map, spec, tensor, 0);
    compare(name, tensor, expected, golden.tolerance);
    compared += expected.length;
  }
  return compared;
}

/**
 * @param {Host} host
 * @param {readonly any[]} specs
 */
async function checkModel({ ort, read }, specs) {
  const spec = specs.find(({ task }) => task === "faceLandmarks");
  const golden = await json(read, `models/${spec.name}/golden.json`);
  const model = await read(`models/${spec.file}`);
  const session = await ort.InferenceSession.create(model);
  const { name, shape } = golden.input;
  const length = shape.reduce(
    (/** @type {number} */ all, /** @type {number} */ side) => all * side,
    1,
  );
  const data = Float32Array.from(
    { length },
    (_, i) => Math.sin(i * 0.05) * 0.5,
  );
  const results = await session.run({
    [name]: new ort.Tensor("float32", data, shape),
  });
  let compared = 0;
  for (
    const [output, { values }]
      of /** @type {[string, any][]} */ (Object.entries(golden.outputs))
  ) {
    compare(
      `${spec.name}: ${output}`,
      results[output].data,
      values,
      golden.tolerance,
    );
    compared += values.length;
  }
  await session.release();
  return compared;
}

/**
 * The golden file's own formula, so that no picture needs to be stored.
 *
 * @param {number} width
 * @param {number} height
 */
function formulaPicture(width, height) {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) {
    const c = i % 3, x = (i - c) / 3 % width, y = Math.floor(i / 3 / width);
    const wave = Math.sin(0.13 * x * (c + 1) + 0.07 * y * (3 - c));
    data[i] = Math.min(255, Math.floor(127.5 + 127.5 * wave + 0.5));
  }
  return data;
}

/**
 * @param {string} what
 * @param {ArrayLike<number>} mine
 * @param {ArrayLike<number>} theirs
 * @param {number} tolerance
 */
function compare(what, mine, theirs, tolerance) {
  if (mine.length !== theirs.length) {
    throw new Error(`${what}: ${mine.length} values, not ${theirs.length}`);
  }
  for (let i = 0; i < theirs.length; i++) {
    if (!(Math.abs(Number(mine[i]) - Number(theirs[i])) <= tolerance)) {
      throw new Error(`${what}: value ${i} is ${mine[i]}, not ${theirs[i]}`);
    }
  }
}

/**
 * @param {Host["read"]} read
 * @param {string} path
 */
async function json(read, path) {
  return JSON.parse(new TextDecoder().decode(await read(path)));
}
