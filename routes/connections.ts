/**
 * How many connections there are, how many of one address, and for how long one may stand still.
 *
 * `node:http` bounds the time in which a client sends. A client that asks for an answer of a gigabyte and then reads
 * nothing is bounded here: its answer waits in memory.
 *
 * @module
 */
import type { Server } from "node:http";
import type { Socket } from "node:net";

export interface ConnectionLimits {
  /** Of all together; the next is reset. */
  readonly connections: number;
  /** Of one address: who floods leaves room for others. */
  readonly connectionsOfOne: number;
  /** How long bytes may wait for their reader without one of them leaving. */
  readonly stallMs: number;
  readonly checkEveryMs: number;
}

/** Bytes that had left when they were last counted, and when that was another number. */
interface Progress {
  sent: number;
  at: number;
}

/** The connections of a server. */
export interface Connections {
  /**
   * Ends those on which nothing was ever said: browsers and clients open them in advance. `node:http` does not count them
   * among the idle ones, which have had a request.
   */
  closeSilent(): void;
}

export function limitConnections(server: Server, limits: ConnectionLimits): Connections {
  const open = new Map<Socket, Progress>();
  const ofAddress = new Map<string, number>();

  server.maxConnections = limits.connections;
  server.on("connection", (socket: Socket) => {
    const address = socket.remoteAddress ?? "";
    const others = ofAddress.get(address) ?? 0;
    if (others >= limits.connectionsOfOne) return void socket.destroy();
    ofAddress.set(address, others + 1);
    open.set(socket, { sent: 0, at: performance.now() });
    socket.once("close", () => {
      open.delete(socket);
      const left = ofAddress.get(address)! - 1;
      if (left > 0) ofAddress.set(address, left);
      else ofAddress.delete(address);
    });
  });

  const check = setInterval(() => {
    const now = performance.now();
    for (const [socket, progress] of open) {
      const sent = socket.bytesWritten - socket.writableLength;
      if (socket.writableLength === 0 || sent !== progress.sent) {
        Object.assign(progress, { sent, at: now });
      } else if (now - progress.at > limits.stallMs) socket.destroy();
    }
  }, limits.checkEveryMs);
  server.on("close", () => clearInterval(check));

  return {
    closeSilent() {
      for (const socket of open.keys()) if (socket.bytesRead === 0) socket.destroy();
    },
  };
}
