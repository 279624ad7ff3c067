import assert from "node:assert/strict";
import {
  main,
  outputPath,
  scaleFace,
  type Terminal,
} from "../../src/cli/analyze.ts";
import { parseArguments, UsageError } from "../../src/cli/arguments.ts";
import { PipelineError } from "../../src/pipeline/error.ts";
import { readHeader } from "../../src/pipeline/header.ts";
import { encodePng } from "../../src/pipeline/png.ts";
import type { Analysis, AnalyzeOptions, Face } from "../../src/types.ts";

const FACE: Face = {
  boundingBox: { x: 10, y: 12, width: 20, height: 24 },
  normalizedBoundingBox: { x: 0.1, y: 0.2, width: 0.2, height: 0.4 },
  detectionScore: 0.9,
  rollDegrees: 0,
  expression: { label: "neutral", score: 0.8, decision: "certain", scores: [] },
  provenance: {
    model: "expression_test",
    version: "1.0.0",
    sha256: "",
    license: "MIT",
    backend: "wasm",
    input: "photo",
    escalated: false,
    fallback: null,
  },
};
const ANALYSIS: Analysis = {
  requestId: "test",
  image: { width: 100, height: 60, orientation: 1, type: "image/png" },
  faces: [FACE],
  timing: {
    decodeMs: 1,
    detectMs: 1,
    alignMs: 1,
    classifyMs: 1,
    explainMs: 0,
    remoteMs: 0,
    queueMs: 0,
    totalMs: 4,
  },
};

interface Recorded extends Terminal {
  lines: string[];
  errors: string[];
  asked: AnalyzeOptions[];
  neutral: Uint8Array[];
  closed: number;
}

function terminal(
  analyze: () => Promise<Analysis> = () => Promise.resolve(ANALYSIS),
): Recorded {
  const recorded: Recorded = {
    lines: [],
    errors: [],
    asked: [],
    neutral: [],
    closed: 0,
    out: (text) => void recorded.lines.push(text),
    error: (text) => void recorded.errors.push(text),
    color: false,
    open: () =>
      Promise.resolve({
        analyze: (_bytes, options = {}, call = {}) => {
          recorded.asked.push(options);
          if (call.neutral) recorded.neutral.push(call.neutral);
          return analyze();
        },
        close: () => {
          recorded.closed++;
          return Promise.resolve();
        },
      }),
  };
  return recorded;
}

