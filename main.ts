/**
 * curvd's composition root: settings → store and compute Workers → application → listener, and back down.
 *
 * @module
 */
import { Admission } from "@/admission/mod.ts";
import { startCompute } from "@/compute/mod.ts";
import { asksForHelp, type Config, helpText, quietMesa, readConfig } from "@/config.ts";
import { watchKeys } from "@/keys/mod.ts";
import { exit } from "@/exit.ts";
import { configureLog, inBursts, log } from "@/log.ts";
import { metricsOf } from "@/observe/mod.ts";
import { expectPermissions } from "@/permissions.ts";
import { startStore } from "@/sessions/storage.ts";
import { watchForShutdown } from "@/shutdown.ts";
import { Codec } from "@/wire/mod.ts";
import { listen } from "./routes/listen.ts";
import { createApp } from "./routes/mod.ts";

try {
  if (asksForHelp(Deno.args)) console.log(helpText());
  else await serve(readConfig());
  exit(0);
} catch (error) {
  console.error(`curvd cannot start: ${error instanceof Error ? error.message : error}`);
  exit(1);
}

/** Serves until told to stop, then finishes what was begun. */
async function serve(config: Config): Promise<void> {
  expectPermissions(config);
  configureLog(config.log, inBursts(config.log));
  quietMesa();
  const shutdown = watchForShutdown(config.isUnderNpx);
  const keys = config.keys === null ? undefined : await watchKeys(config.keys);
  const codec = new Codec();
  const store = await startStore(config.data, config.log).catch((error) => {
    const why = error instanceof Deno.errors.NotCapable
      ? `${config.data} is no folder that a server may have`
      : error.message;
    throw new Error(`CURVD_DATA: ${why}`, { cause: error });
  });
  const compute = await startCompute(config, { store });
  const app = createApp({
    ...config,
    metrics: metricsOf(compute),
    admission: new Admission(config.queue),
    compute,
    store,
    codec,
    keyring: keys?.keyring,
    names: [config.host, ...config.names],
    isDraining: shutdown.isRequested,
  });
  const listener = await listen(app.fetch, config);

  const { engine, reason } = await compute.device();
  log.info(`curvd listens on ${listener.url}, engine ${engine}: ${reason}`);

  log.info(`curvd stops (${await shutdown.requested}): finishing what was begun`);
  await listener.close(config.graceMs);
  keys?.close();
  await compute.close(config.graceMs);
  await store.close();
  codec.close();
}
