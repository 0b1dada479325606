/**
 * The GPU device: which adapter, with what limits and features, and what it says went wrong.
 *
 * WebGPU reports errors beside the calls that cause them, never through them: a bad dispatch
 * returns as if all were well and leaves stale numbers behind. So error scopes are open from the
 * first moment and every read asks them before it answers.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { type AdapterClass, adapterClass } from "./tuning.ts";

/** An adapter as `GET /v1/device` shows it. */
export interface AdapterFacts extends Readonly<Record<string, string | boolean>> {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** Vulkan on the CPU (lavapipe, SwiftShader): right, and for tests only. */
  readonly software: boolean;
  /** Its row of the tuning table. */
  readonly class: AdapterClass;
}

/** Limits raised to what the adapter has; all others stay at WebGPU's defaults. */
const RAISED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
] as const;

/** Features taken where the adapter has them. */
const WANTED_FEATURES: readonly GPUFeatureName[] = ["timestamp-query", "shader-f16"];

const SUBGROUPS = "subgroups" as GPUFeatureName;

const SOFTWARE = /llvmpipe|lavapipe|softpipe|swiftshader|basic render/i;

/** The facts of the adapter that would be used, or null where there is none. Opens no device. */
export async function probeAdapter(): Promise<AdapterFacts | null> {
  const adapter = await requestAdapter();
  return adapter === null ? null : factsOf(adapter);
}

/** A device and what watches it. */
export interface OpenedDevice {
  readonly device: GPUDevice;
  readonly adapterInfo: GPUAdapterInfo;
  readonly adapter: AdapterFacts;
  readonly limits: Readonly<Record<string, number>>;
  readonly features: readonly string[];
  readonly errors: DeviceErrors;
}

/** Opens a device of our own. @throws CurvdError `unsupported` where there is no adapter. */
export async function openDevice(): Promise<OpenedDevice> {
  const adapter = await requestAdapter();
  if (adapter === null) {
    throw new CurvdError("unsupported", "Cannot open a GPU as there is no WebGPU adapter", {
      suggestion: "install a Vulkan driver, or set CURVD_ENGINE=cpu",
    });
  }
  const limits = Object.fromEntries(RAISED_LIMITS.map((name) => [name, adapter.limits[name]]));
  const listed = WANTED_FEATURES.filter((feature) => adapter.features.has(feature));
  const request = (requiredFeatures: GPUFeatureName[]) =>
    adapter.requestDevice({ label: "curvd", requiredLimits: limits, requiredFeatures });
  // Deno 2.9.6 leaves subgroups out of every adapter's list, yet grants them where they are.
  const device = await request([...listed, SUBGROUPS]).catch(() => request(listed));
  return {
    device,
    adapterInfo: adapter.info,
    adapter: factsOf(adapter),
    limits,
    features: [...listed, SUBGROUPS].filter((feature) => device.features.has(feature)),
    errors: new DeviceErrors(device),
  };
}

function requestAdapter(): Promise<GPUAdapter | null> {
  const gpu = (navigator as { gpu?: GPU }).gpu;
  return gpu?.requestAdapter({ powerPreference: "high-performance" }) ?? Promise.resolve(null);
}

function factsOf(adapter: GPUAdapter): AdapterFacts {
  const { vendor, architecture, device, description } = adapter.info;
  const isFallback = (adapter.info as { isFallbackAdapter?: boolean }).isFallbackAdapter === true;
  const software = isFallback || SOFTWARE.test(`${device} ${description}`);
  return {
    vendor,
    architecture,
    device,
    description,
    software,
    class: software ? "software" : adapterClass(`${vendor} ${architecture} ${description}`),
  };
}

const SCOPES = ["validation", "out-of-memory", "internal"] as const;

/** Collects what a device reports, from its first moment until it is lost. */
export class DeviceErrors {
  /** Resolves with the reason once the device is gone. */
  readonly lost: Promise<string>;
  #lostBecause: string | undefined;
  #messages: string[] = [];
  #isOutOfMemory = false;

  constructor(readonly device: GPUDevice) {
    this.lost = device.lost.then(({ reason, message }) => {
      this.#lostBecause = `${reason ?? "unknown"}: ${message}`;
      return this.#lostBecause;
    });
    // What no scope caught, such as an error between two scopes.
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault?.();
      this.#note((event as GPUUncapturedErrorEvent).error);
    });
    this.#open();
  }

  /** @throws CurvdError `device-lost` once the device is gone. */
  throwIfLost(): void {
    if (this.#lostBecause === undefined) return;
    throw new CurvdError("device-lost", `The GPU device was lost (${this.#lostBecause})`, {
      retryAfter: 1,
    });
  }

  /**
   * Asks the scopes about everything issued since the last call and forgets it.
   * @throws CurvdError `too-large-to-fit` when memory ran out, `internal` for any other report,
   *   `device-lost`.
   */
  async check(): Promise<void> {
    const closed = SCOPES.map(() => this.device.popErrorScope());
    this.#open(); // before anything is awaited: no call may fall between two scopes
    for (const error of await Promise.all(closed)) {
      if (error !== null) this.#note(error);
    }
    this.throwIfLost();
    if (this.#messages.length === 0) return;

    const messages = this.#messages;
    const isOutOfMemory = this.#isOutOfMemory;
    this.#messages = [];
    this.#isOutOfMemory = false;
    throw isOutOfMemory
      ? new CurvdError("too-large-to-fit", `The GPU ran out of memory: ${messages.join("; ")}`)
      : new CurvdError("internal", `The GPU reported: ${messages.join("; ")}`, { messages });
  }

  #open(): void {
    for (const scope of SCOPES) this.device.pushErrorScope(scope);
  }

  #note(error: GPUError): void {
    if (error instanceof GPUOutOfMemoryError) this.#isOutOfMemory = true;
    this.#messages.push(error.message);
  }
}
