/** The compute Worker itself, with a fault that a test can strike. */
import "../../src/compute/worker.ts";

new BroadcastChannel("crash").onmessage = () => {
  throw new Error("struck by a test");
};
