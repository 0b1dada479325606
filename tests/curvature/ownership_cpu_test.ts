import { cpuTest } from "../support/cpu.ts";
import { ownership } from "./ownership.ts";

ownership(cpuTest);
