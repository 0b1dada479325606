/** What a figure depends on: processor, cores, system and runtime. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly system: string;
  readonly deno: string;
}

/** Describes the machine this runs on; names of hosts and users are left out. */
export async function describeMachine(): Promise<Machine> {
  return {
    processor: await processorName(),
    cores: navigator.hardwareConcurrency,
    system: `${Deno.build.os} ${Deno.build.arch} ${Deno.osRelease()}`,
    deno: Deno.version.deno,
  };
}

async function processorName(): Promise<string> {
  try {
    const cpuinfo = await Deno.readTextFile("/proc/cpuinfo");
    return /^model name\s*:\s*(.+)$/m.exec(cpuinfo)?.[1] ?? "unknown";
  } catch {
    return "unknown";
  }
}
