/**
 * The compute Worker without device batching: every piece of work has a turn of its own.
 *
 * @module
 */
import { DeviceTurns } from "../../src/compute/device_turns.ts";
import "../../src/compute/worker.ts";

DeviceTurns.mostTogether = 1;
