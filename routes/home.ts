/** `GET /`: where to go from here. @module */
import type { Context } from "hono";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>curvd</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }
</style>
<body>
<h1>curvd</h1>
<p>A curvature server: Kronecker factors, damped inverses, eigenbases and preconditioned gradients
over HTTP.</p>
<ul>
<li><a href="/docs">Reference</a> (<a href="/openapi.json">OpenAPI 3.1</a>)</li>
<li><a href="/v1/methods">Methods</a></li>
<li><a href="/v1/device">Device</a></li>
<li><a href="/health/ready">Health</a></li>
</ul>
</body>
</html>
`;

export function answerHome(c: Context): Response | Promise<Response> {
  return c.html(PAGE);
}
