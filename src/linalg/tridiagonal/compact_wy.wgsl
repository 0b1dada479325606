// T^T of 64 reflectors at a time: H_1 H_2 .. H_64 = I - V T V^T.
//
// Of two products of reflectors side by side,
//
//   (I - V_1 T_1 V_1^T)(I - V_2 T_2 V_2^T) = I - [V_1 V_2] T [V_1 V_2]^T,
//   T^T = | T_1^T                        0     |
//         | -T_2^T (V_2^T V_1) T_1^T     T_2^T |
//
// which starts from tau, where each has one reflector, and doubles. V^T V comes first. One workgroup a
// block. Where tau is 0 there is no reflector, and a row and a column of zeros.
//
// Source: Schreiber and Van Loan 1989; Elmroth and Gustavson 2000 for the doubling.

struct Params {
  side: u32,
}

@group(0) @binding(0) var<storage, read> reflectors: array<vec4f>;   // [batch, side, side]: v_j in row j
@group(0) @binding(1) var<storage, read> tridiagonal: array<vec4f>;  // [batch, side]: z is tau
@group(0) @binding(2) var<storage, read_write> t_transposed: array<f32>;  // [batch, blocks, 64, 64]
@group(0) @binding(3) var<uniform> params: Params;

const BLOCK = 64u;
const SLAB = 16u;  // columns of V^T at a time
const LANES = 256u;

// First a slab of V, [16, 64], then V^T V below its diagonal, and T^T in its place.
var<workgroup> t: array<f32, BLOCK * BLOCK>;

@compute @workgroup_size(16, 16)
fn compact_wy(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) lane: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  let quads = params.side / 4;
  let first = group.z * params.side + group.x * BLOCK;  // reflector
  var g0 = vec4f(0.0);
  var g1 = vec4f(0.0);
  var g2 = vec4f(0.0);
  var g3 = vec4f(0.0);
  let row = index / 4;
  for (var column = group.x * BLOCK; column < params.side; column += SLAB) {
    let quad = index % 4;
    let v = reflectors[(first + row) * quads + column / 4 + quad];
    workgroupBarrier();  // the slab before was read
    t[4 * quad * BLOCK + row] = v.x;
    t[(4 * quad + 1) * BLOCK + row] = v.y;
    t[(4 * quad + 2) * BLOCK + row] = v.z;
    t[(4 * quad + 3) * BLOCK + row] = v.w;
    workgroupBarrier();
    for (var k = 0u; k < SLAB; k++) {
      let left = slab_quad(k, lane.y);
      let right = slab_quad(k, lane.x);
      g0 = fma(vec4f(left.x), right, g0);
      g1 = fma(vec4f(left.y), right, g1);
      g2 = fma(vec4f(left.z), right, g2);
      g3 = fma(vec4f(left.w), right, g3);
    }
  }
  workgroupBarrier();
  keep_row(4 * lane.y, 4 * lane.x, g0);
  keep_row(4 * lane.y + 1, 4 * lane.x, g1);
  keep_row(4 * lane.y + 2, 4 * lane.x, g2);
  keep_row(4 * lane.y + 3, 4 * lane.x, g3);
  workgroupBarrier();
  if (index < BLOCK) { t[index * (BLOCK + 1)] = tridiagonal[first + index].z; }
  workgroupBarrier();

  for (var size = 1u; size < BLOCK; size *= 2) {
    double(size, index, false);
    double(size, index, true);
  }

  let at = (group.z * groups.x + group.x) * BLOCK * BLOCK;
  for (var cell = index; cell < BLOCK * BLOCK; cell += LANES) { t_transposed[at + cell] = t[cell]; }
}

fn slab_quad(k: u32, quad: u32) -> vec4f {
  let at = k * BLOCK + 4 * quad;
  return vec4f(t[at], t[at + 1], t[at + 2], t[at + 3]);
}

// Zero above the diagonal.
fn keep_row(i: u32, j: u32, values: vec4f) {
  for (var c = 0u; c < 4; c++) { t[i * BLOCK + j + c] = select(0.0, values[c], j + c < i); }
}

// Multiplies each V_2^T V_1 by T_1^T from the right, or by -T_2^T from the left: size x size each, of
// which there are 32 size entries in all, four or fewer a lane.
fn double(size: u32, index: u32, from_left: bool) {
  var products = vec4f(0.0);
  for (var e = 0u; e < 4; e++) {
    let entry = index + e * LANES;
    if (entry < 32 * size) { products[e] = product(size, entry, from_left); }
  }
  workgroupBarrier();
  for (var e = 0u; e < 4; e++) {
    let entry = index + e * LANES;
    if (entry < 32 * size) { t[place(size, entry)] = products[e]; }
  }
  workgroupBarrier();
}

fn product(size: u32, entry: u32, from_left: bool) -> f32 {
  let at = place(size, entry);
  let i = at / BLOCK;
  let j = at % BLOCK;
  var sum = 0.0;
  if (from_left) {
    for (var k = i / size * size; k <= i; k++) { sum -= t[i * BLOCK + k] * t[k * BLOCK + j]; }
    return sum;
  }
  for (var k = j; k < (j / size + 1) * size; k++) { sum += t[i * BLOCK + k] * t[k * BLOCK + j]; }
  return sum;
}

// Where an entry of those is: the pair it belongs to, its row, its column.
fn place(size: u32, entry: u32) -> u32 {
  let pair = 2 * size * (entry / (size * size));
  let row = pair + size + entry / size % size;
  return row * BLOCK + pair + entry % size;
}
