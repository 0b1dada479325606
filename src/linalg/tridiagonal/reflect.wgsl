// Eigenvectors of A from those of T, in the rows of Z^T: x = H_1 H_2 .. z.
//
//   z^T <- z^T - (z^T W) V^T   for each block of 64 reflectors, the last first;  W = V T^T
//
// Rows know nothing of each other, so a workgroup takes eight of them through all blocks in one
// dispatch. Reflectors of block b are zero up to column 64 b.

struct Params {
  side: u32,
}

@group(0) @binding(0) var<storage, read> w: array<vec4f>;           // [batch, blocks, side, 64]
@group(0) @binding(1) var<storage, read> reflectors: array<vec4f>;  // [batch, side, side]: in rows
@group(0) @binding(2) var<storage, read_write> z_transposed: array<vec4f>;  // [batch, side, side]
@group(0) @binding(3) var<uniform> params: Params;

const LANES = 128u;
const SLICES = 8u;  // of a row
const ROWS = 8u;
const QUADS = 16u;  // of 64 reflectors

// Of z^T W each slice's part, then in the place of the first the whole.
var<workgroup> m: array<vec4f, SLICES * ROWS * QUADS>;

@compute @workgroup_size(LANES)
fn reflect(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let quads = params.side / 4;
  let matrix = group.z * params.side * quads;
  let z_at = matrix + group.x * ROWS * quads;
  let slice = lane / QUADS;
  let quad = lane % QUADS;
  for (var block = params.side / 64; block > 0; block--) {
    let first = (block - 1) * QUADS;
    let w_at = matrix + (block - 1) * params.side * QUADS + quad;
    var c0 = vec4f(0.0);
    var c1 = vec4f(0.0);
    var c2 = vec4f(0.0);
    var c3 = vec4f(0.0);
    var c4 = vec4f(0.0);
    var c5 = vec4f(0.0);
    var c6 = vec4f(0.0);
    var c7 = vec4f(0.0);
    for (var column = first + slice; column < quads; column += SLICES) {
      let at = w_at + 4 * column * QUADS;
      let w0 = w[at];
      let w1 = w[at + QUADS];
      let w2 = w[at + 2 * QUADS];
      let w3 = w[at + 3 * QUADS];
      c0 = plus_product(c0, z_transposed[z_at + column], w0, w1, w2, w3);
      c1 = plus_product(c1, z_transposed[z_at + quads + column], w0, w1, w2, w3);
      c2 = plus_product(c2, z_transposed[z_at + 2 * quads + column], w0, w1, w2, w3);
      c3 = plus_product(c3, z_transposed[z_at + 3 * quads + column], w0, w1, w2, w3);
      c4 = plus_product(c4, z_transposed[z_at + 4 * quads + column], w0, w1, w2, w3);
      c5 = plus_product(c5, z_transposed[z_at + 5 * quads + column], w0, w1, w2, w3);
      c6 = plus_product(c6, z_transposed[z_at + 6 * quads + column], w0, w1, w2, w3);
      c7 = plus_product(c7, z_transposed[z_at + 7 * quads + column], w0, w1, w2, w3);
    }
    let part = slice * ROWS * QUADS + quad;
    m[part] = c0;
    m[part + QUADS] = c1;
    m[part + 2 * QUADS] = c2;
    m[part + 3 * QUADS] = c3;
    m[part + 4 * QUADS] = c4;
    m[part + 5 * QUADS] = c5;
    m[part + 6 * QUADS] = c6;
    m[part + 7 * QUADS] = c7;
    workgroupBarrier();
    var sum = m[lane];
    for (var s = 1u; s < SLICES; s++) { sum += m[s * ROWS * QUADS + lane]; }
    workgroupBarrier();
    m[lane] = sum;
    workgroupBarrier();

    for (var column = first + lane; column < quads; column += LANES) {
      let at = z_at + column;
      c0 = z_transposed[at];
      c1 = z_transposed[at + quads];
      c2 = z_transposed[at + 2 * quads];
      c3 = z_transposed[at + 3 * quads];
      c4 = z_transposed[at + 4 * quads];
      c5 = z_transposed[at + 5 * quads];
      c6 = z_transposed[at + 6 * quads];
      c7 = z_transposed[at + 7 * quads];
      for (var q = 0u; q < QUADS; q++) {
        let v_at = matrix + 4 * (first + q) * quads + column;
        let v0 = reflectors[v_at];
        let v1 = reflectors[v_at + quads];
        let v2 = reflectors[v_at + 2 * quads];
        let v3 = reflectors[v_at + 3 * quads];
        c0 = plus_product(c0, -m[q], v0, v1, v2, v3);
        c1 = plus_product(c1, -m[QUADS + q], v0, v1, v2, v3);
        c2 = plus_product(c2, -m[2 * QUADS + q], v0, v1, v2, v3);
        c3 = plus_product(c3, -m[3 * QUADS + q], v0, v1, v2, v3);
        c4 = plus_product(c4, -m[4 * QUADS + q], v0, v1, v2, v3);
        c5 = plus_product(c5, -m[5 * QUADS + q], v0, v1, v2, v3);
        c6 = plus_product(c6, -m[6 * QUADS + q], v0, v1, v2, v3);
        c7 = plus_product(c7, -m[7 * QUADS + q], v0, v1, v2, v3);
      }
      z_transposed[at] = c0;
      z_transposed[at + quads] = c1;
      z_transposed[at + 2 * quads] = c2;
      z_transposed[at + 3 * quads] = c3;
      z_transposed[at + 4 * quads] = c4;
      z_transposed[at + 5 * quads] = c5;
      z_transposed[at + 6 * quads] = c6;
      z_transposed[at + 7 * quads] = c7;
    }
    storageBarrier();
    workgroupBarrier();
  }
}

// c + x (y0 y1 y2 y3), four rows of four
fn plus_product(c: vec4f, x: vec4f, y0: vec4f, y1: vec4f, y2: vec4f, y3: vec4f) -> vec4f {
  return fma(vec4f(x.w), y3, fma(vec4f(x.z), y2, fma(vec4f(x.y), y1, fma(vec4f(x.x), y0, c))));
}
