/** Ends with 0 when the server in this container is ready, else with 1. */
const url = `http://127.0.0.1:${Deno.env.get("PORT") ?? 8000}/readyz`;
const response = await fetch(url).catch(() => undefined);
Deno.exit(response?.ok ? 0 : 1);
