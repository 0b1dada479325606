import { gpuTest } from "../support/gpu.ts";
import { ownership } from "./ownership.ts";

// what is owned by whom does not depend on the kind of layer but in its samples, which the cpu engine tries
ownership(gpuTest, ({ kind }) => kind === "dense");
