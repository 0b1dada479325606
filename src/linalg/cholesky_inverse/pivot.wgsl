// The factor of a block on the diagonal: B_kk becomes D = L_kk^-1, the inverse of its Cholesky factor.
//
// Gauss-Jordan on a symmetric block, four columns K at a time: eliminating them and carrying the
// identity along needs no second array, since a column of the inverse begins where a column of the
// block ends. With D_K the inverse of the Cholesky factor of the 4 x 4 on the diagonal, l_i = D_K b_iK
// and y = D_K times (the inverse's rows K | I | columns K of the block):
//
//   row i after K:  b_i <- b_i - l_i^T y      rows K:  b_K <- y up to the diagonal, 0 after it
//
// A pivot that is not positive counts as 1 and is noted.
//
// One workgroup of 16 x 16; an invocation holds 4 x 4 of the block in registers, as tile_product.wgsl
// leaves a tile. Each finds D_K for itself, so there is one barrier for four columns: what is
// published alternates between two places. Joined with state.wgsl and tile_product.wgsl.

@group(0) @binding(0) var<storage, read_write> b: array<vec4f>;             // [batch, side, side]
@group(0) @binding(1) var<storage, read_write> d_transposed: array<vec4f>;  // [batch, 64, 64]
@group(0) @binding(2) var<storage, read_write> states: array<MatrixState>;
@group(0) @binding(3) var<uniform> params: Params;

struct Params {
  row_quads: u32,  // side / 4
  step: u32,       // k, in blocks of 64
}

var<workgroup> columns_k: array<vec4f, 128>;  // of each row i: b[i, K]
var<workgroup> rows_k: array<vec4f, 128>;     // of each column j: b[K, j]

// Factors `block`, block (step, step) of the matrix, and stores D there, and its transpose.
fn factor_block(block: Block, matrix: u32, step: u32, lane: vec2u) {
  var r0 = block[0];
  var r1 = block[1];
  var r2 = block[2];
  var r3 = block[3];
  var failed = 0.0;
  for (var k = 0u; k < 16; k++) {
    let place = (k & 1) * 64;
    if (lane.x == k) {
      columns_k[place + 4 * lane.y] = r0;
      columns_k[place + 4 * lane.y + 1] = r1;
      columns_k[place + 4 * lane.y + 2] = r2;
      columns_k[place + 4 * lane.y + 3] = r3;
    }
    if (lane.y == k) {
      let columns = transpose(mat4x4f(r0, r1, r2, r3));
      rows_k[place + 4 * lane.x] = columns[0];
      rows_k[place + 4 * lane.x + 1] = columns[1];
      rows_k[place + 4 * lane.x + 2] = columns[2];
      rows_k[place + 4 * lane.x + 3] = columns[3];
    }
    workgroupBarrier();

    // Of the 4 x 4 only what is on and below the diagonal is read.
    let s0 = columns_k[place + 4 * k];
    let s1 = columns_k[place + 4 * k + 1];
    let s2 = columns_k[place + 4 * k + 2];
    let s3 = columns_k[place + 4 * k + 3];
    let d0 = root_of(s0.x);
    let l10 = s1.x * d0;
    let l20 = s2.x * d0;
    let l30 = s3.x * d0;
    let pivot_1 = s1.y - l10 * l10;
    let d1 = root_of(pivot_1);
    let l21 = (s2.y - l20 * l10) * d1;
    let l31 = (s3.y - l30 * l10) * d1;
    let pivot_2 = s2.z - l20 * l20 - l21 * l21;
    let d2 = root_of(pivot_2);
    let l32 = (s3.z - l30 * l20 - l31 * l21) * d2;
    let pivot_3 = s3.w - l30 * l30 - l31 * l31 - l32 * l32;
    let d3 = root_of(pivot_3);
    let is_positive = vec4f(s0.x, pivot_1, pivot_2, pivot_3) > vec4f(0.0);
    failed += dot(select(vec4f(1.0), vec4f(0.0), is_positive), vec4f(1.0));
    let d10 = -d1 * l10 * d0;
    let d21 = -d2 * l21 * d1;
    let d32 = -d3 * l32 * d2;
    let d20 = -d2 * (l20 * d0 + l21 * d10);
    let d31 = -d3 * (l31 * d1 + l32 * d21);
    let d30 = -d3 * (l30 * d0 + l31 * d10 + l32 * d20);
    let d = mat4x4f(d0, d10, d20, d30, 0.0, d1, d21, d31, 0.0, 0.0, d2, d32, 0.0, 0.0, 0.0, d3);

    if (lane.y >= k) {  // rows before are finished
      // y of this invocation's columns: a unit column each within K.
      var y = d;
      if (lane.x != k) {
        let at = place + 4 * lane.x;
        let is_before = lane.x < k;
        y = d * mat4x4f(
          select(columns_k[at], rows_k[at], is_before),
          select(columns_k[at + 1], rows_k[at + 1], is_before),
          select(columns_k[at + 2], rows_k[at + 2], is_before),
          select(columns_k[at + 3], rows_k[at + 3], is_before),
        );
      }
      y = transpose(y);  // now column r is row r of K
      if (lane.y == k) {
        let is_after = lane.x > k;
        r0 = select(y[0], vec4f(0.0), is_after);
        r1 = select(y[1], vec4f(0.0), is_after);
        r2 = select(y[2], vec4f(0.0), is_after);
        r3 = select(y[3], vec4f(0.0), is_after);
      } else {
        let at = place + 4 * lane.y;
        let is_k = lane.x == k;
        r0 = select(r0, vec4f(0.0), is_k) - y * (d * columns_k[at]);
        r1 = select(r1, vec4f(0.0), is_k) - y * (d * columns_k[at + 1]);
        r2 = select(r2, vec4f(0.0), is_k) - y * (d * columns_k[at + 2]);
        r3 = select(r3, vec4f(0.0), is_k) - y * (d * columns_k[at + 3]);
      }
    }
  }

  let quads = params.row_quads;
  let at = matrix * 4 * quads * quads + (step * 64 + 4 * lane.y) * quads + step * 16 + lane.x;
  b[at] = r0;
  b[at + quads] = r1;
  b[at + 2 * quads] = r2;
  b[at + 3 * quads] = r3;
  let columns = transpose(mat4x4f(r0, r1, r2, r3));
  let at_d = (matrix * 64 + 4 * lane.x) * 16 + lane.y;
  d_transposed[at_d] = columns[0];
  d_transposed[at_d + 16] = columns[1];
  d_transposed[at_d + 32] = columns[2];
  d_transposed[at_d + 48] = columns[3];
  if (lane.x == 0 && lane.y == 15) { states[matrix].failed += failed; }
}

fn root_of(pivot: f32) -> f32 {
  return select(1.0, 1.0 / sqrt(pivot), pivot > 0.0);
}
