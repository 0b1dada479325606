/**
 * A client's connection, with no more to it than a load needs: a request of bytes that lie ready, an answer that is counted.
 *
 * On the socket itself: the generator runs on the server's cores, and `node:http` and `fetch` cost it as much as a request that is
 * refused costs the server.
 *
 * @module
 */
const decoder = new TextDecoder();
const CR = 13, BLANK_LINE = [CR, 10, CR, 10];

/** The head of an answer. */
export interface Head {
  readonly status: number;
  /** By their names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Exchange extends Head {
  /** Of the body. */
  readonly bytes: number;
}

/** Buffers of connections that were closed: a new one for each would be most of what the generator does. */
const spare: Uint8Array<ArrayBuffer>[] = [];

/** Bytes read at once. */
const CHUNK = 2 ** 18;

export class Connection {
  readonly #socket: Deno.TcpConn;
  readonly #buffer = spare.pop() ?? new Uint8Array(CHUNK);
  /** Bytes of the buffer that were read and not used. */
  #filled = 0;
  isOpen = true;

  private constructor(socket: Deno.TcpConn) {
    this.#socket = socket;
    socket.setNoDelay(true);
  }

  static async open({ hostname, port }: URL): Promise<Connection> {
    return new Connection(await Deno.connect({ hostname, port: Number(port) }));
  }

  /**
   * Sends a request and waits for its answer.
   *
   * @param waits whether the body is sent only when it is asked for. @throws Error where the server hangs up in between.
   */
  async exchange(
    head: Uint8Array,
    body: Uint8Array | undefined,
    waits: boolean,
  ): Promise<Exchange> {
    const sending = this.#send(waits || !body ? [head] : [head, body]);
    sending.catch(() => {}); // an answer may come all the same
    let answer = await this.#readHead();
    if (answer.status === 100) {
      await this.#send([body!]);
      answer = await this.#readHead();
    }
    const bytes = await this.#skip(Number(answer.headers["content-length"]));
    if (answer.headers.connection === "close") {
      this.close();
      spare.push(this.#buffer);
    } else await sending;
    return { ...answer, bytes };
  }

  close(): void {
    if (this.isOpen) this.#socket.close();
    this.isOpen = false;
  }

  async #send(parts: readonly Uint8Array[]): Promise<void> {
    for (const part of parts) {
      for (let at = 0; at < part.length;) at += await this.#socket.write(part.subarray(at));
    }
  }

  async #readHead(): Promise<Head> {
    for (;;) {
      const end = endOfHead(this.#buffer.subarray(0, this.#filled));
      if (end !== undefined) {
        const text = decoder.decode(this.#buffer.subarray(0, end - BLANK_LINE.length));
        this.#drop(end);
        const [first, ...lines] = text.split("\r\n");
        const headers = lines.map((line) => {
          const colon = line.indexOf(":");
          return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
        });
        return { status: Number(first.split(" ")[1]), headers: Object.fromEntries(headers) };
      }
      await this.#readMore();
    }
  }

  /** Reads a body and drops it. @returns its bytes. */
  async #skip(bytes: number): Promise<number> {
    if (Number.isNaN(bytes)) throw new Error("The answer does not say how long it is");
    for (let left = bytes;;) {
      const used = Math.min(left, this.#filled);
      this.#drop(used);
      left -= used;
      if (left === 0) return bytes;
      await this.#readMore();
    }
  }

  #drop(bytes: number): void {
    this.#buffer.copyWithin(0, bytes, this.#filled);
    this.#filled -= bytes;
  }

  async #readMore(): Promise<void> {
    const read = await this.#socket.read(this.#buffer.subarray(this.#filled));
    if (read === null) throw new Error("The server hung up");
    this.#filled += read;
  }
}

/** Where the body begins; undefined where the head is not whole. Its bytes are looked at, as decoding a body costs more than reading it. */
function endOfHead(bytes: Uint8Array): number | undefined {
  for (let at = bytes.indexOf(CR); at >= 0; at = bytes.indexOf(CR, at + 1)) {
    if (BLANK_LINE.every((byte, k) => bytes[at + k] === byte)) return at + BLANK_LINE.length;
  }
  return undefined;
}
