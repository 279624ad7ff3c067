import type { ModelSpec, ModelStore } from "../pipeline/mod.ts";
import { RequestError } from "./problem.ts";

/** `GET /v1/models`: every manifest entry. */
export function listModels(models: ModelStore): Response {
  return Response.json(models.specs);
}

/** `GET /v1/models/{name}`: the entry and the model's card in Markdown. */
export async function showModel(
  models: ModelStore,
  name: string,
): Promise<Response> {
  const spec = find(models, name);
  const card = await models.text(`${spec.name}/README.md`);
  return Response.json({ ...spec, card });
}

/**
 * `GET /v1/models/{name}/files/{file}`: weights for offline use.
 *
 * The sha256 is the ETag; single byte ranges are answered with 206.
 */
export async function modelFile(
  models: ModelStore,
  name: string,
  file: string,
  request: Request,
): Promise<Response> {
  const spec = find(models, name);
  const known = filesOf(spec).find((entry) =>
    entry.file.split("/").at(-1) === file
  );
  if (!known) {
    const names = filesOf(spec).map((entry) => entry.file.split("/").at(-1))
      .join(", ");
    throw new RequestError(
      "not_found",
      `${name} has no file ${file}: it has ${names}`,
    );
  }
  const etag = `"${known.sha256}"`;
  const headers = new Headers({
    etag,
    "accept-ranges": "bytes",
    "cache-control": "public, max-age=31536000, immutable",
    "content-type": "application/octet-stream",
  });
  const match = request.headers.get("if-none-match");
  if (
    match?.split(",").some((tag) =>
      ["*", etag, `W/${etag}`].includes(tag.trim())
    )
  ) {
    return new Response(null, { status: 304, headers });
  }
  const bytes = await models.file(known.file, known.sha256);
  const wanted = request.headers.get("range"),
    condition = request.headers.get("if-range");
  const range = wanted && (!condition || condition === etag)
    ? parseRange(wanted, bytes.length)
    : null;
  if (range === "unsatisfiable") {
    headers.set("content-range", `bytes */${bytes.length}`);
    return new Response(null, { status: 416, headers });
  }
  const part = range ? bytes.subarray(range.start, range.end + 1) : bytes;
  if (range) {
    headers.set(
      "content-range",
      `bytes ${range.start}-${range.end}/${bytes.length}`,
    );
  }
  headers.set("content-length", String(part.length));
  return new Response(part, { status: range ? 206 : 200, headers });
}

function find(models: ModelStore, name: string): ModelSpec {
  const spec = models.find(name);
  if (spec) return spec;
  const names = models.specs.map((spec) => spec.name).join(", ");
  throw new RequestError(
    "unknown_model",
    `Cannot find the model "${name}": there are ${names}`,
  );
}

function filesOf(spec: ModelSpec): { file: string; sha256: string }[] {
  const own = spec.file === null
    ? []
    : [{ file: spec.file, sha256: spec.sha256 }];
  return [
    ...own,
    ...Object.values(spec.graphs ?? {}),
    ...(spec.variants ?? []),
  ];
}

/** One `bytes=` range, inclusive; null for what the standard says to ignore. */
function parseRange(
  header: string,
  size: number,
): { start: number; end: number } | "unsatisfiable" | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header.trim());
  if (!match || (match[1] === "" && match[2] === "")) return null;
  if (match[1] === "") {
    const suffix = Number(match[2]);
    return suffix === 0
      ? "unsatisfiable"
      : { start: Math.max(0, size - suffix), end: size - 1 };
  }
  const start = Number(match[1]);
  const end = match[2] === "" ? size - 1 : Math.min(size - 1, Number(match[2]));
  if (start >= size) return "unsatisfiable";
  return end < start ? null : { start, end };
}