async function withPhoto(
  run: (folder: string, photo: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const data = new Uint8Array(100 * 60 * 3).fill(90);
    await Deno.writeFile(
      `${folder}/a.png`,
      await encodePng({ data, width: 100, height: 60, channels: 3 }),
    );
    await run(folder, `${folder}/a.png`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("main() prints a table, closes the pipeline and exits 0", async () => {
  await withPhoto(async (_, photo) => {
    const screen = terminal();
    assert.equal(await main([photo], screen), 0);
    assert.match(screen.lines.join("\n"), /neutral +80\.0 %/);
    assert.deepEqual(screen.errors, []);
    assert.equal(screen.closed, 1);
  });
});

Deno.test("main() prints one JSON line per image with --json", async () => {
  await withPhoto(async (_, photo) => {
    const screen = terminal();
    assert.equal(await main([photo, photo, "--json"], screen), 0);
    assert.equal(screen.lines.length, 2);
    assert.deepEqual(JSON.parse(screen.lines[0]!), {
      file: photo,
      ...ANALYSIS,
    });
  });
});

Deno.test("main() saves a picture of the photo's size, numbered when there are several", async () => {
  await withPhoto(async (folder, photo) => {
    assert.equal(
      await main([photo, "--save", `${folder}/out.png`], terminal()),
      0,
    );
    assert.equal(
      await main([photo, photo, "--save", `${folder}/two.png`], terminal()),
      0,
    );
    const limits = { maxPixels: 1e6, maxSide: 1000, minSide: 1 };
    for (const name of ["out.png", "two-1.png", "two-2.png"]) {
      const { width, height } = readHeader(
        await Deno.readFile(`${folder}/${name}`),
        limits,
      );
      assert.deepEqual([width, height], [100, 60]);
    }
  });
});

Deno.test("main() names the failed file, goes on with the next and exits 1", async () => {
  await withPhoto(async (_, photo) => {
    const screen = terminal();
    assert.equal(await main(["/no/such/file.jpg", photo], screen), 1);
    assert.deepEqual(screen.errors, ["/no/such/file.jpg: No such file"]);
    assert.equal(screen.lines.length, 1);
    assert.equal(screen.closed, 1);
  });
});

Deno.test("main() prints a pipeline error as one line with its code", async () => {
  await withPhoto(async (_, photo) => {
    const screen = terminal(() =>
      Promise.reject(
        new PipelineError(
          "unsupported_option",
          "actionUnits has no model here yet",
        ),
      )
    );
    assert.equal(await main([photo, "--neutral", photo], screen), 1);
    assert.deepEqual(screen.errors, [
      `${photo}: actionUnits has no model here yet (unsupported_option)`,
    ]);
    assert.ok(screen.asked[0]?.attributes?.includes("actionUnits"));
  });
});

Deno.test("main() hands the neutral photo on, and names one that is not there", async () => {
  await withPhoto(async (folder, photo) => {
    const neutral = `${folder}/relaxed.png`;
    await Deno.writeFile(neutral, Uint8Array.of(1, 2, 3));
    const screen = terminal();
    assert.equal(await main([photo, "--neutral", neutral], screen), 0);
    assert.deepEqual(screen.neutral, [Uint8Array.of(1, 2, 3)]);
    assert.equal(await main([photo, "--neutral", "/no/such.png"], screen), 1);
    assert.deepEqual(screen.errors, ["/no/such.png: No such file"]);
  });
});

Deno.test("main() exits 1 when the pipeline cannot start", async () => {
  const screen = terminal();
  screen.open = () => Promise.reject(new Error("Cannot find the model"));
  assert.equal(await main(["a.png"], screen), 1);
  assert.deepEqual(screen.errors, ["Cannot start: Cannot find the model"]);
});

Deno.test("main() prints usage: to stdout with --help, to stderr with exit 2 otherwise", async () => {
  const helped = terminal();
  assert.equal(await main(["--help"], helped), 0);
  assert.match(helped.lines[0]!, /^Usage: deno task analyze/);
  const lost = terminal();
  assert.equal(await main(["a.png", "--frobnicate"], lost), 2);
  assert.match(lost.errors[0]!, /--frobnicate[^]*Usage:/);
});

const BAD: [string[], RegExp][] = [
  [[], /at least one image/],
  [["a", "--max-faces", "0"], /--max-faces is "0": use 1 to 100/],
  [["a", "--max-faces", "2.5"], /whole number/],
  [["a", "--min-confidence", "1.1"], /--min-confidence is "1.1"/],
  [["a", "--min-confidence", ""], /--min-confidence is ""/],
  [["a", "--attributes", "expression,age"], /--attributes has "age"/],
  [["a", "--explain", "magic"], /--explain is "magic"/],
  [["a", "--model"], /--model/],
];
for (const [args, message] of BAD) {
  Deno.test(`parseArguments() refuses: ${args.join(" ") || "nothing"}`, () => {
    assert.throws(() => parseArguments(args), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("parseArguments() reads every option", () => {
  const line =
    "a b --attributes quality,expression --model m --explain evidence " +
    "--min-confidence 0.5 --max-faces 3 --json --save o.png";
  assert.deepEqual(parseArguments(line.split(" ")), {
    files: ["a", "b"],
    options: {
      attributes: ["quality", "expression"],
      explain: "evidence",
      model: "m",
      minConfidence: 0.5,
      maxFaces: 3,
    },
    json: true,
    help: false,
    save: "o.png",
  });
  const bare = parseArguments(["a"]);
  assert.deepEqual(bare.options, {
    attributes: ["expression", "landmarks", "quality"],
    explain: "none",
  });
  assert.equal(
    parseArguments(["a", "--attributes", "all"]).options.attributes,
    "all",
  );
});

Deno.test("outputPath() numbers several images before the extension", () => {
  assert.equal(outputPath("out.png", 0, 1), "out.png");
  assert.equal(outputPath("a.b/out.png", 1, 2), "a.b/out-2.png");
  assert.equal(outputPath("out", 0, 2), "out-1.png");
});

Deno.test("scaleFace() scales box and points and leaves the original alone", () => {
  const point = { x: 4, y: 6 };
  const landmarks = {
    rightEye: point,
    leftEye: point,
    noseTip: point,
    rightMouthCorner: point,
    leftMouthCorner: point,
  };
  const scaled = scaleFace({ ...FACE, landmarks }, 0.5);
  assert.deepEqual(scaled.boundingBox, { x: 5, y: 6, width: 10, height: 12 });
  assert.deepEqual(scaled.landmarks?.noseTip, { x: 2, y: 3 });
  assert.equal(scaleFace(FACE, 2).landmarks, undefined);
  assert.equal(FACE.boundingBox.x, 10);
});
