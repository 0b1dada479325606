/** `GET /docs`: Swagger UI from this server alone. @module */
import { Hono } from "hono";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>curvd reference</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<body>
<div id="reference"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;

/** No validator badge: it would be asked of another host. */
const START = `SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  validatorUrl: null,
  deepLinking: true,
});
`;

/** A release never changes: only a new server brings new files. */
const CACHE = "public, max-age=3600";

export function docsRoutes(): Hono {
  return new Hono()
    .get("/", (c) => c.html(PAGE))
    .get("/start.js", () => file(START, "text/javascript"))
    .get("/swagger-ui-bundle.js", async () => {
      // 1.7 MB that most servers are never asked for
      const bundle = await import("swagger-ui-dist/swagger-ui-bundle.js", {
        with: { type: "text" },
      });
      return file(bundle.default, "text/javascript");
    })
    .get("/swagger-ui.css", async () => {
      const style = await import("swagger-ui-dist/swagger-ui.css", { with: { type: "text" } });
      return file(style.default, "text/css");
    });
}

function file(text: string, mediaType: string): Response {
  return new Response(text, {
    headers: { "content-type": `${mediaType}; charset=utf-8`, "cache-control": CACHE },
  });
}
