import type { Analysis, AnalyzeOptions } from "../types.ts";
import type { Pipeline } from "../pipeline/mod.ts";
import { type BodySettings, readBody } from "./body.ts";
import { RequestError } from "./problem.ts";
import { JsonBodySchema, OptionsSchema, type ParsedOptions } from "./schema.ts";
import type { z } from "zod";

/** What an analysis needs of the server's settings. */
export interface AnalyzeSettings extends BodySettings {
  pipeline: Pipeline;
  /** Gets the answer before it is sent. */
  answered(analysis: Analysis): void;
}

/** `POST /v1/analyze`: raw bytes, multipart or JSON in; an `Analysis` out. */
export async function analyze(
  request: Request,
  requestId: string,
  settings: AnalyzeSettings,
): Promise<Response> {
  const arrived = performance.now();
  const body = await readBody(request, settings);
  const { image, neutral, options } = await parse(request, body);
  const query = parseQuery(request);
  const analysis = await settings.pipeline.analyze(
    image,
    toPipelineOptions({ ...options, ...query }),
    {
      requestId,
      signal: request.signal,
      ...(neutral ? { neutral } : {}),
      deadlineMs: Math.max(
        1,
        settings.deadlineMs - (performance.now() - arrived),
      ),
    },
  );
  settings.answered(analysis);
  return Response.json(analysis, {
    headers: { "server-timing": serverTiming(analysis.timing) },
  });
}

/** The options in a request's query string. */
export function parseQuery(request: Request): ParsedOptions {
  const { searchParams } = new URL(request.url);
  refuseTwice(searchParams, "query.");
  return parseOptions(Object.fromEntries(searchParams), "query");
}

/** What a request holds, whichever way it was sent. */
interface Parts {
  image: Uint8Array<ArrayBuffer>;
  neutral?: Uint8Array<ArrayBuffer>;
  options: ParsedOptions;
}

async function parse(
  request: Request,
  body: Uint8Array<ArrayBuffer>,
): Promise<Parts> {
  const type = request.headers.get("content-type") ?? "";
  if (/^multipart\/form-data\b/i.test(type)) {
    return await parseMultipart(body, type);
  }
  if (/^application\/json\b/i.test(type)) return parseJson(body);
  if (body.length === 0) {
    throw new RequestError(
      "invalid_request",
      "The body is empty: send the bytes of one image",
    );
  }
  return { image: body, options: {} };
}

async function parseMultipart(
  body: Uint8Array<ArrayBuffer>,
  type: string,
): Promise<Parts> {
  let form: FormData;
  try {
    form = await new Response(body, { headers: { "content-type": type } })
      .formData();
  } catch {
    throw invalid(
      "The multipart body is malformed",
      "body",
      "not multipart/form-data",
    );
  }
  for (const name of form.keys()) {
    if (!["image", "neutral", "options"].includes(name)) {
      throw invalid(
        `The multipart body has an unknown part "${name}": send image, neutral, options`,
        name,
        "unknown part",
      );
    }
  }
  refuseTwice(form);
  const [image, neutral, options] = [
    form.get("image"),
    form.get("neutral"),
    form.get("options"),
  ];
  if (!(image instanceof Blob)) {
    throw invalid(
      "The multipart body has no file part image",
      "image",
      "a file is needed",
    );
  }
  if (neutral !== null && !(neutral instanceof Blob)) {
    throw invalid(
      "The multipart part neutral is no file",
      "neutral",
      "a file is needed",
    );
  }
  const text = options instanceof Blob ? await options.text() : options;
  return {
    image: new Uint8Array(await image.arrayBuffer()),
    ...(neutral
      ? { neutral: new Uint8Array(await neutral.arrayBuffer()) }
      : {}),
    options: text === null
      ? {}
      : parseOptions(parseText(text, "options"), "options"),
  };
}

function parseJson(body: Uint8Array<ArrayBuffer>): Parts {
  const parsed = JsonBodySchema.safeParse(
    parseText(new TextDecoder().decode(body), "body"),
  );
  if (!parsed.success) {
    throw fromIssues("The JSON body is not valid", parsed.error, "");
  }
  const { image, neutral, options = {} } = parsed.data;
  return {
    image: fromBase64(image, "image"),
    ...(neutral === undefined
      ? {}
      : { neutral: fromBase64(neutral, "neutral") }),
    options,
  };
}

/** Bytes of base64, with or without a `data:` prefix. */
function fromBase64(text: string, path: string): Uint8Array<ArrayBuffer> {
  try {
    const letters = atob(text.replace(/^data:[\w/+.-]+;base64,/, ""));
    return Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  } catch {
    throw invalid(
      `The ${path} is not valid base64`,
      path,
      "not valid base64",
    );
  }
}

function parseText(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(`The ${path} is not valid JSON`, path, "not valid JSON");
  }
}

function parseOptions(value: unknown, path: string): ParsedOptions {
  const parsed = OptionsSchema.safeParse(value);
  if (!parsed.success) {
    throw fromIssues("The options are not valid", parsed.error, path);
  }
  return parsed.data;
}

function refuseTwice(fields: URLSearchParams | FormData, prefix = ""): void {
  for (const name of fields.keys()) {
    if (fields.getAll(name).length > 1) {
      throw invalid(
        `${name} is given twice: give it once`,
        prefix + name,
        "given twice",
      );
    }
  }
}

/** Options without the one that has not landed, which is refused by name. */
export function toPipelineOptions(
  { format, ...options }: ParsedOptions,
): AnalyzeOptions {
  if (format !== undefined && format !== "mien") {
    throw new RequestError(
      "unsupported_option",
      `format=${format} is not available yet: use mien`,
    );
  }
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as AnalyzeOptions;
}

function invalid(detail: string, path: string, message: string): RequestError {
  return new RequestError("invalid_request", detail, {
    errors: [{ path, message }],
  });
}

function fromIssues(
  detail: string,
  error: z.ZodError,
  prefix: string,
): RequestError {
  const errors = error.issues.flatMap(({ path, message, ...issue }) => {
    const keys = "keys" in issue && Array.isArray(issue.keys)
      ? issue.keys as string[]
      : [];
    const at = [prefix, ...path.map(String)].filter(Boolean);
    return keys.length
      ? keys.map((key) => ({
        path: [...at, key].join("."),
        message: "unknown name",
      }))
      : [{ path: at.join("."), message }];
  });
  const first = errors[0]!;
  return new RequestError(
    "invalid_request",
    `${detail}: ${first.path}: ${first.message}`,
    {
      errors,
    },
  );
}

function serverTiming(timing: object): string {
  return Object.entries(timing)
    .map(([name, ms]) =>
      `${name.replace(/Ms$/, "")};dur=${(ms as number).toFixed(1)}`
    )
    .join(", ");
}
