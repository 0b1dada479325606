/**
 * The image's HEALTHCHECK: exits 0 where the server takes work, 1 where not.
 *
 *   deno run --allow-net=127.0.0.1 src/deploy/check_health.ts [port]
 *
 * @module
 */
const [port = "5322"] = Deno.args;
/** Less than the HEALTHCHECK's own, so that the answer is this program's. */
const TIMEOUT_MS = 4000;

const isReady = await fetch(`http://127.0.0.1:${port}/health/ready`, {
  signal: AbortSignal.timeout(TIMEOUT_MS),
}).then(async (response) => {
  await response.body?.cancel();
  return response.ok;
}, () => false);
Deno.exit(isReady ? 0 : 1);
