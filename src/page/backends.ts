/** What this browser can compute with. @module */
import { tf } from "./trainer.ts";

export interface Backend {
  readonly name: "webgpu" | "webgl" | "cpu";
  readonly label: string;
}

/** The backends that work here, the fastest first. Software that stands in for a GPU comes last. */
export async function findBackends(): Promise<Backend[]> {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null) ?? null;
  const found: Backend[] = [{ name: "cpu", label: "JavaScript" }];
  if (drawsByGpu()) found.unshift({ name: "webgl", label: "WebGL" });
  if (adapter) {
    const isSoftware = adapter.info.isFallbackAdapter ||
      /swiftshader|llvmpipe|lavapipe/i.test(
        `${adapter.info.architecture} ${adapter.info.description}`,
      );
    const webgpu = { name: "webgpu", label: isSoftware ? "WebGPU in software" : "WebGPU" } as const;
    if (isSoftware) found.push(webgpu);
    else found.unshift(webgpu);
  }
  return found;
}

/** Whether WebGL is there and not slower than JavaScript: what renders in software is. */
function drawsByGpu(): boolean {
  const gl = document.createElement("canvas").getContext("webgl2", {
    failIfMajorPerformanceCaveat: true,
  });
  if (!gl) return false;
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const renderer = info ? String(gl.getParameter(info.UNMASKED_RENDERER_WEBGL)) : "";
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return !/swiftshader|llvmpipe|software/i.test(renderer);
}

/** @throws Error where the backend does not start after all. */
export async function useBackend(name: Backend["name"]): Promise<void> {
  if (!await tf.setBackend(name)) throw new Error(`${name} does not start in this browser`);
  await tf.ready();
}
