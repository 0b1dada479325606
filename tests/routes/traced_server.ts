/** A server around a fake compute side, for a test that starts it with `OTEL_DENO=true`. Prints its URL. */
import { listen } from "../../routes/listen.ts";
import { appWith } from "./fake_compute.ts";

const { url } = await listen(appWith().fetch, { host: "127.0.0.1", port: 0 });
console.log(url);
