// One round of two-sided block Jacobi: A <- Q^T A Q and V^T <- Q^T V^T, Q being block-diagonal in
// the round's pairs.
//
// A workgroup owns the tile where pairs I >= J meet, and its mirror image: T = A_IJ Q_J, then Q_I^T
// T, written to both places. Or it owns a tile of V^T, whose rows of pair I are multiplied by
// Q_I^T. A is symmetric, so A_IJ is read as rows of A_JI, and every load is along a row. Joined
// with tile_product.wgsl; a tile is a pair of blocks, 4 * QUADS a side.

struct Params {
  row_quads: u32,  // side / 4
  pairs: u32,      // of blocks
  round: u32,
}

@group(0) @binding(0) var<storage, read_write> a: array<vec4f>;            // [batch, side, side]
@group(0) @binding(1) var<storage, read_write> v_transposed: array<vec4f>; // [batch, side, side]
@group(0) @binding(2) var<storage, read> q: array<vec4f>;  // [batch, pairs, tile, tile]
@group(0) @binding(3) var<storage, read> states: array<MatrixState>;
@group(0) @binding(4) var<uniform> params: Params;


@compute @workgroup_size(QUADS, QUADS)
fn rotate(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) lane: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  if (states[group.z].unsettled == 0.0) { return; }

  let matrix = group.z * params.row_quads * params.row_quads * 4;
  let tiles_of_a = params.pairs * (params.pairs + 1) / 2;
  let is_a = group.x < tiles_of_a;
  var tile = vec2u((group.x - tiles_of_a) / params.pairs, (group.x - tiles_of_a) % params.pairs);
  if (is_a) { tile = lower_tile(group.x); }
  let i = pair_of_blocks(tile.x);
  let j = pair_of_blocks(tile.y);
  let q_i = (group.z * params.pairs + tile.x) * TILE * QUADS;
  let q_j = (group.z * params.pairs + tile.y) * TILE * QUADS;

  var c: Block;
  if (is_a) {
    var t_block: Block;  // T = A_IJ Q_J
    for (var t0 = 0u; t0 < TILE; t0 += SLAB) {
      for (var e = index; e < SLAB * QUADS; e += QUADS * QUADS) {
        let t = t0 + e / QUADS;
        left_slab[e] = a[matrix + row_of(j, t) * params.row_quads + quad_of(i, e % QUADS)];
        right_slab[e] = q[q_j + t * QUADS + e % QUADS];
      }
      workgroupBarrier();
      multiply_slabs(&t_block, lane.xy);
      workgroupBarrier();
    }
    for (var t0 = 0u; t0 < TILE; t0 += SLAB) {  // Q_I^T T
      for (var e = index; e < SLAB * QUADS; e += QUADS * QUADS) {
        left_slab[e] = q[q_i + (t0 + e / QUADS) * QUADS + e % QUADS];
      }
      if (lane.y / 4 == t0 / SLAB) {  // T's rows of this slab are in these invocations' registers
        let at = (lane.y * 4 - t0) * QUADS + lane.x;
        right_slab[at] = t_block[0];
        right_slab[at + QUADS] = t_block[1];
        right_slab[at + 2 * QUADS] = t_block[2];
        right_slab[at + 3 * QUADS] = t_block[3];
      }
      workgroupBarrier();
      multiply_slabs(&c, lane.xy);
      workgroupBarrier();
    }
    let down = matrix + quad_of(j, lane.x);
    a[down + row_of(i, lane.y * 4) * params.row_quads] = c[0];
    a[down + row_of(i, lane.y * 4 + 1) * params.row_quads] = c[1];
    a[down + row_of(i, lane.y * 4 + 2) * params.row_quads] = c[2];
    a[down + row_of(i, lane.y * 4 + 3) * params.row_quads] = c[3];
    if (tile.x != tile.y) {
      let mirrored = transpose(mat4x4f(c[0], c[1], c[2], c[3]));
      let across = matrix + quad_of(i, lane.y);
      a[across + row_of(j, lane.x * 4) * params.row_quads] = mirrored[0];
      a[across + row_of(j, lane.x * 4 + 1) * params.row_quads] = mirrored[1];
      a[across + row_of(j, lane.x * 4 + 2) * params.row_quads] = mirrored[2];
      a[across + row_of(j, lane.x * 4 + 3) * params.row_quads] = mirrored[3];
    }
  } else {
    let column = matrix + tile.y * QUADS;
    for (var t0 = 0u; t0 < TILE; t0 += SLAB) {
      for (var e = index; e < SLAB * QUADS; e += QUADS * QUADS) {
        let t = t0 + e / QUADS;
        left_slab[e] = q[q_i + t * QUADS + e % QUADS];
        right_slab[e] = v_transposed[column + row_of(i, t) * params.row_quads + e % QUADS];
      }
      workgroupBarrier();
      multiply_slabs(&c, lane.xy);
      workgroupBarrier();
    }
    let at = column + lane.x;
    v_transposed[at + row_of(i, lane.y * 4) * params.row_quads] = c[0];
    v_transposed[at + row_of(i, lane.y * 4 + 1) * params.row_quads] = c[1];
    v_transposed[at + row_of(i, lane.y * 4 + 2) * params.row_quads] = c[2];
    v_transposed[at + row_of(i, lane.y * 4 + 3) * params.row_quads] = c[3];
  }
}

// Pair `i` of this round, as in jacobi.wgsl.
fn pair_of_blocks(i: u32) -> vec2u {
  let moving = 2 * params.pairs - 1;
  if (params.round >= moving) {
    let first = 2 * i + params.round - moving;
    return select(vec2u(first, first + 1), vec2u(0, first), first == moving);
  }
  if (i == 0) { return vec2u(params.round, moving); }
  let x = (params.round + i) % moving;
  let y = (params.round + moving - i) % moving;
  return vec2u(min(x, y), max(x, y));
}

// Row of the matrix that is row r of a pair of blocks.
fn row_of(pair: vec2u, r: u32) -> u32 {
  return select(pair.y * (TILE / 2) + r - TILE / 2, pair.x * (TILE / 2) + r, r < TILE / 2);
}

// The same for a quad of columns.
fn quad_of(pair: vec2u, r: u32) -> u32 {
  return select(pair.y * (QUADS / 2) + r - (QUADS / 2), pair.x * (QUADS / 2) + r, r < (QUADS / 2));
}

// Tile t of the lower triangle, counted row by row.
fn lower_tile(t: u32) -> vec2u {
  var row = u32((sqrt(8.0 * f32(t) + 1.0) - 1.0) / 2.0);
  if (row * (row + 1) / 2 > t) { row--; }
  if ((row + 1) * (row + 2) / 2 <= t) { row++; }
  return vec2u(row, t - row * (row + 1) / 2);
}
