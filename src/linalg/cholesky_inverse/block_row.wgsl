// Step 1 of a block step: B_kj <- D B_kj for every j != k.
//
// Left of the diagonal this finishes block row k of L^-1; right of it, it makes B_kj the transpose
// of L_jk. Joined with tile_product.wgsl (QUADS = 16).

struct Params {
  row_quads: u32,  // side / 4
  step: u32,       // k, in blocks of 64
}

@group(0) @binding(0) var<storage, read_write> b: array<vec4f>;    // [batch, side, side]
@group(0) @binding(1) var<storage, read> d_transposed: array<vec4f>;  // [batch, 64, 64]
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(16, 16)
fn block_row(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) lane: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  let j = select(group.x, group.x + 1, group.x >= params.step);
  let quads = params.row_quads;
  let matrix = group.z * quads * quads * 4;
  let tile = matrix + params.step * 64 * quads + j * 16;

  var c: Block;
  for (var t0 = 0u; t0 < 64; t0 += SLAB) {
    let t = t0 + lane.y;
    left_slab[index] = d_transposed[group.z * 1024 + t * 16 + lane.x];
    right_slab[index] = b[tile + t * quads + lane.x];
    workgroupBarrier();
    multiply_slabs(&c, lane.xy);
    workgroupBarrier();  // also: nothing is written before all of the tile was read
  }

  let at = tile + lane.y * 4 * quads + lane.x;
  b[at] = c[0];
  b[at + quads] = c[1];
  b[at + 2 * quads] = c[2];
  b[at + 3 * quads] = c[3];
}
