import { OpenAPIHono } from "@hono/zod-openapi";
import { VERSION } from "../version.ts";
import { PROBLEMS } from "./problem.ts";
import {
  AnalysisSchema,
  JsonBodySchema,
  ModelSchema,
  OptionsSchema,
  ProblemSchema,
} from "./schema.ts";
import { z } from "@hono/zod-openapi";

const problem = (description: string) => ({
  description,
  content: { "application/problem+json": { schema: ProblemSchema } },
});

const binary = { schema: { type: "string" as const, format: "binary" } };

/** Problem responses for a list of statuses, each naming its codes. */
function problems(...statuses: number[]) {
  return Object.fromEntries(statuses.map((status) => {
    const codes = Object.entries(PROBLEMS).filter(([, entry]) =>
      entry.status === status
    );
    return [status, problem(codes.map(([code]) => `\`${code}\``).join(", "))];
  }));
}

/** The OpenAPI 3.1 document, generated from the schemas that check requests. */
export function openApiDocument(): Record<string, unknown> {
  const app = new OpenAPIHono();
  const { openAPIRegistry: registry } = app;
  registry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
  });
  registry.registerComponent("securitySchemes", "apiKey", {
    type: "apiKey",
    in: "header",
    name: "X-API-Key",
  });
  const security = [{}, { bearer: [] }, { apiKey: [] }];

  registry.registerPath({
    method: "post",
    path: "/v1/analyze",
    operationId: "analyze",
    summary: "Find faces and read their apparent expressions",
    description:
      "The body's bytes decide its image format. Options stand in the query string or " +
      "in `options`; the query wins. A photo without faces answers 200 with an empty list.",
    security,
    request: {
      query: OptionsSchema,
      body: {
        required: true,
        content: {
          "image/jpeg": binary,
          "image/png": binary,
          "image/webp": binary,
          "multipart/form-data": {
            schema: {
              type: "object",
              required: ["image"],
              additionalProperties: false,
              properties: {
                image: { type: "string", format: "binary" },
                neutral: {
                  type: "string",
                  format: "binary",
                  description:
                    "The same person with a relaxed face: the reference for `actionUnits`",
                },
                options: {
                  type: "string",
                  description: "JSON, as in the JSON body",
                },
              },
            },
          },
          "application/json": { schema: JsonBodySchema },
        },
      },
    },
    responses: {
      200: {
        description: "What was found",
        content: { "application/json": { schema: AnalysisSchema } },
      },
      ...problems(400, 401, 403, 404, 413, 415, 422, 429, 500, 503, 504),
    },
  });
  registry.registerPath({
    method: "get",
    path: "/v1/stream",
    operationId: "stream",
    summary: "A WebSocket: one image per binary message, one answer each",
    description:
      "The query's options hold for every frame. Each message is answered with one JSON text, an " +
      "`Analysis` with `trackId` and smoothed scores or a `Problem`; its `requestId` is the " +
      "stream's with the frame's number, from 1, after a hyphen. One frame is analysed and the " +
      "newest waits; a frame that waited when a newer one came is answered `overloaded` at once. " +
      "Offer the subprotocol `mien.v1`, and beside it, where a header cannot be sent, the key as " +
      "`key.<base64url>`. Pages of other origins must be allowed as for the other routes. Without " +
      "the upgrade the route makes the same checks and answers with a problem.",
    security,
    request: { query: OptionsSchema },
    responses: {
      101: { description: "The stream is open" },
      ...problems(400, 401, 403, 422, 429, 503),
    },
  });
  registry.registerPath({
    method: "get",
    path: "/v1/models",
    operationId: "listModels",
    summary: "Every model with its measured figures and licences",
    security,
    responses: {
      200: {
        description: "Manifest entries",
        content: { "application/json": { schema: z.array(ModelSchema) } },
      },
      ...problems(401, 403, 429),
    },
  });
  const name = z.object({
    name: z.string().openapi({ example: "expression_mien" }),
  });
  registry.registerPath({
    method: "get",
    path: "/v1/models/{name}",
    operationId: "getModel",
    summary: "One model with its card",
    security,
    request: { params: name },
    responses: {
      200: {
        description: "The manifest entry and the card in Markdown",
        content: {
          "application/json": {
            schema: ModelSchema.extend({ card: z.string() }),
          },
        },
      },
      ...problems(401, 403, 404, 429),
    },
  });
  registry.registerPath({
    method: "get",
    path: "/v1/models/{name}/files/{file}",
    operationId: "getModelFile",
    summary:
      "A model's weights, immutable, with ranges; the ETag is the sha256",
    security,
    request: { params: name.extend({ file: z.string() }) },
    responses: {
      200: {
        description: "The file",
        content: { "application/octet-stream": binary },
      },
      206: {
        description: "A byte range",
        content: { "application/octet-stream": binary },
      },
      304: { description: "Unchanged" },
      416: { description: "The range lies outside the file" },
      ...problems(401, 403, 404, 429),
    },
  });
  registry.registerPath({
    method: "get",
    path: "/metrics",
    operationId: "getMetrics",
    summary: "Counts and times of the server, for Prometheus",
    description:
      "Text format 0.0.4. Where API keys are set it needs one; it never counts against a rate limit.",
    security,
    responses: {
      200: {
        description: "Every metric with its help",
        content: { "text/plain": { schema: { type: "string" } } },
      },
      ...problems(401, 403, 429),
    },
  });
  const status = z.object({ status: z.string() });
  for (
    const [path, summary] of [["/healthz", "The process is up"], [
      "/readyz",
      "Models are loaded",
    ]]
  ) {
    registry.registerPath({
      method: "get",
      path: path!,
      operationId: path!.slice(1),
      summary: summary!,
      responses: {
        200: {
          description: summary!,
          content: { "application/json": { schema: status } },
        },
        ...(path === "/readyz"
          ? {
            503: {
              description: "Not yet",
              content: { "application/json": { schema: status } },
            },
          }
          : {}),
      },
    });
  }
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Mien",
      version: VERSION,
      description:
        "Facial expression recognition at the edge: faces, apparent expressions with " +
        "calibrated scores, and why. An expression is what a face shows, not what a person feels.",
      license: { name: "MIT" },
    },
    servers: [{ url: "/" }],
  }) as unknown as Record<string, unknown>;
}
