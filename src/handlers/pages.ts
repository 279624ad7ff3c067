import { pathToFileURL } from "node:url";
import { readUrl } from "../pipeline/read_url.ts";

/** Files of our own pages by path: the demo at `/` and the API reference at `/docs`. */
const DEMO = new URL("./demo/", import.meta.url);

const TYPES: Record<string, string> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

/** Script, style, image and connections from our own origin only; WebAssembly for the offline mode. */
const DEMO_POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The API reference's components set inline styles. */
const DOCS_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const DOCS_PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Mien API</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css">
  </head>
  <body>
    <div id="docs"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;

const DOCS_START =
  `SwaggerUIBundle({ url: "/openapi.json", dom_id: "#docs", deepLinking: true });\n`;

/** Files of the demo page by path. */
const DEMO_FILES: Record<string, string> = {
  "/": "index.html",
  "/demo/demo.css": "demo.css",
  "/demo/demo.js": "demo.js",
  "/demo/api.js": "api.js",
  "/demo/camera.js": "camera.js",
  "/demo/cards.js": "cards.js",
  "/demo/live.js": "live.js",
  "/demo/offline.js": "offline.js",
  "/demo/stage.js": "stage.js",
};

/** Paths of every page and asset. */
export const PAGE_PATHS: readonly string[] = [
  ...Object.keys(DEMO_FILES),
  "/docs",
  "/docs/start.js",
  "/docs/swagger-ui.css",
  "/docs/swagger-ui-bundle.js",
];

/** The page or asset at a path of `PAGE_PATHS`. */
export async function page(path: string): Promise<Response> {
  const file = DEMO_FILES[path];
  if (file) return serve(await read(new URL(file, DEMO)), file, DEMO_POLICY);
  if (path === "/docs") return serve(DOCS_PAGE, "docs.html", DOCS_POLICY);
  if (path === "/docs/start.js") {
    return serve(DOCS_START, "start.js", DOCS_POLICY);
  }
  const { default: swaggerFolder } = await import(
    "swagger-ui-dist/absolute-path.js"
  );
  const name = path.slice("/docs/".length);
  return serve(
    await read(pathToFileURL(`${swaggerFolder()}/${name}`)),
    name,
    DOCS_POLICY,
  );
}

async function read(url: URL): Promise<string> {
  return new TextDecoder().decode(await readUrl(url));
}

function serve(text: string, file: string, policy: string): Response {
  return new Response(text, {
    headers: {
      "content-type": TYPES[file.split(".").at(-1)!]!,
      "content-security-policy": policy,
      "cache-control": "no-cache",
    },
  });
}
